/** Which partition a staging table is of, by its name; and which datasets hold nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { daily, hourly, monthly, parsePartition, staticPartitions, weekly } from "../../lib/core/partitions.ts";
import type { PartitionsDefinition } from "../../lib/core/partitions.ts";
import { stagingOf } from "../../lib/core/placement.ts";
import type { Placed } from "../../lib/core/placement.ts";
import { apart, partitionsStagedAs, stagingOwners } from "../../lib/core/staged-table.ts";

const placed = (partitions?: PartitionsDefinition, table = "scores"): Placed => ({
  target: { table: { dataset: "clean", table }, slot: "table", stagingDataset: "raw" },
  partitions,
});
const FINGERPRINT = "0123456789abcdef";

test("every staging table is told by its name, and by no other asset's", () => {
  const cases: readonly (readonly [PartitionsDefinition | undefined, readonly string[]])[] = [
    [undefined, [""]],
    [hourly({ start: "2020-01-01T00" }), ["2024-05-01T05", "2024-12-31T23"]],
    [daily({ start: "2020-01-01" }), ["2024-05-01", "2024-02-29"]],
    [weekly({ start: "2020-01-06" }), ["2024-05-06"]],
    [monthly({ start: "2020-01" }), ["2024-05"]],
    [staticPartitions(["eu", "us-east", "useast"]), ["eu"]],
  ];
  for (const [partitions, keys] of cases)
    for (const key of keys) {
      if (partitions !== undefined) parsePartition(partitions, key);
      const { table } = stagingOf(placed(partitions), key, FINGERPRINT);
      assert.deepEqual(partitionsStagedAs(placed(partitions), table), [key], table);
      assert.deepEqual(partitionsStagedAs(placed(partitions, "score"), table), []);
      assert.deepEqual(partitionsStagedAs(placed(partitions, "scores__staging"), table), []);
      assert.deepEqual(partitionsStagedAs(placed(partitions), `${table}0`), []);
    }
});

test("keys that differ in signs alone have one name, and both count", () => {
  const regions = placed(staticPartitions(["us-east", "useast", "eu"]));
  const { table } = stagingOf(regions, "us-east", FINGERPRINT);
  assert.deepEqual(partitionsStagedAs(regions, table), ["us-east", "useast"]);
});

test("what is no staging of the asset's is nobody's", () => {
  for (const table of [
    "scores",
    "scores__20240501",
    "scores__staging",
    "scores__staging_",
    "scores__staging_20240501",
    "scores__staging_20240501_0123456789",
    "scores__staging_20240501_0123456789ABC",
    "scores__staging_20241301_0123456789ab",
    "scores__staging_202405_0123456789ab",
    "scores__staging__0123456789ab",
    "my_scores__staging_20240501_0123456789ab",
  ])
    assert.deepEqual(partitionsStagedAs(placed(daily({ start: "2020-01-01" })), table), [], table);
  fc.assert(
    fc.property(fc.string(), (rest) => {
      const found = partitionsStagedAs(placed(daily({ start: "2020-01-01" })), `scores__staging_${rest}`);
      for (const key of found) assert.match(key, /^\d{4}-\d\d-\d\d$/);
    }),
  );
});

test("datasets that hold staging alone", () => {
  const of = (key: string, dataset: string, stagingDataset?: string, project?: string) => ({
    key,
    partitions: undefined,
    target: {
      table: { dataset, table: "t", ...(project === undefined ? {} : { project }) },
      slot: "table" as const,
      ...(stagingDataset === undefined ? {} : { stagingDataset }),
    },
  });
  const external = { ...of("x/made", "elsewhere"), external: true as const };
  const assets = [
    of("a/raw", "clean", "raw"),
    of("a/same", "clean"),
    of("a/mixed", "other", "clean"),
    of("a/far", "far", "far_raw", "another-project"),
    external,
  ];
  const owners = stagingOwners(assets);
  assert.deepEqual(
    owners.map(({ key, dataset }) => `${key} ${dataset}`),
    ["a/raw raw", "a/same clean", "a/mixed clean", "a/far far_raw"],
  );
  assert.deepEqual(
    apart(owners, assets).map(({ key }) => key),
    ["a/raw"],
  );
});
