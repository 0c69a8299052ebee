/**
 * I/O managers: who stores the rows that an asset's code yields. A definition is data; from it and the asset's key, schema
 * and partitions follows the table that the rows become visible in.
 */
import type { z } from "zod";
import type { AssetKey } from "./asset-key.ts";
import type { InlineCheck } from "./check.ts";
import { columnNamed } from "./column-named.ts";
import { columnsOf } from "./columns.ts";
import { customNeeds, PARQUET_FILES } from "./custom-io-manager.ts";
import type { CustomIoManager } from "./custom-io-manager.ts";
import { DefinitionError } from "./errors.ts";
import { timePartitioningType } from "./interval.ts";
import type { Need } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, oneOf, optional, text, texts } from "./options.ts";
import type { Shape } from "./options.ts";
import { parquetReadNeeds, parquetWriteNeeds } from "./parquet-files.ts";
import type { ParquetFiles } from "./parquet-files.ts";
import type { PartitionsDefinition } from "./partitions.ts";
import type { Column, ColumnType, TableRef, TimePartitioning } from "./table.ts";
import { tableNamed } from "./target.ts";
import type { Target } from "./target.ts";

export interface BigqueryTableOptions<K extends string = string> {
  /** `"dataset.table"`, `"project.dataset.table"`, or its parts. Default: from the key, `a/b/c` is table `c` of dataset `a_b`. */
  readonly table?: string | TableRef;
  /**
   * `overwrite`: each run's rows, whatever its partition, replace the whole table; the newest partition is what it shows.
   * `append`: each partition's rows are added to the table, and a partition that is made again replaces its own rows, so
   * that nothing is ever there twice; for time partitions only. Default: `append` with time partitions, else `overwrite`.
   */
  readonly writeDisposition?: "overwrite" | "append";
  /** The DATE, DATETIME or TIMESTAMP column that partitions the table. Default: time of ingestion where partitions are appended, else none. */
  readonly partitionBy?: K;
  /** Up to four columns by which rows are kept together, so that queries that filter by them read less. */
  readonly clusterBy?: readonly K[];
  /**
   * A row that does not fit the schema: `fail` (default) ends the run with its number and the reason; `discard` leaves it
   * out, counts it and shows a few in the materialization's metadata. A run all of whose rows are discarded fails.
   */
  readonly onInvalidRow?: "fail" | "discard";
}

/** `K`: the columns that it speaks of, so that a typo is a type error. */
export interface BigqueryTable<K extends string = string> extends BigqueryTableOptions<K> {
  readonly kind: "bigquery-table";
  readonly onInvalidRow: "fail" | "discard";
}

/** Keeps the rows of each partition elsewhere than in a table, by a handle that is committed with its materialization. */
export type StoreManager = CustomIoManager | ParquetFiles;

export type IoManager<K extends string = string> = BigqueryTable<K> | StoreManager;

const OPTIONS: Shape<keyof BigqueryTable> = {
  // Of another one that is spread into the options.
  kind: optional(oneOf(["bigquery-table"])),
  table: optional(rules.table),
  writeDisposition: optional(oneOf(["overwrite", "append"])),
  partitionBy: optional(text),
  clusterBy: optional(texts),
  onInvalidRow: rules.invalidRow,
};

/** Rows into a table: streamed through Parquet files in a bucket, loaded by one job, audited, published atomically. */
export function bigqueryTable<const K extends string = never>(
  options: BigqueryTableOptions<K> = {},
): BigqueryTable<NoInfer<K>> {
  checkOptions("bigqueryTable", options, OPTIONS);
  return Object.freeze({ ...options, kind: "bigquery-table" as const, onInvalidRow: options.onInvalidRow ?? "fail" });
}

/** What the target depends on, of the asset. */
export interface Stored {
  readonly key: AssetKey;
  /** Its oldest key, which a table without a name of its own is named after. */
  readonly origin?: AssetKey;
  readonly schema: z.ZodObject;
  readonly partitions: PartitionsDefinition | undefined;
}

const CLUSTERING: ReadonlySet<ColumnType> = new Set([
  "BIGNUMERIC",
  "BOOL",
  "DATE",
  "DATETIME",
  "GEOGRAPHY",
  "INT64",
  "NUMERIC",
  "STRING",
  "TIMESTAMP",
]);
const MAX_CLUSTERING = 4;

