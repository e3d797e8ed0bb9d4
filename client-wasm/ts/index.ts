/**
 * Inkwire's browser client: real-time collaborative documents over WebTransport, or WebSocket where UDP is blocked.
 *
 * @packageDocumentation
 */
import { loadCore } from "./core.js"
import type { Doc } from "./document.js"
import { Session } from "./session.js"
import type { DatagramCopies, TokenSource } from "./session.js"
import type { Connection } from "./status.js"
import { reachable } from "./transport/certificates.js"
import { Dialer } from "./transport/race.js"
import { relayBase } from "./transport/types.js"
import type { TransportChoice, TransportKind } from "./transport/types.js"
import { dialWebSocket } from "./transport/websocket.js"
import { dialWebTransport, hasWebTransport } from "./transport/webtransport.js"

export { Closed, ConnectionFailed, InkwireError, InternalError, OutboxFull, ReadOnly, Refused, TokenFailed } from "./errors.js"
export { Counter, SharedList, SharedSet } from "./collections.js"
export type { CounterChange, ListChange, SetChange } from "./collections.js"
export { SharedMap, Text } from "./containers.js"
export type { MapChange, Origin, Side, TextChange } from "./containers.js"
export type { Attributes, ListDelta, TextDelta } from "./delta.js"
export { Doc } from "./document.js"
export type { UndonePlace } from "./document.js"
export { Presence } from "./presence.js"
export type { Json, Participant } from "./presence.js"
export { Status } from "./status.js"
export { Refusal } from "./refusal.js"
export type { RefusedEdit } from "./refusal.js"
export type { Connection, Role, StatusSnapshot } from "./status.js"
export type { Unobserve } from "./observers.js"
export type { DatagramCopies, TokenSource } from "./session.js"
export type { TransportChoice, TransportKind } from "./transport/types.js"
export type { Value } from "./values.js"

/** What {@link connect} takes. */
export interface ConnectOptions {
  /** The relay's base, such as `https://relay.example/`; relative to the page. The client finds the rest beneath it. */
  readonly url: string | URL
  /** The access token, sent in the session and never in a URL. A function is asked again whenever a fresh one is needed. */
  readonly token: TokenSource
  /**
   * Other relays to which a relay that leaves may lead the session, by their addresses, of which the origin counts. Another path of
   * its own origin is always allowed; any other address is ignored, and the session comes back to `url`.
   */
  readonly relays?: readonly (string | URL)[]
  /** `"auto"` unless given: WebTransport, or WebSocket where that does not come through. */
  readonly transport?: TransportChoice
  /** How long to try before {@link connect} rejects, in milliseconds: 10,000 unless given. Reconnects later have no limit. */
  readonly timeout?: number
  /**
   * When small edits are sent once more as datagrams over WebTransport, so that a lost packet does not hold them up: `"auto"` unless
   * given, which is while the relay sees that packets are lost between it and the page; `"on"`; `"off"`, which also passes over the
   * relay's.
   */
  readonly datagramCopies?: DatagramCopies
  /** Gives up connecting when aborted. */
  readonly signal?: AbortSignal
}

/** How long {@link connect} tries unless told otherwise. */
const CONNECT_MILLIS = 10_000

/** A timer of more than this fires at once. */
const MAX_TIMER_MILLIS = 0x7fff_ffff

/** One for the page, so that its memory of what came through serves every client. */
const dialer = new Dialer({
  webtransport: dialWebTransport,
  websocket: async (base, signal) => {
    await reachable(base, signal)
    return dialWebSocket(base, signal)
  },
  hasWebTransport,
  now: () => performance.now(),
})

/**
 * Connects to a relay; resolves when it has welcomed the session.
 *
 * @throws {@link Refused} when the relay turns the session away for good, with its reason; {@link TokenFailed};
 * {@link ConnectionFailed} when nothing came through within `timeout`; TypeError for an option that is none, RangeError for a
 * `timeout` that is negative or not a number.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { transport = "auto", timeout = CONNECT_MILLIS, datagramCopies = "auto", signal } = options
  if (transport !== "auto" && transport !== "webtransport" && transport !== "websocket") {
    throw new TypeError(`transport must be "auto", "webtransport" or "websocket", not ${JSON.stringify(transport)}`)
  }
  if (datagramCopies !== "auto" && datagramCopies !== "on" && datagramCopies !== "off") {
    throw new TypeError(`datagramCopies must be "auto", "on" or "off", not ${JSON.stringify(datagramCopies)}`)
  }
  if (typeof options.token !== "string" && typeof options.token !== "function") {
    throw new TypeError("token must be a string or a function that gives one")
  }
  if (typeof timeout !== "number") throw new TypeError("timeout must be a number of milliseconds")
  if (!(timeout >= 0)) throw new RangeError(`timeout must be 0 or more milliseconds, not ${timeout}`)
  // Relative to the page a URL can be made of anything, `undefined` included.
  if (typeof options.url !== "string" && (typeof options.url !== "object" || options.url === null)) {
    throw new TypeError("url must be a string or a URL")
  }
  const base = relayBase(options.url, globalThis.location?.href)
  const { relays = [] } = options
  if (!Array.isArray(relays)) throw new TypeError("relays must be an array of addresses")
  const allowed = relays.map(relay => relayBase(relay, globalThis.location?.href).origin)
  signal?.throwIfAborted()
  await loadCore()
  const session = new Session({ base, allowed, token: options.token, choice: transport, dialer, agent: "inkwire-js", datagramCopies })
  const giveUp = () => session.giveUp(`no answer from ${base.href} within ${timeout} ms`)
  const timer = timeout > MAX_TIMER_MILLIS ? undefined : setTimeout(giveUp, timeout)
  const abort = () => session.close()
  signal?.addEventListener("abort", abort)
  try {
    session.start()
    await session.welcomed.promise
    return new Client(session)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener("abort", abort)
  }
}

/** A session with a relay. It survives lost connections; only {@link close} and a fatal word of the relay end it. */
export class Client {
  readonly #session: Session

  /** @internal */
  constructor(session: Session) {
    this.#session = session
  }

  get connection(): Connection {
    return this.#session.connection
  }

  /** The transport in use, null while there is none. */
  get transport(): TransportKind | null {
    return this.#session.transportKind
  }

  /** Why the session ended for good, else null. */
  get error(): Error | null {
    return this.#session.error ?? null
  }

  /**
   * Opens a document, at once and also while offline; opened already, it is the same one.
   *
   * @throws {@link InkwireError} `bad_document_name` unless the name is a path of 1 to 256 bytes in UTF-8, its segments between
   * `/` not empty, without control characters; {@link Closed}, or why the session ended.
   */
  open(name: string): Doc {
    return this.#session.open(name).doc
  }

  /** Ends the session. Edits that are not durable yet may be lost: await each document's `durable()` first. */
  close(): void {
    this.#session.close()
  }
}
