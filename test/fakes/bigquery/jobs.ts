/** The fake's jobs: accepted once under their id, run on their own time, seen, stopped, and their rows read by pages. */
import { randomUUID } from "node:crypto";
import { PermanentError } from "../../../lib/core/errors.ts";
import type { JobSpec, JobStatus } from "../../../lib/ports/warehouse.ts";
import { ApiError } from "../http-fake.ts";
import { execute, failing, querySpecOf, type Executed, type Result } from "./execute.ts";
import { parseText } from "./statements.ts";
import {
  cellOf,
  fieldOf,
  invalid,
  list,
  maybeObject,
  maybeText,
  object,
  referenceOf,
  text,
  type Json,
} from "./wire.ts";
import { checkDataset, type World } from "./world.ts";

export interface Job {
  readonly id: string;
  readonly configuration: Json;
  readonly created: number;
  readonly parent?: string;
  state: "PENDING" | "RUNNING" | "DONE";
  started?: number;
  ended?: number;
  error?: { readonly reason: string; readonly message: string };
  done?: Executed;
  readonly stop: AbortController;
}

/** How jobs are held up, and made to fail. */
export interface Controls {
  /** Awaited before a job starts, and while it runs. */
  readonly gate: (job: Job, state: "PENDING" | "RUNNING") => Promise<void>;
  /** The error with which a job ends, before it did anything, or after that. */
  readonly failure: (job: Job) => { readonly reason: string; readonly message: string } | undefined;
  /** Whether the id of a failed job is free again, as BigQuery's is not. */
  readonly forgetsFailed: (jobId: string) => boolean;
  /** How a faulty statement is answered: by a job that fails, or at once, with the job kept or not. */
  readonly early: () => "job" | "kept" | "gone";
}

const dayMs = 24 * 3_600_000;

