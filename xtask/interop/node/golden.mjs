// The golden files of protocol/golden, read and written with a stock MessagePack library.
import { deepStrictEqual, ok } from "node:assert"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

import { readAll, write, message } from "./wire.mjs"

const golden = process.argv[2]
const failures = []

const described = JSON.parse(readFileSync(join(golden, "frames.json"), "utf8"))
for (const { file, value } of described) {
  check(file, bytes => {
    const [frame, ...rest] = readAll(bytes)
    deepStrictEqual(rest, [])
    deepStrictEqual(plain(frame), plain(fromJson(value)))
    // The files are in MessagePack's shortest form, and so is what is written here.
    deepStrictEqual(Buffer.from(write(frame)), bytes)
  })
}

const messages = readdirSync(join(golden, "wire")).filter(file => file !== "stream.bin")
for (const file of messages) {
  check(join("wire", file), bytes => {
    const [channel, ...frames] = readAll(bytes)
    ok(frames.length > 0)
    deepStrictEqual(message(channel, ...frames), bytes)
  })
}

for (const failure of failures) console.log(`FAILED  ${failure}`)
console.log(`golden files, Node: ${described.length} frames, ${messages.length} messages, ${failures.length} failures`)
process.exitCode = failures.length > 0 || described.length === 0 || messages.length === 0 ? 1 : 0

function check(file, holds) {
  try {
    holds(readFileSync(join(golden, file)))
  } catch (error) {
    failures.push(`${file}: ${error.message}`)
  }
}

/** A value of frames.json, which writes what JSON has not as an object. */
function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson)
  if (value === null || typeof value !== "object") return value
  if (Object.keys(value).length === 1 && "bin" in value) return new Uint8Array(Buffer.from(value.bin, "hex"))
  if (Object.keys(value).length === 1 && "uint" in value) return BigInt(value.uint)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item)]))
}

/** With all integers as BigInt, because their width on the wire says nothing. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain)
  if (Number.isInteger(value)) return BigInt(value)
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
  }
  return value
}
