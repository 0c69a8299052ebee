/**
 * The real flights of a few days of January 2001, as a source drops them, and what follows them: the project that the scenarios
 * run, on one machine and in the local cloud.
 */
import { sourceFile } from "../../../lib/cli/demo-data.ts";
import type { Duck, Rows } from "../parquet.ts";
import { textOf } from "../tree.ts";

export const FLIGHTS = "transport/flights";
export const ROUTES = "transport/routes";
export const AIRPORTS = "transport/airports";
export const LATE = "transport/late_airports";
export const BUCKET = "flight-drops";

export const dayOf = (day: number): string => `2001-01-${String(day).padStart(2, "0")}`;
export const flightsUri = (day: number): string => `gs://${BUCKET}/flights/${dayOf(day)}.parquet`;
export const routesUri = (day: number): string => `gs://${BUCKET}/routes/${dayOf(day)}/routes.parquet`;

/** SQL alone: it follows the flights, day by day. */
const AIRPORTS_SOURCE = `
import { check, daily, eager, partition, sql, sqlAsset } from "sluice";
import { z } from "zod";
import { flights } from "./flights.ts";
export const airports = sqlAsset({
  key: "${AIRPORTS}",
  partitions: daily({ start: "2001-01-01" }),
  schema: z.object({ day: z.iso.date(), airport: z.string(), flights: z.int(), delay: z.int() }),
  partitionBy: "day",
  checks: [check.unique("airport")],
  automation: eager(),
  sql: sql\`SELECT DATE(date) AS day, origin AS airport, COUNT(*) AS flights, SUM(delay) AS delay
          FROM \${flights.asset} WHERE date >= \${partition.start} AND date < \${partition.end} GROUP BY day, airport\`,
});
`;

/** Rows in, rows out: it follows what the SQL has made. */
const LATE_SOURCE = `
import { asset, bigqueryTable, daily, eager } from "sluice";
import { z } from "zod";
import { airports } from "./airports.ts";
export const lateAirports = asset({
  key: "${LATE}",
  partitions: daily({ start: "2001-01-01" }),
  inputs: { airports },
  schema: z.object({ day: z.iso.date(), airport: z.string(), mean: z.number() }),
  ioManager: bigqueryTable({ partitionBy: "day" }),
  automation: eager(),
  async *materialize({ row }, { airports }) {
    for await (const { day, airport, flights, delay } of airports) {
      if (delay > 0) yield row({ day, airport, mean: delay / flights });
    }
  },
});
`;

/** What `functions/` holds. The imports are this repository's own. */
export const sources = (): Readonly<Record<string, string>> => ({
  "flights.ts": textOf("functions/flights.ts"),
  "airports.ts": AIRPORTS_SOURCE,
  "late-airports.ts": LATE_SOURCE,
});

/** A fifth of the airports is enough. In a correction everybody was `later` minutes later. */
const flightsOf = (day: number, later = 0): string =>
  `SELECT date, CAST(delay + ${later} AS SMALLINT) AS delay, distance, origin, destination
   FROM read_parquet('${sourceFile}') WHERE date::DATE = DATE '${dayOf(day)}' AND hash(origin) % 5 = 0`;

const routesOf = (day: number): string =>
  `SELECT origin, destination, count(*) AS flights, round(avg(delay), 2) AS mean_delay
   FROM (${flightsOf(day)}) GROUP BY ALL ORDER BY ALL`;

/** What the followers make of flights, in an engine that knows nothing of theirs. */
const airportsOf = (flights: string): string =>
  `SELECT date::DATE AS day, origin AS airport, count(*) AS flights, sum(delay) AS delay FROM ${flights} GROUP BY ALL`;
const lateOf = (flights: string): string =>
  `SELECT day, airport, delay / flights AS mean FROM (${airportsOf(flights)}) WHERE delay > 0`;

export interface Series {
  flights(day: number, later?: number): Promise<Buffer>;
  routes(day: number): Promise<Buffer>;
  /** What the tables show when flights of these days were loaded and nothing else; of a negative one, its correction by a minute. */
  shownFlights(days: readonly number[]): Promise<Rows>;
  shownRoutes(day: number): Promise<Rows>;
  shownAirports(days: readonly number[]): Promise<Rows>;
  shownLate(days: readonly number[]): Promise<Rows>;
}

/** Each shows its table by a few sums, in BigQuery's SQL and in DuckDB's. */
export const SHOWN = {
  flights: (from: string): string =>
    `SELECT CAST(CAST(date AS DATE) AS STRING) AS day, COUNT(*) AS n, SUM(delay) AS delay, SUM(delay * distance) AS product
     FROM ${from} GROUP BY 1 ORDER BY 1`,
  routes: (from: string): string =>
    `SELECT COUNT(*) AS n, SUM(flights) AS flights, ROUND(SUM(flights * mean_delay)) AS delay FROM ${from}`,
  airports: (from: string): string =>
    `SELECT CAST(day AS STRING) AS day, COUNT(*) AS n, SUM(flights) AS flights, SUM(delay) AS delay
     FROM ${from} GROUP BY 1 ORDER BY 1`,
  late: (from: string): string =>
    `SELECT CAST(day AS STRING) AS day, COUNT(*) AS n, ROUND(SUM(mean)) AS mean FROM ${from} GROUP BY 1 ORDER BY 1`,
} as const;

/** What the tables show that are made from these flights, or routes: an expression that an independent engine selects from. */
export function shownBy(duck: Duck): Readonly<Record<keyof typeof SHOWN, (from: string) => Promise<Rows>>> {
  const numbers = async (sql: string): Promise<Rows> => plainRows(await duck.query(sql));
  return {
    flights: (flights) => numbers(SHOWN.flights(flights)),
    routes: (routes) => numbers(SHOWN.routes(routes)),
    airports: (flights) => numbers(SHOWN.airports(`(${airportsOf(flights)})`)),
    late: (flights) => numbers(SHOWN.late(`(${lateOf(flights)})`)),
  };
}

export function seriesOf(duck: Duck): Series {
  const shown = shownBy(duck);
  const all = (days: readonly number[]): string =>
    `(${days.map((day) => flightsOf(Math.abs(day), day < 0 ? 1 : 0)).join(" UNION ALL ")})`;
  return {
    flights: (day, later) => duck.file(flightsOf(day, later)),
    routes: (day) => duck.file(routesOf(day)),
    shownFlights: (days) => shown.flights(all(days)),
    shownRoutes: (day) => shown.routes(`(${routesOf(day)})`),
    shownAirports: (days) => shown.airports(all(days)),
    shownLate: (days) => shown.late(all(days)),
  };
}

/** Engines differ in which whole numbers they write as text. */
export function plainRows(rows: Rows): Rows {
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, name === "day" ? value : Number(value)])),
  );
}
