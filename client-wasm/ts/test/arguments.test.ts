// What a page without types may hand in by mistake: an error at once, of a class that says so, and nothing else happens.
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import wasmPath from "inkwire-wasm"
import { loadCoreSync } from "../core.js"
import { InkwireError } from "../errors.js"
import { connect } from "../index.js"
import { MAX_PRESENCE_BYTES } from "../presence.js"
import { Session } from "../session.js"
import { Dialer } from "../transport/race.js"

loadCoreSync(readFileSync(new URL(wasmPath, import.meta.url)))

function offline(): Session {
  const never = () => new Promise<never>(() => undefined)
  const dialer = new Dialer({ webtransport: never, websocket: never, hasWebTransport: () => true, now: () => 0 })
  return new Session({ base: new URL("http://relay.test/"), token: "t", choice: "auto", dialer, agent: "test" })
}

/** What is no string, no whole number, no callback. */
const noStrings = [undefined, null, 5, 1n, true, {}, [], () => "x", Symbol("x"), new String("x")]
const noNumbers = [undefined, null, "0", 1n, true, {}, [], () => 0, Symbol("x"), new Number(0)]
const noIndexes = [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 32, 2 ** 60]
const noFunctions = [undefined, null, 5, "x", {}]
/** Not quite a Uint8Array: what only looks like one would fail inside the core. */
const noValues = [
  undefined, () => 1, 1n, Symbol("x"), new Date(0), new Map(), new ArrayBuffer(1), new Uint16Array(1),
  new Number(1), new String("x"), Object.create(Uint8Array.prototype), new Proxy(new Uint8Array(1), {}),
  [undefined], { a: new Date(0) }, [[1n]],
]

// Anything goes in here, as from a page in plain JavaScript.
type Loose = any

test("arguments of a wrong type are a TypeError, change nothing and leave the client at work", () => {
  const session = offline()
  const doc: Loose = session.open("notes").doc
  const text: Loose = doc.text("body")
  const map: Loose = doc.map("meta")
  text.insert(0, "abc")
  map.set("k", "v")
  doc.presence.set("here")
  const { local } = doc.status

  const calls: [string, unknown[], (value: Loose) => void][] = [
    ["client.open", noStrings, value => session.open(value)],
    ["doc.text", noStrings, value => doc.text(value)],
    ["doc.map", noStrings, value => doc.map(value)],
    ["doc.observeRefused", noFunctions, value => doc.observeRefused(value)],
    ["doc.status.observe", noFunctions, value => doc.status.observe(value)],
    ["doc.presence.observe", noFunctions, value => doc.presence.observe(value)],
    ["text.insert string", noStrings, value => text.insert(0, value)],
    ["text.insert index", noNumbers, value => text.insert(value, "x")],
    ["text.insert nothing at", noNumbers, value => text.insert(value, "")],
    ["text.delete index", noNumbers, value => text.delete(value, 1)],
    ["text.delete count", noNumbers, value => text.delete(0, value)],
    ["text.anchor", noNumbers, value => text.anchor(value)],
    ["text.position", noStrings, value => text.position(value)],
    ["text.observe", noFunctions, value => text.observe(value)],
    ["map.get", noStrings, value => map.get(value)],
    ["map.set key", noStrings, value => map.set(value, 1)],
    ["map.set value", noValues, value => map.set("k", value)],
    ["map.delete", noStrings, value => map.delete(value)],
    ["map.observe", noFunctions, value => map.observe(value)],
  ]
  for (const [name, values, call] of calls) {
    for (const value of values) {
      assert.throws(() => call(value), TypeError, `${name}(${typeof value})`)
      assert.equal(session.error, undefined, `${name}(${typeof value})`)
    }
  }
  const outside: [string, (index: number) => void][] = [
    ["text.insert", index => text.insert(index, "x")],
    ["text.delete index", index => text.delete(index, 1)],
    ["text.delete count", index => text.delete(0, index)],
    ["text.anchor", index => text.anchor(index)],
  ]
  for (const [name, call] of outside) {
    for (const index of noIndexes) assert.throws(() => call(index), RangeError, `${name} at ${index}`)
  }

  assert.equal(text.toString(), "abc")
  assert.deepEqual(map.entries(), [["k", "v"]])
  assert.equal(doc.presence.own, "here")
  assert.equal(doc.status.local, local)
  text.insert(3, "d")
  assert.equal(text.toString(), "abcd")
})

