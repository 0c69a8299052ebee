/**
 * The warehouse on BigQuery. Every job is inserted under the caller's id and location, so that whoever asks twice meets the
 * first job; what BigQuery cannot be asked for, or must not be, is a job under that id as well: one that fails and says why.
 *
 * Statements carry the names of tables as text. Where `dataset` maps names, a statement has to be rendered with the mapped
 * ones already, while every `TableRef`, those in `writes` included, has the plain ones.
 */
import { DefinitionError, PermanentError } from "../core/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { JobHistory, JobSpec, TableHistory, Warehouse } from "../ports/warehouse.ts";
import { bigqueryApi } from "./bigquery-api.ts";
import { checkDryRun, checkWords } from "./bigquery-authority.ts";
import type { BigqueryClient } from "./bigquery-client.ts";
import {
  loadConfiguration,
  queryConfiguration,
  type CopySpec,
  type LoadSpec,
  type QuerySpec,
} from "./bigquery-config.ts";
import { planCopy } from "./bigquery-copy.ts";
import { blankFor, expiring, isBlank } from "./bigquery-expiry.ts";
import { bigqueryJobs, type Asked } from "./bigquery-jobs.ts";
import { withNote } from "./bigquery-labels.ts";
import { tableStore } from "./bigquery-store.ts";
import { columnsOf, infoOf, referenceOf, type Naming } from "./bigquery-tables.ts";

export interface BigqueryWarehouseOptions {
  /** Called on first use; see `bigqueryClient`. */
  readonly client: () => Promise<BigqueryClient>;
  /** Where jobs run and are billed, and the tables of references without a project are. */
  readonly project: string;
  /** Of the datasets and so of all jobs, e.g. `EU` or `europe-west1`. */
  readonly location: string;
  readonly clock: Clock;
  readonly random: Random;
  /** The dataset that stands for the one of this name, e.g. `dev_ann_shop` for `shop`. Default: itself. */
  readonly dataset?: (name: string) => string;
  /** A limit of every query that is run, also of those that a copy becomes; a statement's own lower limit holds. Bytes. */
  readonly maximumBytesBilled?: number;
  /** How a call is tried again: see `ApiOptions`. */
  readonly retry?: { readonly tries?: number; readonly pauseMs?: number; readonly timeoutMs?: number };
  /**
   * Pauses between two looks at a job that is waited for: the first, and the longest. Each is half as long again as the one
   * before: a short job is seen at once, and a minute of waiting takes 25 looks. Milliseconds, default 20 and 5,000.
   */
  readonly pollMs?: { readonly first: number; readonly most: number };
}

