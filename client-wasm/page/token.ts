/** The relay's word on why it gives no token. */
export class NoToken extends Error {
  override readonly name = "NoToken"
}

/** A token pasted by the person; in memory alone. */
let pasted: string | undefined

export function useToken(token: string): void {
  pasted = token.trim()
}

/**
 * Who this page is, until it is loaded anew. Edits belong to a subject: with another one after a reconnect the relay would
 * refuse what this page wrote before.
 */
const subject = `dev-${crypto.getRandomValues(new BigUint64Array(1))[0]!.toString(16).padStart(16, "0")}`

/** Gives what `connect` asks for: the pasted token, or a fresh development token for this document. */
export function tokenFor(role: "viewer" | "editor"): () => Promise<string> {
  return async () => {
    if (pasted) return pasted
    let answer: Response
    try {
      answer = await fetch("/dev/token", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ subject, role }),
        cache: "no-store",
      })
    } catch (error) {
      throw new Error(`the relay at ${location.host} does not answer`, { cause: error })
    }
    const text = (await answer.text()).trim()
    if (answer.ok) return text
    throw new NoToken(text || `${answer.status} ${answer.statusText}`)
  }
}
