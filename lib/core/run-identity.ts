/**
 * What a run is called: its identity, the documents that belong to it, its topic, and what its events and deadlines look
 * like. Known before any document is read.
 */
import { jobTopicOf, sensorTopicOf, topicOf } from "./asset-key.ts";
import type { PartitionDocument, Ref, RunDocument, RunKind, Write } from "./documents.ts";
import { put, ref } from "./documents.ts";
import type { EventBase } from "./events.ts";
import { EVENT_VERSION } from "./events.ts";

/** Everything that identifies a run, known before any document is read. */
export interface RunIdentity {
  readonly id: string;
  readonly kind: RunKind;
  readonly name: string;
  readonly partition: string;
}

export interface RunRefs {
  readonly [name: string]: Ref;
  readonly run: Ref<"run">;
  readonly partition: Ref<"partition">;
}

/** Job runs and sensor ticks do not exclude each other: each locks itself alone. */
export function runRefs(run: RunIdentity): RunRefs {
  return { run: ref("run", run.id), partition: lockRef(run) };
}

/** What a claim of an asset's new run looks at: in one read, so that a pause costs no call of its own. */
export function claimRefs(run: RunIdentity): RunRefs & { readonly pause: Ref<"pause"> } {
  return { ...runRefs(run), pause: ref("pause", run.name) };
}

export function lockRef(run: RunIdentity): Ref<"partition"> {
  return run.kind === "asset"
    ? partitionRef(run.name, run.partition)
    : ref("partition", `${run.kind}:${run.name}|${run.id}`);
}

export function partitionRef(asset: string, partition: string): Ref<"partition"> {
  return ref("partition", `${asset}|${partition}`);
}

export function topicOfRun(run: { readonly kind: RunKind; readonly name: string }): string {
  if (run.kind === "asset") return topicOf(run.name);
  return run.kind === "job" ? jobTopicOf(run.name) : sensorTopicOf(run.name);
}

/** What events of a run have in common. */
export function eventOf(run: RunIdentity, suffix: string, at: number): EventBase {
  return {
    v: EVENT_VERSION,
    id: `${run.id}-${suffix}`,
    at,
    run: run.id,
    ...(run.kind === "asset" ? { asset: run.name } : {}),
    ...(run.kind === "asset" && run.partition !== "" ? { partition: run.partition } : {}),
  };
}

/** The documents behind `runRefs`. */
export interface RunState {
  readonly run: RunDocument | undefined;
  readonly partition: PartitionDocument | undefined;
}

/** Whether `token` is the partition's own, latest one: what decides who commits. */
export function holds(partition: PartitionDocument, token: number): boolean {
  return partition.holder?.token === token;
}

/** Deadlines are spread over this many shards, so that no index range becomes hot. */
export const DUE_SHARDS = 8;

/** Sets the run's one deadline: when the sweep looks at it, should nobody have done so before. */
export function putDue(runId: string, dueAt: number): Write {
  return put(ref("due", runId), { shard: parseInt(runId.slice(0, 2), 16) % DUE_SHARDS, dueAt, runId });
}
