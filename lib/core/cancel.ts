/**
 * Canceling a run, as decisions over its documents. The mark is set in the run and, for its holder to see at the next renewal,
 * in the partition; from then on the run opens no intent. Whoever holds the partition, or the run's next execution, puts away
 * what is there and ends it; a publish that had begun is settled first, and may have happened.
 */
import type { Decision, DueDocument, PartitionDocument, Ref, RunDocument } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { newRun } from "./claim.ts";
import type { RunRequest } from "./request.ts";
import { eventOf, lockRef, putDue } from "./run-identity.ts";
import type { RunIdentity } from "./run-identity.ts";

export interface CancelRefs {
  readonly [name: string]: Ref;
  readonly run: Ref<"run">;
  readonly partition: Ref<"partition">;
  readonly due: Ref<"due">;
}

export interface CancelState {
  readonly run: RunDocument | undefined;
  readonly partition: PartitionDocument | undefined;
  readonly due: DueDocument | undefined;
  /** Where an older deployment may hold a run of an asset that has another name by now. */
  readonly before?: PartitionDocument | undefined;
}

export function cancelRefs(run: RunIdentity): CancelRefs {
  return { run: ref("run", run.id), partition: lockRef(run), due: ref("due", run.id) };
}

/** For a run that is known under another name than its asset's present one. */
export function renamedCancelRefs(run: RunIdentity, known: string): CancelRefs & { readonly before: Ref<"partition"> } {
  return { ...cancelRefs(run), before: lockRef({ ...run, name: known }) };
}

export type CancelOutcome =
  | { readonly kind: "unknown" }
  /** Too late: it has ended. */
  | { readonly kind: "ended"; readonly run: RunDocument }
  /** It ends as soon as whoever executes it looks. */
  | { readonly kind: "asked"; readonly run: RunDocument }
  /** That was asked for before. */
  | { readonly kind: "asked-before"; readonly run: RunDocument };

interface CancelRequest {
  readonly identity: RunIdentity;
  readonly now: number;
  readonly reason?: string | undefined;
}

/** Asks a run to end. A sleeping one is due at once. */
export function requestCancel({ run, partition, before }: CancelState, input: CancelRequest): Decision<CancelOutcome> {
  const { identity, now, reason } = input;
  if (run === undefined) return decided({ kind: "unknown" });
  if (run.endedAt !== undefined) return decided({ kind: "ended", run });
  if (run.cancel !== undefined) return decided({ kind: "asked-before", run });
  const why = reason === undefined ? {} : { reason };
  const asleep = run.status === "parked" ? { wakeAt: now } : {};
  const marked: RunDocument = { ...run, ...asleep, cancel: { at: now, ...why }, updatedAt: now };
  const told = [partition, before].flatMap((place) => {
    if (place?.holder?.runId !== run.id) return [];
    const holder = { ...place.holder, cancel: true as const };
    return [
      put(place === before ? lockRef({ ...identity, name: before.name }) : lockRef(identity), { ...place, holder }),
    ];
  });
  return {
    result: { kind: "asked", run: marked },
    writes: [put(ref("run", run.id), marked), ...told, putDue(run.id, now)],
    events: [{ ...eventOf(identity, "cancel-requested", now), type: "run.cancel-requested", ...why }],
  };
}

export type WaitingOutcome =
  | { readonly kind: "canceled"; readonly run: RunDocument }
  /** It is no more among those that wait: perhaps it stands behind another request, or has just begun. */
  | { readonly kind: "gone" };

/** Cancels a request that waits for its partition: it ends at once, and nobody has executed it. */
export function cancelWaiting(
  { run, partition }: CancelState,
  input: CancelRequest & { readonly runKey: string },
): Decision<WaitingOutcome> {
  const { identity, now, runKey, reason = "it was canceled while it waited" } = input;
  const { pending } = partition ?? {};
  const kept = [pending?.plain, ...(pending?.special ?? [])].find((request) => request?.runKey === runKey);
  if (run !== undefined || partition === undefined || kept === undefined) return decided({ kind: "gone" });
  const ended: RunDocument = {
    ...newRun(identity, kept, undefined, now),
    status: "canceled",
    code: "canceled",
    reason,
    cancel: { at: now, ...(input.reason === undefined ? {} : { reason: input.reason }) },
    endedAt: now,
  };
  const { pending: _, ...rest } = partition;
  const left = without(pending, kept);
  return {
    result: { kind: "canceled", run: ended },
    writes: [
      put(ref("run", identity.id), ended),
      put(lockRef(identity), left === undefined ? rest : { ...rest, pending: left }),
    ],
    events: [{ ...eventOf(identity, "canceled", now), type: "run.canceled", code: "canceled", reason }],
  };
}

function without(pending: PartitionDocument["pending"], request: RunRequest): PartitionDocument["pending"] {
  const { plain, special = [] } = pending ?? {};
  const left = special.filter((each) => each !== request);
  const kept = plain === request || plain === undefined ? {} : { plain };
  return kept.plain === undefined && left.length === 0 ? undefined : { ...kept, special: left };
}
