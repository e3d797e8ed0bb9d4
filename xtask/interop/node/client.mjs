// One session over a WebSocket and one document in it at a time, as docs/src/protocol/frames.md describes them.
// It does not read snapshots, so it opens documents that are not folded yet.
import { WebSocket } from "ws"

import { Replica } from "./replica.mjs"
import { message, readAll } from "./wire.mjs"

const [HELLO, WELCOME, CLOSE, PING, PONG] = [0, 1, 5, 6, 7]
const [OPEN, OPENED, SNAPSHOT, BATCH, SYNCED, DURABLE, RESEND_FROM, REFUSED, LEASED] = [16, 17, 19, 20, 21, 23, 24, 26, 29]
const [PRESENCE, PRESENCE_UPDATE, CLOSE_DOCUMENT] = [31, 32, 33]
const CONTROL = 0
const SILENCE_MILLIS = 2_000
const PRESENCE_MILLIS = 10_000

export class Session {
  static async connect(url, subject, agent) {
    const answer = await fetch(new URL("/dev/token", url), { method: "POST", body: JSON.stringify({ subject }) })
    if (!answer.ok) throw new Error(`no token: ${answer.status}`)
    const token = await answer.text()
    const address = new URL("/session", url)
    address.protocol = "ws:"
    const session = new Session(new WebSocket(address, { perMessageDeflate: false }))
    await session.until(() => session.#open)
    session.send(CONTROL, [HELLO, [1], token, agent])
    await session.until(() => session.#welcome)
    return session
  }

  document
  #socket
  #open = false
  #welcome
  #failed
  #waiting = new Set()
  #heardAt = performance.now()
  #channels = 0
  #alive

  constructor(socket) {
    this.#socket = socket
    socket.on("open", () => this.#changed(() => (this.#open = true)))
    socket.on("message", data => this.#changed(() => this.#receive(data)))
    socket.on("error", error => this.#changed(() => this.#fail(error.message)))
    socket.on("close", code => this.#changed(() => this.#fail(`the WebSocket was closed with ${code}`)))
    this.#alive = setInterval(() => this.#keepAlive(), SILENCE_MILLIS / 2)
    this.#alive.unref()
  }

  get subject() {
    return this.#welcome.subject
  }

  get id() {
    return this.#welcome.session
  }

  /** The relay's clock: what Welcome said, and our monotonic clock since. */
  nowMillis() {
    return this.#welcome.time + Math.floor(performance.now() - this.#welcome.heard)
  }

  send(channel, ...frames) {
    this.#socket.send(message(channel, ...frames))
  }

  /** Resolves when `holds()` is true, and rejects when the session fails before. */
  until(holds) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (holds()) resolve()
        else if (this.#failed) reject(this.#failed)
        else return
        this.#waiting.delete(look)
      }
      this.#waiting.add(look)
      look()
    })
  }

  async open(name) {
    const document = (this.document = new Document(this, ++this.#channels, name))
    await this.until(() => document.synced || document.closed !== undefined)
    if (document.closed !== undefined) throw new Error(`${name} was closed with ${document.closed}`)
    return document
  }

  async close() {
    this.send(CONTROL, [CLOSE, 0, ""])
    await this.until(() => this.#failed)
  }

  #changed(change) {
    try {
      change()
    } catch (error) {
      this.#fail(error.message)
    }
    for (const look of [...this.#waiting]) look()
  }

  #fail(reason) {
    this.#failed ??= new Error(reason)
  }

  #keepAlive() {
    if (this.document && performance.now() - this.#heardAt > SILENCE_MILLIS) this.send(CONTROL, [PING, 1])
    this.document?.repeatPresence()
  }

  #receive(data) {
    this.#heardAt = performance.now()
    const [channel, ...frames] = readAll(data)
    for (const [number, ...rest] of frames) {
      if (Number(channel) !== CONTROL) {
        if (Number(channel) === this.document?.channel) this.document.receive(Number(number), rest)
      } else if (number === WELCOME) {
        const [, session, , time, , subject] = rest
        this.#welcome = { session: BigInt(session), time: Number(time), heard: performance.now(), subject }
      } else if (number === PING) this.send(CONTROL, [PONG, rest[0]])
      else if (number === CLOSE) this.#fail(`the relay closed the session: ${rest[0]} ${rest[1]}`)
    }
  }
}

class Document {
  replica = new Replica()
  synced = false
  closed
  present = new Map()
  channel
  #session
  #actor
  #next
  /** Own batches that are not durable. */
  #own = []
  #sequence = 0
  #state = null
  #stateSaid = 0
  #sequences = new Map()

  constructor(session, channel, name) {
    this.#session = session
    this.channel = channel
    this.#send([OPEN, channel, name, null, [], [], "editor", null, {}])
  }

  get allDurable() {
    return this.#own.length === 0
  }

  #send(...frames) {
    this.#session.send(this.channel, ...frames)
  }

  receive(number, rest) {
    if (number === OPENED) this.#lease(rest[2])
    else if (number === LEASED) this.#lease(rest)
    else if (number === SNAPSHOT) throw new Error("this client reads no snapshots")
    else if (number === BATCH) this.replica.apply(...rest.slice(0, 4))
    else if (number === SYNCED) this.synced = true
    else if (number === DURABLE) {
      for (let at = 0; at < rest[0].length; at += 2) {
        if (BigInt(rest[0][at]) === this.#actor) this.#own = this.#own.filter(({ last }) => last > Number(rest[0][at + 1]))
      }
    } else if (number === RESEND_FROM) {
      for (const { last, frame } of this.#own) if (last >= Number(rest[0])) this.#send(frame)
    } else if (number === REFUSED) throw new Error(`a batch was refused: ${rest[2]} ${rest[3]}`)
    else if (number === PRESENCE_UPDATE) rest[0].forEach(entry => this.#presence(...entry))
    else if (number === CLOSE) this.closed = Number(rest[0])
  }

  #lease(lease) {
    if (lease === null) return
    this.#actor = BigInt(lease[0])
    this.#next = Number(lease[1])
  }

  #presence(session, sequence, subject, state) {
    if (BigInt(session) === this.#session.id) return
    const known = this.#sequences.get(BigInt(session))
    if (known !== undefined && ((Number(sequence) - known) >>> 0) >= 0x8000_0000) return
    this.#sequences.set(BigInt(session), Number(sequence))
    if (state === null) this.present.delete(BigInt(session))
    else this.present.set(BigInt(session), { subject, state: Buffer.from(state).toString("utf8") })
  }

  /** Makes one batch, applies it and sends it. */
  #edit(make) {
    if (this.#actor === undefined) throw new Error("read-only")
    const { count, operations } = make(this.#actor, this.#next)
    const first = this.#next
    this.#next += count
    this.replica.apply(this.#actor, first, count, operations)
    const frame = [BATCH, this.#actor, first, count, operations, null]
    this.#own.push({ last: first + count - 1, frame })
    this.#send(frame)
  }

  append(name, text) {
    this.#edit((actor, next) => this.replica.append(actor, next, name, text))
  }

  deleteFirst(name) {
    this.#edit((actor, next) => this.replica.deleteFirst(actor, next, name))
  }

  set(name, key, value) {
    this.#edit(() => this.replica.set(name, key, value, this.#session.nowMillis()))
  }

  remove(name, key) {
    this.#edit(() => this.replica.remove(name, key, this.#session.nowMillis()))
  }

  setPresence(state) {
    this.#state = state
    this.#stateSaid = performance.now()
    this.#sequence = (this.#sequence + 1) >>> 0
    this.#send([PRESENCE, this.#sequence, state === null ? null : Buffer.from(state, "utf8")])
  }

  repeatPresence() {
    if (this.#state !== null && performance.now() - this.#stateSaid > PRESENCE_MILLIS) this.setPresence(this.#state)
  }

  async leave() {
    this.#send([CLOSE_DOCUMENT])
    await this.#session.until(() => this.closed !== undefined)
    this.#session.document = undefined
  }
}
