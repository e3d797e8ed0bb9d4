import { endpoint } from "./types.js"

/** How long the relay may take to answer before we go on without hashes. */
const FETCH_MILLIS = 3000

/** After this many questions in a row without an answer a handshake is tried anyway: UDP may pass where TCP does not. */
const MOST_SILENCES = 3

/** What each relay answered last, and how often in a row it has been silent since. */
const known = new Map<string, { hashes: WebTransportHash[]; silences: number }>()

/** The relay's HTTP side answered before and does not now. */
export class Unreachable extends Error {}

/**
 * The hashes of the relay's own certificate and of the next one; none when it has a certificate that browsers trust (404).
 *
 * Asking also finds out whether the relay is there at all. Browsers hold back a page's WebTransport and WebSocket handshakes
 * for tens of seconds after a few failures, so a relay that restarts must not be knocked at with handshakes: throws
 * {@link Unreachable} when HTTP, which answered before, does not.
 */
export async function certificateHashes(base: URL, signal: AbortSignal): Promise<WebTransportHash[]> {
  let response: Response
  try {
    response = await ask(base, "certificate-hashes", signal)
  } catch (error) {
    if (signal.aborted) throw signal.reason
    const last = known.get(base.href)
    if (!last) return [] // another origin that does not let us read it; the certificate may well be a trusted one
    last.silences += 1
    if (last.silences % MOST_SILENCES === 0) return last.hashes
    throw new Unreachable("the relay does not answer", { cause: error })
  }
  const hashes = response.ok ? parseHashes(await response.json().catch(() => [])) : []
  known.set(base.href, { hashes, silences: 0 })
  return hashes
}

/** The same check without wanting the hashes, before a WebSocket handshake. */
export async function reachable(base: URL, signal: AbortSignal): Promise<void> {
  if (known.has(base.href)) await certificateHashes(base, signal)
}

async function ask(base: URL, path: string, signal: AbortSignal): Promise<Response> {
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(new Error("timed out")), FETCH_MILLIS)
  const abort = () => timeout.abort(signal.reason)
  signal.addEventListener("abort", abort)
  try {
    return await fetch(endpoint(base, path, "same"), {
      cache: "no-store",
      credentials: "omit",
      signal: timeout.signal,
    })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", abort)
  }
}

/** Reads `[{"algorithm":"sha-256","value":BASE64}]`, skipping what it does not understand. */
export function parseHashes(json: unknown): WebTransportHash[] {
  if (!Array.isArray(json)) return []
  const hashes: WebTransportHash[] = []
  for (const entry of json) {
    if (typeof entry?.algorithm !== "string" || typeof entry?.value !== "string") continue
    try {
      const value = Uint8Array.from(atob(entry.value), character => character.charCodeAt(0))
      hashes.push({ algorithm: entry.algorithm, value })
    } catch {
      // not base64
    }
  }
  return hashes
}
