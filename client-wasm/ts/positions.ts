import type { TextDelta } from "./delta.js"

/** One replacement that turns one string into another. */
export interface Replacement {
  readonly at: number
  readonly removed: number
  readonly inserted: string
}

/**
 * The smallest replacement from `before` to `after`. Where several fit (one more "a" in "aaa") it is the one that ends at the
 * caret, where the person typed.
 */
export function difference(before: string, after: string, caret: number): Replacement {
  let suffix = 0
  const mostSuffix = Math.min(before.length, after.length - Math.min(caret, after.length))
  while (suffix < mostSuffix && before[before.length - 1 - suffix] === after[after.length - 1 - suffix]) suffix++
  let prefix = 0
  const mostPrefix = Math.min(before.length, after.length) - suffix
  while (prefix < mostPrefix && before[prefix] === after[prefix]) prefix++
  // Where the caret stood before what changed (a deletion ahead), more may be equal at the end.
  const most = Math.min(before.length, after.length) - prefix
  while (suffix < most && before[before.length - 1 - suffix] === after[after.length - 1 - suffix]) suffix++
  // Never cut a surrogate pair in two.
  if (prefix > 0 && isHigh(after, prefix - 1) && (isLow(after, prefix) || isLow(before, prefix))) prefix--
  if (suffix > 0 && isLow(after, after.length - suffix)) suffix--
  return { at: prefix, removed: before.length - suffix - prefix, inserted: after.slice(prefix, after.length - suffix) }
}

const isHigh = (text: string, at: number) => (text.charCodeAt(at) & 0xfc00) === 0xd800
const isLow = (text: string, at: number) => (text.charCodeAt(at) & 0xfc00) === 0xdc00

/** Where a position goes when a change is applied; what is inserted right at it lands after it. */
export function movePosition(position: number, delta: readonly TextDelta[]): number {
  let old = 0
  let moved = position
  for (const step of delta) {
    if (old >= position) break
    if ("retain" in step) old += step.retain
    else if ("insert" in step) moved += step.insert.length
    else {
      moved -= Math.min(step.delete, position - old)
      old += step.delete
    }
  }
  return moved
}
