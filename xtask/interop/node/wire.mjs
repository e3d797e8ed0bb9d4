// MessagePack as the protocol wants it: 64-bit integers are BigInt where they do not fit a number.
import { decodeMulti, encode } from "@msgpack/msgpack"

const READING = { useBigInt64: true }
const HIGHEST_SHORT = 0xffff_ffff

export function readAll(bytes) {
  return [...decodeMulti(bytes, READING)]
}

/** The library writes numbers above 32 bits as floats, and BigInt always as 64 bits; the protocol takes either width. */
export function write(value) {
  return encode(exact(value), { useBigInt64: true })
}

function exact(value) {
  if (typeof value === "bigint") return value <= HIGHEST_SHORT && value >= 0n ? Number(value) : value
  if (Number.isInteger(value) && value > HIGHEST_SHORT) return BigInt(value)
  if (Array.isArray(value)) return value.map(exact)
  if (value !== null && typeof value === "object" && !(value instanceof Uint8Array)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, exact(item)]))
  }
  return value
}

export function concat(parts) {
  return Buffer.concat(parts)
}

/** A WebSocket message: a channel and one or more frames of it. */
export function message(channel, ...frames) {
  return concat([write(channel), ...frames.map(write)])
}
