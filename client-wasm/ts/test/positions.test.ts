import assert from "node:assert/strict"
import { test } from "node:test"
import { EditorState } from "@codemirror/state"
import { Unshown, changesOf } from "../codemirror.js"
import { readChanges } from "../document.js"
import { difference, movePosition } from "../positions.js"
import { saveLabel, saveState } from "../../page/save-sign.js"
import type { StatusSnapshot } from "../status.js"

test("the smallest replacement, at the caret where several fit", () => {
  const table: [string, string, number, [number, number, string]][] = [
    ["", "a", 1, [0, 0, "a"]],
    ["aaa", "aaaa", 1, [0, 0, "a"]],
    ["aaa", "aaaa", 3, [2, 0, "a"]],
    ["hello", "help", 4, [3, 2, "p"]],
    ["abcabc", "abc", 3, [3, 3, ""]],
    ["abcabc", "abc", 0, [0, 3, ""]],
    ["same", "same", 2, [2, 0, ""]],
    // Never half a surrogate pair: 😀 is d83d de00, 😁 is d83d de01.
    ["😀", "😁", 2, [0, 2, "😁"]],
    ["a😀", "a😀😀", 5, [3, 0, "😀"]],
    ["a😀b", "ab", 1, [1, 2, ""]],
  ]
  for (const [before, after, caret, [at, removed, inserted]] of table) {
    const found = difference(before, after, caret)
    assert.equal(before.slice(0, found.at) + found.inserted + before.slice(found.at + found.removed), after)
    assert.deepEqual(found, { at, removed, inserted }, `${before} → ${after} at ${caret}`)
  }
})

test("the replacement always gives the new text, and never cuts a pair", () => {
  const alphabet = ["a", "b", "😀", "😁", "\n"]
  let state = 42
  const random = (below: number) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % below
  const word = () => Array.from({ length: random(6) }, () => alphabet[random(alphabet.length)]).join("")
  for (let round = 0; round < 5000; round++) {
    const [before, after] = [word(), word()]
    const { at, removed, inserted } = difference(before, after, random(after.length + 1))
    assert.equal(before.slice(0, at) + inserted + before.slice(at + removed), after)
    for (const piece of [inserted, before.slice(0, at), before.slice(at, at + removed)]) {
      assert.ok(!/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(piece), `${before} → ${after}`)
    }
  }
})

test("positions move with a change", () => {
  const delta = [{ retain: 2 }, { insert: "xx" }, { delete: 3 }]
  const moved = [0, 1, 2, 3, 4, 5, 6].map(position => movePosition(position, delta))
  assert.deepEqual(moved, [0, 1, 2, 4, 4, 4, 5])
})

test("the core's flat changes", () => {
  const flat = [
    0, "body", 1, 3, 2, undefined, "hi", { bold: true }, -4, undefined,
    1, "meta", 0, "title", "Plan",
    1, "meta", 0, "gone", undefined,
    2, "tasks", 1, 3, 1, ["a", { b: 1 }], -2,
    3, "tags", 0, "x", true,
    4, "votes", 0, 3,
    0, "body", 2, 1, "x", undefined,
  ]
  assert.deepEqual(readChanges(flat), [
    { kind: "text", name: "body", change: { delta: [{ retain: 2 }, { insert: "hi", attributes: { bold: true } }, { delete: 4 }], origin: "local" } },
    { kind: "map", name: "meta", change: { key: "title", value: "Plan", origin: "remote" } },
    { kind: "map", name: "meta", change: { key: "gone", value: undefined, origin: "remote" } },
    { kind: "list", name: "tasks", change: { delta: [{ retain: 1 }, { insert: ["a", { b: 1 }] }, { delete: 2 }], origin: "local" } },
    { kind: "set", name: "tags", change: { member: "x", has: true, origin: "remote" } },
    { kind: "counter", name: "votes", change: { value: 3, origin: "remote" } },
    { kind: "text", name: "body", change: { delta: [{ insert: "x" }], origin: "undo" } },
  ])
})

test("a delta in CodeMirror's positions, all of the old document", () => {
  assert.deepEqual(changesOf([{ retain: 1 }, { delete: 2 }, { insert: "ab" }, { retain: 3 }, { insert: "c" }]), [
    { from: 1, to: 3, insert: "" },
    { from: 3, to: 3, insert: "ab" },
    { from: 6, to: 6, insert: "c" },
  ])
})

test("what is typed while changes wait to be shown ends up equal in view and text", () => {
  let seed = 7
  const random = (below: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below
  for (let round = 0; round < 300; round++) {
    let text = "the first words"
    let state = EditorState.create({ doc: text, extensions: [EditorState.lineSeparator.of("\n")] })
    const unshown = new Unshown()
    for (let step = 0; step < 40; step++) {
      const action = random(5)
      if (action < 2) {
        const at = random(text.length + 1)
        const removed = random(Math.min(4, text.length - at) + 1)
        const insert = ["", "x", "yz\n", "\r\n"][random(4)]!
        text = text.slice(0, at) + insert + text.slice(at + removed)
        const delta = [{ retain: at }, { insert }, { delete: removed }]
        unshown.add(state, delta.filter(step => Object.values(step)[0] !== 0 && Object.values(step)[0] !== ""))
      } else if (action < 4) {
        const at = random(state.doc.length + 1)
        const to = at + random(Math.min(3, state.doc.length - at) + 1)
        const transaction = state.update({ changes: { from: at, to, insert: ["", "A", "BC"][random(3)]! } })
        unshown.pass(transaction.changes).iterChanges((fromA, toA, fromB, _toB, inserted) => {
          text = text.slice(0, fromB) + inserted.sliceString(0, inserted.length, "\n") + text.slice(fromB + toA - fromA)
        })
        state = transaction.state
      } else {
        const changes = unshown.take()
        if (changes) state = state.update({ changes }).state
        assert.equal(state.sliceDoc(), text)
      }
      assert.equal(unshown.lengthAfter(state), text.length)
    }
  }
})

test("the sign says durable only when all of it is", () => {
  const base: StatusSnapshot = {
    connection: "connected", transport: "websocket", local: 0, sent: 0, durable: 9, role: "editor", paused: null, synced: true, error: null,
  }
  const table: [Partial<StatusSnapshot>, string][] = [
    [{}, "Saved durably"],
    [{ local: 1 }, "Saving… 1 edit to send"],
    [{ local: 2, sent: 5 }, "Saving… 2 edits to send"],
    [{ sent: 1200 }, "Sent, saving 1,200 edits…"],
    [{ connection: "reconnecting", local: 3 }, "Offline: 3 edits kept in this tab"],
    [{ connection: "reconnecting", sent: 1 }, "Offline: 1 edit kept in this tab"],
    [{ connection: "connecting", synced: false }, "Opening…"],
    [{ connection: "closed", local: 1, sent: 1 }, "Stopped: 2 edits not saved"],
    [{ role: "viewer" }, "Up to date"],
  ]
  for (const [change, label] of table) {
    const status = { ...base, ...change }
    assert.equal(saveLabel(saveState(status), status), label)
  }
})
