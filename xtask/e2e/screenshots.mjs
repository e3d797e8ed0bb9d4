// Pictures of the demo editor for the documentation: `node screenshots.mjs FOLDER`, through `cargo xtask screenshots`.
import { mkdirSync } from "node:fs"
import { join } from "node:path"

import { chromium } from "./lib/browsers.mjs"
import { Relay } from "./lib/relay.mjs"

const TEXT = `# Launch plan

We open the beta on **Thursday**. Everyone who writes here sees every keystroke, and the sign below says when it is *durable*.

## What is left

- The import of old documents keeps comments
- Naïve résumé, 東京, 😀: positions count what people see
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
  const places = [{ find: "Thursday", select: 8 }, { find: "- Rehearse", select: 0 }]
  for (const [index, { page }] of others.entries()) {
    await settled(page)
    await place(page, places[index])
  }
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

/** Puts the cursor where a text is, and selects so many characters from there, with keys as a person would. */
async function place(page, { find, select }) {
  await page.bringToFront()
  const at = await page.evaluate(find => {
    const text = window.inkwire.doc.text("body").toString()
    const before = text.slice(0, text.indexOf(find))
    return { lines: before.split("\n").length - 1, columns: before.length - (before.lastIndexOf("\n") + 1) }
  }, find)
  await page.click(".cm-content")
  await chord(page, "Control", "Home")
  for (let i = 0; i < at.lines; i++) await page.keyboard.press("ArrowDown")
  await page.keyboard.press("Home")
  for (let i = 0; i < at.columns; i++) await page.keyboard.press("ArrowRight")
  for (let i = 0; i < select; i++) await chord(page, "Shift", "ArrowRight")
}

async function chord(page, modifier, key) {
  await page.keyboard.down(modifier)
  await page.keyboard.press(key)
  await page.keyboard.up(modifier)
}
