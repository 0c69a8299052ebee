/**
 * A warehouse in memory that does nothing by itself: a submitted job runs when the world says so, however much later, and ends
 * as the world says. It knows the few statements that the simulated assets and the runtime write, and refuses any other.
 */
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import type { Column, Destination, TableRef, TimePartitioning } from "../../lib/core/table.ts";
import { formatTable } from "../../lib/core/table.ts";
import type { JobError, JobSpec, JobStatus, QueryParameter, TableInfo } from "../../lib/ports/warehouse.ts";
import type { Row } from "./buckets.ts";

export interface Job {
  readonly id: string;
  readonly spec: JobSpec;
  readonly labels: Readonly<Record<string, string>>;
  state: "pending" | "succeeded" | "failed";
  cancelled: boolean;
  error?: JobError;
  count?: number;
  rows?: readonly Row[];
}

interface Table {
  readonly ref: TableRef;
  readonly columns: readonly Column[];
  readonly parts: ReadonlyMap<string, readonly Row[]>;
  readonly version: number;
  readonly expiresAt: number;
  readonly partitioning: TimePartitioning | undefined;
}

export interface MemoryWarehouse {
  submit(id: string, spec: JobSpec, labels: Readonly<Record<string, string>>): "accepted" | "duplicate";
  job(id: string): Job | undefined;
  cancel(id: string): void;
  describe(table: TableRef): TableInfo | undefined;
  /** As the port's. */
  extend(table: TableRef, columns: readonly Column[], etag: string): void;
  drop(table: Destination): boolean;
  list(dataset: string, prefix: string): readonly TableRef[];
  /** Jobs that have not run, in the order in which they were accepted. */
  readonly pending: readonly Job[];
  /** Runs a pending job now; given an error, it fails with it and does nothing. */
  run(job: Job, error?: JobError): void;
  /** The rows of a table or of one partition of it; `undefined` where there is none. */
  rows(destination: Destination): readonly Row[] | undefined;
  /** The partitions of a table that were ever filled. */
  partitions(table: TableRef): readonly string[];
  tables(): readonly TableRef[];
  /** Drops every table whose time is over. */
  expire(now: number): void;
}

export const COLUMNS: readonly Column[] = [
  { name: "file", type: "STRING", mode: "NULLABLE" },
  { name: "day", type: "STRING", mode: "NULLABLE" },
  { name: "version", type: "INT64", mode: "NULLABLE" },
  { name: "bad", type: "BOOL", mode: "NULLABLE" },
];

const EXTRA: Column = { name: "extra", type: "STRING", mode: "NULLABLE" };

type Rows = readonly Row[];
type Outcome = { readonly count: number; readonly rows?: Rows } | JobError;

