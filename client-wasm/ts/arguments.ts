import { InkwireError } from "./errors.js"

/**
 * Checks of what a page hands in, before the core is entered: its bindings throw in the middle of a call for a value of a wrong
 * type, and after that a core cannot be trusted any more.
 */

/** A string. */
export function string(value: unknown, what: string): string {
  if (typeof value !== "string") throw wrongType(what, "a string", value)
  return value
}

/** The name of a text or map. The core knows Unicode scalar values alone, so what it calls by this name is called so here. */
export function name(value: unknown, what: string): string {
  return string(value, what).replace(/\p{Surrogate}/gu, "\ufffd")
}

/** The most bytes of a document's name in UTF-8. */
const MAX_DOCUMENT_NAME_BYTES = 256

/** A document's name, by the rules of the relay: it would refuse another, but only when it is reached. */
export function documentName(value: unknown): string {
  const checked = name(value, "a document's name")
  const bytes = new TextEncoder().encode(checked).length
  const problem =
    bytes === 0 ? "is empty" :
    bytes > MAX_DOCUMENT_NAME_BYTES ? `has ${bytes} bytes, at most ${MAX_DOCUMENT_NAME_BYTES} are allowed` :
    checked.split("/").includes("") ? `has an empty segment: ${JSON.stringify(checked)}` :
    /\p{Control}/u.test(checked) ? `has control characters: ${JSON.stringify(checked)}` : undefined
  if (problem) throw new InkwireError("bad_document_name", `a document's name ${problem}`)
  return checked
}

/** A whole number that the core can count to, of UTF-16 units. */
export function unsigned(value: unknown, what: string): number {
  if (typeof value !== "number") throw wrongType(what, "a number", value)
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`${what} must be a whole number from 0 on, not ${value}`)
  }
  return value
}

/** A callback. */
export function callback(value: unknown): void {
  if (typeof value !== "function") throw wrongType("the callback", "a function", value)
}

/** Bytes, really: what merely inherits from `Uint8Array`, or a proxy of one, fails when it is read. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && value instanceof Uint8Array
}

function wrongType(what: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`${what} must be ${wanted}, not ${value === null ? "null" : typeof value}`)
}
