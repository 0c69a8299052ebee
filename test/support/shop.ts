/** Orders that a shop exports, and what is made of them by itself: docs/importing.md and docs/graph.md. */
import {
  asset,
  bigqueryTable,
  daily,
  dependsOn,
  eager,
  Interval,
  intervalGcsImportAsset,
  objectSensor,
  onCron,
  onMissing,
  parquetFiles,
  partition,
  skip,
  SourceMode,
  sql,
  sqlAsset,
  staticPartitions,
  weekly,
} from "sluice";
import { z } from "zod";

export const orders = intervalGcsImportAsset({
  keyPrefix: "shop",
  name: "orders",
  bucketName: "shop-exports",
  pathBase: "orders",
  fileMatch: String.raw`(?P<interval_timestamp>\d{8})/part-\d+\.csv`,
  complete: { marker: "_SUCCESS" },
  destinationTable: "orders",
  rawDatasetName: "shop_raw",
  cleanDatasetName: "shop",
  interval: Interval.Daily,
  mode: SourceMode.Incremental,
  partitionColumn: "day",
  retentionDays: 30,
  format: "CSV",
  csv: { skipLeadingRows: 1 },
  schema: z.object({ day: z.iso.date(), country: z.string(), amount: z.int() }),
});

export const revenueWeeks = sqlAsset({
  key: "shop/revenue_weeks",
  partitions: weekly({ start: "2024-04-29" }),
  automation: eager(),
  sql: sql`SELECT CAST(${partition.key} AS DATE) AS week, country, SUM(amount) AS revenue FROM ${orders.asset}
           WHERE day >= ${partition.start} AND day < ${partition.end} GROUP BY country`,
  schema: z.object({ week: z.iso.date(), country: z.string(), revenue: z.int() }),
  partitionBy: "week",
});

export const growth = asset({
  key: "shop/growth",
  partitions: weekly({ start: "2024-05-06" }),
  inputs: { weeks: dependsOn(revenueWeeks, { kind: "offset", by: -1, through: 0 }) },
  automation: eager(),
  schema: z.object({ week: z.iso.date(), more: z.int() }),
  ioManager: bigqueryTable({ partitionBy: "week" }),
  async *materialize({ row, partition }, { weeks }) {
    let more = 0;
    for await (const { week, revenue } of weeks) more += week === partition.key ? revenue : -revenue;
    yield row({ week: partition.key, more });
  },
});

export const reports = asset({
  key: "shop/reports",
  partitions: staticPartitions(["de", "fr"]),
  inputs: { weeks: dependsOn(revenueWeeks, { kind: "last" }) },
  automation: onMissing(),
  schema: z.object({ country: z.string(), revenue: z.int() }),
  ioManager: parquetFiles({ location: "gs://shop-reports/weekly" }),
  async *materialize({ row, partition }, { weeks }) {
    for await (const { country, revenue } of weeks) if (country === partition.key) yield row({ country, revenue });
  },
});

export const morning = sqlAsset({
  key: "shop/morning",
  partitions: daily({ start: "2024-05-01" }),
  automation: onCron("0 6 * * *", "Europe/Berlin"),
  sql: sql`SELECT country, COUNT(*) AS orders FROM ${orders.asset} WHERE day = ${partition.key} GROUP BY country`,
});

export const asked = objectSensor({
  name: "report_is_asked_for",
  bucket: "shop-exports",
  prefix: "asked/",
  target: reports,
  evaluate(_context, { name, generation }) {
    const country = /^asked\/(\w+)$/.exec(name)?.[1];
    if (country === undefined) return skip(`${name} names no country`);
    return { runKey: `${name}#${generation}`, partition: country };
  },
});
