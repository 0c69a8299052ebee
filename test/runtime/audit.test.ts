/** Checks whose warehouse does not say how many rows they have found: a result that is not kept any more, say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, check, PermanentError, sql } from "sluice";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import { definitionsOf } from "../support/local-platform.ts";
import { plainRuntime, pushOf } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const GONE = "the rows of the job were kept for a day and are gone; run the query again";

/** The events of one run of an asset whose check asks such a warehouse. */
async function eventsWith(rows: Warehouse["rows"], ranBefore: (jobId: string) => boolean = () => false) {
  const labelsOf = new Map<string, Readonly<Record<string, string>>>();
  const warehouse: Partial<Warehouse> = {
    submit: async (jobId, _, labels) => {
      const isKnown = labelsOf.has(jobId) || ranBefore(jobId);
      labelsOf.set(jobId, labels);
      return isKnown ? "duplicate" : "accepted";
    },
    wait: async (jobId) => ({ jobId, state: "succeeded", labels: labelsOf.get(jobId) ?? {} }),
    rows,
  };
  const clock = virtualClock();
  const checked = asset({
    key: "shop/checked",
    retry: { maxRetries: 0 },
    checks: [check.noRows("no_orphans", sql`SELECT 1 AS orphan`, { blocking: false })],
    materialize: async () => undefined,
  });
  const { runtime, events } = plainRuntime({ definitions: definitionsOf({ checked }), clock, warehouse });
  await clock.runUntil(runtime.receive({ kind: "asset", key: "shop/checked" }, { body: pushOf({}) }));
  return (await events.history({ order: "oldest" })).items;
}

async function* manyRows(): AsyncGenerator<Readonly<Record<string, unknown>>> {
  for (let orphan = 1; ; orphan++) yield { orphan };
}
async function* noRow(): AsyncGenerator<never> {}
async function* goneRows(): AsyncGenerator<Readonly<Record<string, unknown>>> {
  yield* await Promise.reject<AsyncGenerator<never>>(new PermanentError(GONE, { code: "not-found" }));
}

test("rows that nobody has counted are rows: the check fails, and shows some of them", async () => {
  const [evaluated] = (await eventsWith(manyRows)).filter((event) => event.type === "check.evaluated");
  assert.equal(evaluated?.result.passed, false);
  assert.match(evaluated.result.message ?? "", /^at least \d+ rows, such as \{"orphan":1\}/);
});

test("a result without a row has passed, whoever did not count it", async () => {
  const items = await eventsWith(noRow);
  const results = items.flatMap((event) => (event.type === "check.evaluated" ? [event.result.passed] : []));
  assert.deepEqual(results, [true]);
  assert.equal(items.at(-1)?.type, "run.succeeded");
});

test("a check whose rows are gone has not passed", async () => {
  const items = await eventsWith(goneRows);
  assert.deepEqual(
    items.flatMap((event) => (event.type === "run.failed" ? [event.reason] : [])),
    [GONE],
  );
  assert.ok(items.every(({ type }) => type !== "check.evaluated" && type !== "run.succeeded"));
});

test("rows of a predecessor that are not kept any more are asked for again, and others are not", async () => {
  const passedWith = async (isGone: (jobId: string) => boolean, ranBefore: (jobId: string) => boolean) => {
    const asked: string[] = [];
    const rows: Warehouse["rows"] = (jobId) => {
      asked.push(jobId.slice(-2));
      return isGone(jobId) ? goneRows() : noRow();
    };
    const items = await eventsWith(rows, ranBefore);
    return [items.at(-1)?.type, new Set(asked)];
  };
  const first = (jobId: string) => jobId.endsWith("-a1");
  assert.deepEqual(await passedWith(first, first), ["run.succeeded", new Set(["a1", "a2"])]);
  assert.deepEqual(await passedWith(() => false, first), ["run.succeeded", new Set(["a1"])]);
  // What was asked just now and is gone is no reason to go on asking.
  assert.deepEqual(await passedWith(() => true, first), ["run.failed", new Set(["a1", "a2"])]);
});
