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
import type { ViewQuery } from "../googlesql/translate.ts";
import type { Link, Row, Transaction } from "./session.ts";
import { catalog, quoteName } from "./sql.ts";

/** The last column of a table that is partitioned by ingestion time. */
export const partitionTime = "_PARTITIONTIME";

interface Named {
  readonly dataset: string;
  readonly table: string;
  readonly schema: readonly Column[];
  readonly etag: string;
  readonly expiresAt?: number;
  /** Kept by `place` alone; absent in a file of an older version. */
  readonly changed?: Changed;
}

/** When a table was changed: in any way, in all of its rows, and since then in single partitions. Milliseconds. */
export interface Changed {
  readonly at: number;
  readonly rowsAt: number;
  readonly partitions: Readonly<Record<string, number>>;
}

/** What a change concerns, where that is less than all rows: one partition, or the columns alone. */
export type ChangeOf = { readonly partition: string } | "columns";

export interface TableEntry extends Named {
  readonly physical: string;
  /** How many rows the physical table has. */
  readonly rows: number;
  readonly partitioning?: TimePartitioning;
  readonly view?: undefined;
}

/** A view is a query that is put in its place wherever it is read; the engine itself knows nothing of it. */
export interface ViewEntry extends Named {
  readonly view: ViewQuery;
  readonly physical?: undefined;
}

export type Entry = TableEntry | ViewEntry;

export interface Catalog {
  /** The table as it is; an expired one is not there any more. */
  readonly find: (table: TableRef, now: number) => Entry | undefined;
  readonly expired: (now: number) => readonly Entry[];
  /** A dataset's tables whose names start with `prefix`, by name. */
  readonly list: (dataset: string, prefix: string, now: number) => readonly TableRef[];
  /** How many tables refer to a physical table. */
  readonly references: (physical: string) => number;
  /** Writes a table's entry and points its view to what the entry says. Returns the physical table that it showed before. */
  readonly place: (link: Transaction, entry: Entry, change?: ChangeOf) => Promise<string | undefined>;
  /** Takes a table away, view and entry; its physical table stays until it is dropped. */
  readonly remove: (link: Transaction, entry: Entry) => Promise<void>;
  /** The same for one transaction of several changes: it shows them at once, and everybody else sees them after the commit. */
  readonly fork: () => Catalog;
}

const tables = quoteName(catalog, "_sluice", "tables");

export function physicalName(name: string): string {
  return quoteName(catalog, "_sluice_data", name);
}

/** Makes what is missing, and drops physical tables that nothing refers to: a process may have died in the middle of a job. */
export async function openCatalog(link: Link, now: () => number): Promise<Catalog> {
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, "_sluice")}`);
  await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, "_sluice_data")}`);
  await link.run(`CREATE TABLE IF NOT EXISTS ${tables} (
    dataset VARCHAR NOT NULL, name VARCHAR NOT NULL, physical VARCHAR NOT NULL, schema VARCHAR NOT NULL,
    partitioning VARCHAR, etag VARCHAR NOT NULL, expires_at BIGINT, row_count BIGINT NOT NULL)`);
  await link.run(`ALTER TABLE ${tables} ADD COLUMN IF NOT EXISTS view VARCHAR`);
  await link.run(`ALTER TABLE ${tables} ADD COLUMN IF NOT EXISTS changed VARCHAR`);
  const unreferenced = await link.run(
    `SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog AND schema_name = '_sluice_data' AND table_name LIKE 't%'
       AND table_name NOT IN (SELECT physical FROM ${tables})`,
    { catalog },
  );
  for (const row of unreferenced) await dropPhysical(link, String(row["table_name"]));
  const found = (await link.run(`SELECT * FROM ${tables}`)).map(entryOf);
  return catalogOf(now, new Map(found.map((entry) => [keyOf(entry), entry])));
}

