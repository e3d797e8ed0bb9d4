import { callback as checkCallback } from "./arguments.js"
import { Observers } from "./observers.js"
import type { Unobserve } from "./observers.js"
import type { TransportKind } from "./transport/types.js"

/** Where a session stands with its relay. */
export type Connection = "connecting" | "connected" | "reconnecting" | "closed"

/** What this session may do with a document. Null until the relay has said so. */
export type Role = "viewer" | "editor"

/** A document's status at one moment. */
export interface StatusSnapshot {
  readonly connection: Connection
  /** The transport in use, null while there is none. */
  readonly transport: TransportKind | null
  /** Edits of this replica that exist only here. */
  readonly local: number
  /** Edits that the relay has taken and not yet called durable. */
  readonly sent: number
  /** Edits that are in the relay's store for good. */
  readonly durable: number
  readonly role: Role | null
  /**
   * Why the relay takes no edits for now, as a code (`overloaded`: its store is behind, or it is short of memory), else null. Edits can
   * be made all the same; they stay in `sent`, and go on by themselves once there is room.
   */
  readonly paused: string | null
  /** Whether the document has been brought up to date at least once. */
  readonly synced: boolean
  /** Why the document or session was closed for good, else null. */
  readonly error: Error | null
}

/** A document's status, always current; `observe` tells of changes at most once for each microtask. */
export class Status implements StatusSnapshot {
  readonly #observers = new Observers<StatusSnapshot>()
  readonly #read: () => StatusSnapshot
  #scheduled = false

  /** @internal */
  constructor(read: () => StatusSnapshot) {
    this.#read = read
  }

  get connection(): Connection { return this.#read().connection }
  get transport(): TransportKind | null { return this.#read().transport }
  get local(): number { return this.#read().local }
  get sent(): number { return this.#read().sent }
  get durable(): number { return this.#read().durable }
  get role(): Role | null { return this.#read().role }
  get paused(): string | null { return this.#read().paused }
  get synced(): boolean { return this.#read().synced }
  get error(): Error | null { return this.#read().error }

  /** Calls back after each change with the status at that moment. */
  observe(callback: (status: StatusSnapshot) => void): Unobserve {
    checkCallback(callback)
    // Compared with what this observer could know: it may have come while a change was about to be told to the others.
    let last = this.#read()
    return this.#observers.add(now => {
      if (same(now, last)) return
      last = now
      callback(now)
    })
  }

  /** @internal Something may have changed. */
  touch(): void {
    if (this.#scheduled || this.#observers.size === 0) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#observers.notify(this.#read())
    })
  }
}

function same(a: StatusSnapshot, b: StatusSnapshot): boolean {
  return (Object.keys(a) as (keyof StatusSnapshot)[]).every(key => a[key] === b[key])
}
