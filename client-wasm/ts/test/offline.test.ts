// Documents of a client that has no relay yet: the real core, the real shell, and a network that never answers.
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import wasmPath from "inkwire-wasm"
import { Core, loadCoreSync } from "../core.js"
import type { Doc } from "../document.js"
import { Closed, InkwireError, InternalError, OutboxFull } from "../errors.js"
import { Session } from "../session.js"
import { Dialer } from "../transport/race.js"
import type { TextChange } from "../containers.js"

loadCoreSync(readFileSync(new URL(wasmPath, import.meta.url)))

function offline(): Session {
  const never = () => new Promise<never>(() => undefined)
  const dialer = new Dialer({ webtransport: never, websocket: never, hasWebTransport: () => true, now: () => 0 })
  return new Session({ base: new URL("http://relay.test/"), token: "t", choice: "auto", dialer, agent: "test" })
}

const open = (): Doc => offline().open("notes").doc

test("a text keeps what JavaScript's strings would, and tells its observers", () => {
  const text = open().text("body")
  let mirror = ""
  const changes: TextChange[] = []
  const stop = text.observe(change => {
    changes.push(change)
    let at = 0
    for (const step of change.delta) {
      if ("retain" in step) at += step.retain
      else if ("insert" in step) {
        mirror = mirror.slice(0, at) + step.insert + mirror.slice(at)
        at += step.insert.length
      } else mirror = mirror.slice(0, at) + mirror.slice(at + step.delete)
    }
  })
  text.insert(0, "Hello")
  text.insert(5, ", wörld 😀!")
  text.delete(0, 1)
  text.insert(0, "J")
  assert.equal(text.toString(), "Jello, wörld 😀!")
  assert.equal(text.length, "Jello, wörld 😀!".length)
  assert.equal(mirror, text.toString())
  assert.deepEqual(new Set(changes.map(change => change.origin)), new Set(["local"]))
  stop()
  text.insert(0, "x")
  assert.equal(mirror, "Jello, wörld 😀!")
})

test("UTF-16: pairs are never cut, lone surrogates become U+FFFD", () => {
  const text = open().text("body")
  text.insert(0, "a😀b")
  text.insert(2, "x") // inside the pair: its start
  assert.equal(text.toString(), "ax😀b")
  text.delete(3, 1) // the second half: the whole pair
  assert.equal(text.toString(), "axb")
  text.insert(0, "\ud83d")
  text.insert(1, "\ude00z")
  assert.equal(text.toString(), "\ufffd\ufffdzaxb")
})

test("positions outside are a RangeError and change nothing", () => {
  const text = open().text("body")
  text.insert(0, "abc")
  for (const [at, count] of [[4, 1], [-1, 1], [0.5, 1], [NaN, 1], [2 ** 40, 1], [0, 4], [3, 1], [0, -1]] as const) {
    assert.throws(() => text.delete(at, count), RangeError, `delete ${at} ${count}`)
  }
  for (const at of [4, -1, 0.5, NaN, Infinity]) {
    assert.throws(() => text.insert(at, "x"), RangeError, `insert ${at}`)
    assert.throws(() => text.insert(at, ""), RangeError, `insert nothing at ${at}`)
  }
  assert.equal(text.toString(), "abc")
})

test("an observer that edits is told afterwards, in order", () => {
  const text = open().text("body")
  const seen: string[] = []
  text.observe(change => {
    seen.push(JSON.stringify(change.delta))
    if (text.length < 3) text.insert(text.length, "!")
  })
  text.observe(() => seen.push("second"))
  text.insert(0, "a")
  assert.equal(text.toString(), "a!!")
  assert.deepEqual(seen, [
    '[{"insert":"a"}]', "second", '[{"retain":1},{"insert":"!"}]', "second", '[{"retain":2},{"insert":"!"}]', "second",
  ])
})

test("a map holds every kind of value", () => {
  const map = open().map("meta")
  const seen: unknown[] = []
  map.observe(({ key, value, origin }) => seen.push([key, value, origin]))
  const bytes = new Uint8Array([0, 255])
  const values = { a: null, b: true, c: -7, d: 1.5, e: "ü😀", f: bytes, g: 2 ** 53, h: NaN } as const
  for (const [key, value] of Object.entries(values)) map.set(key, value)
  assert.deepEqual(map.entries(), Object.entries(values))
  assert.deepEqual(map.get("f"), bytes)
  map.delete("b")
  map.delete("never there")
  assert.equal(map.get("b"), undefined)
  assert.deepEqual(seen.at(-1), ["b", undefined, "local"])
  assert.equal(seen.length, 9)
  for (const value of [undefined, () => 1, 1n, Symbol("x")]) {
    assert.throws(() => map.set("x", value as never), TypeError)
  }
  assert.throws(() => map.set("x", "y".repeat(40_000)), (error: InkwireError) => error.code === "too_large")
  assert.equal(map.get("x"), undefined)
})

test("anchors stay with their characters", () => {
  const text = open().text("body")
  text.insert(0, "Hello world")
  const anchor = text.anchor(6)
  assert.equal(text.position(anchor), 6)
  assert.throws(() => text.anchor(12), RangeError)
  assert.equal(text.position("nonsense"), undefined)
})

test("edits are counted where they are, and the outbox is bounded but large", async () => {
  const session = offline()
  const open = session.open("notes")
  const text = open.doc.text("body")
  const edits = 300_000
  for (let edit = 0; edit < edits; edit++) {
    text.insert(edit % 7 === 0 ? 0 : text.length, "x")
    if (edit % 1000 === 0) await null
  }
  assert.equal(text.length, edits)
  assert.deepEqual([open.status.local, open.status.sent, open.status.durable], [edits, 0, 0])
  assert.equal(open.status.connection, "connecting")
  const paragraph = "y".repeat(30_000)
  assert.throws(() => {
    for (;;) {
      text.insert(0, paragraph)
      session.flushNow()
    }
  }, OutboxFull)
  const length = text.length
  assert.throws(() => text.insert(0, "z"), OutboxFull)
  assert.equal(text.length, length)
})

test("a closed document and a closed client say so", async () => {
  const session = offline()
  const one = session.open("one")
  const two = session.open("two").doc
  const unsaved = one.doc.text("t")
  unsaved.insert(0, "x")
  const durable = one.doc.durable()
  one.doc.close()
  await assert.rejects(durable, Closed)
  await assert.rejects(one.doc.synced, Closed)
  assert.throws(() => unsaved.insert(0, "x"), Closed)
  assert.equal(one.status.connection, "closed")
  assert.notEqual(session.open("one"), one, "opening again is a new one")
  session.close()
  await assert.rejects(two.synced, Closed)
  assert.throws(() => two.text("t").insert(0, "x"), Closed)
  assert.throws(() => session.open("three"), Closed)
  assert.throws(() => offline().open("").doc, (error: InkwireError) => error.code === "bad_document_name")
})

test("a trap poisons its core: typed, once told, and never entered again", () => {
  const told: InternalError[] = []
  const core = new Core(1n, "test", error => told.push(error))
  const trap = () => { throw new WebAssembly.RuntimeError("unreachable") }
  assert.throws(() => core.call(trap), InternalError)
  assert.throws(() => core.call(() => assert.fail("entered")), InternalError)
  assert.equal(told.length, 1)
})
