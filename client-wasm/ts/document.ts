import type { Core as WasmCore } from "../pkg/inkwire_client_wasm.js"
import { name as checkName } from "./arguments.js"
import { SharedMap, Text } from "./containers.js"
import type { MapValue, Origin, TextDelta } from "./containers.js"
import { Closed, Refused } from "./errors.js"
import { Observers, deferred } from "./observers.js"
import type { Deferred, Unobserve } from "./observers.js"
import { Presence } from "./presence.js"
import type { Session } from "./session.js"
import { Status } from "./status.js"
import type { Role, StatusSnapshot } from "./status.js"

/** Edits that the relay refused and that were taken back from the document; its `code` and message say why. */
export type Refusal = Refused

/** One open document of a client. */
export class Doc {
  readonly #open: OpenDocument

  /** @internal */
  constructor(open: OpenDocument) {
    this.#open = open
  }

  get name(): string {
    return this.#open.name
  }

  /** Resolves once the document has everything that the relay held at opening; rejects if it is closed before. */
  get synced(): Promise<void> {
    return this.#open.synced.promise
  }

  get status(): Status {
    return this.#open.status
  }

  get presence(): Presence {
    return this.#open.presence
  }

  /** The text of this name; it needs no creating. The same name gives the same object. */
  text(name: string): Text {
    return this.#open.text(name)
  }

  /** The map of this name; it needs no creating. The same name gives the same object. */
  map(name: string): SharedMap {
    return this.#open.map(name)
  }

  /**
   * Resolves when everything edited here so far is in the relay's store for good, waiting through lost connections for as
   * long as it takes. Rejects when the document or the client is closed, or when the relay refuses an edit.
   */
  durable(): Promise<void> {
    return this.#open.durable()
  }

  /** Calls back when the relay refused edits, which have been taken back from the document. */
  observeRefused(callback: (refusal: Refusal) => void): Unobserve {
    return this.#open.refusals.add(callback)
  }

  /** Leaves the document. Edits that are not durable yet may be lost: await {@link durable} first. */
  close(): void {
    this.#open.close()
  }
}

/** @internal The document's half of the shell: what the public objects share. */
export class OpenDocument {
  readonly doc: Doc
  readonly synced: Deferred<void> = deferred()
  readonly status: Status
  readonly presence: Presence
  readonly refusals = new Observers<Refusal>()
  /** Moves whenever the content may have. */
  revision = 0

  readonly #session: Session
  readonly #texts = new Map<string, Text>()
  readonly #maps = new Map<string, SharedMap>()
  readonly #changes: (() => void)[] = []
  #delivering = false
  #observing = false
  #isSynced = false
  #error: Error | null = null
  #waiters: { edits: number; done: Deferred<void> }[] = []