export function jobsOf(world: World, controls: Controls) {
  const { jobs, engine, clock } = world;
  const running = new Set<Promise<void>>();
  let engineJobs = 0;

  async function insert(body: Json): Promise<Json> {
    const configuration = object(body["configuration"], "configuration");
    checkConfiguration(world, configuration);
    const reference = maybeObject(body["jobReference"]) ?? {};
    const location = maybeText(reference["location"]) ?? world.location;
    if (location !== world.location)
      throw new ApiError(404, "notFound", `Not found: nothing is in location ${location}`);
    if (configuration["dryRun"] === true) return await dryRun(world, configuration);
    const id = maybeText(reference["jobId"]) ?? randomUUID();
    if (!/^[\w-]{1,1024}$/.test(id)) throw invalid(`Invalid job ID "${id}".`);
    const forgotten = controls.forgetsFailed(id) && jobs.get(id)?.error !== undefined && jobs.delete(id);
    if (!forgotten && jobs.has(id))
      throw new ApiError(409, "duplicate", `Already Exists: Job ${world.project}:${location}.${id}`);
    const job: Job = { id, configuration, created: clock.now(), state: "PENDING", stop: new AbortController() };
    const query = maybeObject(configuration["query"]);
    const early = controls.early();
    if (query !== undefined && early !== "job" && !failsAtRun(query)) {
      const { targets } = parseText(querySpecOf(query).sql);
      const fault = await engine.dryRun({ ...querySpecOf(query), writes: targets }).then(
        () => undefined,
        (error: unknown) => errorOf(error),
      );
      if (fault !== undefined && early === "kept") {
        const now = clock.now();
        jobs.set(id, Object.assign(job, { state: "DONE", error: fault, started: now, ended: now }));
      }
      if (fault !== undefined) throw new ApiError(fault.reason === "notFound" ? 404 : 400, fault.reason, fault.message);
    }
    // Between the look and here there may have been another.
    if (jobs.has(id)) throw new ApiError(409, "duplicate", `Already Exists: Job ${world.project}:${location}.${id}`);
    jobs.set(id, job);
    const task: Promise<void> = run(job).finally(() => running.delete(task));
    running.add(task);
    return resource(job);
  }

  async function run(job: Job): Promise<void> {
    const { signal } = job.stop;
    try {
      await Promise.race([controls.gate(job, "PENDING"), aborted(signal)]);
      signal.throwIfAborted();
      job.state = "RUNNING";
      job.started = clock.now();
      await Promise.race([controls.gate(job, "RUNNING"), aborted(signal)]);
      signal.throwIfAborted();
      const failure = controls.failure(job);
      if (failure !== undefined) throw new ApiError(500, failure.reason, failure.message);
      job.done = await execute(world, job.configuration, (spec) => onEngine(job, spec));
      if (job.done.child !== undefined) {
        const { child } = job.done;
        const id = `script_job_${randomUUID().replaceAll("-", "")}_0`;
        const now = clock.now();
        const done = { statistics: { query: { statementType: "SELECT" } }, result: child };
        const of = { configuration: { query: {} }, created: now, parent: job.id, stop: job.stop, done } as const;
        jobs.set(id, { id, ...of, state: "DONE", started: now, ended: now });
      }
    } catch (error) {
      job.error = signal.aborted
        ? { reason: "stopped", message: "Job execution was cancelled: User requested cancellation" }
        : errorOf(error);
    } finally {
      job.started ??= clock.now();
      job.ended = clock.now();
      job.state = "DONE";
    }
  }

  async function onEngine(job: Job, spec: JobSpec): Promise<JobStatus> {
    const { signal } = job.stop;
    const id = `e${++engineJobs}`;
    const cancel = (): void => void engine.cancel(id);
    signal.throwIfAborted();
    await engine.submit(id, spec, {});
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    const status = await engine.wait(id, { timeoutMs: dayMs });
    signal.removeEventListener("abort", cancel);
    if (status.error !== undefined) throw new ApiError(400, status.error.reason, status.error.message);
    return status;
  }

  function find(id: string, location: string | null): Job {
    const job = jobs.get(id);
    if (job === undefined || (location !== null && location !== world.location))
      throw new ApiError(404, "notFound", `Not found: Job ${world.project}:${id}`);
    return job;
  }

  function resource(job: Job): Json {
    const { id, configuration, state, error, done } = job;
    const jobType = ["load", "copy", "query", "extract"].find((kind) => configuration[kind] !== undefined) ?? "query";
    const [scripted] = job.done?.child === undefined ? [] : ["child"];
    const query =
      done?.query === undefined ? {} : { query: { ...object(configuration["query"], "query"), ...done.query } };
    return {
      kind: "bigquery#job",
      id: `${world.project}:${world.location}.${id}`,
      jobReference: { projectId: world.project, jobId: id, location: world.location },
      configuration: { ...configuration, ...query, jobType: jobType.toUpperCase() },
      status: { state, ...(error === undefined ? {} : { errorResult: error, errors: [error] }) },
      statistics: {
        creationTime: String(job.created),
        ...(job.started === undefined ? {} : { startTime: String(job.started) }),
        ...(job.ended === undefined ? {} : { endTime: String(job.ended) }),
        ...(scripted === undefined ? {} : { numChildJobs: "1" }),
        ...(job.parent === undefined
          ? {}
          : { parentJobId: job.parent, scriptStatistics: { evaluationKind: "STATEMENT" } }),
        ...done?.statistics,
      },
    };
  }

  return {
    insert,
    get: (id: string, location: string | null): Json => resource(find(id, location)),

    list(parent: string | null): Json {
      const found = [...jobs.values()].filter((job) =>
        parent === null ? job.parent === undefined : job.parent === parent,
      );
      return { kind: "bigquery#jobList", jobs: found.reverse().map(resource) };
    },

    cancel(id: string, location: string | null): Json {
      const job = find(id, location);
      if (job.state !== "DONE") job.stop.abort();
      return { kind: "bigquery#jobCancelResponse", job: resource(job) };
    },

    results(id: string, query: URLSearchParams): Json {
      const job = find(id, query.get("location"));
      const { error, state, done } = job;
      if (error !== undefined) throw new ApiError(400, error.reason, error.message);
      if (state !== "DONE") return { kind: "bigquery#getQueryResultsResponse", jobComplete: false };
      if (job.configuration["query"] === undefined) throw invalid(`Job ${id} is not a query job`);
      if (clock.now() - (job.ended ?? 0) > dayMs)
        throw new ApiError(404, "notFound", `Not found: the result of job ${id}`);
      return { kind: "bigquery#getQueryResultsResponse", jobComplete: true, ...pageOf(done?.result, query) };
    },

    /** Interrupts what runs. */
    async close(): Promise<void> {
      for (const job of jobs.values()) if (job.state !== "DONE") job.stop.abort();
      await Promise.all(running);
    },
  };
}

/** What only a run shows to be wrong, and what the engine cannot check beforehand. */
function failsAtRun(query: Json): boolean {
  return query["destinationTable"] !== undefined || query["query"] === failing;
}

/** As many rows as asked for, and no more than BigQuery sends at once. */
function pageOf(result: Result = { columns: [], rows: [] }, query: URLSearchParams): Json {
  const { columns, rows } = result;
  const from = Number(query.get("pageToken") ?? query.get("startIndex") ?? 0);
  const count = Math.min(Number(query.get("maxResults") ?? 20_000), 20_000);
  const int64 = query.get("formatOptions.useInt64Timestamp") === "true";
  const until = Math.min(from + count, rows.length);
  return {
    schema: { fields: columns.map((column) => fieldOf(column)) },
    totalRows: String(rows.length),
    rows: rows
      .slice(from, until)
      .map((row) => ({ f: columns.map((column) => cellOf(column, row[column.name], int64)) })),
    ...(until < rows.length && count > 0 ? { pageToken: String(until) } : {}),
  };
}