/** `rowsAt`: what an object holds now; `undefined` where there is none. `onWrite` is told of every change of a table by a job. */
export function memoryWarehouse(
  rowsAt: (uri: string) => Rows | undefined,
  onWrite: (job: Job, destination: Destination) => void,
): MemoryWarehouse {
  const jobs = new Map<string, Job>();
  const pending: Job[] = [];
  const tables = new Map<string, Table>();
  let version = 0;

  const tableAt = (ref: TableRef): Table | undefined => tables.get(nameOf(ref));
  const allRows = (ref: TableRef): Rows | undefined => {
    const parts = tableAt(ref)?.parts;
    return parts === undefined ? undefined : [...parts.values()].flat();
  };
  const write = (
    ref: TableRef,
    parts: ReadonlyMap<string, Rows>,
    columns = tableAt(ref)?.columns ?? COLUMNS,
    expiresAt = tableAt(ref)?.expiresAt ?? Infinity,
    partitioning = tableAt(ref)?.partitioning,
  ): void => {
    const { dataset, table } = ref;
    tables.set(nameOf(ref), { ref: { dataset, table }, columns, parts, version: ++version, expiresAt, partitioning });
  };

  const load = (spec: Extract<JobSpec, { kind: "load" }>): Outcome => {
    const rows: Row[] = [];
    for (const uri of spec.uris) {
      const found = rowsAt(uri);
      if (found === undefined) return { reason: "notFound", message: `${uri} is not there`, retryable: false };
      rows.push(...found);
    }
    const { schema, destination, partition = "", partitioning, expiresAt = Infinity } = spec;
    const columns = schema ?? (rows.some(({ extra }) => extra === true) ? [...COLUMNS, EXTRA] : COLUMNS);
    write(destination, new Map([[partition, rows]]), columns, expiresAt, partitioning);
    return { count: rows.length };
  };
  const copy = (spec: Extract<JobSpec, { kind: "copy" }>): Outcome => {
    const { source, destination, append, expiresAt } = spec;
    const rows = allRows(source);
    const from = tableAt(source);
    const columns = from?.columns;
    if (rows === undefined || from === undefined)
      return { reason: "notFound", message: `${formatTable(source)} is not there`, retryable: false };
    const { partition } = destination;
    const table = tableAt(destination);
    const there = table?.parts;
    const partitioning = table === undefined ? (spec.partitioning ?? from.partitioning) : table.partitioning;
    if (partition !== undefined && partitioning === undefined)
      return { reason: "invalid", message: `${nameOf(destination)} is not partitioned`, retryable: false };
    if (partition === undefined && append !== true)
      write(destination, from.parts, columns, expiresAt, spec.partitioning ?? from.partitioning);
    else if (table !== undefined && table.columns.length !== columns?.length) {
      const message = `Provided Schema does not match Table ${nameOf(destination)}`;
      return { reason: "invalid", message, retryable: false };
    } else {
      const parts = new Map(there);
      parts.set(partition ?? "", append === true ? [...(there?.get(partition ?? "") ?? []), ...rows] : rows);
      write(destination, parts, columns, expiresAt, partitioning);
    }
    return { count: rows.length };
  };
  const query = (spec: Extract<JobSpec, { kind: "query" }>): Outcome => {
    const { sql, parameters = {} } = spec;
    const literal = /^SELECT (\d+)(?: AS (\w+))?$/.exec(sql);
    if (literal !== null) {
      const [, value, name = "f0_"] = literal;
      // The one row that is no fact of a file.
      return { count: 1, rows: [{ [name]: Number(value) } as unknown as Row] };
    }
    const created = /^CREATE OR REPLACE TABLE `([^`]+)` AS\s+(SELECT [^]*)$/.exec(sql);
    if (created !== null) {
      const [, name = "", statement = ""] = created;
      const selected = select(statement, parameters);
      if ("reason" in selected) return selected;
      write(refOf(name), new Map([["", selected.rows ?? []]]), COLUMNS, spec.expiresAt ?? Infinity);
      return { count: selected.count };
    }
    if (sql.startsWith("MERGE ")) return merge(sql);
    return select(sql, parameters);
  };
  const merge = (sql: string): Outcome => {
    const found = /^MERGE `([^`]+)` AS visible USING `([^`]+)` AS staged ON visible\.`file` = staged\.`file`\n/.exec(
      sql,
    );
    if (found === null) throw new Error(`the simulated warehouse does not know: ${sql}`);
    const [, into = "", from = ""] = found;
    const [visible, staged] = [allRows(refOf(into)), allRows(refOf(from))];
    if (visible === undefined || staged === undefined)
      return { reason: "notFound", message: `${into} or ${from} is not there`, retryable: false };
    const rows = merged(visible, staged);
    write(refOf(into), new Map([["", rows]]));
    return { count: rows.length };
  };
  const select = (sql: string, parameters: Readonly<Record<string, QueryParameter>>): Outcome => {
    const found =
      /^SELECT (?:\*|[`a-z_, ]+?)(?:, COUNT\(\*\) AS row_count)? FROM `([^`]+)`(?: (WHERE|GROUP BY) ([^]*))?$/.exec(
        sql,
      );
    if (found === null) throw new Error(`the simulated warehouse does not know: ${sql}`);
    const [, from = "", kind, rest = ""] = found;
    const table = tableAt(refOf(from));
    if (table === undefined) return { reason: "notFound", message: `${from} is not there`, retryable: false };
    if (kind === "WHERE" && rest.startsWith("_PARTITIONTIME")) {
      const [start, end] = [parameters["start"], parameters["end"]].map((each) => partitionOf(String(each?.value)));
      const inside = [...table.parts].filter(([part]) => part >= (start ?? "") && part < (end ?? ""));
      return selected(inside.flatMap(([, rows]) => rows));
    }
    const rows = [...table.parts.values()].flat();
    if (kind === undefined) return selected(rows);
    if (kind === "GROUP BY") {
      const names = rows.map(({ file }) => file);
      return selected(rows.filter(({ file }, at) => names.indexOf(file) !== at));
    }
    if (rest === "bad") return selected(rows.filter(({ bad }) => bad));
    const day = /^day = @(\w+)$/.exec(rest);
    if (day === null) throw new Error(`the simulated warehouse does not know: ${sql}`);
    const wanted = parameters[day[1] ?? ""]?.value;
    return selected(rows.filter((row) => row.day === wanted));
  };
  const destinationOf = (spec: JobSpec): Destination | undefined => {
    if (spec.kind === "load") return spec.destination;
    return spec.kind === "copy" ? spec.destination : spec.writes?.[0];
  };

  return {
    pending,
    submit: (id, spec, labels) => {
      if (jobs.has(id)) return "duplicate";
      const job: Job = { id, spec, labels, state: "pending", cancelled: false };
      jobs.set(id, job);
      pending.push(job);
      return "accepted";
    },
    job: (id) => jobs.get(id),
    cancel: (id) => {
      const job = jobs.get(id);
      if (job?.state === "pending") job.cancelled = true;
    },
    run: (job, error) => {
      pending.splice(pending.indexOf(job), 1);
      const { spec } = job;
      const outcome = error ?? (spec.kind === "load" ? load(spec) : spec.kind === "copy" ? copy(spec) : query(spec));
      if ("reason" in outcome) {
        job.state = "failed";
        job.error = outcome;
        return;
      }
      job.state = "succeeded";
      job.count = outcome.count;
      if (outcome.rows !== undefined) job.rows = outcome.rows;
      const destination = destinationOf(spec);
      if (destination !== undefined) onWrite(job, destination);
    },
    describe: (ref) => {
      const table = tableAt(ref);
      if (table === undefined) return undefined;
      let rows = 0;
      for (const part of table.parts.values()) rows += part.length;
      const { columns, partitioning, expiresAt } = table;
      return {
        schema: columns,
        rows,
        etag: String(table.version),
        ...(partitioning === undefined ? {} : { partitioning }),
        ...(expiresAt === Infinity ? {} : { expiresAt }),
      };
    },
    extend: (ref, columns, etag) => {
      const table = tableAt(ref);
      if (table === undefined) throw new PermanentError(`${nameOf(ref)} is not there`, { code: "notFound" });
      if (String(table.version) !== etag) throw new RetryableError(`${nameOf(ref)} has changed meanwhile`);
      const names = new Set(table.columns.map(({ name }) => name.toLowerCase()));
      for (const { name, mode } of columns)
        if (mode === "REQUIRED" || names.has(name.toLowerCase()))
          throw new PermanentError(`${nameOf(ref)} takes no column ${name}: it is required, or there`);
      write(ref, table.parts, [...table.columns, ...columns]);
    },
    drop: (destination) => {
      const { partition } = destination;
      const table = tableAt(destination);
      if (partition === undefined || table === undefined) return tables.delete(nameOf(destination));
      const parts = new Map(table.parts);
      const was = parts.delete(partition);
      write(destination, parts);
      return was;
    },
    list: (dataset, prefix) =>
      [...tables.values()]
        .map(({ ref }) => ref)
        .filter((ref) => ref.dataset === dataset && ref.table.startsWith(prefix))
        .sort((a, b) => (a.table < b.table ? -1 : 1)),
    rows: (destination) =>
      destination.partition === undefined
        ? allRows(destination)
        : tableAt(destination)?.parts.get(destination.partition),
    partitions: (table) => [...(tableAt(table)?.parts.keys() ?? [])],
    tables: () => [...tables.values()].map(({ ref }) => ref),
    expire: (now) => {
      for (const [name, { expiresAt }] of tables) if (expiresAt <= now) tables.delete(name);
    },
  };
}

function selected(rows: Rows): Outcome {
  return { count: rows.length, rows };
}

/** Rows of the same file take the place of those that are there. */
export function merged(visible: Rows, staged: Rows): Rows {
  const newer = new Map(staged.map((row) => [row.file, row]));
  const kept = visible.map((row) => newer.get(row.file) ?? row);
  const there = new Set(visible.map(({ file }) => file));
  return [...kept, ...staged.filter(({ file }) => !there.has(file))];
}

export function statusOf({ id, state, labels, error, count }: Job): JobStatus {
  return {
    jobId: id,
    state,
    labels,
    ...(error === undefined ? {} : { error }),
    ...(count === undefined ? {} : { rows: count }),
  };
}

function nameOf({ dataset, table }: TableRef): string {
  return `${dataset}.${table}`;
}

function refOf(name: string): TableRef {
  const [table = "", dataset = ""] = name.split(".").reverse();
  return { dataset, table };
}

/** The partition of a day by its instant: `20240501`. */
function partitionOf(instant: string): string {
  return instant.slice(0, 10).replaceAll("-", "");
}
