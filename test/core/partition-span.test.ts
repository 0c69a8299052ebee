import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DefinitionError } from "../../lib/core/errors.ts";
import { Interval, windowAt } from "../../lib/core/interval.ts";
import { checkBegun, partitionSpan } from "../../lib/core/partition-span.ts";
import { partitionRange, staticPartitions, timePartitions } from "../../lib/core/partitions.ts";

test("numbers exactly the partitions that a walk through the range meets, in its order", () => {
  const range = fc.record({
    interval: fc.constantFrom(...Object.values(Interval)),
    start: fc.integer({ min: Date.UTC(1, 0, 1), max: Date.UTC(9998, 0, 1) }),
    hours: fc.integer({ min: 0, max: 24 * 60 }),
  });
  fc.assert(
    fc.property(range, ({ interval, start, hours }) => {
      const definition = timePartitions(interval);
      const from = windowAt(interval, start).key;
      const to = windowAt(interval, start + hours * 3_600_000).key;
      const span = partitionSpan(definition, from, to);
      const walked = [...partitionRange(definition, from, to)].map(({ key }) => key);
      assert.deepEqual(
        Array.from({ length: span.total }, (_, n) => span.at(n)),
        walked,
      );
    }),
    { numRuns: 200 },
  );
});

test("static partitions keep the order of their definition", () => {
  const span = partitionSpan(staticPartitions(["us", "eu", "asia", "africa"]), "eu", "africa");
  assert.deepEqual([span.total, span.at(0), span.at(1), span.at(2)], [3, "eu", "asia", "africa"]);
});

test("the ends are given their own spelling, and a range that is none is refused", () => {
  const weeks = timePartitions(Interval.Weekly);
  assert.deepEqual(
    { ...partitionSpan(weeks, "2024-W18", "2024-W19"), at: undefined },
    { from: "2024-04-29", to: "2024-05-06", total: 2, at: undefined },
  );
  assert.throws(() => partitionSpan(weeks, "2024-W19", "2024-W18"), /runs backwards/);
  assert.throws(() => partitionSpan(staticPartitions(["a", "b"]), "b", "a"), /from b to a runs backwards/);
  assert.throws(() => partitionSpan(staticPartitions(["a", "b"]), "b", "c"), DefinitionError);
});

test("a window that has not begun is no end of a range, the present one is", () => {
  const days = timePartitions(Interval.Daily);
  const now = Date.UTC(2024, 4, 2, 12);
  checkBegun(days, partitionSpan(days, "2024-05-01", "2024-05-02"), now);
  assert.throws(
    () => checkBegun(days, partitionSpan(days, "2024-05-01", "2024-05-03"), now),
    /the partition 2024-05-03 has not begun yet/,
  );
});
