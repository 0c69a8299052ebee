/** Jobs by BigQuery's REST API: inserted under the caller's id, seen by it, stopped, and the rows of a query read page by page. */
import { PermanentError } from "../core/errors.ts";
import type { TableRef } from "../core/table.ts";
import type { Random } from "../ports/clock.ts";
import type { JobError, JobStatus } from "../ports/warehouse.ts";
import { BigqueryRefusal, refused, type Api } from "./bigquery-api.ts";
import { queryConfiguration, type JobConfiguration } from "./bigquery-config.ts";
import { placedWithout } from "./bigquery-expiry.ts";
import { noteOf, withNote, withoutNote, type Note } from "./bigquery-labels.ts";
import { jobErrorOf } from "./bigquery-reasons.ts";
import { jobList, jobResource, page, read, type JobResource, type TableReference } from "./bigquery-resources.ts";
import type { TableStore } from "./bigquery-store.ts";
import { rowOf, type Row } from "./bigquery-values.ts";

/** What a job is to do; or why it must not, which then is the end of a job under the same id. */
export type Asked =
  | { readonly kind: "job"; readonly configuration: JobConfiguration; readonly note?: Omit<Note, "nonce"> }
  | { readonly kind: "refusal"; readonly reason: string; readonly message: string };

export interface JobsOptions {
  readonly api: Api;
  readonly random: Random;
  readonly project: string;
  readonly location: string;
  /** Of tables by their references, as BigQuery names them. */
  readonly tables: TableStore;
}

export interface Jobs {
  insert(id: string, asked: Asked, labels: Readonly<Record<string, string>>): Promise<"accepted" | "duplicate">;
  /** Throws `PermanentError`, its code BigQuery's reason, for a query that would fail. */
  dryRun(configuration: JobConfiguration): Promise<JobResource>;
  find(id: string, signal?: AbortSignal): Promise<JobResource | undefined>;
  /** Of a job that succeeded, also what it wrote; its table's expiry is seen to first. */
  statusOf(id: string, job: JobResource): Promise<JobStatus>;
  cancel(id: string): Promise<void>;
  rows(id: string, signal: AbortSignal | undefined): AsyncIterable<Row>;
}

const pageRows = 10_000;
/** A table may say that it was changed a moment after its job ended. */
const slackMs = 60_000;

