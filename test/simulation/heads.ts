/** History is linear, partition by partition: who may change a head, and that it is what history says last. */
import type { Intent, PartitionDocument } from "../../lib/core/documents.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import type { Change } from "./documents.ts";
import type { Surroundings } from "./surroundings.ts";

/**
 * The changes of one transaction. A head changes by the commit of the open intent that names it, whoever makes that; without a
 * table, under its holder; or by moving to its new name.
 */
export function onHeads({ project, documents, fail }: Surroundings, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind !== "partition") continue;
    const { id, before, after } = change;
    const [was, is] = [before?.head?.materializationId, after?.head?.materializationId];
    if (was === is) continue;
    if (is === undefined) {
      if (after?.movedTo === undefined) fail(`${id} has forgotten its head ${was ?? ""}`);
      continue;
    }
    const intent = intentOf(changes, is);
    if (intent !== undefined) {
      const named = partitionRef(intent.name, intent.partition).id;
      if (named !== id) fail(`${id} shows ${is}, which was intended for ${named}`);
    } else if (!isMoved(changes, is)) {
      const { assets } = project.definitions;
      const asset = assets.get(after?.name ?? "") ?? project.renamed?.definitions.assets.get(after?.name ?? "");
      if (asset?.target !== undefined) fail(`the head of ${id} became ${is} without the commit of its open intent`);
      else if (!isHeld(before, after, documents.get("run", after?.head?.runId ?? "")?.token))
        fail(`the head of ${id} became ${is}, and its run did not hold it`);
    }
  }
}

/** The open intent that the transaction commits. */
function intentOf(changes: readonly Change[], materialization: string): Intent | undefined {
  for (const { kind, before, after } of changes)
    if (kind === "slot" && after?.committed?.materializationId === materialization)
      if (before?.intent?.head.materializationId === materialization) return before.intent;
  return undefined;
}

function isHeld(
  before: PartitionDocument | undefined,
  after: PartitionDocument | undefined,
  token: number | undefined,
): boolean {
  const holder = before?.holder;
  return holder !== undefined && holder.runId === after?.head?.runId && holder.token === token;
}

function isMoved(changes: readonly Change[], materialization: string): boolean {
  return changes.some(
    ({ kind, before, after }) =>
      kind === "partition" && after?.movedTo !== undefined && before?.head?.materializationId === materialization,
  );
}

/** When nothing moves any more. What a partition had before its asset was renamed, happened under the old name. */
export function headsAtRest({ documents, fail }: Surroundings): void {
  const last = new Map<string, string>();
  for (const event of documents.events)
    if (event.type === "materialized")
      last.set(partitionRef(event.asset ?? "", event.partition ?? "").id, event.materializationId);
  const moved = new Map<string, string[]>();
  for (const [id, { movedTo, partition }] of documents.all("partition")) {
    if (movedTo === undefined) continue;
    const now = partitionRef(movedTo, partition).id;
    moved.set(now, [...(moved.get(now) ?? []), id]);
  }
  for (const [id, { head, movedTo }] of documents.all("partition")) {
    if (movedTo !== undefined) continue;
    const [before] = (moved.get(id) ?? []).map((old) => last.get(old)).filter((each) => each !== undefined);
    const wanted = last.get(id) ?? before;
    if (head?.materializationId !== wanted)
      fail(`${id} shows ${head?.materializationId ?? "nothing"}, and history says ${wanted ?? "nothing"} last`);
  }
  for (const [id, materialization] of last)
    if (documents.get("partition", id) === undefined) fail(`${id} is gone, and has materialized ${materialization}`);
}
