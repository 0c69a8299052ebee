/**
 * Who may work on a partition: the rules of claim and renewal, as decisions over the run's and the partition's documents.
 * Clocks decide only when a takeover may be tried; the fencing token decides who commits.
 */
import type { Decision, PartitionDocument, PauseDocument, RunDocument, Write } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { endRun } from "./ending.ts";
import { ageProblem } from "./event-age.ts";
import type { SluiceEvent } from "./events.ts";
import type { RunRequest } from "./request.ts";
import { isPlain } from "./request.ts";
import { outlastsPause, pauseAnswer } from "./pause.ts";
import { eventOf, holds, lockRef, putDue } from "./run-identity.ts";
import type { RunIdentity, RunState } from "./run-identity.ts";

export interface ClaimRequest {
  readonly identity: RunIdentity;
  /** Absent for a wake-up: the run's own, frozen request is used. */
  readonly request?: RunRequest;
  readonly now: number;
  readonly leaseMs: number;
  /** Whether this very process is executing the run, however old its lease looks (a paused debugger). */
  readonly isExecuting?: (runId: string) => boolean;
  /** When the message that brought the request was sent, and how old it may be. */
  readonly sentAt?: number | undefined;
  readonly maxAgeMs?: number | undefined;
}

/** The documents that a claim decides on; `pause` is of the asset. */
export interface ClaimState extends RunState {
  readonly pause?: PauseDocument | undefined;
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
  | { readonly kind: "duplicate"; readonly cancel?: true }
  /** The partition is busy with another run, or the asset is paused; the request is kept and will be made again. */
  | { readonly kind: "pending" }
  /** The asset is paused, and whoever asked should know. */
  | { readonly kind: "paused"; readonly reason: string }
  /** A wake-up for a run that does not exist. */
  | { readonly kind: "unknown" }
  /** The asset has another name now: the request is to be made there. */
  | { readonly kind: "moved"; readonly to: string; readonly request: RunRequest };

type Pending = NonNullable<PartitionDocument["pending"]>;

/**
 * Begins the run, takes it up again, or says why not. A request that finds its partition busy is kept in the partition;
 * whatever frees it makes the request again.
 */
export function claim(state: ClaimState, input: ClaimRequest): Decision<ClaimOutcome> {
  const { identity, now } = input;
  const { run, partition, pause } = state;
  if (run?.endedAt !== undefined)
    return { result: { kind: "ended", run }, writes: overdue(run, partition), events: [] };
  const request = run?.request ?? input.request;
  if (request === undefined) return decided({ kind: "unknown" });
  const to = partition?.movedTo ?? pause?.movedTo;
  if (to !== undefined) return decided({ kind: "moved", to, request });

  // What has begun goes on to its end, however old it is and whatever was paused since.
  if (run === undefined) {
    const old = ageProblem(request, input);
    if (old !== undefined) return skipped({ ...state, run }, input, request, "too-old", old);
    const answer = pause === undefined ? undefined : pauseAnswer(pause, request);
    if (answer?.kind === "refuse") return decided({ kind: "paused", reason: answer.reason });
    if (answer?.kind === "skip") return skipped({ ...state, run }, input, request, "paused", answer.reason);
    if (answer?.kind === "wait")
      return keepPending(partition ?? noPartition(identity), request, input, run, answer.reason);
  }

  const sealed = partition?.seal !== undefined;
  // A clean-up that is under way goes on deleting, whoever opens the partition meanwhile.
  const cleaning = sealed && partition?.cleanedAt === undefined;
  if (sealed && (cleaning || request.unseal !== true)) {
    const reason = cleaning
      ? `${where(identity)} is being cleaned up and takes no runs; ask again when the clean-up has ended, with its files put back and --unseal`
      : `${where(identity)} was cleaned up and takes no more runs; put all its files back and run it with --unseal`;
    return skipped(state, input, request, "sealed", reason);
  }

  // A sleeper is woken by its time and by nothing else, whoever has its partition meanwhile.
  if (run?.status === "parked" && (run.wakeAt ?? 0) > now && !isCalledUp(run)) return decided({ kind: "duplicate" });
  const holder = partition?.holder;
  if (holder !== undefined) {
    const live = holder.leaseUntil > now || input.isExecuting?.(holder.runId) === true;
    if (holder.runId === identity.id) {
      if (live && run?.status === "running")
        return decided(run.cancel === undefined ? { kind: "duplicate" } : { kind: "duplicate", cancel: true });
    } else if (live && partition !== undefined) {
      // A sleeping run gives way to a wish of its own; it goes on when it wakes.
      const displaces = holder.parked === true && !isPlain(request);
      if (!displaces) return keepPending(partition, request, input, run);
    }
  }

  const token = (partition?.token ?? 0) + 1;
  const { wakeAt, code, reason, ...started } = newRun(identity, request, run, now);
  const claimed: RunDocument = {
    ...started,
    status: "running",
    token,
    attempt: (run?.attempt ?? 0) + 1,
    updatedAt: now,
  };
  const { seal, cleanedAt, pending, ...unsealed } = partition ?? noPartition(identity);
  const waiting = withoutRequest(pending, request);
  const held: PartitionDocument = {
    ...unsealed,
    ...(waiting === undefined ? {} : { pending: waiting }),
    token,
    holder: {
      runId: identity.id,
      token,
      leaseUntil: now + input.leaseMs,
      ...(run?.cancel === undefined ? {} : { cancel: true as const }),
      ...(holder?.runId === identity.id && holder.jobs !== undefined ? { jobs: holder.jobs } : {}),
    },
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
      putDue(identity.id, now + input.leaseMs),
    ],
    events,
  };
}

