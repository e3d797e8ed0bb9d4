// A replica as docs/src/protocol/operations.md describes it: maps, and texts whose order is worked out when it is asked for.
import { concat, readAll, write } from "./wire.mjs"

const [INSERT, TYPE_ON, DELETE, SET, REMOVE] = [0, 1, 2, 3, 4]

/** Dots are written `actor:counter`, in decimal, so that they can be keys. */
const dotOf = (actor, counter) => `${actor}:${counter}`

class Text {
  #characters = new Map()
  #start = { left: undefined, lefts: [], rights: [] }

  /** No effect where an origin is no character of this text. */
  insert(actor, counter, left, right, scalar) {
    const before = left === null ? this.#start : this.#characters.get(left)
    const after = right === null ? null : this.#characters.get(right)
    if (before === undefined || after === undefined) return false
    const character = { actor, counter, scalar, left: before, right: after, visible: true, lefts: [], rights: [] }
    if (after?.left === before) {
      after.lefts.push(character)
      after.lefts.sort(byDot)
    } else {
      before.rights.push(character)
      if (before.rights.length > 1) {
        const places = new Map(this.order().map((one, place) => [one, place]))
        const place = one => (one.right === null ? Infinity : places.get(one.right))
        before.rights.sort((one, other) => (one.right === other.right ? byDot(one, other) : place(other) - place(one)))
      }
    }
    this.#characters.set(dotOf(actor, counter), character)
    return true
  }

  get(dot) {
    return this.#characters.get(dot)
  }

  order() {
    const found = []
    const stack = this.#start.rights.map(one => [one, false]).reverse()
    while (stack.length > 0) {
      const [one, entered] = stack.pop()
      if (entered) {
        found.push(one)
        continue
      }
      for (const child of one.rights.toReversed()) stack.push([child, false])
      stack.push([one, true])
      for (const child of one.lefts.toReversed()) stack.push([child, false])
    }
    return found
  }

  toString() {
    return this.order().filter(one => one.visible).map(one => one.scalar).join("")
  }
}

function byDot(one, other) {
  if (one.actor !== other.actor) return one.actor < other.actor ? -1 : 1
  return one.counter - other.counter
}

export class Replica {
  texts = new Map()
  #maps = new Map()
  #version = new Map()
  #early = []

