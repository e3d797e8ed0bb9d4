import type { TransportChoice } from "inkwire"

/** What the page's address says. */
export interface Parameters {
  readonly document: string
  readonly transport: TransportChoice
  readonly role: "viewer" | "editor"
}

const DEFAULT_DOCUMENT = "welcome"

/** Reads the address; a missing document name is put there without a redirect, so that the address can be shared as it is. */
export function readParameters(): Parameters {
  const url = new URL(location.href)
  let name = url.searchParams.get("document") ?? ""
  if (name === "") {
    name = DEFAULT_DOCUMENT
    url.searchParams.set("document", name)
    history.replaceState(history.state, "", url)
  }
  const transport = url.searchParams.get("transport")
  return {
    document: name,
    transport: transport === "webtransport" || transport === "websocket" ? transport : "auto",
    role: url.searchParams.get("role") === "viewer" ? "viewer" : "editor",
  }
}

/** The link to share: the document, without how this tab happens to reach it. */
export function shareLink(document: string): string {
  const url = new URL(location.pathname, location.origin)
  url.searchParams.set("document", document)
  return url.href
}

/** The address of another page of ours, for the same document in the same way. */
export function withDocument(pathname: string): string {
  return pathname + location.search
}
