/**
 * Flights within the United States, from two kinds of files. `sluice demo` feeds both; they are also the two patterns that
 * most imports follow.
 */
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
import { z } from "zod";

/** Both read the same bucket, and keep their staging in the same dataset. */
const common = {
  keyPrefix: "transport",
  bucketName: "flight-drops",
  rawDatasetName: "transport_raw",
  cleanDatasetName: "transport",
  interval: Interval.Daily,
  format: "PARQUET",
} as const;

/**
 * A file holds the flights of its day and nothing else. Incremental: every day is a partition of the table, which can be
 * loaded in any order, and again.
 */
export const flights = intervalGcsImportAsset({
  ...common,
  name: "flights",
  pathBase: "flights",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  destinationTable: "flights",
  mode: SourceMode.Incremental,
  // Without it, days would be told apart by the time of their import. With it, a row of another day fails the audit.
  partitionColumn: "date",
  retentionDays: 14,
  schema: z.object({
    date: z.iso.datetime(),
    delay: z.int(),
    distance: z.int(),
    origin: z.string(),
    destination: z.string(),
  }),
  asset: { description: "Flights by day of departure", kinds: ["parquet"] },
});

/**
 * A file holds everything that is known by the end of its day. Overwrite: the newest day is the table, and a file that
 * comes late never replaces a newer one.
 */
export const routes = intervalGcsImportAsset({
  ...common,
  name: "routes",
  pathBase: "routes",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/routes\.parquet`,
  destinationTable: "routes",
  mode: SourceMode.Overwrite,
  retentionDays: 7,
  schema: z.object({
    origin: z.string(),
    destination: z.string(),
    flights: z.int(),
    mean_delay: z.number(),
  }),
  asset: { description: "Every route: its flights so far, and their mean delay in minutes", kinds: ["parquet"] },
});
