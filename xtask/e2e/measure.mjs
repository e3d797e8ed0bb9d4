// The figures of the documentation: `cargo xtask measure`. Replays traces natively for each pair of transports and in both
// orders of opening, then from one Chromium page to another, and prints Markdown.
import { execFile } from "node:child_process"
import { promisify } from "node:util"

import { chromium } from "./lib/browsers.mjs"
import { freshName, join } from "./lib/expect.mjs"
import { Relay, required } from "./lib/relay.mjs"
import * as page from "./lib/replay.mjs"
import { madeFile, trace, traceFile } from "./lib/trace.mjs"

const TRACES = ["automerge-paper", "seph-blog1"]
/** Where there are no real traces. */
const SEED = 1
const MADE_EDITS = 100_000

const NATIVE = ["webtransport", "wtransport", "websocket"]
const IN_PAGES = ["webtransport", "websocket"]

/** Edits between two marks whose latency is taken, in pages. */
const EVERY = 50
/** Edits a second, and how many, of the runs that show latency without a queue. */
const PACED = { rate: 200, edits: 4_000 }

const WAIT_MILLIS = 200_000

const ends = []
const session = { after: end => ends.push(end) }
try {
  await measure()
} finally {
  for (const end of ends.reverse()) await end()
}

async function measure() {
  const relay = await Relay.start(session)
  row("replay", "writer", "observer", "opens first", "edits/s", "seen p50 ms", "seen p99 ms", "durable p50 ms", "durable p99 ms", "bytes/edit", "text")
  row(...Array(11).fill("---"))
  for (const name of TRACES) {
    const file = traceFile({ name, seed: SEED, edits: MADE_EDITS })
    for (const writer of NATIVE) for (const observer of NATIVE) for (const first of ["writer", "observer"]) {
      await native(relay, name, file, [], { writer, observer, first })
    }
  }
  const paced = madeFile(SEED, PACED.edits)
  for (const transport of NATIVE) {
    const pair = { writer: transport, observer: transport, first: "writer" }
    await native(relay, `${PACED.rate} edits/s`, paced, ["--rate", String(PACED.rate)], pair)
  }
  for (const name of TRACES) for (const writer of IN_PAGES) for (const observer of IN_PAGES) {
    await pages(relay, name, wholeTrace(name), { writer, observer })
  }
  for (const transport of IN_PAGES) {
    const some = trace({ name: TRACES[0], seed: SEED, edits: PACED.edits })
    await pages(relay, `${PACED.rate} edits/s`, some, { writer: transport, observer: transport, rate: PACED.rate })
  }
}

function wholeTrace(name) {
  return trace({ name, seed: SEED, edits: process.env.INKWIRE_TRACES ? Infinity : MADE_EDITS })
}

/** One run of the load tester. */
async function native(relay, name, file, flags, { writer, observer, first }) {
  const args = ["replay", "--json", "--url", relay.origin, "--trace", file, "--writer", writer, "--observer", observer, "--first", first]
  // It exits with 1, its figures printed, when the texts differ.
  const { stdout } = await promisify(execFile)(required("INKWIRE_LOADTEST"), [...args, ...flags]).catch(failed => failed)
  const { edits_per_second, seen_ms, durable_ms, bytes_per_edit, text_equal } = JSON.parse(stdout)
  const latencies = [seen_ms.p50, seen_ms.p99, durable_ms.p50, durable_ms.p99].map(fixed)
  row(name, writer, observer, first, count(edits_per_second), ...latencies, fixed(bytes_per_edit), verdict(text_equal))
}

/** One run from page to page, in a browser of its own. */
async function pages(relay, name, { start, edits, text }, { writer, observer, rate }) {
  const document = freshName("measure")
  const ends = []
  const browser = await chromium({ after: end => ends.push(end) })
  try {
    const from = await join(browser, relay, { document, transport: writer })
    const to = await join(browser, relay, { document, transport: observer })
    await to.run(page.watchMarks)
    if (start) await from.run(page.replay, { edits: [[0, 0, start]], every: Infinity })
    const before = await received(relay)
    const arrived = to.run(page.wholeAt, { expected: text, millis: WAIT_MILLIS })
    const { began, made, durable, ended } = await from.run(page.replay, { edits, every: EVERY, rate })
    const whole = await arrived
    const bytes = (await received(relay)) - before
    const seen = await to.run(page.marksSeen)
    const seconds = (Math.max(whole ?? Infinity, ended) - began) / 1000
    const latencies = [seen, durable].flatMap(times => {
      const all = Object.keys(made).filter(mark => times[mark]).map(mark => times[mark] - made[mark]).sort((a, b) => a - b)
      return [0.5, 0.99].map(part => fixed(all[Math.floor(part * (all.length - 1))]))
    })
    row(`${name}, in pages`, writer, observer, "writer", count(edits.length / seconds), ...latencies, fixed(bytes / edits.length), verdict(whole !== null))
  } finally {
    for (const end of ends) await end()
  }
}

/** Bytes of frames that the relay has received so far; in a replay nearly all are the writer's. */
async function received(relay) {
  const metrics = await (await fetch(`${relay.origin}/metrics`)).text()
  const [, bytes] = /^inkwire_bytes_received_total (\d+)/m.exec(metrics) ?? []
  if (!bytes) throw new Error("the relay has no metric inkwire_bytes_received_total")
  return Number(bytes)
}

function row(...cells) {
  console.log(`| ${cells.join(" | ")} |`)
}

function count(number) {
  return Math.round(number).toLocaleString("en")
}

function fixed(number) {
  return number === undefined ? "–" : number.toFixed(1)
}

function verdict(equal) {
  return equal ? "exact" : "DIFFERS"
}
