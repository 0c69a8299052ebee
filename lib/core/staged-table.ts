/** Which partitions a staging table may belong to, by its name alone, and where such tables are looked for. */
import type { AssetDefinition } from "./asset.ts";
import { parsePartition } from "./partitions.ts";
import type { PartitionsDefinition } from "./partitions.ts";
import type { Placed } from "./placement.ts";
import { stagingPrefixOf } from "./placement.ts";

/** What has staging, and where. */
export interface StagingOwner {
  readonly key: string;
  readonly placed: Placed;
  readonly project?: string;
  readonly dataset: string;
}

type Made = Pick<AssetDefinition, "key" | "target" | "partitions" | "external" | "observe">;

/** Of each asset with a managed table. */
export function stagingOwners(assets: Iterable<Made>): readonly StagingOwner[] {
  return [...assets].flatMap(({ key, target, partitions, external, observe }): readonly StagingOwner[] => {
    if (target === undefined || external === true || observe !== undefined) return [];
    const { project, dataset } = target.table;
    const where = { ...(project === undefined ? {} : { project }), dataset: target.stagingDataset ?? dataset };
    return [{ key, placed: { target, partitions }, ...where }];
  });
}

/**
 * Those whose staging is in a dataset of the project's own that shows nobody's table: what somebody may be allowed to drop there
 * who may change no visible table.
 */
export function apart(owners: readonly StagingOwner[], assets: Iterable<Made>): readonly StagingOwner[] {
  const visible = new Set([...assets].flatMap(({ target }) => target?.table.dataset ?? []));
  return owners.filter(({ project, dataset }) => project === undefined && !visible.has(dataset));
}

/**
 * The keys of the partitions whose staging has such a name: several where keys differ in signs alone, none for a table that is
 * no staging of the asset's.
 */
export function partitionsStagedAs({ target, partitions }: Placed, table: string): readonly string[] {
  const prefix = stagingPrefixOf({ target }, "").table;
  const [, text = ""] =
    (table.startsWith(prefix) && /^(?:([A-Za-z0-9]+)_)?[0-9a-f]{12}$/.exec(table.slice(prefix.length))) || [];
  const found = text === "" ? [""] : keysOf(partitions, text);
  return found.filter((key) => {
    const own = stagingPrefixOf({ target }, key).table;
    return table.startsWith(own) && /^[0-9a-f]{12}$/.test(table.slice(own.length));
  });
}

/** Keys that are `text` without their signs. */
function keysOf(partitions: PartitionsDefinition | undefined, text: string): readonly string[] {
  if (partitions === undefined) return [];
  if (partitions.kind === "static") return partitions.keys;
  const [, year = "", month = "", day, hour] = /^(\d{4})(\d\d)(\d\d)?(?:T(\d\d))?$/.exec(text) ?? [];
  if (year === "") return [];
  const key = `${[year, month, ...(day === undefined ? [] : [day])].join("-")}${hour === undefined ? "" : `T${hour}`}`;
  try {
    return [parsePartition(partitions, key).key];
  } catch {
    // A partition of another interval, which the asset had before.
    return [];
  }
}
