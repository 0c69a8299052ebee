/** The jobs, in the file that holds their effects: a job's effect and its end are one commit. */
import { PermanentError, messageOf } from "../../core/errors.ts";
import type { JobError, JobSpec, JobStatus } from "../../ports/warehouse.ts";
import type { KeptResult } from "./query.ts";
import type { Link } from "./session.ts";
import { catalog, quoteName } from "./sql.ts";

const jobs = quoteName(catalog, "_sluice", "jobs");
const cancellations = quoteName(catalog, "_sluice", "cancellations");

export interface StoredJob {
  readonly id: string;
  readonly spec: JobSpec;
  readonly labels: Readonly<Record<string, string>>;
  readonly cancelled: boolean;
}

export async function setUpJobs(link: Link): Promise<void> {
  await link.run(`CREATE SEQUENCE IF NOT EXISTS ${quoteName(catalog, "_sluice", "job_order")}`);
  await link.run(`CREATE TABLE IF NOT EXISTS ${jobs} (
    id VARCHAR PRIMARY KEY, ordinal BIGINT NOT NULL, spec VARCHAR NOT NULL, labels VARCHAR NOT NULL, state VARCHAR NOT NULL,
    error VARCHAR, written BIGINT, result VARCHAR, result_columns VARCHAR, result_expires_at BIGINT, billed BIGINT)`);
  await link.run(`ALTER TABLE ${jobs} ADD COLUMN IF NOT EXISTS billed BIGINT`);
  // Apart from the jobs, so that asking a job to stop never meets the transaction that ends it.
  await link.run(`CREATE TABLE IF NOT EXISTS ${cancellations} (id VARCHAR NOT NULL)`);
  await link.run(`DELETE FROM ${cancellations} WHERE id NOT IN (SELECT id FROM ${jobs} WHERE state = 'pending')`);
}

/** Writes a new job, in one statement; `false` when the id was ever used. */
export async function insertJob(
  link: Link,
  id: string,
  spec: JobSpec,
  labels: Readonly<Record<string, string>>,
): Promise<boolean> {
  try {
    await link.run(
      `INSERT INTO ${jobs} (id, ordinal, spec, labels, state) VALUES ($id, nextval('${catalog}._sluice.job_order'), $spec, $labels, 'pending')`,
      { id, spec: JSON.stringify(spec), labels: JSON.stringify(labels) },
    );
    return true;
  } catch (error) {
    // Cheaper for the new ones, which nearly all are, than ON CONFLICT or a look beforehand.
    if (messageOf(error).startsWith("Constraint Error: Duplicate key")) return false;
    throw error;
  }
}

/** Jobs that have not ended, in the order in which they came. */
export async function openJobs(link: Link): Promise<readonly StoredJob[]> {
  const rows = await link.run(
    `SELECT id, spec, labels, id IN (SELECT id FROM ${cancellations}) AS cancelled FROM ${jobs} WHERE state = 'pending' ORDER BY ordinal`,
  );
  // Only `insertJob` writes the spec and the labels.
  return rows.map((row) => ({
    id: String(row["id"]),
    spec: JSON.parse(String(row["spec"])) as JobSpec,
    labels: JSON.parse(String(row["labels"])) as Readonly<Record<string, string>>,
    cancelled: row["cancelled"] === true,
  }));
}

export async function insertCancellation(link: Link, id: string): Promise<void> {
  await link.run(`INSERT INTO ${cancellations} VALUES ($id)`, { id });
}

/** Ends a job well, in the transaction of its effect. Its cancellation, if any, stays until the file is opened again. */
export async function endJob(
  link: Link,
  id: string,
  end: {
    readonly rows: number;
    readonly bytesBilled?: number;
    readonly kept?: KeptResult;
    readonly keptUntil?: number;
  },
): Promise<void> {
  const { rows, bytesBilled = 0, kept, keptUntil } = end;
  await finish(
    link,
    id,
    "state = 'succeeded', written = $rows, billed = $billed, result = $result, result_columns = $columns, result_expires_at = $expires",
    {
      rows: BigInt(rows),
      billed: BigInt(bytesBilled),
      result: kept?.table ?? null,
      columns: kept === undefined ? null : JSON.stringify(kept.columns),
      expires: keptUntil === undefined ? null : BigInt(keptUntil),
    },
  );
}

