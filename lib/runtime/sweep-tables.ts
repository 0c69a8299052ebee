/** Staging tables that nobody came for: what the dead still made after their runs had ended, or before anybody took them over. */
import type { PartitionDocument } from "../core/documents.ts";
import { ref } from "../core/documents.ts";
import { destinationOf } from "../core/placement.ts";
import { parsePartition } from "../core/partitions.ts";
import { partitionRef } from "../core/run-identity.ts";
import { slotRef } from "../core/slot.ts";
import { apart, partitionsStagedAs, stagingOwners } from "../core/staged-table.ts";
import type { StagingOwner } from "../core/staged-table.ts";
import { formatTable } from "../core/table.ts";
import type { TableRef } from "../core/table.ts";
import { saveCursor } from "./save-cursor.ts";
import type { Services } from "./services.ts";

/** How many tables that look like a staging one sweep looks into: each costs a look, and two reads or some. */
const LOOKS = 20;
/** All datasets are looked through once in so long. */
const ROUND_MS = 3_600_000;
/** A younger table is left alone: its run may have just ended, and another one may just begin with the same inputs. */
const AGE_MS = 3_600_000;

/**
 * Drops staging tables of partitions that nobody holds, a bounded slice of one dataset at a time, going on where the last slice
 * ended. A partition that is held, also by a sleeper or a dead one, keeps all of its tables: its run may go on; and so do an open
 * intent and a commit that is not finished. Should a run begin between the look and the drop, it fills its staging again. The result is how many tables went.
 */
export async function sweepTables({ events, warehouse, definitions, clock, settings }: Services): Promise<number> {
  const assets = [...definitions().assets.values()].filter(({ foreign }) => foreign !== true);
  const owners = stagingOwners(assets);
  // Where the code of none of them is, there are rights to no visible table.
  const swept = assets.every((asset) => "stub" in asset) ? apart(owners, assets) : owners;
  const datasets = new Map(swept.map((owner) => [datasetOf(owner), owner]));
  if (datasets.size === 0) return 0;
  const cursor = ref("cursor", "sweep staging tables");
  const last = await events.get("cursor", cursor.id);
  const now = clock.now();
  if (last?.value === "" && now - last.at < ROUND_MS) return 0;
  const [dataset, after] = placeOf([...datasets.keys()].sort(), last?.value ?? "");
  const one = dataset === undefined ? undefined : datasets.get(dataset);
  if (dataset === undefined || one === undefined) {
    await saveCursor(events, cursor, { value: "", at: now });
    return 0;
  }

  const own = swept.filter((owner) => datasetOf(owner) === dataset);
  const where = { ...(one.project === undefined ? {} : { project: one.project }), dataset: one.dataset };
  let looks = 0;
  let dropped = 0;
  let name = "";
  const goOn = (table: string | null) =>
    saveCursor(events, cursor, { value: JSON.stringify([dataset, table]), at: now });
  try {
    for await (const { table } of warehouse.list(where)) {
      if (table <= after || !table.includes("__staging_")) continue;
      const staged = own.flatMap((owner) =>
        partitionsStagedAs(owner.placed, table).map((partition) => ({ ...owner, partition })),
      );
      if (staged.length === 0) continue;
      name = table;
      looks += 1;
      if (await isOrphaned({ ...where, table }, staged)) dropped += (await warehouse.drop({ ...where, table })) ? 1 : 0;
      if (looks === LOOKS) break;
    }
  } catch (error) {
    // It has its turn again in the next round: the other datasets do not wait for it.
    await goOn(null);
    throw error;
  }
  await goOn(looks === LOOKS ? name : null);
  return dropped;

  async function isOrphaned(
    table: TableRef,
    staged: readonly (StagingOwner & { readonly partition: string })[],
  ): Promise<boolean> {
    const info = await warehouse.describe(table);
    if (info?.expiresAt === undefined || info.expiresAt - settings.stagingTtlMs > now - AGE_MS) return false;
    const wanted = formatTable(table);
    for (const { key, placed: at, partition } of staged) {
      const chosen = at.partitions === undefined ? undefined : parsePartition(at.partitions, partition);
      const slot = await events.get("slot", slotRef(destinationOf(at, chosen)).id);
      if (slot?.intent !== undefined && formatTable(slot.intent.staging) === wanted) return false;
      // Read last: whoever commits meanwhile holds it, or has written down there what is left to do.
      if (isWanted(await events.get("partition", partitionRef(key, partition).id), wanted)) return false;
    }
    return true;
  }
}

/** What has moved with a rename is looked at under the name that it has now. */
function isWanted(partition: PartitionDocument | undefined, table: string): boolean {
  if (partition === undefined || partition.movedTo !== undefined) return true;
  const { holder, finish } = partition;
  return holder !== undefined || (finish?.staging !== undefined && formatTable(finish.staging) === table);
}

/** The dataset whose turn it is, and the table after which it goes on. */
function placeOf(datasets: readonly string[], value: string): readonly [string | undefined, string] {
  if (value === "") return [datasets[0], ""];
  // Only this file writes it.
  const [dataset, table] = JSON.parse(value) as readonly [string, string | null];
  if (table !== null && datasets.includes(dataset)) return [dataset, table];
  return [datasets.find((each) => each > dataset), ""];
}

function datasetOf({ project = "", dataset }: StagingOwner): string {
  return `${project}.${dataset}`;
}
