// The session over transports of our own: what becomes of connections that are stuck, replaced or closed by the relay.
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { mock, test } from "node:test"
import type { TestContext } from "node:test"
import wasmPath from "inkwire-wasm"
import { loadCoreSync } from "../core.js"
import { InternalError } from "../errors.js"
import { Session } from "../session.js"
import { Dialer } from "../transport/race.js"
import type { Transport, TransportEvents, TransportKind } from "../transport/types.js"

loadCoreSync(readFileSync(new URL(wasmPath, import.meta.url)))

const turns = async () => { for (let turn = 0; turn < 50; turn++) await Promise.resolve() }

// ---- as much MessagePack as a relay's first words need

type Packed = number | string | null | Packed[] | { [key: string]: number }

function pack(value: Packed): number[] {
  if (value === null) return [0xc0]
  if (typeof value === "number") return value < 128 ? [value] : [0xcd, value >> 8, value & 255]
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value)
    return [0xd9, bytes.length, ...bytes]
  }
  if (Array.isArray(value)) return [0x90 + value.length, ...value.flatMap(pack)]
  const entries = Object.entries(value)
  return [0x80 + entries.length, ...entries.flatMap(([key, count]) => [...pack(key), ...pack(count)])]
}

const CLOSE = 5
const GO_AWAY = 4
const GOING_AWAY = 26
const welcome = [1, 1, 7, "node", 1000, {}, "ada"]

/** One end of a connection, held in the hand. */
class FakeTransport implements Transport {
  writable = true
  closedWith: [number, string] | undefined
  readonly sent: Uint8Array[] = []
  events!: TransportEvents

  constructor(readonly kind: TransportKind = "websocket") {}

  start(events: TransportEvents): void { this.events = events }
  openLane(): void {}
  sendStream(_channel: number, bytes: Uint8Array): void { this.sent.push(bytes) }
  finishLane(): void {}
  sendMessage(bytes: Uint8Array): void { this.sent.push(bytes) }
  sendDatagram(): void {}
  close(code: number, reason: string): void { this.closedWith ??= [code, reason] }

  /** The relay says something on the control channel. */
  say(frame: Packed): void {
    const bytes = pack(frame)
    if (this.kind === "websocket") this.events.message(Uint8Array.from([0, ...bytes]))
    else this.events.stream(0, Uint8Array.from([bytes.length, ...bytes]))
  }
}

/** A session whose dials wait to be answered, on a clock that moves when told to. */
class Bench {
  readonly dials: { base: URL; resolve: (transport: Transport) => void; reject: (error: Error) => void }[] = []
  readonly session: Session
  #now = 0