test("names that are too long for a text, a map or a key are refused by name, also before anything is there", () => {
  const session = offline()
  const { doc } = session.open("notes")
  const long = "n".repeat(257)
  const tooLarge = (error: InkwireError) => error.code === "too_large"
  assert.throws(() => doc.text(long).insert(0, "x"), tooLarge)
  assert.throws(() => doc.map(long).set("k", 1), tooLarge)
  assert.throws(() => doc.map("meta").set(long, 1), tooLarge)
  assert.equal(session.error, undefined)
})

test("a presence state that is no JSON is a TypeError, one that is too large says its size and the limit", () => {
  const session = offline()
  const { doc } = session.open("notes")
  const presence: Loose = doc.presence
  const circular: Loose = {}
  circular.self = circular
  presence.set({ name: "Ada" })
  const no = [undefined, circular, 1n, { n: 1n }, () => 1, Symbol("x"), { toJSON: () => undefined }]
  for (const state of no) {
    assert.throws(() => presence.set(state), (error: Error) => error instanceof TypeError && /presence/.test(error.message))
  }
  const limit = "x".repeat(MAX_PRESENCE_BYTES - 2)
  assert.throws(() => presence.set(limit + "ü"), (error: InkwireError) => {
    assert.ok(error instanceof InkwireError)
    assert.equal(error.code, "presence_too_large")
    assert.match(error.message, /\b514\b.*\b512\b/)
    return true
  })
  assert.deepEqual(presence.own, { name: "Ada" })
  presence.set(limit)
  session.flushNow()
  presence.set(null)
  session.flushNow()
  assert.equal(session.error, undefined)
})

test("connect refuses what is no option", async () => {
  const table: [string, Loose][] = [
    ["nothing", undefined],
    ["no url", { token: "t" }],
    ["url null", { url: null, token: "t" }],
    ["url number", { url: 5, token: "t" }],
    ["url of another scheme", { url: "ftp://relay.test", token: "t" }],
    ["no token", { url: "http://relay.test" }],
    ["transport", { url: "http://relay.test", token: "t", transport: "carrier" }],
    ["timeout string", { url: "http://relay.test", token: "t", timeout: "5" }],
    ["signal", { url: "http://relay.test", token: "t", signal: {} }],
  ]
  for (const [name, options] of table) await assert.rejects(connect(options), TypeError, name)
  for (const timeout of [-1, NaN]) {
    await assert.rejects(connect({ url: "http://relay.test", token: "t", timeout }), RangeError, `timeout ${timeout}`)
  }
})

test("an endless timeout does not end at once", async () => {
  const never = new AbortController()
  const connecting = connect({ url: "http://relay.test", token: "t", timeout: Infinity, signal: never.signal })
  setTimeout(() => never.abort(new Error("enough")), 50)
  await assert.rejects(connecting, /enough/)
})

test("a document's name is looked at before it is opened, and the error says which rule it breaks", () => {
  const session = offline()
  for (const name of ["a", "acme/specs/roadmap", "ä/ö", "a b", "*", ".", "n".repeat(256), "ä".repeat(128), "😀".repeat(64)]) {
    assert.equal(session.open(name).name, name)
  }
  const table: [string, RegExp][] = [
    ["", /empty/],
    ["/", /segment/], ["/a", /segment/], ["a/", /segment/], ["a//b", /segment/],
    ["a\nb", /control/], ["a\0", /control/], ["\u0085", /control/], ["\u007f", /control/], ["\u009f", /control/],
    ["n".repeat(257), /257.*256/], ["ä".repeat(129), /258.*256/], ["😀".repeat(65), /260.*256/], ["n".repeat(2 ** 20), /1048576.*256/],
  ]
  for (const [name, rule] of table) {
    assert.throws(() => session.open(name), (error: InkwireError) => {
      assert.ok(error instanceof InkwireError, name)
      assert.equal(error.code, "bad_document_name", name)
      assert.match(error.message, rule, name)
      assert.ok(error.message.length < 500)
      return true
    })
  }
  assert.equal(session.error, undefined)
})

test("a lone surrogate in a name is U+FFFD, as everywhere: the same document, text and map", () => {
  const session = offline()
  const open = session.open("a\ud800")
  assert.equal(open.name, "a\ufffd")
  assert.equal(session.open("a\ufffd"), open)
  const text = open.doc.text("\udc00b")
  assert.equal(open.doc.text("\ufffdb"), text)
  assert.equal(open.doc.map("\ud800"), open.doc.map("\ufffd"))
  assert.equal(open.doc.text("😀").name, "😀")
  const seen: unknown[] = []
  text.observe(({ delta }) => seen.push(delta))
  text.insert(0, "x")
  assert.deepEqual(seen, [[{ insert: "x" }]])
})
