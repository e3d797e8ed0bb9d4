import { callback as checkCallback, string as checkString, unsigned } from "./arguments.js"
import { flatten, unflatten } from "./delta.js"
import type { Attributes, TextDelta } from "./delta.js"
import { Observers } from "./observers.js"
import type { Unobserve } from "./observers.js"
import type { OpenDocument } from "./document.js"
import { checkValue } from "./values.js"
import type { Value } from "./values.js"

/**
 * Who made a change: this replica, anyone else (a snapshot from the relay counts as remote), or an undo or redo of this
 * replica, which an editor has not shown yet.
 */
export type Origin = "local" | "remote" | "undo"

/**
 * A change of a text, to be applied from its start; what follows the last step stays. The last line ends with a line break
 * that is not in the text: a step that formats that line retains it, as editors count it.
 */
export interface TextChange {
  readonly delta: readonly TextDelta[]
  readonly origin: Origin
}

/** Which side of a character an anchor stays at: after the one before the position, or before the one after it. */
export type Side = "after" | "before"

/** One key of a map that changed; `value` is undefined when the key was removed. */
export interface MapChange {
  readonly key: string
  readonly value: Value | undefined
  readonly origin: Origin
}

/** A shared text. Positions and lengths count UTF-16 units, as JavaScript's strings do. */
export class Text {
  readonly #doc: OpenDocument
  readonly #observers = new Observers<TextChange>()
  #cached: { revision: number; text: string } | undefined

  /** @internal */
  constructor(doc: OpenDocument, readonly name: string) {
    this.#doc = doc
  }

  /**
   * Puts `string` before `index`. A position inside a surrogate pair moves to the pair's start; a lone surrogate becomes
   * U+FFFD, in this view and in the document alike.
   *
   * @throws RangeError when `index` is negative or past the end, TypeError for arguments of another type.
   * @throws {@link ReadOnly}, {@link OutboxFull}, {@link Closed}; the text is unchanged then.
   */
  insert(index: number, string: string): void {
    const at = unsigned(index, "index")
    checkString(string, "the text to insert")
    if (string === "") {
      if (at > this.length) throw new RangeError(`position ${at} is past the text's length ${this.length}`)
      return
    }
    this.#doc.edit((core, now, document) => core.text_insert(now, document, this.name, at, string))
  }

  /**
   * Drops `count` units from `index` on. Pairs that are touched go as a whole.
   *
   * @throws RangeError when the range leaves the text; and as {@link insert}.
   */
  delete(index: number, count: number): void {
    const at = unsigned(index, "index")
    const length = unsigned(count, "count")
    if (length === 0) {
      if (at > this.length) throw new RangeError(`position ${at} is past the text's length ${this.length}`)
      return
    }
    this.#doc.edit((core, now, document) => core.text_delete(now, document, this.name, at, length))
  }

  /** The length in UTF-16 units. */
  get length(): number {
    return this.#doc.read((core, document) => core.text_length(document, this.name))
  }

  toString(): string {
    const revision = this.#doc.revision
    if (this.#cached?.revision !== revision) {
      this.#cached = { revision, text: this.#doc.read((core, document) => core.text_string(document, this.name)) }
    }
    return this.#cached.text
  }

  /**
   * Has `count` units from `index` on show a kind of formatting with a value, such as `"bold"`, `true` or `"link"`, a URL; null
   * takes the kind away. Of two who say different things of one character the later one holds. What is typed at the end of
   * bold text is bold as well; links, comments and mentions do not grow.
   *
   * @throws RangeError when the range leaves the text, TypeError for a kind or value that is none; and as {@link insert}.
   */
  format(index: number, count: number, kind: string, value: Value): void {
    this.#format(index, count, kind, value, false)
  }

  /**
   * Gives the lines that `count` units from `index` on touch an attribute, such as `"header"`, 1 or `"list"`, `"bullet"`; null takes
   * it away. Throws as {@link format}.
   */
  formatBlock(index: number, count: number, kind: string, value: Value): void {
    this.#format(index, count, kind, value, true)
  }

