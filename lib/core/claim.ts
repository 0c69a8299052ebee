/**
 * Who may work on a partition: the rules of claim, renewal, parking and ending, as decisions over the run's and the
 * partition's documents. Clocks decide only when a takeover may be tried; the fencing token decides who commits.
 */
import { jobTopicOf, sensorTopicOf, topicOf } from "./asset-key.ts";
import type { Decision, InputObject, PartitionDocument, Ref, RunDocument, RunKind, Write } from "./documents.ts";
import { put, ref } from "./documents.ts";
import type { EventBase, Metadata, SluiceEvent } from "./events.ts";
import { EVENT_VERSION } from "./events.ts";
import type { OutboxMessage, RunRequest } from "./request.ts";
import { isPlain } from "./request.ts";

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

interface RunState {
  readonly run: RunDocument | undefined;
  readonly partition: PartitionDocument | undefined;
}

export interface ClaimRequest {
  readonly identity: RunIdentity;
  /** Absent for a wake-up: the run's own, frozen request is used. */
  readonly request?: RunRequest;
  readonly now: number;
  readonly leaseMs: number;
  /** Whether this very process is executing the run, however old its lease looks (a paused debugger). */
  readonly isExecuting?: (runId: string) => boolean;
}

export type ClaimOutcome =
  /** The caller holds the partition under `token` and executes. */
  | {
      readonly kind: "claimed";
      readonly run: RunDocument;
      readonly partition: PartitionDocument;
      readonly token: number;
    }
  /** The run has ended; its outbox may still have to be announced. */
  | { readonly kind: "ended"; readonly run: RunDocument }
  /** Somebody executes this run, or it is parked until later: the message is a duplicate. */
  | { readonly kind: "duplicate" }
  /** The partition is busy with another run; the request is kept and will be made again. */
  | { readonly kind: "pending" }
  /** A wake-up for a run that does not exist. */
  | { readonly kind: "unknown" };

export function claim(state: RunState, input: ClaimRequest): Decision<ClaimOutcome> {
  const { identity, now } = input;
  const { run, partition } = state;
  if (run?.endedAt !== undefined) return decided({ kind: "ended", run });
  const request = run?.request ?? input.request;
  if (request === undefined) return decided({ kind: "unknown" });

  const sealed = partition?.seal !== undefined && request.unseal !== true;
  if (sealed) {
    const ended = newRun(identity, request, run, now);
    return endRun(
      { run: ended, partition },
      {
        identity,
        now,
        status: "skipped",
        code: "sealed",
        reason: `${where(identity)} was cleaned up and takes no more runs; put all its files back and run it with --unseal`,
      },
      { kind: "ended" },
    );
  }

  const holder = partition?.holder;
  if (holder !== undefined) {
    const live = holder.leaseUntil > now || input.isExecuting?.(holder.runId) === true;
    if (holder.runId === identity.id) {
      const asleep = run?.status === "parked" && (run.wakeAt ?? 0) > now;
      if (asleep || (live && run?.status === "running")) return decided({ kind: "duplicate" });
    } else if (live && partition !== undefined) {
      // A sleeping run gives way to a wish of its own; it goes on when it wakes.
      const displaces = holder.parked === true && !isPlain(request);
      if (!displaces) return keepPending(partition, request, input, run);
    }
  }

  const token = (partition?.token ?? 0) + 1;
  const claimed: RunDocument = {
    ...newRun(identity, request, run, now),
    status: "running",
    token,
    attempt: (run?.attempt ?? 0) + 1,
    updatedAt: now,
  };
  const { seal, cleanedAt, ...unsealed } = partition ?? { name: identity.name, partition: identity.partition, token };
  const held: PartitionDocument = {
    ...unsealed,
    token,
    holder: { runId: identity.id, token, leaseUntil: now + input.leaseMs },
  };
  const events: SluiceEvent[] = [
    {
      ...eventOf(identity, `started-${claimed.attempt}`, now),
      type: "run.started",
      kind: identity.kind,
      name: identity.name,
      cause: request.cause,
      attempt: claimed.attempt,
      ...(holder === undefined || holder.runId === identity.id ? {} : { tookOver: true }),
    },
  ];
  if (seal !== undefined) events.push({ ...eventOf(identity, "unsealed", now), type: "partition.unsealed" });
  return {
    result: { kind: "claimed", run: claimed, partition: held, token },
    writes: [
      put(ref("run", identity.id), claimed),
      put(lockRef(identity), held),
      put(ref("due", identity.id), due(identity.id, now + input.leaseMs)),
    ],
    events,
  };
}

