/** What is left to do after a commit: the staging becomes the raw table, then goes, and older versions go. Idempotent, by anybody. */
import type { Finish } from "../core/documents.ts";
import { RetryableError } from "../core/errors.ts";
import { formatTable } from "../core/table.ts";
import type { Execution } from "./execution.ts";
import { removeVersions } from "./remove-versions.ts";
import type { Services } from "./services.ts";
import { removeFolder } from "./staged-rows.ts";

/**
 * The raw copy has one job id for ever, so a late request of a dead run can do no more than what was done here already; and
 * it has ended before the next run on the partition begins. Older versions are not looked at: no run waits for those.
 */
export async function finishCommit(services: Services, finish: Finish): Promise<void> {
  const { warehouse, clock, settings } = services;
  const { raw, staging } = finish;
  if (staging === undefined) return;
  if (raw !== undefined) {
    const destination = raw.table;
    const expiresAt = clock.now() + settings.rawTtlMs;
    const labels = { sluice_run: finish.runId, sluice_step: "raw" };
    await warehouse.submit(raw.jobId, { kind: "copy", source: staging, destination, expiresAt }, labels);
    const status = await warehouse.wait(raw.jobId, { timeoutMs: settings.waitMs });
    if (status.state !== "succeeded" && status.state !== "failed") {
      throw new RetryableError(`the copy to ${formatTable(destination)} takes long`, { afterMs: settings.lookAgainMs });
    }
    // A raw copy that failed for good (a dropped dataset, say) is not worth holding up the partition for ever.
  }
  await warehouse.drop(staging);
  if (finish.staged !== undefined) await removeFolder(services, finish.staged);
}

/** Removes the versions that the commit has replaced; whether nothing of them is left to do. */
export async function finishVersions(execution: Execution, { remove = [] }: Finish): Promise<boolean> {
  if (remove.length === 0) return true;
  const asset = execution.services.definitions().assets.get(execution.identity.name);
  if (asset === undefined) return false;
  return (await removeVersions(execution, asset, remove)).length === remove.length;
}
