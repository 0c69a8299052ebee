/** How far an author's code has come, so that the next attempt of its run can go on from there. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { PermanentError } from "./errors.ts";
import { isJson } from "./row-values.ts";
import type { JsonValue } from "./row-values.ts";

export type { JsonValue } from "./row-values.ts";

export interface Checkpoint {
  /** What the last durable `save` of an earlier attempt of this run said; `undefined` where there was none. */
  readonly last: JsonValue | undefined;
  /**
   * Resolves when every row yielded before is durable and `value` is what `last` says in the next attempt, whose rows then go
   * on after those. A save within a second of the last durable one (longer when there are hundreds) is passed over: it resolves
   * at once, and what came after the last durable one is made again. Throws `PermanentError` (`bad-checkpoint`) for what is not
   * JSON, or has more than 100,000 bytes as JSON.
   */
  save(value: JsonValue): Promise<void>;
}

export const MAX_CHECKPOINT_BYTES = 100_000;

/** The value as JSON text. Throws `PermanentError` (`bad-checkpoint`). */
export function checkpointText(value: unknown): string {
  if (!isJson(value)) {
    throw new PermanentError(
      "a checkpoint takes only what JSON can hold: save texts, finite numbers, booleans, null, lists and plain objects",
      { code: "bad-checkpoint" },
    );
  }
  const text = JSON.stringify(value);
  const bytes = utf8ToBytes(text).length;
  if (bytes > MAX_CHECKPOINT_BYTES) {
    throw new PermanentError(
      `a checkpoint of ${bytes} bytes is too large: save ${MAX_CHECKPOINT_BYTES} at most, such as a position instead of the data`,
      { code: "bad-checkpoint" },
    );
  }
  return text;
}
