import assert from "node:assert/strict"
import { mock, test } from "node:test"
import { deferred } from "../observers.js"
import { parseHashes } from "../transport/certificates.js"
import { SEND_BUFFER_BYTES, endpoint, relayBase } from "../transport/types.js"
import type { TransportEvents } from "../transport/types.js"
import { WebSocketTransport, truncate } from "../transport/websocket.js"
import { WebTransportTransport, dialWebTransport, takeChunk } from "../transport/webtransport.js"

const bytes = (size: number, fill = 1) => new Uint8Array(size).fill(fill)
const turns = async () => { for (let turn = 0; turn < 50; turn++) await Promise.resolve() }

/** Writes down what a transport reports. */
class Recorder implements TransportEvents {
  log: string[] = []
  stream(channel: number, bytes: Uint8Array): void { this.log.push(`stream ${channel} ${bytes.length}`) }
  message(bytes: Uint8Array): void { this.log.push(`message ${bytes.length}`) }
  datagram(bytes: Uint8Array): void { this.log.push(`datagram ${bytes.length}`) }
  laneEnded(channel: number): void { this.log.push(`lane ${channel} ended`) }
  laneFull(channel: number, full: boolean): void { this.log.push(`lane ${channel} ${full ? "full" : "takes more"}`) }
  writable(): void { this.log.push("writable") }
  closed(reason: string): void { this.log.push(`closed ${reason}`) }
}

test("the relay's addresses", () => {
  const table: [string, string, string, string][] = [
    ["http://localhost:4433", "http://localhost:4433/certificate-hashes", "https://localhost:4433/session", "ws://localhost:4433/session"],
    ["https://relay.example/notes?token=secret#x", "https://relay.example/notes/certificate-hashes",
      "https://relay.example/notes/session", "wss://relay.example/notes/session"],
    ["https://user:secret@relay.example/", "https://relay.example/certificate-hashes",
      "https://relay.example/session", "wss://relay.example/session"],
  ]
  for (const [url, hashes, webtransport, websocket] of table) {
    const base = relayBase(url)
    assert.equal(endpoint(base, "certificate-hashes", "same").href, hashes)
    assert.equal(endpoint(base, "session", "https:").href, webtransport)
    assert.equal(endpoint(base, "session", "ws").href, websocket)
  }
  assert.throws(() => relayBase("ftp://relay.example"), TypeError)
})

test("certificate hashes, whatever comes", () => {
  assert.deepEqual(parseHashes([{ algorithm: "sha-256", value: "AQI=" }]), [{ algorithm: "sha-256", value: new Uint8Array([1, 2]) }])
  for (const nonsense of [null, {}, "x", [null], [{}], [{ algorithm: "sha-256", value: "%" }]]) assert.deepEqual(parseHashes(nonsense), [])
})

test("waiting chunks are joined up to a size and never split", () => {
  const queue = [bytes(10, 1), bytes(20, 2), bytes(40, 3), bytes(100, 4)]
  assert.deepEqual(takeChunk(queue, 70), Uint8Array.from([...bytes(10, 1), ...bytes(20, 2), ...bytes(40, 3)]))
  assert.equal(takeChunk(queue, 70).length, 100)
  assert.equal(queue.length, 0)
})

class FakeSocket {
  readyState = 1
  bufferedAmount = 0
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null
  sent: number[] = []
  closedWith: unknown[] = []
  send(bytes: Uint8Array): void { this.sent.push(bytes.length); this.bufferedAmount += bytes.length }
  close(...args: unknown[]): void { this.closedWith = args }
}

