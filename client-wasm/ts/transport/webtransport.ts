import { certificateHashes } from "./certificates.js"
import { MAX_DATAGRAM_BYTES, SEND_BUFFER_BYTES, endpoint } from "./types.js"
import type { Transport, TransportEvents } from "./types.js"

/** Small chunks that wait are joined up to this size: one write costs a page far more than a copy. */
const WRITE_BYTES = 64 * 1024

/** The channel of the control lane. */
const CONTROL = 0

/** How long the end of a session may take to follow that of its lanes. */
const LANE_GRACE_MILLIS = 20

/** How long to wait before asking again for a stream when the relay's credit is used up. */
const LANE_RETRY_MILLIS = 100

/** Whether this browser has WebTransport at all. */
export function hasWebTransport(): boolean {
  return typeof WebTransport === "function"
}

/** Opens a WebTransport session to the relay. */
export async function dialWebTransport(base: URL, signal: AbortSignal): Promise<Transport> {
  if (!hasWebTransport()) throw new Error("this browser has no WebTransport")
  const hashes = await certificateHashes(base, signal)
  signal.throwIfAborted()
  const options: WebTransportOptions = {}
  if (hashes.length > 0) options.serverCertificateHashes = hashes
  const session = new WebTransport(endpoint(base, "session", "https:").href, options)
  // `closed` rejects too when the handshake fails; `ready` tells us already.
  session.closed.catch(() => undefined)
  let abort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      session.close()
      reject(signal.reason)
    }
    if (signal.aborted) abort()
    else signal.addEventListener("abort", abort, { once: true })
  })
  try {
    await Promise.race([session.ready, aborted])
  } finally {
    // The signal is aborted too when this one wins a race: from here on the session is its transport's.
    if (abort) signal.removeEventListener("abort", abort)
  }
  return new WebTransportTransport(session)
}

/** One bidirectional stream for each lane, all opened by us, and datagrams. */
export class WebTransportTransport implements Transport {
  readonly kind = "webtransport"
  readonly #session: WebTransport
  readonly #lanes = new Map<number, Lane>()
  #datagrams: WritableStreamDefaultWriter<Uint8Array> | undefined
  #events!: TransportEvents
  #over = false

  constructor(session: WebTransport) {
    this.#session = session
  }

