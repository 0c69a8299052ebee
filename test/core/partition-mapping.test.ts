import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkMapping, defaultMapping, downstreamOf, upstreamOf } from "../../lib/core/partition-mapping.ts";
import type { PartitionMapping } from "../../lib/core/partition-mapping.ts";
import { daily, hourly, monthly, staticPartitions, timePartitions, weekly } from "../../lib/core/partitions.ts";
import type { PartitionsDefinition } from "../../lib/core/partitions.ts";
import { windowAt } from "../../lib/core/interval.ts";

const now = Date.UTC(2024, 4, 20, 12);
const keys = (mapping: PartitionMapping, up: PartitionsDefinition, down: PartitionsDefinition, partition: string) => {
  const mapped = upstreamOf(mapping, up, down, partition);
  return mapped.kind === "keys" ? mapped.keys : mapped.kind;
};

test("without a name, the mapping follows from the two partitionings", () => {
  const regions = staticPartitions(["eu", "us"]);
  const cases: [PartitionsDefinition | undefined, PartitionsDefinition | undefined, string][] = [
    [undefined, undefined, "all"],
    [daily(), undefined, "all"],
    [undefined, daily(), "all"],
    [daily(), daily(), "same"],
    [hourly(), daily(), "windows"],
    [monthly(), daily(), "windows"],
    [regions, regions, "same"],
    [regions, daily(), "all"],
  ];
  for (const [up, down, kind] of cases) assert.equal(defaultMapping(up, down).kind, kind);
});

test("windows of other intervals are those that overlap", () => {
  const windows: PartitionMapping = { kind: "windows" };
  assert.equal(keys(windows, hourly(), daily(), "2024-05-01").length, 24);
  assert.deepEqual(keys(windows, daily(), weekly(), "2024-04-29").slice(0, 2), ["2024-04-29", "2024-04-30"]);
  assert.deepEqual(keys(windows, weekly(), monthly(), "2024-05"), [
    "2024-04-29",
    "2024-05-06",
    "2024-05-13",
    "2024-05-20",
    "2024-05-27",
  ]);
  assert.deepEqual(keys(windows, monthly(), weekly(), "2024-04-29"), ["2024-04", "2024-05"]);
  assert.deepEqual(keys(windows, daily({ start: "2024-05-30" }), monthly(), "2024-05"), ["2024-05-30", "2024-05-31"]);
});

test("offsets reach back, and stop at the upstream's bounds", () => {
  const week: PartitionMapping = { kind: "offset", by: -2, through: 0 };
  assert.deepEqual(keys(week, daily(), daily(), "2024-03-01"), ["2024-02-28", "2024-02-29", "2024-03-01"]);
  assert.deepEqual(keys(week, daily({ start: "2024-02-29" }), daily(), "2024-03-01"), ["2024-02-29", "2024-03-01"]);
  assert.deepEqual(downstreamOf(week, daily(), daily(), "2024-02-28", now), ["2024-02-28", "2024-02-29", "2024-03-01"]);
});

test("all and last look at the upstream as such", () => {
  assert.equal(keys({ kind: "all" }, daily(), daily(), "2024-05-01"), "whole");
  assert.equal(keys({ kind: "last" }, daily(), daily(), "2024-05-01"), "newest");
  assert.deepEqual(upstreamOf({ kind: "all" }, undefined, daily(), "2024-05-01"), { kind: "keys", keys: [""] });
  assert.deepEqual(downstreamOf({ kind: "all" }, daily(), daily(), "2024-01-01", now), ["2024-05-19"]);
  assert.deepEqual(downstreamOf({ kind: "all" }, daily(), undefined, "2024-01-01", now), [""]);
  assert.deepEqual(downstreamOf({ kind: "all" }, undefined, staticPartitions(["eu", "us"]), "", now), ["eu", "us"]);
});

test("a mapping that cannot be is refused", () => {
  assert.throws(() => checkMapping({ kind: "windows" }, daily(), undefined), /needs time partitions on both sides/);
  assert.throws(() => checkMapping({ kind: "same" }, daily(), monthly()), /same kind of partitions/);
  assert.throws(() => checkMapping({ kind: "offset", by: -1 }, daily(), weekly()), /same interval/);
  assert.throws(() => checkMapping({ kind: "offset", by: 0, through: -1 }, daily(), daily()), /smaller one first/);
  checkMapping({ kind: "offset", by: -1 }, daily(), daily());
});

test("a partition is among what its upstream affects exactly when that is among what it is made from", () => {
  const intervals = fc.constantFrom("hourly" as const, "daily" as const, "weekly" as const, "monthly" as const);
  const times = fc.integer({ min: Date.UTC(1999, 0, 1), max: Date.UTC(2031, 0, 1) });
  fc.assert(
    fc.property(intervals, intervals, times, fc.integer({ min: -40, max: 40 }), (up, down, at, shift) => {
      const [upstream, downstream] = [timePartitions(up), timePartitions(down)];
      const mappings: PartitionMapping[] = [{ kind: "windows" }];
      if (up === down) mappings.push({ kind: "same" }, { kind: "offset", by: shift, through: shift + 3 });
      for (const mapping of mappings) {
        const partition = windowAt(down, at).key;
        for (const key of keys(mapping, upstream, downstream, partition)) {
          assert.ok(
            downstreamOf(mapping, upstream, downstream, key, now).includes(partition),
            `${mapping.kind} ${key}`,
          );
        }
        const source = windowAt(up, at).key;
        for (const key of downstreamOf(mapping, upstream, downstream, source, now)) {
          assert.ok(keys(mapping, upstream, downstream, key).includes(source), `${mapping.kind} ${key}`);
        }
      }
    }),
    { numRuns: 300 },
  );
});
