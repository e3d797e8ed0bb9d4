import assert from "node:assert/strict"
import { mock, test } from "node:test"
import { Unreachable } from "../transport/certificates.js"
import { Dialer, HEAD_START_MILLIS, REMEMBER_MILLIS } from "../transport/race.js"
import type { Transport, TransportChoice, TransportKind } from "../transport/types.js"

const BASE = new URL("http://relay.test/")

/** A network on virtual time: each transport opens or fails a set time after it was dialled, or never settles. */
class Network {
  clock = 0
  dialled: string[] = []
  closed: TransportKind[] = []
  hasWebTransport = true
  readonly outcomes: Record<TransportKind, { after: number; error?: Error } | undefined>
  readonly dialer: Dialer

  constructor(webtransport: { after: number; error?: Error } | undefined, websocket: { after: number; error?: Error } | undefined) {
    this.outcomes = { webtransport, websocket }
    this.dialer = new Dialer({
      webtransport: (_, signal) => this.#dial("webtransport", signal),
      websocket: (_, signal) => this.#dial("websocket", signal),
      hasWebTransport: () => this.hasWebTransport,
      now: () => this.clock,
    })
  }

  #dial(kind: TransportKind, signal: AbortSignal): Promise<Transport> {
    this.dialled.push(`${kind} at ${this.clock}`)
    const outcome = this.outcomes[kind]
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason))
      if (!outcome) return
      setTimeout(() => {
        if (outcome.error) reject(outcome.error)
        else resolve({ kind, close: () => this.closed.push(kind) } as unknown as Transport)
      }, outcome.after)
    })
  }

  /** Lets time pass in steps of 10 ms until the dial settles. */
  async dial(choice: TransportChoice = "auto", signal = new AbortController().signal): Promise<string> {
    let settled: string | undefined
    this.dialer.dial(BASE, choice, signal).then(
      transport => (settled = transport.kind),
      error => (settled = `failed: ${error.message}`),
    )
    for (let step = 0; settled === undefined && step < 2000; step++) {
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
      if (settled !== undefined) break
      this.clock += 10
      mock.timers.tick(10)
    }
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    return `${settled} at ${this.clock}`
  }
}

const fine = (after: number) => ({ after })
const broken = (after: number, message = "refused") => ({ after, error: new Error(message) })

const cases: [string, Network, TransportChoice, string, string[]][] = [
  ["WebTransport within its head start is alone", new Network(fine(30), fine(30)), "auto", "webtransport at 30", ["webtransport at 0"]],
  ["a slow WebTransport is overtaken", new Network(fine(900), fine(20)), "auto", `websocket at ${HEAD_START_MILLIS + 20}`,
    ["webtransport at 0", `websocket at ${HEAD_START_MILLIS}`]],
  ["a silent WebTransport is overtaken", new Network(undefined, fine(20)), "auto", "websocket at 520", ["webtransport at 0", "websocket at 500"]],
  ["a failed WebTransport ends the head start", new Network(broken(50), fine(20)), "auto", "websocket at 70",
    ["webtransport at 0", "websocket at 50"]],
  ["WebTransport may still win the race", new Network(fine(510), fine(100)), "auto", "webtransport at 510", ["webtransport at 0", "websocket at 500"]],
  ["both fail: the last failure", new Network(broken(50), broken(20, "no socket")), "auto", "failed: no socket at 70",
    ["webtransport at 0", "websocket at 50"]],
  ["WebSocket refused: WebTransport is waited for a while", new Network(undefined, broken(20, "no socket")), "auto",
    "failed: no socket at 4000", ["webtransport at 0", "websocket at 500"]],
  ["an absent relay costs no handshake", new Network({ after: 10, error: new Unreachable("away") }, fine(20)), "auto",
    "failed: away at 10", ["webtransport at 0"]],
  ["a choice is kept to", new Network(broken(50), fine(20)), "webtransport", "failed: refused at 50", ["webtransport at 0"]],
  ["a choice of WebSocket too", new Network(fine(10), fine(20)), "websocket", "websocket at 20", ["websocket at 0"]],
  ["nothing answers", new Network(undefined, undefined), "auto", "failed: the relay did not answer in time at 10000",
    ["webtransport at 0", "websocket at 500"]],
]

for (const [name, network, choice, outcome, dialled] of cases) {
  test(name, async context => {
    mock.timers.enable({ apis: ["setTimeout"] })
    context.after(() => mock.timers.reset())
    assert.equal(await network.dial(choice), outcome)
    assert.deepEqual(network.dialled, dialled)
  })
}

test("the winner is remembered for a while, and forgotten when it fails", async context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  const network = new Network(undefined, fine(20))
  assert.match(await network.dial(), /^websocket/)
  network.dialled = []
  await network.dial()
  assert.equal(network.dialled.length, 1, "no second race")
  network.clock += REMEMBER_MILLIS
  network.dialled = []
  await network.dial()
  assert.equal(network.dialled.length, 2, "a new race after a while")
  network.outcomes.websocket = broken(20)
  network.outcomes.webtransport = fine(20)
  assert.match(await network.dial(), /^webtransport/)
})

test("without WebTransport in the browser there is no race", async context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  const network = new Network(fine(10), fine(20))
  network.hasWebTransport = false
  assert.equal(await network.dial(), "websocket at 20")
})

test("giving up rejects with the caller's reason", async context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  const network = new Network(undefined, undefined)
  const caller = new AbortController()
  setTimeout(() => caller.abort(new Error("enough")), 200)
  assert.equal(await network.dial("auto", caller.signal), "failed: enough at 200")
})
