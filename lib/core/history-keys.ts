import { PermanentError } from "./errors.ts";

/** What a store can look for side by side; Firestore's `in` takes 30 values, and some are spent on types. */
const MAX_KEYS = 10;

/**
 * The keys that a history query asks for, each once; `undefined` where it asks for all assets. No keys match no event.
 * Throws `PermanentError` (`bad-input`) for more than ten.
 */
export function keysAsked(asset: string | readonly string[] | undefined): readonly string[] | undefined {
  if (asset === undefined || typeof asset === "string") return asset === undefined ? undefined : [asset];
  const keys = [...new Set(asset)];
  if (keys.length <= MAX_KEYS) return keys;
  throw new PermanentError(`a history is asked for by ${MAX_KEYS} keys at most, got ${keys.length}`, {
    code: "bad-input",
  });
}
