/** Deadlines that have passed: what cannot be done for one holds up no other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { RetryableError } from "../../lib/core/errors.ts";
import { daily } from "../../lib/core/partitions.ts";
import { pushOf, plainRuntime } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const HOUR = 3_600_000;
const partitions = daily({ start: "2024-01-01" });

async function materialize(): Promise<void> {
  throw new RetryableError("not yet", { afterMs: 60_000 });
}

const gone = asset({ key: "a/gone", partitions, materialize });
const there = asset({ key: "a/there", partitions, materialize });
const fresh = asset({ key: "a/fresh", freshness: { within: "1h" }, materialize });

test("runs whose topic is gone, however many and however old, do not keep the others asleep, nor freshness unseen", async () => {
  const { definitions, problems } = collectDefinitions([{ file: "functions/a.ts", exports: { gone, there, fresh } }]);
  assert.deepEqual(problems, []);
  const clock = virtualClock();
  let deployed = true;
  const { runtime, events, published } = plainRuntime({
    definitions,
    clock,
    onPublish: (topic) => {
      if (!deployed && topic === "asset.a.gone") throw new Error("the topic of a/gone is not deployed");
    },
  });
  const sleep = (key: string, partition: string) =>
    runtime.receive({ kind: "asset", key }, { body: pushOf({ partition }, undefined, `${key} ${partition}`) });
  const days = Array.from({ length: 30 }, (_, day) => `2024-03-${String(day + 1).padStart(2, "0")}`);
  for (const day of days) await sleep("a/gone", day);
  await sleep("a/there", "2024-03-01");
  // What the first one finds of policies is due at once.
  for (let sweeps = 0; sweeps < 2; sweeps++) await runtime.sweepDue();
  deployed = false;
  await clock.advance(2 * HOUR);
  for (let sweeps = 0; sweeps < 2; sweeps++)
    await assert.rejects(runtime.sweepDue(), /the topic of a\/gone is not deployed/);
  const awake = published.filter((text) => text.includes('"wake"'));
  assert.equal(awake.length, 1, awake.join("\n"));
  assert.match(awake[0] ?? "", /^asset\.a\.there /);
  const { items } = await events.history({ types: ["freshness.failed"] });
  assert.deepEqual(
    items.map(({ asset: key }) => key),
    ["a/fresh"],
  );

  deployed = true;
  await clock.advance(60_000);
  await runtime.sweepDue();
  assert.equal(published.filter((text) => text.startsWith('asset.a.gone {"wake"')).length, 30);
});
