/** The assets behind the flights, computed once more from the source file, and their runs, counted. */
import { DAYS, withMonth } from "./demo-data.ts";
import type { Rows } from "./demo-data.ts";
import { number } from "./demo-screen.ts";
import type { Figure } from "./demo-screen.ts";
import type { Stage } from "./demo-stage.ts";

export const AIRPORT_DAYS = "transport/airport_days";
export const AIRPORT_WEEKS = "transport/airport_weeks";
export const LATE_AIRPORTS = "transport/late_airports";
/** Each is made from the one before it, the first from the flights. */
export const CHAIN: readonly string[] = [AIRPORT_DAYS, AIRPORT_WEEKS, LATE_AIRPORTS];

/** The week that the month leaves unfinished, by its Monday. */
export const OPEN_WEEK = "2001-01-29";

/** A table of the platform's, and what its rows should be, in DuckDB's own SQL over the month. */
const TABLES: Readonly<Record<string, { readonly columns: string; readonly expected: string }>> = {
  [AIRPORT_DAYS]: {
    columns: "CAST(day AS STRING) AS day, airport, flights, late, delay",
    expected: `
      SELECT date::DATE::VARCHAR AS day, origin, count(*), count(*) FILTER (delay > 15), sum(delay)
      FROM month GROUP BY ALL`,
  },
  [AIRPORT_WEEKS]: {
    columns: "CAST(week AS STRING) AS week, airport, flights, late, delay",
    expected: `
      SELECT date_trunc('week', date)::DATE::VARCHAR AS week, origin, count(*), count(*) FILTER (delay > 15), sum(delay)
      FROM month WHERE date < DATE '${OPEN_WEEK}' GROUP BY ALL`,
  },
  [LATE_AIRPORTS]: {
    columns: "CAST(week AS STRING) AS week, airport, late_percent, week_before",
    expected: `
      WITH weeks AS (
        SELECT date_trunc('week', date)::DATE AS week, origin, round(avg((delay > 15)::INT) * 100)::INT AS late_percent
        FROM month WHERE date < DATE '${OPEN_WEEK}' GROUP BY ALL HAVING count(*) >= 1000)
      SELECT weeks.week::VARCHAR, weeks.origin, weeks.late_percent, before.late_percent AS week_before
      FROM weeks LEFT JOIN weeks AS before ON before.origin = weeks.origin AND before.week = weeks.week - 7
      WHERE weeks.late_percent >= 25`,
  },
};

/** Of each table, how many rows the platform and the source have in common, of all that either has. */
export async function compareChain(query: Stage["query"]): Promise<Figure[]> {
  const expected = await withMonth(async (read) => {
    const rows: Rows[] = [];
    for (const key of CHAIN) rows.push(await read(TABLES[key]?.expected ?? ""));
    return rows;
  });
  const figures: Figure[] = [];
  for (const [index, key] of CHAIN.entries()) {
    const table = tableOf(key);
    const right = texts(expected[index] ?? []);
    const found = texts(await query(`SELECT ${TABLES[key]?.columns ?? ""} FROM transport.${table}`));
    const agreeing = [...found].filter((row) => right.has(row)).length;
    const all = number(right.size);
    figures.push({
      what: `${table}: rows that agree`,
      expected: `${all} of ${all}`,
      found: `${number(agreeing)} of ${number(Math.max(found.size, right.size))}`,
    });
  }
  return figures;
}

/** A row that is there twice counts twice. */
function texts(rows: Rows): ReadonlySet<string> {
  const seen = new Map<string, number>();
  return new Set(
    rows.map((row) => {
      const text = Object.values(row).map(String).join(" ");
      const times = (seen.get(text) ?? 0) + 1;
      seen.set(text, times);
      return `${text} #${times}`;
    }),
  );
}

/** How often each ran: as often as there was news for it, and never because somebody asked. */
export async function chainRuns(stage: Stage): Promise<Figure[]> {
  const history = await stage.history();
  const weeks = 4;
  const expected: Readonly<Record<string, readonly [runs: number, failed: number]>> = {
    // The corrected day, the one sent again, and the one in seconds with the right one after it.
    [AIRPORT_DAYS]: [DAYS.length + 1 + 1 + 2, 1],
    // The last whole week again after the correction, and after the right file.
    [AIRPORT_WEEKS]: [weeks + 2, 0],
    [LATE_AIRPORTS]: [weeks + 2, 0],
  };
  return CHAIN.map((key) => {
    const own = history.filter(({ asset }) => asset === key);
    const started = own.filter((event) => event.type === "run.started");
    const show = (runs: number, failed: number, asked: number): string => `${runs}, ${failed} failed, ${asked} by hand`;
    const failed = own.filter(({ type }) => type === "run.failed").length;
    const asked = started.filter(({ cause }) => cause.kind !== "materialization").length;
    return {
      what: `${tableOf(key)}: runs`,
      expected: show(...(expected[key] ?? [0, 0]), 0),
      found: show(new Set(started.map(({ run }) => run)).size, failed, asked),
    };
  });
}

/** `airport_days` */
export function tableOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}