  map(name) {
    const there = [...(this.#maps.get(name) ?? [])].filter(([, entry]) => entry.there)
    return Object.fromEntries(there.map(([key, entry]) => [key, entry.value]))
  }

  maps() {
    return [...this.#maps.keys()]
  }

  /** Applies a batch, and with it those that waited for it. */
  apply(actor, first, count, operations) {
    this.#early.push({ actor: BigInt(actor), first: Number(first), count: Number(count), operations })
    for (let progress = true; progress; ) {
      const before = this.#early.length
      this.#early = this.#early.filter(batch => !this.#tryApply(batch))
      progress = this.#early.length < before
    }
  }

  #held(actor) {
    return this.#version.get(actor) ?? 0
  }

  #tryApply({ actor, first, count, operations }) {
    const held = this.#held(actor)
    if (first + count - 1 <= held) return true
    if (first > held + 1) return false
    const found = read(actor, first, operations)
    const lacks = found.some(one => one.needs.some(([other, counter]) => other !== actor && counter > this.#held(other)))
    if (lacks) return false
    for (const one of found) if (one.counter + one.takes - 1 > held) this.#perform(one, held)
    this.#version.set(actor, first + count - 1)
    return true
  }

  #perform({ kind, root, actor, counter, elements, dot, targets }, held) {
    if (kind === SET || kind === REMOVE) {
      const [key, value, time] = kind === SET ? elements : [elements[0], null, elements[1]]
      return this.#write(root, key, { time: BigInt(time), actor, counter, value, there: kind === SET })
    }
    if (kind > DELETE) return
    if (!this.texts.has(root)) this.texts.set(root, new Text())
    const text = this.texts.get(root)
    if (kind === DELETE) {
      for (const [target, from, length] of targets) {
        for (let at = from; at < from + length; at++) {
          const character = text.get(dotOf(target, at))
          if (character) character.visible = false
        }
      }
      return
    }
    // Of what is held in part, the rest is typed on.
    const skip = Math.max(0, held + 1 - counter)
    const scalars = [...(kind === INSERT ? elements[2] : elements[0])].slice(skip)
    let [left, right] = kind === INSERT ? [key(dot(elements[0])), key(dot(elements[1]))] : [null, null]
    if (kind === TYPE_ON || skip > 0) {
      const before = text.get(dotOf(actor, counter + skip - 1))
      if (before === undefined) return
      left = dotOf(before.actor, before.counter)
      right = before.right && dotOf(before.right.actor, before.right.counter)
    }
    for (const [offset, scalar] of scalars.entries()) {
      if (!text.insert(actor, counter + skip + offset, left, right, scalar)) return
      left = dotOf(actor, counter + skip + offset)
    }
  }

  #write(name, key, entry) {
    if (!this.#maps.has(name)) this.#maps.set(name, new Map())
    const entries = this.#maps.get(name)
    const old = entries.get(key)
    if (old === undefined || old.time < entry.time || (old.time === entry.time && byDot(old, entry) < 0)) {
      entries.set(key, entry)
    }
  }

  // Own edits: each gives how many counters it takes, and a batch's operations.

  /** Types at the end: after the last visible character, before whatever deleted ones follow it. */
  append(actor, next, name, added) {
    const order = this.texts.get(name)?.order() ?? []
    const last = order.findLastIndex(one => one.visible)
    const table = []
    const reference = one => {
      if (one === undefined) return null
      if (one.actor === actor) return next - one.counter
      if (!table.includes(one.actor)) table.push(one.actor)
      return [table.indexOf(one.actor) + 1, one.counter]
    }
    const operation = [INSERT, reference(order[last]), reference(order[last + 1]), added]
    return { count: [...added].length, operations: concat([name, ...table, operation].map(write)) }
  }

  deleteFirst(actor, next, name) {
    const first = this.texts.get(name).order().find(one => one.visible)
    const own = first.actor === actor
    const operation = [DELETE, own ? next - first.counter : [1, first.counter]]
    return { count: 1, operations: concat([name, ...(own ? [] : [first.actor]), operation].map(write)) }
  }

  set(name, key, value, nowMillis) {
    return { count: 1, operations: concat([name, [SET, key, value, this.#time(name, key, nowMillis)]].map(write)) }
  }

  remove(name, key, nowMillis) {
    return { count: 1, operations: concat([name, [REMOVE, key, this.#time(name, key, nowMillis)]].map(write)) }
  }

  /** The hybrid time of a write: now, and more than that of what it replaces. */
  #time(name, key, nowMillis) {
    const now = BigInt(nowMillis) << 16n
    const replaced = this.#maps.get(name)?.get(key)?.time
    return replaced !== undefined && replaced >= now ? replaced + 1n : now
  }
}

const key = dot => dot && dotOf(...dot)

/** The operations of a batch, each with what it refers to. */
function read(author, first, bytes) {
  const found = []
  const table = [author]
  let root
  let next = first
  for (const value of readAll(bytes)) {
    if (typeof value === "string") root = value
    else if (!Array.isArray(value)) table.push(BigInt(value))
    else {
      const [kind, ...elements] = [Number(value[0]), ...value.slice(1)]
      const counter = next
      const dot = reference => {
        if (reference === null) return null
        if (!Array.isArray(reference)) return [author, counter - Number(reference)]
        return [table[Number(reference[0])], Number(reference[1])]
      }
      let takes = kind > REMOVE ? Number(elements[0]) : 1
      let targets = []
      let needs = []
      if (kind === INSERT) {
        takes = [...elements[2]].length
        needs = [dot(elements[0]), dot(elements[1])].filter(one => one !== null)
      } else if (kind === TYPE_ON) takes = [...elements[0]].length
      else if (kind === DELETE) {
        for (let at = 0; at < elements.length; at += 2) targets.push([...dot(elements[at]), Number(elements[at + 1] ?? 1)])
        needs = targets.map(([actor, from, length]) => [actor, from + length - 1])
      }
      found.push({ kind, root, actor: author, counter, elements, takes, dot, targets, needs })
      next += takes
    }
  }
  return found
}
