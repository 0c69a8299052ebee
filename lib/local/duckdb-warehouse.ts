/** The warehouse on DuckDB: one file, one process. Projects are left out of account: there is one. */
import { shortHash, canonicalJson } from "../core/hash.ts";
import { PermanentError, RetryableError } from "../core/errors.ts";
import { formatTable, type Destination, type TableRef } from "../core/table.ts";
import type { Clock } from "../ports/clock.ts";
import type { JobSpec, QueryParameter, Warehouse } from "../ports/warehouse.ts";
import {
  checkTable,
  collect,
  dropPhysical,
  expired,
  find,
  names,
  physicalName,
  place,
  references,
  remove,
  setUpCatalog,
  unreferenced,
  type Entry,
} from "./duckdb-catalog.ts";
import { copy } from "./duckdb-copy.ts";
import { endJob, orphanResults, readKept, setUpJobs, staleResults } from "./duckdb-job-table.ts";
import { jobRunner } from "./duckdb-jobs.ts";
import { load } from "./duckdb-load.ts";
import { partitionOf } from "./duckdb-partition.ts";
import { keepResult, readResult, storableParameters, streamQuery, type QueryRows } from "./duckdb-query.ts";
import { openSession } from "./duckdb-session.ts";
import { quoteName } from "./duckdb-sql.ts";
import { checkColumns, storedType } from "./duckdb-types.ts";
import { keyedLock } from "./keyed-lock.ts";

export interface DuckdbWarehouse extends Warehouse {
  /** A query for people, which can write nothing and leaves nothing behind. Read its rows, or abort `signal`. */
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
  const key = (table: TableRef): string => `${table.dataset}.${table.table}`.toLowerCase();