function keepPending(
  partition: PartitionDocument,
  request: RunRequest,
  input: ClaimRequest,
  run: RunDocument | undefined,
): Decision<ClaimOutcome> {
  const { identity, now } = input;
  const pending = partition.pending ?? { special: [] };
  const known = [pending.plain, ...pending.special].some((kept) => kept?.runKey === request.runKey);
  const next = isPlain(request)
    ? { ...pending, plain: pending.plain ?? request }
    : { ...pending, special: [...pending.special, request] };
  const writes: Write[] = known
    ? []
    : [put(partitionRef(partition.name, partition.partition), { ...partition, pending: next })];
  // A displaced sleeper that woke up is due again only when its partition may be free.
  if (run !== undefined) writes.push(put(ref("due", identity.id), due(identity.id, now + input.leaseMs)));
  return {
    result: { kind: "pending" },
    writes,
    events: [{ ...eventOf(identity, "coalesced", now), type: "run.coalesced", runKey: request.runKey }],
  };
}

function newRun(
  identity: RunIdentity,
  request: RunRequest,
  existing: RunDocument | undefined,
  now: number,
): RunDocument {
  return (
    existing ?? {
      ...identity,
      request,
      status: "running",
      attempt: 0,
      failures: 0,
      token: 0,
      createdAt: now,
      updatedAt: now,
      outbox: [],
    }
  );
}

/** Extends the lease; `false` when another holder has the partition. */
export function renew(
  state: { readonly partition: PartitionDocument | undefined },
  input: { readonly identity: RunIdentity; readonly token: number; readonly now: number; readonly leaseMs: number },
): Decision<boolean> {
  const { partition } = state;
  if (partition === undefined || !holds(partition, input.token)) return decided(false);
  const holder = { runId: input.identity.id, token: input.token, leaseUntil: input.now + input.leaseMs };
  return {
    result: true,
    writes: [
      put(lockRef(input.identity), { ...partition, holder }),
      put(ref("due", input.identity.id), due(input.identity.id, holder.leaseUntil)),
    ],
    events: [],
  };
}

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
}

/** The run keeps its partition and sleeps until `wakeAt`; `false` when it no longer holds the partition. */
export function park(state: RunState, input: ParkRequest): Decision<boolean> {
  const { run, partition } = state;
  if (run === undefined || partition === undefined || !holds(partition, input.token)) return decided(false);
  const failures = run.failures + (input.failed ? 1 : 0);
  const parked: RunDocument = {
    ...run,
    status: "parked",
    code: input.code,
    reason: input.reason,
    wakeAt: input.wakeAt,
    failures,
    updatedAt: input.now,
  };
  // A lease longer than the sleep: whoever finds the sleeper overdue by a whole lease may take its place.
  const holder = { runId: run.id, token: input.token, leaseUntil: input.wakeAt + input.leaseMs, parked: true as const };
  return {
    result: true,
    writes: [
      put(ref("run", run.id), parked),
      put(lockRef(input.identity), { ...partition, holder }),
      put(ref("due", run.id), due(run.id, input.wakeAt + GRACE_MS)),
    ],
    events: [
      {
        ...eventOf(input.identity, `parked-${run.attempt}`, input.now),
        type: "run.parked",
        code: input.code,
        reason: input.reason,
        wakeAt: input.wakeAt,
      },
    ],
  };
}

export interface EndRequest {
  readonly identity: RunIdentity;
  readonly now: number;
  readonly status: "succeeded" | "failed" | "skipped";
  readonly code?: string;
  readonly reason?: string;
  readonly stack?: string;
  /** Messages that this end sends, besides the pending requests that it sets free. */
  readonly outbox?: readonly OutboxMessage[];
  readonly events?: readonly SluiceEvent[];
  readonly metadata?: Metadata;
  /** Inputs that came too late to be published. */
  readonly superseded?: readonly InputObject[];
}

