// A test with a relay and browsers, which says what both had said when it fails.
import { test } from "node:test"

import * as browsers from "./browsers.mjs"
import { Relay } from "./relay.mjs"

/** Bounds one test, browsers' starts included. */
const TEST_MILLIS = 300_000

/**
 * Runs a test with a relay of its own.
 *
 * @param work is given the relay and a function that starts a browser by its engine's name
 */
export function scene(name, options, work) {
  test(name, { timeout: TEST_MILLIS }, async context => {
    const tabs = []
    const relay = await Relay.start(context, await options.relay?.(context))
    const start = async engine => {
      const browser = await browsers[engine](context)
      return {
        tab: async url => {
          const tab = await browser.tab(url)
          tabs.push(tab)
          return tab
        },
      }
    }
    try {
      await work({ context, relay, start })
    } catch (error) {
      tabs.forEach((tab, index) => context.diagnostic(`tab ${index} said: ${tab.said.slice(-20).join("\n") || "nothing"}`))
      context.diagnostic(`the relay's log ends:\n${relay.log()}`)
      throw error
    }
  })
}
