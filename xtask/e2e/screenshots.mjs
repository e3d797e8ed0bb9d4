// Pictures of the demo editor for the documentation: `node screenshots.mjs FOLDER`, through `cargo xtask screenshots`.
import { mkdirSync } from "node:fs"
import { join } from "node:path"

import { chromium } from "./lib/browsers.mjs"
import { Relay } from "./lib/relay.mjs"

const TEXT = `# Launch plan

We open the beta on **Thursday**. Everyone who writes here sees every keystroke, and the sign below says when it is *durable*.

## What is left

- The import of old documents keeps comments
- Naïve résumé, ελληνικά, русский: positions count what people see
- Rehearse the restart while all of us type

> An edit that is called saved survives any crash.

`

/** The same plan in the rich-text editor. */
const RICH = [
  { insert: "Launch plan" }, { insert: "\n", attributes: { header: 1 } },
  { insert: "We open the beta on " }, { insert: "Thursday", attributes: { bold: true } },
  { insert: ". Everyone who writes here sees every keystroke, and the sign below says when it is " },
  { insert: "durable", attributes: { italic: true } }, { insert: ".\n" },
  { insert: "What is left" }, { insert: "\n", attributes: { header: 2 } },
  { insert: "The import of old documents keeps comments" }, { insert: "\n", attributes: { list: "bullet" } },
  { insert: "The " }, { insert: "page of cases", attributes: { link: "https://example.org/cases" } },
  { insert: " is read by someone else" }, { insert: "\n", attributes: { list: "bullet" } },
  { insert: "Rehearse the restart while all of us type" }, { insert: "\n", attributes: { list: "bullet" } },
  { insert: "Then, in this order" }, { insert: "\n", attributes: { header: 3 } },
  { insert: "Tag the release" }, { insert: "\n", attributes: { list: "ordered" } },
  { insert: "Run " }, { insert: "cargo xtask test", attributes: { code: true } }, { insert: " once more" },
  { insert: "\n", attributes: { list: "ordered" } },
  { insert: "An edit that is called saved survives any crash." }, { insert: "\n", attributes: { blockquote: true } },
]

/** Each page, where its editor is, and how a tab gets its content. */
const PAGES = [
  { path: "/", prefix: "editor", editor: ".cm-content", fill: text => window.inkwire.doc.text("body").insert(0, text), content: TEXT },
  { path: "/rich.html", prefix: "rich", editor: ".ql-editor", fill: delta => window.inkwire.doc.text("rich").applyDelta(delta), content: RICH },
]

const VIEWS = [
  { name: "", width: 1280, height: 800, scheme: "light" },
  { name: "-dark", width: 1280, height: 800, scheme: "dark" },
  { name: "-narrow", width: 390, height: 780, scheme: "light" },
  { name: "-narrow-dark", width: 390, height: 780, scheme: "dark" },
]

const [folder] = process.argv.slice(2)
if (!folder) throw new Error("usage: node screenshots.mjs FOLDER")
mkdirSync(folder, { recursive: true })

const ends = []
const session = { after: end => ends.push(end) }
try {
  await take()
} finally {
  for (const end of ends.reverse()) await end()
}

async function take() {
  for (const shown of PAGES) await takePage(await Relay.start(session), await chromium(session), shown)
}

async function takePage(relay, browser, { path, prefix, editor, fill, content }) {
  const address = `${relay.origin}${path}?document=${encodeURIComponent("acme/launch-plan")}`
  const [{ page: mine }, ...others] = [await browser.tab(address), await browser.tab(address), await browser.tab(address)]
  await settled(mine, editor)
  await mine.evaluate(fill, content)
  // The others write at places of their own, with a selection here and there, as their cursors show.
  const places = [{ find: "Thursday", clicks: 2 }, { find: "restart", clicks: 1 }]
  for (const [index, { page }] of others.entries()) {
    await settled(page, editor)
    await place(page, editor, places[index])
  }
  await place(mine, editor, { find: "crash", clicks: 1 })
  await mine.keyboard.press("End")
  for (const { name, width, height, scheme } of VIEWS) {
    await mine.bringToFront()
    await mine.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }])
    await mine.setViewport({ width, height, deviceScaleFactor: 2 })
    await mine.waitForSelector('#save[data-state="durable"]')
    await mine.waitForSelector("#people li:nth-child(2)")
    await mine.waitForNetworkIdle()
    await mine.screenshot({ path: join(folder, `${prefix}${name}.png`) })
  }
}

async function settled(page, editor) {
  await page.waitForSelector(editor)
  await page.waitForSelector('#save[data-state="durable"]')
}

/** Puts the cursor where a text is, with the mouse as a person would: a double click selects the word. */
async function place(page, editor, { find, clicks }) {
  await page.bringToFront()
  await page.waitForFunction((editor, find) => document.querySelector(editor).textContent.includes(find), {}, editor, find)
  const { x, y } = await page.evaluate((editor, find) => {
    const walker = document.createTreeWalker(document.querySelector(editor), NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const start = node.textContent.indexOf(find)
      if (start < 0) continue
      const range = document.createRange()
      range.setStart(node, start)
      range.setEnd(node, start + find.length)
      const box = range.getBoundingClientRect()
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
    }
    throw new Error(`the editor does not show ${find}`)
  }, editor, find)
  await page.mouse.click(x, y, { count: clicks })
}
