// What the tests of all engines ask of texts and tabs.
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"

import * as page from "./page.mjs"

/** Until a text that is there reaches a tab, generously: a busy machine, or the backoff after a lost connection. */
export const ARRIVAL_MILLIS = 60_000

/** A document that no other test opens. */
export const freshName = topic => `e2e/${topic}/${randomUUID()}`

/** The small page that a tab of the public interface is on: any of the relay's does. */
export const blank = origin => `${origin}/healthz`

/** Opens the document in a new tab over the transport, which is checked. */
export async function join(browser, relay, { document, transport, expect = transport, ...rest }) {
  const tab = await browser.tab(blank(relay.origin))
  const opened = await tab.run(page.open, { document, transport, ...rest })
  assert.equal(opened.transport, expect, "the transport in use")
  return tab
}

/** Each tab comes to show exactly the text. */
export async function assertShow(tabs, expected) {
  const shown = await Promise.all(tabs.map(tab => tab.run(page.textWhen, { expected, millis: ARRIVAL_MILLIS })))
  shown.forEach((text, index) => assertText(text, expected, `tab ${index}`))
}

/** Everything typed in the tabs is durable, and says so truthfully. */
export async function assertDurable(...tabs) {
  for (const left of await Promise.all(tabs.map(tab => tab.run(page.durable)))) {
    assert.deepEqual(left, { local: 0, sent: 0 }, "what is not durable after durable()")
  }
}

/** All tabs come to show the same text, which is returned. */
export async function assertConverge(tabs) {
  const [first, ...others] = tabs
  const expected = await first.run(page.text)
  await assertShow(others, expected)
  // The first may itself have lagged behind when it was asked.
  assertText(await first.run(page.text), expected, "tab 0, asked again")
  return expected
}

/**
 * The page comes to show what is expected.
 *
 * @param shown runs in the page and gives what a person sees there
 */
export async function assertShown(page, shown, expected) {
  // What throws is not there yet. Puppeteer would stop looking, without a word, and wait for the end of its time.
  const shows = new Function("expected", `try { return (${shown})() === expected } catch { return false }`)
  // A tab that is behind another draws nothing, as little as for a person.
  await page.bringToFront()
  await page.waitForFunction(shows, { timeout: ARRIVAL_MILLIS, polling: 50 }, expected).catch(async error => {
    assert.equal(await page.evaluate(shown), expected, error.message)
    throw error
  })
}

/** Characters of a text in order, so that texts of the same characters are equal. */
export const sorted = text => [...text].sort().join("")

/** Equal, or else where they part: a whole document in a message helps nobody. */
export function assertText(actual, expected, what) {
  if (actual === expected) return
  let at = 0
  while (at < actual.length && actual[at] === expected[at]) at++
  const around = text => JSON.stringify(text.slice(Math.max(0, at - 20), at + 40))
  assert.fail(`${what} has ${actual.length} code units, not ${expected.length}; from ${at}: ${around(actual)}, not ${around(expected)}`)
}
