/** Gitcoin Passport scores, dumped into a bucket as one Parquet file a day. */
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
import { z } from "zod";

export const gitcoinPassportScores = intervalGcsImportAsset({
  keyPrefix: "gitcoin",
  name: "passport_scores",
  projectId: "opensource-observer",
  bucketName: "oso-dataset-transfer-bucket",
  pathBase: "passport",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/scores.parquet`,
  destinationTable: "passport_scores",
  rawDatasetName: "oso_raw_sources",
  cleanDatasetName: "gitcoin",
  interval: Interval.Daily,
  mode: SourceMode.Overwrite,
  retentionDays: 10,
  format: "PARQUET",
  schema: z.object({ address: z.string(), score: z.number(), day: z.iso.date() }),
  asset: { description: "Gitcoin Passport scores", owners: ["data@example.org"] },
});
