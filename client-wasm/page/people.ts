import type { User } from "../ts/cursors.js"
import type { Participant } from "inkwire"

const FIRST = [
  "Amber", "Brisk", "Clever", "Dapper", "Eager", "Fabled", "Gentle", "Hazel", "Indigo", "Jolly", "Kindly", "Lucid", "Mellow",
  "Nimble", "Olive", "Patient", "Quiet", "Russet", "Silver", "Tidy", "Umber", "Vivid", "Witty", "Young", "Zesty",
]
const SECOND = [
  "Badger", "Crane", "Dormouse", "Egret", "Finch", "Gecko", "Heron", "Ibis", "Jackdaw", "Kestrel", "Lynx", "Magpie", "Newt",
  "Otter", "Puffin", "Quail", "Robin", "Stoat", "Tern", "Urchin", "Vole", "Wren", "Yak", "Zander",
]

/** Dark enough for white letters on them, far enough apart to tell people by. */
const COLORS = ["#c2410c", "#0f766e", "#7c3aed", "#be185d", "#1d4ed8", "#4d7c0f", "#a16207", "#0e7490", "#b91c1c", "#6d28d9"]

const KEY = "inkwire.person"

/** Who this tab is to the others: a friendly name made up once, kept for the tab's life only. */
export function loadPerson(): User {
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "null")
    if (typeof stored?.name === "string" && COLORS.includes(stored.color)) return { name: stored.name, color: stored.color }
  } catch {
    // No storage, or not ours: make up a new one.
  }
  const pick = <T>(list: readonly T[]) => list[crypto.getRandomValues(new Uint32Array(1))[0]! % list.length]!
  const person = { name: `${pick(FIRST)} ${pick(SECOND)}`, color: pick(COLORS) }
  savePerson(person)
  return person
}

export function savePerson(person: User): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(person))
  } catch {
    // Kept in memory then.
  }
}

/** The person in a colour that nobody else here has, if there is one. */
export function distinct(person: User, participants: readonly Participant[]): User {
  const taken = new Set(participants.map(({ state }) => (state as { color?: unknown } | null)?.color))
  const free = COLORS.find(color => !taken.has(color))
  return taken.has(person.color) && free ? { ...person, color: free } : person
}

/** The most faces in the bar; the rest are counted. */
const MOST_FACES = 4

/** Shows the others as round initials. */
export function showPeople(list: HTMLElement, participants: readonly Participant[]): void {
  const people = participants.map(({ session, subject, state }) => {
    const said = (typeof state === "object" && state !== null ? state : {}) as { name?: unknown; color?: unknown }
    const name = typeof said.name === "string" && said.name.trim() !== "" ? said.name.slice(0, 40) : subject
    const color = COLORS.find(color => color === said.color) ?? "#64748b"
    return { session, subject, name, color }
  })
  const shown = people.length > MOST_FACES + 1 ? people.slice(0, MOST_FACES) : people
  const faces = shown.map(({ name, subject, color }) => {
    const face = document.createElement("li")
    face.textContent = initials(name)
    face.title = `${name} (${subject})`
    face.setAttribute("aria-label", name)
    face.style.background = color
    return face
  })
  if (shown.length < people.length) {
    const rest = document.createElement("li")
    rest.className = "rest"
    rest.textContent = `+${people.length - shown.length}`
    rest.title = people.slice(shown.length).map(person => person.name).join(", ")
    rest.setAttribute("aria-label", `${people.length - shown.length} more`)
    faces.push(rest)
  }
  list.replaceChildren(...faces)
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/)
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0]]
  return letters.map(word => [...(word ?? "")][0] ?? "").join("").toUpperCase()
}
