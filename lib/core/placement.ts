/** Where an asset's rows are at each stage of a run: the slot they become visible in, the staging, and the raw copy. */
import { tableSuffix } from "./interval.ts";
import type { Partition, PartitionsDefinition } from "./partitions.ts";
import type { Destination, TableRef } from "./table.ts";
import type { Target } from "./target.ts";

/** What placement depends on: an asset's target and partitions. */
export interface Placed {
  readonly target: Target;
  readonly partitions: PartitionsDefinition | undefined;
}

/** The table, or in incremental mode the partition of it, that a partition's rows become visible in. */
export function destinationOf({ target, partitions }: Placed, partition: Partition | undefined): Destination {
  const suffix = suffixOf(partitions, partition);
  return target.slot === "table" || suffix === undefined ? target.table : { ...target.table, partition: suffix };
}

/** The staging's name carries the fingerprint: whoever works on other inputs works on another table. */
export function stagingOf({ target }: Placed, partition: string, fingerprint: string): TableRef {
  const { table } = stagingPrefixOf({ target }, partition);
  return beside(target, `${table}${fingerprint.slice(0, 12)}`);
}

/** What the names of all staging tables of a partition begin with, in place of a table's name. */
export function stagingPrefixOf({ target }: Pick<Placed, "target">, partition: string): TableRef {
  const what = partition === "" ? "" : `_${partition.replaceAll(/[^A-Za-z0-9]/g, "")}`;
  return beside(target, `${target.table.table}__staging${what}_`);
}

/** `passport_scores__20240501`, beside the staging; `undefined` for an asset that keeps no raw tables. */
export function rawOf({ target, partitions }: Placed, partition: Partition | undefined): TableRef | undefined {
  if (target.keepRaw !== true) return undefined;
  return beside(target, `${target.table.table}__${suffixOf(partitions, partition) ?? "raw"}`);
}

function beside(target: Target, table: string): TableRef {
  return { ...target.table, dataset: target.stagingDataset ?? target.table.dataset, table };
}

function suffixOf(partitions: PartitionsDefinition | undefined, partition: Partition | undefined): string | undefined {
  if (partitions?.kind !== "time" || partition?.start === undefined) return undefined;
  return tableSuffix(partitions.interval, partition.start);
}