function catalogOf(now: () => number, committed: Map<string, Entry>, entries = committed): Catalog {
  return {
    fork: () => catalogOf(now, committed, new Map(entries)),

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

    async place(link, given, change) {
      const { dataset, physical } = given;
      const before = entries.get(keyOf(given));
      const entry: Entry = { ...given, changed: changedBy(before?.changed, change, now()) };
      if (before !== undefined && !sameTable(before, entry)) {
        throw new PermanentError(
          `${formatTable(entry)}: the embedded engine does not tell it from ${before.dataset}.${before.table}; use names that differ in more than case`,
          { code: "invalid" },
        );
      }
      await link.run(
        before === undefined
          ? `INSERT INTO ${tables} VALUES ($dataset, $table, $physical, $schema, $partitioning, $etag, $expires, $rows, $view, $changed)`
          : `UPDATE ${tables} SET physical = $physical, schema = $schema, partitioning = $partitioning, etag = $etag, expires_at = $expires,
               row_count = $rows, view = $view, changed = $changed WHERE dataset = $dataset AND name = $table`,
        valuesOf(entry),
      );
      if (entry.view === undefined) {
        if (before === undefined) await link.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(catalog, dataset)}`);
        const view = shownAs(entry);
        if (before?.view !== undefined || before === undefined || shownAs(before) !== view)
          await link.run(`CREATE OR REPLACE VIEW ${view}`);
      }
      if (entries !== committed) entries.set(keyOf(entry), entry);
      link.afterCommit(() => committed.set(keyOf(entry), entry));
      return before?.physical === physical ? undefined : before?.physical;
    },

    async remove(link, entry) {
      const { dataset, table } = entry;
      await link.run(`DELETE FROM ${tables} WHERE dataset = $dataset AND name = $table`, { dataset, table });
      if (entry.view === undefined) await link.run(`DROP VIEW IF EXISTS ${quoteName(catalog, dataset, table)}`);
      if (entries !== committed) entries.delete(keyOf(entry));
      link.afterCommit(() => committed.delete(keyOf(entry)));
    },
  };
}

export async function dropPhysical(link: Link, physical: string): Promise<void> {
  await link.run(`DROP TABLE IF EXISTS ${physicalName(physical)}`);
}

function changedBy(before: Changed | undefined, change: ChangeOf | undefined, at: number): Changed {
  const { rowsAt, partitions } = before ?? { rowsAt: change === undefined ? at : 0, partitions: {} };
  if (change === "columns") return { at, rowsAt, partitions };
  if (change === undefined) return { at, rowsAt: at, partitions: {} };
  return { at, rowsAt, partitions: { ...partitions, [change.partition]: at } };
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

/** The table of an entry. Throws `PermanentError` (`invalid`) for a view, as BigQuery does. */
export function stored<E extends Entry | undefined>(entry: E): Exclude<E, ViewEntry> {
  if (entry?.view !== undefined)
    throw new PermanentError(`${formatTable(entry)} is a VIEW, and a table is needed here; name the table behind it`, {
      code: "invalid",
    });
  // What is left has no query.
  return entry as Exclude<E, ViewEntry>;
}

function isExpired({ expiresAt }: Entry, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}

function sameTable(a: TableRef, b: TableRef): boolean {
  return a.dataset === b.dataset && a.table === b.table;
}

/** The engine's view that shows a table. */
function shownAs({ dataset, table, physical, schema, partitioning }: TableEntry): string {
  const columns = schema.map((column) => quoteName(column.name));
  if (isIngestionTime(partitioning)) columns.push(quoteName(partitionTime));
  return `${quoteName(catalog, dataset, table)} AS SELECT ${columns.join(", ")} FROM ${physicalName(physical)}`;
}

function valuesOf(entry: Entry) {
  const { dataset, table, schema, etag, expiresAt, view } = entry;
  const { physical, rows, partitioning } = view === undefined ? entry : { physical: "", rows: 0 };
  return {
    dataset,
    table,
    physical,
    etag,
    schema: JSON.stringify(schema),
    partitioning: partitioning === undefined ? null : JSON.stringify(partitioning),
    expires: expiresAt === undefined ? null : BigInt(expiresAt),
    rows: BigInt(rows),
    view: view === undefined ? null : JSON.stringify(view),
    changed: JSON.stringify(entry.changed ?? null),
  };
}

function entryOf(row: Row): Entry {
  const partitioning = row["partitioning"];
  const expiresAt = row["expires_at"];
  const view = row["view"];
  const changed = typeof row["changed"] === "string" ? (JSON.parse(row["changed"]) as Changed | null) : null;
  // Only `place` writes the columns that hold JSON, from the same types.
  const named = {
    dataset: String(row["dataset"]),
    table: String(row["name"]),
    schema: JSON.parse(String(row["schema"])) as readonly Column[],
    etag: String(row["etag"]),
    ...(typeof expiresAt === "bigint" ? { expiresAt: Number(expiresAt) } : {}),
    ...(changed === null ? {} : { changed }),
  };
  if (typeof view === "string") return { ...named, view: JSON.parse(view) as ViewQuery };
  return {
    ...named,
    physical: String(row["physical"]),
    rows: Number(row["row_count"]),
    ...(typeof partitioning === "string" ? { partitioning: JSON.parse(partitioning) as TimePartitioning } : {}),
  };
}
