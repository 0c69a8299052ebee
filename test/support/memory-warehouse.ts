/**
 * A warehouse in memory that does nothing by itself: a submitted job runs when the test says so, however much later, and ends
 * as the test says. A row is the object that it came from, at its generation, so that a table says what was loaded into it.
 */
import type { Column, Destination, TableRef } from "../../lib/core/table.ts";
import { formatTable } from "../../lib/core/table.ts";
import type { JobError, JobSpec, JobStatus, TableInfo } from "../../lib/ports/warehouse.ts";

export interface MemoryJob {
  readonly id: string;
  readonly spec: JobSpec;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: "pending" | "succeeded" | "failed";
  readonly cancelled: boolean;
  readonly error?: JobError;
  readonly rows?: number;
}

export interface MemoryWarehouse {
  submit(id: string, spec: JobSpec, labels: Readonly<Record<string, string>>): "accepted" | "duplicate";
  inspect(id: string): JobStatus | undefined;
  cancel(id: string): void;
  describe(table: TableRef): TableInfo | undefined;
  drop(table: Destination): boolean;
  list(dataset: string, prefix: string): readonly TableRef[];
  /** Jobs that have not run, in the order in which they were accepted. */
  pending(): readonly MemoryJob[];
  /** Runs a pending job now; given an error, it fails with it and does nothing. */
  run(id: string, error?: JobError): void;
  /** The sorted rows of a table or of one partition of it; `undefined` where there is none. */
  rows(destination: Destination): readonly string[] | undefined;
  /** The partitions of a table that hold something. */
  partitions(table: TableRef): readonly string[];
}

/** `generationOf` says which generation of an object is there now, if any. */
export function memoryWarehouse(generationOf: (uri: string) => string | undefined): MemoryWarehouse {
  const jobs = new Map<string, MemoryJob>();
  const tables = new Map<string, { ref: TableRef; parts: Map<string, readonly string[]>; version: number }>();
  let version = 0;

  const write = (ref: TableRef, partition: string, rows: readonly string[], replaceAll: boolean): void => {
    const key = formatTable(tableOf(ref));
    const parts = replaceAll
      ? new Map<string, readonly string[]>()
      : (tables.get(key)?.parts ?? new Map<string, readonly string[]>());
    parts.set(partition, rows);
    tables.set(key, { ref: tableOf(ref), parts, version: ++version });
  };
  const allRows = (ref: TableRef): readonly string[] | undefined => {
    const parts = tables.get(formatTable(tableOf(ref)))?.parts;
    return parts === undefined ? undefined : [...parts.values()].flat().sort();
  };
  const perform = (spec: JobSpec): { readonly rows: number } | JobError => {
    if (spec.kind === "query") return { rows: 0 };
    if (spec.kind === "load") {
      const generations = spec.uris.map((uri) => ({ uri, generation: generationOf(uri) }));
      const gone = generations.find(({ generation }) => generation === undefined);
      if (gone !== undefined) return { reason: "notFound", message: `${gone.uri} is not there`, retryable: false };
      const rows = generations.map(({ uri, generation }) => `${uri}#${generation}`);
      write(spec.destination, spec.partition ?? "", rows, true);
      return { rows: rows.length };
    }
    const rows = allRows(spec.source);
    if (rows === undefined)
      return { reason: "notFound", message: `${formatTable(spec.source)} is not there`, retryable: false };
    const { partition } = spec.destination;
    const kept =
      spec.append === true
        ? (tables.get(formatTable(tableOf(spec.destination)))?.parts.get(partition ?? "") ?? [])
        : [];
    write(spec.destination, partition ?? "", [...kept, ...rows], partition === undefined && spec.append !== true);
    return { rows: rows.length };
  };

  return {
    submit: (id, spec, labels) => {
      if (jobs.has(id)) return "duplicate";
      jobs.set(id, { id, spec, labels, state: "pending", cancelled: false });
      return "accepted";
    },
    inspect: (id) => {
      const job = jobs.get(id);
      if (job === undefined) return undefined;
      const { labels, state, error, rows } = job;
      const ended = { ...(error === undefined ? {} : { error }), ...(rows === undefined ? {} : { rows }) };
      return { jobId: id, state, labels, ...ended };
    },
    cancel: (id) => {
      const job = jobs.get(id);
      if (job?.state === "pending") jobs.set(id, { ...job, cancelled: true });
    },
    pending: () => [...jobs.values()].filter(({ state }) => state === "pending"),
    run: (id, error) => {
      const job = jobs.get(id);
      if (job?.state !== "pending") throw new Error(`the job ${id} is not pending`);
      const outcome = error ?? perform(job.spec);
      const ended =
        "rows" in outcome
          ? { state: "succeeded" as const, rows: outcome.rows }
          : { state: "failed" as const, error: outcome };
      jobs.set(id, { ...job, ...ended });
    },
    describe: (ref) => {
      const table = tables.get(formatTable(tableOf(ref)));
      if (table === undefined) return undefined;
      return { schema: COLUMNS, rows: [...table.parts.values()].flat().length, etag: String(table.version) };
    },
    drop: (destination) => {
      const key = formatTable(tableOf(destination));
      if (destination.partition === undefined) return tables.delete(key);
      return tables.get(key)?.parts.delete(destination.partition) ?? false;
    },
    list: (dataset, prefix) =>
      [...tables.values()]
        .map(({ ref }) => ref)
        .filter((ref) => ref.dataset === dataset && ref.table.startsWith(prefix))
        .sort((a, b) => (a.table < b.table ? -1 : 1)),
    rows: (destination) =>
      destination.partition === undefined
        ? allRows(destination)
        : tables.get(formatTable(tableOf(destination)))?.parts.get(destination.partition),
    partitions: (table) => [...(tables.get(formatTable(tableOf(table)))?.parts.keys() ?? [])],
  };
}

const COLUMNS: readonly Column[] = [{ name: "object", type: "STRING", mode: "NULLABLE" }];

function tableOf({ project, dataset, table }: TableRef): TableRef {
  return { ...(project === undefined ? {} : { project }), dataset, table };
}
