import type Quill from "quill"
import type { EmitterSource, Range } from "quill"
import Delta from "quill-delta"
import type { Presence, Text, TextDelta } from "inkwire"
import { Announcer, Places } from "./cursors.js"
import type { ShownPlace, User } from "./cursors.js"

export type { User } from "./cursors.js"

/** What {@link bindQuill} takes. */
export interface QuillOptions {
  readonly text: Text
  /** Shows the others' carets and selections, and ours to them. Left out: only the text is shared. */
  readonly presence?: Presence
  /** How we appear; asked each time, so it may change (then call {@link QuillBinding.announce}). */
  readonly user?: () => User
  /**
   * What undo and redo do instead of Quill's own history, which would take back what others did: a `Doc` serves. What is
   * not typed on where the last change ended begins an undo of its own.
   */
  readonly history?: { undo(): unknown; redo(): unknown; endUndoGroup?(): unknown }
  /** An edit that could not be made (`ReadOnly`, `OutboxFull`, …). The editor shows the document again by then. */
  readonly onRefused?: (error: unknown) => void
}

/**
 * Binds a Quill 2 editor to a shared text with its formatting, both ways. Quill speaks the same deltas as the text, so nothing
 * is compared. Register no embeds: a text holds characters alone.
 */
export function bindQuill(quill: Quill, options: QuillOptions): QuillBinding {
  return new QuillBinding(quill, options)
}

/** Marks changes that came from the shared text. */
const FROM_TEXT: EmitterSource = "api"

/** What keeps an editor and a shared text equal, until it is destroyed. */
export class QuillBinding {
  readonly #quill: Quill
  readonly #options: QuillOptions
  readonly #cursors: Cursors | undefined
  readonly #unobserve: () => void
  /** Our own edit is on its way through the text: the change observed is it. */
  #ours = false
  /** A change of the text is being shown: the change that the editor tells of is it. */
  #showing = false
  #repairing = false
  /** Where our own last change leaves the caret, if it is one that does. */
  #typedTo: number | undefined
  #destroyed = false

  /** @internal */
  constructor(quill: Quill, options: QuillOptions) {
    this.#quill = quill
    this.#options = options
    const { text, presence, history } = options
    if (history) takeHistory(quill, history)
    quill.setContents(text.toDelta() as Delta["ops"], "silent")
    quill.on("text-change", this.#changed)
    this.#unobserve = text.observe(change => {
      if (this.#ours) return
      this.#show(() => quill.updateContents(change.delta as Delta["ops"], FROM_TEXT))
      this.#cursors?.edited()
    })
    this.#cursors = presence && new Cursors(quill, presence, options)
  }

  readonly #changed = (delta: Delta) => {
    if (this.#showing) return
    this.#ours = true
    try {
      this.#group(delta)
      this.#options.text.applyDelta(delta.ops as readonly TextDelta[])
    } catch (error) {
      this.#repairSoon()
      this.#options.onRefused?.(error)
    } finally {
      this.#ours = false
    }
    // A lone surrogate and the like make the text's change differ from the editor's.
    if (this.#quill.getLength() !== this.#options.text.length + 1) this.#repairSoon()
    this.#cursors?.edited()
  }

  /** What does not go on where our last change left the caret is undone apart from it. */
  #group(delta: Delta): void {
    const { start, deleted, caret } = typing(delta)
    const goesOn = caret !== undefined && (start === this.#typedTo || start + deleted === this.#typedTo)
    this.#typedTo = caret
    if (!goesOn) this.#options.history?.endUndoGroup?.()
  }

  #show(change: () => void): void {
    this.#showing = true
    try {
      change()
    } finally {
      this.#showing = false
    }
  }

