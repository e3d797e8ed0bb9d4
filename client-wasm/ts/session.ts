import { documentName } from "./arguments.js"
import { Core, EventKind, TransmitKind } from "./core.js"
import { OpenDocument } from "./document.js"
import { Closed, ConnectionFailed, InkwireError, Refused, TokenFailed } from "./errors.js"
import { deferred } from "./observers.js"
import type { Deferred } from "./observers.js"
import { readRefusal } from "./refusal.js"
import type { Connection } from "./status.js"
import type { Dialer } from "./transport/race.js"
import { relayBase } from "./transport/types.js"
import type { Transport, TransportChoice, TransportKind } from "./transport/types.js"

/** A token, or what gives one now or later. Asked again before the old one ends; until then it also serves new connections. */
export type TokenSource = string | (() => string | Promise<string>)

/** When small edits are sent once more as datagrams over WebTransport. */
export type DatagramCopies = "auto" | "on" | "off"

/** Bytes that the core joins into one crossing at most. */
const TRANSMIT_BYTES = 64 * 1024

/** @internal What a session needs from outside. */
export interface SessionOptions {
  readonly base: URL
  /** Origins that a relay may lead the session to, beside that of `base`. */
  readonly allowed?: readonly string[]
  readonly token: TokenSource
  readonly choice: TransportChoice
  readonly dialer: Dialer
  readonly agent: string
  /** `"auto"` unless given. */
  readonly datagramCopies?: DatagramCopies | undefined
}

/**
 * Drives one core: connects and reconnects it, carries bytes between it and the transport, runs its timer, and hands its
 * events to the documents. All decisions (what to send, when to try again, what a close means) are the core's.
 *
 * @internal
 */
export class Session {
  readonly core: Core
  /** Settles with the first `Welcome` or the first fatal end. */
  readonly welcomed: Deferred<void> = deferred()
  connection: Connection = "connecting"
  /** The last failure to connect, for the error that gives up. */
  lastFailure: unknown

