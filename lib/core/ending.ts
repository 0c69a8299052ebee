/**
 * How a run leaves its partition: asleep for a while, or for good; and what is left to do after its end: its messages are
 * announced, its staging is put away.
 */
import { topicOf } from "./asset-key.ts";
import type { Decision, Finish, InputObject, PartitionDocument, RunDocument, Write } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import type { EventBody, Metadata, SluiceEvent } from "./events.ts";
import type { OutboxMessage, RunRequest } from "./request.ts";
import { withFailure } from "./retry.ts";
import { eventOf, holds, lockRef, partitionRef, putDue } from "./run-identity.ts";
import type { RunIdentity, RunState } from "./run-identity.ts";

export interface ParkRequest {
  readonly identity: RunIdentity;
  readonly token: number;
  readonly now: number;
  readonly wakeAt: number;
  readonly leaseMs: number;
  readonly code: string;
  readonly reason: string;
  /** Counts against the retry policy. */
  readonly failed: boolean;
  /** The entry of the policy that it counts against by itself. */
  readonly errorClass?: string;
  /** What else is written with it, should the run sleep. */
  readonly writes?: readonly Write[];
  /** The warehouse jobs that are under way. */
  readonly jobs?: readonly string[];
  /** The run knows that it is to be canceled, and sleeps all the same. */
  readonly canceling?: boolean;
}

/**
 * The run keeps its partition and sleeps until `wakeAt`; `false` when it no longer holds the partition. One that does not know
 * yet that it is to be canceled (`canceled`) is due at once.
 */
export function park(state: RunState, input: ParkRequest): Decision<boolean | "canceled"> {
  const { run, partition } = state;
  if (run === undefined || partition === undefined || !holds(partition, input.token)) return decided(false);
  const canceled = run.cancel !== undefined && input.canceling !== true;
  const wakeAt = canceled ? input.now : input.wakeAt;
  const { jobs = [] } = input;
  const parked: RunDocument = {
    ...run,
    status: "parked",
    code: input.code,
    reason: input.reason,
    wakeAt,
    ...(input.failed ? withFailure(run, input.errorClass) : {}),
    updatedAt: input.now,
  };
  // A lease longer than the sleep: whoever finds the sleeper overdue by a whole lease may take its place.
  const holder = {
    runId: run.id,
    token: input.token,
    leaseUntil: wakeAt + input.leaseMs,
    parked: true as const,
    ...(partition.holder?.cancel === undefined ? {} : { cancel: partition.holder.cancel }),
    ...(jobs.length === 0 ? {} : { jobs }),
  };
  return {
    result: canceled ? "canceled" : true,
    writes: [
      put(ref("run", run.id), parked),
      put(lockRef(input.identity), { ...partition, holder }),
      putDue(run.id, canceled ? wakeAt : wakeAt + GRACE_MS),
      ...(input.writes ?? []),
    ],
    events: [
      {
        ...eventOf(input.identity, `parked-${run.attempt}`, input.now),
        type: "run.parked",
        code: input.code,
        reason: input.reason,
        wakeAt,
      },
    ],
  };
}

export interface EndRequest {
  readonly identity: RunIdentity;
  readonly now: number;
  readonly status: "succeeded" | "failed" | "skipped" | "canceled";
  readonly code?: string;
  readonly reason?: string;
  readonly stack?: string;
  /** Messages that this end sends, besides the pending requests that it sets free. */
  readonly outbox?: readonly OutboxMessage[];
  readonly events?: readonly SluiceEvent[];
  readonly metadata?: Metadata;
  /** Inputs that came too late to be published. */
  readonly superseded?: readonly InputObject[];
  /** What became of the warehouse jobs of a canceled run. */
  readonly jobs?: Extract<EventBody, { readonly type: "run.canceled" }>["jobs"];
  /** A named position that is stored with the end, as a sensor's. */
  readonly cursor?: { readonly id: string; readonly value: string };
}

/** Ends a run that publishes nothing, if it still holds its partition. */
export function end(
  state: RunState,
  input: EndRequest & { readonly token: number },
): Decision<RunDocument | undefined> {
  if (state.run === undefined || state.partition === undefined || !holds(state.partition, input.token))
    return decided(undefined);
  return endRun({ run: state.run, partition: state.partition }, input);
}