test("a WebSocket that is full says so, and calls back when it drains", context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  globalThis.WebSocket ??= { OPEN: 1 } as unknown as typeof WebSocket
  const socket = new FakeSocket()
  const transport = new WebSocketTransport(socket as unknown as WebSocket)
  const events = new Recorder()
  transport.start(events)
  assert.equal(transport.writable, true)
  transport.sendMessage(bytes(SEND_BUFFER_BYTES))
  assert.equal(transport.writable, false)
  mock.timers.tick(50)
  assert.deepEqual(events.log, [], "still full")
  socket.bufferedAmount = 10
  mock.timers.tick(50)
  assert.deepEqual(events.log, ["writable"])
  mock.timers.tick(50)
  assert.deepEqual(events.log, ["writable"], "once")
  socket.onmessage!({ data: bytes(5).buffer })
  socket.onclose!({ code: 1006, reason: "" })
  assert.deepEqual(events.log, ["writable", "message 5", "closed WebSocket closed (code 1006)"])
})

test("a WebSocket that was closed while full is not asked any more whether it drains", context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  const socket = new FakeSocket()
  const transport = new WebSocketTransport(socket as unknown as WebSocket)
  const events = new Recorder()
  transport.start(events)
  transport.sendMessage(bytes(SEND_BUFFER_BYTES))
  assert.equal(transport.writable, false)
  transport.close(0, "")
  socket.bufferedAmount = 0
  mock.timers.tick(50)
  assert.deepEqual(events.log, [])
})

test("close codes and reasons fit what a browser allows", () => {
  const socket = new FakeSocket()
  new WebSocketTransport(socket as unknown as WebSocket).close(7, "é".repeat(100))
  assert.equal(socket.closedWith[0], 4007)
  assert.ok(new TextEncoder().encode(socket.closedWith[1] as string).length <= 123)
  assert.equal(truncate("short"), "short")
})

/** A WebTransport session whose streams and datagrams take bytes only when told to. */
class FakeSession {
  readonly closed = new Promise<WebTransportCloseInfo>((resolve, reject) => { this.end = resolve; this.fail = reject })
  declare end: (info: WebTransportCloseInfo) => void
  declare fail: (error: Error) => void
  refusals = 0
  streams: { written: number[]; release: () => void; push: (bytes: Uint8Array) => void; finish: () => void; ended: boolean }[] = []
  datagramsWritten: number[] = []
  closedWith: unknown = null
  datagrams = {
    maxDatagramSize: 900,
    readable: new ReadableStream<Uint8Array>({ start: controller => { this.pushDatagram = bytes => controller.enqueue(bytes) } }),
    createWritable: () => new WritableStream<Uint8Array>({ write: bytes => { this.datagramsWritten.push(bytes.length) } }),
  }
  declare pushDatagram: (bytes: Uint8Array) => void

  async createBidirectionalStream(): Promise<unknown> {
    if (this.refusals > 0) {
      this.refusals -= 1
      throw new Error("no credit")
    }
    const stream = { written: [] as number[], release: () => {}, push: (_: Uint8Array) => {}, finish: () => {}, ended: false }
    this.streams.push(stream)
    return {
      readable: new ReadableStream<Uint8Array>({
        start: controller => {
          stream.push = bytes => controller.enqueue(bytes)
          stream.finish = () => controller.close()
        },
      }),
      writable: new WritableStream<Uint8Array>({
        write: bytes => new Promise(resolve => { stream.release = () => { stream.written.push(bytes.length); resolve() } }),
        close: () => { stream.ended = true },
      }),
    }
  }

  close(info?: unknown): void { this.closedWith = info }
}

function open(): { session: FakeSession; transport: WebTransportTransport; events: Recorder } {
  const session = new FakeSession()
  const transport = new WebTransportTransport(session as unknown as WebTransport)
  const events = new Recorder()
  transport.start(events)
  return { session, transport, events }
}

test("a lane writes as the browser takes it, joined, and ends when it is told to", async () => {
  const { session, transport } = open()
  transport.openLane(0)
  transport.sendStream(0, bytes(10))
  await turns()
  const [stream] = session.streams
  transport.sendStream(0, bytes(20))
  transport.sendStream(0, bytes(30))
  transport.finishLane(0)
  stream!.release()
  await turns()
  stream!.release()
  await turns()
  assert.deepEqual(stream!.written, [10, 50])
  assert.equal(stream!.ended, true)
})

