// WebKitGTK through its own driver: as much of the WebDriver protocol as the suite needs.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"

import { required } from "./relay.mjs"

const START_MILLIS = 30_000

export class WebDriver {
  /** A browser of the test's own, in a virtual display: WebKitGTK has no headless mode. */
  static async start(test, callMillis) {
    const port = await freePort()
    const env = { ...process.env, WEBKIT_DISABLE_DMABUF_RENDERER: "1" }
    // Its sandbox does not start as root.
    if (process.getuid?.() === 0) env.WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS = "1"
    const command = ["--auto-servernum", required("INKWIRE_WEBKIT_DRIVER"), `--port=${port}`]
    // A group of its own, so that display, driver and browser end together.
    const child = spawn("xvfb-run", command, { env, detached: true, stdio: "ignore" })
    const failed = once(child, "error").then(([error]) => Promise.reject(error))
    const driver = new WebDriver(`http://127.0.0.1:${port}`)
    test.after(async () => {
      await driver.#request("DELETE", "").catch(() => {})
      try {
        process.kill(-child.pid, "SIGTERM")
      } catch {
        // It had ended already.
      }
    })
    await Promise.race([driver.#open(callMillis), failed])
    return driver
  }

  #base
  #session = ""

  said = []

  constructor(base) {
    this.#base = base
  }

  async navigate(url) {
    await this.#request("POST", "/url", { url })
  }

  /** Runs a function of lib/page.mjs in the page. */
  async run(work, argument) {
    const script = `
      const [argument, done] = arguments
      Promise.resolve(argument).then(${work}).then(value => done({ value }), error => done({ error: String(error) }))`
    const { value, error } = await this.#request("POST", "/execute/async", { script, args: [argument ?? null] })
    if (error) throw new Error(error)
    return value
  }

  async #open(callMillis) {
    const options = { binary: required("INKWIRE_WEBKIT_BROWSER"), args: ["--automation"] }
    const capabilities = { alwaysMatch: { browserName: "MiniBrowser", "webkitgtk:browserOptions": options } }
    await this.#listening()
    const { sessionId } = await this.#send("POST", "/session", { capabilities })
    this.#session = `/session/${sessionId}`
    await this.#request("POST", "/timeouts", { script: callMillis, pageLoad: START_MILLIS })
  }

  async #listening() {
    const deadline = Date.now() + START_MILLIS
    for (;;) {
      try {
        return await this.#send("GET", "/status")
      } catch (error) {
        // Nothing says when the driver listens.
        if (Date.now() > deadline) throw error
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
  }

  #request(method, path, body) {
    return this.#send(method, this.#session + path, body)
  }

  async #send(method, path, body) {
    const answer = await fetch(this.#base + path, { method, body: body && JSON.stringify(body) })
    const { value } = await answer.json()
    if (!answer.ok) throw new Error(`WebDriver ${method} ${path}: ${value.error}: ${value.message}`)
    return value
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  server.close()
  await once(server, "close")
  return port
}
