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

const VIEWS = [
  { name: "editor", width: 1280, height: 800, scheme: "light" },
  { name: "editor-dark", width: 1280, height: 800, scheme: "dark" },
  { name: "editor-narrow", width: 390, height: 780, scheme: "light" },
  { name: "editor-narrow-dark", width: 390, height: 780, scheme: "dark" },
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
  const relay = await Relay.start(session)
  const browser = await chromium(session)
  const address = `${relay.origin}/?document=${encodeURIComponent("acme/launch-plan")}`
  const [{ page: mine }, ...others] = [await browser.tab(address), await browser.tab(address), await browser.tab(address)]
  await settled(mine)
  await mine.evaluate(text => {
    const body = window.inkwire.doc.text("body")
    body.insert(0, text)
  }, TEXT)
  // The others write at places of their own, with a selection here and there, as their cursors show.
  const places = [{ find: "Thursday", clicks: 2 }, { find: "restart", clicks: 1 }]
  for (const [index, { page }] of others.entries()) {
    await settled(page)
    await place(page, places[index])
  }
  await place(mine, { find: "crash", clicks: 1 })
  await mine.keyboard.press("End")
  for (const { name, width, height, scheme } of VIEWS) {
    await mine.bringToFront()
    await mine.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }])
    await mine.setViewport({ width, height, deviceScaleFactor: 2 })
    await mine.waitForSelector('#save[data-state="durable"]')
    await mine.waitForSelector("#people li:nth-child(2)")
    await mine.waitForNetworkIdle()
    await mine.screenshot({ path: join(folder, `${name}.png`) })
  }
}

async function settled(page) {
  await page.waitForSelector(".cm-content")
  await page.waitForSelector('#save[data-state="durable"]')
}

/** Puts the cursor where a text is, with the mouse as a person would: a double click selects the word. */
async function place(page, { find, clicks }) {
  await page.bringToFront()
  const { x, y } = await page.evaluate(find => {
    const walker = document.createTreeWalker(document.querySelector(".cm-content"), NodeFilter.SHOW_TEXT)
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
  }, find)
  await page.mouse.click(x, y, { count: clicks })
}
