/** The last word: every figure again, from the source file, by a DuckDB that has never seen the platform. */
import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { EventType } from "../core/events.ts";
import { CHAIN, chainRuns, compareChain } from "./demo-chain-verify.ts";
import { FLIGHTS, ROUTES, flightsName, routesName } from "./demo-acts.ts";
import { BROKEN, DAYS, LATE, withMonth } from "./demo-data.ts";
import type { Rows } from "./demo-data.ts";
import type { Figure } from "./demo-screen.ts";
import type { Stage } from "./demo-stage.ts";

/** Everything that the demo promises. Whoever shows it compares the two texts of each figure. */
export async function verify(stage: Stage): Promise<readonly Figure[]> {
  await stage.platform.settle();
  return [
    ...(await compareTables(stage.query)),
    ...(await compareChain(stage.query)),
    ...(await importRuns(stage)),
    ...(await chainRuns(stage)),
    ...(await leftovers(stage)),
  ];
}

/** Runs the same on both sides. The product ties each delay to its own distance. */
const BY_DAY = (table: string): string =>
  `SELECT CAST(CAST(date AS DATE) AS STRING) AS day, COUNT(*) AS n, SUM(delay) AS delay, SUM(distance) AS distance,
          SUM(delay * distance) AS product FROM ${table} GROUP BY 1 ORDER BY 1`;
const BY_ROUTE = (table: string): string =>
  `SELECT COUNT(*) AS n, SUM(flights) AS flights, SUM(CAST(ROUND(mean_delay * 100) AS INT64)) AS delay FROM ${table}`;

/** The rows of both tables, as `query` finds them, against those of the source. */
export async function compareTables(query: Stage["query"]): Promise<Figure[]> {
  const source = await withMonth(async (read) => ({
    days: await read(BY_DAY("month")),
    routes: await read(
      BY_ROUTE(
        "(SELECT origin, destination, count(*) AS flights, round(avg(delay), 2) AS mean_delay FROM month GROUP BY ALL)",
      ),
    ),
  }));
  const days = await query(BY_DAY("transport.flights"));
  const routes = await query(BY_ROUTE("transport.routes"));
  const agree = (column: string): string => {
    const byDay = new Map(days.map((row) => [String(row["day"]), text(row, column)]));
    const good = source.days.filter((row) => byDay.get(String(row["day"])) === text(row, column)).length;
    return `${good} of ${Math.max(source.days.length, days.length)}`;
  };
  const all = `${DAYS.length} of ${DAYS.length}`;
  const [expectedRoutes, foundRoutes] = [source.routes[0] ?? {}, routes[0] ?? {}];
  return [
    { what: "flights: rows", expected: total(source.days, "n"), found: total(days, "n") },
    { what: "flights: days whose rows agree", expected: all, found: agree("n") },
    { what: "flights: days whose delays agree", expected: all, found: agree("delay") },
    { what: "flights: days whose distances agree", expected: all, found: agree("distance") },
    { what: "flights: days whose delay × distance agree", expected: all, found: agree("product") },
    { what: "flights: sum of delays, min", expected: total(source.days, "delay"), found: total(days, "delay") },
    {
      what: "flights: sum of distances, miles",
      expected: total(source.days, "distance"),
      found: total(days, "distance"),
    },
    { what: "routes: rows", expected: text(expectedRoutes, "n"), found: text(foundRoutes, "n") },
    { what: "routes: flights", expected: text(expectedRoutes, "flights"), found: text(foundRoutes, "flights") },
    { what: "routes: checksum of delays", expected: text(expectedRoutes, "delay"), found: text(foundRoutes, "delay") },
  ];
}

/** The history, counted: what was dropped, and what became of it. */
async function importRuns(stage: Stage): Promise<Figure[]> {
  const history = await stage.history();
  const count = (type: EventType, ...keys: readonly string[]): string =>
    format(history.filter((event) => event.type === type && keys.includes(event.asset ?? "")).length);
  const loaded = await loadedPartitions(stage, FLIGHTS);
  // A file each, the correction, the three that were sent again, and the request by hand; of routes also the web page.
  const [flights, routes] = [DAYS.length + 5, DAYS.length + 1];
  const ticks = history.filter(({ type }) => type === "sensor.ticked").length;
  return [
    { what: "flights: partitions", expected: format(DAYS.length), found: format(loaded) },
    { what: "flights: runs", expected: format(flights), found: count("run.started", FLIGHTS) },
    // The request by hand changed nothing.
    { what: "flights: materializations", expected: format(flights - 1), found: count("materialized", FLIGHTS) },
    { what: "routes: runs", expected: format(routes), found: count("run.started", ROUTES) },
    // The late day and the web page are none.
    { what: "routes: materializations", expected: format(routes - 2), found: count("materialized", ROUTES) },
    { what: "imports skipped", expected: "2", found: count("run.skipped", FLIGHTS, ROUTES) },
    { what: "imports failed", expected: "1", found: count("run.failed", FLIGHTS, ROUTES) },
    // The last day of both, and the three that were sent again.
    { what: "ticks of the clean-up sensors", expected: "5", found: format(ticks) },
  ];
}

async function loadedPartitions(stage: Stage, name: string): Promise<number> {
  const page = await stage.platform.events.partitions({ name, limit: 1000 });
  return page.items.filter(({ head }) => head !== undefined).length;
}

/** What is left in the bucket's folder, looked at as files, and of the raw tables. */
async function leftovers(stage: Stage): Promise<Figure[]> {
  const flightsKept = DAYS.slice(-1 - retention(stage, FLIGHTS));
  const routesKept = DAYS.slice(-1 - retention(stage, ROUTES));
  const expected = new Set([
    ...flightsKept.map(flightsName),
    ...routesKept.map(routesName),
    // Neither was ever loaded.
    routesName(LATE),
    routesName(BROKEN),
  ]);
  const folder = join(stage.platform.objects.root, stage.asset(FLIGHTS).source?.bucket ?? "");
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/"));
  const dropped = DAYS.length * 2 + 1;
  const deleted = (await stage.history()).filter(({ type }) => type === "object.deleted").length;
  const tablesOf = async (dataset: string): Promise<string> =>
    format((await Array.fromAsync(stage.platform.warehouse.list({ dataset }))).length);
  return [
    { what: "objects deleted", expected: format(dropped - expected.size), found: format(deleted) },
    { what: "objects kept", expected: format(expected.size), found: format(found.length) },
    {
      what: "objects kept that should be",
      expected: format(expected.size),
      found: format(found.filter((name) => expected.has(name)).length),
    },
    { what: "raw tables, and no staging", expected: format(routesKept.length), found: await tablesOf("transport_raw") },
    { what: "tables, and no staging", expected: format(2 + CHAIN.length), found: await tablesOf("transport") },
  ];
}

function retention(stage: Stage, key: string): number {
  return stage.asset(key).retention?.days ?? 0;
}

function total(rows: Rows, column: string): string {
  return format(rows.reduce((sum, row) => sum + Number(row[column]), 0));
}

function text(row: Readonly<Record<string, unknown>>, column: string): string {
  return format(Number(row[column]));
}

function format(value: number): string {
  return value.toLocaleString("en-US");
}
