/**
 * Which tables there are. A logical table is a view over an immutable name in a schema of our own, so that a copy of a
 * whole table, as in BigQuery, costs nothing: both views show the same physical table until one of the two is written.
 *
 * Who changes what a table refers to holds that table's lock; who makes another table refer to the same holds both. So a
 * physical table that one locked table alone refers to cannot gain another reference, and may be written in place.
 */
import { PermanentError } from "../core/errors.ts";
import { checkIdentifier, formatTable, type Column, type TableRef, type TimePartitioning } from "../core/table.ts";
import type { Link, Row } from "./duckdb-session.ts";
import { catalog, quoteName } from "./duckdb-sql.ts";

/** The last column of a table that is partitioned by ingestion time. */
export const partitionTime = "_PARTITIONTIME";

export interface Entry {
  readonly dataset: string;
  readonly table: string;
  readonly physical: string;
  readonly schema: readonly Column[];
  readonly partitioning?: TimePartitioning;
  readonly etag: string;
  readonly expiresAt?: number;
}

const tables = quoteName(catalog, "_sluice", "tables");

export function physicalName(name: string): string {
  return quoteName(catalog, "_sluice_data", name);
}

/** Makes what is missing, and drops physical tables that nothing refers to: a process may have died in the middle of a job. */
export async function setUpCatalog(link: Link): Promise<void> {
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, "_sluice")}`);
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, "_sluice_data")}`);
  await link.run(`CREATE TABLE IF NOT EXISTS ${tables} (
    dataset VARCHAR NOT NULL, name VARCHAR NOT NULL, physical VARCHAR NOT NULL, schema VARCHAR NOT NULL,
    partitioning VARCHAR, etag VARCHAR NOT NULL, expires_at BIGINT)`);
}

export async function unreferenced(link: Link): Promise<readonly string[]> {
  const rows = await link.run(
    `SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog AND schema_name = '_sluice_data' AND table_name LIKE 't%'
       AND table_name NOT IN (SELECT physical FROM ${tables})`,
    { catalog },
  );
  return rows.map((row) => String(row["table_name"]));
}

/** Drops a physical table unless some table refers to it. */
export async function collect(link: Link, physical: string): Promise<void> {
  if ((await references(link, physical)) === 0) await dropPhysical(link, physical);
}

export async function dropPhysical(link: Link, physical: string): Promise<void> {
  await link.run(`DROP TABLE IF EXISTS ${physicalName(physical)}`);
}

/** How many tables refer to a physical table. */
export async function references(link: Link, physical: string): Promise<number> {
  const [row] = await link.run(`SELECT count(*) AS n FROM ${tables} WHERE physical = $physical`, { physical });
  return Number(row?.["n"]);
}

/** The table as it is; an expired one is not there any more. */
export async function find(link: Link, table: TableRef, now: number): Promise<Entry | undefined> {
  const [row] = await link.run(
    `SELECT * FROM ${tables} WHERE dataset = $dataset AND name = $name AND coalesce(expires_at > $now, true)`,
    { dataset: table.dataset, name: table.table, now: BigInt(now) },
  );
  return row === undefined ? undefined : entryOf(row);
}

/** Writes a table's entry and points its view to what the entry says. Returns the physical table that it showed before. */
export async function place(link: Link, entry: Entry): Promise<string | undefined> {
  const { dataset, table, physical, schema, partitioning, etag, expiresAt } = entry;
  const found = await link.run(
    `SELECT name, physical FROM ${tables} WHERE dataset = $dataset AND lower(name) = lower($table)`,
    { dataset, table },
  );
  const [other] = found;
  if (other !== undefined && other["name"] !== table) {
    throw new PermanentError(
      `${formatTable(entry)}: the embedded engine does not tell it from ${dataset}.${String(other["name"])}; use names that differ in more than case`,
      { code: "invalid" },
    );
  }
  const values = {
    dataset,
    table,
    physical,
    etag,
    schema: JSON.stringify(schema),
    partitioning: partitioning === undefined ? null : JSON.stringify(partitioning),
    expires: expiresAt === undefined ? null : BigInt(expiresAt),
  };
  await link.run(
    other === undefined
      ? `INSERT INTO ${tables} VALUES ($dataset, $table, $physical, $schema, $partitioning, $etag, $expires)`
      : `UPDATE ${tables} SET physical = $physical, schema = $schema, partitioning = $partitioning, etag = $etag, expires_at = $expires
         WHERE dataset = $dataset AND name = $table`,
    values,
  );
  const columns = schema.map((column) => quoteName(column.name));
  if (isIngestionTime(partitioning)) columns.push(quoteName(partitionTime));
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, dataset)}`);
  await link.run(
    `CREATE OR REPLACE VIEW ${quoteName(catalog, dataset, table)} AS SELECT ${columns.join(", ")} FROM ${physicalName(physical)}`,
  );
  const before = other?.["physical"];
  return before === undefined || before === physical ? undefined : String(before);
}

/** Takes a table away, view and entry; its physical table stays until it is collected. */
export async function remove(link: Link, entry: Entry): Promise<void> {
  const { dataset, table } = entry;
  await link.run(`DELETE FROM ${tables} WHERE dataset = $dataset AND name = $table`, { dataset, table });
  await link.run(`DROP VIEW IF EXISTS ${quoteName(catalog, dataset, table)}`);
}

export async function expired(link: Link, now: number): Promise<readonly Entry[]> {
  const rows = await link.run(`SELECT * FROM ${tables} WHERE expires_at <= $now`, { now: BigInt(now) });
  return rows.map(entryOf);
}

/** Up to `limit` names of a dataset's tables that start with `prefix` and come after `after`, in order. */
export async function names(
  link: Link,
  options: {
    readonly dataset: string;
    readonly prefix: string;
    readonly after: string;
    readonly limit: number;
    readonly now: number;
  },
): Promise<readonly string[]> {
  const rows = await link.run(
    `SELECT name FROM ${tables} WHERE dataset = $dataset AND starts_with(name, $prefix) AND name > $after AND coalesce(expires_at > $now, true)
     ORDER BY name LIMIT $limit`,
    { ...options, now: BigInt(options.now), limit: BigInt(options.limit) },
  );
  return rows.map((row) => String(row["name"]));
}

/** Refuses names that cannot be quoted safely everywhere, or that the engine keeps for itself. */
export function checkTable(table: TableRef): void {
  checkIdentifier(table.dataset, "the dataset name");
  checkIdentifier(table.table, "the table name");
  if (/^(_sluice.*|main|temp|system|memory|information_schema|pg_catalog)$/i.test(table.dataset)) {
    throw new PermanentError(
      `the dataset name ${JSON.stringify(table.dataset)} is reserved by the embedded engine; choose another`,
      { code: "invalid" },
    );
  }
}

export function isIngestionTime(partitioning: TimePartitioning | undefined): boolean {
  return partitioning !== undefined && partitioning.column === undefined;
}

function entryOf(row: Row): Entry {
  const partitioning = row["partitioning"];
  const expiresAt = row["expires_at"];
  return {
    dataset: String(row["dataset"]),
    table: String(row["name"]),
    physical: String(row["physical"]),
    // Only `place` writes these two columns, from the same types.
    schema: JSON.parse(String(row["schema"])) as readonly Column[],
    ...(typeof partitioning === "string" ? { partitioning: JSON.parse(partitioning) as TimePartitioning } : {}),
    etag: String(row["etag"]),
    ...(typeof expiresAt === "bigint" ? { expiresAt: Number(expiresAt) } : {}),
  };
}
