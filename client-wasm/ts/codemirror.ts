import { Annotation, ChangeSet, EditorSelection, EditorState, Prec, StateEffect, StateField, Transaction } from "@codemirror/state"
import type { ChangeSpec, Extension } from "@codemirror/state"
import { Decoration, EditorView, RectangleMarker, ViewPlugin, layer } from "@codemirror/view"
import type { DecorationSet, LayerMarker, ViewUpdate } from "@codemirror/view"
import type { Presence, Text, TextDelta } from "inkwire"
import { Announcer, Places } from "./cursors.js"
import type { User } from "./cursors.js"
import { difference } from "./positions.js"

export type { User } from "./cursors.js"

/** What {@link collaboration} takes. */
export interface CollaborationOptions {
  readonly text: Text
  /** Shows the others' carets and selections, and ours to them. Left out: only the text is shared. */
  readonly presence?: Presence
  /** How we appear; asked each time, so it may change (then call {@link announce}). */
  readonly user?: () => User
  /** An edit that could not be made (`ReadOnly`, `OutboxFull`, …). The view has the document's text again by then. */
  readonly onRefused?: (error: unknown) => void
}

/** The initial document for `EditorState.create`, in the one form that keeps positions equal on both sides. */
export function initialText(text: Text): string {
  return text.toString()
}

/** Marks transactions that came from the shared text. */
const fromText = Annotation.define<boolean>()

/** Binds an editor to a shared text. Create the state with `doc: initialText(text)`. */
export function collaboration(options: CollaborationOptions): Extension {
  const binding = ViewPlugin.define(view => new TextBinding(view, options))
  const extensions: Extension[] = [
    // Lines end in "\n" alone: with others recognised, "\r\n" would be one position here and two in the document.
    EditorState.lineSeparator.of("\n"),
    EditorView.clipboardInputFilter.of(pasted => pasted.replace(/\r\n?/g, "\n")),
    // First of all, so that the document has an edit before anyone else hears of it.
    Prec.highest(binding),
  ]
  if (options.presence) {
    const { presence } = options
    const showText = (view: EditorView) => view.plugin(binding)?.show()
    extensions.push(cursors, carets, cursorTheme, ViewPlugin.define(view => new PresenceBinding(view, presence, options, showText)))
  }
  return extensions
}

/** Tells the others again how we appear, after `user` began to give something else. */
export function announce(view: EditorView): void {
  view.dispatch({ effects: announced.of(null) })
}

// ---- text

/** Changes of the text are shown at most this often; one that comes after a pause is shown at once. */
const SHOW_MILLIS = 16

/**
 * Keeps view and text equal. Changes of the text that come in a burst are gathered and shown together, since a view takes
 * milliseconds for each; what is typed meanwhile is moved past what is not shown yet.
 */
class TextBinding {
  readonly #view: EditorView
  readonly #options: CollaborationOptions
  readonly #unobserve: () => void
  readonly #unshown = new Unshown()
  /** Our own change is on its way through the text: the next one observed is it. */
  #ours = false
  #inUpdate = false
  #repairing = false
  #destroyed = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastShown = -Infinity

  constructor(view: EditorView, options: CollaborationOptions) {
    this.#view = view
    this.#options = options
    this.#unobserve = options.text.observe(change => {
      if (this.#ours) this.#ours = false
      else if (this.#inUpdate) this.#repairSoon()
      else {
        this.#unshown.add(view.state, change.delta)
        this.#showSoon()
      }
    })
    // The text may have moved between the state's creation and now.
    this.#checkLength()
  }

  update(update: ViewUpdate): void {
    this.#inUpdate = true
    try {
      for (const transaction of update.transactions) {
        if (transaction.docChanged && !transaction.annotation(fromText)) this.#write(transaction)
      }
    } catch (error) {
      this.#repairSoon()
      this.#options.onRefused?.(error)
    } finally {
      this.#inUpdate = false
      this.#ours = false
    }
    if (update.docChanged) this.#checkLength()
  }