/** Ends a run that publishes nothing, if it still holds its partition. */
export function end(
  state: RunState,
  input: EndRequest & { readonly token: number },
): Decision<RunDocument | undefined> {
  if (state.run === undefined || state.partition === undefined || !holds(state.partition, input.token))
    return decided(undefined);
  const decision = endRun({ run: state.run, partition: state.partition }, input, { kind: "ended" });
  return { ...decision, result: decision.result.run };
}

/** The writes that end a run and free its partition; whatever waited for the partition is requested again. */
export function endRun(
  state: { readonly run: RunDocument; readonly partition: PartitionDocument | undefined },
  input: EndRequest,
  outcome: { readonly kind: "ended" },
): Decision<{ readonly kind: "ended"; readonly run: RunDocument }> {
  const { identity, now } = input;
  const freed = free(state.partition, identity.id);
  const outbox = [...(input.outbox ?? []), ...freed.outbox];
  const { wakeAt, code, reason, ...rest } = state.run;
  const run: RunDocument = {
    ...rest,
    status: input.status,
    ...(input.code === undefined ? {} : { code: input.code }),
    ...(input.reason === undefined ? {} : { reason: input.reason }),
    failures: state.run.failures + (input.status === "failed" ? 1 : 0),
    updatedAt: now,
    endedAt: now,
    outbox,
  };
  const writes: Write[] = [put(ref("run", identity.id), run)];
  if (identity.kind !== "asset") writes.push({ delete: lockRef(identity) });
  else if (freed.partition !== undefined) {
    const late = input.superseded === undefined ? {} : { superseded: { at: now, inputs: input.superseded } };
    writes.push(put(lockRef(identity), { ...freed.partition, ...late }));
  }
  writes.push(dueAfterEnd(run, false, now));
  return { result: { ...outcome, run }, writes, events: [...(input.events ?? []), endEvent(input, run)] };
}

function endEvent(input: EndRequest, run: RunDocument): SluiceEvent {
  const { identity, now } = input;
  const code = input.code ?? input.status;
  const reason = input.reason ?? "";
  const base = eventOf(identity, input.status, now);
  if (input.status === "skipped") return { ...base, type: "run.skipped", code, reason };
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

/** An ended run stays due until its messages are out and its staging is put away. */
export function dueAfterEnd(run: RunDocument, unfinished: boolean, now: number): Write {
  if (run.outbox.length === 0 && !unfinished) return { delete: ref("due", run.id) };
  return put(ref("due", run.id), due(run.id, now + GRACE_MS));
}

/**
 * Marks a run's messages as published and, where `finished`, its staging as put away. What is not finished stays due.
 */
export function announced(
  state: RunState,
  input: { readonly identity: RunIdentity; readonly finished: boolean; readonly now: number },
): Decision<void> {
  const { run } = state;
  const { id } = input.identity;
  const writes: Write[] = [
    input.finished ? { delete: ref("due", id) } : put(ref("due", id), due(id, input.now + FINISH_AGAIN_MS)),
  ];
  if (run !== undefined && run.outbox.length > 0) writes.push(put(ref("run", run.id), { ...run, outbox: [] }));
  if (input.finished) writes.push(...putAway(state, { runId: id }).writes);
  return { result: undefined, writes, events: [] };
}

/** When leftovers that could not be put away are tried again. */
const FINISH_AGAIN_MS = 30_000;

/** Forgets the leftovers of a commit once the staging has become the raw table and is gone. */
export function putAway({ partition }: Pick<RunState, "partition">, input: { readonly runId: string }): Decision<void> {
  if (partition?.finish?.runId !== input.runId) return decided(undefined);
  const { finish, ...done } = partition;
  return { result: undefined, writes: [put(partitionRef(partition.name, partition.partition), done)], events: [] };
}

export function holds(partition: PartitionDocument, token: number): boolean {
  return partition.holder?.token === token;
}

function due(runId: string, dueAt: number): { readonly shard: number; readonly dueAt: number; readonly runId: string } {
  return { shard: parseInt(runId.slice(0, 2), 16) % DUE_SHARDS, dueAt, runId };
}

/** Deadlines are spread over this many shards, so that no index range becomes hot. */
export const DUE_SHARDS = 8;

function where(identity: RunIdentity): string {
  return identity.partition === "" ? identity.name : `${identity.name} ${identity.partition}`;
}

function decided<T>(result: T): Decision<T> {
  return { result, writes: [], events: [] };
}
