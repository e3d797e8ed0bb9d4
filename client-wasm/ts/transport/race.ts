import { Unreachable } from "./certificates.js"
import type { Dial, Transport, TransportChoice, TransportKind } from "./types.js"

/** WebTransport's head start over WebSocket. */
export const HEAD_START_MILLIS = 500

/** How long the winner is remembered: long enough to save every reconnect the head start, short enough to notice a new network. */
export const REMEMBER_MILLIS = 10 * 60 * 1000

/** How long one attempt may take in all. */
const ATTEMPT_MILLIS = 10_000

/** Once WebSocket has failed, WebTransport alone is waited for until this long after the start. */
const LONE_MILLIS = 4_000

/** What the race needs from outside; tests bring their own. */
export interface Dialers {
  readonly webtransport: Dial
  readonly websocket: Dial
  hasWebTransport(): boolean
  now(): number
}

/** Opens transports, remembering in memory which one won for which relay. */
export class Dialer {
  readonly #dialers: Dialers
  readonly #winners = new Map<string, { kind: TransportKind; until: number }>()

  constructor(dialers: Dialers) {
    this.#dialers = dialers
  }

  /** Opens a transport by the caller's choice; rejects with the last failure. `signal` gives up. */
  async dial(base: URL, choice: TransportChoice, signal: AbortSignal): Promise<Transport> {
    const attempt = new AbortController()
    const giveUp = () => attempt.abort(signal.reason)
    const timer = setTimeout(() => attempt.abort(new Error("the relay did not answer in time")), ATTEMPT_MILLIS)
    signal.addEventListener("abort", giveUp)
    if (signal.aborted) giveUp()
    try {
      if (choice === "webtransport") return await this.#dialers.webtransport(base, attempt.signal)
      if (choice === "websocket" || !this.#dialers.hasWebTransport()) {
        return await this.#dialers.websocket(base, attempt.signal)
      }
      const transport = await this.#auto(base, attempt.signal)
      this.#winners.set(base.href, { kind: transport.kind, until: this.#dialers.now() + REMEMBER_MILLIS })
      return transport
    } finally {
      clearTimeout(timer)
      signal.removeEventListener("abort", giveUp)
    }
  }

  async #auto(base: URL, signal: AbortSignal): Promise<Transport> {
    const remembered = this.#winners.get(base.href)
    if (remembered?.kind === "websocket" && this.#dialers.now() < remembered.until) {
      try {
        return await this.#dialers.websocket(base, signal)
      } catch (error) {
        if (error instanceof Unreachable || signal.aborted) throw error
        this.#winners.delete(base.href)
      }
    }
    return race(this.#dialers, base, signal)
  }
}

/** WebTransport first, WebSocket 500 ms later or as soon as WebTransport fails; the first to open wins and the other is closed. */
function race(dialers: Dialers, base: URL, signal: AbortSignal): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const attempt = new AbortController()
    let won = false
    let running = 0
    let socketStarted = false
    const started = dialers.now()

    const finish = (settle: () => void) => {
      won = true
      clearTimeout(headStart)
      clearTimeout(lone)
      signal.removeEventListener("abort", giveUp)
      settle()
      attempt.abort(new Error("another transport was faster"))
    }
    const giveUp = () => {
      if (!won) finish(() => reject(signal.reason))
    }
    const run = (dial: Dial, failed: (error: unknown) => void) => {
      running += 1
      dial(base, attempt.signal).then(
        transport => {
          running -= 1
          if (won) transport.close(0, "another transport was faster")
          else finish(() => resolve(transport))
        },
        error => {
          running -= 1
          if (!won) failed(error)
        },
      )
    }
    const startSocket = () => {
      if (socketStarted || won) return
      socketStarted = true
      clearTimeout(headStart)
      run(dialers.websocket, error => {
        if (running === 0) return finish(() => reject(error))
        lone = setTimeout(() => won || finish(() => reject(error)), Math.max(0, LONE_MILLIS - (dialers.now() - started)))
      })
    }

    let lone: ReturnType<typeof setTimeout> | undefined
    const headStart = setTimeout(startSocket, HEAD_START_MILLIS)
    signal.addEventListener("abort", giveUp)
    if (signal.aborted) return giveUp()
    run(dialers.webtransport, error => {
      if (error instanceof Unreachable || (socketStarted && running === 0)) return finish(() => reject(error))
      startSocket()
    })
  })
}
