/** Which buckets the warehouse can load from, by where they and the datasets are. */

/** Google's pairs of regions. */
const PAIRS: Readonly<Record<string, readonly string[]>> = {
  ASIA1: ["asia-northeast1", "asia-northeast2"],
  EUR4: ["europe-north1", "europe-west4"],
  EUR5: ["europe-west1", "europe-west2"],
  EUR7: ["europe-west2", "europe-west3"],
  EUR8: ["europe-west3", "europe-west6"],
  NAM4: ["us-central1", "us-east1"],
};

/** Regions of Europe that are not in the warehouse's multi-region EU. */
const OUTSIDE_EU: readonly string[] = ["europe-west2", "europe-west6"];

/**
 * Whether a load job of a dataset in `dataset` may read a bucket in `bucket`; both as they are written in an environment. A dataset
 * in US loads from everywhere; any other one only from where it is itself. Where the documents leave it open, the answer is yes.
 */
export function canLoad(bucket: string, dataset: string): boolean {
  if (dataset === "US" || bucket === dataset) return true;
  const regions = PAIRS[bucket] ?? bucket.split("+");
  return regions.some((region) => (dataset === "EU" ? isInEu(region) : region === dataset || holds(region, dataset)));
}

function isInEu(region: string): boolean {
  return region === "EU" || (region.startsWith("europe-") && !OUTSIDE_EU.includes(region));
}

/** A multi-region and one of its regions. */
function holds(multi: string, region: string): boolean {
  if (multi === "EU") return isInEu(region);
  return multi === "US" ? region.startsWith("us-") : multi === "ASIA" && region.startsWith("asia-");
}