async function dryRun(world: World, configuration: Json): Promise<Json> {
  const query = object(configuration["query"], "query");
  const spec = querySpecOf(query);
  const { type, targets } = parseText(spec.sql);
  for (const { dataset } of targets) checkDataset(world, dataset, world.location);
  try {
    const { schema, bytesProcessed } = await world.engine.dryRun({ ...spec, writes: targets });
    const [target] = targets;
    const reference = target === undefined || type === "SCRIPT" ? undefined : referenceOf(world, target);
    const isDdl = /^(?:CREATE|DROP)/.test(type ?? "");
    return {
      kind: "bigquery#job",
      configuration: {
        ...configuration,
        jobType: "QUERY",
        query: { ...query, ...(reference === undefined || isDdl ? {} : { destinationTable: reference }) },
      },
      jobReference: { projectId: world.project, location: world.location },
      status: { state: "DONE" },
      statistics: {
        totalBytesProcessed: String(bytesProcessed),
        query: {
          statementType: type,
          totalBytesProcessed: String(bytesProcessed),
          ...(isDdl && reference !== undefined ? { ddlTargetTable: reference } : {}),
          schema: { fields: schema.map((column) => fieldOf(column)) },
        },
      },
    };
  } catch (error) {
    const { reason, message } = errorOf(error);
    throw new ApiError(reason === "notFound" ? 404 : reason === "accessDenied" ? 403 : 400, reason, message);
  }
}

/** What the service refuses before it looks at any data. */
function checkConfiguration(world: World, configuration: Json): void {
  const kinds = ["load", "copy", "query", "extract"].filter((kind) => configuration[kind] !== undefined);
  if (kinds.length !== 1) throw invalid("Job configuration must contain exactly one job-specific configuration object");
  const labels = Object.entries(maybeObject(configuration["labels"]) ?? {});
  if (labels.length > 64) throw invalid("Too many labels: 64 at most");
  for (const [key, value] of labels) {
    const legal =
      /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u.test(key) && /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u.test(String(value));
    if (!legal) throw invalid(`Invalid value for labels: ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  }
  for (const kind of kinds) checkDispositions(kind, object(configuration[kind], kind));
  const load = maybeObject(configuration["load"]);
  if (load !== undefined) {
    const uris = list(load["sourceUris"]);
    if (uris.length === 0) throw invalid("Required parameter is missing: sourceUris");
    if (uris.length > 10_000) throw invalid("Too many sourceUris: 10000 at most");
    for (const uri of uris)
      if (typeof uri !== "string" || !/^gs:\/\/[^/]+\/./.test(uri))
        throw invalid(`Source URI must be a Google Cloud Storage location: ${String(uri)}`);
    object(load["destinationTable"], "destinationTable");
  }
  const copy = maybeObject(configuration["copy"]);
  if (copy !== undefined) {
    object(copy["sourceTable"], "sourceTable");
    object(copy["destinationTable"], "destinationTable");
  }
  const query = maybeObject(configuration["query"]);
  if (query !== undefined) {
    if (query["useLegacySql"] !== false) throw invalid("The fake knows no legacy SQL: useLegacySql must be false");
    if (query["queryParameters"] !== undefined && query["parameterMode"] !== "NAMED")
      throw invalid("Parameters need a parameterMode");
    if (query["query"] === undefined) throw invalid("Required parameter is missing: query");
    text(world.project, "project");
  }
}

function checkDispositions(kind: string, job: Json): void {
  const write = maybeText(job["writeDisposition"]) ?? "WRITE_APPEND";
  const create = maybeText(job["createDisposition"]) ?? "CREATE_IF_NEEDED";
  const writes = ["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_EMPTY", ...(kind === "copy" ? [] : ["WRITE_TRUNCATE_DATA"])];
  if (!writes.includes(write)) throw invalid(`Invalid value for writeDisposition: no ${kind} job has ${write}`);
  if (create !== "CREATE_IF_NEEDED" && create !== "CREATE_NEVER")
    throw invalid(`Invalid value for createDisposition: ${create} is not a valid value`);
}

function errorOf(error: unknown): { readonly reason: string; readonly message: string } {
  if (error instanceof ApiError) return { reason: error.reason, message: error.message };
  if (error instanceof PermanentError) return { reason: error.code, message: error.message };
  return { reason: "internalError", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
