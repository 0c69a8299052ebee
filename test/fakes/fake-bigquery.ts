/**
 * A fake BigQuery: an HTTP server on loopback that speaks the v2 REST API as the unmodified client does, and runs its jobs on
 * the embedded DuckDB engine of `lib/local`, so what SQL means here is what it means there. It proves the protocol: ids that
 * are taken for ever, jobs that go on without their caller, paging, etags, partitions, policies, errors with their reasons, and
 * refusals; not BigQuery's own SQL. Where it is not known what the service does, it refuses.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TableRef } from "../../lib/core/table.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import { discoveryFile, requestCheck } from "./bigquery/discovery.ts";
import { jobsOf, type Controls, type Job } from "./bigquery/jobs.ts";
import { bigqueryRoutes } from "./bigquery/routes.ts";
import { tablesOf } from "./bigquery/tables.ts";
import { metaOf, openWorld, tablesIn } from "./bigquery/world.ts";
import { startHttpFake, type HttpFake } from "./http-fake.ts";

export interface FakeBigqueryOptions {
  /** Default `sluice-test`. */
  readonly project?: string;
  /** Of all datasets and jobs. Default `EU`. */
  readonly location?: string;
  /** Datasets that are there from the start. */
  readonly datasets?: readonly string[];
  /** The file with the bytes of a `gs://` URI: of a fake bucket, say. One that is not there is an object that is not there. */
  readonly resolveUri: (uri: string) => string;
  /** Takes what an extract job makes; without it, such a job fails. */
  readonly writeObject?: (uri: string, bytes: Uint8Array) => Promise<void>;
  readonly clock?: Clock;
  /** Asks for a bearer token in every request. Default no. */
  readonly requireAuth?: boolean;
  readonly port?: number;
}

export interface FakeBigquery extends HttpFake {
  readonly project: string;
  readonly location: string;
  createDataset(name: string): void;
  /** The datasets, by name, with how long their tables live, and the tables of each. */
  contents(): Promise<
    Readonly<Record<string, { readonly ttlMs: number | undefined; readonly tables: readonly string[] }>>
  >;
  /** From now on accepted jobs stay PENDING, until the returned function is called. */
  holdJobs(): () => void;
  /** Jobs that match stay RUNNING, for an hour if need be, until the returned function is called. */
  keepRunning(match: (jobId: string) => boolean): () => void;
  /** The next `times` (default 1) jobs that match end with this error, before they did anything. */
  failJobs(
    match: (jobId: string) => boolean,
    error: { readonly reason: string; readonly message: string },
    times?: number,
  ): void;
  /** Deviates from BigQuery: from now on the id of a failed job that matches is free again. */
  forgetFailedJobs(match: (jobId: string) => boolean): void;
  /** How a faulty statement is answered from now on: by a job that fails (so at first), or at once, with the job kept or not. */
  answerEarly(how: "job" | "kept" | "gone"): void;
  /** The ids of all jobs so far, in the order in which they came. */
  jobIds(): readonly string[];
  /** A job as it was asked for. */
  configurationOf(jobId: string): Readonly<Record<string, unknown>> | undefined;
  setRowPolicies(table: TableRef, policies: readonly string[]): void;
  rowPolicies(table: TableRef): readonly string[];
}

export async function startFakeBigquery(options: FakeBigqueryOptions): Promise<FakeBigquery> {
  const { project = "sluice-test", location = "EU", datasets = [], clock = systemClock(), resolveUri } = options;
  const folder = mkdtempSync(join(tmpdir(), "fake-bigquery-"));
  const empty = join(folder, "empty.json");
  writeFileSync(empty, "");
  const emptyUri = "gs://fake-bigquery/empty";
  const world = await openWorld({
    project,
    location,
    clock,
    resolveUri: (uri) => (uri === emptyUri ? empty : resolveUri(uri)),
    writeObject: options.writeObject,
  });
  for (const name of datasets) world.datasets.set(name, { location });

  let held = Promise.resolve();
  const kept = new Set<{ readonly match: (id: string) => boolean; readonly until: Promise<void> }>();
  const failures: {
    readonly match: (id: string) => boolean;
    readonly error: NonNullable<Job["error"]>;
    left: number;
  }[] = [];
  let forgotten: (jobId: string) => boolean = () => false;
  let early: ReturnType<Controls["early"]> = "job";

  const jobs = jobsOf(world, {
    async gate(job, state) {
      if (state === "PENDING") return await held;
      for (const { match, until } of kept) if (match(job.id)) await until;
    },
    failure(job) {
      const found = failures.find(({ match, left }) => left > 0 && match(job.id));
      if (found === undefined) return undefined;
      found.left -= 1;
      return found.error;
    },
    early: () => early,
    forgetsFailed: (jobId) => forgotten(jobId),
  });
  const tables = tablesOf(world, emptyUri);
  const { requireAuth = false, port = 0 } = options;
  const discovery = discoveryFile();
  const check = discovery === undefined ? undefined : requestCheck(discovery);
  const http = await startHttpFake(bigqueryRoutes({ world, jobs, tables, check }), { requireAuth, port });

  return {
    ...http,
    project,
    location,
    createDataset: (name) => void world.datasets.set(name, { location }),
    async contents() {
      const entries = [...world.datasets].map(async ([dataset, { ttlMs }]) => {
        const tables = (await tablesIn(world, dataset)).map(({ table }) => table);
        return [dataset, { ttlMs, tables }] as const;
      });
      return Object.fromEntries((await Promise.all(entries)).sort(([a], [b]) => (a < b ? -1 : 1)));
    },
    holdJobs() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    keepRunning(match) {
      const { promise: until, resolve } = Promise.withResolvers<void>();
      const entry = { match, until };
      kept.add(entry);
      return () => {
        kept.delete(entry);
        resolve();
      };
    },
    failJobs: (match, error, times = 1) => void failures.push({ match, error, left: times }),
    forgetFailedJobs(match) {
      forgotten = match;
    },
    answerEarly(how) {
      early = how;
    },
    jobIds: () => [...world.jobs.keys()],
    configurationOf: (id) => world.jobs.get(id)?.configuration,
    setRowPolicies(table, policies) {
      metaOf(world, table).rowPolicies = policies;
    },
    rowPolicies: (table) => metaOf(world, table).rowPolicies,
    async close() {
      await http.close();
      await jobs.close();
      await world.engine.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
