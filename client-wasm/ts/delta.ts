import { checkValue, isPlain } from "./values.js"
import type { Value } from "./values.js"

/** Kinds of formatting with their values, such as `{ bold: true }` or `{ header: 1 }`; null says that a kind is taken away. */
export type Attributes = { readonly [kind: string]: Value }

/**
 * One step of a text's delta, in UTF-16 units, in the form of Quill: keep so many (and have them show `attributes` from now
 * on), put a string here, or drop so many.
 */
export type TextDelta =
  | { readonly retain: number; readonly attributes?: Attributes }
  | { readonly insert: string; readonly attributes?: Attributes }
  | { readonly delete: number }

/** One step of a list's change: keep so many elements, put these here, or drop so many. */
export type ListDelta =
  | { readonly retain: number }
  | { readonly insert: readonly Value[] }
  | { readonly delete: number }

/** A delta as the core takes it: two for each step, a string or a number (below 0 is a deletion) and attributes. */
export function flatten(delta: unknown): unknown[] {
  if (!Array.isArray(delta)) throw new TypeError("a delta must be an array of steps")
  const flat: unknown[] = []
  for (const step of delta as unknown[]) {
    if (!isPlain(step)) throw new TypeError("a delta's step must be an object")
    if (typeof step.insert === "string") flat.push(step.insert)
    else if (isLength(step.retain)) flat.push(step.retain)
    else if (isLength(step.delete)) flat.push(-step.delete)
    else throw new TypeError("a delta's step must have a string to insert, or a number to retain or delete")
    const { attributes } = step
    if (attributes !== undefined) {
      if (!isPlain(attributes)) throw new TypeError("a step's attributes must be an object")
      checkValue(attributes, "an attribute")
    }
    flat.push(attributes)
  }
  return flat
}

const isLength = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 0xffff_ffff

/** The steps of a text from the core's flat form. */
export function unflatten(flat: readonly unknown[], from: number, to: number): TextDelta[] {
  const delta: TextDelta[] = []
  for (let at = from; at < to; at += 2) {
    const step = flat[at] as string | number
    const attributes = flat[at + 1] as Attributes | undefined
    if (typeof step !== "string" && step < 0) delta.push({ delete: -step })
    else {
      const what = typeof step === "string" ? { insert: step } : { retain: step }
      delta.push(attributes === undefined ? what : { ...what, attributes })
    }
  }
  return delta
}
