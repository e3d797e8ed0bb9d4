import init, { Core as WasmCore, EventKind, TransmitKind, initSync } from "../pkg/inkwire_client_wasm.js"
import wasmPath from "inkwire-wasm"
import { InternalError, typedError } from "./errors.js"

export { EventKind, TransmitKind }

let loading: Promise<unknown> | undefined

/** Loads and compiles the WebAssembly core once for the page. */
export function loadCore(): Promise<unknown> {
  // A failed download must not stick: the next `connect` tries again.
  loading ??= init({ module_or_path: new URL(wasmPath, import.meta.url) }).catch(error => {
    loading = undefined
    throw new InternalError("the client's WebAssembly could not be loaded", { cause: error })
  })
  return loading
}

/** For tests and servers that have the module's bytes at hand. */
export function loadCoreSync(bytes: BufferSource): void {
  initSync({ module: bytes })
  loading = Promise.resolve()
}

/**
 * The Rust core behind the one gate through which the shell calls it. Typed refusals arrive as our error classes. Anything
 * else that it throws is a panic: memory may be half changed then, so the core is never entered again.
 */
export class Core {
  readonly #wasm: WasmCore
  readonly #onPoison: (error: InternalError) => void
  #poison: InternalError | undefined

  constructor(seed: bigint, agent: string, onPoison: (error: InternalError) => void) {
    this.#wasm = new WasmCore(seed, agent)
    this.#onPoison = onPoison
  }

  /** The error that stopped the core, if one did. */
  get poison(): InternalError | undefined {
    return this.#poison
  }

  call<R>(enter: (core: WasmCore) => R): R {
    if (this.#poison) throw this.#poison
    try {
      return enter(this.#wasm)
    } catch (thrown) {
      // The core words a refusal as the string "code message"; a trap comes as a WebAssembly.RuntimeError.
      if (typeof thrown === "string") {
        const space = thrown.indexOf(" ")
        throw typedError(thrown.slice(0, space), thrown.slice(space + 1))
      }
      this.#poison = new InternalError(`the client's core failed: ${WasmCore.last_panic() ?? thrown}`, { cause: thrown })
      this.#onPoison(this.#poison)
      throw this.#poison
    }
  }
}
