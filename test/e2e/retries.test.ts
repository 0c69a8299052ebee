/** A run that fails for a passing reason is tried again by its policy, and leaves nothing behind when that is used up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PermanentError, RetryableError, asset, bigquery, sql } from "sluice";
import { localPlatform } from "../support/local-platform.ts";

/** Fills its table, then fails as often as it is told. */
function flaky(failures: number, maxRetries: number, error: () => Error) {
  let calls = 0;
  return asset({
    key: "retry/flaky",
    target: { table: { dataset: "retry", table: "flaky" }, slot: "table" },
    resources: { bigquery: bigquery() },
    retry: { maxRetries, delaySeconds: 0.02, maxDelaySeconds: 0.05 },
    async materialize({ target }, { bigquery: warehouse }) {
      await warehouse.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 1 AS n`);
      calls += 1;
      if (calls <= failures) throw error();
    },
  });
}

const cases: readonly (readonly [string, number, number, () => Error, string | undefined, number])[] = [
  ["a passing fault, fewer times than the policy allows", 2, 2, () => new Error("503"), undefined, 2],
  ["a passing fault, once too often", 3, 2, () => new Error("503"), "retries-exhausted", 2],
  ["no retries at all", 1, 0, () => new RetryableError("429"), "retries-exhausted", 0],
  ["what will be wrong the next time as well", 1, 5, () => new PermanentError("no"), "failed", 0],
];

for (const [name, failures, maxRetries, error, code, retries] of cases) {
  test(name, async () => {
    await using platform = await localPlatform({ exports: { flaky: flaky(failures, maxRetries, error) } });
    await platform.publish("asset.retry.flaky", {});
    await platform.quiet();
    const failed = await platform.eventsOf("run.failed");
    assert.deepEqual(
      failed.map((event) => event.code),
      code === undefined ? [] : [code],
    );
    const parked = await platform.eventsOf("run.parked");
    assert.deepEqual(
      parked.map((event) => event.code),
      Array.from({ length: retries }, () => "retry"),
    );
    assert.equal((await platform.eventsOf("materialized")).length, code === undefined ? 1 : 0);
    assert.deepEqual(await platform.leftovers(), []);
  });
}
