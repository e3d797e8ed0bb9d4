// Every container through the real core, without a relay: what it holds, what it refuses, what it tells, and undo.
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import wasmPath from "inkwire-wasm"
import { loadCoreSync } from "../core.js"
import type { TextDelta } from "../delta.js"
import type { Doc } from "../document.js"
import { InkwireError } from "../errors.js"
import { Session } from "../session.js"
import { Dialer } from "../transport/race.js"
import type { Value } from "../values.js"

loadCoreSync(readFileSync(new URL(wasmPath, import.meta.url)))

function open(): Doc {
  const never = () => new Promise<never>(() => undefined)
  const dialer = new Dialer({ webtransport: never, websocket: never, hasWebTransport: () => true, now: () => 0 })
  const session = new Session({ base: new URL("http://relay.test/"), token: "t", choice: "auto", dialer, agent: "test" })
  return session.open("notes").doc
}

const NESTED: Value = { list: [1, -2.5, null, true, "ü", [new Uint8Array([1, 2])]], "__proto__x": { deep: { deeper: [] } } }

test("a list holds values in order", () => {
  const list = open().list("tasks")
  const changes: unknown[] = []
  list.observe(change => changes.push(change))
  list.push("a", 2, NESTED)
  list.insert(1, null)
  list.set(0, "A")
  list.delete(2)
  assert.deepEqual(list.toArray(), ["A", null, NESTED])
  assert.equal(list.length, 3)
  assert.deepEqual(list.get(2), NESTED)
  assert.equal(list.get(3), undefined)
  assert.deepEqual(changes[0], { delta: [{ insert: ["a", 2, NESTED] }], origin: "local" })
  assert.throws(() => list.insert(4, "x"), RangeError)
  assert.throws(() => list.delete(2, 2), RangeError)
  assert.throws(() => list.push(new Date() as never), TypeError)
  const circle: unknown[] = []
  circle.push(circle)
  assert.throws(() => list.push(circle as never), TypeError)
  assert.equal(list.length, 3)
})

test("a set holds each value once, by what it is", () => {
  const set = open().set("tags")
  const changes: unknown[] = []
  set.observe(change => changes.push(change))
  set.add("x")
  set.add([1, { a: 2 }])
  set.add([1, { a: 2 }])
  set.delete("x")
  assert.deepEqual(set.values(), [[1, { a: 2 }]])
  assert.deepEqual([set.size, set.has([1, { a: 2 }]), set.has("x")], [1, true, false])
  assert.deepEqual(changes, [
    { member: "x", has: true, origin: "local" },
    { member: [1, { a: 2 }], has: true, origin: "local" },
    { member: "x", has: false, origin: "local" },
  ])
})

test("a counter adds up whole numbers", () => {
  const counter = open().counter("votes")
  const values: number[] = []
  counter.observe(({ value }) => values.push(value))
  counter.add(5)
  counter.add(-7)
  assert.equal(counter.value, -2)
  assert.deepEqual(values, [5, -2])
  assert.throws(() => counter.add(0.5), RangeError)
  assert.throws(() => counter.add("1" as never), TypeError)
})

test("a map holds nested values", () => {
  const map = open().map("meta")
  map.set("k", NESTED)
  assert.deepEqual(map.get("k"), NESTED)
  assert.throws(() => map.set("k", "x".repeat(40_000)), (error: InkwireError) => error.code === "too_large")
  assert.deepEqual(map.get("k"), NESTED)
})

test("a text is formatted, and speaks deltas", () => {
  const text = open().text("body")
  const changes: (readonly TextDelta[])[] = []
  text.insert(0, "Hello world\nand more")
  text.observe(({ delta }) => changes.push(delta))
  text.format(0, 5, "bold", true)
  text.format(6, 5, "link", "https://example.org/")
  text.formatBlock(0, 0, "header", 1)
  text.format(2, 1, "bold", null)
  const shown: TextDelta[] = [
    { insert: "He", attributes: { bold: true } },
    { insert: "l" },
    { insert: "lo", attributes: { bold: true } },
    { insert: " " },
    { insert: "world", attributes: { link: "https://example.org/" } },
    { insert: "\n", attributes: { header: 1 } },
    { insert: "and more\n" },
  ]
  assert.deepEqual(text.toDelta(), shown)
  assert.deepEqual(changes[0], [{ retain: 5, attributes: { bold: true } }])
  assert.deepEqual(text.attributes(0), { bold: true })
  assert.deepEqual(text.attributes(11), { header: 1 })
  const copy = open().text("body")
  copy.setContents(shown)
  assert.deepEqual(copy.toDelta(), shown)
  copy.applyDelta([{ retain: 20, attributes: { italic: true } }, { insert: "!" }])
  assert.equal(copy.toString(), "Hello world\nand more!")
  assert.deepEqual(copy.attributes(15), { italic: true })
  assert.throws(() => copy.applyDelta([{ retain: 900 }, { insert: "x" }]), (error: InkwireError) => error.code === "bad_delta")
  for (const bad of [[{}], [{ retain: -1 }], [{ insert: { image: "x" } }], "x", [{ insert: "x", attributes: 1 }]]) {
    assert.throws(() => copy.applyDelta(bad as never), TypeError)
  }
  assert.equal(copy.toString(), "Hello world\nand more!")
})

test("anchors stay on their side", () => {
  const text = open().text("body")
  text.insert(0, "ab")
  const [after, before] = [text.anchor(1), text.anchor(1, "before")]
  text.insert(1, "XY")
  assert.deepEqual([text.position(after), text.position(before)], [1, 3])
  assert.throws(() => text.anchor(0, "left" as never), TypeError)
  for (const none of ["", "zz", "0", "start", "ff".repeat(500)]) assert.equal(text.position(none), undefined)
})

test("undo takes back own edits of every container, and redo makes them again", () => {
  const doc = open()
  const text = doc.text("body")
  const origins: string[] = []
  text.observe(({ origin }) => origins.push(origin))
  assert.deepEqual([doc.canUndo, doc.undo(), doc.redo()], [false, undefined, undefined])
  text.insert(0, "abc")
  doc.endUndoGroup()
  text.delete(1, 1)
  doc.list("l").push("x")
  doc.map("m").set("k", 1)
  doc.set("s").add("y")
  doc.counter("c").add(3)
  doc.withoutUndo(() => doc.counter("kept").add(1))
  const all = () => [text.toString(), doc.list("l").length, doc.map("m").get("k"), doc.set("s").size, doc.counter("c").value]
  assert.ok(doc.undo())
  assert.deepEqual(all(), ["abc", 0, undefined, 0, 0])
  assert.deepEqual([doc.canUndo, doc.canRedo], [true, true])
  assert.ok(doc.redo())
  assert.deepEqual(all(), ["ac", 1, 1, 1, 3])
  doc.undo()
  assert.deepEqual(doc.undo()?.at(-1), { kind: "text", name: "body", index: 0, length: 0 })
  assert.deepEqual([text.toString(), doc.canUndo, doc.counter("kept").value], ["", false, 1])
  assert.deepEqual([...new Set(origins)], ["local", "undo"])
})