/** Ends a run that does nothing, as it is asked for. */
function skipped(
  { run, partition }: RunState,
  { identity, now }: ClaimRequest,
  request: RunRequest,
  code: string,
  reason: string,
): Decision<ClaimOutcome> {
  const begun = { run: newRun(identity, request, run, now), partition };
  const decision = endRun(begun, { identity, now, status: "skipped", code, reason });
  return { ...decision, result: { kind: "ended", run: decision.result } };
}

/** A sleeper that is to be canceled is awake as of that moment, whatever the clocks of others say. */
function isCalledUp({ cancel, wakeAt = 0 }: RunDocument): boolean {
  return cancel !== undefined && wakeAt <= cancel.at;
}

/** An ended run that has nothing left to announce or to put away (perhaps its successor did) has no deadline any more. */
function overdue(run: RunDocument, partition: PartitionDocument | undefined): readonly Write[] {
  const elsewhere = run.status === "succeeded" && partition?.movedTo !== undefined;
  const unfinished = run.outbox.length > 0 || partition?.finish?.runId === run.id || elsewhere;
  return unfinished ? [] : [{ delete: ref("due", run.id) }];
}

/**
 * Keeps the request until the partition is free. Only a request whose run has never begun may stand for others as well: one
 * that has begun, and may end by being rolled forward, has perhaps not seen what they are about.
 */
function keepPending(
  partition: PartitionDocument,
  request: RunRequest,
  input: ClaimRequest,
  run: RunDocument | undefined,
  reason?: string,
): Decision<ClaimOutcome> {
  const { identity, now } = input;
  const pending = partition.pending ?? { special: [] };
  const known = [pending.plain, ...pending.special].some((kept) => kept?.runKey === request.runKey);
  const next =
    isPlain(request) && run === undefined
      ? withPlain(pending, request)
      : { ...pending, special: [...pending.special, request] };
  const writes: Write[] = known ? [] : [put(lockRef(identity), { ...partition, pending: next })];
  // A displaced sleeper that woke up is due again only when its partition may be free.
  if (run !== undefined) writes.push(putDue(identity.id, now + input.leaseMs));
  return {
    result: { kind: "pending" },
    writes,
    events: [
      {
        ...eventOf(identity, "coalesced", now),
        type: "run.coalesced",
        runKey: request.runKey,
        ...(reason === undefined ? {} : { reason }),
      },
    ],
  };
}

/**
 * One plain request stands for all. A person's does not stand for what comes by itself: it would be refused should the asset be
 * paused before it is made again, and the others with it.
 */
function withPlain(pending: Pending, request: RunRequest): Pending {
  const { plain, special } = pending;
  if (plain === undefined) return { plain: request, special };
  if (outlastsPause(plain) || !outlastsPause(request)) return pending;
  return { plain: request, special: [...special, plain] };
}

/** What still waits once `request` is being served: a later request must not be folded into one that is under way. */
function withoutRequest(pending: Pending | undefined, { runKey }: RunRequest): Pending | undefined {
  if (pending === undefined) return undefined;
  const plain = pending.plain?.runKey === runKey ? undefined : pending.plain;
  const special = pending.special.filter((kept) => kept.runKey !== runKey);
  if (plain === undefined && special.length === 0) return undefined;
  return { ...(plain === undefined ? {} : { plain }), special };
}

function noPartition({ name, partition }: RunIdentity): PartitionDocument {
  return { name, partition, token: 0 };
}

/** The run as it is before anybody has done anything for it. */
export function newRun(
  identity: RunIdentity,
  request: RunRequest,
  existing: RunDocument | undefined,
  now: number,
): RunDocument {
  // A run that began before its asset was renamed goes on under the new name.
  if (existing !== undefined) return { ...existing, ...identity };
  return {
    ...identity,
    request,
    status: "running",
    attempt: 0,
    failures: 0,
    token: 0,
    createdAt: now,
    updatedAt: now,
    outbox: [],
  };
}

/**
 * Extends the lease; `false` when another holder has the partition, `canceled` when the run is to end. A sleeper is left asleep: its own last renewal may
 * arrive after it was parked.
 */
export function renew(
  state: { readonly partition: PartitionDocument | undefined },
  input: {
    readonly identity: RunIdentity;
    readonly token: number;
    readonly now: number;
    readonly leaseMs: number;
    /** The warehouse jobs that are under way. */
    readonly jobs?: readonly string[];
  },
): Decision<boolean | "canceled"> {
  const { partition } = state;
  if (partition === undefined || !holds(partition, input.token)) return decided(false);
  const { parked, cancel } = partition.holder ?? {};
  if (parked === true) return decided(true);
  const { jobs = [] } = input;
  const holder = {
    runId: input.identity.id,
    token: input.token,
    leaseUntil: input.now + input.leaseMs,
    ...(cancel === undefined ? {} : { cancel }),
    ...(jobs.length === 0 ? {} : { jobs }),
  };
  return {
    result: cancel === true ? "canceled" : true,
    writes: [put(lockRef(input.identity), { ...partition, holder }), putDue(input.identity.id, holder.leaseUntil)],
    events: [],
  };
}

export function where(identity: RunIdentity): string {
  return identity.partition === "" ? identity.name : `${identity.name} ${identity.partition}`;
}
