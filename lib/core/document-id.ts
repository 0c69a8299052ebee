import { utf8ToBytes } from "@noble/hashes/utils.js";
import { PermanentError } from "./errors.ts";

/** Ids of documents are 1 to 1,500 bytes of well-formed UTF-8, in every store; anything else throws `PermanentError`. */
export function checkDocumentId(kind: string, id: string): void {
  if (id !== "" && id.isWellFormed() && utf8ToBytes(id).length <= 1_500) return;
  throw new PermanentError(
    `the id of a ${kind} document must be 1 to 1,500 bytes of UTF-8, got ${JSON.stringify(id.slice(0, 80))}`,
    { code: "bad-input" },
  );
}
