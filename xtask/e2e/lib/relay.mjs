// A real relay process on a data directory of its own, which can be killed and started again where it was.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"

const READY_MILLIS = 20_000
const LOG_TAIL_BYTES = 6_000

export class Relay {
  /** Starts a relay on a free port; `flags` go to `inkwire serve`. It is ended with the test. */
  static async start(test, { flags = [], port = 0 } = {}) {
    const scratch = required("INKWIRE_SCRATCH")
    mkdirSync(scratch, { recursive: true })
    const relay = new Relay(mkdtempSync(join(scratch, "relay-")), flags)
    test.after(() => relay.kill())
    await relay.#spawn(port)
    return relay
  }

  #process
  #flags
  #folder

  constructor(folder, flags) {
    this.#folder = folder
    this.#flags = flags
  }

  /** The relay's base, such as `http://localhost:4433`. */
  origin

  get port() {
    return Number(new URL(this.origin).port)
  }

  /** SIGKILL: nothing is flushed, no connection is closed. */
  async kill() {
    if (!this.#process) return
    const exited = this.#process.exitCode === null && this.#process.signalCode === null ? once(this.#process, "exit") : null
    this.#process.kill("SIGKILL")
    await exited
    this.#process = undefined
  }

  /** Starts again on the same port and data. */
  async restart() {
    await this.#spawn(this.port)
  }

  /** The end of the relay's log, for a failed test. */
  log() {
    return readFileSync(join(this.#folder, "log"), "utf8").slice(-LOG_TAIL_BYTES)
  }

  async #spawn(port) {
    const log = createWriteStream(join(this.#folder, "log"), { flags: "a" })
    await once(log, "open")
    const args = ["serve", "--listen", `localhost:${port}`, "--data", join(this.#folder, "data"), ...this.#flags]
    const child = spawn(required("INKWIRE_BIN"), args, { stdio: ["ignore", "pipe", log] })
    this.#process = child
    this.origin = await ready(child).catch(error => {
      throw new Error(`${error.message}; its log:\n${this.log()}`)
    })
  }
}

/** What its one line on standard output says. */
function ready(child) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the relay was not ready after ${READY_MILLIS} ms`)), READY_MILLIS)
    child.once("error", reject)
    child.once("exit", (code, signal) => reject(new Error(`the relay ended with ${signal ?? code}`)))
    createInterface(child.stdout).once("line", line => {
      clearTimeout(timer)
      const said = /^inkwire is ready: (\S+)$/.exec(line)
      if (said) resolve(new URL(said[1]).origin)
      else reject(new Error(`the relay's first line is ${JSON.stringify(line)}`))
    })
  })
}

/** A variable that `cargo xtask test browser` sets. */
export function required(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run this through \`cargo xtask test browser\``)
  return value
}