  #write(transaction: Transaction): void {
    const { text } = this.#options
    this.#unshown.pass(transaction.changes).iterChanges((fromA, toA, fromB, _toB, inserted) => {
      if (toA > fromA) this.#own(() => text.delete(fromB, toA - fromA))
      if (inserted.length > 0) {
        const string = inserted.sliceString(0, inserted.length, "\n")
        if (loneSurrogate.test(string)) this.#repairSoon()
        this.#own(() => text.insert(fromB, string))
      }
    })
  }

  #own(edit: () => void): void {
    this.#ours = true
    edit()
    this.#ours = false
  }

  #showSoon(): void {
    if (this.#timer !== undefined) return
    const wait = this.#lastShown + SHOW_MILLIS - performance.now()
    if (wait <= 0) this.show()
    else this.#timer = setTimeout(() => this.show(), wait)
  }

  /** Shows what has come; afterwards view and text are equal. Not to be called while the view updates. */
  show(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#destroyed) return
    const changes = this.#unshown.take()
    if (!changes) return
    this.#dispatch(changes)
    this.#lastShown = performance.now()
  }

  #dispatch(changes: ChangeSpec): void {
    this.#view.dispatch({
      changes,
      annotations: [fromText.of(true), Transaction.addToHistory.of(false), Transaction.remote.of(true)],
    })
  }

  /** A position inside a surrogate pair and the like make the document's change differ from the view's. */
  #checkLength(): void {
    if (this.#options.text.length !== this.#unshown.lengthAfter(this.#view.state)) this.#repairSoon()
  }

  /** Makes the view show the document again; a view cannot be changed while it updates. */
  #repairSoon(): void {
    if (this.#repairing) return
    this.#repairing = true
    queueMicrotask(() => {
      this.#repairing = false
      if (this.#destroyed) return
      this.#unshown.take()
      const shown = this.#view.state.sliceDoc()
      const wanted = this.#options.text.toString()
      if (shown === wanted) return
      const { at, removed, inserted } = difference(shown, wanted, wanted.length)
      this.#dispatch({ from: at, to: at + removed, insert: this.#view.state.toText(inserted) })
    })
  }

  destroy(): void {
    this.#destroyed = true
    clearTimeout(this.#timer)
    this.#unobserve()
  }
}

/** Changes of the text that the view does not show yet, as one change of what it shows. */
export class Unshown {
  #changes: ChangeSet | undefined

  /** Adds a change of the text as it is after those before. */
  add(state: EditorState, delta: readonly TextDelta[]): void {
    const specs = changesOf(delta).map(({ from, to, insert }) => ({ from, to, insert: state.toText(insert) }))
    const next = ChangeSet.of(specs, this.lengthAfter(state))
    this.#changes = this.#changes ? this.#changes.compose(next) : next
  }

  /** Takes a change of the view past them: gives it as a change of the text. */
  pass(changes: ChangeSet): ChangeSet {
    const unshown = this.#changes
    if (!unshown) return changes
    // At one place ours comes first, here and there alike.
    this.#changes = unshown.map(changes, false)
    return changes.map(unshown, true)
  }

  /** Gives them up, to be shown. */
  take(): ChangeSet | undefined {
    const changes = this.#changes
    this.#changes = undefined
    return changes
  }

  /** The text's length, if all is well. */
  lengthAfter(state: EditorState): number {
    return this.#changes?.newLength ?? state.doc.length
  }
}

const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** A delta as CodeMirror's changes, whose positions are all those of the old document. */
export function changesOf(delta: readonly TextDelta[]): { from: number; to: number; insert: string }[] {
  const changes: { from: number; to: number; insert: string }[] = []
  let at = 0
  for (const step of delta) {
    if ("retain" in step) at += step.retain
    else if ("insert" in step) changes.push({ from: at, to: at, insert: step.insert })
    else {
      changes.push({ from: at, to: at + step.delete, insert: "" })
      at += step.delete
    }
  }
  return changes
}

// ---- presence

const announced = StateEffect.define<null>()
const remoteCursors = StateEffect.define<readonly Cursor[]>()

/** Another session's selection in this text. */
interface Cursor {
  readonly session: string
  readonly name: string
  readonly color: string
  readonly anchor: number
  readonly head: number
  /** It moved by itself a moment ago, so its name shows. */
  readonly active: boolean
}

class PresenceBinding {
  readonly #view: EditorView
  readonly #announcer: Announcer
  readonly #places: Places
  readonly #unobserve: () => void
  #showing = false
  #destroyed = false

  constructor(
    view: EditorView, presence: Presence, { text, user }: CollaborationOptions,
    /** Makes the view's positions the text's. */
    private readonly showText: (view: EditorView) => void,
  ) {
    this.#view = view
    this.#announcer = new Announcer(presence, text, user, () => {
      this.showText(view)
      return view.state.selection.main
    })
    this.#places = new Places(presence, text, () => this.#showSoon())
    this.#unobserve = presence.observe(() => this.#showSoon())
    this.#showSoon()
    this.#announcer.soon()
  }

  update(update: ViewUpdate): void {
    const announce = update.transactions.some(transaction => transaction.effects.some(effect => effect.is(announced)))
    if (update.selectionSet || update.docChanged || update.focusChanged || announce) this.#announcer.soon()
    // A caret is tied to a character; the edit that brings that character may come after it.
    if (update.docChanged) this.#showSoon()
  }

  #showSoon(): void {
    if (this.#showing) return
    this.#showing = true
    queueMicrotask(() => {
      this.#showing = false
      if (!this.#destroyed) this.#show()
    })
  }

  #show(): void {
    this.showText(this.#view)
    // Within what the view shows: the text may be ahead of it.
    const within = (position: number) => Math.min(position, this.#view.state.doc.length)
    const found = this.#places.now().map(({ session, name, color, anchor, head, active }): Cursor =>
      ({ session, name, color, anchor: within(anchor), head: within(head), active }))
    // Most edits move a cursor only as its text moves, which the field has done already.
    if (!sameCursors(found, this.#view.state.field(cursors))) this.#view.dispatch({ effects: remoteCursors.of(found) })
  }

  destroy(): void {
    this.#destroyed = true
    this.#announcer.stop()
    this.#places.stop()
    this.#unobserve()
  }
}

function sameCursors(some: readonly Cursor[], others: readonly Cursor[]): boolean {
  return some.length === others.length && some.every((cursor, at) => {
    const other = others[at]!
    return (Object.keys(cursor) as (keyof Cursor)[]).every(key => cursor[key] === other[key])
  })
}

const cursors = StateField.define<readonly Cursor[]>({
  create: () => [],
  update(found, transaction) {
    let shown = found
    if (transaction.docChanged) {
      const move = (position: number) => transaction.changes.mapPos(position, -1)
      shown = shown.map(cursor => ({ ...cursor, anchor: move(cursor.anchor), head: move(cursor.head) }))
    }
    for (const effect of transaction.effects) if (effect.is(remoteCursors)) shown = effect.value
    return shown
  },
  provide: field => EditorView.decorations.from(field, selections),
})

function selections(found: readonly Cursor[]): DecorationSet {
  const ranges = found.filter(({ anchor, head }) => anchor !== head).map(({ anchor, head, color }) => {
    const mark = Decoration.mark({ class: "ink-selection", attributes: { style: `--ink-color: ${color}` } })
    return mark.range(Math.min(anchor, head), Math.max(anchor, head))
  })
  return Decoration.set(ranges, true)
}

/** Carets lie above the text instead of in it: an inline widget would let a word break where someone's caret is. */
const carets = layer({
  above: true,
  class: "ink-carets",
  update: update =>
    update.docChanged || update.geometryChanged || update.viewportChanged ||
    update.startState.field(cursors) !== update.state.field(cursors),
  markers: view => {
    return view.state.field(cursors).flatMap(cursor => {
      const [place] = RectangleMarker.forRange(view, "", EditorSelection.cursor(cursor.head, cursor.head < cursor.anchor ? 1 : -1))
      return place ? [new Caret(cursor, place)] : []
    })
  },
})

class Caret implements LayerMarker {
  readonly name: string
  readonly color: string
  readonly active: boolean

  constructor({ name, color, active }: Cursor, readonly place: RectangleMarker) {
    this.name = name
    this.color = color
    this.active = active
  }

  eq(other: Caret): boolean {
    return other.name === this.name && other.color === this.color && other.active === this.active && other.place.eq(this.place)
  }

  draw(): HTMLElement {
    const caret = document.createElement("div")
    // A screen reader follows the text, not where others are in it.
    caret.setAttribute("aria-hidden", "true")
    caret.append(document.createElement("span"))
    this.#adjust(caret)
    return caret
  }

  update(caret: HTMLElement): boolean {
    this.#adjust(caret)
    return true
  }

  #adjust(caret: HTMLElement): void {
    const { left, top, height } = this.place
    caret.className = this.active ? "ink-caret ink-caret-active" : "ink-caret"
    // Too near the top there is no room above.
    if (top < 20) caret.className += " ink-caret-low"
    caret.style.cssText = `left: ${left}px; top: ${top}px; height: ${height}px; --ink-color: ${this.color}`
    caret.firstElementChild!.textContent = this.name
  }
}

/** `--ink-lift` (of white) and `--ink-tint` are for pages on dark paper, where most colours are too dark as they are. */
const cursorTheme = EditorView.baseTheme({
  ".ink-selection": { backgroundColor: "color-mix(in srgb, var(--ink-color) var(--ink-tint, 30%), transparent)" },
  ".ink-caret": {
    "--ink-shade": "color-mix(in srgb, #fff var(--ink-lift, 0%), var(--ink-color))",
    borderLeft: "2px solid var(--ink-shade)",
    marginLeft: "-1px",
  },
  // The small head is what a pointer can find.
  ".ink-caret::before": {
    content: "''",
    position: "absolute",
    left: "-4px",
    top: "-3px",
    width: "6px",
    height: "6px",
    borderRadius: "50%",
    background: "var(--ink-shade)",
    pointerEvents: "auto",
  },
  ".ink-caret > span": {
    position: "absolute",
    left: "-2px",
    bottom: "100%",
    padding: "1px 6px",
    borderRadius: "5px 5px 5px 0",
    background: "var(--ink-color)",
    color: "#fff",
    font: "600 11px/1.4 system-ui, sans-serif",
    whiteSpace: "nowrap",
    opacity: "0",
    transition: "opacity 0.2s",
  },
  ".ink-caret-low > span": { bottom: "auto", top: "100%", borderRadius: "0 5px 5px 5px" },
  ".ink-caret:hover > span, .ink-caret-active > span": { opacity: "1" },
})
