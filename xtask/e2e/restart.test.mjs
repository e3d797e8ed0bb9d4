// The relay is killed and comes back: the pages go on by themselves, nothing is lost or doubled.
import assert from "node:assert/strict"

import { ARRIVAL_MILLIS, assertDurable, assertShow, freshName, join, sorted } from "./lib/expect.mjs"
import * as page from "./lib/page.mjs"
import { scene } from "./lib/scene.mjs"
import { parts, trace } from "./lib/trace.mjs"

/** Kills the relay when what is typed has begun to arrive, and brings it back. */
async function killAmid(relay, arriving) {
  await arriving
  await relay.kill()
  await relay.restart()
}

scene("killed in mid-typing", {}, async ({ relay, start }) => {
  const document = freshName("killed-typing")
  const { start: before, edits, text } = trace({ name: "seph-blog1", seed: 2, edits: 15_000 })
  const chromium = await start("chromium")
  const a = await join(chromium, relay, { document, transport: "webtransport" })
  const b = await join(chromium, relay, { document, transport: "websocket" })
  if (before) await a.run(page.type, [[0, 0, before]])
  for (const part of parts(edits, 3)) {
    const arriving = b.run(page.nextChange)
    const typing = a.run(page.type, part)
    await killAmid(relay, arriving)
    await typing
  }
  await assertDurable(a)
  await assertShow([a, b], text)
})

scene("killed while both type", {}, async ({ relay, start }) => {
  const document = freshName("killed-both")
  const chromium = await start("chromium")
  const a = await join(chromium, relay, { document, transport: "webtransport" })
  const b = await join(chromium, relay, { document, transport: "websocket" })
  const arriving = Promise.all([a, b].map(tab => tab.run(page.nextChange)))
  const typing = Promise.all([
    a.run(page.typeAnywhere, { seed: 5, count: 3_000, alphabet: "abcdefghijklm" }),
    b.run(page.typeAnywhere, { seed: 6, count: 3_000, alphabet: "nopqrstuvwxyz" }),
  ])
  await killAmid(relay, arriving)
  const expected = sorted((await typing).join(""))
  await assertDurable(a, b)
  for (const tab of [a, b]) {
    assert.equal(await tab.run(page.lengthWhen, { length: expected.length, millis: ARRIVAL_MILLIS }), expected.length)
  }
  const text = await a.run(page.text)
  assert.equal(sorted(text), expected)
  await assertShow([b], text)
})

scene("killed while all is idle", {}, async ({ relay, start }) => {
  const document = freshName("killed-idle")
  const chromium = await start("chromium")
  const a = await join(chromium, relay, { document, transport: "webtransport" })
  const b = await join(chromium, relay, { document, transport: "websocket" })
  await a.run(page.type, [[0, 0, "before "]])
  await assertDurable(a)
  await assertShow([b], "before ")
  await relay.kill()
  await Promise.all([a, b].map(tab => tab.run(page.connectionWhen, { connection: "reconnecting", millis: ARRIVAL_MILLIS })))
  await relay.restart()
  await Promise.all([a, b].map(tab => tab.run(page.connectionWhen, { connection: "connected", millis: ARRIVAL_MILLIS })))
  await b.run(page.type, [[7, 0, "and after"]])
  await assertDurable(b)
  await assertShow([a, b], "before and after")
  assert.equal((await a.run(page.status)).transport, "webtransport")
})
