/** One table's rows into a whole table, by reference, or into one partition, by rows. All inside of the caller's transaction. */
import { PermanentError } from "../../core/errors.ts";
import { formatTable, type Column } from "../../core/table.ts";
import type { JobSpec } from "../../ports/warehouse.ts";
import { isIngestionTime, partitionTime, physicalName, stored, type Catalog, type TableEntry } from "./catalog.ts";
import { partitionOf, samePartitioning } from "./partition.ts";
import type { Link, Transaction } from "./session.ts";
import { quoteName } from "./sql.ts";
import { byName, storedType } from "./types.ts";

export type CopySpec = Extract<JobSpec, { kind: "copy" }>;

export interface CopyOptions {
  readonly tables: Catalog;
  /** A free name for a physical table. */
  readonly name: string;
  /** The destination's next. */
  readonly etag: string;
  readonly now: number;
}

export interface Copied {
  readonly rows: number;
  /** A physical table that lost a reference, if any. */
  readonly before: string | undefined;
}

/**
 * The caller holds the locks of both tables. Throws `PermanentError` with BigQuery's reason as its code.
 */
export async function copy(link: Transaction, spec: CopySpec, options: CopyOptions): Promise<Copied> {
  const { tables, now } = options;
  const source = stored(tables.find(spec.source, now));
  if (source === undefined)
    throw new PermanentError(`${formatTable(spec.source)}: no such table`, { code: "notFound" });
  const found = stored(tables.find(spec.destination, now));
  const { partition } = spec.destination;
  if (partition !== undefined) return await copyPartition(link, spec, source, found, partition, options);
  if (spec.append === true && found !== undefined) return await append(link, spec, source, found, options);
  if (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, source.partitioning)) {
    throw invalid(
      `${formatTable(spec.destination)}: a copy of a whole table has the source's partitioning; load the source with the wanted one`,
    );
  }
  const { dataset, table } = spec.destination;
  const { expiresAt: _, ...copied } = source;
  const expiry = spec.expiresAt === undefined ? {} : { expiresAt: spec.expiresAt };
  const before = await options.tables.place(link, { ...copied, dataset, table, etag: options.etag, ...expiry });
  return { rows: source.rows, before };
}

async function copyPartition(
  link: Transaction,
  spec: CopySpec,
  source: TableEntry,
  found: TableEntry | undefined,
  decorator: string,
  options: CopyOptions,
): Promise<Copied> {
  const { destination } = spec;
  const { tables } = options;
  const shown = formatTable(destination);
  if (
    found !== undefined &&
    found.physical === source.physical &&
    source.table === found.table &&
    source.dataset === found.dataset
  ) {
    throw invalid(`${shown}: a table cannot be copied into its own partition`);
  }
  const partitioning = found?.partitioning ?? (found === undefined ? spec.partitioning : undefined);
  if (partitioning === undefined) throw invalid(`${shown}: the table is not partitioned`);
  if (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, partitioning)) {
    throw invalid(`${shown}: the table is partitioned otherwise than the copy says`);
  }
  const schema = found?.schema ?? source.schema;
  checkFits(source.schema, schema, shown);
  const partition = partitionOf(decorator, partitioning, schema);
  const from = physicalName(source.physical);
  if (!isIngestionTime(partitioning)) {
    const outside = await count(link, `${from} WHERE NOT coalesce(${partition.contains}, false)`);
    if (outside > 0)
      throw invalid(`${shown}: ${outside} rows of ${formatTable(spec.source)} are not of this partition`);
  }
  const own =
    found === undefined
      ? { physical: await newTable(link, schema, partitioning, options.name), rows: 0 }
      : await withoutRows(link, {
          tables,
          entry: found,
          contains: spec.append === true ? "false" : partition.contains,
          name: options.name,
        });
  const time = isIngestionTime(partitioning) ? partition.start : undefined;
  const rows = await insertRows(link, source, { schema, physical: own.physical, time });
  const expiresAt = spec.expiresAt ?? found?.expiresAt;
  const placed: TableEntry = {
    dataset: destination.dataset,
    table: destination.table,
    physical: own.physical,
    rows: own.rows + rows,
    schema,
    partitioning,
    etag: options.etag,
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
  const before = await tables.place(link, placed, { partition: decorator });
  return { rows, before };
}

