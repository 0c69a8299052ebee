/** The warehouse on DuckDB: one file, one process. Projects are left out of account: there is one. */
import { randomUUID } from "node:crypto";
import { shortHash, canonicalJson } from "../../core/hash.ts";
import { PermanentError, RetryableError } from "../../core/errors.ts";
import { formatTable, type Destination } from "../../core/table.ts";
import type { Clock } from "../../ports/clock.ts";
import type { JobSpec, QueryParameter, TableHistory, Warehouse } from "../../ports/warehouse.ts";
import { costs } from "./bytes.ts";
import { checkTable, dropPhysical, keyOf, openCatalog, physicalName, stored } from "./catalog.ts";
import { copy, withoutRows } from "./copy.ts";
import { endJob, orphanResults, readKept, setUpJobs, staleResults } from "./job-table.ts";
import { jobRunner, type Outcome } from "./jobs.ts";
import { load } from "./load.ts";
import { partitionOf, partitionsIn } from "./partition.ts";
import { keepResult, prepare, readResult, storableParameters, type QueryRows } from "./query.ts";
import { queryJobs } from "./query-job.ts";
import { openSession } from "./session.ts";
import { seenIn } from "./statement.ts";
import { quoteName } from "./sql.ts";
import { checkColumns, storedType } from "./types.ts";
import { translateGoogleSql } from "../googlesql/translate.ts";
import { keyedLock } from "../../core/keyed-lock.ts";

export interface DuckdbWarehouse extends Warehouse, TableHistory {
  /** A query for people: it writes nothing, and is no job. Its rows are kept until they are read, once, or the file is opened again. */
  query(
    sql: string,
    options?: { readonly parameters?: Readonly<Record<string, QueryParameter>>; readonly signal?: AbortSignal },
  ): Promise<QueryRows>;
  /** Leaves unfinished jobs to the next process, and closes the file. */
  close(): Promise<void>;
}

export interface DuckdbWarehouseOptions {
  readonly file: string;
  /** Where a `gs://` URI is on this machine. */
  readonly resolveUri: (uri: string) => string;
  readonly clock: Clock;
  /** As DuckDB writes it, e.g. `2GB`. Default: a quarter of the machine's, between 512 MB and 4 GB. */
  readonly memoryLimit?: string;
  /** Awaited before each job starts; tests hold jobs back with it. */
  readonly gate?: (jobId: string) => Promise<void>;
}

/** Results of queries are kept for a day, as in BigQuery. */
const keptMs = 24 * 3_600_000;

/**
 * Opens the file, or creates it, and goes on with the jobs that had not ended.
 * Throws `PermanentError` (`locked`) while another process has it open.
 */