  #format(index: number, count: number, kind: string, value: Value, lines: boolean): void {
    const at = unsigned(index, "index")
    const length = unsigned(count, "count")
    checkString(kind, "a kind of formatting")
    checkValue(value, "a formatting's value")
    this.#doc.edit((core, now, document) => core.text_format(now, document, this.name, at, length, kind, value, lines))
  }

  /** What the character at `index` shows; for a line break, and at the text's end, the attributes of its line. */
  attributes(index: number): Attributes {
    const at = unsigned(index, "index")
    const shown = this.#doc.read((core, document) => core.text_attributes(document, this.name, at))
    return (shown as Attributes | undefined) ?? {}
  }

  /** The text with its formatting as inserts, in the form of Quill; the last line's break, which is not in the text, included. */
  toDelta(): TextDelta[] {
    const flat = this.#doc.read((core, document) => core.text_delta(document, this.name)) as unknown[]
    return unflatten(flat, 0, flat.length)
  }

  /**
   * Edits the text by a delta, in the form of Quill and as {@link toDelta} counts. What it inserts shows what the delta says,
   * whatever lies around it.
   *
   * @throws TypeError for what is no delta, {@link InkwireError} `bad_delta` for one that does not fit; and as {@link insert}.
   */
  applyDelta(delta: readonly TextDelta[]): void {
    const flat = flatten(delta)
    if (flat.length > 0) this.#doc.edit((core, now, document) => core.text_apply(now, document, this.name, flat, false))
  }

  /** Replaces all of the text by what a delta inserts; throws as {@link applyDelta}. */
  setContents(delta: readonly TextDelta[]): void {
    const flat = flatten(delta)
    this.#doc.edit((core, now, document) => core.text_apply(now, document, this.name, flat, true))
  }

  /**
   * The place of a position as a short string that keeps pointing at the same characters whatever is edited around it, here
   * and in every other replica. It may travel, in a presence state for one. What is inserted right there comes after an
   * anchor that stays with the character before it (the default), and before one that stays with the character after it.
   *
   * @throws RangeError when `index` is outside the text.
   */
  anchor(index: number, side: Side = "after"): string {
    const at = unsigned(index, "index")
    if (side !== "after" && side !== "before") throw new TypeError('an anchor\'s side must be "after" or "before"')
    return this.#doc.read((core, document) => core.text_anchor(document, this.name, at, side === "before"))
  }

  /** Where an {@link anchor} is now; undefined while the edit it refers to has not come, or for a string that is none. */
  position(anchor: string): number | undefined {
    checkString(anchor, "an anchor")
    return this.#doc.read((core, document) => core.text_position(document, this.name, anchor))
  }

  /**
   * Calls back with every change from now on, local ones included, in order: at once within the call that edits, or when
   * the relay's bytes arrive.
   */
  observe(callback: (change: TextChange) => void): Unobserve {
    checkCallback(callback)
    this.#doc.observed()
    return this.#observers.add(callback)
  }

  /** @internal */
  notify(change: TextChange): void {
    this.#observers.notify(change)
  }
}

/** A shared map from strings to values; of writers at the same time one wins, the same everywhere. */
export class SharedMap {
  readonly #doc: OpenDocument
  readonly #observers = new Observers<MapChange>()

  /** @internal */
  constructor(doc: OpenDocument, readonly name: string) {
    this.#doc = doc
  }

  /** The key's value, or undefined when it has none. */
  get(key: string): Value | undefined {
    checkString(key, "a map's key")
    return this.#doc.read((core, document) => core.map_get(document, this.name, key)) as Value | undefined
  }

  /**
   * Gives the key a value, which replaces the whole of the one that it had.
   *
   * @throws TypeError for a key or value that is none; {@link InkwireError} `too_large`; {@link ReadOnly}, {@link OutboxFull},
   * {@link Closed}.
   */
  set(key: string, value: Value): void {
    checkString(key, "a map's key")
    checkValue(value, "a map's value")
    this.#doc.edit((core, now, document) => core.map_set(now, document, this.name, key, value))
  }

  /** Removes the key; removing one that is not there is no edit. */
  delete(key: string): void {
    if (this.get(key) === undefined) return
    this.#doc.edit((core, now, document) => core.map_delete(now, document, this.name, key))
  }

  /** The entries at this moment, in the order of their keys. */
  entries(): [string, Value][] {
    const flat = this.#doc.read((core, document) => core.map_entries(document, this.name)) as unknown[]
    const entries: [string, Value][] = []
    for (let i = 0; i + 1 < flat.length; i += 2) entries.push([flat[i] as string, flat[i + 1] as Value])
    return entries.sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** Calls back with every change from now on, one key each. */
  observe(callback: (change: MapChange) => void): Unobserve {
    checkCallback(callback)
    this.#doc.observed()
    return this.#observers.add(callback)
  }

  /** @internal */
  notify(change: MapChange): void {
    this.#observers.notify(change)
  }
}
