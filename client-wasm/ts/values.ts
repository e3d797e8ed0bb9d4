import { isBytes } from "./arguments.js"

/**
 * What maps, lists, sets and attributes hold: null, booleans, numbers, strings, bytes, and arrays and plain objects of these.
 * Whole numbers up to 2^53 are stored as integers. One value takes at most 32 KiB, nested at most 16 deep.
 */
export type Value = null | boolean | number | string | Uint8Array | readonly Value[] | { readonly [key: string]: Value }

/** Levels that are looked into before a value is called too deep; the document's own limit is below it. */
const MAX_DEPTH = 32

/** A value that a container may hold, else a TypeError. */
export function checkValue(value: unknown, what: string): void {
  check(value, what, 0)
}

function check(value: unknown, what: string, depth: number): void {
  const type = typeof value
  if (value === null || type === "boolean" || type === "number" || type === "string" || isBytes(value)) return
  if (depth === MAX_DEPTH) throw new TypeError(`${what} is nested too deep, or holds itself`)
  if (Array.isArray(value)) {
    // Not `forEach`: it passes over holes.
    for (const item of value) check(item, what, depth + 1)
  } else if (isPlain(value)) {
    for (const item of Object.values(value)) check(item, what, depth + 1)
  } else {
    throw new TypeError(`${what} must be null, a boolean, a number, a string, a Uint8Array, or an array or plain object of these`)
  }
}

/** An object that someone wrote with braces, or without a prototype: a Date or a Map would lose what it is. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}
