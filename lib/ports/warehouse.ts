/**
 * The warehouse, as BigQuery's job API has it: work is submitted under an id that the caller chooses, runs on its
 * own time, and outlives the caller. An id is used once, for ever, also by a job that failed.
 */
import type { FileFormat, LoadOptions } from "../core/load.ts";
import type { DatasetRef } from "../core/reads.ts";
import type { QueryParameter } from "../core/sql.ts";
import type { Column, Destination, TableRef, TimePartitioning } from "../core/table.ts";

export type { CsvOptions, FileFormat, LoadOptions } from "../core/load.ts";
export type { QueryParameter } from "../core/sql.ts";

export type JobSpec =
  | {
      /** Files into a table, replacing what it holds. Each URI is read when the job runs, not when it was submitted. */
      readonly kind: "load";
      readonly uris: readonly string[];
      readonly format: FileFormat;
      readonly options?: LoadOptions;
      /** Left out, the schema is the file's own (Parquet, Avro, ORC) or detected (CSV, JSON). */
      readonly schema?: readonly Column[];
      readonly destination: TableRef;
      readonly partitioning?: TimePartitioning;
      /** Put all rows into this partition of an ingestion-time partitioned destination. */
      readonly partition?: string;
      /** Columns by which a new table keeps its rows together; a copy takes them along. They change no result. */
      readonly clustering?: readonly string[];
      /**
       * When the destination goes by itself, milliseconds since the epoch; one that goes later, stays until then. A load that runs
       * after everybody has gone leaves a table that expires, or none: where the destination was dropped since the load was
       * submitted, it may fail with the reason `notFound`, and be retryable.
       */
      readonly expiresAt?: number;
    }
  | {
      /** One table's rows atomically replace a table or one partition; the destination is made where it is missing. */
      readonly kind: "copy";
      readonly source: TableRef;
      readonly destination: Destination;
      /** Adds the rows to those that the destination holds, instead of replacing them. */
      readonly append?: true;
      readonly partitioning?: TimePartitioning;
      /** When the destination goes by itself, milliseconds since the epoch; one that goes later, stays until then. */
      readonly expiresAt?: number;
    }
  | {
      /** One GoogleSQL statement, or a script of several, with named parameters. */
      readonly kind: "query";
      readonly sql: string;
      readonly parameters?: Readonly<Record<string, QueryParameter>>;
      /**
       * The tables and views that the statement may create, change or drop; none where it is left out. A statement that would
       * change any other one fails with the reason `accessDenied`, and changes nothing.
       */
      readonly writes?: readonly TableRef[];
      /** When the tables and views among `writes` that the statement creates go by themselves. Milliseconds since the epoch. */
      readonly expiresAt?: number;
      /**
       * The datasets that the statement may read; any where it is left out. On one machine, a statement that reads another one
       * fails with the reason `accessDenied`; in the cloud the account's own rights say the same.
       */
      readonly reads?: readonly DatasetRef[];
      /** A limit that fails the job instead of billing more. Bytes. */
      readonly maximumBytesBilled?: number;
    };

export interface JobError {
  /** BigQuery's reason word: `invalid`, `invalidQuery`, `notFound`, `duplicate`, `accessDenied`, `stopped`, `backendError`, `rateLimitExceeded`, … */
  readonly reason: string;
  readonly message: string;
  /** Whether the same job under a new id could succeed. */
  readonly retryable: boolean;
  /** The earliest sensible time for that, from now on, where the reason tells: a quota comes back slowly. Milliseconds. */
  readonly afterMs?: number;
}

export interface JobStatus {
  readonly jobId: string;
  readonly state: "pending" | "running" | "succeeded" | "failed";
  readonly labels: Readonly<Record<string, string>>;
  readonly error?: JobError;
  /**
   * Once it succeeded: rows written by a load, a copy, CREATE TABLE AS or INSERT, or returned by a query; all rows that the
   * table has after an UPDATE, DELETE, MERGE or TRUNCATE.
   */
  readonly rows?: number;
  readonly bytesBilled?: number;
}

export interface TableInfo {
  /** Set for a view, which holds no rows of its own. */
  readonly view?: true;
  readonly schema: readonly Column[];
  /** Exact for tables that are not being written; 0 for a view. */
  readonly rows: number;
  readonly partitioning?: TimePartitioning;
  /** Changes whenever the table's schema or data does. */
  readonly etag: string;
  readonly expiresAt?: number;
}

/** When a table was last changed, by whomever. Milliseconds since the epoch, UTC. */
export interface TableChanges {
  /** Its rows, or what it says of itself. */
  readonly at: number;
  /** Of a table with time partitions: the last change of each that holds rows, by its decorator. */
  readonly partitions?: Readonly<Record<string, number>>;
}

/** What people ask for, and no run: whether a table is as it was left. */
export interface TableHistory {
  /** `undefined` where there is no table. */
  changes(table: TableRef): Promise<TableChanges | undefined>;
}

/** What people ask for besides, where tables and commits have clocks of their own. */
export interface JobHistory {
  /** When the job ended, by the warehouse's clock, in milliseconds since the epoch; `undefined` where it did not succeed, or is not known any more. */
  endOf(jobId: string): Promise<number | undefined>;
}

/** What a query would do, found out without running it. */
export interface DryRun {
  /** The columns that it would return; none for a statement that changes a table, or a script. */
  readonly schema: readonly Column[];
  /** Bytes that it would read: an upper bound, by BigQuery's sizes of the columns that it names. */
  readonly bytesProcessed: number;
}

export interface Warehouse {
  /** Accepts a job. `duplicate` when the id was ever used before, by whatever job; nothing happens then. */
  submit(jobId: string, spec: JobSpec, labels: Readonly<Record<string, string>>): Promise<"accepted" | "duplicate">;
  /** Checks a query and says what it would read. Throws `PermanentError` (`invalidQuery`, `notFound`, `accessDenied`) with its place. */
  dryRun(spec: Extract<JobSpec, { kind: "query" }>): Promise<DryRun>;
  inspect(jobId: string): Promise<JobStatus | undefined>;
  /** Asks the job to stop; it may succeed all the same. Its end is seen by `wait`. An ended or unknown job is left alone. */
  cancel(jobId: string): Promise<void>;
  /** The job's status when it has ended, or as it is after `timeoutMs`. Throws `PermanentError` (`not-found`) for an unknown id. */
  wait(jobId: string, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<JobStatus>;
  /** The rows of a succeeded query job, none for a statement that changed a table, as plain JSON values: INT64 beyond 2^53, NUMERIC, dates and times as text, TIMESTAMP as ISO 8601. */
  rows(jobId: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<Readonly<Record<string, unknown>>>;
  describe(table: TableRef): Promise<TableInfo | undefined>;
  /** Adds nullable columns at the end. Throws `RetryableError` when the table is no longer at `etag`. */
  extend(table: TableRef, columns: readonly Column[], etag: string): Promise<void>;
  /** Drops a table or one partition; `false` when there was none. */
  drop(table: Destination): Promise<boolean>;
  /** Tables of a dataset whose names start with `prefix`, by name. */
  list(dataset: { readonly project?: string; readonly dataset: string }, prefix?: string): AsyncIterable<TableRef>;
}