  start(events: TransportEvents): void {
    this.#events = events
    this.#session.closed.then(
      info => this.#end(info.reason || "the relay ended the session"),
      error => this.#end(String(error?.message ?? error)),
    )
    try {
      // Safari has only `createWritable`, others only `writable`.
      const datagrams = this.#session.datagrams as unknown as {
        createWritable?: () => WritableStream<Uint8Array>
        writable?: WritableStream<Uint8Array>
      }
      const writable = datagrams.createWritable?.() ?? datagrams.writable
      this.#datagrams = writable?.getWriter()
      this.#datagrams?.closed.catch(() => undefined)
    } catch {
      this.#datagrams = undefined // presence then travels in the document's stream
    }
    void this.#readDatagrams()
  }

  async #readDatagrams(): Promise<void> {
    try {
      const reader = (this.#session.datagrams.readable as ReadableStream<Uint8Array>).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done || this.#over) return
        this.#events.datagram(value)
      }
    } catch {
      // The session's end is reported by `closed`.
    }
  }

  /** Whether datagrams can be sent at all. */
  get hasDatagrams(): boolean {
    return this.#datagrams !== undefined
  }

  /** Each lane is full for itself, so that one that is not read holds up no other. */
  readonly writable = true

  openLane(channel: number): void {
    if (this.#over || this.#lanes.has(channel)) return
    const lane = new Lane(channel, {
      open: () => this.#session.createBidirectionalStream(),
      isOver: () => this.#over,
      received: bytes => { if (!this.#over) this.#events.stream(channel, bytes) },
      full: full => { if (!this.#over && this.#lanes.get(channel) === lane) this.#events.laneFull(channel, full) },
      ended: () => void (this.#lanes.get(channel) === lane && this.#lanes.delete(channel)),
      lost: reason => this.#lost(channel, lane, reason),
    })
    this.#lanes.set(channel, lane)
    void lane.run()
  }

  sendStream(channel: number, bytes: Uint8Array): void {
    this.openLane(channel)
    this.#lanes.get(channel)?.send(bytes)
  }

  finishLane(channel: number): void {
    this.#lanes.get(channel)?.finish()
  }

  sendMessage(): void {}

  sendDatagram(bytes: Uint8Array): void {
    const writer = this.#datagrams
    const most = Math.min(MAX_DATAGRAM_BYTES, this.#session.datagrams.maxDatagramSize)
    if (!writer || bytes.length === 0 || bytes.length > most || (writer.desiredSize ?? 0) <= 0) return
    writer.write(bytes).catch(() => undefined)
  }

  close(code: number, reason: string): void {
    try {
      this.#session.close({ closeCode: code, reason })
    } catch {
      // It ended in the meantime.
    }
  }

  /**
   * The relay ended a lane that we had not finished. A document's is opened anew by the core; without the control lane there is
   * no session. When the session itself ends its lanes break first: its own word for why is waited for.
   */
  #lost(channel: number, lane: Lane, reason: string): void {
    setTimeout(() => {
      if (this.#over || this.#lanes.get(channel) !== lane) return
      this.#lanes.delete(channel)
      if (channel !== CONTROL) return this.#events.laneEnded(channel)
      this.close(0, "")
      this.#end(reason)
    }, LANE_GRACE_MILLIS)
  }

  #end(reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#lanes.clear()
    this.#events.closed(reason)
  }
}

interface LaneContext {
  open(): Promise<WebTransportBidirectionalStream>
  isOver(): boolean
  received(bytes: Uint8Array): void
  /** It takes nothing more for now, or takes more again. */
  full(full: boolean): void
  /** Both directions are over. */
  ended(): void
  /** The relay ended it while we had not. */
  lost(reason: string): void
}

/** One stream: a queue that is written as the browser takes it, and a reader. */
class Lane {
  readonly #context: LaneContext
  readonly #channel: number
  #queue: Uint8Array[] = []
  /** Bytes that wait to be taken by the browser. */
  #waiting = 0
  #isFull = false
  #finished = false
  #isBroken = false
  #wake: (() => void) | undefined

  constructor(channel: number, context: LaneContext) {
    this.#channel = channel
    this.#context = context
  }

  send(bytes: Uint8Array): void {
    if (this.#finished || this.#isBroken) return
    this.#queue.push(bytes)
    this.#account(bytes.length)
    this.#wake?.()
  }

  finish(): void {
    this.#finished = true
    this.#wake?.()
  }

  async run(): Promise<void> {
    const stream = await this.#open()
    if (!stream) return
    await Promise.all([this.#read(stream.readable as ReadableStream<Uint8Array>), this.#write(stream.writable)])
    // A lost lane is forgotten when it is told of.
    if (!this.#isBroken || this.#finished) this.#context.ended()
  }

  /** Chromium rejects at the credit limit instead of waiting for more. */
  async #open(): Promise<WebTransportBidirectionalStream | undefined> {
    while (!this.#context.isOver()) {
      try {
        return await this.#context.open()
      } catch {
        await new Promise(resolve => setTimeout(resolve, LANE_RETRY_MILLIS))
      }
    }
    return undefined
  }

  async #read(readable: ReadableStream<Uint8Array>): Promise<void> {
    try {
      const reader = readable.getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        this.#context.received(value)
      }
      this.#broken("the relay finished it")
    } catch (error) {
      this.#broken(error)
    }
  }

  async #write(writable: WritableStream<Uint8Array>): Promise<void> {
    const writer = writable.getWriter()
    writer.closed.catch(() => undefined)
    try {
      for (;;) {
        if (this.#queue.length === 0) {
          if (this.#finished) break
          await new Promise<void>(resolve => (this.#wake = resolve))
          this.#wake = undefined
          continue
        }
        await writer.ready
        if (this.#isBroken) return
        const chunk = takeChunk(this.#queue, WRITE_BYTES)
        await writer.write(chunk)
        if (this.#isBroken) return
        this.#account(-chunk.length)
      }
      await writer.close()
    } catch (error) {
      this.#broken(error)
    }
  }

  #account(bytes: number): void {
    this.#waiting += bytes
    const full = this.#waiting >= (this.#isFull ? SEND_BUFFER_BYTES / 2 : SEND_BUFFER_BYTES)
    if (full === this.#isFull) return
    this.#isFull = full
    this.#context.full(full)
  }

  #broken(error: unknown): void {
    if (this.#isBroken) return
    // What can never be written must not go on counting as waiting.
    this.#isBroken = true
    this.#queue = []
    this.#account(-this.#waiting)
    // After a `Close` frame the core has finished the lane from this side too.
    if (!this.#finished) this.#context.lost(`lane ${this.#channel}: ${(error as Error)?.message ?? error}`)
  }
}

/** Takes the front of a queue, joined, up to a size; a first chunk that is larger comes alone. */
export function takeChunk(queue: Uint8Array[], most: number): Uint8Array {
  let count = 1
  let size = queue[0]!.length
  while (count < queue.length && size + queue[count]!.length <= most) size += queue[count++]!.length
  const taken = queue.splice(0, count)
  if (count === 1) return taken[0]!
  const joined = new Uint8Array(size)
  let at = 0
  for (const chunk of taken) {
    joined.set(chunk, at)
    at += chunk.length
  }
  return joined
}
