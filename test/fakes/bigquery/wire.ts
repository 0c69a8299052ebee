/** Requests read, and values, schemas and tables in the form in which BigQuery sends them. */
import type { Column, ColumnType, Destination, TimePartitioning } from "../../../lib/core/table.ts";
import type { TableInfo } from "../../../lib/ports/warehouse.ts";
import { ApiError } from "../http-fake.ts";
import type { Meta, World } from "./world.ts";

export type Json = Readonly<Record<string, unknown>>;

export function invalid(message: string): ApiError {
  return new ApiError(400, "invalid", message);
}

export function object(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`Required parameter is missing: ${what}`);
  return value as Json; // an object of JSON
}

export function maybeObject(value: unknown): Json | undefined {
  return value === undefined ? undefined : object(value, "an object");
}

export function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "") throw invalid(`Required parameter is missing: ${what}`);
  return value;
}

export function maybeText(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : shown(value);
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `table` or `table$partition`. */
export function tableOf(world: World, value: unknown, what: string): Destination {
  const reference = object(value, what);
  const project = text(reference["projectId"], `${what}.projectId`);
  if (project !== world.project)
    throw new ApiError(403, "accessDenied", `Access Denied: Project ${project}: the fake has one project`);
  return decorated(text(reference["datasetId"], `${what}.datasetId`), text(reference["tableId"], `${what}.tableId`));
}

export function decorated(dataset: string, tableId: string): Destination {
  const [table = "", partition] = tableId.split("$");
  if (!/^\w{1,1024}$/.test(dataset)) throw invalid(`Invalid dataset ID "${dataset}".`);
  if (!/^[\p{L}\p{M}\p{N}\p{Pc}\p{Pd}\p{Zs}]{1,1024}$/u.test(table)) throw invalid(`Invalid table ID "${tableId}".`);
  return { dataset, table, ...(partition === undefined ? {} : { partition }) };
}

export function referenceOf({ project }: World, { dataset, table, partition }: Destination): Json {
  return { projectId: project, datasetId: dataset, tableId: partition === undefined ? table : `${table}$${partition}` };
}

const words: Readonly<Record<string, string>> = {
  INT64: "INTEGER",
  FLOAT64: "FLOAT",
  BOOL: "BOOLEAN",
  STRUCT: "RECORD",
};
const types = new Set(
  "BOOL INT64 FLOAT64 NUMERIC BIGNUMERIC STRING BYTES DATE DATETIME TIME TIMESTAMP JSON GEOGRAPHY INTERVAL STRUCT".split(
    " ",
  ),
);

export function fieldOf({ name, type, mode, fields }: Column, tags?: ReadonlyMap<string, readonly string[]>): Json {
  const names = tags?.get(name);
  return {
    name,
    type: words[type] ?? type,
    mode,
    ...(fields === undefined ? {} : { fields: fields.map((field) => fieldOf(field)) }),
    ...(names === undefined ? {} : { policyTags: { names } }),
  };
}

export function columnOf(value: unknown): Column {
  const field = object(value, "schema.fields");
  const given = text(field["type"], "type").toUpperCase();
  const type = Object.entries(words).find(([, word]) => word === given)?.[0] ?? given;
  if (!types.has(type)) throw invalid(`Invalid value for type: ${given} is not a valid value`);
  const mode = maybeText(field["mode"]) ?? "NULLABLE";
  if (mode !== "NULLABLE" && mode !== "REQUIRED" && mode !== "REPEATED")
    throw invalid(`Invalid value for mode: ${mode}`);
  return {
    name: text(field["name"], "name"),
    type: type as ColumnType, // one of `types`
    mode,
    ...(type === "STRUCT" ? { fields: list(field["fields"]).map(columnOf) } : {}),
  };
}

export function schemaOf(value: unknown): readonly Column[] | undefined {
  return value === undefined ? undefined : list(object(value, "schema")["fields"]).map(columnOf);
}

export function tagsOf(value: unknown): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const entry of list(maybeObject(value)?.["fields"])) {
    const field = object(entry, "field");
    const names = list(maybeObject(field["policyTags"])?.["names"]).map(String);
    if (names.length > 0) found.set(text(field["name"], "name"), names);
  }
  return found;
}

export function partitioningOf(value: unknown): TimePartitioning | undefined {
  const given = maybeObject(value);
  if (given === undefined) return undefined;
  const type = text(given["type"], "timePartitioning.type");
  if (type !== "HOUR" && type !== "DAY" && type !== "MONTH") throw invalid(`The fake has no ${type} partitions`);
  const column = maybeText(given["field"]);
  return column === undefined ? { type } : { type, column };
}

