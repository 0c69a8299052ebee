/**
 * How punctual the airports are: a chain of assets that follows the flights by itself, from a file that arrives for a day to
 * the airports of a week that travellers had better avoid. Nobody schedules it; every link waits for what it is made from.
 */
import {
  asset,
  assetCheck,
  bigquery,
  bigqueryTable,
  check,
  daily,
  dependsOn,
  eager,
  partition,
  sql,
  sqlAsset,
  weekly,
} from "sluice";
import { z } from "zod";
import { flights } from "./flights.ts";

/** More than this many minutes late is late. */
const LATE = 15;

/** Sums and not means: sums of days add up to those of a week. */
const figures = { airport: z.string(), flights: z.int(), late: z.int(), delay: z.int() };

/** SQL alone. The flights that it refers to are its dependency, and each of their days makes the same day of it anew. */
export const airportDays = sqlAsset({
  key: "transport/airport_days",
  description: "Each airport's departures of a day: how many, how many late, and their delays in minutes",
  partitions: daily({ start: "2001-01-01" }),
  schema: z.object({ day: z.iso.date(), ...figures }),
  partitionBy: "day",
  clusterBy: ["airport"],
  checks: [check.unique("airport"), check.notNull(["airport", "delay"])],
  automation: eager(),
  sql: sql`SELECT DATE(date) AS day, origin AS airport, COUNT(*) AS flights, COUNTIF(delay > ${LATE}) AS late,
                  SUM(delay) AS delay
           FROM ${flights.asset} WHERE date >= ${partition.start} AND date < ${partition.end}
           GROUP BY day, airport`,
});

/** Each row that it returns is a failure. While there is one, the day stays as it was, and so does all that is made from it. */
export const plausibleDelays = assetCheck({
  asset: airportDays,
  name: "plausible_delays",
  description: "No airport's flights are off by five hours on the mean: then somebody has mixed up the units",
  blocking: true,
  sql: sql`SELECT airport, ROUND(delay / flights) AS minutes FROM ${airportDays} WHERE ABS(delay) > 300 * flights`,
});

/** Statements that code runs and looks at. A week is made from all of its days, as soon as the last of them is there. */
export const airportWeeks = asset({
  key: "transport/airport_weeks",
  description: "Each airport's departures of a week, which begins on Monday",
  partitions: weekly({ start: "2001-01-01" }),
  deps: [airportDays],
  schema: z.object({ week: z.iso.date(), ...figures }),
  resources: { bigquery: bigquery() },
  automation: eager(),
  async materialize({ partition: { key }, target }, { bigquery: warehouse }) {
    await warehouse.run(sql`
      CREATE OR REPLACE TABLE ${target} AS
      SELECT CAST(${key} AS DATE) AS week, airport, SUM(flights) AS flights, SUM(late) AS late, SUM(delay) AS delay
      FROM ${airportDays} WHERE day >= ${key} AND day < DATE_ADD(CAST(${key} AS DATE), INTERVAL 1 WEEK)
      GROUP BY airport`);
    const summary = await warehouse.run(sql`SELECT SUM(flights) AS flights, SUM(late) AS late FROM ${target}`);
    const [total] = await Array.fromAsync(summary.rowsOf());
    return { metadata: { flights: Number(total?.["flights"]), late: Number(total?.["late"]) } };
  },
});

/** Rows in, rows out: what is easier said in code. It reads two weeks, its own and the one before. */
export const lateAirports = asset({
  key: "transport/late_airports",
  description: "Large airports where a quarter of a week's flights or more left late, and how it was the week before",
  partitions: weekly({ start: "2001-01-01" }),
  inputs: { weeks: dependsOn(airportWeeks, { kind: "offset", by: -1, through: 0 }) },
  schema: z.object({
    week: z.iso.date(),
    airport: z.string(),
    late_percent: z.int(),
    week_before: z.int().nullable(),
  }),
  ioManager: bigqueryTable({ partitionBy: "week" }),
  checks: [check.unique("airport")],
  automation: eager(),
  async *materialize({ row, partition: { key: week } }, { weeks }) {
    const [before, now] = [new Map<string, number>(), new Map<string, number>()];
    for await (const { week: of, airport, flights: departures, late } of weeks) {
      if (departures >= 1000) (of === week ? now : before).set(airport, Math.round((100 * late) / departures));
    }
    for (const [airport, percent] of now) {
      if (percent < 25) continue;
      yield row({ week, airport, late_percent: percent, week_before: before.get(airport) ?? null });
    }
  },
});
