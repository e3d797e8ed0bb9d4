import type { Json, Participant, Text } from "inkwire"

/** How a person appears to the others. */
export interface User {
  readonly name: string
  /** Any CSS colour for the caret and, thinned, for the selection. */
  readonly color: string
}

/** Our selection is told at most this often. */
export const ANNOUNCE_MILLIS = 50

/** A caret that moved shows its name for this long. */
export const LABEL_MILLIS = 2500

/** Where another's selection is in a text, by its own word. */
export interface Place {
  readonly session: string
  readonly name: string
  readonly color: string
  readonly anchor: number
  readonly head: number
  /** Moves when the person moves, not when the text around does. */
  readonly key: string
}

/** Our own state with a selection in it: what the page says of itself beside that stays. */
export function stateWith(own: Json, user: User | undefined, text: Text, anchor: number, head: number): Json {
  const selection = { text: text.name, anchor: text.anchor(anchor), head: text.anchor(head) }
  return { ...(isObject(own) ? own : {}), ...user, selection } as Json
}

/** Another's state is another's word: nothing in it is taken for granted. */
export function placeOf({ session, subject, state }: Participant, text: Text): Place | undefined {
  if (!isObject(state) || !isObject(state.selection)) return undefined
  const { text: name, anchor, head } = state.selection
  if (name !== text.name || typeof anchor !== "string" || typeof head !== "string") return undefined
  const from = text.position(anchor)
  const to = text.position(head)
  if (from === undefined || to === undefined) return undefined
  return {
    session,
    name: typeof state.name === "string" ? state.name.slice(0, 40) : subject,
    color: typeof state.color === "string" && plainColor.test(state.color) ? state.color : "#888",
    anchor: from,
    head: to,
    key: `${anchor} ${head}`,
  }
}

/** Colours without `url()` and the like: the value goes into a style. */
const plainColor = /^(#[0-9a-f]{3,8}|[a-z]{1,30}|(rgb|hsl|hwb|lab|lch|oklab|oklch)a?\([\d.,%/ -]{1,60}\))$/i

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