  /** Makes the editor show the document again, once it is done with what it does. */
  #repairSoon(): void {
    if (this.#repairing) return
    this.#repairing = true
    queueMicrotask(() => {
      this.#repairing = false
      if (this.#destroyed) return
      const wanted = new Delta(this.#options.text.toDelta() as Delta["ops"])
      this.#show(() => this.#quill.updateContents(this.#quill.getContents().diff(wanted), FROM_TEXT))
    })
  }

  /** Tells the others again how we appear, after `user` began to give something else. */
  announce(): void {
    this.#cursors?.tellSoon()
  }

  /** Ends the binding; editor and text stay as they are. */
  destroy(): void {
    this.#destroyed = true
    this.#quill.off("text-change", this.#changed)
    this.#unobserve()
    this.#cursors?.destroy()
  }
}

/** Where a change begins, how much it deletes, and where it leaves the caret of who typed it, if it was typed. */
function typing(delta: Delta): { start: number; deleted: number; caret: number | undefined } {
  const [first] = delta.ops
  const start = typeof first?.retain === "number" && !first.attributes ? first.retain : 0
  let [index, deleted, caret]: [number, number, number | undefined] = [0, 0, undefined]
  for (const op of delta.ops) {
    if (typeof op.retain === "number") index += op.retain
    else if (typeof op.insert === "string") caret = index += op.insert.length
    else if (op.delete !== undefined) {
      deleted += op.delete
      caret = index
    }
  }
  return { start, deleted, caret }
}

/** Quill's history module keeps its keys and menu entries; what they do is ours, and it keeps nothing. */
function takeHistory(quill: Quill, history: NonNullable<QuillOptions["history"]>): void {
  const module = quill.getModule("history") as { change?: unknown; record?: unknown; transform?: unknown } | undefined
  if (!module) return
  module.change = (source: "undo" | "redo") => void (source === "undo" ? history.undo() : history.redo())
  module.record = () => undefined
  module.transform = () => undefined
}

/** The others' carets and selections, drawn over the text; and ours, told to them. */
class Cursors {
  readonly #quill: Quill
  readonly #layer = document.createElement("div")
  readonly #announcer: Announcer
  readonly #places: Places
  readonly #unobserve: () => void
  readonly #resized: ResizeObserver
  #own: Range | null = null
  #frame: number | undefined

  constructor(quill: Quill, presence: Presence, { text, user }: QuillOptions) {
    this.#quill = quill
    this.#announcer = new Announcer(presence, text, user, () => {
      const { index = 0, length = 0 } = this.#own ?? {}
      const within = (position: number) => Math.min(position, text.length)
      return { anchor: within(index), head: within(index + length) }
    })
    this.#places = new Places(presence, text, () => this.#drawSoon())
    this.#layer.className = "ink-cursors"
    // A screen reader follows the text, not where others are in it.
    this.#layer.setAttribute("aria-hidden", "true")
    this.#layer.style.cssText = "position: absolute; inset: 0; pointer-events: none"
    quill.container.append(this.#layer)
    quill.on("selection-change", this.#selected)
    this.#unobserve = presence.observe(() => this.#drawSoon())
    this.#resized = new ResizeObserver(() => this.#drawSoon())
    this.#resized.observe(quill.root)
    this.#drawSoon()
    this.tellSoon()
  }

  readonly #selected = (range: Range | null) => {
    // Elsewhere in the page: the place in the text stays.
    if (range) this.#own = range
    this.tellSoon()
  }

  /** The text changed. */
  edited(): void {
    this.#own = this.#quill.hasFocus() ? this.#quill.getSelection() : this.#own
    this.tellSoon()
    this.#drawSoon()
  }

  tellSoon(): void {
    this.#announcer.soon()
  }

  #drawSoon(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined
      this.#layer.replaceChildren(...this.#places.now().flatMap(place => [...this.#selection(place), ...this.#caret(place)]))
    })
  }

  #caret({ head, name, color, active }: ShownPlace): HTMLElement[] {
    const bounds = this.#quill.getBounds(Math.min(head, this.#quill.getLength() - 1))
    if (!bounds) return []
    const caret = document.createElement("div")
    caret.className = `ink-caret${active ? " ink-caret-active" : ""}${bounds.top < 20 ? " ink-caret-low" : ""}`
    caret.style.cssText = `position: absolute; left: ${bounds.left}px; top: ${bounds.top}px; height: ${bounds.height}px; --ink-color: ${color}`
    const label = document.createElement("span")
    label.textContent = name
    caret.append(label)
    return [caret]
  }

  #selection({ anchor, head, color }: ShownPlace): HTMLElement[] {
    if (anchor === head) return []
    const most = this.#quill.getLength() - 1
    const [start, startAt] = this.#quill.getLeaf(Math.min(anchor, head, most))
    const [end, endAt] = this.#quill.getLeaf(Math.min(Math.max(anchor, head), most))
    if (!start || !end) return []
    const range = document.createRange()
    try {
      range.setStart(start.domNode, startAt)
      range.setEnd(end.domNode, endAt)
    } catch {
      // An empty line's leaf is its <br>, which has no places within.
      return []
    }
    const origin = this.#quill.container.getBoundingClientRect()
    return [...range.getClientRects()].filter(({ width }) => width > 0).map(({ left, top, width, height }) => {
      const part = document.createElement("div")
      part.className = "ink-selection"
      part.style.cssText = `position: absolute; left: ${left - origin.left}px; top: ${top - origin.top}px; width: ${width}px; height: ${height}px; --ink-color: ${color}`
      return part
    })
  }

  destroy(): void {
    this.#announcer.stop()
    this.#places.stop()
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame)
    this.#quill.off("selection-change", this.#selected)
    this.#unobserve()
    this.#resized.disconnect()
    this.#layer.remove()
  }
}