export function samePartitioning(a: TimePartitioning | undefined, b: TimePartitioning | undefined): boolean {
  return a?.type === b?.type && a?.column?.toLowerCase() === b?.column?.toLowerCase();
}

export function clusteringOf(value: unknown): readonly string[] | undefined {
  const given = maybeObject(value);
  return given === undefined ? undefined : list(given["fields"]).map(String);
}

export function etagOf(info: TableInfo, meta: Meta): string {
  const seen = [info.etag, meta.rowPolicies.length, ...meta.tags.keys()].join(" ");
  return Buffer.from(seen).toString("base64");
}

export function tableResource(world: World, table: Destination, info: TableInfo, meta: Meta): Json {
  const { partition: _, ...whole } = table;
  return {
    kind: "bigquery#table",
    etag: etagOf(info, meta),
    id: `${world.project}:${table.dataset}.${table.table}`,
    tableReference: referenceOf(world, whole),
    schema: { fields: info.schema.map((column) => fieldOf(column, meta.tags)) },
    ...(info.partitioning === undefined ? {} : { timePartitioning: partitioningResource(info.partitioning) }),
    ...(meta.clustering === undefined ? {} : { clustering: { fields: meta.clustering } }),
    ...(info.expiresAt === undefined ? {} : { expirationTime: String(info.expiresAt) }),
    creationTime: String(meta.created),
    lastModifiedTime: String(meta.modified),
    location: world.location,
    ...(info.view === true
      ? { type: "VIEW" }
      : { type: "TABLE", numRows: String(info.rows), numBytes: String(info.rows * 8) }),
  };
}

function partitioningResource({ type, column }: TimePartitioning): Json {
  return column === undefined ? { type } : { type, field: column };
}

/** A plain value as a cell of a row. */
export function cellOf(column: Column, value: unknown, int64: boolean): Json {
  if (column.mode === "REPEATED")
    return { v: list(value).map((item) => cellOf({ ...column, mode: "NULLABLE" }, item, int64)) };
  if (value === null || value === undefined) return { v: null };
  if (column.type === "STRUCT") {
    const fields = object(value, "a record");
    return { v: { f: (column.fields ?? []).map((field) => cellOf(field, fields[field.name], int64)) } };
  }
  if (column.type === "JSON") return { v: JSON.stringify(value) };
  const plain = shown(value);
  if (column.type === "TIMESTAMP") {
    const micros = microsOf(plain);
    return { v: int64 ? String(micros) : `${Number(micros) / 1e6}` };
  }
  if (column.type === "DATETIME" || column.type === "TIME") {
    const [whole = plain, fraction = ""] = plain.split(".");
    return { v: fraction === "" ? whole : `${whole}.${fraction.padEnd(6, "0")}` };
  }
  return { v: plain };
}

function microsOf(iso: string): bigint {
  const fraction = /\.(\d+)Z$/.exec(iso)?.[1] ?? "";
  const seconds = BigInt(Date.parse(iso.replace(/\.\d+Z$/, "Z"))) * 1_000n;
  return seconds + BigInt(fraction.padEnd(6, "0"));
}

/** A column that can hold such plain values: those of a script's result, whose types the engine does not tell. */
export function columnFor(name: string, values: readonly unknown[]): Column {
  const seen = values.filter((value) => value !== null && value !== undefined);
  if (seen.some(Array.isArray))
    return {
      ...columnFor(
        name,
        seen.flatMap((value) => list(value)),
      ),
      mode: "REPEATED",
    };
  if (seen.some((value) => typeof value === "object")) {
    const names = [...new Set(seen.flatMap((value) => Object.keys(object(value, "a record"))))];
    const fields = names.map((one) =>
      columnFor(
        one,
        seen.map((value) => object(value, "a record")[one]),
      ),
    );
    return { name, type: "STRUCT", mode: "NULLABLE", fields };
  }
  const numbers = seen.length > 0 && seen.every((value) => typeof value === "number");
  const type = numbers
    ? seen.every(Number.isInteger)
      ? "INT64"
      : "FLOAT64"
    : seen.length > 0 && seen.every((value) => typeof value === "boolean")
      ? "BOOL"
      : "STRING";
  return { name, type, mode: "NULLABLE" };
}
