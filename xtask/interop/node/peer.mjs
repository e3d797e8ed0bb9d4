// The WebSocket peer of the interop suite: does what lines of JSON on its standard input say, and answers each.
// xtask/tests/interop.rs says what; xtask/interop/python/peer.py takes the same lines over WebTransport.
import { createInterface } from "node:readline"
import { isDeepStrictEqual } from "node:util"

import { Session } from "./client.mjs"

const PATIENCE_MILLIS = 40_000

const [url, subject] = process.argv.slice(2)
const session = await Session.connect(url, subject, "interop-node/1.0")
let document
answer({ ready: session.subject })
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const order = JSON.parse(line)
    await inTime(perform(order))
    answer("view" in order ? view() : {})
  } catch (error) {
    answer({ error: error.message, view: document && view() })
  }
}
await session.close()

async function perform(order) {
  const [[name, value]] = Object.entries(order)
  if (name === "open") document = await session.open(value)
  else if (name === "append") document.append(...value)
  else if (name === "delete_first") document.deleteFirst(value)
  else if (name === "set") document.set(...value)
  else if (name === "remove") document.remove(...value)
  else if (name === "presence") document.setPresence(value)
  else if (name === "await") await session.until(() => isDeepStrictEqual(view(), value))
  else if (name === "await_entries") await session.until(() => entries(value[0]) === value[1])
  else if (name === "durable") await session.until(() => document.allDurable)
  else if (name === "leave") await document.leave()
  else if (name !== "view") throw new Error(`unknown order ${name}`)
}

function entries(map) {
  return Object.keys(document.replica.map(map)).length
}

/** What this peer sees, in the form that the other peers answer in. */
function view() {
  const { replica, present } = document
  const texts = [...replica.texts].map(([name, text]) => [name, String(text)]).filter(([, text]) => text !== "")
  const maps = replica.maps().map(name => [name, replica.map(name)])
  const json = {
    texts: Object.fromEntries(texts),
    maps: Object.fromEntries(maps.filter(([, entries]) => Object.keys(entries).length > 0)),
    presence: Object.fromEntries([...present.values()].map(({ subject, state }) => [subject, state])),
  }
  // Integers that came in 64 bits.
  return JSON.parse(JSON.stringify(json, (_, value) => (typeof value === "bigint" ? Number(value) : value)))
}

async function inTime(promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("waited in vain")), PATIENCE_MILLIS)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
