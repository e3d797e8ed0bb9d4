import type { Text, Unobserve } from "inkwire"
import { difference, movePosition } from "./positions.js"

/**
 * Binds a `<textarea>` (or a text `<input>`) to a shared text, both ways, and keeps the selection where it belongs. Returns
 * what ends it.
 */
export function bindTextarea(element: HTMLTextAreaElement | HTMLInputElement, text: Text): Unobserve {
  // An element shows "\n" for every kind of line end: compare with what it made of the value, not with what was put in.
  const show = () => {
    element.value = text.toString()
  }
  const onInput = () => {
    const edit = difference(normalise(text.toString()), element.value, element.selectionEnd ?? element.value.length)
    const at = denormalise(text.toString(), edit.at)
    try {
      if (edit.removed > 0) text.delete(at, denormalise(text.toString(), edit.at + edit.removed) - at)
      if (edit.inserted !== "") text.insert(at, edit.inserted)
    } finally {
      // Refused, or changed on the way (a lone surrogate): the element shows the document, not a wish.
      if (element.value !== normalise(text.toString())) restore(element, show)
    }
  }
  const unobserve = text.observe(change => {
    if (change.origin === "local" && element.value === normalise(text.toString())) return
    const { selectionStart, selectionEnd, selectionDirection, scrollTop } = element
    show()
    if (selectionStart !== null && selectionEnd !== null) {
      element.setSelectionRange(
        movePosition(selectionStart, change.delta), movePosition(selectionEnd, change.delta), selectionDirection ?? undefined,
      )
    }
    element.scrollTop = scrollTop
  })
  element.addEventListener("input", onInput)
  show()
  return () => {
    element.removeEventListener("input", onInput)
    unobserve()
  }
}

function restore(element: HTMLTextAreaElement | HTMLInputElement, show: () => void): void {
  const position = element.selectionStart
  show()
  if (position !== null) element.setSelectionRange(position, position)
}

const normalise = (text: string) => text.replace(/\r\n?/g, "\n")

/** The place in `text` of a place in its normalised form. */
function denormalise(text: string, position: number): number {
  if (!text.includes("\r")) return position
  let at = 0
  for (let seen = 0; seen < position; seen++) at += text.startsWith("\r\n", at) ? 2 : 1
  return at
}
