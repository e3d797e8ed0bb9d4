import type { Json, Participant, Presence, Text } from "inkwire"

/** How a person appears to the others. */
export interface User {
  readonly name: string
  /** Any CSS colour for the caret and, thinned, for the selection. */
  readonly color: string
}

/** Our selection is told at most this often. */
const ANNOUNCE_MILLIS = 50

/** A caret that moved shows its name for this long. */
const LABEL_MILLIS = 2500

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

/** A place, and whether the person moved there a moment ago: then the name shows. */
export interface ShownPlace extends Place {
  readonly active: boolean
}

/** Tells the others where our selection is, not too often, and only what is new. */
export class Announcer {
  #timer: ReturnType<typeof setTimeout> | undefined
  #told = ""

  constructor(
    private readonly presence: Presence,
    private readonly text: Text,
    private readonly user: (() => User) | undefined,
    /** Our selection, asked when it is told. */
    private readonly selection: () => { anchor: number; head: number },
  ) {}

  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#tell()
    }, ANNOUNCE_MILLIS)
  }

  #tell(): void {
    const { anchor, head } = this.selection()
    const state = stateWith(this.presence.own, this.user?.(), this.text, anchor, head)
    const told = JSON.stringify(state)
    if (told === this.#told) return
    this.#told = told
    try {
      this.presence.set(state)
    } catch {
      // The document is closed: nobody is left to tell.
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

/** Where the others are in a text. */
export class Places {
  #seen = new Map<string, { key: string; moved: number }>()
  #fade: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly presence: Presence,
    private readonly text: Text,
    /** Called when a name that shows is to go. */
    private readonly faded: () => void,
  ) {}

  /** As they are now; none once the document is closed. */
  now(): ShownPlace[] {
    const now = performance.now()
    const seen = new Map<string, { key: string; moved: number }>()
    const shown: ShownPlace[] = []
    let youngest = -Infinity
    for (const participant of this.#participants()) {
      const place = placeOf(participant, this.text)
      if (!place) continue
      const last = this.#seen.get(place.session)
      const moved = last?.key === place.key ? last.moved : now
      seen.set(place.session, { key: place.key, moved })
      youngest = Math.max(youngest, moved)
      shown.push({ ...place, active: now - moved < LABEL_MILLIS })
    }
    this.#seen = seen
    clearTimeout(this.#fade)
    if (now - youngest < LABEL_MILLIS) this.#fade = setTimeout(this.faded, LABEL_MILLIS - (now - youngest) + 20)
    return shown
  }

  #participants(): readonly Participant[] {
    try {
      return this.presence.get()
    } catch {
      return []
    }
  }

  stop(): void {
    clearTimeout(this.#fade)
  }
}

/** Our own state with a selection in it: what the page says of itself beside that stays. */
function stateWith(own: Json, user: User | undefined, text: Text, anchor: number, head: number): Json {
  const selection = { text: text.name, anchor: text.anchor(anchor), head: text.anchor(head) }
  return { ...(isObject(own) ? own : {}), ...user, selection } as Json
}

/** Another's state is another's word: nothing in it is taken for granted. */
function placeOf({ session, subject, state }: Participant, text: Text): Place | undefined {
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
