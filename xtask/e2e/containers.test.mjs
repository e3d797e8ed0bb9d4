// Each container through the public interface in two tabs: both edit, both come to hold the same, and undo takes back one's own.
import assert from "node:assert/strict"

import { ARRIVAL_MILLIS, assertDurable, freshName, join } from "./lib/expect.mjs"
import * as page from "./lib/containers.mjs"
import { scene } from "./lib/scene.mjs"

const BOLD = { bold: true }

/**
 * For each container: what both tabs do from the same state at the same time, what both hold then, and what they hold after
 * the first tab's undo. Steps are method calls.
 */
const CASES = {
  list: {
    first: [["push", "a", 1, { nested: [true, null, 2.5] }]],
    a: [["insert", 1, "from a"], ["delete", 0]],
    b: [["push", "from b", ["x"]]],
    both: ["from a", 1, { nested: [true, null, 2.5] }, "from b", ["x"]],
    undone: ["a", 1, { nested: [true, null, 2.5] }, "from b", ["x"]],
  },
  map: {
    first: [["set", "kept", { deep: { deeper: [1, 2] } }], ["set", "gone", 1]],
    a: [["set", "a", "ü😀"], ["delete", "gone"]],
    b: [["set", "b", [1.5, -1]]],
    both: { a: "ü😀", b: [1.5, -1], kept: { deep: { deeper: [1, 2] } } },
    undone: { b: [1.5, -1], gone: 1, kept: { deep: { deeper: [1, 2] } } },
  },
  set: {
    first: [["add", "x"], ["add", { y: [1] }]],
    a: [["add", "a"], ["delete", "x"]],
    // Adding again wins over the removal that does not know of it.
    b: [["add", "x"], ["add", "b"]],
    both: ["a", "b", "x", { y: [1] }],
    undone: ["b", "x", { y: [1] }],
  },
  counter: {
    first: [["add", 10]],
    a: [["add", 5], ["add", -1]],
    b: [["add", 100]],
    both: 114,
    undone: 110,
  },
  text: {
    first: [["insert", 0, "bold from both\nsecond line"]],
    a: [["format", 0, 5, "bold", true], ["formatBlock", 0, 0, "header", 2]],
    b: [["format", 5, 9, "bold", true], ["format", 16, 6, "link", "https://example.org/"]],
    both: [
      { insert: "bold from both", attributes: BOLD }, { insert: "\n", attributes: { header: 2 } },
      { insert: "s" }, { insert: "econd ", attributes: { link: "https://example.org/" } }, { insert: "line\n" },
    ],
    // What the other made bold stays. (Where both did as well.)
    undone: [
      { insert: "bold " }, { insert: "from both", attributes: BOLD }, { insert: "\ns" },
      { insert: "econd ", attributes: { link: "https://example.org/" } }, { insert: "line\n" },
    ],
  },
}

for (const [kind, { first, a, b, both, undone }] of Object.entries(CASES)) {
  scene(`${kind}: two tabs edit one at the same time and hold the same`, {}, async ({ relay, start }) => {
    const chromium = await start("chromium")
    const document = freshName(kind)
    const one = await join(chromium, relay, { document, transport: "webtransport" })
    const two = await join(chromium, relay, { document, transport: "websocket" })
    const comes = async expected => {
      for (const tab of [one, two]) {
        const held = await tab.run(page.heldWhen, { kind, expected, millis: ARRIVAL_MILLIS })
        assert.deepEqual(held, expected)
      }
    }
    await one.run(page.act, { kind, steps: first })
    await assertDurable(one)
    await comes(await one.run(page.heldWhen, { kind }))
    await two.run(page.watch, { kind })
    await one.run(page.endGroup)
    await Promise.all([one.run(page.act, { kind, steps: a }), two.run(page.act, { kind, steps: b })])
    await comes(both)
    assert.deepEqual(await two.run(page.origins), ["local", "remote"])
    if (undone !== undefined) {
      assert.ok(await one.run(page.undo))
      await comes(undone)
      assert.ok(await one.run(page.redo))
      await comes(both)
    }
    await assertDurable(one, two)
  })
}
