import type { Core as WasmCore } from "../pkg/inkwire_client_wasm.js"
import { name as checkName } from "./arguments.js"
import { Counter, SharedList, SharedSet } from "./collections.js"
import { SharedMap, Text } from "./containers.js"
import type { Origin } from "./containers.js"
import { unflatten } from "./delta.js"
import type { ListDelta } from "./delta.js"
import { Closed } from "./errors.js"
import { Observers, deferred } from "./observers.js"
import type { Deferred, Unobserve } from "./observers.js"
import { Presence } from "./presence.js"
import type { Refusal } from "./refusal.js"
import type { Session } from "./session.js"
import { Status } from "./status.js"
import type { Role, StatusSnapshot } from "./status.js"
import type { Value } from "./values.js"

/** A place that an undo or redo changed, as it is afterwards. */
export interface UndonePlace {
  readonly kind: "text" | "list"
  /** The container's name. */
  readonly name: string
  readonly index: number
  /** 0 where something was deleted. */
  readonly length: number
}

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
    return this.#open.container("text", name)
  }

  /** The map of this name; it needs no creating. The same name gives the same object. */
  map(name: string): SharedMap {
    return this.#open.container("map", name)
  }

  /** The list of this name; it needs no creating. The same name gives the same object. */
  list(name: string): SharedList {
    return this.#open.container("list", name)
  }

  /** The set of this name; it needs no creating. The same name gives the same object. */
  set(name: string): SharedSet {
    return this.#open.container("set", name)
  }

  /** The counter of this name; it needs no creating. The same name gives the same object. */
  counter(name: string): Counter {
    return this.#open.container("counter", name)
  }

  /**
   * Takes back what was edited here last, by new edits that do the opposite; what others did stays. Edits of one task, and what
   * follows within half a second, are taken back together. Returns the places that it changed, for an editor's selection, or
   * undefined where there was nothing to take back.
   *
   * @throws {@link ReadOnly}, {@link OutboxFull}, {@link Closed}.
   */
  undo(): readonly UndonePlace[] | undefined {
    return this.#open.undo(false)
  }

  /** Takes back the last {@link undo}, as long as nothing was edited here since. */
  redo(): readonly UndonePlace[] | undefined {
    return this.#open.undo(true)
  }

  get canUndo(): boolean {
    return this.#open.read((core, document) => core.undo_length(document, false)) > 0
  }

  get canRedo(): boolean {
    return this.#open.read((core, document) => core.undo_length(document, true)) > 0
  }

  /** What is edited next is undone by itself, however soon it comes. */
  endUndoGroup(): void {
    this.#open.quietly((core, now, document) => core.undo_break(now, document))
  }

  /** Runs `edit`, whose edits {@link undo} will not take back: those that a program makes. */
  withoutUndo<R>(edit: () => R): R {
    const pause = (is: boolean) => this.#open.quietly((core, now, document) => core.undo_pause(now, document, is))
    pause(true)
    try {
      return edit()
    } finally {
      pause(false)
    }
  }

  /**
   * Resolves when everything edited here so far is in the relay's store for good, waiting through lost connections for as
   * long as it takes. Rejects when the document or the client is closed, or when the relay refuses an edit.
   */
  durable(): Promise<void> {
    return this.#open.durable()
  }

  /** Calls back when the relay refused edits, which have been taken back from the document, with what they were. */
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
  readonly #containers: { readonly [K in Kind]: Map<string, Containers[K]> } = {
    text: new Map(), map: new Map(), list: new Map(), set: new Map(), counter: new Map(),
  }
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

  /** The container of that type and name; the same one each time. */
  container<K extends Kind>(kind: K, given: string): Containers[K] {
    const name = checkName(given, `a ${kind}'s name`)
    const known = this.#containers[kind] as Map<string, Containers[K]>
    let container = known.get(name)
    if (!container) known.set(name, (container = new KINDS[kind](this, name) as Containers[K]))
    return container
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

  undo(again: boolean): UndonePlace[] | undefined {
    let flat: unknown[] | undefined
    this.edit((core, now, document) => {
      flat = core.undo(now, document, again)
    })
    if (!flat) return undefined
    const places: UndonePlace[] = []
    for (let at = 0; at < flat.length; at += 4) {
      const [kind, name, from, to] = flat.slice(at, at + 4) as [number, string, number, number]
      places.push({ kind: kind === 0 ? "text" : "list", name, index: from, length: to - from })
    }
    return places
  }

  /** Enters the core for what changes no content. */
  quietly(enter: (core: WasmCore, now: number, document: number) => void): void {
    if (this.#error) throw this.#error
    this.#session.core.call(core => enter(core, this.#session.now(), this.number))
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
      for (const { kind, name, change } of readChanges(flat)) {
        const container = this.#containers[kind].get(name)
        if (container) this.#changes.push(() => container.notify(change as never))
      }
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

/** The containers by their types. */
interface Containers {
  text: Text
  map: SharedMap
  list: SharedList
  set: SharedSet
  counter: Counter
}

type Kind = keyof Containers

const KINDS: { readonly [K in Kind]: new (doc: OpenDocument, name: string) => Containers[K] } = {
  text: Text, map: SharedMap, list: SharedList, set: SharedSet, counter: Counter,
}

/** The types by the core's numbers. */
const NUMBERED: readonly Kind[] = ["text", "map", "list", "set", "counter"]

/** Where a change came from, by the core's numbers. */
const ORIGINS: readonly Origin[] = ["remote", "local", "undo"]

/** @internal One change of one container, as its observers get it. */
export interface ContainerChange {
  readonly kind: Kind
  readonly name: string
  readonly change: Parameters<Containers[Kind]["notify"]>[0]
}

/**
 * Unpacks the core's flat list of changes, `[type, name, origin, …]`; what follows is said at the core's `take_changes`. One
 * flat array crosses from WebAssembly at a fraction of what objects cost.
 *
 * @internal
 */
export function readChanges(flat: readonly unknown[]): ContainerChange[] {
  const changes: ContainerChange[] = []
  let i = 0
  while (i < flat.length) {
    const kind = NUMBERED[flat[i++] as number]!
    const name = flat[i++] as string
    const origin = ORIGINS[flat[i++] as number]!
    let change: ContainerChange["change"]
    if (kind === "text") {
      const from = i + 1
      i = from + 2 * (flat[i] as number)
      change = { delta: unflatten(flat, from, i), origin }
    } else if (kind === "list") {
      const delta: ListDelta[] = []
      for (let left = flat[i++] as number; left > 0; left--) {
        const step = flat[i++] as number | Value[]
        delta.push(typeof step !== "number" ? { insert: step } : step < 0 ? { delete: -step } : { retain: step })
      }
      change = { delta, origin }
    } else if (kind === "map") {
      change = { key: flat[i++] as string, value: flat[i++] as Value | undefined, origin }
    } else if (kind === "set") {
      change = { member: flat[i++] as Value, has: flat[i++] as boolean, origin }
    } else {
      change = { value: flat[i++] as number, origin }
    }
    changes.push({ kind, name, change })
  }
  return changes
}
