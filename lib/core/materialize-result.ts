/** What an asset's code returns where no I/O manager takes it. */
import type { MaterializeResult } from "./asset.ts";
import { PermanentError } from "./errors.ts";

/**
 * What `materialize` of an asset without an I/O manager has returned; nothing counts as an empty result. Throws `PermanentError`
 * (`bad-input`) for rows: nobody would store them, and the body of a generator has not even begun.
 */
export function materializeResult(asset: string, returned: unknown): MaterializeResult {
  if (
    typeof returned === "object" &&
    returned !== null &&
    (Symbol.iterator in returned || Symbol.asyncIterator in returned)
  )
    throw new PermanentError(
      `${asset}: materialize returned rows, and it has no ioManager that would store them: give it a schema and ioManager: bigqueryTable(), or write them yourself and return { metadata }`,
      { code: "bad-input" },
    );
  return returned ?? {};
}
