/** Staged files that nobody came for: rows that a job has made for an output that was never run, and what the dead still wrote. */
import { ref } from "../core/documents.ts";
import { saveCursor } from "./save-cursor.ts";
import type { Services } from "./services.ts";

/** How many objects one sweep looks at. */
const LIST_LIMIT = 1_000;
const STAGED = /\/(?:part-\d+-\d{5}\.parquet|receipt\.json|progress\.json)$/;

/**
 * Deletes staged files that are older than any run lives, a bounded slice at a time, going on where the last slice ended. A run
 * that comes for them later makes its rows itself. The result is how many were deleted.
 */
export async function sweepStaged({ events, objects, clock, settings }: Services): Promise<number> {
  const cursor = ref("cursor", "sweep staged files");
  const startAfter = (await events.get("cursor", cursor.id))?.value ?? "";
  const now = clock.now();
  let looked = 0;
  let deleted = 0;
  let last = "";
  for await (const { name, generation, updated } of objects.list(
    settings.stagingBucket,
    startAfter === "" ? {} : { startAfter },
  )) {
    looked += 1;
    last = name;
    if (STAGED.test(name) && updated < now - settings.stagedFilesTtlMs) {
      await objects.delete(settings.stagingBucket, name, generation);
      deleted += 1;
    }
    if (looked === LIST_LIMIT) break;
  }
  const value = looked === LIST_LIMIT ? last : "";
  if (value === "" && startAfter === "") return deleted;
  await saveCursor(events, cursor, { value, at: now });
  return deleted;
}