export function bigqueryJobs(options: JobsOptions): Jobs {
  const { api, random, project, location, tables } = options;

  async function find(id: string, signal?: AbortSignal): Promise<JobResource | undefined> {
    try {
      const query = { location };
      const { body } = await api({
        method: "GET",
        path: `/jobs/${id}`,
        query,
        ...(signal === undefined ? {} : { signal }),
      });
      return read(jobResource, body, `job ${id}`);
    } catch (error) {
      if (error instanceof BigqueryRefusal && error.status === 404) return undefined;
      throw refused(error, `job ${id}`);
    }
  }

  async function insert(
    id: string,
    asked: Asked,
    labels: Readonly<Record<string, string>>,
  ): Promise<"accepted" | "duplicate"> {
    const nonce = `${random.id()}${random.id()}`;
    const note = { nonce, ...(asked.kind === "refusal" ? { refused: asked.reason } : asked.note) };
    const configuration = asked.kind === "refusal" ? failing(asked.message) : asked.configuration;
    const jobReference = { projectId: project, jobId: id, location };
    const body = { jobReference, configuration: { ...configuration, labels: withNote(labels, note) } };
    try {
      await api({ method: "POST", path: "/jobs", body });
      return "accepted";
    } catch (error) {
      if (!(error instanceof BigqueryRefusal)) throw error;
      if (error.status === 409 && !error.repeated) return "duplicate";
      // Whose job is there? Ours, if an answer was lost, or if BigQuery keeps the jobs that it refuses.
      const there = await find(id);
      if (there !== undefined)
        return noteOf(there.configuration.labels ?? {}).nonce === nonce ? "accepted" : "duplicate";
      if (asked.kind === "refusal") throw refused(error, `job ${id}`);
      return await insert(id, { kind: "refusal", reason: error.reason, message: error.message }, labels);
    }
  }

  async function rowsOf(id: string, job: JobResource): Promise<number | undefined> {
    const { load, copy, query } = job.statistics ?? {};
    if (load !== undefined) return load.outputRows;
    if (copy !== undefined) return copy.copiedRows;
    if (query === undefined) return undefined;
    if (noteOf(job.configuration.labels ?? {}).copies === true) return query.queryPlan?.at(-1)?.recordsWritten;
    switch (query.statementType) {
      case "SELECT":
        return await resultRows(id);
      case "SCRIPT": {
        const last = await lastSelect(id, job).catch((error: unknown) => {
          // Whoever may only run jobs may not list them: how many rows there are stays unknown, and the script has succeeded.
          if (unlisted(error)) return "unknown" as const;
          throw error;
        });
        if (last === "unknown") return undefined;
        return last === undefined ? 0 : await resultRows(last);
      }
      case "INSERT":
        return query.numDmlAffectedRows;
      case "UPDATE":
      case "DELETE":
      case "MERGE":
        return await rowsAfter(job.configuration.query?.destinationTable);
      case "CREATE_TABLE_AS_SELECT":
        return query.ddlOperationPerformed === "SKIP" ? 0 : await rowsAfter(query.ddlTargetTable);
      default:
        return 0;
    }
  }

  async function rowsAfter(reference: TableReference | undefined): Promise<number | undefined> {
    return reference === undefined ? undefined : (await tables.get(refOf(reference)))?.numRows;
  }

  /** A script's rows are those of its last SELECT, which is a job of its own; one that only computes a condition is none. */
  async function lastSelect(id: string, job: JobResource, signal?: AbortSignal): Promise<string | undefined> {
    let last: { readonly id: string | undefined; readonly at: number } = { id: undefined, at: -1 };
    if ((job.statistics?.numChildJobs ?? 0) === 0) return undefined;
    const watched = signal === undefined ? {} : { signal };
    for (let pageToken: string | undefined; ;) {
      const query = { parentJobId: id, projection: "full", maxResults: 1_000, pageToken };
      const { body } = await api({ method: "GET", path: "/jobs", query, ...watched });
      const found = read(jobList, body, `the statements of job ${id}`);
      for (const { jobReference, statistics } of found.jobs ?? []) {
        const { creationTime: at = 0, scriptStatistics, query: statement } = statistics ?? {};
        // They come with the newest first.
        if (statement?.statementType === "SELECT" && scriptStatistics?.evaluationKind === "STATEMENT" && at > last.at)
          last = { id: jobReference?.jobId, at };
      }
      pageToken = found.nextPageToken;
      if (pageToken === undefined || pageToken === "") return last.id;
    }
  }

  /** `undefined` once the result is no longer kept. */
  async function resultRows(id: string): Promise<number | undefined> {
    try {
      const query = { location, maxResults: 0 };
      const { body } = await api({ method: "GET", path: `/queries/${id}`, query });
      return read(page, body, `job ${id}`).totalRows ?? 0;
    } catch (error) {
      if (error instanceof BigqueryRefusal) return undefined;
      throw error;
    }
  }

  return {
    insert,
    find,

    async dryRun(configuration) {
      const body = {
        jobReference: { projectId: project, location },
        configuration: { ...configuration, dryRun: true },
      };
      try {
        const answer = await api({ method: "POST", path: "/jobs", body });
        return read(jobResource, answer.body, "a dry run");
      } catch (error) {
        if (!(error instanceof BigqueryRefusal)) throw error;
        throw new PermanentError(error.message, { code: error.reason, cause: error });
      }
    },

    async statusOf(id, job) {
      const labels = job.configuration.labels ?? {};
      const { expiresAt } = noteOf(labels);
      const base = { jobId: id, labels: withoutNote(labels) };
      const { state, errorResult } = job.status;
      if (state !== "DONE") return { ...base, state: state === "PENDING" ? "pending" : "running" };
      if (errorResult !== undefined) return { ...base, state: "failed", error: errorOf(job, errorResult) };
      const target = job.configuration.load ?? job.configuration.copy ?? job.configuration.query;
      const ended = job.statistics?.endTime ?? 0;
      if (expiresAt !== undefined && target?.destinationTable !== undefined)
        await tables.expire(refOf(target.destinationTable), expiresAt, ended + slackMs);
      const rows = await rowsOf(id, job);
      const bytesBilled = job.statistics?.query?.totalBytesBilled ?? 0;
      return { ...base, state: "succeeded", bytesBilled, ...(rows === undefined ? {} : { rows }) };
    },

    async cancel(id) {
      try {
        await api({ method: "POST", path: `/jobs/${id}/cancel`, query: { location } });
      } catch (error) {
        if (error instanceof BigqueryRefusal && error.status === 404) return;
        throw refused(error, `job ${id}`);
      }
    },

    async *rows(id, signal) {
      const watched = signal === undefined ? {} : { signal };
      signal?.throwIfAborted();
      const job = await find(id, signal);
      if (job === undefined) throw new PermanentError(`there is no job ${id}`, { code: "not-found" });
      const { query } = job.statistics ?? {};
      const isQuery =
        job.configuration.jobType === "QUERY" && noteOf(job.configuration.labels ?? {}).copies === undefined;
      if (!isQuery || job.status.state !== "DONE" || job.status.errorResult !== undefined)
        throw new PermanentError(`job ${id} is no query that succeeded, so it has no rows`, { code: "bad-input" });
      const isScript = query?.statementType === "SCRIPT";
      const from = isScript
        ? await lastSelect(id, job, signal).catch((error: unknown) => {
            throw refused(error, `the rows of script ${id}${unlisted(error) ? LIST_REMEDY : ""}`);
          })
        : query?.statementType === "SELECT"
          ? id
          : undefined;
      if (from === undefined) return;
      for (let pageToken: string | undefined; ;) {
        const parameters = { location, maxResults: pageRows, pageToken, "formatOptions.useInt64Timestamp": true };
        const answer = await api({ method: "GET", path: `/queries/${from}`, query: parameters, ...watched }).catch(
          (error: unknown) => {
            if (!(error instanceof BigqueryRefusal) || error.status !== 404) throw refused(error, `job ${id}`);
            const message = `the rows of job ${id} were kept for a day and are gone; run the query again`;
            throw new PermanentError(message, { code: "not-found", cause: error });
          },
        );
        const found = read(page, answer.body, `job ${id}`);
        for (const { f = [] } of found.rows ?? []) {
          signal?.throwIfAborted();
          yield rowOf(found.schema?.fields ?? [], f);
        }
        pageToken = found.pageToken;
        if (pageToken === undefined || pageToken === "") return;
      }
    },
  };
}

