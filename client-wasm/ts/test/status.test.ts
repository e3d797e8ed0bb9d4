import assert from "node:assert/strict"
import { test } from "node:test"
import { Status } from "../status.js"
import type { StatusSnapshot } from "../status.js"

const turn = () => new Promise<void>(resolve => queueMicrotask(resolve))

function bench(): { status: Status; become: (change: Partial<StatusSnapshot>) => void } {
  let now: StatusSnapshot = {
    connection: "connected", transport: "websocket", local: 0, sent: 0, durable: 0, role: "editor", paused: null, synced: true, error: null,
  }
  const status = new Status(() => now)
  return { status, become: change => (now = { ...now, ...change }, status.touch()) }
}

test("a change back to what was before anyone looked is told", async () => {
  const { status, become } = bench()
  become({ local: 1 })
  await turn()
  const seen: number[] = []
  status.observe(({ local }) => seen.push(local))
  become({ local: 0 })
  await turn()
  assert.deepEqual(seen, [0])
})

test("the same between two times that it is observed", async () => {
  const { status, become } = bench()
  const seen: number[] = []
  status.observe(({ local }) => seen.push(local))()
  become({ local: 5 })
  await turn()
  status.observe(({ local }) => seen.push(local))
  become({ local: 0 })
  await turn()
  assert.deepEqual(seen, [0])
})

test("each observer is told of what changed since it began, at most once in a microtask, and of nothing else", async () => {
  const { status, become } = bench()
  const [first, second]: number[][] = [[], []]
  status.observe(({ local }) => first!.push(local))
  become({ local: 1 })
  // It saw 1 and is owed the 0; for the first nothing has changed.
  status.observe(({ local }) => second!.push(local))
  become({ local: 0 })
  await turn()
  assert.deepEqual([first, second], [[], [0]])
  become({ local: 2 })
  become({ local: 3 })
  await turn()
  become({})
  await turn()
  assert.deepEqual([first, second], [[3], [0, 3]])
})

test("an observer that ends itself leaves the others", async () => {
  const { status, become } = bench()
  const seen: string[] = []
  const stop = status.observe(() => (seen.push("a"), stop()))
  status.observe(() => seen.push("b"))
  become({ local: 1 })
  await turn()
  become({ local: 2 })
  await turn()
  assert.deepEqual(seen, ["a", "b", "b"])
})
