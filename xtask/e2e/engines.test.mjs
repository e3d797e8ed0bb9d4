// The main path in the other engines: Firefox over WebTransport, and WebKitGTK, which has none, over WebSocket.
import { assertDurable, assertShow, freshName, join } from "./lib/expect.mjs"
import * as page from "./lib/page.mjs"
import { scene } from "./lib/scene.mjs"
import { parts, trace } from "./lib/trace.mjs"

const ENGINES = [
  { engine: "firefox", transport: "webtransport", expect: "webtransport", seed: 3 },
  { engine: "webkit", transport: "auto", expect: "websocket", seed: 4 },
]

for (const { engine, transport, expect, seed } of ENGINES) {
  scene(`${engine} over ${expect} and Chromium read each other's typing, through a restart`, {}, async ({ relay, start }) => {
    const document = freshName(engine)
    const { start: before, edits, text } = trace({ name: "seph-blog1", seed, edits: 5_000 })
    const chromium = await start("chromium")
    const other = await start(engine)
    const ours = await join(other, relay, { document, transport, expect })
    const theirs = await join(chromium, relay, { document, transport: "webtransport" })
    const [first, second, third] = parts(edits, 3)
    if (before) await ours.run(page.type, [[0, 0, before]])
    await ours.run(page.type, first)
    await assertDurable(ours)

    // The same trace goes on in the other engine, so all of the first part must be there, and exactly.
    await assertShow([theirs], await ours.run(page.text))
    await theirs.run(page.type, second)
    await assertDurable(theirs)
    await assertShow([ours], await theirs.run(page.text))

    const arriving = theirs.run(page.nextChange)
    const typing = ours.run(page.type, third)
    await arriving
    await relay.kill()
    await relay.restart()
    await typing
    await assertDurable(ours)
    await assertShow([ours, theirs], text)
  })
}
