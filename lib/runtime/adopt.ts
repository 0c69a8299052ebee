/**
 * A renamed asset takes over what is known of it under its previous keys, each partition whole in one transaction, some at a
 * time. Whoever dies in between leaves a state that the next one goes on from; a second time, nothing is left to do.
 */
import {
  adoptionRef,
  adoptPartition,
  beginAdoption,
  completeAdoption,
  cursorValue,
  readCursor,
} from "../core/adoption.ts";
import type { AdoptState, Rename } from "../core/adoption.ts";
import type { AssetDefinition } from "../core/asset.ts";
import type { Ref } from "../core/documents.ts";
import { put, ref } from "../core/documents.ts";
import { DefinitionError } from "../core/errors.ts";
import { parsePartition } from "../core/partitions.ts";
import { destinationOf } from "../core/placement.ts";
import { adoptableNames } from "../core/previous-keys.ts";
import { partitionRef } from "../core/run-identity.ts";
import { slotRef } from "../core/slot.ts";
import type { Services } from "./services.ts";

const PAGE = 500;
/** Partitions that move in one transaction: what a document store takes well, and a hundred thousand of them in seconds. */
const BATCH = 25;

type Adopter = Pick<Services, "events" | "clock" | "executing" | "adopted" | "definitions">;
type Renamed = Pick<AssetDefinition, "key" | "previousKeys" | "target" | "partitions">;

/**
 * Every renamed asset takes over what is left under its previous keys, also what an older deployment has added since. What is
 * still at work under an old name stays for the next time.
 */
export async function adoptPreviousKeys(services: Adopter): Promise<void> {
  for (const asset of services.definitions().assets.values()) await adopt(services, asset, true);
}

/** The same for assets and what they depend on, before they are worked on; `false` while a run under an old name is at work. */
export async function adoptFor(services: Adopter, ...worked: readonly AssetDefinition[]): Promise<boolean> {
  const { assets } = services.definitions();
  let complete = true;
  for (const { key, deps } of worked)
    for (const each of [key, ...deps]) {
      const renamed = assets.get(each);
      if (renamed?.previousKeys !== undefined && !(await adopt(services, renamed, false))) complete = false;
    }
  return complete;
}

async function adopt(services: Adopter, asset: Renamed, again: boolean): Promise<boolean> {
  let complete = true;
  if (asset.previousKeys === undefined) return true;
  // The last name first: what it holds is newer than what an older one may still have.
  for (const from of adoptableNames(services.definitions().assets, asset)) {
    if (!(await adoptName(services, asset, { from, to: asset.key }, again))) complete = false;
  }
  return complete;
}

async function adoptName(services: Adopter, asset: Renamed, rename: Rename, again: boolean): Promise<boolean> {
  const { events, adopted, clock } = services;
  const { from, to } = rename;
  if (adopted.has(`${from} ${to}`)) return true;
  const stored = readCursor((await events.get("cursor", adoptionRef(rename).id))?.value);
  let last = stored.partition;
  let seen = 0;
  let moved = 0;
  let busy = false;
  if (!stored.done || again) {
    const marks = { old: ref("pause", from), own: ref("pause", to) };
    await events.transact(marks, (state) => beginAdoption(state, { ...rename, now: clock.now() }));
    let after: string | undefined;
    do {
      const page = await events.partitions({
        name: from,
        from: stored.partition,
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      const left = page.items.filter((partition) => partition.movedTo === undefined).map(({ partition }) => partition);
      for (let start = 0; start < left.length; start += BATCH) {
        if (!(await adoptSome(services, asset, rename, left.slice(start, start + BATCH)))) busy = true;
      }
      seen += page.items.length;
      moved += left.length;
      // What is busy must be met again: the cursor stays before it.
      if (!busy) last = page.items.at(-1)?.partition ?? last;
      if (!busy && page.next !== undefined) await remember(services, rename, last);
      after = page.next;
    } while (after !== undefined);
    if (busy) return false;
  }
  if (!stored.done || moved > 0) {
    const refs = { old: ref("asset", from), own: ref("asset", to) };
    await events.transact(refs, (state) =>
      completeAdoption(state, { ...rename, partition: last, known: seen > 0, now: clock.now() }),
    );
  }
  adopted.add(`${from} ${to}`);
  adopted.delete(`${to} ${from}`);
  return true;
}

/** `false` when a run is at work on one of them under the old name; the others move. */
async function adoptSome(
  services: Adopter,
  asset: Renamed,
  rename: Rename,
  partitions: readonly string[],
): Promise<boolean> {
  const { events, clock, executing } = services;
  const each = partitions.map((partition, index) => ({
    partition,
    slot: slotOf(asset, partition),
    names: { old: `old ${index}`, own: `own ${index}` },
  }));
  const refs = Object.fromEntries(
    each.flatMap(({ partition, slot, names }): [string, Ref][] => [
      [names.old, partitionRef(rename.from, partition)],
      [names.own, partitionRef(rename.to, partition)],
      // Partitions that take turns in one table have one slot.
      [slot.id, slot],
    ]),
  );
  return await events.transact(refs, (documents) => {
    const decisions = each.map(({ partition, slot, names }) => {
      // Each name was asked for with the kind that its part of the state has.
      const state = { old: documents[names.old], own: documents[names.own], slot: documents[slot.id] } as AdoptState;
      const isExecuting = (runId: string): boolean => executing.has(runId);
      return adoptPartition(state, { ...rename, partition, slot, now: clock.now(), isExecuting });
    });
    return {
      result: decisions.every(({ result }) => result.kind === "adopted"),
      writes: decisions.flatMap(({ writes }) => writes),
      events: decisions.flatMap(({ events: happened }) => happened),
    };
  });
}

/** Where the partition is published; of an asset without a table, and of a partition that it has no more, a slot that never is. */
function slotOf({ key, target, partitions }: Renamed, partition: string): Ref<"slot"> {
  const none = ref("slot", `none|${key}`);
  if (target === undefined) return none;
  if (target.slot === "table") return slotRef(target.table);
  try {
    return slotRef(destinationOf({ target, partitions }, parsePartition(partitions, partition)));
  } catch (error) {
    if (error instanceof DefinitionError) return none;
    throw error;
  }
}

/** Where to go on after a death; nothing is lost without it, and a partition that has moved is passed over. */
async function remember({ events, clock }: Adopter, rename: Rename, partition: string): Promise<void> {
  const cursor = adoptionRef(rename);
  await events.transact({ cursor }, (state) => ({
    result: undefined,
    writes: readCursor(state.cursor?.value).done
      ? []
      : [put(cursor, { value: cursorValue({ done: false, partition }), at: clock.now() })],
    events: [],
  }));
}