  constructor(session: Session, readonly number: number, readonly name: string) {
    this.#session = session
    this.status = new Status(() => this.#snapshot())
    this.presence = new Presence(this)
    this.doc = new Doc(this)
  }

  get isOpen(): boolean {
    return this.#error === null
  }

  text(given: string): Text {
    const name = checkName(given, "a text's name")
    let text = this.#texts.get(name)
    if (!text) this.#texts.set(name, (text = new Text(this, name)))
    return text
  }

  map(given: string): SharedMap {
    const name = checkName(given, "a map's name")
    let map = this.#maps.get(name)
    if (!map) this.#maps.set(name, (map = new SharedMap(this, name)))
    return map
  }

  read<R>(enter: (core: WasmCore, document: number) => R): R {
    this.#assertReadable()
    return this.#session.core.call(core => enter(core, this.number))
  }

  edit(enter: (core: WasmCore, now: number, document: number) => void): void {
    if (this.#error) throw this.#error
    this.#session.core.call(core => enter(core, this.#session.now(), this.number))
    this.revision += 1
    this.#session.flushSoon(this)
    this.deliverChanges()
    this.status.touch()
  }

  setPresence(state: Uint8Array | undefined): void {
    if (this.#error) throw this.#error
    this.#pendingPresence = { state }
    this.#session.flushSoon(this)
  }

  #pendingPresence: { state: Uint8Array | undefined } | undefined

  /** Ends the open transaction: what was edited and said since the last time goes out. */
  flush(): void {
    if (this.#error) return
    const presence = this.#pendingPresence
    this.#pendingPresence = undefined
    this.#session.core.call(core => {
      core.flush(this.#session.now(), this.number)
      if (presence) core.set_presence(this.#session.now(), this.number, presence.state)
    })
    this.status.touch()
  }

  /** Someone observes content from now on. */
  observed(): void {
    if (this.#observing) return
    this.#assertReadable()
    this.#observing = true
    this.#session.core.call(core => core.observe_changes(this.number))
  }

  /** Takes what changed from the core and tells the observers, in order also when they edit in turn. */
  deliverChanges(): void {
    if (this.#observing && !this.#session.core.poison) {
      const flat = this.#session.core.call(core => core.take_changes(this.number)) as unknown[]
      readChanges(flat, {
        text: (name, origin, delta) => {
          const text = this.#texts.get(name)
          if (text) this.#changes.push(() => text.notify({ delta, origin }))
        },
        map: (name, origin, key, value) => {
          const map = this.#maps.get(name)
          if (map) this.#changes.push(() => map.notify({ key, value, origin }))
        },
      })
    }
    if (this.#delivering) return
    this.#delivering = true
    try {
      for (let next = this.#changes.shift(); next; next = this.#changes.shift()) next()
    } finally {
      this.#delivering = false
    }
  }

  contentChanged(): void {
    this.revision += 1
    this.deliverChanges()
  }

  markSynced(): void {
    this.#isSynced = true
    this.synced.resolve()
    this.status.touch()
  }

  durable(): Promise<void> {
    if (this.#error) return Promise.reject(this.#error)
    try {
      this.#session.flushNow()
    } catch (error) {
      return Promise.reject(error)
    }
    const [local, sent, durable, refused] = this.#counts()
    if (local + sent === 0) return Promise.resolve()
    const done = deferred<void>()
    // Edits are decided in their order: these are once so many are durable or refused.
    this.#waiters.push({ edits: local + sent + durable + refused, done })
    return done.promise
  }

  /** The counts moved. */
  statusChanged(): void {
    if (this.#waiters.length > 0) {
      const [, , durable, refused] = this.#counts()
      this.#waiters = this.#waiters.filter(waiter => {
        if (durable + refused < waiter.edits) return true
        waiter.done.resolve()
        return false
      })
    }
    this.status.touch()
  }

  refused(refusal: Refusal): void {
    for (const waiter of this.#waiters.splice(0)) waiter.done.reject(refusal)
    this.refusals.notify(refusal)
    this.status.touch()
  }

  close(): void {
    if (this.#error instanceof Closed || this.#session.error) return
    this.#session.closeDocument(this)
    const closed = new Closed("the document was closed")
    // One that the relay closed was kept for reading until now.
    if (this.#error) this.#error = closed
    else this.end(closed)
  }

  /** The document is over, by whoever's wish. */
  end(error: Error): void {
    if (this.#error) return
    this.#last = this.#snapshot()
    this.#error = error
    this.synced.reject(error)
    for (const waiter of this.#waiters.splice(0)) waiter.done.reject(error)
    this.status.touch()
  }

  #last: StatusSnapshot | undefined

  #assertReadable(): void {
    // What the relay closed can still be read; what the page closed is gone from the core.
    if (this.#error instanceof Closed) throw this.#error
  }

  /** Local, sent, durable, refused, the role's number, and whether the relay takes nothing for now. */
  #counts(): [number, number, number, number, number, number] {
    const { core } = this.#session
    // Of a core that failed the last that it said is all there is.
    if (core.poison) return this.#known
    const [local = 0, sent = 0, durable = 0, refused = 0, role = 0, paused = 0] = core.call(core => core.status(this.number))
    return (this.#known = [local, sent, durable, refused, role, paused])
  }

  #known: [number, number, number, number, number, number] = [0, 0, 0, 0, 0, 0]

  #paused(): string | null {
    const { core } = this.#session
    return core.poison ? null : core.call(core => core.paused(this.number) ?? null)
  }

  #snapshot(): StatusSnapshot {
    if (this.#last) return { ...this.#last, connection: "closed", transport: null, paused: null, error: this.#error }
    const [local, sent, durable, , role, paused] = this.#counts()
    return {
      connection: this.#session.connection,
      transport: this.#session.transportKind,
      local,
      sent,
      durable,
      role: ROLES[role] ?? null,
      paused: paused ? this.#paused() : null,
      synced: this.#isSynced,
      error: this.#error,
    }
  }
}

/** Roles by the core's numbers; 0 is not known yet. */
const ROLES: readonly (Role | null)[] = [null, "viewer", "editor"]

interface ChangeSink {
  text(name: string, origin: Origin, delta: TextDelta[]): void
  map(name: string, origin: Origin, key: string, value: MapValue | undefined): void
}

/**
 * Unpacks the core's flat list of changes, `[name, isLocal, steps, …]` for a text, where a step is a string (insert), a number
 * from 0 on (retain) or below (delete), and `[name, isLocal, key, value, …]` for a map. One flat array crosses from
 * WebAssembly at a fraction of what objects cost.
 *
 * @internal
 */
export function readChanges(flat: readonly unknown[], sink: ChangeSink): void {
  let i = 0
  while (i < flat.length) {
    const name = flat[i++] as string
    const origin: Origin = flat[i++] ? "local" : "remote"
    const steps = flat[i++] as number | string
    if (typeof steps === "string") {
      sink.map(name, origin, steps, flat[i++] as MapValue | undefined)
      continue
    }
    const delta: TextDelta[] = []
    for (const end = i + steps; i < end; i++) {
      const step = flat[i] as string | number
      delta.push(typeof step === "string" ? { insert: step } : step < 0 ? { delete: -step } : { retain: step })
    }
    sink.text(name, origin, delta)
  }
}
