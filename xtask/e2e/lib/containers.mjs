// What runs inside a page for the tests of containers: as lib/page.mjs, on the `session` that it leaves.

/** Calls methods of the container. */
export function act({ kind, steps }) {
  const container = session.doc[kind]("e2e")
  for (const [method, ...rest] of steps) container[method](...rest)
}

/**
 * What the container holds once that is what is expected, or after the time; as JSON has it, sets in an order of their own.
 * Without an expectation what it holds now.
 */
export async function heldWhen({ kind, expected, millis }) {
  // Key by key in one order: an object's own order says nothing.
  const canonical = value => JSON.stringify(value, (_, part) =>
    part && typeof part === "object" && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort()) : part)
  const container = session.doc[kind]("e2e")
  const read = () => {
    switch (kind) {
      case "list": return container.toArray()
      case "map": return Object.fromEntries(container.entries())
      case "set": return container.values().map(value => JSON.stringify(value)).sort().map(value => JSON.parse(value))
      case "counter": return container.value
      case "text": return container.toDelta()
    }
  }
  if (expected === undefined) return read()
  const wanted = canonical(expected)
  return new Promise(resolve => {
    const done = () => {
      stop()
      clearTimeout(timer)
      resolve(read())
    }
    const look = () => canonical(read()) === wanted && done()
    const stop = container.observe(look)
    const timer = setTimeout(done, millis)
    look()
  })
}

/** Notes from where changes come from now on. */
export function watch({ kind }) {
  session.origins = new Set()
  session.doc[kind]("e2e").observe(({ origin }) => session.origins.add(origin))
}

export function origins() {
  return [...session.origins].sort()
}

export function endGroup() {
  session.doc.endUndoGroup()
}

export function undo() {
  return session.doc.undo()
}

export function redo() {
  return session.doc.redo()
}
