import { DefinitionError } from "./errors.ts";

/** A table of the warehouse. `project` is the environment's own where it is left out. */
export interface TableRef {
  readonly project?: string;
  readonly dataset: string;
  readonly table: string;
}

/** BigQuery's standard column types, in the short spelling that GoogleSQL uses. */
export type ColumnType =
  | "BOOL"
  | "INT64"
  | "FLOAT64"
  | "NUMERIC"
  | "BIGNUMERIC"
  | "STRING"
  | "BYTES"
  | "DATE"
  | "DATETIME"
  | "TIME"
  | "TIMESTAMP"
  | "JSON"
  | "GEOGRAPHY"
  | "INTERVAL"
  | "STRUCT";

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly mode: "NULLABLE" | "REQUIRED" | "REPEATED";
  /** Only for `STRUCT`. */
  readonly fields?: readonly Column[];
}

/**
 * How a table is partitioned. Without `column` it is by ingestion time, and the partition is chosen by
 * the decorator alone (`table$20240501`). BigQuery has no weekly partitions: a week is the day of its Monday.
 */
export interface TimePartitioning {
  readonly type: "HOUR" | "DAY" | "MONTH";
  readonly column?: string;
}

/** A whole table, or one partition of it by its decorator: `2024050113`, `20240501` or `202405`. */
export interface Destination extends TableRef {
  readonly partition?: string;
}

/** Dataset and table names that BigQuery and every other part accept: letters, digits, underscores. */
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Refuses a dataset, table or column name that would need quoting anywhere. At most 1,024 characters. */
export function checkIdentifier(value: string, what: string): string {
  if (!identifier.test(value) || value.length > 1024) {
    throw new DefinitionError(`${what} ${JSON.stringify(value)} is not a legal name`, {
      remedy: "use letters, digits and underscores, not starting with a digit",
    });
  }
  return value;
}

/** `project.dataset.table`, or `dataset.table` in the environment's own project; `$partition` where there is one. */
export function formatTable(table: Destination): string {
  const project = table.project === undefined ? "" : `${table.project}.`;
  const partition = table.partition === undefined ? "" : `$${table.partition}`;
  return `${project}${table.dataset}.${table.table}${partition}`;
}
