/**
 * The slot and its one open intent. A token in the event store cannot stop a request that a dead run has already
 * sent to the warehouse; an intent can, because the warehouse takes every job id once:
 *
 *   open ──publish job succeeded──▶ committed
 *     └──its id taken by a no-op, or the job failed──▶ closed (as if it had never been)
 *
 * Whoever meets a stranger's open intent first makes sure which of the two it is, then goes on.
 */
import type { Decision, Intent, PartitionDocument, Ref, SlotDocument } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { holds } from "./run-identity.ts";
import type { RunIdentity } from "./run-identity.ts";
import type { Cause } from "./request.ts";
import type { SluiceEvent } from "./events.ts";
import { EVENT_VERSION } from "./events.ts";
import { shortHash } from "./hash.ts";
import type { Destination } from "./table.ts";
import { formatTable } from "./table.ts";

export function slotRef(destination: Destination): Ref<"slot"> {
  return ref("slot", formatTable(destination));
}

/** The publish job of sequence `n`: nobody else's id, and never used for anything but this publish or its prevention. */
export function publishJobId(destination: Destination, sequence: number): string {
  return `pub-${shortHash([formatTable(destination)])}-${sequence}`;
}

/** Why an intent cannot be opened, or the intent. */
export type OpenOutcome =
  | { readonly kind: "open"; readonly intent: Intent }
  /** The partition has another holder now: this run is a zombie. */
  | { readonly kind: "lost" }
  /** The run is to be canceled. */
  | { readonly kind: "canceled" }
  /** The slot shows a newer interval. */
  | { readonly kind: "superseded"; readonly by: string }
  /** Another publish is under way, or was cut off: it must be waited for, or settled. */
  | { readonly kind: "occupied"; readonly intent: Intent };

export interface OpenRequest {
  readonly identity: RunIdentity;
  readonly token: number;
  readonly order: string;
  /** An explicit wish to go back to an older interval. */
  readonly rollback: boolean;
  /** The slot keeps what other partitions have published in it, so that none is too late. */
  readonly accumulates?: boolean;
  readonly now: number;
  readonly destination: Destination;
  readonly staging: Intent["staging"];
  readonly head: Intent["head"];
  readonly event: SluiceEvent;
  readonly raw?: Intent["staging"];
  /** The folder of the staging bucket that the staging was loaded from. */
  readonly staged?: string;
  /** Results of the checks, recorded with the intent. */
  readonly events: readonly SluiceEvent[];
}

export function openIntent(
  state: { readonly partition: PartitionDocument | undefined; readonly slot: SlotDocument | undefined },
  input: OpenRequest,
): Decision<OpenOutcome> {
  const { partition, slot } = state;
  if (partition === undefined || !holds(partition, input.token)) return decided({ kind: "lost" });
  if (slot?.intent !== undefined) {
    // The same claim asking again (its first answer was lost on the way) gets the same intent.
    const own = slot.intent.runId === input.identity.id && slot.intent.token === input.token;
    return decided({ kind: own ? "open" : "occupied", intent: slot.intent });
  }
  if (partition.holder?.cancel === true) return decided({ kind: "canceled" });
  const newer = input.accumulates === true ? undefined : supersededBy(slot, input.order);
  if (newer !== undefined && !input.rollback) return decided({ kind: "superseded", by: newer });

  const sequence = (slot?.sequence ?? 0) + 1;
  const intent: Intent = {
    sequence,
    jobId: publishJobId(input.destination, sequence),
    name: input.identity.name,
    partition: input.identity.partition,
    order: input.order,
    runId: input.identity.id,
    token: input.token,
    openedAt: input.now,
    staging: input.staging,
    destination: input.destination,
    head: input.head,
    event:
      newer !== undefined && input.event.type === "materialized"
        ? { ...input.event, rolledBackFrom: newer }
        : input.event,
    finish: {
      runId: input.identity.id,
      staging: input.staging,
      ...(input.staged === undefined ? {} : { staged: input.staged }),
      ...(input.raw === undefined
        ? {}
        : { raw: { table: input.raw, jobId: `raw-${publishJobId(input.destination, sequence).slice(4)}` } }),
    },
  };
  return {
    result: { kind: "open", intent },
    writes: [put(slotRef(input.destination), { ...slot, sequence, intent })],
    events: input.events,
  };
}

/** The partition of a newer interval that the slot shows, if there is one. */
export function supersededBy(slot: SlotDocument | undefined, order: string): string | undefined {
  return slot?.committed !== undefined && slot.committed.order > order ? slot.committed.partition : undefined;
}

/**
 * The partition that the slot shows by a rollback, if it is older than this one, which was shown before. What the partition
 * holds already does not take its place back by itself: new data does, and whoever asks for it by hand.
 */
export function rolledBackTo(slot: SlotDocument | undefined, order: string, cause: Cause): string | undefined {
  const byHand = cause.kind === "manual" || cause.kind === "replay" || cause.kind === "backfill";
  const { committed } = slot ?? {};
  const wasShown = committed?.rolledBackFrom !== undefined && order <= committed.rolledBackFrom;
  return !byHand && wasShown && committed.order < order ? committed.partition : undefined;
}

/** Whether a stranger may settle the intent: its holder is gone, or its lease has run out. */
export function maySettle(intent: Intent, owner: PartitionDocument | undefined, now: number): boolean {
  return owner === undefined || !holds(owner, intent.token) || (owner.holder?.leaseUntil ?? 0) <= now;
}

/** Forgets an intent whose publish did not, and can no longer, happen. */
export function closeIntent(
  state: { readonly slot: SlotDocument | undefined },
  input: { readonly intent: Intent; readonly now: number },
): Decision<void> {
  const { slot } = state;
  if (slot?.intent?.sequence !== input.intent.sequence) return decided(undefined);
  const { intent, ...rest } = slot;
  return {
    result: undefined,
    writes: [put(slotRef(input.intent.destination), rest)],
    events: [settled(input.intent, "closed", input.now)],
  };
}

/** What became of an intent that somebody had to settle. */
export function settled(intent: Intent, outcome: "rolled-forward" | "closed", at: number): SluiceEvent {
  return {
    v: EVENT_VERSION,
    id: `${intent.jobId}-settled`,
    at,
    asset: intent.name,
    ...(intent.partition === "" ? {} : { partition: intent.partition }),
    run: intent.runId,
    type: "publish.settled",
    jobId: intent.jobId,
    outcome,
  };
}
