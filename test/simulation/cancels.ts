/**
 * What a cancel promises: from the moment that the wish is on record, the run opens no publish, and commits nothing that its
 * commit would make visible; it ends canceled, having published nothing, or says that it was too late.
 */
import type { Intent, PartitionDocument, RunDocument } from "../../lib/core/documents.ts";
import { presentKey } from "../../lib/core/previous-keys.ts";
import type { CancelAnswer } from "../../lib/runtime/operations.ts";
import type { Surroundings } from "./surroundings.ts";

export function onCanceledRun({ fail }: Surroundings, id: string, run: RunDocument): void {
  if (run.endedAt === undefined) return;
  if (run.status === "canceled" && run.cancel === undefined) fail(`run ${id} was canceled, and nobody wanted that`);
  if (run.status === "succeeded" && run.cancel !== undefined && run.code !== "cancel-too-late")
    fail(`run ${id} succeeded, and does not say that it was to be canceled`);
}

export function onCanceledIntent({ documents, fail }: Surroundings, { jobId, runId }: Intent): void {
  if (documents.get("run", runId)?.cancel !== undefined) fail(`${jobId} was opened by a run that was to be canceled`);
}

/** A head of stored rows becomes visible with its commit. */
export function onCanceledHead(
  { documents, fail }: Surroundings,
  before: PartitionDocument | undefined,
  { head }: PartitionDocument,
): void {
  if (head?.stored === undefined || head.materializationId === before?.head?.materializationId) return;
  if (documents.get("run", head.runId)?.cancel !== undefined)
    fail(`${head.materializationId} was committed by a run that was to be canceled`);
}

/** What a person is told must be so. */
export function onCancelAnswer({ documents, fail }: Surroundings, runId: string, { kind }: CancelAnswer): void {
  const run = documents.get("run", runId);
  const what = `the cancel of ${runId} was answered "${kind}"`;
  if (kind === "unknown") return fail(`${what}, and it is known`);
  if (kind === "folded") return run === undefined ? undefined : fail(`${what}, and it has begun`);
  if (kind === "ended") return run?.endedAt === undefined ? fail(`${what}, and it has not`) : undefined;
  if (run?.cancel === undefined) return fail(`${what}, and there is no such wish`);
  if (kind === "canceled" && run.status !== "canceled") return fail(`${what}, and it is ${run.status}`);
}

/** When nothing moves any more. */
export function cancelsAtRest({ documents, fail }: Surroundings): void {
  for (const [id, run] of documents.all("run")) {
    if (run.status !== "canceled") continue;
    const of = documents.events.filter((event) => event.run === id);
    if (of.some(({ type }) => type === "materialized")) fail(`run ${id} was canceled, and has materialized`);
    if (!of.some(({ type }) => type === "run.canceled")) fail(`run ${id} was canceled without an event`);
  }
}

/** Whether a person has canceled what would have made the partition; then its trigger counts as answered. */
export function canceledIn({ documents, project }: Surroundings): (asset: string, partition?: string) => boolean {
  const all = new Set<string>();
  for (const [, { status, kind, name, partition, request }] of documents.all("run")) {
    if (status !== "canceled") continue;
    const { multi } = project.definitions.jobs.get(name) ?? {};
    // A run that ended before its asset was renamed keeps the name that it had.
    const now = presentKey((project.renamed ?? project).definitions.assets, name);
    if (kind === "asset") all.add(now).add(`${now}|${partition}`);
    const day = (request.config as { readonly partition?: string } | undefined)?.partition ?? "";
    for (const { key } of kind === "job" ? Object.values(multi?.outputs ?? {}) : []) all.add(key).add(`${key}|${day}`);
  }
  return (asset, partition) => all.has(partition === undefined ? asset : `${asset}|${partition}`);
}