  await session.transaction(async (link) => {
    await setUpCatalog(link);
    await setUpJobs(link);
  });
  await dropExpired();
  await session.transaction(async (link) => {
    for (const name of [...(await unreferenced(link)), ...(await orphanResults(link))]) await dropPhysical(link, name);
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
    if (physical !== undefined)
      await lockTables(["collect"], () => session.transaction((link) => collect(link, physical)));
  }

  async function dropExpired(): Promise<void> {
    for (const { dataset, table } of await session.use((link) => expired(link, clock.now()))) {
      await lockTables([key({ dataset, table })], async () => {
        // Another may have replaced it by now.
        const gone = await session.transaction(async (link) => {
          const again = (await expired(link, clock.now())).find(
            (entry) => entry.dataset === dataset && entry.table === table,
          );
          if (again !== undefined) await remove(link, again);
          return again?.physical;
        });
        await release(gone);
      });
    }
  }

  async function execute(id: string, spec: JobSpec, signal: AbortSignal): Promise<void> {
    await dropExpired();
    const digest = shortHash(["job", id], 24);
    const name = `${spec.kind === "query" ? "q" : "t"}${digest}`;
    if (spec.kind === "query") {
      await dropStaleResults();
      const { kept, rows } = await session.use((link) => keepResult(link, spec, name), signal);
      const end = { rows, kept, keptUntil: clock.now() + keptMs };
      return session.transaction((link) => endJob(link, id, end), signal);
    }
    if (spec.kind === "copy") {
      const before = await lockTables([key(spec.source), key(spec.destination)], () =>
        session.transaction(async (link) => {
          const copied = await copy(link, spec, { name, etag: digest, now: clock.now() });
          await endJob(link, id, { rows: copied.rows });
          return copied.before;
        }, signal),
      );
      return release(before);
    }
    try {
      const { schema, rows } = await session.use(
        (link) => load(link, spec, { name, resolveUri, now: clock.now() }),
        signal,
      );
      const { dataset, table } = spec.destination;
      const before = await lockTables([key(spec.destination)], () =>
        session.transaction(async (link) => {
          const { partitioning, expiresAt } = spec;
          const entry: Entry = { dataset, table, physical: name, schema, etag: digest };
          const more = {
            ...(partitioning === undefined ? {} : { partitioning }),
            ...(expiresAt === undefined ? {} : { expiresAt }),
          };
          const shown = await place(link, { ...entry, ...more });
          await endJob(link, id, { rows });
          return shown;
        }, signal),
      );
      return await release(before);
    } catch (error) {
      await release(name);
      throw error;
    }
  }

  const jobs = jobRunner({ session, clock, execute, ...(gate === undefined ? {} : { gate }) });
  const open = new Map<AbortController, Promise<void>>();
  await jobs.resume();

  return {
    inspect: jobs.inspect,
    cancel: jobs.cancel,
    wait: jobs.wait,

    async submit(id, spec, labels) {
      if (spec.kind === "query") {
        const parameters = spec.parameters === undefined ? {} : { parameters: storableParameters(spec.parameters) };
        return jobs.submit(id, { ...spec, ...parameters }, labels);
      }
      if (spec.kind === "copy") checkTable(spec.source);
      checkTable(spec.destination);
      return jobs.submit(id, spec, labels);
    },

    async *rows(id, { signal } = {}) {
      signal?.throwIfAborted();
      const kept = await session.use((link) => readKept(link, id, clock.now()));
      yield* readResult(session, kept, signal);
    },

    async describe(table) {
      await dropExpired();
      return session.transaction(async (link) => {
        const entry = await find(link, table, clock.now());
        if (entry === undefined) return undefined;
        const [row] = await link.run(`SELECT count(*) AS n FROM ${physicalName(entry.physical)}`);
        const { schema, partitioning, etag, expiresAt } = entry;
        return {
          schema,
          rows: Number(row?.["n"]),
          etag,
          ...(partitioning === undefined ? {} : { partitioning }),
          ...(expiresAt === undefined ? {} : { expiresAt }),
        };
      });
    },

    async extend(table, columns, etag) {
      const shown = formatTable(table);
      await lockTables([key(table)], async () => {
        const before = await session.transaction(async (link) => {
          const entry = await find(link, table, clock.now());
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
          if ((await references(link, physical)) > 1) {
            physical = `t${next}`;
            await link.run(`CREATE TABLE ${physicalName(physical)} AS SELECT * FROM ${physicalName(entry.physical)}`);
          }
          for (const column of columns) {
            const empty = column.mode === "REPEATED" ? " DEFAULT []" : "";
            await link.run(
              `ALTER TABLE ${physicalName(physical)} ADD COLUMN ${quoteName(column.name)} ${storedType(column)}${empty}`,
            );
          }
          return place(link, { ...entry, physical, schema, etag: next });
        });
        await release(before);
      });
    },

    async drop(table: Destination) {
      await dropExpired();
      return lockTables([key(table)], async () => {
        const { found, before } = await session.transaction(async (link) => {
          const entry = await find(link, table, clock.now());
          if (entry === undefined) return { found: false, before: undefined };
          if (table.partition === undefined) {
            await remove(link, entry);
            return { found: true, before: entry.physical };
          }
          if (entry.partitioning === undefined)
            throw new PermanentError(`${formatTable(table)}: the table is not partitioned`, { code: "bad-input" });
          const { contains } = partitionOf(table.partition, entry.partitioning, entry.schema);
          const [row] = await link.run(`SELECT count(*) AS n FROM ${physicalName(entry.physical)} WHERE ${contains}`);
          if (Number(row?.["n"]) === 0) return { found: false, before: undefined };
          const etag = shortHash(["drop", entry.etag, table.partition], 24);
          let { physical } = entry;
          if ((await references(link, physical)) > 1) {
            physical = `t${etag}`;
            await link.run(
              `CREATE TABLE ${physicalName(physical)} AS SELECT * FROM ${physicalName(entry.physical)} WHERE NOT coalesce(${contains}, false)`,
            );
          } else await link.run(`DELETE FROM ${physicalName(physical)} WHERE ${contains}`);
          return { found: true, before: await place(link, { ...entry, physical, etag }) };
        });
        await release(before);
        return found;
      });
    },

    async *list({ dataset }, prefix = "") {
      await dropExpired();
      const limit = 1000;
      for (let after = ""; ;) {
        const page = await session.use((link) => names(link, { dataset, prefix, after, limit, now: clock.now() }));
        for (const table of page) yield { dataset, table };
        const last = page.at(-1);
        if (last === undefined || page.length < limit) return;
        after = last;
      }
    },

    async query(sql, { parameters, signal } = {}) {
      await dropExpired();
      const stop = new AbortController();
      const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
      const done = Promise.withResolvers<void>();
      const started = Promise.withResolvers<QueryRows>();
      const lent = session.use(async ({ connection }) => {
        const interrupt = (): void => {
          connection.interrupt();
          done.resolve();
        };
        either.addEventListener("abort", interrupt, { once: true });
        try {
          const { columns, pages } = await streamQuery(connection, {
            sql,
            ...(parameters === undefined ? {} : { parameters }),
          });
          async function* rows(): AsyncGenerator<Readonly<Record<string, unknown>>> {
            try {
              for await (const page of pages) {
                either.throwIfAborted();
                yield* page;
              }
            } finally {
              done.resolve();
            }
          }
          started.resolve({ columns, rows: rows() });
          await done.promise;
        } finally {
          either.removeEventListener("abort", interrupt);
        }
        // Not for reuse: its transaction is open, and its result may be half read.
        throw stop;
      }, either);
      open.set(
        stop,
        lent.catch((error: unknown) => started.reject(error)).finally(() => open.delete(stop)),
      );
      return started.promise;
    },

    async close() {
      for (const stop of open.keys()) stop.abort(new PermanentError("the warehouse is closed", { code: "closed" }));
      await Promise.all([jobs.close(), ...open.values()]);
      session.close();
    },
  };
}
