// What runs inside a page, through the client's public interface only. Each function is sent as source, so it refers to
// nothing but its arguments and `session`, the page's global that `open` leaves.
//
// No page here has a module of its own: it is any small page of the relay's origin.

/** Connects, opens the document, and says over which transport and after how many milliseconds. */
export async function open({ document, transport, role = "editor", ttl }) {
  const { connect, ReadOnly, OutboxFull, Refusal } = await import(`${location.origin}/client/inkwire.js`)
  // One person through all reconnects: an actor belongs to the subject that first used it.
  const subject = `dev-${crypto.randomUUID()}`
  const token = async () => {
    globalThis.session?.asked?.()
    const body = JSON.stringify({ document, role: globalThis.session?.role ?? role, subject, ttl })
    const answer = await fetch("/dev/token", { method: "POST", headers: { "content-type": "application/json" }, body })
    if (!answer.ok) throw new Error(`/dev/token: ${answer.status} ${await answer.text()}`)
    return answer.text()
  }
  const started = performance.now()
  const client = await connect({ url: location.origin, token, transport }).catch(error => {
    throw new Error(`${error}; the last failure: ${error.cause}`)
  })
  const millis = performance.now() - started
  const doc = client.open(document)
  await doc.synced
  const body = doc.text("body")
  const pause = new MessageChannel()
  // A whole turn of the event loop, in which what came in is handled; setTimeout would take 4 ms.
  const turn = () => new Promise(resolve => {
    pause.port1.onmessage = resolve
    pause.port2.postMessage(null)
  })
  // An edit that does not fit changes nothing; it is made once the outbox has drained. Nor does one while what was seen comes in
  // anew, because a relay that was restarted cannot compare it any more.
  const whenRoom = act => {
    try {
      return act()
    } catch (error) {
      if (error.code === "not_ready") return turn().then(() => whenRoom(act))
      if (!(error instanceof OutboxFull)) throw error
      return doc.durable().then(() => whenRoom(act))
    }
  }
  globalThis.session = {
    client,
    doc,
    body,
    errors: { ReadOnly, OutboxFull, Refusal },
    // One edit of a trace; what it does goes out at the end of its task.
    async edit([position, deleted, inserted]) {
      if (deleted) await whenRoom(() => body.delete(position, deleted))
      if (inserted) await whenRoom(() => body.insert(position, inserted))
    },
    turn,
  }
  return { transport: doc.status.transport, millis }
}

/** Types edits one by one, letting the page breathe in between. */
export async function type(edits) {
  const { edit, turn } = session
  for (const [index, one] of edits.entries()) {
    await edit(one)
    if (index % 32 === 31) await turn()
  }
}

/** Inserts `count` characters of `alphabet` at positions that follow from the seed, among what others type. */
export async function typeAnywhere({ seed, count, alphabet, deletions = false }) {
  const { body, edit, turn } = session
  let state = seed
  const random = bound => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
  let typed = ""
  for (let i = 0; i < count; i++) {
    const character = alphabet[random(alphabet.length)]
    await edit([random(body.length + 1), 0, character])
    typed += character
    if (deletions && i % 3 === 2) await edit([random(body.length), 1, ""])
    if (i % 4 === 0) await turn()
  }
  return typed
}

/** Everything edited here is durable. */
export async function durable() {
  await session.doc.durable()
  const { local, sent } = session.doc.status
  return { local, sent }
}

export function text() {
  return session.body.toString()
}

export function status() {
  const { connection, transport, local, sent, durable } = session.doc.status
  return { connection, transport, local, sent, durable }
}

/** Waits until the text is as expected; gives it as it is then, or as it is when time is up. */
export async function textWhen({ expected, millis }) {
  const { body } = session
  const arrived = () => body.length === expected.length && body.toString() === expected
  await new Promise(resolve => {
    const timer = setTimeout(finish, millis)
    const stop = body.observe(() => arrived() && finish())
    function finish() {
      clearTimeout(timer)
      stop()
      resolve()
    }
    if (arrived()) finish()
  })
  return body.toString()
}

/** Waits for the next change that someone else made. */
export async function nextChange() {
  await new Promise(resolve => {
    const stop = session.body.observe(({ origin }) => {
      if (origin !== "remote") return
      stop()
      resolve()
    })
  })
}

/** Waits until the session's connection is as named. */
export async function connectionWhen({ connection, millis }) {
  const { status } = session.doc
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`still ${status.connection} after ${millis} ms`)), millis)
    const stop = status.observe(() => status.connection === connection && finish())
    function finish() {
      clearTimeout(timer)
      stop()
      resolve()
    }
    if (status.connection === connection) finish()
  })
}

/** What an edit throws, or null. */
export function refusedEdit() {
  const { body, errors } = session
  try {
    body.insert(0, "not allowed")
  } catch (error) {
    return { readOnly: error instanceof errors.ReadOnly, name: error.name, code: error.code }
  }
  return null
}

/** From the next token on the page is of this role; what the relay refuses then is kept. */
export function demote({ role }) {
  session.role = role
  session.demoted = new Promise(resolve => (session.asked = resolve))
  session.refused = new Promise(resolve => session.doc.observeRefused(resolve))
}

/** Waits until the next token is asked for. */
export async function demoted() {
  await session.demoted
}

/** Waits for what the relay refused, and for what `durable()` says of it. */
export async function refusal() {
  const durable = await session.doc.durable().then(() => null, error => error)
  const refused = await session.refused
  const { name, code, message, edits, content, omitted } = refused
  return { typed: refused instanceof session.errors.Refusal, same: durable === refused, name, code, message, edits, content, omitted }
}

/** Waits until the text is as long as expected; gives its length as it is then, or as it is when time is up. */
export async function lengthWhen({ length, millis }) {
  const { body } = session
  await new Promise(resolve => {
    const timer = setTimeout(finish, millis)
    const stop = body.observe(() => body.length === length && finish())
    function finish() {
      clearTimeout(timer)
      stop()
      resolve()
    }
    if (body.length === length) finish()
  })
  return body.length
}