export async function failJob(link: Link, id: string, error: JobError): Promise<void> {
  await finish(link, id, "state = 'failed', error = $error", { error: JSON.stringify(error) });
}

async function finish(
  link: Link,
  id: string,
  changes: string,
  values: Readonly<Record<string, bigint | string | null>>,
): Promise<void> {
  const [changed] = await link.run(`UPDATE ${jobs} SET ${changes} WHERE id = $id AND state = 'pending'`, {
    id,
    ...values,
  });
  if (Number(changed?.["Count"]) !== 1)
    throw new PermanentError(`job ${id} has ended before`, { code: "backendError" });
}

export async function readJob(link: Link, id: string): Promise<JobStatus | undefined> {
  const [row] = await link.run(`SELECT state, labels, error, written, billed FROM ${jobs} WHERE id = $id`, { id });
  if (row === undefined) return undefined;
  const { state, labels, error, written, billed } = row;
  // `insertJob`, `endJob` and `failJob` alone write these columns.
  return {
    jobId: id,
    state: String(state) as JobStatus["state"],
    labels: JSON.parse(String(labels)) as Readonly<Record<string, string>>,
    ...(typeof error === "string" ? { error: JSON.parse(error) as JobError } : {}),
    ...(typeof written === "bigint" ? { rows: Number(written), bytesBilled: Number(billed ?? 0) } : {}),
  };
}

/** The result of a query job that succeeded, while it is kept. Throws `PermanentError` where there is none. */
export async function readKept(link: Link, id: string, now: number): Promise<KeptResult> {
  const [row] = await link.run(`SELECT state, result, result_columns, result_expires_at FROM ${jobs} WHERE id = $id`, {
    id,
  });
  if (row === undefined) throw new PermanentError(`there is no job ${id}`, { code: "not-found" });
  const { result, result_columns: columns, result_expires_at: until } = row;
  if (typeof result !== "string" || typeof columns !== "string") {
    throw new PermanentError(`job ${id} is no query that succeeded, so it has no rows`, { code: "bad-input" });
  }
  if (typeof until !== "bigint" || until <= now) {
    throw new PermanentError(`the rows of job ${id} were kept for a day and are gone; run the query again`, {
      code: "not-found",
    });
  }
  return { table: result, columns: JSON.parse(columns) as readonly string[] };
}

/** Results that are past their time. */
export async function staleResults(link: Link, now: number): Promise<readonly string[]> {
  const rows = await link.run(
    `SELECT result FROM ${jobs} WHERE result_expires_at <= $now
       AND result IN (SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog AND schema_name = '_sluice_data')`,
    { catalog, now: BigInt(now) },
  );
  return rows.map((row) => String(row["result"]));
}

/** Result tables that no job owns: the process died between a query and its end. */
export async function orphanResults(link: Link): Promise<readonly string[]> {
  const rows = await link.run(
    `SELECT table_name FROM duckdb_tables() WHERE database_name = $catalog AND schema_name = '_sluice_data' AND table_name LIKE 'q%'
       AND table_name NOT IN (SELECT result FROM ${jobs} WHERE result IS NOT NULL)`,
    { catalog },
  );
  return rows.map((row) => String(row["table_name"]));
}

/** What BigQuery would say about a job that ended with `error`. */
export function jobErrorOf(error: unknown): JobError {
  const message = messageOf(error);
  if (error instanceof PermanentError)
    return { reason: error.code, message, retryable: error.code === "backendError" || error.code === "stopped" };
  if (message.startsWith("Out of Memory Error")) return { reason: "resourcesExceeded", message, retryable: true };
  return { reason: "backendError", message, retryable: true };
}
