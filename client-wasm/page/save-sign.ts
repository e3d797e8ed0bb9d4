import type { StatusSnapshot } from "inkwire"

/** What the sign can say, from the weakest on. */
export type SaveState = "opening" | "stopped" | "offline" | "sending" | "sent" | "durable" | "reading"

/** A better state is shown only once it has lasted this long, so that typing does not make the sign flicker. A worse one at once. */
const SETTLE_MILLIS = 250

/** Which state a status is in. `durable` only when nothing is left that is not. */
export function saveState(status: StatusSnapshot): SaveState {
  const { local, sent } = status
  if (status.connection === "closed") return "stopped"
  if (!status.synced && local + sent === 0) return status.connection === "reconnecting" ? "offline" : "opening"
  if (status.connection !== "connected") return local + sent > 0 ? "offline" : status.synced ? "durable" : "opening"
  if (local > 0) return "sending"
  if (sent > 0) return "sent"
  return status.role === "viewer" ? "reading" : "durable"
}

/** The sign's words. */
export function saveLabel(state: SaveState, { local, sent }: StatusSnapshot): string {
  const edits = (count: number) => (count === 1 ? "1 edit" : `${count.toLocaleString("en")} edits`)
  switch (state) {
    case "opening": return "Opening…"
    case "stopped": return local + sent > 0 ? `Stopped: ${edits(local + sent)} not saved` : "Stopped"
    case "offline": return local + sent > 0 ? `Offline: ${edits(local + sent)} kept in this tab` : "Offline"
    case "sending": return `Saving… ${edits(local)} to send`
    case "sent": return `Sent, saving ${edits(sent)}…`
    case "durable": return "Saved durably"
    case "reading": return "Up to date"
  }
}

/** The sign in the page: a mark, a label, and the counts behind a click. */
export class SaveSign {
  readonly #button = byId("save")
  readonly #label = byId("save-label")
  readonly #details = byId("save-details")
  #shown: SaveState = "opening"
  #settle: ReturnType<typeof setTimeout> | undefined
  #status: StatusSnapshot | undefined

  constructor() {
    this.#button.addEventListener("click", () => this.#toggle(this.#details.hidden === true))
    document.addEventListener("click", event => {
      const target = event.target as Node
      if (!this.#details.contains(target) && !this.#button.contains(target)) this.#toggle(false)
    })
    document.addEventListener("keydown", event => {
      if (event.key === "Escape") this.#toggle(false)
    })
  }

  #toggle(open: boolean): void {
    this.#details.hidden = !open
    this.#button.setAttribute("aria-expanded", String(open))
  }

  /** A document is on its way. */
  open(): void {
    this.#status = undefined
    this.#set("opening", "Opening…")
  }

  /** There is no document. */
  stop(): void {
    this.#set("stopped", "Not open")
  }

  update(status: StatusSnapshot): void {
    this.#status = status
    for (const level of ["local", "sent", "durable"] as const) {
      byId(`count-${level}`).textContent = status[level].toLocaleString("en")
    }
    const { local, sent, durable } = status
    this.#button.title = `${local} only in this tab · ${sent} sent · ${durable} saved durably`
    const state = saveState(status)
    const better = (state === "durable" || state === "reading") && this.#shown !== state
    if (!better) {
      clearTimeout(this.#settle)
      this.#settle = undefined
      this.#show(state)
    } else {
      this.#settle ??= setTimeout(() => {
        this.#settle = undefined
        if (this.#status) this.#show(saveState(this.#status))
      }, SETTLE_MILLIS)
    }
  }

  #show(state: SaveState): void {
    this.#set(state, saveLabel(state, this.#status!))
  }

  #set(state: SaveState, label: string): void {
    this.#shown = state
    this.#button.dataset.state = state
    if (this.#label.textContent !== label) this.#label.textContent = label
  }
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id)
  if (!element) throw new Error(`the page has no element "${id}"`)
  return element
}