test("back-pressure: a lane is full until half of what waits is taken, and holds up no other", async () => {
  const { session, transport, events } = open()
  for (let sent = 0; sent < SEND_BUFFER_BYTES; sent += 32 * 1024) transport.sendStream(1, bytes(32 * 1024))
  assert.deepEqual(events.log, ["lane 1 full"])
  assert.equal(transport.writable, true)
  await turns()
  transport.sendStream(2, bytes(10))
  await turns()
  session.streams[1]!.release()
  await turns()
  assert.deepEqual(session.streams[1]!.written, [10])
  for (let chunk = 0; chunk < 4; chunk++) {
    session.streams[0]!.release()
    await turns()
  }
  assert.deepEqual(events.log, ["lane 1 full", "lane 1 takes more"])
})

test("a stream for which there is no credit is asked for again", async context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  const { session, transport } = open()
  session.refusals = 2
  transport.sendStream(1, bytes(5))
  for (let attempt = 0; attempt < 3; attempt++) {
    await turns()
    mock.timers.tick(100)
  }
  await turns()
  assert.equal(session.streams.length, 1)
})

test("what comes in is handed on, with its lane", async () => {
  const { session, transport, events } = open()
  transport.openLane(3)
  await turns()
  session.streams[0]!.push(bytes(7))
  session.pushDatagram(bytes(9))
  await turns()
  session.end({ closeCode: 0, reason: "bye" })
  await turns()
  assert.deepEqual(events.log.sort(), ["closed bye", "datagram 9", "stream 3 7"])
})

test("a lane that the relay ends is told of; without the control lane the session is over", async context => {
  mock.timers.enable({ apis: ["setTimeout"] })
  context.after(() => mock.timers.reset())
  const { session, transport, events } = open()
  for (const channel of [0, 1, 2]) transport.openLane(channel)
  transport.finishLane(2)
  await turns()
  const [control, one, two] = session.streams
  transport.sendStream(1, bytes(SEND_BUFFER_BYTES))
  one!.finish()
  two!.finish()
  await turns()
  mock.timers.tick(20)
  const ended = ["lane 1 full", "lane 1 takes more", "lane 1 ended"]
  assert.deepEqual(events.log, ended, "what it had waiting waits no more")
  control!.finish()
  await turns()
  mock.timers.tick(20)
  assert.deepEqual(events.log, [...ended, "closed lane 0: the relay finished it"])
  assert.notEqual(session.closedWith, null)
})

test("datagrams: never empty, never larger than the path takes", async () => {
  const { session, transport } = open()
  for (const size of [0, 1, 900, 901, 2000]) {
    transport.sendDatagram(bytes(size))
    await turns()
  }
  assert.deepEqual(session.datagramsWritten, [1, 900])
})

test("a session that opened is its transport's: giving up the attempt leaves it alone, before it ends it", async context => {
  const sessions: FakeSession[] = []
  const ready = deferred<void>()
  class Opening extends FakeSession {
    ready = ready.promise
    constructor() {
      super()
      sessions.push(this)
    }
  }
  const globals = globalThis as { WebTransport?: unknown; fetch: unknown }
  const { fetch } = globals
  globals.WebTransport = Opening
  globals.fetch = async () => new Response("[]")
  context.after(() => {
    delete globals.WebTransport
    globals.fetch = fetch
  })
  const base = new URL("http://dial.test/")
  const [winner, loser] = [new AbortController(), new AbortController()]
  const lost = dialWebTransport(base, loser.signal)
  await turns()
  loser.abort(new Error("enough"))
  await assert.rejects(lost, /enough/)
  assert.equal(sessions.length, 1)
  assert.notEqual(sessions[0]!.closedWith, null, "closed")
  const won = dialWebTransport(base, winner.signal)
  await turns()
  ready.resolve()
  await won
  winner.abort(new Error("another attempt"))
  await turns()
  assert.equal(sessions[1]!.closedWith, null, "still open")
})
