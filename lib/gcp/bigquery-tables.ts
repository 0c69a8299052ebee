/** Tables in the port's words and in BigQuery's. */
import { PermanentError } from "../core/errors.ts";
import { checkIdentifier, formatTable } from "../core/table.ts";
import type { Column, ColumnType, Destination, TableRef, TimePartitioning } from "../core/table.ts";
import type { TableInfo } from "../ports/warehouse.ts";
import type { Field, TableReference, TableResource } from "./bigquery-resources.ts";

export interface Naming {
  /** The project of a table that names none, and of every job. */
  readonly project: string;
  /** The dataset that stands for the one of this name: an environment may have its own. */
  readonly dataset: (name: string) => string;
}

/** Checks the names; throws `DefinitionError`. */
export function referenceOf({ project, dataset }: Naming, table: Destination): TableReference {
  checkIdentifier(table.dataset, "the dataset name");
  checkIdentifier(table.table, "the table name");
  const decorator = table.partition === undefined ? "" : `$${table.partition}`;
  return {
    projectId: table.project ?? project,
    datasetId: dataset(table.dataset),
    tableId: `${table.table}${decorator}`,
  };
}

/** The path of a table below its project. */
export function pathOf({ datasetId, tableId }: TableReference): string {
  return `/datasets/${datasetId}/tables/${tableId}`;
}

/** GoogleSQL's name of a table; its parts are checked names, except for the project. */
export function quoted({ projectId, datasetId, tableId }: TableReference): string {
  return `\`${projectId}.${datasetId}.${tableId}\``;
}

export function fieldOf({ name, type, mode, fields }: Column): Field {
  return { name, type, mode, ...(fields === undefined ? {} : { fields: fields.map(fieldOf) }) };
}

/** BigQuery answers with the words of its first years. */
const standard: Readonly<Record<string, ColumnType>> = {
  INTEGER: "INT64",
  FLOAT: "FLOAT64",
  BOOLEAN: "BOOL",
  RECORD: "STRUCT",
  DECIMAL: "NUMERIC",
  BIGDECIMAL: "BIGNUMERIC",
};
const known: ReadonlySet<string> = new Set([
  ..."BOOL INT64 FLOAT64 NUMERIC BIGNUMERIC STRING BYTES".split(" "),
  ..."DATE DATETIME TIME TIMESTAMP JSON GEOGRAPHY INTERVAL STRUCT".split(" "),
]);

/** Throws `PermanentError` for a type that the port does not have. */
export function columnOf({ name, type, mode, fields }: Field): Column {
  const word = standard[type] ?? type;
  if (!known.has(word)) {
    const message = `the column ${JSON.stringify(name)} is ${type}, which cannot be handled here; leave it out, or CAST it in a view`;
    throw new PermanentError(message, { code: "unsupported" });
  }
  return {
    name,
    type: word as ColumnType, // `known` has no others
    mode: mode === "REQUIRED" || mode === "REPEATED" ? mode : "NULLABLE",
    ...(word === "STRUCT" ? { fields: (fields ?? []).map(columnOf) } : {}),
  };
}

export function columnsOf(table: { readonly schema?: TableResource["schema"] }): readonly Column[] {
  return (table.schema?.fields ?? []).map(columnOf);
}

/** `undefined` for a table without partitions, or with such as the port does not have: by year, or by ranges of numbers. */
export function partitioningOf({ timePartitioning }: TableResource): TimePartitioning | undefined {
  const { type, field: column } = timePartitioning ?? {};
  if (type !== "HOUR" && type !== "DAY" && type !== "MONTH") return undefined;
  return column === undefined ? { type } : { type, column };
}

export function isView({ type }: TableResource): boolean {
  return type === "VIEW" || type === "MATERIALIZED_VIEW";
}

export function infoOf(resource: TableResource): TableInfo {
  const partitioning = partitioningOf(resource);
  const { etag, numRows = 0, expirationTime: expiresAt } = resource;
  return {
    ...(isView(resource) ? { view: true } : {}),
    schema: columnsOf(resource),
    rows: isView(resource) ? 0 : numRows,
    ...(partitioning === undefined ? {} : { partitioning }),
    etag,
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

export function timePartitioning({ type, column }: TimePartitioning): {
  readonly type: string;
  readonly field?: string;
} {
  return column === undefined ? { type } : { type, field: column };
}

export function samePartitioning(a: TimePartitioning | undefined, b: TimePartitioning | undefined): boolean {
  return a?.type === b?.type && a?.column?.toLowerCase() === b?.column?.toLowerCase();
}

const spelled = { HOUR: "YYYYMMDDHH", DAY: "YYYYMMDD", MONTH: "YYYYMM" } as const;

/** Refuses a decorator that no partition of such a table has. */
export function checkDecorator(decorator: string, { type }: TimePartitioning): void {
  const form = spelled[type];
  const [, year = "", month = "", day = "01", hour = "00"] =
    /^(\d{4})(\d\d)(\d\d)?(\d\d)?$/.exec(decorator.length === form.length ? decorator : "") ?? [];
  const start = new Date(`${year}-${month}-${day}T${hour}:00:00Z`);
  const there = Number.isNaN(start.getTime()) ? "" : start.toISOString().replaceAll(/\D/g, "");
  if (year === "" || !there.startsWith(decorator))
    throw invalid(`${JSON.stringify(decorator)} is no ${type} partition; write ${form}`);
}

export function hasPolicyTags(fields: readonly Field[] = []): boolean {
  return fields.some((one) => (one.policyTags?.names ?? []).length > 0 || hasPolicyTags(one.fields));
}

/** The same columns in the same order: what a copy job may be trusted with. */
export function sameColumns(a: readonly Column[], b: readonly Column[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, index) => {
      const other = b[index];
      return (
        other !== undefined &&
        one.name.toLowerCase() === other.name.toLowerCase() &&
        one.type === other.type &&
        one.mode === other.mode &&
        sameColumns(one.fields ?? [], other.fields ?? [])
      );
    })
  );
}

export function sameTable(a: TableRef, b: TableRef, naming: Naming): boolean {
  return quoted(referenceOf(naming, a)) === quoted(referenceOf(naming, b));
}

export function missing(table: TableRef): PermanentError {
  return new PermanentError(`${formatTable(table)}: no such table`, { code: "notFound" });
}

export function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