/** The account may run jobs, and not list its own: a script's statements are jobs of their own, found by a list. */
function unlisted(error: unknown): boolean {
  return error instanceof BigqueryRefusal && error.status === 403;
}

const LIST_REMEDY =
  " (found with bigquery.jobs.list: grant roles/bigquery.user to the account, or ask by one statement)";

/** A job that takes its id and fails with this message. */
function failing(message: string): JobConfiguration {
  const parameters = { message: { type: "STRING", value: message } } as const;
  return queryConfiguration({ kind: "query", sql: "SELECT ERROR(@message)", parameters });
}

function errorOf(job: JobResource, result: NonNullable<JobResource["status"]["errorResult"]>): JobError {
  const { refused: reason } = noteOf(job.configuration.labels ?? {});
  const { message } = result;
  const sql = job.configuration.query?.query ?? "";
  const error = jobErrorOf(message === undefined ? result : { ...result, message: placedWithout(message, sql) });
  const { datasetId = "", tableId = "" } = job.configuration.load?.destinationTable ?? {};
  // A load's table was made beforehand. Where somebody has dropped it since, the next load makes it again.
  const own = `${datasetId}.${tableId.split("$")[0] ?? ""}`;
  if (
    tableId !== "" &&
    error.reason === "notFound" &&
    error.message.startsWith("Not found: Table ") &&
    error.message.includes(own)
  )
    return { ...error, retryable: true };
  return reason === undefined || error.reason === "stopped" ? error : { ...jobErrorOf({ ...result, reason }) };
}

/** By BigQuery's own names: the dataset's is not to be mapped again. */
function refOf({ projectId, datasetId, tableId }: TableReference): TableRef {
  const [table = ""] = tableId.split("$");
  return { project: projectId, dataset: datasetId, table };
}
