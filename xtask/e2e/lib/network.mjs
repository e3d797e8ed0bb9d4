// A network between page and relay that does not carry everything.
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer } from "node:net"

const LOOPBACK = ["127.0.0.1", "::1"]

/**
 * A port on localhost with a UDP side that swallows whatever comes, and a TCP side that can be joined to a relay: what a page
 * meets behind a firewall that drops UDP.
 */
export class TcpOnly {
  static async reserve(test) {
    for (;;) {
      const proxy = new TcpOnly()
      try {
        await proxy.#listen()
        test.after(() => proxy.close())
        return proxy
      } catch (error) {
        proxy.close()
        // The port was free for the first socket only.
        if (error.code !== "EADDRINUSE") throw error
      }
    }
  }

  #closers = []
  #target

  port = 0

  get origin() {
    return `http://localhost:${this.port}`
  }

  /** Where TCP connections go. */
  joinTo(port) {
    this.#target = port
  }

  close() {
    for (const close of this.#closers.splice(0)) close()
  }

  async #listen() {
    for (const host of LOOPBACK) {
      const server = createServer(client => this.#carry(client))
      this.#closers.push(() => server.close())
      server.listen(this.port, host)
      await once(server, "listening")
      this.port = server.address().port
      const socket = createSocket(host.includes(":") ? "udp6" : "udp4")
      this.#closers.push(() => socket.close())
      socket.bind(this.port, host)
      await once(socket, "listening")
    }
  }

  #carry(client) {
    const relay = connect(this.#target, "127.0.0.1")
    const end = () => {
      client.destroy()
      relay.destroy()
    }
    for (const socket of [client, relay]) socket.on("error", end).on("close", end)
    this.#closers.push(end)
    client.pipe(relay).pipe(client)
  }
}
