import { Refused } from "./errors.js"
import type { Value } from "./values.js"

/**
 * Edits that the relay refused, that were taken back from the document and could not be made again under another actor; its
 * `code` and message say why. What they were is in `content`, to be shown to whoever made them, or to be made again in a way
 * that only the application knows.
 */
export class Refusal extends Refused {
  /** @internal */
  constructor(
    code: string,
    message: string,
    /** How many edits were taken back. */
    readonly edits: number,
    /** What they were, in order; one edit may be several of these. Of texts, keys and values at most 1 MiB in all. */
    readonly content: readonly RefusedEdit[],
    /** How many more parts there were than fit into `content`. */
    readonly omitted: number,
  ) {
    super(code, message)
    this.name = "Refusal"
  }
}

/**
 * A part of an edit that was refused; `name` is the container's. Where in a text or list it was is not said: what it stood beside
 * may be gone.
 */
export type RefusedEdit = { readonly name: string } & (
  /** Text was inserted. */
  | { readonly kind: "text"; readonly text: string }
  /** So many characters of a text, elements of a list or members of a set were deleted. Characters count as Unicode code points. */
  | { readonly kind: "deleted"; readonly count: number }
  /** A map's key was set, or removed where the value is undefined. */
  | { readonly kind: "set"; readonly key: string; readonly value: Value | undefined }
  /** Values were inserted into a list. */
  | { readonly kind: "values"; readonly values: readonly Value[] }
  /** Members were added to a set. */
  | { readonly kind: "members"; readonly members: readonly Value[] }
  /** An amount was added to a counter. */
  | { readonly kind: "amount"; readonly amount: number }
  /** Text or lines were formatted; null takes the format away. */
  | { readonly kind: "format"; readonly key: string; readonly value: Value }
  /** Something of a later version. */
  | { readonly kind: "unknown" }
)

/**
 * Unpacks what the core's `event_refused` gives.
 *
 * @internal
 */
export function readRefusal(code: string, message: string, edits: number, flat: readonly unknown[]): Refusal {
  const content: RefusedEdit[] = []
  for (let at = 1; at < flat.length; at += 4) {
    const [kind, name, first, second] = flat.slice(at, at + 4) as [number, string, unknown, unknown]
    content.push({ name, ...partOf(kind, first, second) } as RefusedEdit)
  }
  return new Refusal(code, message, edits, content, flat[0] as number)
}

function partOf(kind: number, first: unknown, second: unknown): object {
  switch (kind) {
    case 1: return { kind: "text", text: first }
    case 2: return { kind: "deleted", count: first }
    case 3: return { kind: "set", key: first, value: second }
    case 4: return { kind: "values", values: first }
    case 5: return { kind: "members", members: first }
    case 6: return { kind: "amount", amount: first }
    case 7: return { kind: "format", key: first, value: second }
    default: return { kind: "unknown" }
  }
}
