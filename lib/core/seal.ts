/**
 * The seal: before a clean-up deletes an interval's objects, the partition is closed for runs. Nothing can load half of
 * what is being deleted, and nothing can replace cleaned rows by a remainder.
 */
import { eventOf, partitionRef } from "./run-identity.ts";
import type { RunIdentity } from "./run-identity.ts";
import type { AssetDocument, Decision, PartitionDocument, SlotDocument } from "./documents.ts";
import { put } from "./documents.ts";

export type SealOutcome =
  | { readonly kind: "sealed"; readonly partition: PartitionDocument }
  | { readonly kind: "kept"; readonly reason: string };

/** `shared`: the slot is a table that all partitions take turns in (overwrite mode). */
export function seal(
  state: {
    readonly partition: PartitionDocument | undefined;
    readonly slot: SlotDocument | undefined;
    readonly asset: AssetDocument | undefined;
  },
  input: { readonly identity: RunIdentity; readonly now: number; readonly by: string; readonly shared: boolean },
): Decision<SealOutcome> {
  const { partition, slot, asset } = state;
  if (partition === undefined) return kept("it was never materialized");
  if (partition.seal !== undefined) return { result: { kind: "sealed", partition }, writes: [], events: [] };
  if (partition.holder !== undefined) return kept("a run is at work on it");
  if (partition.finish !== undefined) return kept("its last run is not finished yet");
  if (slot?.intent?.partition === partition.partition) return kept("a publish into it is under way");
  if (asset?.partition === partition.partition) return kept("it is the newest");
  if (input.shared && slot?.committed?.partition === partition.partition) return kept("it is what the table shows");
  const sealed: PartitionDocument = { ...partition, seal: { at: input.now, runId: input.by } };
  return {
    result: { kind: "sealed", partition: sealed },
    writes: [put(partitionRef(partition.name, partition.partition), sealed)],
    events: [{ ...eventOf(input.identity, `sealed-${input.by}`, input.now), run: input.by, type: "partition.sealed" }],
  };
}

function kept(reason: string): Decision<SealOutcome> {
  return { result: { kind: "kept", reason }, writes: [], events: [] };
}
