// Who may only read cannot write, and learns it at once.
import assert from "node:assert/strict"

import { assertDurable, assertShow, freshName, join } from "./lib/expect.mjs"
import * as page from "./lib/page.mjs"
import { scene } from "./lib/scene.mjs"

for (const transport of ["webtransport", "websocket"]) {
  scene(`a viewer's edit over ${transport} throws ReadOnly and does not linger`, {}, async ({ relay, start }) => {
    const document = freshName("viewer")
    const chromium = await start("chromium")
    const editor = await join(chromium, relay, { document, transport: "webtransport" })
    await editor.run(page.type, [[0, 0, "for all to read"]])
    await assertDurable(editor)
    const viewer = await join(chromium, relay, { document, transport, role: "viewer" })
    await assertShow([viewer], "for all to read")

    const refusal = await viewer.run(page.refusedEdit)
    assert.deepEqual(refusal, { readOnly: true, name: "ReadOnly", code: "read_only" })
    assert.equal(await viewer.run(page.text), "for all to read")

    // It goes on reading, and nothing of the edit comes back from anywhere.
    await editor.run(page.type, [[15, 0, ", still"]])
    await assertDurable(editor)
    await assertShow([viewer, editor], "for all to read, still")
  })
}
