// A replay in pages, measured: what runs inside them. Times are milliseconds since the epoch by each page's monotonic clock;
// pages of one browser share the clock.

/** Notes when each mark arrives: the writer puts one into the map `marks` every so many edits. */
export function watchMarks() {
  const { doc } = session
  session.seen = {}
  doc.map("marks").observe(({ key, value }) => {
    if (key === "edit") session.seen[value] ??= performance.timeOrigin + performance.now()
  })
}

/** What `watchMarks` has noted. */
export function marksSeen() {
  return session.seen
}

/** Types edits as fast as the page can, or `rate` a second; gives the times of its beginning, and of each mark's edit and durability. */
export async function replay({ edits, every, rate }) {
  const { doc, edit, turn } = session
  const marks = doc.map("marks")
  const now = () => performance.timeOrigin + performance.now()
  const began = now()
  const made = {}
  const durable = {}
  const waits = []
  for (let i = 0; i < edits.length; i++) {
    await edit(edits[i])
    if (i % every === 0) {
      marks.set("edit", i)
      made[i] = now()
      waits.push(doc.durable().then(() => (durable[i] = now())))
    }
    if (i % 32 === 31) await turn()
    if (rate) while (now() < began + ((i + 1) * 1000) / rate) await turn()
  }
  await doc.durable()
  await Promise.all(waits)
  return { began, made, durable, ended: now() }
}

/** Waits for the whole text; gives when it was there, or null when time is up. */
export async function wholeAt({ expected, millis }) {
  const { body } = session
  const there = () => body.length === expected.length && body.toString() === expected
  return new Promise(resolve => {
    const timer = setTimeout(() => finish(null), millis)
    const stop = body.observe(() => there() && finish())
    function finish(at = performance.timeOrigin + performance.now()) {
      clearTimeout(timer)
      stop()
      resolve(at)
    }
    if (there()) finish()
  })
}
