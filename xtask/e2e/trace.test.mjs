// A whole trace typed through the public interface, watched over both transports, and many hands at once.
import assert from "node:assert/strict"

import { ARRIVAL_MILLIS, assertConverge, assertDurable, assertShow, freshName, join, sorted } from "./lib/expect.mjs"
import * as page from "./lib/page.mjs"
import { scene } from "./lib/scene.mjs"
import { parts, trace } from "./lib/trace.mjs"

scene("a whole trace over WebTransport reaches a WebSocket tab and one that joins in the middle", {}, async ({ relay, start }) => {
  const { start: before, edits, text } = trace({ name: "friendsforever_flat", seed: 1, edits: 30_000 })
  const document = freshName("trace")
  const chromium = await start("chromium")
  const a = await join(chromium, relay, { document, transport: "webtransport" })
  const b = await join(chromium, relay, { document, transport: "websocket" })
  if (before) await a.run(page.type, [[0, 0, before]])
  const [first, second] = parts(edits, 2)
  await a.run(page.type, first)
  const typing = a.run(page.type, second)
  const c = await join(chromium, relay, { document, transport: "auto", expect: "webtransport" })
  await typing
  await assertDurable(a)
  await assertShow([a, b, c], text)
})

scene("two tabs that type at once converge, and nothing is lost or doubled", {}, async ({ relay, start }) => {
  const document = freshName("together")
  const chromium = await start("chromium")
  const a = await join(chromium, relay, { document, transport: "webtransport" })
  const b = await join(chromium, relay, { document, transport: "websocket" })
  const typed = await Promise.all([
    a.run(page.typeAnywhere, { seed: 1, count: 2_000, alphabet: "abcdefghijklm" }),
    b.run(page.typeAnywhere, { seed: 2, count: 2_000, alphabet: "nopqrstuvwxyz" }),
  ])
  await assertDurable(a, b)
  const expected = sorted(typed.join(""))
  // Both have sent all; each waits for the other's last.
  for (const tab of [a, b]) {
    const arrived = await tab.run(page.lengthWhen, { length: expected.length, millis: ARRIVAL_MILLIS })
    assert.equal(arrived, expected.length, "characters typed by both")
  }
  assert.equal(sorted(await assertConverge([a, b])), expected)

  await Promise.all([
    a.run(page.typeAnywhere, { seed: 3, count: 1_000, alphabet: "äöü😀", deletions: true }),
    b.run(page.typeAnywhere, { seed: 4, count: 1_000, alphabet: "éèê𝒳", deletions: true }),
  ])
  await assertDurable(a, b)
  const c = await join(chromium, relay, { document, transport: "websocket" })
  await assertConverge([c, a, b])
})
