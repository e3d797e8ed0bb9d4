import { connect } from "inkwire"
import type { Client, Doc, StatusSnapshot } from "inkwire"
import type { User } from "../ts/cursors.js"
import { distinct, loadPerson, savePerson, showPeople } from "./people.js"
import { readParameters, shareLink, withDocument } from "./parameters.js"
import { hideProblem, showProblem } from "./problem.js"
import { SaveSign, byId } from "./save-sign.js"
import { tokenFor } from "./token.js"

declare global {
  interface Window {
    /** For the curious in the console, and for tests. */
    inkwire?: { client: Client; doc: Doc }
  }
}

/** What the page needs of an editor, whichever it is. */
export interface Editor {
  /** Takes the keyboard away from those who may only read, instead of letting them type into an error. */
  setWritable(may: boolean): void
  focus(): void
  /** The person's name or colour is another from now on. */
  announce(): void
  destroy(): void
}

/** What an editor is made for. */
export interface Surroundings {
  readonly parent: HTMLElement
  readonly doc: Doc
  readonly user: () => User
  readonly onRefused: (error: unknown) => void
  /** The text is another, or is shown for the first time. */
  readonly onEdit: (text: string) => void
}

const parameters = readParameters()
const sign = new SaveSign()
let person = loadPerson()
let makeEditor: (surroundings: Surroundings) => Editor
let editor: Editor | undefined

byId("document-name").textContent = parameters.document
byId("document-name").title = parameters.document
document.title = `${parameters.document} · Inkwire`

/** Starts the page with an editor of its own kind. */
export function startPage(make: (surroundings: Surroundings) => Editor): void {
  makeEditor = make
  showPerson()
  wireRename()
  wireCopyLink()
  wireKinds()
  // What only this tab has would go with it.
  window.addEventListener("beforeunload", event => {
    const status = window.inkwire?.doc.status
    if (status && status.local + status.sent > 0) event.preventDefault()
  })
  void run()
}

/** Connects, opens the document and shows it; on a fatal end shows why and can be called again. */
async function run(): Promise<void> {
  hideProblem()
  editor?.destroy()
  editor = undefined
  byId("editor").setAttribute("aria-busy", "true")
  showConnection({ connection: "connecting", transport: null })
  sign.open()
  let client: Client
  try {
    client = await connect({
      url: new URL("/", location.href),
      token: tokenFor(parameters.role),
      transport: parameters.transport,
    })
  } catch (error) {
    showConnection({ connection: "closed", transport: null })
    sign.stop()
    return showProblem(error, run)
  }
  let doc: Doc
  try {
    doc = client.open(parameters.document)
  } catch (error) {
    client.close()
    showConnection({ connection: "closed", transport: null })
    sign.stop()
    return showProblem(error, run)
  }
  window.inkwire = { client, doc }
  const show = (status: StatusSnapshot) => {
    sign.update(status)
    showConnection(status)
    byId("view-only").hidden = status.role !== "viewer"
    if (status.role) editor?.setWritable(status.role === "editor")
    if (status.error && client.error === status.error) fail(status.error)
  }
  let failed = false
  const fail = (error: unknown) => {
    if (failed) return
    failed = true
    showProblem(error, () => {
      client.close()
      void run()
    })
  }
  doc.status.observe(show)
  doc.observeRefused(refusal => toast(`The relay refused an edit: ${refusal.message}`))
  let settled = false
  doc.presence.observe(people => {
    showPeople(byId("people"), people)
    // Once only: whoever comes later chooses among the colours that are left.
    if (settled) return
    settled = true
    changePerson(distinct(person, people))
  })
  show(doc.status)
  try {
    await doc.synced
  } catch (error) {
    return fail(error)
  }
  editor = makeEditor({
    parent: byId("editor"),
    doc,
    user: () => person,
    onRefused: error => toast(error instanceof Error ? error.message : String(error)),
    onEdit: countWords,
  })
  byId("editor").setAttribute("aria-busy", "false")
  show(doc.status)
  if (doc.status.role !== "viewer") editor.focus()
}

function showConnection({ connection, transport }: Pick<StatusSnapshot, "connection" | "transport">): void {
  const link = byId("link")
  link.dataset.connection = connection
  const words = { connecting: "Connecting", connected: "Connected", reconnecting: "Reconnecting", closed: "Disconnected" }
  byId("link-label").textContent = words[connection]
  const badge = byId("transport")
  badge.hidden = transport === null
  badge.dataset.transport = transport ?? ""
  badge.textContent = transport === "webtransport" ? "WebTransport" : "WebSocket"
  badge.title = transport === "webtransport" ? "HTTP/3 over QUIC" : "The fallback where UDP is blocked"
}

let counting: ReturnType<typeof setTimeout> | undefined

let latest = ""

function countWords(text: string): void {
  latest = text
  counting ??= setTimeout(() => {
    counting = undefined
    const words = latest.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu)?.length ?? 0
    byId("words").textContent = words === 1 ? "1 word" : `${words.toLocaleString("en")} words`
  }, 300)
}

function changePerson(to: User): void {
  if (to.name === person.name && to.color === person.color) return
  person = to
  savePerson(person)
  showPerson()
  editor?.announce()
}

function showPerson(): void {
  byId("me-name").textContent = person.name
  byId("me-dot").style.background = person.color
  byId("me").setAttribute("aria-label", `You are ${person.name}. Change your name`)
}

function wireRename(): void {
  const dialog = byId("rename") as HTMLDialogElement
  const input = byId("rename-input") as HTMLInputElement
  byId("me").addEventListener("click", () => {
    input.value = person.name
    dialog.returnValue = ""
    dialog.showModal()
    input.select()
  })
  // Enter saves: the first submit button of a form would be Cancel.
  input.addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.isComposing) return
    event.preventDefault()
    if (input.reportValidity()) dialog.close("save")
  })
  dialog.addEventListener("close", () => {
    const name = input.value.trim()
    if (dialog.returnValue !== "save" || name === "") return
    changePerson({ ...person, name })
    editor?.focus()
  })
}

function wireCopyLink(): void {
  byId("copy-link").addEventListener("click", async () => {
    const link = shareLink(parameters.document)
    try {
      await navigator.clipboard.writeText(link)
      toast("Link copied")
    } catch {
      // No permission, or no clipboard outside secure contexts: let the person copy it.
      prompt("Copy this link", link)
    }
  })
}

/** Both pages show the same document, each a text of its own in it. */
function wireKinds(): void {
  for (const link of document.querySelectorAll<HTMLAnchorElement>(".kinds a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page")
    link.href = withDocument(link.pathname)
  }
}

let fading: ReturnType<typeof setTimeout> | undefined

function toast(message: string): void {
  const element = byId("toast")
  element.textContent = message
  element.classList.add("shown")
  clearTimeout(fading)
  fading = setTimeout(() => element.classList.remove("shown"), 4000)
}
