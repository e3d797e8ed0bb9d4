import { SEND_BUFFER_BYTES, endpoint } from "./types.js"
import type { Transport, TransportEvents } from "./types.js"

/** There is no event for a WebSocket that drains: ask again after this long. */
const DRAIN_POLL_MILLIS = 10

/** Opens a WebSocket to the relay. */
export function dialWebSocket(base: URL, signal: AbortSignal): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(endpoint(base, "session", "ws"))
    socket.binaryType = "arraybuffer"
    const settle = (settled: () => void) => {
      signal.removeEventListener("abort", abort)
      socket.onopen = socket.onclose = socket.onerror = null
      settled()
    }
    const abort = () => settle(() => {
      socket.close()
      reject(signal.reason)
    })
    signal.addEventListener("abort", abort)
    if (signal.aborted) return abort()
    socket.onopen = () => settle(() => resolve(new WebSocketTransport(socket)))
    // Browsers hide why a WebSocket failed; the close code is all there is.
    socket.onclose = event => settle(() => reject(new Error(`WebSocket closed before it opened (code ${event.code})`)))
  })
}

/** Channel numbers travel inside the messages, so lanes need nothing here. */
export class WebSocketTransport implements Transport {
  readonly kind = "websocket"
  readonly #socket: WebSocket
  #drain: ReturnType<typeof setTimeout> | undefined

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  start(events: TransportEvents): void {
    const socket = this.#socket
    let over = false
    const close = (reason: string) => {
      if (over) return
      over = true
      clearTimeout(this.#drain)
      socket.onmessage = socket.onclose = null
      events.closed(reason)
    }
    socket.onmessage = event => {
      if (event.data instanceof ArrayBuffer) events.message(new Uint8Array(event.data))
      else this.close(1003, "text message")
    }
    socket.onclose = event => close(event.reason || `WebSocket closed (code ${event.code})`)
    this.#awaitDrain = () => {
      if (over || this.#drain !== undefined) return
      this.#drain = setTimeout(() => {
        this.#drain = undefined
        if (over) return
        if (this.writable) events.writable()
        else this.#awaitDrain()
      }, DRAIN_POLL_MILLIS)
    }
    if (socket.readyState > WebSocket.OPEN) queueMicrotask(() => close("WebSocket closed"))
  }

  #awaitDrain: () => void = () => undefined

  get writable(): boolean {
    const writable = this.#socket.bufferedAmount < SEND_BUFFER_BYTES
    if (!writable) this.#awaitDrain()
    return writable
  }

  sendMessage(bytes: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes as Uint8Array<ArrayBuffer>)
  }

  openLane(): void {}
  sendStream(): void {}
  finishLane(): void {}
  sendDatagram(): void {}

  close(code: number, reason: string): void {
    // A page may only use 1000 and 3000–4999; the relay's codes are small numbers.
    this.#awaitDrain = () => undefined
    clearTimeout(this.#drain)
    const shown = code === 0 ? 1000 : 4000 + Math.min(code, 999)
    this.#socket.close(shown, truncate(reason))
  }
}

/** A close reason is at most 123 bytes of UTF-8; browsers throw for a longer one. */
export function truncate(reason: string): string {
  const bytes = new TextEncoder().encode(reason)
  return bytes.length <= 123 ? reason : new TextDecoder().decode(bytes.subarray(0, 120)).replace(/\uFFFD+$/, "")
}
