import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

const UTF8 = new TextEncoder();

/**
 * SHA-256 of a list of texts, in hexadecimal. Every part is length-prefixed, so that
 * `["ab", "c"]` and `["a", "bc"]` differ.
 */
export function hash(...parts: readonly string[]): string {
  let text = "";
  for (const part of parts) text += `${part.length}:${part}`;
  return bytesToHex(sha256(UTF8.encode(text)));
}

/** The first `length` hexadecimal digits (default 16, 64 bits) of `hash`. */
export function shortHash(parts: readonly string[], length = 16): string {
  return hash(...parts).slice(0, length);
}

/** A JSON text whose object keys are sorted at every level, so that equal values hash alike. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value));
}

/** Sorted beforehand, because a replacer function makes `JSON.stringify` several times slower. */
function sorted(value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  if (saysItself(value)) return sorted(value.toJSON());
  if (Array.isArray(value)) return value.map(sorted);
  const made: Record<string, unknown> = {};
  for (const name of Object.keys(value).sort()) set(made, name, sorted(value[name as keyof typeof value]));
  return made;
}

/** A plain assignment is several times faster, but of this one name it would set the prototype. */
function set(to: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") Object.defineProperty(to, name, { value, enumerable: true });
  else to[name] = value;
}

function saysItself(value: object): value is { toJSON(): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}