export async function openDuckdbWarehouse(options: DuckdbWarehouseOptions): Promise<DuckdbWarehouse> {
  const { resolveUri, clock, gate } = options;
  const session = await openSession(options);
  const lockTables = keyedLock();

  const tables = await session.transaction(async (link) => {
    const opened = await openCatalog(link, clock.now);
    await setUpJobs(link);
    for (const name of await orphanResults(link)) await dropPhysical(link, name);
    return opened;
  });
  let sweptAt = -Infinity;

  async function dropStaleResults(): Promise<void> {
    const now = clock.now();
    if (now - sweptAt < keptMs / 24) return;
    sweptAt = now;
    await session.transaction(async (link) => {
      for (const name of await staleResults(link, now)) await dropPhysical(link, name);
    });
  }

  /** After the commit that took a reference away. If the process dies before, the next one sweeps. */
  async function release(physical: string | undefined): Promise<void> {
    if (physical !== undefined && tables.references(physical) === 0)
      await session.write((link) => dropPhysical(link, physical));
  }

  /** Takes away what queries would still see. */
  async function dropExpired(): Promise<void> {
    for (const table of tables.expired(clock.now())) {
      await lockTables([keyOf(table)], async () => {
        // Another may have replaced it by now.
        if (!tables.expired(clock.now()).includes(table)) return;
        await session.transaction((link) => tables.remove(link, table));
        await release(table.physical);
      });
    }
  }

  const queries = queryJobs({ session, tables, costs: costs(), clock, lockTables, release, keptMs });

  async function execute(id: string, spec: JobSpec, signal: AbortSignal): Promise<Outcome> {
    await dropExpired();
    const digest = shortHash(["job", id], 24);
    const name = `t${digest}`;
    if (spec.kind === "query") {
      await dropStaleResults();
      return await queries.execute(id, spec, digest, signal);
    }
    if (spec.kind === "copy") {
      const { rows, before } = await lockTables([keyOf(spec.source), keyOf(spec.destination)], () =>
        session.transaction(async (link) => {
          const copied = await copy(link, spec, { tables, name, etag: digest, now: clock.now() });
          await endJob(link, id, { rows: copied.rows });
          return copied;
        }, signal),
      );
      await release(before);
      return { state: "succeeded", rows, bytesBilled: 0 };
    }
    try {
      const { schema, rows } = await session.use(
        (link) => load(link, spec, { name, resolveUri, now: clock.now(), sparing: session.sparing }),
        signal,
      );
      const { dataset, table } = spec.destination;
      const before = await lockTables([keyOf(spec.destination)], () =>
        session.transaction(async (link) => {
          const { partitioning, expiresAt } = spec;
          stored(tables.find(spec.destination, clock.now()));
          const shown = await tables.place(link, {
            dataset,
            table,
            physical: name,
            schema,
            rows,
            etag: digest,
            ...(partitioning === undefined ? {} : { partitioning }),
            ...(expiresAt === undefined ? {} : { expiresAt }),
          });
          await endJob(link, id, { rows });
          return shown;
        }, signal),
      );
      await release(before);
      return { state: "succeeded", rows, bytesBilled: 0 };
    } catch (error) {
      await release(name);
      throw error;
    }
  }

  const jobs = jobRunner({ session, clock, execute, ...(gate === undefined ? {} : { gate }) });
  await jobs.resume();

  return {
    inspect: jobs.inspect,
    cancel: jobs.cancel,
    wait: jobs.wait,

    async submit(id, spec, labels) {
      if (spec.kind === "query") {
        for (const table of spec.writes ?? []) checkTable(table);
        const parameters = spec.parameters === undefined ? {} : { parameters: storableParameters(spec.parameters) };
        return await jobs.submit(id, { ...spec, ...parameters }, labels);
      }
      if (spec.kind === "copy") checkTable(spec.source);
      checkTable(spec.destination);
      return await jobs.submit(id, spec, labels);
    },

    async dryRun(spec) {
      await dropExpired();
      return await queries.dryRun(spec);
    },

    async *rows(id, { signal } = {}) {
      signal?.throwIfAborted();
      const kept = await session.use((link) => readKept(link, id, clock.now()));
      yield* readResult(session, kept, signal);
    },

    describe(table) {
      const entry = tables.find(table, clock.now());
      if (entry === undefined) return Promise.resolve(undefined);
      if (entry.view !== undefined) {
        const { schema, etag, expiresAt } = entry;
        const expiry = expiresAt === undefined ? {} : { expiresAt };
        return Promise.resolve({ view: true, schema, rows: 0, etag, ...expiry });
      }
      const { dataset: _dataset, table: _table, physical: _physical, view: _view, changed: _, ...info } = entry;
      return Promise.resolve(info);
    },

    async changes(table) {
      const entry = tables.find(table, clock.now());
      if (entry === undefined) return undefined;
      const { at, rowsAt, partitions } = entry.changed ?? { at: 0, rowsAt: 0, partitions: {} };
      if (entry.view !== undefined || entry.partitioning === undefined) return { at };
      const there = await session.use((link) => partitionsIn(link, entry));
      return { at, partitions: Object.fromEntries(there.map((name) => [name, partitions[name] ?? rowsAt])) };
    },

    async extend(table, columns, etag) {
      const shown = formatTable(table);
      await lockTables([keyOf(table)], async () => {
        const before = await session.transaction(async (link) => {
          const entry = stored(tables.find(table, clock.now()));
          if (entry === undefined) throw new PermanentError(`${shown}: no such table`, { code: "not-found" });
          if (entry.etag !== etag)
            throw new RetryableError(`${shown}: the table has changed since it was described; describe it again`);
          const required = columns.find((column) => column.mode === "REQUIRED");
          if (required !== undefined) {
            throw new PermanentError(
              `${shown}: the new column ${JSON.stringify(required.name)} cannot be required; make it nullable`,
              { code: "bad-input" },
            );
          }
          const schema = [...entry.schema, ...columns];
          checkColumns(schema);
          const next = shortHash(["extend", etag, canonicalJson(columns)], 24);
          let { physical } = entry;
          if (tables.references(physical) > 1) {
            physical = `t${next}`;
            await link.run(`CREATE TABLE ${physicalName(physical)} AS SELECT * FROM ${physicalName(entry.physical)}`);
          }
          for (const column of columns) {
            const empty = column.mode === "REPEATED" ? " DEFAULT []" : "";
            await link.run(
              `ALTER TABLE ${physicalName(physical)} ADD COLUMN ${quoteName(column.name)} ${storedType(column)}${empty}`,
            );
          }
          return await tables.place(link, { ...entry, physical, schema, etag: next }, "columns");
        });
        await release(before);
      });
    },

    async drop(table: Destination) {
      return await lockTables([keyOf(table)], async () => {
        const entry = tables.find(table, clock.now());
        if (entry === undefined) return false;
        const { partition: decorator } = table;
        if (decorator === undefined) {
          await session.transaction((link) => tables.remove(link, entry));
          await release(entry.physical);
          return true;
        }
        if (entry.view !== undefined || entry.partitioning === undefined)
          throw new PermanentError(`${formatTable(table)}: the table is not partitioned`, { code: "bad-input" });
        const { contains } = partitionOf(decorator, entry.partitioning, entry.schema);
        const etag = shortHash(["drop", entry.etag, decorator], 24);
        const { found, before } = await session.transaction(async (link) => {
          const [row] = await link.run(`SELECT count(*) AS n FROM ${physicalName(entry.physical)} WHERE ${contains}`);
          if (Number(row?.["n"]) === 0) return { found: false, before: undefined };
          const left = await withoutRows(link, { tables, entry, contains, name: `t${etag}` });
          const rest = { ...entry, ...left, etag };
          return { found: true, before: await tables.place(link, rest, { partition: decorator }) };
        });
        await release(before);
        return found;
      });
    },

    async *list({ dataset }, prefix = "") {
      // A table that was dropped since is left out.
      for (const table of tables.list(dataset, prefix, clock.now()))
        if (tables.find(table, clock.now()) !== undefined) yield table;
    },

    async query(sql, { parameters, signal } = {}) {
      await dropExpired();
      const name = `q_${randomUUID().replaceAll("-", "")}`;
      const prepared = prepare(parameters === undefined ? {} : { parameters }, seenIn(tables, clock.now()), (given) =>
        translateGoogleSql(sql, given),
      );
      const { kept } = await session.use((link) => keepResult(link, prepared, name), signal);
      async function* rows(): AsyncGenerator<Readonly<Record<string, unknown>>> {
        try {
          yield* readResult(session, kept, signal);
        } finally {
          await session.write((link) => dropPhysical(link, name));
        }
      }
      return { columns: kept.columns, rows: rows() };
    },

    async close() {
      await jobs.close();
      session.close();
    },
  };
}
