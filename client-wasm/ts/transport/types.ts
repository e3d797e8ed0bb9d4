/** Which transport carries a session. */
export type TransportKind = "webtransport" | "websocket"

/** Which transports a client may use: `auto` prefers WebTransport and falls back to WebSocket. */
export type TransportChoice = "auto" | TransportKind

/** Bytes that may wait in one lane, or in a WebSocket, before the session stops handing it more. One frame is at most 64 KiB. */
export const SEND_BUFFER_BYTES = 256 * 1024

/** The relay takes datagrams of 1 to 1,024 bytes; an empty one kills a page's reader, a larger one vanishes silently. */
export const MAX_DATAGRAM_BYTES = 1024

/** What a transport reports. After `closed`, which comes once, nothing else is called. */
export interface TransportEvents {
  /** Bytes of one lane, split anywhere (WebTransport). */
  stream(channel: number, bytes: Uint8Array): void
  /** One whole message (WebSocket). */
  message(bytes: Uint8Array): void
  datagram(bytes: Uint8Array): void
  /** The relay ended a document's lane that we had not finished; the session goes on. */
  laneEnded(channel: number): void
  /** A lane takes nothing more for now, or takes more again; the others go on (WebTransport). */
  laneFull(channel: number, full: boolean): void
  /** The transport takes bytes again after `writable` was false. */
  writable(): void
  closed(reason: string): void
}

/** An open connection to the relay. Sends never throw; failures arrive as `closed`. */
export interface Transport {
  readonly kind: TransportKind
  /** Says where events go; called once, at once after the connection opened. */
  start(events: TransportEvents): void
  /** Whether there is room for more. Ignoring it costs memory, not correctness. */
  readonly writable: boolean
  openLane(channel: number): void
  sendStream(channel: number, bytes: Uint8Array): void
  /** Ends our direction of the lane once what was sent on it is out. */
  finishLane(channel: number): void
  sendMessage(bytes: Uint8Array): void
  /** Drops the datagram when there is no room: what may be lost must not wait. */
  sendDatagram(bytes: Uint8Array): void
  close(code: number, reason: string): void
}

/** Opens one transport, or rejects when it cannot or when `signal` is aborted. */
export type Dial = (base: URL, signal: AbortSignal) => Promise<Transport>

/** The relay's URL of a path beneath its base, in the scheme that a transport wants. */
export function endpoint(base: URL, path: string, protocol: "same" | "https:" | "ws"): URL {
  const url = new URL(path, base)
  if (protocol === "https:") url.protocol = "https:"
  if (protocol === "ws") url.protocol = url.protocol === "https:" ? "wss:" : "ws:"
  return url
}

/** The base as the client uses it: a folder, without query and fragment, so that a token can never hide in it. */
export function relayBase(url: string | URL, page?: string): URL {
  const base = new URL(url, page)
  if (base.protocol !== "http:" && base.protocol !== "https:") {
    throw new TypeError(`the relay's URL must begin with http: or https:, not ${base.protocol}`)
  }
  base.search = ""
  base.hash = ""
  base.username = ""
  base.password = ""
  if (!base.pathname.endsWith("/")) base.pathname += "/"
  return base
}
