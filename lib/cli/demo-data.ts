/** Cuts a month of the real flights into the files that a source would drop day by day. */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DuckDBInstance } from "@duckdb/node-api";
import type { DuckDBConnection } from "@duckdb/node-api";
import { PermanentError } from "../core/errors.ts";

export const MONTH = "2001-01";
export const DAYS: readonly string[] = Array.from(
  { length: 31 },
  (_, index) => `${MONTH}-${String(index + 1).padStart(2, "0")}`,
);
/** Its two files come after all others but the last day's. */
export const LATE = `${MONTH}-12`;
/** The source sends it a second time, with other rows. */
export const CORRECTED = `${MONTH}-22`;
/** The source sends it once more as it was, */
export const RESENT = `${MONTH}-25`;
/** and this one with its delays in seconds, before it sends the right file. */
export const IN_SECONDS = `${MONTH}-26`;
/** Instead of its snapshot comes a web page. */
export const BROKEN = "2001-02-01";

/** What the correction of the day is, in SQL over `flights`: these change the day's number of rows and its sums. */
export const correction = {
  withdrawn: `date::DATE = '${CORRECTED}' AND hour(date) < 12 AND destination = 'EWR'`,
  delayed: `date::DATE = '${CORRECTED}' AND origin = 'ORD'`,
  minutes: 10,
} as const;

/** Where `vega-datasets` keeps the 3 million flights. */
export const sourceFile = fileURLToPath(
  new URL("../../node_modules/vega-datasets/data/flights-3m.parquet", import.meta.url),
);

export interface Drops {
  flights(day: string): string;
  routes(day: string): string;
  readonly corrected: string;
  /** The same flights in another file, of two days only. */
  again(day: typeof RESENT | typeof IN_SECONDS): string;
  readonly inSeconds: string;
  readonly errorPage: string;
}

/** Every route as it is known by the end of `day`. */
const routesUntil = (day: string): string =>
  `SELECT origin, destination, count(*) AS flights, round(avg(delay), 2) AS mean_delay
   FROM flights WHERE date::DATE <= DATE '${day}' GROUP BY ALL ORDER BY ALL`;

/** Writes all files below `folder`. Throws `PermanentError` where the source is not installed. */
export async function prepareDrops(folder: string, signal: AbortSignal): Promise<Drops> {
  await stat(sourceFile).catch(() => {
    throw new PermanentError(`the flights are not installed: ${sourceFile} is missing; run npm ci`, {
      code: "not-found",
    });
  });
  const drops: Drops = {
    flights: (day) => join(folder, `flights-${day}.parquet`),
    routes: (day) => join(folder, `routes-${day}.parquet`),
    corrected: join(folder, "corrected.parquet"),
    again: (day) => join(folder, `again-${day}.parquet`),
    inSeconds: join(folder, "in-seconds.parquet"),
    errorPage: join(folder, "error-page.parquet"),
  };
  await mkdir(folder, { recursive: true });
  await withDuckdb(async (connection) => {
    const write = async (query: string, file: string): Promise<void> => {
      signal.throwIfAborted();
      await connection.run(`COPY (${query}) TO '${file.replaceAll("'", "''")}' (FORMAT parquet)`);
    };
    const dayOf = (day: string, columns = "*"): string =>
      `SELECT ${columns} FROM flights WHERE date::DATE = DATE '${day}'`;
    await connection.run(
      `CREATE TABLE flights AS SELECT * FROM read_parquet('${sourceFile.replaceAll("'", "''")}')
       WHERE date >= '${MONTH}-01' AND date < TIMESTAMP '${MONTH}-01' + INTERVAL 1 MONTH`,
    );
    for (const day of DAYS) await write(dayOf(day), drops.flights(day));
    for (const day of DAYS.slice(0, -1)) await write(routesUntil(day), drops.routes(day));
    for (const day of [RESENT, IN_SECONDS] as const) await write(dayOf(day), drops.again(day));
    await write(dayOf(IN_SECONDS, "* REPLACE (delay * 60 AS delay)"), drops.inSeconds);
    // From here on the source knows better; its last snapshot says so, too.
    await connection.run(`DELETE FROM flights WHERE ${correction.withdrawn}`);
    await connection.run(`UPDATE flights SET delay = delay + ${correction.minutes} WHERE ${correction.delayed}`);
    await write(dayOf(CORRECTED), drops.corrected);
    for (const day of DAYS.slice(-1)) await write(routesUntil(day), drops.routes(day));
  });
  await writeFile(drops.errorPage, "<!doctype html>\n<title>503 Service Unavailable</title>\n");
  return drops;
}

/** The month as it should be in the end: the correction is applied where the rows are read. */
const MONTH_AS_CORRECTED = `
  SELECT date, origin, destination, distance,
         CASE WHEN ${correction.delayed} THEN delay + ${correction.minutes} ELSE delay END AS delay
  FROM read_parquet('${sourceFile.replaceAll("'", "''")}')
  WHERE strftime(date, '%Y-%m') = '${MONTH}' AND NOT (${correction.withdrawn})`;

export type Rows = readonly Readonly<Record<string, unknown>>[];

/** Lets `read` ask the table `month`, which is made from the source file itself, by a DuckDB alone. */
export async function withMonth<T>(work: (read: (sql: string) => Promise<Rows>) => Promise<T>): Promise<T> {
  return await withDuckdb(async (connection) => {
    await connection.run(`CREATE TABLE month AS ${MONTH_AS_CORRECTED}`);
    return await work(async (sql) => (await connection.runAndReadAll(sql)).getRowObjects());
  });
}

/** A DuckDB of its own, which knows nothing of the platform's. */
export async function withDuckdb<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const instance = await DuckDBInstance.create(":memory:");
  try {
    const connection = await instance.connect();
    try {
      return await work(connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
}