  readonly #options: SessionOptions
  readonly #documents = new Map<number, OpenDocument>()
  readonly #dirty = new Set<OpenDocument>()
  readonly #life = new AbortController()
  #transport: Transport | undefined
  #timer: { at: number; handle: ReturnType<typeof setTimeout> } | undefined
  #retry: { handle: ReturnType<typeof setTimeout> } | undefined
  /** Where the relay that left said to go on, until a connection there fails. */
  #ledTo: URL | undefined
  #flushing = false
  #pumping = false
  #pumpAgain = false
  #error: Error | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    const seed = crypto.getRandomValues(new BigUint64Array(1))[0]!
    this.core = new Core(seed, options.agent, error => this.#end(error))
    const { datagramCopies } = options
    if (datagramCopies) this.core.call(core => core.set_datagram_copies(datagramCopies))
    for (const [target, name] of this.#wakers) target?.addEventListener(name, this.#wake)
  }

  /** The client's clock: monotonic milliseconds. The page's wall clock decides nothing. */
  now(): number {
    return performance.now()
  }

  get transportKind(): TransportKind | null {
    return this.connection === "connected" ? (this.#transport?.kind ?? null) : null
  }

  get error(): Error | undefined {
    return this.#error
  }

  // ---- documents

  open(given: string): OpenDocument {
    const name = documentName(given)
    if (this.#error) throw this.#error
    for (const open of this.#documents.values()) if (open.name === name && open.isOpen) return open
    const number = this.core.call(core => core.open(this.now(), name))
    const open = new OpenDocument(this, number, name)
    this.#documents.set(number, open)
    this.pump()
    return open
  }

  closeDocument(open: OpenDocument): void {
    if (this.#dirty.delete(open)) open.flush()
    this.#documents.delete(open.number)
    this.core.call(core => core.close_document(this.now(), open.number))
    this.pump()
  }

  /** Edits of one task go out together, at its end. */
  flushSoon(open: OpenDocument): void {
    this.#dirty.add(open)
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      if (!this.#error) this.flushNow()
    })
  }

  flushNow(): void {
    if (this.#dirty.size === 0) return
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    for (const open of dirty) open.flush()
    this.pump()
  }

  // ---- connecting

  start(): void {
    void this.#attempt()
  }

  async #attempt(): Promise<void> {
    const { choice, dialer } = this.#options
    const base = this.#ledTo ?? this.#options.base
    let transport: Transport | undefined
    try {
      const token = this.core.call(core => core.token(this.now())) ?? await this.#token()
      transport = await dialer.dial(base, choice, this.#life.signal)
      if (this.#error) return transport.close(0, "")
      this.#connected(transport, token)
    } catch (error) {
      if (this.#error) return transport?.close(0, "")
      this.lastFailure = error
      this.#ledTo = undefined
      // A page without a token learns why at once; one that had one is served again when the next can be had.
      if (error instanceof TokenFailed && this.connection === "connecting") return this.#end(error)
      this.#guard(() => {
        this.core.call(core => core.connect_failed(this.now()))
        this.pump()
      })
    }
  }

  async #token(): Promise<string> {
    const { token } = this.#options
    if (typeof token === "string") return token
    let given: unknown
    try {
      given = await token()
    } catch (error) {
      throw new TokenFailed("the token function failed", { cause: error })
    }
    if (typeof given !== "string") throw new TokenFailed(`the token function gave no string but ${typeof given}`)
    return given
  }

  async #refreshToken(): Promise<void> {
    // A fixed token cannot be refreshed: the relay ends the session when it is over, and says so.
    if (typeof this.#options.token === "string") return
    try {
      const token = await this.#token()
      if (this.#error) return
      this.core.call(core => core.refresh_token(this.now(), token))
      this.pump()
    } catch (error) {
      // The core asks again while the old token lasts.
      this.lastFailure = error
    }
  }

  #connected(transport: Transport, token: string): void {
    // The core counts an older connection as lost; nobody else would end it.
    this.#transport?.close(0, "replaced")
    this.#transport = transport
    const live = () => this.#transport === transport && !this.#error
    const enter = (receive: () => void) => {
      if (live()) this.#guard(receive)
    }
    this.core.call(core => core.connected(this.now(), token, transport.kind === "webtransport"))
    transport.start({
      stream: (channel, bytes) => enter(() => {
        this.core.call(core => core.receive_stream(this.now(), channel, bytes))
        this.pump()
      }),
      message: bytes => enter(() => {
        this.core.call(core => core.receive_message(this.now(), bytes))
        this.pump()
      }),
      datagram: bytes => enter(() => {
        this.core.call(core => core.receive_datagram(this.now(), bytes))
        this.pump()
      }),
      laneEnded: channel => enter(() => {
        this.core.call(core => core.lane_ended(this.now(), channel))
        this.pump()
      }),
      laneFull: (channel, full) => enter(() => {
        this.core.call(core => core.set_lane_full(channel, full))
        if (!full) this.pump()
      }),
      writable: () => enter(() => this.pump()),
      closed: reason => enter(() => {
        this.lastFailure = new Error(reason)
        this.#transport = undefined
        this.core.call(core => core.disconnected(this.now()))
        this.#setConnection()
        this.pump()
      }),
    })
    this.pump()
  }

  /** The network is back or the page is looked at again: no reason to sit out the rest of a backoff. */
  readonly #wake = () => {
    if (!this.#retry || (typeof document !== "undefined" && document.visibilityState === "hidden")) return
    clearTimeout(this.#retry.handle)
    this.#retry = undefined
    void this.#attempt()
  }

  readonly #wakers: [EventTarget | undefined, string][] = [
    [globalThis.window, "online"],
    [globalThis.document, "visibilitychange"],
  ]

  // ---- the pump

  /** Carries out what the core wants after anything was put into it. Re-entrant calls are folded into the running one. */
  pump(): void {
    this.#pumpAgain = true
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#pumpAgain && !this.#error) {
        this.#pumpAgain = false
        this.#transmit()
        this.#events()
      }
    } finally {
      this.#pumping = false
    }
    this.#setTimer()
  }

  /** `leaving`: also into a full transport, of which nothing more is expected; what the core still says then is little. */
  #transmit(leaving = false): void {
    for (;;) {
      const transport = this.#transport
      // Without a transport the core has nothing to say; a full one calls back when it drains.
      if (!transport || !(leaving || transport.writable)) return
      const kind = this.core.call(core => core.poll_transmit(this.now(), TRANSMIT_BYTES))
      if (kind === TransmitKind.Nothing) return
      const channel = this.core.call(core => core.transmit_channel())
      const bytes = () => this.core.call(core => core.take_transmit_bytes())
      switch (kind) {
        case TransmitKind.OpenLane: transport.openLane(channel); break
        case TransmitKind.Stream: transport.sendStream(channel, bytes()); break
        case TransmitKind.FinishLane: transport.finishLane(channel); break
        case TransmitKind.Message: transport.sendMessage(bytes()); break
        case TransmitKind.Datagram: transport.sendDatagram(bytes()); break
        case TransmitKind.Disconnect:
          this.#transport = undefined
          transport.close(channel, this.core.call(core => core.transmit_reason()))
          this.#setConnection()
          break
      }
    }
  }

  #events(): void {
    for (;;) {
      if (this.#error) return
      const kind = this.core.call(core => core.poll_event())
      if (kind === EventKind.Nothing) return
      const [number, code, text, amount] = this.core.call(core => [
        core.event_document(), core.event_code(), core.event_text(), core.event_number(),
      ] as const)
      const open = this.#documents.get(number)
      switch (kind) {
        case EventKind.Welcomed:
          this.lastFailure = undefined
          this.#setConnection("connected")
          this.welcomed.resolve()
          break
        case EventKind.Closed:
          this.#closedByRelay(code, text, amount > 0)
          break
        case EventKind.Reconnect:
          // The core is done with a connection that may be stuck, and waits to be asked for its end.
          this.#transmit(true)
          this.#setConnection()
          if (text !== "") this.#leadTo(text)
          this.#retryAfter(amount)
          break
        case EventKind.TokenWanted: void this.#refreshToken(); break
        case EventKind.Synced: open?.markSynced(); break
        case EventKind.Changed: open?.contentChanged(); break
        case EventKind.Status: open?.statusChanged(); break
        case EventKind.Presence: open?.presence.touch(); break
        case EventKind.Refused: {
          const flat = this.core.call(core => core.event_refused())
          open?.refused(readRefusal(code, text, amount, flat))
          break
        }
        case EventKind.DocumentClosed:
          this.#documents.delete(number)
          open?.end(new Refused(code, text))
          break
      }
    }
  }

  #closedByRelay(code: string, reason: string, fatal: boolean): void {
    // The core's word for an end that the page asked for.
    if (fatal && code === "none") return this.#end(new Closed("the client was closed"))
    const error = new Refused(code, reason || `the relay ended the session: ${code}`)
    this.lastFailure = error
    // A fixed token that has expired will not get better by trying again.
    if (fatal || (code === "token_expired" && typeof this.#options.token === "string")) this.#end(error)
  }

  /** Goes on elsewhere next time, if the page allows that: a relay may lead nobody's token to a place of its choice. */
  #leadTo(url: string): void {
    const { base, allowed = [] } = this.#options
    try {
      const to = relayBase(url, base.href)
      if (to.origin === base.origin || allowed.includes(to.origin)) this.#ledTo = to
    } catch {
      // No address that a session could go to: the one that was given to the page serves.
    }
  }

  #retryAfter(millis: number): void {
    if (this.#retry) clearTimeout(this.#retry.handle)
    const handle = setTimeout(() => {
      this.#retry = undefined
      void this.#attempt()
    }, millis)
    this.#retry = { handle }
  }

  #setTimer(): void {
    const at = this.#error ? undefined : this.core.call(core => core.poll_timeout())
    if (this.#timer?.at === at) return
    if (this.#timer) clearTimeout(this.#timer.handle)
    this.#timer = undefined
    if (at === undefined) return
    const handle = setTimeout(() => {
      this.#timer = undefined
      this.#guard(() => {
        this.core.call(core => core.handle_timeout(this.now()))
        this.pump()
      })
    }, Math.max(0, Math.ceil(at - this.now())))
    this.#timer = { at, handle }
  }

