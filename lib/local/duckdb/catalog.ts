/**
 * Which tables there are. A logical table is a view over an immutable name in a schema of our own, so that a copy of a
 * whole table, as in BigQuery, costs nothing: both views show the same physical table until one of the two is written.
 *
 * Who changes what a table refers to holds that table's lock; who makes another table refer to the same holds both. So a
 * physical table that one locked table alone refers to cannot gain another reference, and may be written in place.
 *
 * One process has the file open, so what the file says is kept in memory too, and changes there with each commit: nothing
 * is asked of the engine twice.
 */
import { PermanentError } from "../../core/errors.ts";
import { checkIdentifier, formatTable, type Column, type TableRef, type TimePartitioning } from "../../core/table.ts";
import type { Link, Row, Transaction } from "./session.ts";
import { catalog, quoteName } from "./sql.ts";

/** The last column of a table that is partitioned by ingestion time. */
export const partitionTime = "_PARTITIONTIME";

export interface Entry {
  readonly dataset: string;
  readonly table: string;
  readonly physical: string;
  readonly schema: readonly Column[];
  /** How many rows the physical table has. */
  readonly rows: number;
  readonly partitioning?: TimePartitioning;
  readonly etag: string;
  readonly expiresAt?: number;
}

export interface Catalog {
  /** The table as it is; an expired one is not there any more. */
  readonly find: (table: TableRef, now: number) => Entry | undefined;
  readonly expired: (now: number) => readonly Entry[];
  /** A dataset's tables whose names start with `prefix`, by name. */
  readonly list: (dataset: string, prefix: string, now: number) => readonly TableRef[];
  /** How many tables refer to a physical table. */
  readonly references: (physical: string) => number;
  /** Writes a table's entry and points its view to what the entry says. Returns the physical table that it showed before. */
  readonly place: (link: Transaction, entry: Entry) => Promise<string | undefined>;
  /** Takes a table away, view and entry; its physical table stays until it is dropped. */
  readonly remove: (link: Transaction, entry: Entry) => Promise<void>;
}

const tables = quoteName(catalog, "_sluice", "tables");

export function physicalName(name: string): string {
  return quoteName(catalog, "_sluice_data", name);
}

/** Makes what is missing, and drops physical tables that nothing refers to: a process may have died in the middle of a job. */
export async function openCatalog(link: Link): Promise<Catalog> {
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, "_sluice")}`);
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, "_sluice_data")}`);
  await link.run(`CREATE TABLE IF NOT EXISTS ${tables} (
    dataset VARCHAR NOT NULL, name VARCHAR NOT NULL, physical VARCHAR NOT NULL, schema VARCHAR NOT NULL,
    partitioning VARCHAR, etag VARCHAR NOT NULL, expires_at BIGINT, row_count BIGINT NOT NULL)`);
  const unreferenced = await link.run(
    `SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog AND schema_name = '_sluice_data' AND table_name LIKE 't%'
       AND table_name NOT IN (SELECT physical FROM ${tables})`,
    { catalog },
  );
  for (const row of unreferenced) await dropPhysical(link, String(row["table_name"]));
  const found = (await link.run(`SELECT * FROM ${tables}`)).map(entryOf);
  return catalogOf(new Map(found.map((entry) => [keyOf(entry), entry])));
}

function catalogOf(entries: Map<string, Entry>): Catalog {
  return {
    find(table, now) {
      const entry = entries.get(keyOf(table));
      return entry !== undefined && sameTable(entry, table) && !isExpired(entry, now) ? entry : undefined;
    },

    expired: (now) => [...entries.values()].filter((entry) => isExpired(entry, now)),

    list: (dataset, prefix, now) =>
      [...entries.values()]
        .filter((entry) => entry.dataset === dataset && entry.table.startsWith(prefix) && !isExpired(entry, now))
        .map(({ table }) => ({ dataset, table }))
        .sort((a, b) => (a.table < b.table ? -1 : 1)),

    references(physical) {
      let count = 0;
      for (const entry of entries.values()) if (entry.physical === physical) count += 1;
      return count;
    },

    async place(link, entry) {
      const { dataset, table, physical } = entry;
      const before = entries.get(keyOf(entry));
      if (before !== undefined && !sameTable(before, entry)) {
        throw new PermanentError(
          `${formatTable(entry)}: the embedded engine does not tell it from ${before.dataset}.${before.table}; use names that differ in more than case`,
          { code: "invalid" },
        );
      }
      await link.run(
        before === undefined
          ? `INSERT INTO ${tables} VALUES ($dataset, $table, $physical, $schema, $partitioning, $etag, $expires, $rows)`
          : `UPDATE ${tables} SET physical = $physical, schema = $schema, partitioning = $partitioning, etag = $etag, expires_at = $expires,
               row_count = $rows WHERE dataset = $dataset AND name = $table`,
        valuesOf(entry),
      );
      const view = `${quoteName(catalog, dataset, table)} AS SELECT ${shownColumns(entry)} FROM ${physicalName(physical)}`;
      if (before === undefined) await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, dataset)}`);
      if (before?.physical !== physical || shownColumns(before) !== shownColumns(entry))
        await link.run(`CREATE OR REPLACE VIEW ${view}`);
      link.afterCommit(() => entries.set(keyOf(entry), entry));
      return before === undefined || before.physical === physical ? undefined : before.physical;
    },

    async remove(link, entry) {
      const { dataset, table } = entry;
      await link.run(`DELETE FROM ${tables} WHERE dataset = $dataset AND name = $table`, { dataset, table });
      await link.run(`DROP VIEW IF EXISTS ${quoteName(catalog, dataset, table)}`);
      link.afterCommit(() => entries.delete(keyOf(entry)));
    },
  };
}

export async function dropPhysical(link: Link, physical: string): Promise<void> {
  await link.run(`DROP TABLE IF EXISTS ${physicalName(physical)}`);
}

/** One key for all tables that the engine does not tell apart. */
export function keyOf({ dataset, table }: TableRef): string {
  return `${dataset}.${table}`.toLowerCase();
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

function isExpired({ expiresAt }: Entry, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}

function sameTable(a: TableRef, b: TableRef): boolean {
  return a.dataset === b.dataset && a.table === b.table;
}

function shownColumns({ schema, partitioning }: Entry): string {
  const columns = schema.map((column) => quoteName(column.name));
  if (isIngestionTime(partitioning)) columns.push(quoteName(partitionTime));
  return columns.join(", ");
}

function valuesOf({ dataset, table, physical, schema, partitioning, etag, expiresAt, rows }: Entry) {
  return {
    dataset,
    table,
    physical,
    etag,
    schema: JSON.stringify(schema),
    partitioning: partitioning === undefined ? null : JSON.stringify(partitioning),
    expires: expiresAt === undefined ? null : BigInt(expiresAt),
    rows: BigInt(rows),
  };
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
    rows: Number(row["row_count"]),
    ...(typeof partitioning === "string" ? { partitioning: JSON.parse(partitioning) as TimePartitioning } : {}),
    etag: String(row["etag"]),
    ...(typeof expiresAt === "bigint" ? { expiresAt: Number(expiresAt) } : {}),
  };
}
