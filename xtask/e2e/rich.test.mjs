// The rich-text page as a person uses it: keys and buttons in one tab, seen in the other; an undo that is one's own.
import assert from "node:assert/strict"

import { ARRIVAL_MILLIS, assertShown as assertPageShown, freshName } from "./lib/expect.mjs"
import { scene } from "./lib/scene.mjs"

const EDITOR = ".ql-editor"

async function openRich(browser, relay, document, transport) {
  const { page } = await browser.tab(`${relay.origin}/rich.html?document=${encodeURIComponent(document)}&transport=${transport}`)
  await page.waitForSelector(EDITOR)
  await page.waitForSelector(`#transport[data-transport="${transport}"]`)
  return page
}

/** What the editor shows, as its elements, others' cursors left out. */
const shown = () => document.querySelector(".ql-editor").innerHTML
  .replace(/<span class="ql-ui"[^>]*><\/span>/g, "").replace(/ (rel|target)="[^"]*"/g, "")

const assertShown = (page, expected) => assertPageShown(page, shown, expected)

async function press(page, ...keys) {
  for (const key of keys.slice(0, -1)) await page.keyboard.down(key)
  await page.keyboard.press(keys.at(-1))
  for (const key of keys.slice(0, -1).reverse()) await page.keyboard.up(key)
}

/** Selects by keys, from the text's start. */
async function select(page, from, length) {
  await press(page, "Control", "Home")
  for (let i = 0; i < from; i++) await page.keyboard.press("ArrowRight")
  for (let i = 0; i < length; i++) await press(page, "Shift", "ArrowRight")
}

const click = (page, format) => page.click(`.tool[data-format="${format}"]`)

scene("rich text: both tabs format, each undoes its own, and sees the other's cursor", {}, async ({ relay, start }) => {
  const chromium = await start("chromium")
  const document = freshName("rich")
  const a = await openRich(chromium, relay, document, "webtransport")
  const b = await openRich(chromium, relay, document, "websocket")

  await a.bringToFront()
  await a.click(EDITOR)
  await a.keyboard.type("The plan\nfirst and second")
  await select(a, 0, 0)
  await click(a, "header-1")
  await assertShown(b, "<h1>The plan</h1><p>first and second</p>")

  // Bold on both sides, at the same place of different words.
  await b.click(EDITOR)
  await select(b, 19, 6)
  await click(b, "bold")
  await assertShown(a, "<h1>The plan</h1><p>first and <strong>second</strong></p>")
  await select(a, 9, 5)
  await press(a, "Control", "b")
  const both = "<h1>The plan</h1><p><strong>first</strong> and <strong>second</strong></p>"
  await assertShown(b, both)
  await assertShown(a, both)
  await a.waitForSelector("#people li")
  for (const page of [a, b]) {
    await page.bringToFront()
    await page.waitForSelector(".ink-cursors .ink-caret")
  }

  // Undo takes back what this tab did, whatever came after it from the other.
  await b.bringToFront()
  await b.click(EDITOR)
  await press(b, "Control", "End")
  await b.keyboard.type(" of b")
  const withB = "<h1>The plan</h1><p><strong>first</strong> and <strong>second of b</strong></p>"
  await assertShown(a, withB)
  await press(a, "Control", "Home")
  await a.keyboard.type("A: ")
  await assertShown(b, withB.replace("The", "A: The"))
  await press(b, "Control", "z")
  const withA = both.replace("The", "A: The")
  await assertShown(b, withA)
  await assertShown(a, withA)
  await press(a, "Control", "z")
  await assertShown(a, both)
  await press(b, "Control", "Shift", "z")
  await assertShown(a, withB)

  // Lists and links.
  await a.click(EDITOR)
  await press(a, "Control", "End")
  await a.keyboard.press("Enter")
  await a.keyboard.type("an item")
  await click(a, "list-bullet")
  await a.keyboard.press("Enter")
  await a.keyboard.type("site")
  for (let i = 0; i < 4; i++) await press(a, "Shift", "ArrowLeft")
  await click(a, "link")
  await a.waitForSelector("dialog[open] input[name=href]")
  await a.keyboard.type("example.org")
  await a.keyboard.press("Enter")
  await a.waitForSelector('#save[data-state="durable"]', { timeout: ARRIVAL_MILLIS })
  await assertShown(b, await a.evaluate(shown))
  assert.match(await b.evaluate(shown), /<li data-list="bullet">an item<\/li><li data-list="bullet">.*<a href="https:\/\/example\.org">/)

  // One document, two texts: the other page is a click away.
  const address = await a.$eval('.kinds a:not([aria-current])', link => link.href)
  assert.equal(new URL(address).searchParams.get("document"), document)
})

scene("rich text: who may only read sees it and has no buttons", {}, async ({ relay, start }) => {
  const chromium = await start("chromium")
  const document = freshName("rich-viewer")
  const a = await openRich(chromium, relay, document, "websocket")
  await a.click(EDITOR)
  await a.keyboard.type("to be read")
  const { page: b } = await chromium.tab(`${relay.origin}/rich.html?document=${encodeURIComponent(document)}&role=viewer`)
  await assertShown(b, "<p>to be read</p>")
  await b.waitForSelector("#view-only:not([hidden])")
  await b.waitForSelector(".tools[hidden]")
  assert.equal(await b.$eval(EDITOR, editor => editor.isContentEditable), false)
})
