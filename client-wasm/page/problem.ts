import { InkwireError } from "inkwire"
import { byId } from "./save-sign.js"
import { NoToken, useToken } from "./token.js"

interface Explanation {
  readonly title: string
  readonly text: string
  readonly wantsToken?: boolean
}

/** What a person can do about an error, in words; the code is shown beneath for those who know it. */
export function explain(error: unknown): Explanation {
  const cause = error instanceof InkwireError && error.code === "token_failed" ? error.cause : error
  if (cause instanceof NoToken) {
    return {
      title: "This relay wants a token",
      text: "It hands out no development tokens, which it does only on its own machine. Paste an access token that your application signed.",
      wantsToken: true,
    }
  }
  const code = error instanceof InkwireError ? error.code : "unknown"
  switch (code) {
    case "connection_failed":
    case "token_failed":
      return { title: "The relay does not answer", text: `Nothing came through to ${location.host}. Is it running, and may this page reach it?` }
    case "unauthorized":
    case "token_expired":
    case "revoked":
      return { title: "The relay did not accept the token", text: "It may have expired, or another key signed it.", wantsToken: true }
    case "forbidden":
      return { title: "You may not open this document", text: "The token grants nothing on a document of this name.", wantsToken: true }
    case "origin_refused":
      return { title: "The relay does not serve this site", text: `It refuses sessions from ${location.origin}; --allow-origin changes that.` }
    case "bad_document_name":
      return { title: "No document can have this name", text: "Names are paths of 1 to 256 bytes, such as acme/specs/roadmap." }
    case "document_deleted":
      return { title: "This document was deleted", text: "What you see is the last state that this tab has." }
    case "internal":
      return { title: "The editor stopped", text: "It ran into a fault of its own and stopped before that could damage the document. Reload to go on." }
    default:
      return { title: "The relay ended the session", text: error instanceof Error ? error.message : String(error) }
  }
}

/** Shows what is wrong instead of, or above, the document. */
export function showProblem(error: unknown, retry: () => void): void {
  const { title, text, wantsToken } = explain(error)
  const panel = byId("problem")
  const heading = document.createElement("h2")
  heading.textContent = title
  const paragraph = document.createElement("p")
  paragraph.textContent = text
  const detail = document.createElement("p")
  detail.className = "detail"
  detail.textContent = describe(error)
  const again = document.createElement("button")
  again.type = "button"
  again.className = "primary"
  again.textContent = "Try again"
  again.addEventListener("click", retry)
  panel.replaceChildren(heading, paragraph, ...(wantsToken ? [tokenForm(retry)] : [again]), detail)
  panel.hidden = false
  byId("editor").setAttribute("aria-busy", "false")
}

export function hideProblem(): void {
  byId("problem").hidden = true
}

function tokenForm(retry: () => void): HTMLElement {
  const form = document.createElement("form")
  const input = document.createElement("input")
  input.type = "password"
  input.autocomplete = "off"
  input.required = true
  input.placeholder = "eyJ…"
  input.setAttribute("aria-label", "Access token")
  const button = document.createElement("button")
  button.className = "primary"
  button.textContent = "Use this token"
  form.append(input, button)
  form.addEventListener("submit", event => {
    event.preventDefault()
    useToken(input.value)
    retry()
  })
  return form
}

/** The error and its causes on one line. */
function describe(error: unknown): string {
  const parts: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    parts.push(at instanceof InkwireError ? `${at.code}: ${at.message}` : at.message)
  }
  return parts.length > 0 ? parts.join(" · ") : String(error)
}
