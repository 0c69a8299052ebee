import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import {
  daily,
  formatPartition,
  hourly,
  latestPartition,
  monthly,
  parsePartition,
  partitionOrder,
  partitionRange,
  staticPartitions,
  timePartitions,
  weekly,
} from "../../lib/core/partitions.ts";

const refuses = (act: () => unknown, message: RegExp) =>
  assert.throws(act, (error) => {
    assert.ok(error instanceof DefinitionError);
    assert.match(messageOf(error), message);
    return true;
  });

test("definitions are plain data with canonical keys", () => {
  assert.deepEqual(daily({ start: "2024-05-01" }), { kind: "time", interval: "daily", start: "2024-05-01" });
  assert.deepEqual(weekly({ start: "2024-W18" }), { kind: "time", interval: "weekly", start: "2024-04-29" });
  assert.deepEqual(monthly(), { kind: "time", interval: "monthly" });
  assert.deepEqual(hourly({ end: "2024-05-01T00" }), { kind: "time", interval: "hourly", end: "2024-05-01T00" });
  assert.deepEqual(timePartitions("daily"), daily());
  refuses(() => daily({ start: "2024-05" }), /no daily partition/);
  refuses(() => daily({ start: "2024-05-01", end: "2024-05-01" }), /none at all/);
});

test("static keys", () => {
  assert.deepEqual(staticPartitions(["us", "eu", "日本"]).keys, ["us", "eu", "日本"]);
  const bad: [string[], RegExp][] = [
    [[], /at least one/],
    [["a", "a"], /is there twice/],
    [[""], /is empty/],
    [["x".repeat(101)], /has 101 characters/],
    [["a/b"], /slash/],
    [["a\n"], /control/],
    [["a\u0000b"], /control/],
    [["\ud800"], /control/],
    [["a\u2028b"], /control/],
    [[".."], /path or a range/],
    [["a..b"], /path or a range/],
    [["."], /path or a range/],
    [[" a"], /blank/],
  ];
  for (const [keys, message] of bad) refuses(() => staticPartitions(keys), message);
  assert.equal(staticPartitions(["x".repeat(100)]).keys.length, 1);
});

test("parsing", () => {
  assert.deepEqual(parsePartition(undefined, ""), { key: "" });
  refuses(() => parsePartition(undefined, "2024-05-01"), /no partitions.*leave the partition out/);
  const days = daily({ start: "2024-05-01", end: "2024-06-01" });
  assert.deepEqual(parsePartition(days, "2024-05-31"), {
    key: "2024-05-31",
    start: Date.UTC(2024, 4, 31),
    end: Date.UTC(2024, 5, 1),
  });
  refuses(() => parsePartition(days, "2024-04-30"), /before the first one.*2024-05-01/);
  refuses(() => parsePartition(days, "2024-06-01"), /after the last one.*2024-06-01/);
  refuses(() => parsePartition(days, "2024-05-32"), /calendar/);
  refuses(() => parsePartition(days, ""), /no daily partition/);
  const regions = staticPartitions(["europe", "america"]);
  assert.deepEqual(parsePartition(regions, "europe"), { key: "europe" });
  refuses(() => parsePartition(regions, "euorpe"), /unknown partition "euorpe".*did you mean "europe"/);
  refuses(() => parsePartition(regions, "zzzzzzzzzz"), /known: "europe", "america"/);
});

test("the latest partition", () => {
  const now = Date.UTC(2024, 4, 10, 12);
  assert.equal(latestPartition(daily(), now)?.key, "2024-05-09");
  assert.equal(latestPartition(daily({ start: "2024-05-09" }), now)?.key, "2024-05-09");
  assert.equal(latestPartition(daily({ start: "2024-05-10" }), now), undefined);
  assert.equal(latestPartition(daily({ end: "2024-05-05" }), now)?.key, "2024-05-04");
  assert.equal(latestPartition(weekly(), now)?.key, "2024-04-29");
  assert.equal(latestPartition(staticPartitions(["a"]), now), undefined);
  assert.deepEqual(latestPartition(undefined, now), { key: "" });
});

test("ranges", () => {
  const keys = (from: string, to: string, definition = daily()) =>
    [...partitionRange(definition, from, to)].map(({ key }) => key);
  assert.deepEqual(keys("2024-02-28", "2024-03-01"), ["2024-02-28", "2024-02-29", "2024-03-01"]);
  assert.deepEqual(keys("2024-12-23", "2025-W02", weekly()), ["2024-12-23", "2024-12-30", "2025-01-06"]);
  assert.deepEqual(keys("2024-05-01", "2024-05-01"), ["2024-05-01"]);
  refuses(() => keys("2024-05-02", "2024-05-01"), /runs backwards/);
  const regions = staticPartitions(["c", "a", "b"]);
  assert.deepEqual([...partitionRange(regions, "c", "a")], [{ key: "c" }, { key: "a" }]);
  refuses(() => [...partitionRange(regions, "a", "c")], /runs backwards/);
  assert.deepEqual([...partitionRange(undefined, "", "")], [{ key: "" }]);
});

test("a range of nine thousand years costs nothing until it is walked", () => {
  const range = partitionRange(hourly(), "0001-01-01T00", "9999-12-31T23");
  assert.equal(range.next().value?.key, "0001-01-01T00");
  assert.equal(range.next().value?.key, "0001-01-01T01");
});

test("a range reaches the very last window", () => {
  assert.deepEqual(
    [...partitionRange(monthly(), "9999-11", "9999-12")].map(({ key }) => key),
    ["9999-11", "9999-12"],
  );
});

test("partitions of a range touch each other and stay in order", () => {
  const definition = fc.constantFrom(hourly(), daily(), weekly(), monthly());
  const ms = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2030, 0) });
  fc.assert(
    fc.property(definition, ms, fc.integer({ min: 0, max: 60 }), (kind, now, count) => {
      let last = latestPartition(kind, now);
      const first = last;
      for (let step = 0; step < count; step += 1)
        last = parsePartition(kind, latestPartition(kind, (last?.end ?? 0) + 45 * 86_400_000)?.key ?? "");
      assert.ok(first !== undefined && last !== undefined);
      const range = [...partitionRange(kind, first.key, last.key)].slice(0, 2000);
      for (const [index, partition] of range.entries()) {
        const next = range[index + 1];
        if (next === undefined) break;
        assert.equal(partition.end, next.start);
        assert.ok(partitionOrder(kind, partition.key) < partitionOrder(kind, next.key));
      }
    }),
    { numRuns: 10 },
  );
});

test("order and form", () => {
  const many = staticPartitions(Array.from({ length: 12 }, (_, index) => `k${11 - index}`));
  const sorted = [...many.keys].sort((a, b) => (partitionOrder(many, a) < partitionOrder(many, b) ? -1 : 1));
  assert.deepEqual(sorted, many.keys);
  assert.equal(partitionOrder(weekly(), "2024-W18"), "2024-04-29");
  assert.equal(partitionOrder(undefined, ""), "");
  refuses(() => partitionOrder(many, "k99"), /unknown partition/);
  assert.equal(formatPartition({ key: "2024-05" }), "2024-05");
  assert.equal(formatPartition({ key: "" }), "all");
});
