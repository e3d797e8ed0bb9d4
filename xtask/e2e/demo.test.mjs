// The demo editor as a person uses it: real key events in one tab, seen in the other.
import assert from "node:assert/strict"

import { ARRIVAL_MILLIS, assertShown as assertPageShown, freshName } from "./lib/expect.mjs"
import { scene } from "./lib/scene.mjs"

const EDITOR = ".cm-content"

/** Opens the demo in a tab of its own and waits until one can type. */
async function openDemo(browser, relay, document, transport) {
  const { page } = await browser.tab(`${relay.origin}/?document=${encodeURIComponent(document)}&transport=${transport}`)
  await page.waitForSelector(EDITOR)
  const badge = await page.waitForSelector("#transport:not([hidden])")
  assert.equal(await badge.evaluate(element => element.dataset.transport), transport)
  return page
}

/** What a person reads in the editor, other people's names beside their cursors left out. */
function shown() {
  const lines = [...document.querySelectorAll(".cm-content > .cm-line")].map(line => {
    const copy = line.cloneNode(true)
    copy.querySelectorAll("[contenteditable=false], .cm-widgetBuffer, [aria-hidden=true]").forEach(widget => widget.remove())
    return copy.textContent
  })
  return lines.join("\n")
}

const assertShown = (page, expected) => assertPageShown(page, shown, expected)

const assertSaved = (page, state) => page.waitForSelector(`#save[data-state="${state}"]`, { timeout: ARRIVAL_MILLIS })

scene("keys typed into the demo page are seen in the other tab, and its sign tells the truth", {}, async ({ relay, start }) => {
  const chromium = await start("chromium")
  const document = freshName("demo")
  const a = await openDemo(chromium, relay, document, "webtransport")
  const b = await openDemo(chromium, relay, document, "websocket")

  await a.bringToFront()
  await a.click(EDITOR)
  await a.keyboard.type("Hello, wrld")
  for (let i = 0; i < 3; i++) await a.keyboard.press("ArrowLeft")
  await a.keyboard.type("o")
  await a.keyboard.press("End")
  await a.keyboard.press("Enter")
  await a.keyboard.type("Second line!")
  await a.keyboard.press("Backspace")
  await assertShown(b, "Hello, world\nSecond line")
  await assertSaved(b, "durable")
  await assertSaved(a, "durable")

  // Each sees the other's face and cursor, and the other's typing answers.
  await b.click(EDITOR)
  await b.keyboard.down("Control")
  await b.keyboard.press("End")
  await b.keyboard.up("Control")
  await b.keyboard.type(" from both")
  await assertShown(a, "Hello, world\nSecond line from both")
  for (const page of [a, b]) await page.waitForSelector("#people li")

  // Without a relay nothing may be called saved; with it again everything is.
  await a.bringToFront()
  await relay.kill()
  await a.keyboard.type("?")
  await assertSaved(a, "offline")
  await relay.restart()
  await assertSaved(a, "durable")
  await assertShown(b, await a.evaluate(shown))
})

scene("the demo puts a document's name into its address, without a redirect", {}, async ({ relay, start }) => {
  const chromium = await start("chromium")
  const { page } = await chromium.tab(relay.origin)
  await page.waitForSelector(EDITOR)
  const address = new URL(page.url())
  assert.equal(address.pathname, "/")
  assert.ok(address.searchParams.get("document"), `no document in ${address}`)
})
