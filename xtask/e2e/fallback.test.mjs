// Where UDP does not come through, `auto` is on WebSocket soon.
import assert from "node:assert/strict"

import { assertDurable, assertShow, blank, freshName, join } from "./lib/expect.mjs"
import { TcpOnly } from "./lib/network.mjs"
import * as page from "./lib/page.mjs"
import { scene } from "./lib/scene.mjs"

const FALLBACK_MILLIS = 2_000

let network
const options = {
  relay: async context => {
    network = await TcpOnly.reserve(context)
    return { flags: ["--allow-origin", network.origin] }
  },
}

scene("UDP swallowed: auto falls back to WebSocket within 2 s", options, async ({ relay, start }) => {
  network.joinTo(relay.port)
  const document = freshName("fallback")
  const chromium = await start("chromium")
  const a = await chromium.tab(blank(network.origin))
  const { transport, millis } = await a.run(page.open, { document, transport: "auto" })
  assert.equal(transport, "websocket")
  assert.ok(millis < FALLBACK_MILLIS, `connected after ${millis} ms`)

  const b = await join(chromium, relay, { document, transport: "auto", expect: "webtransport" })
  await a.run(page.type, [[0, 0, "through TCP alone"]])
  await assertDurable(a)
  await assertShow([b], "through TCP alone")
})
