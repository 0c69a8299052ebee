/** Where an asset's rows become visible: the table that it names, or the one that follows from its key. */
import { keyParts } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { inline } from "./check.ts";
import type { InlineCheck } from "./check.ts";
import { DefinitionError } from "./errors.ts";
import { timePartitioningType } from "./interval.ts";
import type { Need } from "./needs.ts";
import type { PartitionsDefinition } from "./partitions.ts";
import { quoteTable } from "./sql.ts";
import { checkIdentifier, formatTable } from "./table.ts";
import type { TableRef, TimePartitioning } from "./table.ts";

/** The table that an asset's rows become visible in. Sluice stages, audits and publishes; the asset only fills the staging. */
export interface Target {
  readonly table: TableRef;
  /** `table`: the whole table is published at a time. `partition`: each partition has its own part of it (incremental). */
  readonly slot: "table" | "partition";
  /** What the staged rows do to those that the slot holds. Default `replace`. */
  readonly publish?: PublishMode;
  readonly partitioning?: TimePartitioning;
  /** Columns by which rows are kept together; at most four. */
  readonly clustering?: readonly string[];
  /** Staging and raw tables live here; the table's own dataset where it is left out. */
  readonly stagingDataset?: string;
  /** After a commit the staging is kept as `<table>__<suffix>` in the staging dataset. */
  readonly keepRaw?: boolean;
  /**
   * What to do when the incoming columns differ: refuse them, add the new ones, or, where a table is replaced as a whole,
   * replace the columns too. Default `fail`.
   */
  readonly schemaChange?: "extend" | "fail" | "replace";
}

/**
 * `replace`: they take the place of all rows. `append`: they are added, each run's once. `merge`: a row whose key is there
 * takes that row's place, and any other is added. `view`: nothing is stored; the statement becomes a view.
 */
export type PublishMode = "replace" | "append" | "view" | { readonly merge: readonly string[] };

/** Whether the slot keeps what other partitions have published: then none supersedes another, in whatever order they come. */
export function accumulates({ publish }: { readonly publish?: PublishMode | undefined }): boolean {
  return publish !== undefined && publish !== "replace";
}

/** `"dataset.table"` or `"project.dataset.table"`; `"none"` for an asset that keeps no table. */
export type TargetOption = Target | string;

/**
 * The target that an asset declares; the table of its key where it declares none and `wanted` says that it needs one. A table
 * by its name alone is filled partition by partition where there are time partitions, by time of ingestion, and else
 * replaced by each run. Throws `DefinitionError`.
 */
export function targetOf(
  key: AssetKey,
  partitions: PartitionsDefinition | undefined,
  option: TargetOption | undefined,
  wanted: boolean,
): Target | undefined {
  if (option === "none" || (option === undefined && !wanted)) return undefined;
  if (typeof option === "object") return option;
  const table = tableNamed(option, key, 'name it by target: "dataset.table", or say target: "none" if it keeps none');
  if (partitions?.kind !== "time") return { table, slot: "table", schemaChange: "replace" };
  return { table, slot: "partition", partitioning: { type: timePartitioningType(partitions.interval) } };
}

/**
 * The table of a name or, without one, of the key: `a/b/c` is table `c` of dataset `a_b`. Throws `DefinitionError`, with the
 * remedy, for a key that does not say a dataset and a table.
 */
export function tableNamed(table: string | TableRef | undefined, key: AssetKey, remedy: string): TableRef {
  if (table === undefined) {
    const parts = keyParts(key);
    if (parts.length < 2 || key.includes("-"))
      throw new DefinitionError(`the key ${key} does not say a dataset and a table`, { remedy });
    return checked({ dataset: parts.slice(0, -1).join("_"), table: parts.at(-1) ?? "" });
  }
  if (typeof table !== "string") return checked(table);
  const [name = "", dataset = "", project, ...more] = table.split(".").reverse();
  if (more.length > 0)
    throw new DefinitionError(`${JSON.stringify(table)} is not a table's name`, { remedy: 'write "dataset.table"' });
  return checked({ ...(project === undefined ? {} : { project }), dataset, table: name });
}

function checked(table: TableRef): TableRef {
  checkIdentifier(table.dataset, `the dataset of ${JSON.stringify(formatTable(table))},`);
  checkIdentifier(table.table, "table");
  return table;
}

/** What must hold of the staged rows for such a publish to be right. `owned`: Sluice itself fills the staging. */
export function impliedChecks({ publish, partitioning, slot }: Target, owned: boolean): readonly InlineCheck[] {
  const checks: InlineCheck[] = [];
  const column = partitioning?.column;
  // Rows outside of the partition would be refused by it, or be hidden in another one.
  if (owned && slot === "partition" && column !== undefined)
    checks.push(inline({ name: "rows_in_partition", blocking: true, rule: { kind: "in-partition", column } }));
  if (typeof publish === "object")
    checks.push(inline({ name: "merge_key", blocking: true, rule: { kind: "key", columns: publish.merge } }));
  return checks;
}

/** Throws `DefinitionError` for names that no statement could hold, and for a slot that the partitions do not fill. */
export function checkTarget(key: AssetKey, target: Target, partitions: PartitionsDefinition | undefined): void {
  quoteTable(target.table);
  if (target.stagingDataset !== undefined) checkIdentifier(target.stagingDataset, "dataset");
  if (target.partitioning?.column !== undefined) checkIdentifier(target.partitioning.column, "partition column");
  if (target.slot === "partition" && partitions?.kind !== "time") {
    throw new DefinitionError(
      `${key} fills ${formatTable(target.table)} partition by partition but has no time partitions`,
      {
        remedy: "give it partitions, or let each run replace the whole table",
      },
    );
  }
  checkPublish(key, target);
}

function checkPublish(key: AssetKey, { publish, slot, table }: Target): void {
  if (slot === "partition" && accumulates({ publish })) {
    throw new DefinitionError(`${key} replaces its partition of ${formatTable(table)}, and cannot do more to it`, {
      remedy: 'leave publish out, or use slot: "table"',
    });
  }
  if (typeof publish !== "object") return;
  const columns = publish.merge.map((column) => checkIdentifier(column, "merge key").toLowerCase());
  if (columns.length === 0 || new Set(columns).size < columns.length)
    throw new DefinitionError(`${key} merges by ${columns.length === 0 ? "no column" : "a column twice"}`, {
      remedy: 'name the columns of its key once each, such as merge: ["day"]',
    });
}

export function targetNeeds(key: AssetKey, target: Target): readonly Need[] {
  const project = target.table.project === undefined ? {} : { project: target.table.project };
  const { dataset } = target.table;
  // What adds to a table, or is a view, leaves the table's row policies alone.
  const replaces = (target.publish ?? "replace") === "replace" ? { replaces: true as const } : {};
  const reason = `${key} is published in it`;
  const needs: Need[] = [{ kind: "write-dataset", ...project, dataset, ...replaces, reason }];
  const staging = target.stagingDataset ?? dataset;
  if (staging !== dataset)
    needs.push({ kind: "write-dataset", ...project, dataset: staging, reason: `${key} is staged in it` });
  needs.push({ kind: "run-jobs", ...project, reason: `${key} is published by a job` });
  return needs;
}