  constructor(context: TestContext, readonly kind: TransportKind = "websocket") {
    mock.timers.enable({ apis: ["setTimeout"] })
    const clock = mock.method(performance, "now", () => this.#now)
    context.after(() => {
      mock.timers.reset()
      clock.mock.restore()
    })
    const dial = (base: URL) => new Promise<Transport>((resolve, reject) => this.dials.push({ base, resolve, reject }))
    const dialer = new Dialer({ webtransport: dial, websocket: dial, hasWebTransport: () => true, now: () => this.#now })
    const base = new URL("http://relay.test/")
    const allowed = ["https://other.test"]
    this.session = new Session({ base, allowed, token: "t", choice: kind, dialer, agent: "test" })
    context.after(() => this.session.close())
  }

  async pass(millis: number): Promise<void> {
    for (const end = this.#now + millis; this.#now < end;) {
      this.#now += 100
      mock.timers.tick(100)
      await turns()
    }
  }

  async answer(transport = new FakeTransport(this.kind)): Promise<FakeTransport> {
    await turns()
    this.dials.shift()!.resolve(transport)
    await turns()
    return transport
  }

  async connected(): Promise<FakeTransport> {
    this.session.start()
    const transport = await this.answer()
    transport.say(welcome)
    await turns()
    assert.equal(this.session.connection, "connected")
    return transport
  }
}

const BOTH: TransportKind[] = ["websocket", "webtransport"]

for (const kind of BOTH) {
  test(`${kind}: a silent relay is left also while the transport is full`, async context => {
    const bench = new Bench(context, kind)
    bench.session.open("notes")
    const first = await bench.connected()
    first.writable = false
    await bench.pass(20_000)
    assert.notEqual(first.closedWith, undefined, "the stuck transport is closed")
    assert.equal(bench.session.transportKind, null)
    const second = await bench.answer()
    second.say(welcome)
    assert.equal(bench.session.connection, "connected")
    assert.equal(second.closedWith, undefined)
  })

  for (const writable of [true, false]) {
    const full = writable ? "a transport with room" : "a full transport"
    test(`${kind}: after the relay's Close on ${full} it is tried for as long as it takes`, async context => {
      const bench = new Bench(context, kind)
      const first = await bench.connected()
      first.writable = writable
      first.say([CLOSE, GOING_AWAY, "restart"])
      await turns()
      assert.notEqual(first.closedWith, undefined)
      for (let attempt = 0; attempt < 4; attempt++) {
        await bench.pass(20_000)
        assert.equal(bench.dials.length, 1, `attempt ${attempt}`)
        bench.dials.shift()!.reject(new Error("connection refused"))
      }
      await bench.pass(20_000)
      const second = await bench.answer()
      second.say(welcome)
      assert.equal(bench.session.connection, "connected")
    })
  }

  test(`${kind}: the relay closes and the transport ends in the same breath`, async context => {
    const bench = new Bench(context, kind)
    const first = await bench.connected()
    first.say([CLOSE, GOING_AWAY, "restart"])
    first.events.closed("gone")
    await bench.pass(20_000)
    assert.equal(bench.dials.length, 1)
  })
}

test("a relay that leaves leads the session on, where the page allows it, and back if nobody is there", async context => {
  const cases = [
    ["https://other.test/relay", "https://other.test/relay/"],
    ["http://relay.test/b?token=x", "http://relay.test/b/"],
    ["/c/", "http://relay.test/c/"],
    ["https://evil.test/", "http://relay.test/"],
    ["javascript:alert(1)", "http://relay.test/"],
    [null, "http://relay.test/"],
  ] as const
  for (const [said, expected] of cases) {
    await context.test(String(said), async context => {
      const bench = new Bench(context)
      const first = await bench.connected()
      first.say([GO_AWAY, "restart", 0, said])
      first.say([CLOSE, GOING_AWAY, "restart"])
      first.events.closed("gone")
      await bench.pass(20_000)
      const [dial] = bench.dials.splice(0)
      assert.equal(dial?.base.href, expected)
      dial!.reject(new Error("nobody is there"))
      await bench.pass(20_000)
      assert.equal(bench.dials[0]?.base.href, "http://relay.test/")
    })
  }
})

test("a transport that is replaced is closed, and what it still says is not heard", async context => {
  const bench = new Bench(context)
  bench.session.start()
  bench.session.start()
  const first = await bench.answer()
  const second = await bench.answer()
  assert.notEqual(first.closedWith, undefined)
  first.events.closed("late")
  second.say(welcome)
  assert.equal(bench.session.connection, "connected")
  assert.equal(second.closedWith, undefined)
})

test("a core that fails ends all that hangs on it", async context => {
  const bench = new Bench(context)
  const transport = await bench.connected()
  const documents = [bench.session.open("one"), bench.session.open("two")]
  documents[0]!.doc.text("body").insert(0, "abc")
  const durable = documents[0]!.doc.durable()
  const trap = () => { throw new WebAssembly.RuntimeError("unreachable") }
  assert.throws(() => bench.session.core.call(trap), InternalError)
  assert.ok(bench.session.error instanceof InternalError)
  assert.notEqual(transport.closedWith, undefined)
  await assert.rejects(durable, InternalError)
  for (const { doc } of documents) {
    assert.equal(doc.status.connection, "closed")
    assert.ok(doc.status.error instanceof InternalError)
    await assert.rejects(doc.synced, InternalError)
    assert.throws(() => doc.text("body").insert(0, "x"), InternalError)
  }
  assert.equal(documents[0]!.status.local + documents[0]!.status.sent, 1, "what was known last")
})
