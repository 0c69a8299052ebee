/**
 * Adoption: what the event store knows of a partition under an asset's previous key moves to its present one, whole and
 * once. The old document stays behind as a sign of where everything went, so that nobody works under the old name again.
 */
import type { AssetKey } from "./asset-key.ts";
import type {
  AssetDocument,
  Decision,
  PartitionDocument,
  PauseDocument,
  Ref,
  SlotDocument,
  Write,
} from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { EVENT_VERSION } from "./events.ts";
import { partitionRef } from "./run-identity.ts";
import { unneeded } from "./stored-versions.ts";

/** From which name to which. */
export interface Rename {
  readonly from: AssetKey;
  readonly to: AssetKey;
}

export type AdoptOutcome =
  | { readonly kind: "adopted" }
  /** A run is at work under the old name; it may look alive until then. */
  | { readonly kind: "busy"; readonly until: number };

export interface AdoptState {
  readonly old: PartitionDocument | undefined;
  readonly own: PartitionDocument | undefined;
  readonly slot: SlotDocument | undefined;
}

export interface AdoptRequest extends Rename {
  readonly partition: string;
  readonly slot: Ref<"slot">;
  readonly now: number;
  /** Whether this very process is executing the run, however old its lease looks. */
  isExecuting(runId: string): boolean;
}

/**
 * Moves one partition. A head that the new name has already is kept. A run that sleeps or has died goes on under the new
 * name; a live one is left alone, and its partition with it.
 */
export function adoptPartition(state: AdoptState, input: AdoptRequest): Decision<AdoptOutcome> {
  const { old, own, slot } = state;
  if (old === undefined || old.movedTo !== undefined) return decided({ kind: "adopted" });
  const { holder } = old;
  if (
    holder !== undefined &&
    holder.parked !== true &&
    (holder.leaseUntil > input.now || input.isExecuting(holder.runId))
  )
    return decided({ kind: "busy", until: Math.max(holder.leaseUntil, input.now) });

  const { from, to, partition } = input;
  const { name, token } = old;
  const writes: Write[] = [
    // Without a holder, whatever a dead run still has on its way is refused.
    put(partitionRef(from, partition), { name, partition, token, movedTo: to }),
    put(partitionRef(to, partition), joined(old, own, to)),
  ];
  const intent = slot?.intent;
  if (slot !== undefined && intent?.name === from && intent.partition === partition) {
    // A token that nobody holds: the publish is a dead run's, to be settled by whoever comes next.
    const taken = { ...intent, name: to, token: 0, event: { ...intent.event, asset: to } };
    writes.push(put(input.slot, { ...slot, intent: taken }));
  }
  return { result: { kind: "adopted" }, writes, events: [] };
}

function joined(old: PartitionDocument, own: PartitionDocument | undefined, to: AssetKey): PartitionDocument {
  const { name, partition, token, holder, pending, ...content } = old;
  const { movedTo, ...kept } = own ?? { name: to, partition, token: 0 };
  const held = kept.holder ?? holder;
  const waiting = [kept.pending, pending].filter((list) => list !== undefined);
  const plain = waiting.find((list) => list.plain !== undefined)?.plain;
  // Stored rows that a head of its own makes useless are removed with what attempts have left.
  const useless = kept.head === undefined ? old.writing : unneeded(old, kept.head).remove;
  const writing = [...(kept.writing ?? []), ...(useless ?? [])];
  return {
    ...(kept.head === undefined ? content : {}),
    ...kept,
    ...(writing.length === 0 ? {} : { writing }),
    token: Math.max(token, kept.token),
    ...(held === undefined ? {} : { holder: held }),
    ...(waiting.length === 0
      ? {}
      : {
          pending: {
            ...(plain === undefined ? {} : { plain }),
            special: waiting.flatMap((list) => list.special),
          },
        }),
  };
}

/** How far the adoption of one name has come. */
export function adoptionRef({ from, to }: Rename): Ref<"cursor"> {
  return ref("cursor", `adopt ${from} as ${to}`);
}

/** A cursor's value: `walking` or `done`, and the last partition that was looked at. */
export interface AdoptionCursor {
  readonly done: boolean;
  readonly partition: string;
}

export function readCursor(value: string | undefined): AdoptionCursor {
  const [, word, partition = ""] = /^(walking|done) (.*)$/s.exec(value ?? "") ?? [];
  return { done: word === "done", partition };
}

export function cursorValue({ done, partition }: AdoptionCursor): string {
  return `${done ? "done" : "walking"} ${partition}`;
}

/**
 * The first step: from now on no run begins under the old name, so that nobody adds what the walk over its partitions has come
 * past. What a person has chosen stays so under the new name. Whoever restarts an older deployment changes nothing.
 */
export function beginAdoption(
  state: { readonly old: PauseDocument | undefined; readonly own: PauseDocument | undefined },
  { from, to, now }: Rename & { readonly now: number },
): Decision<void> {
  const { old, own } = state;
  if (old?.movedTo !== undefined) return decided(undefined);
  const writes: Write[] = [put(ref("pause", from), { asset: from, at: now, movedTo: to })];
  // Who goes back to a name takes it up again.
  if (old !== undefined && (own === undefined || own.movedTo !== undefined))
    writes.push(put(ref("pause", to), { ...old, asset: to }));
  else if (own?.movedTo !== undefined) writes.push({ delete: ref("pause", to) });
  return { result: undefined, writes, events: [] };
}

/** All partitions have moved: the newest one is the asset's now, and the rename is history. */
export function completeAdoption(
  state: { readonly old: AssetDocument | undefined; readonly own: AssetDocument | undefined },
  input: Rename & { readonly partition: string; readonly known: boolean; readonly now: number },
): Decision<void> {
  const { old, own } = state;
  const { from, to, partition, now } = input;
  const writes: Write[] = [
    put(adoptionRef(input), { value: cursorValue({ done: true, partition }), at: now }),
    // Who goes back to the old name one day begins anew.
    { delete: adoptionRef({ from: to, to: from }) },
  ];
  if (old !== undefined) {
    writes.push({ delete: ref("asset", from) });
    if (own === undefined || own.order < old.order) writes.push(put(ref("asset", to), { ...old, key: to }));
  }
  if (!input.known) return { result: undefined, writes, events: [] };
  const renamed = {
    v: EVENT_VERSION,
    id: `renamed ${from} ${to}`,
    at: now,
    asset: to,
    type: "asset.renamed",
    from,
  } as const;
  return { result: undefined, writes, events: [renamed] };
}
