import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands"
import { markdown, markdownLanguage } from "@codemirror/lang-markdown"
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language"
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search"
import { Compartment, EditorState } from "@codemirror/state"
import type { Extension } from "@codemirror/state"
import { EditorView, drawSelection, dropCursor, highlightSpecialChars, keymap, placeholder } from "@codemirror/view"
import { tags } from "@lezer/highlight"
import { announce, collaboration, initialText } from "../ts/codemirror.js"
import type { Editor, Surroundings } from "./shell.js"

const writable = new Compartment()

/** Colours come from the style sheet's variables, so that one theme serves light and dark. */
const theme = EditorView.theme({
  "&": { height: "100%", fontSize: "var(--text-size)", background: "transparent", color: "var(--ink)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--text-font)", lineHeight: "1.7", overflow: "auto" },
  ".cm-content": {
    maxWidth: "44rem",
    margin: "0 auto",
    padding: "clamp(1.25rem, 5vh, 4rem) clamp(1rem, 4vw, 2rem) 40vh",
    caretColor: "var(--accent)",
  },
  ".cm-line": { padding: "0" },
  ".cm-cursor, .cm-dropCursor": { borderLeft: "2px solid var(--accent)", marginLeft: "-1px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "var(--selection)",
  },
  ".cm-selectionMatch": { background: "var(--match)" },
  ".cm-placeholder": { color: "var(--faint)", fontStyle: "italic" },
  ".cm-panels": { background: "var(--raised)", color: "var(--ink)", borderColor: "var(--line)" },
  ".cm-searchMatch": { background: "var(--match)" },
})

const highlight = HighlightStyle.define([
  { tag: tags.heading1, fontSize: "1.75em", fontWeight: "700", lineHeight: "1.3", letterSpacing: "-0.015em" },
  { tag: tags.heading2, fontSize: "1.35em", fontWeight: "700", lineHeight: "1.35", letterSpacing: "-0.01em" },
  { tag: tags.heading, fontWeight: "700" },
  { tag: tags.strong, fontWeight: "700" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: tags.link, color: "var(--accent)", textDecoration: "underline", textUnderlineOffset: "2px" },
  { tag: tags.url, color: "var(--faint)" },
  { tag: tags.monospace, fontFamily: "var(--code-font)", fontSize: "0.88em", background: "var(--raised)", borderRadius: "3px" },
  { tag: tags.quote, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName], color: "var(--faint)" },
])

/** Makes the editor for a document's plain text. */
export function makeEditor({ parent, doc, user, onRefused, onEdit }: Surroundings): Editor {
  const text = doc.text("body")
  const extensions: Extension[] = [
    collaboration({ text, presence: doc.presence, user, onRefused }),
    writable.of([]),
    history(),
    drawSelection(),
    dropCursor(),
    highlightSpecialChars(),
    highlightSelectionMatches(),
    EditorView.lineWrapping,
    markdown({ base: markdownLanguage }),
    syntaxHighlighting(highlight),
    placeholder("Start writing. Everyone who has this document's link writes along."),
    EditorView.contentAttributes.of({ "aria-label": "Document text", spellcheck: "true", autocapitalize: "sentences" }),
    keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, indentWithTab]),
    theme,
    EditorView.updateListener.of(update => {
      if (update.docChanged) onEdit(update.state.sliceDoc())
    }),
  ]
  const view = new EditorView({ parent, state: EditorState.create({ doc: initialText(text), extensions }) })
  onEdit(view.state.sliceDoc())
  return {
    setWritable: may => {
      view.dispatch({ effects: writable.reconfigure(may ? [] : [EditorState.readOnly.of(true), EditorView.editable.of(false)]) })
    },
    focus: () => view.focus(),
    announce: () => announce(view),
    destroy: () => view.destroy(),
  }
}
