/** Flights within the United States, one Parquet file a day; every day is a partition of the table. */
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";

export const flights = intervalGcsImportAsset({
  keyPrefix: "transport",
  name: "flights",
  bucketName: "flight-drops",
  pathBase: "flights",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  destinationTable: "flights",
  rawDatasetName: "transport_raw",
  cleanDatasetName: "transport",
  interval: Interval.Daily,
  mode: SourceMode.Incremental,
  partitionColumn: "date",
  retentionDays: 14,
  format: "PARQUET",
  asset: { description: "Flights by day of departure", kinds: ["parquet"] },
});
