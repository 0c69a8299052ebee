import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/**
 * SHA-256 of a list of texts, in hexadecimal. Every part is length-prefixed, so that
 * `["ab", "c"]` and `["a", "bc"]` differ.
 */
export function hash(...parts: readonly string[]): string {
  return bytesToHex(sha256(utf8ToBytes(parts.map((part) => `${part.length}:${part}`).join(""))));
}

/** The first `length` hexadecimal digits (default 16, 64 bits) of `hash`. */
export function shortHash(parts: readonly string[], length = 16): string {
  return hash(...parts).slice(0, length);
}

/** A JSON text whose object keys are sorted at every level, so that equal values hash alike. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}