export function bigqueryWarehouse(options: BigqueryWarehouseOptions): Warehouse & TableHistory & JobHistory {
  const { client, project, location, clock, random, retry = {}, pollMs = { first: 20, most: 5_000 } } = options;
  const naming: Naming = { project, dataset: options.dataset ?? ((name) => name) };
  const api = bigqueryApi({ client, clock, random, ...retry });
  const tables = tableStore(api, naming, clock);
  // What BigQuery names itself is not mapped again.
  const own = tableStore(api, { project, dataset: (name) => name }, clock);
  const jobs = bigqueryJobs({ api, random, project, location, tables: own });

  function limited(spec: QuerySpec): QuerySpec {
    const limits = [options.maximumBytesBilled, spec.maximumBytesBilled].filter((limit) => limit !== undefined);
    return limits.length === 0 ? spec : { ...spec, maximumBytesBilled: Math.min(...limits) };
  }

  async function load(spec: LoadSpec): Promise<Asked> {
    const { destination } = spec;
    const blank = blankFor(spec);
    const found = blank === undefined ? await tables.get(destination) : await tables.prepare(destination, blank);
    const rows = found === undefined || found === "made" || isBlank(found) ? undefined : found;
    const expires = spec.expiresAt !== undefined;
    const kept = rows !== undefined && (await tables.isProtected(destination, rows, { expires }));
    const write = {
      writeDisposition: kept ? "WRITE_TRUNCATE_DATA" : "WRITE_TRUNCATE",
      createDisposition: blank === undefined ? "CREATE_IF_NEEDED" : "CREATE_NEVER",
    } as const;
    const configuration = loadConfiguration(spec, naming, write);
    // What was there may be about to go.
    return { kind: "job", configuration, ...(found === "made" ? {} : expiry(spec)) };
  }

  async function copy(spec: CopySpec): Promise<Asked> {
    const plan = await planCopy(spec, tables, naming);
    const { destination: destinationTable, disposition: writeDisposition } = plan;
    if (plan.kind === "copy") {
      const { source: sourceTable, expiresAt } = plan;
      const copied = { sourceTable, destinationTable, createDisposition: "CREATE_IF_NEEDED", writeDisposition };
      const ends = expiresAt === undefined ? {} : { destinationExpirationTime: new Date(expiresAt).toISOString() };
      const configuration = { copy: { ...copied, ...ends } };
      return { kind: "job", configuration, ...expiry(spec) };
    }
    const into = { destinationTable, writeDisposition };
    const configuration = queryConfiguration(limited({ kind: "query", sql: plan.sql }), { into });
    return { kind: "job", configuration, note: { copies: true, ...expiry(spec).note } };
  }

  async function query(spec: QuerySpec): Promise<Asked> {
    const { sql, writes = [], expiresAt } = spec;
    const reading = checkWords(sql, writes, naming);
    const text = expiresAt === undefined || reading.onlyReads ? sql : expiring(sql, expiresAt);
    // What is wrong with it has its place in the words of the author.
    if (!reading.onlyReads) {
      const looked = await jobs.dryRun(queryConfiguration(limited(spec)));
      checkDryRun(looked, reading, writes, naming);
    }
    return { kind: "job", configuration: queryConfiguration(limited({ ...spec, sql: text })) };
  }

  /** What must not be done becomes a job that fails; what was asked for wrongly is an error of the call. */
  async function asked(spec: JobSpec): Promise<Asked> {
    try {
      return await (spec.kind === "load" ? load(spec) : spec.kind === "copy" ? copy(spec) : query(spec));
    } catch (error) {
      if (!(error instanceof PermanentError)) throw error;
      const reason = error.code === "not-found" ? "notFound" : error.code;
      return { kind: "refusal", reason, message: error.message };
    }
  }

  return {
    async submit(id, spec, labels) {
      if (!/^[\w-]{1,1024}$/.test(id)) {
        throw new DefinitionError(`the job id ${JSON.stringify(id)} is not legal`, {
          remedy: "use up to 1,024 letters, digits, _ and -",
        });
      }
      // Before anything is sent: an illegal name or label uses up no id.
      withNote(labels, { nonce: "" });
      for (const table of tablesOf(spec)) referenceOf(naming, table);
      return await jobs.insert(id, await asked(spec), labels);
    },

    async dryRun(spec) {
      const { sql, writes = [] } = spec;
      for (const table of writes) referenceOf(naming, table);
      const reading = checkWords(sql, writes, naming);
      const job = await jobs.dryRun(queryConfiguration(spec));
      if (!reading.onlyReads) checkDryRun(job, reading, writes, naming);
      const { query: found, totalBytesProcessed } = job.statistics ?? {};
      const bytesProcessed = found?.totalBytesProcessed ?? totalBytesProcessed ?? 0;
      return { schema: found?.statementType === "SELECT" ? columnsOf(found) : [], bytesProcessed };
    },

    async inspect(id) {
      const job = await jobs.find(id);
      return job === undefined ? undefined : await jobs.statusOf(id, job);
    },

    cancel: jobs.cancel,

    async wait(id, { timeoutMs, signal }) {
      const deadline = clock.now() + timeoutMs;
      for (let pause = pollMs.first; ; pause = Math.min(pause * 1.5, pollMs.most)) {
        signal?.throwIfAborted();
        const job = await jobs.find(id, signal);
        if (job === undefined) throw new PermanentError(`there is no job ${id}`, { code: "not-found" });
        const left = deadline - clock.now();
        if (job.status.state === "DONE" || left <= 0) return await jobs.statusOf(id, job);
        await clock.sleep(Math.min(pause, left), signal);
      }
    },

    rows: (id, { signal } = {}) => jobs.rows(id, signal),

    async describe(table) {
      const found = await tables.get(table);
      return found === undefined ? undefined : infoOf(found);
    },

    changes: tables.changes,

    async endOf(jobId) {
      const job = await jobs.find(jobId);
      return job?.status.state === "DONE" && job.status.errorResult === undefined ? job.statistics?.endTime : undefined;
    },

    extend: tables.extend,
    drop: tables.drop,
    list: (dataset, prefix = "") => tables.list(dataset, prefix),
  };
}

function expiry({ expiresAt }: LoadSpec | CopySpec): { readonly note?: { readonly expiresAt: number } } {
  return expiresAt === undefined ? {} : { note: { expiresAt } };
}

function tablesOf(spec: JobSpec): readonly { readonly dataset: string; readonly table: string }[] {
  if (spec.kind === "query") return spec.writes ?? [];
  return spec.kind === "copy" ? [spec.source, spec.destination] : [spec.destination];
}
