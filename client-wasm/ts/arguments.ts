/**
 * Checks of what a page hands in, before the core is entered: its bindings throw in the middle of a call for a value of a wrong
 * type, and after that a core cannot be trusted any more.
 */

/** A string. */
export function string(value: unknown, what: string): string {
  if (typeof value !== "string") throw wrongType(what, "a string", value)
  return value
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
