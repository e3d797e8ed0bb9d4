import type Quill from "quill"
import type { Range } from "quill"

interface Tool {
  readonly label: string
  /** Of a grid of 20 × 20, drawn in lines. */
  readonly icon: string
  readonly kind: string
  readonly value: unknown
}

const line = (path: string) => `<path d="${path}" fill="none" stroke="currentColor" stroke-width="1.700" stroke-linecap="round" stroke-linejoin="round"/>`
const letter = (text: string, style = "") => `<text x="10" y="14.500" text-anchor="middle" font-size="13" font-weight="600" fill="currentColor" style="${style}">${text}</text>`
const LINES = "M8.500 5.500h8m-8 4.500h8m-8 4.500h8"

const GROUPS: readonly (readonly Tool[])[] = [
  [
    { label: "Heading 1", icon: letter("H1"), kind: "header", value: 1 },
    { label: "Heading 2", icon: letter("H2"), kind: "header", value: 2 },
    { label: "Heading 3", icon: letter("H3"), kind: "header", value: 3 },
  ],
  [
    { label: "Bold", icon: letter("B", "font-weight: 800"), kind: "bold", value: true },
    { label: "Italic", icon: letter("I", "font-style: italic; font-family: var(--text-font)"), kind: "italic", value: true },
    { label: "Underline", icon: letter("U", "text-decoration: underline"), kind: "underline", value: true },
    { label: "Strikethrough", icon: letter("S", "text-decoration: line-through"), kind: "strike", value: true },
    { label: "Code", icon: line("m7 6.500-3.500 3.500 3.500 3.500m6-7 3.500 3.500-3.500 3.500"), kind: "code", value: true },
    { label: "Link", icon: line("M8.500 11.500a3 3 0 0 0 4.300 0l2.700-2.700a3 3 0 0 0-4.300-4.300l-.8.8m1.100 3.200a3 3 0 0 0-4.300 0l-2.700 2.700a3 3 0 0 0 4.300 4.300l.8-.8"), kind: "link", value: undefined },
  ],
  [
    { label: "Bulleted list", icon: `<circle cx="4.500" cy="5.500" r="1.300" fill="currentColor"/><circle cx="4.500" cy="10" r="1.300" fill="currentColor"/><circle cx="4.500" cy="14.500" r="1.300" fill="currentColor"/>${line(LINES)}`, kind: "list", value: "bullet" },
    { label: "Numbered list", icon: `<text x="2.500" y="7.600" font-size="6" font-weight="700" fill="currentColor">1</text><text x="2.500" y="16.600" font-size="6" font-weight="700" fill="currentColor">2</text>${line(LINES)}`, kind: "list", value: "ordered" },
    { label: "Quote", icon: line("M4 5.500v9m4-8h8.500m-8.500 3.500h8.500m-8.500 3.500h5"), kind: "blockquote", value: true },
    { label: "Code block", icon: `<rect x="3" y="4" width="14" height="12" rx="2.500" fill="none" stroke="currentColor" stroke-width="1.500"/>${line("m8.500 8-2 2 2 2m3-4 2 2-2 2")}`, kind: "code-block", value: true },
  ],
]

const UNDO = line("M7.500 4.500 4 8l3.500 3.500M4 8h7.500a4 4 0 0 1 0 8H9")
const REDO = line("M12.500 4.500 16 8l-3.500 3.500M16 8H8.500a4 4 0 0 0 0 8H11")

/** The buttons over a rich text. They say what the selection shows. */
export class Toolbar {
  readonly #bar: HTMLElement
  readonly #quill: Quill
  readonly #tools: { readonly tool: Tool; readonly button: HTMLButtonElement }[] = []
  readonly #undo: HTMLButtonElement
  readonly #redo: HTMLButtonElement
  readonly #can: () => [boolean, boolean]
  #scheduled = false

