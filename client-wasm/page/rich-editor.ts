import Quill from "quill/core.js"
import Blockquote from "quill/formats/blockquote.js"
import Bold from "quill/formats/bold.js"
import Code, { Code as InlineCode } from "quill/formats/code.js"
import Header from "quill/formats/header.js"
import Italic from "quill/formats/italic.js"
import Link from "quill/formats/link.js"
import List from "quill/formats/list.js"
import Strike from "quill/formats/strike.js"
import Underline from "quill/formats/underline.js"
import { bindQuill } from "../ts/quill.js"
import { Toolbar } from "./toolbar.js"
import type { Editor, Surroundings } from "./shell.js"

// Characters alone: what a text cannot hold, such as a picture, the editor does not know either.
Quill.register({
  "formats/blockquote": Blockquote,
  "formats/bold": Bold,
  "formats/code": InlineCode,
  "formats/code-block": Code,
  "formats/header": Header,
  "formats/italic": Italic,
  "formats/link": Link,
  "formats/list": List,
  "formats/strike": Strike,
  "formats/underline": Underline,
})

/** What may be shown; pasted text keeps nothing else. */
const FORMATS = ["blockquote", "bold", "code", "code-block", "header", "italic", "link", "list", "strike", "underline"]

/** Makes the editor for a document's rich text. */
export function makeEditor({ parent, doc, user, onRefused, onEdit }: Surroundings): Editor {
  const text = doc.text("rich")
  const bar = document.createElement("div")
  const scroller = document.createElement("div")
  const paper = document.createElement("div")
  scroller.className = "rich-scroller"
  scroller.append(paper)
  parent.replaceChildren(bar, scroller)
  const quill = new Quill(paper, {
    formats: FORMATS,
    placeholder: "Start writing. Everyone who has this document's link writes along.",
    modules: { history: true, keyboard: true, clipboard: true },
  })
  quill.root.setAttribute("aria-label", "Document text")
  quill.root.setAttribute("role", "textbox")
  quill.root.setAttribute("aria-multiline", "true")
  const takeBack = (again: boolean) => {
    try {
      const place = (again ? doc.redo() : doc.undo())?.filter(({ name }) => name === text.name).at(-1)
      if (place) quill.setSelection(place.index + place.length, 0, "user")
    } catch (error) {
      onRefused(error)
    }
  }
  const history = {
    undo: () => takeBack(false),
    redo: () => takeBack(true),
    endUndoGroup: () => doc.endUndoGroup(),
  }
  const binding = bindQuill(quill, { text, presence: doc.presence, user, history, onRefused })
  const toolbar = new Toolbar(bar, quill, history, () => [doc.canUndo, doc.canRedo])
  const edited = () => {
    onEdit(text.toString())
    toolbar.update()
  }
  const stop = text.observe(edited)
  edited()
  return {
    setWritable: may => {
      quill.enable(may)
      toolbar.hide(!may)
    },
    focus: () => quill.focus(),
    announce: () => binding.announce(),
    destroy: () => {
      stop()
      binding.destroy()
      parent.replaceChildren()
    },
  }
}