  #setConnection(to?: Connection): void {
    const next = to ?? (this.connection === "connecting" ? "connecting" : "reconnecting")
    this.connection = this.#error ? "closed" : next
    for (const open of this.#documents.values()) open.status.touch()
  }

  // ---- ends

  /** A failure inside an event handler has no caller to go to; a poisoned core has already ended the session. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!this.#error) this.#end(error instanceof InkwireError ? error : new InkwireError("internal", String(error)))
    }
  }

  /** Gives up connecting, with the last failure as the cause. */
  giveUp(message: string): void {
    if (this.lastFailure instanceof TokenFailed) this.#end(this.lastFailure)
    else this.#end(new ConnectionFailed(message, { cause: this.lastFailure }))
  }

  close(): void {
    if (this.#error) return
    this.#guard(() => {
      this.flushNow()
      this.core.call(core => core.close(this.now()))
      this.pump()
    })
    this.#end(new Closed("the client was closed"))
  }

  #end(error: Error): void {
    if (this.#error) return
    this.#error = error
    this.connection = "closed"
    this.#life.abort(error)
    for (const [target, name] of this.#wakers) target?.removeEventListener(name, this.#wake)
    if (this.#timer) clearTimeout(this.#timer.handle)
    if (this.#retry) clearTimeout(this.#retry.handle)
    this.#timer = this.#retry = undefined
    const transport = this.#transport
    this.#transport = undefined
    transport?.close(0, "")
    this.welcomed.reject(error)
    for (const open of this.#documents.values()) open.end(error)
    this.#documents.clear()
  }
}