  constructor(bar: HTMLElement, quill: Quill, history: { undo(): void; redo(): void }, can: () => [boolean, boolean]) {
    this.#bar = bar
    this.#quill = quill
    this.#can = can
    bar.className = "tools"
    bar.setAttribute("role", "toolbar")
    bar.setAttribute("aria-label", "Formatting")
    this.#undo = makeButton("Undo", UNDO, () => history.undo())
    this.#redo = makeButton("Redo", REDO, () => history.redo())
    bar.append(group([this.#undo, this.#redo]))
    for (const tools of GROUPS) {
      bar.append(group(tools.map(tool => {
        const button = makeButton(tool.label, tool.icon, () => this.#apply(tool))
        button.dataset.format = tool.value === undefined || tool.value === true ? tool.kind : `${tool.kind}-${tool.value}`
        button.setAttribute("aria-pressed", "false")
        this.#tools.push({ tool, button })
        return button
      })))
    }
    quill.on("editor-change", () => this.update())
    this.update()
  }

  #apply(tool: Tool): void {
    const range = this.#quill.getSelection(true)
    const shown = this.#quill.getFormat(range)[tool.kind]
    if (tool.kind === "link") void this.#link(range, typeof shown === "string" ? shown : "")
    else this.#quill.format(tool.kind, shown === tool.value ? false : tool.value, "user")
    this.update()
  }

  /** Asks for an address. Without a selection the whole of the link at the cursor is meant, or the address is put in. */
  async #link(range: Range, shown: string): Promise<void> {
    const given = await askForLink(shown)
    if (given === undefined) return
    const href = given === "" ? false : withScheme(given)
    if (range.length > 0) this.#quill.formatText(range.index, range.length, "link", href, "user")
    else if (shown !== "") {
      const [from, to] = this.#linkAround(range.index, shown)
      this.#quill.formatText(from, to - from, "link", href, "user")
    } else if (href) {
      this.#quill.insertText(range.index, given, "link", href, "user")
      this.#quill.setSelection(range.index + given.length, 0, "user")
    }
    this.#quill.focus()
  }

  #linkAround(index: number, href: string): [number, number] {
    const has = (at: number) => this.#quill.getFormat(at, 1).link === href
    let [from, to] = [index, index]
    while (from > 0 && has(from - 1)) from--
    while (to < this.#quill.getLength() - 1 && has(to)) to++
    return [from, to]
  }

  /** Shows what the selection shows, once for what happens together. */
  update(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      const range = this.#quill.getSelection()
      const shown = range ? this.#quill.getFormat(range) : {}
      for (const { tool, button } of this.#tools) {
        const value = shown[tool.kind]
        const pressed = tool.value === undefined ? value !== undefined : value === tool.value
        button.setAttribute("aria-pressed", String(pressed))
      }
      const [undo, redo] = this.#can()
      this.#undo.disabled = !undo
      this.#redo.disabled = !redo
    })
  }

  /** For those who may only read. */
  hide(hidden: boolean): void {
    this.#bar.hidden = hidden
  }
}

function group(buttons: HTMLButtonElement[]): HTMLElement {
  const element = document.createElement("div")
  element.className = "tool-group"
  element.append(...buttons)
  return element
}

function makeButton(label: string, icon: string, run: () => void): HTMLButtonElement {
  const button = document.createElement("button")
  button.type = "button"
  button.className = "tool"
  button.title = label
  button.setAttribute("aria-label", label)
  button.innerHTML = `<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">${icon}</svg>`
  // The selection stays where it is.
  button.addEventListener("pointerdown", event => event.preventDefault())
  button.addEventListener("click", run)
  return button
}

/** An address that someone typed without a scheme. */
function withScheme(address: string): string {
  return /^([a-z][a-z0-9+.-]*:|\/|#)/i.test(address) ? address : `https://${address}`
}

/** The address that the person gives, empty to take the link away, undefined when given up. */
function askForLink(shown: string): Promise<string | undefined> {
  const dialog = document.createElement("dialog")
  dialog.className = "rename"
  dialog.innerHTML = `
    <form method="dialog">
      <h2>Link</h2>
      <input name="href" type="text" inputmode="url" autocomplete="off" spellcheck="false" placeholder="https://" aria-label="Address of the link">
      <menu><button value="cancel" type="submit">Cancel</button><button value="remove" type="submit">Remove</button><button class="primary" value="save" type="submit">Save</button></menu>
    </form>`
  const input = dialog.querySelector("input")!
  input.value = shown
  dialog.querySelector<HTMLElement>("[value=remove]")!.hidden = shown === ""
  // Enter saves: the first submit button of a form would be Cancel.
  input.addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.isComposing) return
    event.preventDefault()
    dialog.close("save")
  })
  document.body.append(dialog)
  dialog.showModal()
  input.select()
  return new Promise(resolve => {
    dialog.addEventListener("close", () => {
      dialog.remove()
      const given = input.value.trim()
      resolve(dialog.returnValue === "remove" ? "" : dialog.returnValue === "save" && given !== "" ? given : undefined)
    })
  })
}
