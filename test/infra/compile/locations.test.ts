import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { canLoad } from "../../../infra/compile/locations.ts";

describe("loading from a bucket into a dataset", () => {
  for (const [bucket, dataset, expected] of [
    ["EU", "EU", true],
    ["europe-west1", "EU", true],
    ["europe-west2", "EU", false],
    ["EUR4", "EU", true],
    ["US", "EU", false],
    ["us-central1", "EU", false],
    ["EU", "US", true],
    ["asia-northeast1", "US", true],
    ["europe-west1", "europe-west1", true],
    ["europe-west4", "europe-west1", false],
    ["EUR5", "europe-west1", true],
    ["EUR4", "europe-west1", false],
    ["EU", "europe-west1", true],
    ["EU", "europe-west2", false],
    ["US", "us-east1", true],
    ["US", "europe-west1", false],
    ["europe-west1+europe-west3", "europe-west3", true],
    ["us-central1+us-east1", "europe-west1", false],
    ["ASIA", "asia-east1", true],
    ["ASIA", "EU", false],
  ] as const)
    test(`${bucket} into ${dataset}: ${expected ? "yes" : "no"}`, () =>
      assert.equal(canLoad(bucket, dataset), expected));
});
