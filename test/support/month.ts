/** The assets of the month that is imported while its process is killed again and again. */
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";

const common = {
  keyPrefix: "month",
  bucketName: "month",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  rawDatasetName: "raw",
  cleanDatasetName: "month",
  interval: Interval.Daily,
  retentionDays: 100,
  format: "PARQUET",
} as const;

export const every = intervalGcsImportAsset({
  ...common,
  name: "every",
  pathBase: "every",
  destinationTable: "every",
  mode: SourceMode.Incremental,
});

export const newest = intervalGcsImportAsset({
  ...common,
  name: "newest",
  pathBase: "newest",
  destinationTable: "newest",
  mode: SourceMode.Overwrite,
});
