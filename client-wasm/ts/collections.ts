import { callback as checkCallback, unsigned } from "./arguments.js"
import type { Origin } from "./containers.js"
import type { ListDelta } from "./delta.js"
import type { OpenDocument } from "./document.js"
import { Observers } from "./observers.js"
import type { Unobserve } from "./observers.js"
import { checkValue } from "./values.js"
import type { Value } from "./values.js"

/** A change of a list, to be applied from its start; what follows the last step stays. */
export interface ListChange {
  readonly delta: readonly ListDelta[]
  readonly origin: Origin
}

/** A shared list of values. What several people insert at one place stays together, each one's in a row. */
export class SharedList {
  readonly #doc: OpenDocument
  readonly #observers = new Observers<ListChange>()

  /** @internal */
  constructor(doc: OpenDocument, readonly name: string) {
    this.#doc = doc
  }

  /** How many elements there are. */
  get length(): number {
    return this.#doc.read((core, document) => core.list_length(document, this.name))
  }

  /** The element at an index, undefined past the end. */
  get(index: number): Value | undefined {
    const at = unsigned(index, "index")
    return this.#doc.read((core, document) => core.list_get(document, this.name, at)) as Value | undefined
  }

  /** All elements at this moment. */
  toArray(): Value[] {
    return this.#doc.read((core, document) => core.list_values(document, this.name)) as Value[]
  }

  /**
   * Puts values before `index`.
   *
   * @throws RangeError when `index` is past the end, TypeError for what no list can hold; {@link InkwireError} `too_large`;
   * {@link ReadOnly}, {@link OutboxFull}, {@link Closed}. The list is unchanged then.
   */
  insert(index: number, ...values: Value[]): void {
    const at = unsigned(index, "index")
    for (const value of values) checkValue(value, "a list's element")
    this.#doc.edit((core, now, document) => core.list_insert(now, document, this.name, at, values))
  }

  /** Puts values at the end; throws as {@link insert}. */
  push(...values: Value[]): void {
    this.insert(this.length, ...values)
  }

  /** Drops `count` elements from `index` on. @throws RangeError when the range leaves the list; and as {@link insert}. */
  delete(index: number, count = 1): void {
    const at = unsigned(index, "index")
    const length = unsigned(count, "count")
    this.#doc.edit((core, now, document) => core.list_delete(now, document, this.name, at, length))
  }

  /** Puts another value in an element's place; of two who do so at the same time both values stay. Throws as {@link insert}. */
  set(index: number, value: Value): void {
    const at = unsigned(index, "index")
    checkValue(value, "a list's element")
    this.#doc.edit((core, now, document) => core.list_set(now, document, this.name, at, value))
  }

  /** Calls back with every change from now on, local ones included, in order. */
  observe(callback: (change: ListChange) => void): Unobserve {
    checkCallback(callback)
    this.#doc.observed()
    return this.#observers.add(callback)
  }

  /** @internal */
  notify(change: ListChange): void {
    this.#observers.notify(change)
  }
}

/** One member that came into a set or left it. */
export interface SetChange {
  readonly member: Value
  /** Whether it is in the set now. */
  readonly has: boolean
  readonly origin: Origin
}

/** A shared set of values. Who adds a value wins over who removes it at the same time. */
export class SharedSet {
  readonly #doc: OpenDocument
  readonly #observers = new Observers<SetChange>()

  /** @internal */
  constructor(doc: OpenDocument, readonly name: string) {
    this.#doc = doc
  }

  /** How many members there are. */
  get size(): number {
    return this.#doc.read((core, document) => core.set_size(document, this.name))
  }

  /** Whether a value is in the set. Arrays and objects are equal when what they hold is. */
  has(value: Value): boolean {
    checkValue(value, "a set's member")
    return this.#doc.read((core, document) => core.set_has(document, this.name, value))
  }

  /** All members at this moment. */
  values(): Value[] {
    return this.#doc.read((core, document) => core.set_values(document, this.name)) as Value[]
  }

  /** Adds a value. @throws TypeError for what no set can hold; {@link InkwireError} `too_large`; {@link ReadOnly}, {@link OutboxFull}, {@link Closed}. */
  add(value: Value): void {
    checkValue(value, "a set's member")
    this.#doc.edit((core, now, document) => core.set_put(now, document, this.name, value, true))
  }

  /** Removes a value; throws as {@link add}. */
  delete(value: Value): void {
    checkValue(value, "a set's member")
    this.#doc.edit((core, now, document) => core.set_put(now, document, this.name, value, false))
  }

  /** Calls back with every change from now on, one member each. */
  observe(callback: (change: SetChange) => void): Unobserve {
    checkCallback(callback)
    this.#doc.observed()
    return this.#observers.add(callback)
  }

  /** @internal */
  notify(change: SetChange): void {
    this.#observers.notify(change)
  }
}

/** A counter's value after a change. */
export interface CounterChange {
  readonly value: number
  readonly origin: Origin
}

/** A shared counter: what everyone adds, adds up. */
export class Counter {
  readonly #doc: OpenDocument
  readonly #observers = new Observers<CounterChange>()

  /** @internal */
  constructor(doc: OpenDocument, readonly name: string) {
    this.#doc = doc
  }

  /** The value at this moment; exact up to 2^53. */
  get value(): number {
    return this.#doc.read((core, document) => core.counter_value(document, this.name))
  }

  /**
   * Adds a whole number, which may be below 0.
   *
   * @throws TypeError for what is no number, RangeError for one that is not whole; {@link ReadOnly}, {@link OutboxFull},
   * {@link Closed}.
   */
  add(amount: number): void {
    if (typeof amount !== "number") throw new TypeError(`the amount must be a number, not ${typeof amount}`)
    if (!Number.isSafeInteger(amount)) throw new RangeError(`the amount must be a whole number, not ${amount}`)
    if (amount === 0) return
    this.#doc.edit((core, now, document) => core.counter_add(now, document, this.name, amount))
  }

  /** Calls back with every change from now on. */
  observe(callback: (change: CounterChange) => void): Unobserve {
    checkCallback(callback)
    this.#doc.observed()
    return this.#observers.add(callback)
  }

  /** @internal */
  notify(change: CounterChange): void {
    this.#observers.notify(change)
  }
}
