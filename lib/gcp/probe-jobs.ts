/** What the steps about BigQuery have in common: a dataset, tables in it, and jobs that are waited for. */
import { at, CannotTry, listAt, needed, pause } from "./probe-rest.ts";
import type { Json, RestAnswer } from "./probe-rest.ts";
import type { Desk, Finding } from "./probe.ts";

/** The probe's own dataset; its tables go within an hour, whatever becomes of the probe. */
export function datasetOf({ id }: Pick<Desk, "id">): string {
  return `sluice_probe_${id}`;
}

export function dataset(desk: Desk): Promise<string> {
  return desk.once("dataset", async () => {
    const name = datasetOf(desk);
    desk.atEnd(`the dataset ${name}`, ({ bigquery }) =>
      bigquery({ method: "DELETE", path: `/datasets/${name}`, query: { deleteContents: "true" } }),
    );
    const reference = { projectId: desk.project, datasetId: name };
    const life = { location: desk.location, defaultTableExpirationMs: "3600000" };
    const body = { datasetReference: reference, ...life };
    needed(await desk.bigquery({ method: "POST", path: "/datasets", body }), `making the dataset ${name}`);
    return name;
  });
}

export type Configuration = Readonly<Record<string, unknown>>;

export const insert = (desk: Desk, jobId: string, configuration: Configuration): Promise<RestAnswer> => {
  const jobReference = { projectId: desk.project, jobId, location: desk.location };
  return desk.bigquery({ method: "POST", path: "/jobs", body: { jobReference, configuration } });
};

export const find = (desk: Desk, jobId: string): Promise<RestAnswer> =>
  desk.bigquery({ path: `/jobs/${jobId}`, query: { location: desk.location } });

/** The job when it has ended, however. */
export async function ended(desk: Desk, jobId: string): Promise<Json> {
  for (const until = Date.now() + desk.patienceMs; Date.now() < until; await pause(300, desk.signal)) {
    const { body } = needed(await find(desk, jobId), `looking at the job ${jobId}`);
    if (at(body, "status", "state") === "DONE") return body;
  }
  throw new CannotTry(`the job ${jobId} did not end within ${desk.patienceMs / 1000} s`);
}

export const errorOf = (job: Json): string | undefined => at(job, "status", "errorResult", "message");

/** A job that a step needs to begin with. */
export async function prepared(desk: Desk, jobId: string, configuration: Configuration): Promise<Json> {
  needed(await insert(desk, jobId, configuration), `inserting the job ${jobId}`);
  const job = await ended(desk, jobId);
  const error = errorOf(job);
  if (error !== undefined) throw new CannotTry(`the job ${jobId} failed: ${error}`);
  return job;
}

export const query = (sql: string, more: Configuration = {}): Configuration => ({
  query: { query: sql, useLegacySql: false, maximumBytesBilled: "100000000", ...more },
});

export const reference = ({ project, id }: Desk, tableId: string): Configuration => ({
  projectId: project,
  datasetId: datasetOf({ id }),
  tableId,
});

/** Rows of a query, into a table or a partition of it. */
export const into = (desk: Desk, table: string, sql: string, writeDisposition: string): Configuration =>
  query(sql, { destinationTable: reference(desk, table), writeDisposition });

export async function makeTable(desk: Desk, table: string, names: Readonly<Record<string, string>>, daily: boolean) {
  const body = {
    tableReference: reference(desk, table),
    schema: { fields: Object.entries(names).map(([name, type]) => ({ name, type, mode: "NULLABLE" })) },
    ...(daily ? { timePartitioning: { type: "DAY" } } : {}),
  };
  const path = `/datasets/${await dataset(desk)}/tables`;
  needed(await desk.bigquery({ method: "POST", path, body }), `making the table ${table}`);
}

/** The first row of a query, as texts. */
export async function rowOf(desk: Desk, jobId: string, sql: string): Promise<readonly (string | undefined)[]> {
  await prepared(desk, jobId, query(sql));
  const answer = await desk.bigquery({ path: `/queries/${jobId}`, query: { location: desk.location } });
  const { body } = needed(answer, `reading the rows of ${jobId}`);
  return listAt(body, "rows", 0, "f").map((cell) => at(cell, "v"));
}

export const named = ({ project, id }: Desk, table: string): string => `\`${project}.${datasetOf({ id })}.${table}\``;
export const job = ({ id }: Desk, name: string): string => `sluice_probe_${id}_${name}`;
export const holds = (condition: boolean, saw: string): Finding => ({ holds: condition, saw });
export const shown = ({ status, text }: RestAnswer): string => (status < 300 ? `${status}` : `${status} ${text}`);
