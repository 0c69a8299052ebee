/** Looks at every slot of some assets: its document, and when its table was changed last. */
import type { SlotDocument } from "../core/documents.ts";
import { parsePartition } from "../core/partitions.ts";
import { destinationOf } from "../core/placement.ts";
import { namesOf } from "../core/previous-keys.ts";
import { partitionRef } from "../core/run-identity.ts";
import { maySettle, slotRef } from "../core/slot.ts";
import { formatTable } from "../core/table.ts";
import type { Destination } from "../core/table.ts";
import { verifySlot } from "../core/verify.ts";
import type { SlotFacts, SlotVerdict } from "../core/verify.ts";
import type { TableChanges } from "../ports/warehouse.ts";
import type { AssetEntry } from "./catalog.ts";
import type { ReadableStore, Workbench } from "./workbench.ts";

export interface VerifiedSlot extends SlotVerdict {
  readonly asset: string;
  /** With its partition, where it has one. */
  readonly table: string;
  /** The partition that it shows. */
  readonly partition?: string;
  readonly run?: string;
  readonly job?: string;
  readonly committedAt?: number;
  readonly changedAt?: number;
  /** The warehouse does not know the job any more: what was written within the slack after the commit is not seen. */
  readonly byTime?: true;
}

/** So many documents are asked for at once. */
const AT_ONCE = 50;
const PAGE = 1_000;

/** Whether there is anything to compare: Sluice publishes it, in a table. */
export function isVerifiable({ target, external }: AssetEntry): boolean {
  return target !== undefined && external === undefined;
}

/** The slots of an asset that has a table, in the order of their names. Changes nothing. */
export async function verifyAsset(
  { store, tables }: Pick<Workbench, "store" | "tables">,
  asset: AssetEntry,
  now: number,
): Promise<readonly VerifiedSlot[]> {
  const { target } = asset;
  if (target === undefined) return [];
  // The table first: a publish after it is one that the slots tell of.
  const changes = await tables.changes(target.table);
  const found: VerifiedSlot[] = [];
  const slots = await slotsOf(store, asset, target, changes);
  for (let start = 0; start < slots.length; start += AT_ONCE) {
    const some = slots.slice(start, start + AT_ONCE);
    found.push(...(await Promise.all(some.map((slot) => verified(slot)))));
  }
  return found;

  async function verified(destination: Destination): Promise<VerifiedSlot> {
    const slot = await store.get("slot", slotRef(destination).id);
    const { committed } = slot ?? {};
    const changedAt = changeOf(changes, destination);
    const facts: SlotFacts = {
      ...slot,
      changedAt,
      ...(committed === undefined || changedAt === undefined || tables.endOf === undefined
        ? {}
        : { endedAt: (await tables.endOf(committed.jobId)) ?? "unknown" }),
      abandoned: await isAbandoned(store, slot, now),
      rows: changedAt === undefined ? await rowsOf(store, slot) : undefined,
    };
    return {
      asset: asset.key,
      table: formatTable(destination),
      ...verifySlot(facts, tables.slackMs),
      ...(committed === undefined
        ? {}
        : { partition: committed.partition, run: committed.runId, job: committed.jobId, committedAt: committed.at }),
      ...(changedAt === undefined ? {} : { changedAt }),
      ...(facts.endedAt === "unknown" ? { byTime: true } : {}),
    };
  }
}

function changeOf(changes: TableChanges | undefined, { partition }: Destination): number | undefined {
  return partition === undefined ? changes?.at : changes?.partitions?.[partition];
}

type Target = NonNullable<AssetEntry["target"]>;

/** Those that the history knows of, and those that the table has. */
async function slotsOf(
  store: ReadableStore,
  asset: AssetEntry,
  target: Target,
  changes: TableChanges | undefined,
): Promise<readonly Destination[]> {
  const { table, slot } = target;
  if (slot === "table") return [table];
  const names = new Set(Object.keys(changes?.partitions ?? {}));
  for (const name of namesOf(asset)) {
    let after: string | undefined;
    do {
      const page = await store.partitions({ name, limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const { partition } of page.items) {
        const decorator = decoratorOf(asset, target, partition);
        if (decorator !== undefined) names.add(decorator);
      }
      after = page.next;
    } while (after !== undefined);
  }
  return [...names].sort().map((partition) => ({ ...table, partition }));
}

/** `undefined` for a key that the asset's partitions do not have any more. */
function decoratorOf({ partitions }: AssetEntry, { table, slot }: Target, key: string): string | undefined {
  if (partitions === undefined) return undefined;
  try {
    return destinationOf({ target: { table, slot }, partitions }, parsePartition(partitions, key)).partition;
  } catch {
    return undefined;
  }
}

async function isAbandoned(store: ReadableStore, slot: SlotDocument | undefined, now: number): Promise<boolean> {
  if (slot?.intent === undefined) return false;
  const { name, partition } = slot.intent;
  return maySettle(slot.intent, await store.get("partition", partitionRef(name, partition).id), now);
}

/** How many rows the last commit has published, by its event. */
async function rowsOf(store: ReadableStore, slot: SlotDocument | undefined): Promise<number | undefined> {
  const run = slot?.committed?.runId;
  if (run === undefined) return undefined;
  const [event] = (await store.history({ run, types: ["materialized"], limit: 1 })).items;
  return event?.type === "materialized" ? event.rows : undefined;
}