/** All rows of the source beside those that the destination has. */
async function append(
  link: Transaction,
  spec: CopySpec,
  source: TableEntry,
  found: TableEntry,
  options: CopyOptions,
): Promise<Copied> {
  const { tables, name, etag } = options;
  const shown = formatTable(spec.destination);
  const { schema, partitioning } = found;
  const same = samePartitioning(source.partitioning, partitioning);
  if (!same || (spec.partitioning !== undefined && !samePartitioning(spec.partitioning, partitioning)))
    throw invalid(`${shown}: the table is partitioned otherwise than the source; name a partition`);
  checkFits(source.schema, schema, shown);
  const own = await withoutRows(link, { tables, entry: found, contains: "false", name });
  const time = isIngestionTime(partitioning) ? quoteName(partitionTime) : undefined;
  const rows = await insertRows(link, source, { schema, physical: own.physical, time });
  const expiry = spec.expiresAt === undefined ? {} : { expiresAt: spec.expiresAt };
  const before = await tables.place(link, { ...found, ...own, rows: own.rows + rows, etag, ...expiry });
  return { rows, before };
}

/** Adds the source's rows to a physical table, by the names of the columns; `time` is SQL for their ingestion time. */
async function insertRows(
  link: Link,
  source: TableEntry,
  to: { readonly schema: readonly Column[]; readonly physical: string; readonly time: string | undefined },
): Promise<number> {
  const columns = source.schema.map((column) => quoteName(column.name));
  const stamp =
    to.time === undefined ? { column: [], value: [] } : { column: [quoteName(partitionTime)], value: [to.time] };
  // A repeated column that the source lacks is empty, not null.
  const given = byName(source.schema);
  const empty = to.schema.filter((column) => column.mode === "REPEATED" && !given.has(column.name.toLowerCase()));
  const targets = [...columns, ...stamp.column, ...empty.map((column) => quoteName(column.name))];
  const values = [...columns, ...stamp.value, ...empty.map(() => "[]")];
  const [inserted] = await link.run(
    `INSERT INTO ${physicalName(to.physical)} (${targets.join(", ")}) SELECT ${values.join(", ")} FROM ${physicalName(source.physical)}`,
  );
  return Number(inserted?.["Count"]);
}

/** An empty physical table of this name. Returns the name. */
export async function newTable(
  link: Link,
  schema: readonly Column[],
  partitioning: TableEntry["partitioning"],
  name: string,
): Promise<string> {
  const columns = schema.map((column) => `${quoteName(column.name)} ${storedType(column)}`);
  if (isIngestionTime(partitioning)) columns.push(`${quoteName(partitionTime)} TIMESTAMPTZ`);
  await link.run(`CREATE TABLE ${physicalName(name)} (${columns.join(", ")})`);
  return name;
}

/**
 * A physical table that `entry` alone refers to, without the rows of a partition: its own, or else a new one of this name.
 * The caller holds the table's lock, and places the entry anew.
 */
export async function withoutRows(
  link: Link,
  options: { readonly tables: Catalog; readonly entry: TableEntry; readonly contains: string; readonly name: string },
): Promise<{ readonly physical: string; readonly rows: number }> {
  const { tables, entry, contains, name } = options;
  const { physical, rows } = entry;
  if (tables.references(physical) > 1) {
    const [kept] = await link.run(
      `CREATE TABLE ${physicalName(name)} AS SELECT * FROM ${physicalName(physical)} WHERE NOT coalesce(${contains}, false)`,
    );
    return { physical: name, rows: Number(kept?.["Count"]) };
  }
  const [deleted] = await link.run(`DELETE FROM ${physicalName(physical)} WHERE ${contains}`);
  return { physical, rows: rows - Number(deleted?.["Count"]) };
}

/** BigQuery's copy changes no schema: every column of the source is in the destination, of the same type and mode. */
function checkFits(source: readonly Column[], destination: readonly Column[], shown: string): void {
  const known = byName(destination);
  for (const column of source) {
    const target = known.get(column.name.toLowerCase());
    const name = JSON.stringify(column.name);
    if (target === undefined)
      throw invalid(`${shown}: the source's column ${name} is not in the table; extend the table first`);
    if (storedType(column) !== storedType(target) || column.type !== target.type) {
      throw invalid(`${shown}: the column ${name} is ${spell(target)}, and ${spell(column)} in the source`);
    }
    if (target.mode === "REQUIRED" && column.mode !== "REQUIRED")
      throw invalid(`${shown}: the column ${name} is required, and nullable in the source`);
  }
  const given = byName(source);
  const missing = destination.find((column) => column.mode === "REQUIRED" && !given.has(column.name.toLowerCase()));
  if (missing !== undefined)
    throw invalid(`${shown}: the required column ${JSON.stringify(missing.name)} is not in the source`);
}

function spell(column: Column): string {
  const fields =
    column.type === "STRUCT"
      ? `<${(column.fields ?? []).map((field) => `${field.name} ${spell(field)}`).join(", ")}>`
      : "";
  return `${column.mode === "REPEATED" ? "repeated " : ""}${column.type}${fields}`;
}

async function count(link: Link, relation: string): Promise<number> {
  const [row] = await link.run(`SELECT count(*) AS n FROM ${relation}`);
  return Number(row?.["n"]);
}

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
