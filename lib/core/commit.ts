/**
 * The commit: what was published becomes the partition's head, its run ends, and the news goes to the outbox, all at once.
 */
import { materializedTopicOf } from "./asset-key.ts";
import { dueAfterEnd, free, lateFor } from "./ending.ts";
import { eventOf, holds, partitionRef, runRefs } from "./run-identity.ts";
import type { RunIdentity } from "./run-identity.ts";
import type {
  AssetDocument,
  Decision,
  Head,
  Intent,
  PartitionDocument,
  Read,
  Ref,
  RunDocument,
  SlotCommit,
  Write,
} from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import type { SluiceEvent } from "./events.ts";
import type { OutboxMessage } from "./request.ts";
import { settled, slotRef } from "./slot.ts";
import { unneeded } from "./stored-versions.ts";

export interface CommitRefs {
  readonly [name: string]: Ref;
  readonly run: Ref<"run">;
  readonly partition: Ref<"partition">;
  readonly slot: Ref<"slot">;
  readonly asset: Ref<"asset">;
}

export function commitRefs(intent: Intent): CommitRefs {
  return {
    run: ref("run", intent.runId),
    partition: partitionRef(intent.name, intent.partition),
    slot: slotRef(intent.destination),
    asset: ref("asset", intent.name),
  };
}

/**
 * Turns an open intent, whose publish job is known to have succeeded, into the slot's commit. The open intent is the
 * guard: whoever finds it, its own run or a stranger rolling it forward, writes the same commit, once. The result is
 * the ended run, or `undefined` when the intent was no longer open.
 */
export function commitIntent(
  state: Read<CommitRefs>,
  input: { readonly intent: Intent; readonly now: number; readonly rolledForward: boolean },
): Decision<RunDocument | undefined> {
  const { run, partition, slot, asset } = state;
  const { intent, now } = input;
  // The open intent of a renamed asset has its new name, and only who knows that may commit.
  const open = slot?.intent?.sequence === intent.sequence && slot.intent.name === intent.name;
  if (!open || run === undefined || partition === undefined) return decided(undefined);
  const identity: RunIdentity = { id: intent.runId, kind: "asset", name: intent.name, partition: intent.partition };
  const { raw } = intent.finish;
  const head: Head = { ...intent.head, at: now, ...(raw === undefined ? {} : { raw }) };
  const committed: SlotCommit = {
    sequence: intent.sequence,
    partition: intent.partition,
    order: intent.order,
    runId: intent.runId,
    materializationId: head.materializationId,
    jobId: intent.jobId,
    at: now,
    ...markOf(slot.committed, intent),
  };
  const done = finishRun({ run, partition }, identity, head, now);
  const writes: Write[] = [
    put(ref("run", run.id), done.run),
    put(partitionRef(intent.name, intent.partition), {
      ...done.partition,
      head,
      finish: { ...intent.finish, ...unneeded(partition, head) },
    }),
    put(slotRef(intent.destination), { sequence: slot.sequence, committed }),
    dueAfterEnd(done.run, now),
    ...advance(asset, identity, head, intent.order),
  ];
  const events: SluiceEvent[] = [{ ...intent.event, at: now }, succeeded(identity, done.run, now)];
  if (input.rolledForward) events.push(settled(intent, "rolled-forward", now));
  return { result: done.run, writes, events };
}

/** From which interval the slot has gone back, by this commit or by one before it that this one is not past. */
function markOf(before: SlotCommit | undefined, { order, event }: Intent): Pick<SlotCommit, "rolledBackFrom"> {
  const goesBack = event.type === "materialized" && event.rolledBackFrom !== undefined;
  const marks = [before?.rolledBackFrom, goesBack ? before?.order : undefined].filter((mark) => mark !== undefined);
  const mark = marks.sort().at(-1);
  return mark !== undefined && mark > order ? { rolledBackFrom: mark } : {};
}

/** The asset's newest partition moves only forward. */
export function advance(
  asset: AssetDocument | undefined,
  identity: RunIdentity,
  head: Head,
  order: string,
): readonly Write[] {
  if (asset !== undefined && asset.order > order) return [];
  return [
    put(ref("asset", identity.name), {
      key: identity.name,
      partition: identity.partition,
      order,
      materializationId: head.materializationId,
      at: head.at,
    }),
  ];
}

export function announcement(identity: RunIdentity, head: Pick<Head, "materializationId">): OutboxMessage {
  return {
    topic: materializedTopicOf(identity.name),
    data: {
      asset: identity.name,
      partition: identity.partition,
      materializationId: head.materializationId,
      runId: identity.id,
    },
  };
}

export interface UnmanagedRefs {
  readonly [name: string]: Ref;
  readonly run: Ref<"run">;
  readonly partition: Ref<"partition">;
  readonly asset: Ref<"asset">;
}

export function unmanagedRefs(identity: RunIdentity): UnmanagedRefs {
  const { run, partition } = runRefs(identity);
  return { run, partition, asset: ref("asset", identity.name) };
}

/** The commit of an asset without a managed table, guarded by the fencing token; `undefined` for a zombie. */
export function commitUnmanaged(
  state: Read<UnmanagedRefs>,
  input: {
    readonly identity: RunIdentity;
    readonly token: number;
    readonly now: number;
    readonly order: string;
    readonly head: Omit<Head, "at">;
    readonly events: readonly SluiceEvent[];
  },
): Decision<RunDocument | undefined> {
  const { run, partition, asset } = state;
  const { identity, now } = input;
  if (run === undefined || partition === undefined || !holds(partition, input.token)) return decided(undefined);
  const head: Head = { ...input.head, at: now };
  const done = finishRun({ run, partition }, identity, head, now);
  const { finish: _, ...rest } = done.partition;
  const left = unneeded(partition, head);
  const finish = left.remove === undefined ? {} : { finish: { runId: run.id, ...left } };
  return {
    result: done.run,
    writes: [
      put(ref("run", run.id), done.run),
      put(partitionRef(identity.name, identity.partition), { ...rest, head, ...finish }),
      dueAfterEnd(done.run, now),
      ...advance(asset, identity, head, input.order),
    ],
    events: [...input.events, succeeded(identity, done.run, now)],
  };
}

function succeeded(identity: RunIdentity, { reason }: RunDocument, now: number): SluiceEvent {
  const said = reason === undefined ? {} : { reason };
  return { ...eventOf(identity, "succeeded", now), type: "run.succeeded", kind: "asset", name: identity.name, ...said };
}

/** The run as it ends with its materialization, and the partition that it sets free. */
function finishRun(
  state: { readonly run: RunDocument; readonly partition: PartitionDocument },
  identity: RunIdentity,
  head: Head,
  now: number,
): { readonly run: RunDocument; readonly partition: PartitionDocument } {
  const freed = free(state.partition, identity.id);
  const { wakeAt, code, reason, checkpoint, ...rest } = state.run;
  const { superseded, blocked, failed, writing, ...partition } = freed.partition ?? state.partition;
  const outbox: OutboxMessage[] = [announcement(identity, head), ...freed.outbox];
  const run: RunDocument = {
    ...rest,
    // A dead run of a renamed asset ends under the new name, where its leftovers are.
    name: identity.name,
    status: "succeeded",
    ...lateFor(state.run),
    materializationId: head.materializationId,
    updatedAt: now,
    endedAt: now,
    outbox,
  };
  return { run, partition };
}
