/** What a backfill promises: everything in its range is passed over or run once, is counted as it ended, and nothing is stuck. */
import { backfillRunKey, endedRuns } from "../../lib/core/backfill.ts";
import type { BackfillDocument, RunDocument } from "../../lib/core/documents.ts";
import type { Surroundings } from "./surroundings.ts";

/** At every moment. */
export function onBackfill(
  { documents, fail }: Surroundings,
  id: string,
  before: BackfillDocument | undefined,
  after: BackfillDocument | undefined,
): void {
  if (after === undefined) return fail(`the backfill ${id} was forgotten`);
  const { next, total, underWay, counts, maxConcurrent, endedAt, revision } = after;
  const what = `the backfill ${id}`;
  if (revision !== (before?.revision ?? 0) + 1)
    fail(`${what} was changed by somebody who had not seen its last change`);
  if (next < (before?.next ?? 0) || next > total) fail(`${what} went from ${before?.next} to ${next} of ${total}`);
  if (underWay.length > maxConcurrent)
    fail(`${what} has ${underWay.length} partitions under way, and ${maxConcurrent} may be`);
  const seen = counts.passedOver + endedRuns(counts) + underWay.length;
  if (seen !== next) fail(`${what} has come past ${next} partitions, and knows of ${seen}`);
  if (new Set(underWay.map(({ partition }) => partition)).size < underWay.length)
    fail(`${what} has a partition under way twice`);
  if (endedAt === undefined && documents.get("due", id) === undefined)
    fail(`${what} is ${after.status} and has no deadline`);
  if (endedAt !== undefined && underWay.length > 0) fail(`${what} has ended before its runs`);
}

/** When nothing moves any more. */
export function backfillsAtRest({ documents, fail }: Surroundings): void {
  for (const [id, backfill] of documents.all("backfill")) {
    const { status, endedAt, counts, next, total, which, singleRun, from } = backfill;
    const what = `the backfill ${id}`;
    if (endedAt === undefined || status === "running") return fail(`${what} is stuck at ${next} of ${total}`);
    if (status === "done" && next !== total) return fail(`${what} is done after ${next} of ${total}`);
    const runs = documents.all("run").flatMap(([, run]) => (isOf(run, id) ? [run] : []));
    const made = runs.some((run) => run.partition === from && run.status === "succeeded");
    // Where the single run of a range has not succeeded, the whole range has ended as it did.
    const each = singleRun === true && !made ? total : 1;
    for (const wanted of ["succeeded", "skipped", "failed"] as const) {
      const ended = each * runs.filter(({ status }) => (status === "canceled" ? "failed" : status) === wanted).length;
      if (ended !== counts[wanted])
        return fail(`${what} counts ${counts[wanted]} runs ${wanted}, and there are ${ended}`);
    }
    if (which === "all" && counts.passedOver > 0)
      return fail(`${what} of all partitions has passed over ${counts.passedOver}`);
  }
}

function isOf({ request: { runKey } }: RunDocument, id: string): boolean {
  return runKey.startsWith(backfillRunKey(id, ""));
}