/** The table that an I/O manager publishes in. Throws `DefinitionError` for names, columns and partitions that cannot be. */
export function storedTarget(manager: BigqueryTable, asset: Stored): Target {
  const { key, partitions } = asset;
  const { writeDisposition, partitionBy, clusterBy } = manager;
  if (partitions?.kind === "static" && writeDisposition !== "overwrite") {
    throw new DefinitionError(`${key} has static partitions, which a table cannot keep apart`, {
      remedy: 'make one asset of each, or let each run replace the table: writeDisposition: "overwrite"',
    });
  }
  if (partitions === undefined && writeDisposition === "append") {
    throw new DefinitionError(`${key} has no partitions, so a repeated run would append its rows again`, {
      remedy: 'give it time partitions, or use writeDisposition: "overwrite"',
    });
  }
  const columns = columnsOf(asset.schema);
  if (columns.length === 0)
    throw new DefinitionError(`the schema of ${key} has no columns`, { remedy: "a table has at least one" });
  if (clusterBy !== undefined) checkClustering(key, clusterBy, columns);
  const type = partitions?.kind === "time" ? timePartitioningType(partitions.interval) : "DAY";
  if (partitionBy !== undefined) checkPartitioning(key, partitionBy, type, columns);
  const common = {
    table: tableNamed(manager.table, asset.origin ?? key, 'name the table: bigqueryTable({ table: "dataset.table" })'),
    ...(clusterBy === undefined || clusterBy.length === 0 ? {} : { clustering: clusterBy }),
  };
  const column = partitionBy === undefined ? {} : { column: partitionBy };
  if (partitions?.kind === "time" && writeDisposition !== "overwrite")
    return { ...common, slot: "partition", partitioning: { type, ...column } };
  return { ...common, slot: "table", ...(partitionBy === undefined ? {} : { partitioning: { type, ...column } }) };
}

/** The I/O manager that keeps the asset's rows elsewhere than in a table. */
export function storeOf({ ioManager }: { readonly ioManager?: IoManager | undefined }): StoreManager | undefined {
  return ioManager?.kind === "bigquery-table" ? undefined : ioManager;
}

/** What an asset's own runs need because of its I/O manager, beside its table. */
export function managerNeeds(manager: IoManager, key: AssetKey): readonly Need[] {
  switch (manager.kind) {
    case "bigquery-table":
      return [{ kind: "stage-objects", prefix: `${key}/`, reason: `${key} stages its rows` }];
    case PARQUET_FILES:
      return parquetWriteNeeds(manager, key);
    case "custom":
      return customNeeds(manager);
  }
}

/** What reading the rows that such a manager has stored needs. */
export function readerNeeds(manager: StoreManager, key: AssetKey, reader: AssetKey): readonly Need[] {
  return manager.kind === "custom" ? customNeeds(manager) : parquetReadNeeds(manager, key, `${reader} reads ${key}`);
}

/** A schema with an I/O manager is all of the table: a check of a column that is not in it could only fail. */
export function checkCheckedColumns(key: AssetKey, schema: z.ZodObject, checks: readonly InlineCheck[]): void {
  const columns = columnsOf(schema);
  for (const { name, rule } of checks) {
    const named = "columns" in rule ? rule.columns : "column" in rule ? [rule.column] : [];
    for (const column of named) columnNamed(key, `the check ${name}`, column, columns);
  }
}

export function checkClustering(key: AssetKey, names: readonly string[], columns: readonly Column[]): void {
  if (names.length > MAX_CLUSTERING || new Set(names).size < names.length) {
    throw new DefinitionError(`clusterBy of ${key} has ${names.length} columns`, {
      where: "clusterBy",
      remedy: `name at most ${MAX_CLUSTERING} different ones`,
    });
  }
  for (const name of names) {
    const { type, mode } = columnNamed(key, "clusterBy", name, columns);
    if (CLUSTERING.has(type) && mode !== "REPEATED") continue;
    throw new DefinitionError(`rows cannot be clustered by ${name}, which is ${mode} ${type}`, {
      where: "clusterBy",
      remedy: "use texts, whole numbers, decimals, booleans, dates and timestamps",
    });
  }
}

export function checkPartitioning(
  key: AssetKey,
  name: string,
  by: TimePartitioning["type"],
  columns: readonly Column[],
): void {
  const { type, mode } = columnNamed(key, "partitionBy", name, columns);
  const fits = type === "TIMESTAMP" || type === "DATETIME" || (type === "DATE" && by !== "HOUR");
  if (fits && mode !== "REPEATED") return;
  throw new DefinitionError(`a table cannot be partitioned by ${by} of ${name}, which is ${mode} ${type}`, {
    where: "partitionBy",
    remedy: by === "HOUR" ? "use a timestamp" : "use a date or a timestamp",
  });
}
