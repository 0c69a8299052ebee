import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { planQuota } from "../../lib/core/backfill-quota.ts";
import type { Planned } from "../../lib/core/backfill-quota.ts";
import { daily, hourly, monthly, staticPartitions } from "../../lib/core/partitions.ts";

const byIngestion = { slot: "partition" } as const;
const byColumn = { slot: "partition", partitioning: { column: "day" } } as const;
const whole = { slot: "table" } as const;

const range = { from: "2020-01-01", to: "2023-12-31", others: 0 };
const of = (target: Planned["target"], partitions: Planned["partitions"] = daily()): Planned => ({
  key: "demo/t",
  partitions,
  target,
});

describe("a day's share", () => {
  for (const [what, asset, requests, perDay, days] of [
    ["a table", of(whole), 1_350, 1_350, 1],
    ["a table, spread", of(whole), 1_351, 1_350, 2],
    ["partitions by ingestion time", of(byIngestion), 9_900, 9_900, 1],
    ["partitions by a column", of(byColumn), 10_000, 27_000, 1],
    ["a merge, which is DML", of({ slot: "table", publish: { merge: ["day"] } }), 90_001, 90_000, 2],
    ["a view, which is DDL", of({ slot: "table", publish: "view" }), 10, 90_000, 1],
    ["rows that are appended", of({ slot: "table", publish: "append" }), 1_351, 1_350, 2],
    ["no table", of(undefined), 100_000, undefined, 1],
  ] as const) {
    test(what, () => {
      const plan = planQuota(asset, { ...range, requests });
      assert.deepEqual([plan.perDay, plan.days], [perDay, days]);
      assert.equal(plan.tooManyPerDay !== undefined, perDay !== undefined && requests > perDay);
      assert.equal(plan.tooManyPartitions, undefined);
    });
  }
});

describe("what does not fit", () => {
  test("a day's changes: the numbers, the days, and what would fit", () => {
    const { tooManyPerDay } = planQuota(of(whole), { ...range, requests: 1_461 });
    assert.equal(
      tooManyPerDay,
      "1,461 runs of demo/t do not fit into a day: BigQuery takes 1,500 changes of a table a day, and a tenth is left for " +
        "everyday runs; --per-day 1350 would take 2 days, and weekly partitions would be 209, and fit",
    );
  });

  test("with --per-day within the share it fits, and beyond it does not", () => {
    const slow = planQuota(of(whole), { ...range, requests: 1_461, perDay: 100 });
    assert.deepEqual([slow.tooManyPerDay, slow.days], [undefined, 15]);
    assert.match(planQuota(of(whole), { ...range, requests: 1_461, perDay: 1_400 }).tooManyPerDay ?? "", /^1,400 runs/);
    // A share that is larger than the whole is none.
    assert.equal(planQuota(of(whole), { ...range, requests: 10, perDay: 5_000 }).tooManyPerDay, undefined);
  });

  test("the partitions of a table, together with those that it has", () => {
    const hours = { from: "2020-01-01T00", to: "2023-12-31T23", requests: 35_064, others: 0 };
    assert.equal(
      planQuota(of(byColumn, hourly()), hours).tooManyPartitions,
      "the table of demo/t would have 35,064 partitions, and BigQuery takes 10,000: daily partitions would be 1,461, and fit",
    );
    const few = { ...hours, to: "2020-01-01T09", requests: 10 };
    assert.equal(planQuota(of(byColumn, hourly()), { ...few, others: 9_990 }).tooManyPartitions, undefined);
    assert.match(
      planQuota(of(byColumn, hourly()), { ...few, others: 9_991 }).tooManyPartitions ?? "",
      /would have 10,001 partitions/,
    );
    // A table that every run replaces has none.
    assert.equal(planQuota(of(whole, hourly()), hours).tooManyPartitions, undefined);
  });

  test("where nothing coarser is there, it says so", () => {
    const months = { from: "0001-01", to: "2023-12", requests: 24_276, others: 0 };
    assert.match(
      planQuota(of(byColumn, monthly()), months).tooManyPartitions ?? "",
      /takes 10,000: choose a shorter range$/,
    );
    const keys = staticPartitions(["a", "b"]);
    const plan = planQuota(of(whole, keys), { from: "a", to: "b", requests: 2_000, others: 0 });
    assert.match(plan.tooManyPerDay ?? "", /--per-day 1350 would take 2 days$/);
  });
});

test("every run fills its staging and publishes it; a view is only published, a raw table kept as well", () => {
  const jobs = (target: Planned["target"]): number => planQuota(of(target), { ...range, requests: 10 }).jobs;
  assert.equal(jobs(whole), 20);
  assert.equal(jobs({ slot: "table", keepRaw: true }), 30);
  assert.equal(jobs({ slot: "table", publish: "view" }), 10);
  assert.equal(jobs(undefined), 0);
});
