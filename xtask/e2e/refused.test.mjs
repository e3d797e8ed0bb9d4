// Edits that the relay refuses go back to the application, with what they were.
import assert from "node:assert/strict"

import * as containers from "./lib/containers.mjs"
import { ARRIVAL_MILLIS, assertDurable, assertShow, freshName, join } from "./lib/expect.mjs"
import * as page from "./lib/page.mjs"
import { scene } from "./lib/scene.mjs"

for (const transport of ["webtransport", "websocket"]) {
  scene(`edits of one who may only read by now come back, over ${transport}`, {}, async ({ relay, start }) => {
    const document = freshName("refused")
    const chromium = await start("chromium")
    // Its token soon ends.
    const tab = await join(chromium, relay, { document, transport, ttl: 5 })
    const act = (kind, ...steps) => tab.run(containers.act, { kind, steps })
    await tab.run(page.type, [[0, 0, "kept"]])
    await act("set", ["add", "old"])
    await assertDurable(tab)

    // Without a relay everything is possible; when it is back, the next token says otherwise.
    await tab.run(page.demote, { role: "viewer" })
    await relay.kill()
    await tab.run(page.connectionWhen, { connection: "reconnecting", millis: ARRIVAL_MILLIS })
    await tab.run(page.type, [[4, 0, " and löst 🦀"], [0, 2, ""]])
    await act("text", ["insert", 0, "title"], ["format", 0, 5, "bold", true])
    await act("map", ["set", "title", { of: ["Plan", 1.5, null] }], ["delete", "title"])
    await act("list", ["insert", 0, "a", 2])
    await act("set", ["add", "new"], ["delete", "old"])
    await act("counter", ["add", -7])
    await tab.run(page.demoted)
    await relay.restart()

    const { typed, same, message, edits, content, ...rest } = await tab.run(page.refusal)
    assert.deepEqual(rest, { name: "Refusal", code: "read_only", omitted: 0 })
    assert.ok(typed && same, "the observer gets a Refusal, and durable() rejects with it")
    assert.match(message, /read-only/)
    assert.deepEqual(content, EXPECTED)
    assert.equal(edits, 10)
    await assertShow([tab], "kept")
    assert.deepEqual(await tab.run(containers.heldWhen, { kind: "set" }), ["old"])
  })
}

const EXPECTED = [
  { name: "body", kind: "text", text: " and löst 🦀" },
  { name: "body", kind: "deleted", count: 2 },
  { name: "e2e", kind: "text", text: "title" },
  { name: "e2e", kind: "format", key: "bold", value: true },
  { name: "e2e", kind: "set", key: "title", value: { of: ["Plan", 1.5, null] } },
  // A value of undefined, which does not come out of the page.
  { name: "e2e", kind: "set", key: "title" },
  { name: "e2e", kind: "values", values: ["a", 2] },
  { name: "e2e", kind: "members", members: ["new"] },
  { name: "e2e", kind: "deleted", count: 1 },
  { name: "e2e", kind: "amount", amount: -7 },
]
