import { InkwireError } from "./errors.js"
import { Observers } from "./observers.js"
import type { Unobserve } from "./observers.js"
import type { OpenDocument } from "./document.js"

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** One other session that has the document open and said something of itself. */
export interface Participant {
  /** Tells sessions apart; the same person may have several. */
  readonly session: string
  /** Who it is, from the token that the relay checked. */
  readonly subject: string
  /** What it set, as it set it: from others, so check before use. */
  readonly state: Json
}

/** The most bytes of a state as JSON in UTF-8: with its envelope it has to fit a datagram. */
export const MAX_PRESENCE_BYTES = 512

/** Who else is here and what they say of themselves right now: never stored, forgotten soon after they leave. */
export class Presence {
  readonly #doc: OpenDocument
  readonly #observers = new Observers<readonly Participant[]>()
  #own: Json = null
  #scheduled = false

  /** @internal */
  constructor(doc: OpenDocument) {
    this.#doc = doc
  }

  /**
   * Says something about this session to all others; null takes it back. The latest wins and earlier ones may never be seen,
   * so put all there is to say into each.
   *
   * @throws TypeError for what JSON cannot hold; {@link InkwireError} `presence_too_large` past {@link MAX_PRESENCE_BYTES}.
   */
  set(state: Json): void {
    const bytes = state === null ? undefined : new TextEncoder().encode(json(state))
    if (bytes && bytes.length > MAX_PRESENCE_BYTES) {
      const message = `a presence state of ${bytes.length} bytes as JSON: at most ${MAX_PRESENCE_BYTES} are allowed`
      throw new InkwireError("presence_too_large", message)
    }
    this.#doc.setPresence(bytes)
    this.#own = state
  }

  /** What this session last set. */
  get own(): Json {
    return this.#own
  }

  /** The others at this moment. */
  get(): readonly Participant[] {
    const flat = this.#doc.read((core, document) => core.presence(document)) as unknown[]
    const participants: Participant[] = []
    for (let i = 0; i + 2 < flat.length; i += 3) {
      try {
        const state = JSON.parse(new TextDecoder().decode(flat[i + 2] as Uint8Array))
        participants.push({ session: flat[i] as string, subject: flat[i + 1] as string, state })
      } catch {
        // Not JSON: another client's own convention.
      }
    }
    return participants
  }

  /** Calls back with all others whenever one of them comes, changes or leaves. */
  observe(callback: (participants: readonly Participant[]) => void): Unobserve {
    return this.#observers.add(callback)
  }

  /** @internal */
  touch(): void {
    if (this.#scheduled || this.#observers.size === 0) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      if (this.#doc.isOpen) this.#observers.notify(this.get())
    })
  }
}

/** The state as JSON. */
function json(state: unknown): string {
  let text: string | undefined
  let cause: unknown
  try {
    text = JSON.stringify(state)
  } catch (error) {
    cause = error // a circle, a bigint
  }
  // `undefined`, functions and symbols have no JSON and no error either.
  if (text === undefined) throw new TypeError("a presence state must be something that JSON can hold", { cause })
  return text
}
