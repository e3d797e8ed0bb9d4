import { callback as checkCallback } from "./arguments.js"

/** Ends an observation. Calling it again does nothing. */
export type Unobserve = () => void

/** A list of callbacks. One that throws neither stops the others nor the caller: its error is reported as uncaught. */
export class Observers<T> {
  readonly #callbacks = new Set<(value: T) => void>()

  get size(): number {
    return this.#callbacks.size
  }

  /** @throws TypeError for what is no function. */
  add(callback: (value: T) => void): Unobserve {
    checkCallback(callback)
    // A wrapper of its own lets one function observe twice and end each observation separately.
    const entry = (value: T) => callback(value)
    this.#callbacks.add(entry)
    return () => void this.#callbacks.delete(entry)
  }

  notify(value: T): void {
    for (const callback of [...this.#callbacks]) {
      try {
        callback(value)
      } catch (error) {
        report(error)
      }
    }
  }

  clear(): void {
    this.#callbacks.clear()
  }
}

/** Hands an error of the page's own callback to the page's error handlers without unwinding ours. */
function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error)
  else queueMicrotask(() => { throw error })
}

/** A promise with its ends outside. Unhandled rejections stay quiet: not everyone awaits `synced`. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}