/** The writes that end a run and free its partition; whatever waited for the partition is requested again. */
export function endRun(
  state: { readonly run: RunDocument; readonly partition: PartitionDocument | undefined },
  input: EndRequest,
): Decision<RunDocument> {
  const { identity, now } = input;
  const freed = free(state.partition, identity.id);
  const outbox = [...(input.outbox ?? []), ...freed.outbox];
  const { wakeAt, code, reason, checkpoint, ...rest } = state.run;
  const run: RunDocument = {
    ...rest,
    status: input.status,
    ...(input.code === undefined ? {} : { code: input.code }),
    ...(input.reason === undefined ? {} : { reason: input.reason }),
    ...(input.status === "succeeded" ? lateFor(state.run) : {}),
    ...(input.status === "canceled" && state.run.cancel?.reason !== undefined
      ? { reason: state.run.cancel.reason }
      : {}),
    failures: state.run.failures + (input.status === "failed" ? 1 : 0),
    updatedAt: now,
    endedAt: now,
    outbox,
  };
  const writes: Write[] = [put(ref("run", identity.id), run)];
  if (identity.kind !== "asset") writes.push({ delete: lockRef(identity) });
  else if (freed.partition !== undefined) {
    const late = input.superseded === undefined ? {} : { superseded: { at: now, inputs: input.superseded } };
    const blocked =
      input.code === "check-failed" ? { blocked: { at: now, runId: identity.id, reason: input.reason ?? "" } } : {};
    const { failed, ...left } = freed.partition;
    // A canceled run says nothing about the partition.
    const before = input.status === "canceled" && failed !== undefined ? { failed } : {};
    const mark = input.status === "failed" ? { failed: { at: now, runId: identity.id } } : before;
    writes.push(put(lockRef(identity), { ...left, ...late, ...blocked, ...mark }));
  }
  if (input.cursor !== undefined) {
    writes.push(put(ref("cursor", input.cursor.id), { value: input.cursor.value, at: now }));
  }
  writes.push(dueAfterEnd(run, now));
  return { result: run, writes, events: [...(input.events ?? []), endEvent(input, run)] };
}

/** What is said of a run that was to be canceled when its work was done. */
export function lateFor({ cancel }: RunDocument): { readonly code?: string; readonly reason?: string } {
  if (cancel === undefined) return {};
  return { code: "cancel-too-late", reason: "it was to be canceled, but its work was done by then" };
}

function endEvent(input: EndRequest, run: RunDocument): SluiceEvent {
  const { identity, now } = input;
  const code = input.code ?? input.status;
  const reason = run.reason ?? "";
  const base = eventOf(identity, input.status, now);
  if (input.status === "skipped") return { ...base, type: "run.skipped", code, reason };
  if (input.status === "canceled") {
    const { jobs = [] } = input;
    return { ...base, type: "run.canceled", code, reason, ...(jobs.length === 0 ? {} : { jobs }) };
  }
  if (input.status === "failed") {
    return {
      ...base,
      type: "run.failed",
      code,
      reason,
      failures: run.failures,
      ...(input.stack === undefined ? {} : { stack: input.stack }),
    };
  }
  return {
    ...base,
    type: "run.succeeded",
    kind: identity.kind,
    name: identity.name,
    ...(input.metadata === undefined ? {} : { metadata: input.metadata }),
    ...(run.reason === undefined ? {} : { reason: run.reason }),
  };
}

/** The partition without its holder, and the requests that waited for it. Another holder's claim is left alone. */
export function free(
  partition: PartitionDocument | undefined,
  runId: string,
): { readonly partition: PartitionDocument | undefined; readonly outbox: readonly OutboxMessage[] } {
  if (partition === undefined || (partition.holder !== undefined && partition.holder.runId !== runId))
    return { partition, outbox: [] };
  const { holder, pending, ...freed } = partition;
  const waiting = [...(pending?.special ?? []), ...(pending?.plain === undefined ? [] : [pending.plain])];
  return {
    partition: freed,
    outbox: waiting.map((request) => ({ topic: topicOf(partition.name), data: bodyOf(request) })),
  };
}

/** What a kept request looks like as a message. */
export function bodyOf(request: RunRequest): unknown {
  const { requestedAt, partition, ...body } = request;
  return { ...body, ...(partition === "" ? {} : { partition }) };
}

/** What is announced at once, and woken by a message of its own, is due only if that did not happen. */
const GRACE_MS = 5_000;

/** An ended run stays due until its messages are out; a commit always has one, and its staging is put away with it. */
export function dueAfterEnd(run: RunDocument, now: number): Write {
  if (run.outbox.length === 0) return { delete: ref("due", run.id) };
  return putDue(run.id, now + GRACE_MS);
}

/**
 * Marks a run's messages as published and, where `finished`, its staging as put away. What is not finished stays due. The result is
 * the asset's new name where the partition has moved meanwhile: what is left of the run has gone there with it.
 */
export function announced(
  state: RunState,
  input: { readonly identity: RunIdentity; readonly finished: boolean; readonly now: number },
): Decision<string | undefined> {
  const { run } = state;
  const { id } = input.identity;
  const movedTo = state.partition?.movedTo;
  const over = input.finished && movedTo === undefined;
  const writes: Write[] = [over ? { delete: ref("due", id) } : putDue(id, input.now + FINISH_AGAIN_MS)];
  if (run !== undefined && run.outbox.length > 0) writes.push(put(ref("run", run.id), { ...run, outbox: [] }));
  if (input.finished) writes.push(...putAway(state, { runId: id }).writes);
  return { result: movedTo, writes, events: [] };
}

/** When leftovers that could not be put away are tried again. */
const FINISH_AGAIN_MS = 30_000;

/** Forgets the leftovers of a commit once the staging has become the raw table and is gone; `keep` are versions yet to be removed. */
export function putAway(
  { partition }: Pick<RunState, "partition">,
  { runId, keep }: { readonly runId: string; readonly keep?: Finish["remove"] | undefined },
): Decision<void> {
  if (partition?.finish?.runId !== runId) return decided(undefined);
  const { finish, ...done } = partition;
  const left = keep === undefined ? done : { ...done, finish: { runId, remove: keep } };
  return { result: undefined, writes: [put(partitionRef(partition.name, partition.partition), left)], events: [] };
}
