// Editing traces: real ones where they lie, else those of a seeded model of a typist.
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"

import { required } from "./relay.mjs"

/**
 * A trace as `{ start, edits, text }`: edits are `[position, deleted, inserted]` in UTF-16 code units, as the client's
 * interface counts, and `text` is what they make of `start`.
 *
 * @param name the real trace to take where there are any
 * @param seed the typist's, where there are none
 * @param edits how many to take, from the beginning
 */
export function trace({ name, seed, edits }) {
  return convert(JSON.parse(process.env.INKWIRE_TRACES ? gunzipSync(readFileSync(real(name))) : made(seed, edits)), edits)
}

/** The same as a file that the load tester takes; all of the trace where it is a real one. */
export function traceFile({ name, seed, edits }) {
  return process.env.INKWIRE_TRACES ? real(name) : madeFile(seed, edits)
}

/** The model's trace as a file. */
export function madeFile(seed, edits) {
  const file = join(required("INKWIRE_SCRATCH"), `typist-${seed}-${edits}.json`)
  writeFileSync(file, made(seed, edits))
  return file
}

function real(name) {
  const file = join(process.env.INKWIRE_TRACES, `${name}.json.gz`)
  if (!existsSync(file)) throw new Error(`INKWIRE_TRACES is set, but there is no ${file}`)
  return file
}

function made(seed, edits) {
  const typist = ["typist", "--seed", String(seed), "--edits", String(edits)]
  return execFileSync(required("INKWIRE_LOADTEST"), typist, { maxBuffer: 1 << 28 })
}

/** Counts code points, as traces do, into code units. */
function convert({ startContent, endContent, txns }, limit) {
  const text = new Gap(startContent)
  const edits = []
  for (const [position, deleted, inserted] of txns.flatMap(({ patches }) => patches).slice(0, limit)) {
    text.moveTo(position)
    edits.push([text.unitsBefore, text.delete(deleted), inserted])
    text.insert(inserted)
  }
  const made = text.toString()
  const whole = edits.length === txns.reduce((count, { patches }) => count + patches.length, 0)
  if (whole && made !== endContent) throw new Error("the trace's edits do not make its final text")
  return { start: startContent, edits, text: made }
}

/** A text as code points before and after a cursor, the latter in reverse: cheap where edits come close to each other. */
class Gap {
  #before = []
  #after

  /** Code units before the cursor. */
  unitsBefore = 0

  constructor(text) {
    this.#after = [...text].reverse()
  }

  moveTo(position) {
    while (this.#before.length > position) {
      const point = this.#before.pop()
      this.unitsBefore -= point.length
      this.#after.push(point)
    }
    while (this.#before.length < position) this.#push(this.#after.pop())
  }

  insert(text) {
    for (const point of text) this.#push(point)
  }

  /** Deletes code points after the cursor and says how many code units they were. */
  delete(count) {
    let units = 0
    for (let i = 0; i < count; i++) units += this.#after.pop().length
    return units
  }

  toString() {
    return this.#before.join("") + [...this.#after].reverse().join("")
  }

  #push(point) {
    this.#before.push(point)
    this.unitsBefore += point.length
  }
}

/** The edits in `count` parts of about the same length. */
export function parts(edits, count) {
  const length = Math.ceil(edits.length / count)
  return Array.from({ length: count }, (_, part) => edits.slice(part * length, (part + 1) * length))
}
