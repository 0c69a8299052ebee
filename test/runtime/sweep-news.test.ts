/** Whoever has missed a materialization is asked again, until there is a run; and what nobody has missed costs nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { eager } from "../../lib/core/automation.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { job } from "../../lib/core/job.ts";
import { daily } from "../../lib/core/partitions.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { assetSensor, skip } from "../../lib/core/sensor.ts";
import { plainRuntime, pushOf } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const MINUTE = 60_000;
const partitions = daily({ start: "2024-01-01" });
const nothing = async (): Promise<void> => undefined;

function defined(...more: readonly unknown[]): Definitions {
  const up = asset({ key: "a/up", partitions, materialize: nothing });
  const below = asset({ key: "a/below", partitions, deps: [up], automation: eager(), materialize: nothing });
  const tidy = job({ name: "tidy", run: nothing });
  const told = assetSensor({
    name: "told",
    asset: up,
    job: tidy,
    defaultStatus: "running",
    evaluate: () => skip("seen"),
  });
  const { definitions, problems } = collectDefinitions([
    { file: "functions/a.ts", exports: { up, below, tidy, told, more } },
  ]);
  assert.deepEqual(problems, []);
  return definitions;
}

function setUp(definitions = defined(), onPublish?: (topic: string) => void) {
  const clock = virtualClock();
  const reads: string[] = [];
  const counted = (store: EventStore): EventStore => ({
    ...store,
    get: (kind, id) => {
      reads.push(`${kind} ${id}`);
      return store.get(kind, id);
    },
    history: (query) => {
      reads.push("history");
      return store.history(query);
    },
  });
  const made = plainRuntime({ definitions, clock, events: counted, ...(onPublish === undefined ? {} : { onPublish }) });
  const make = (partition: string, key = "a/up") =>
    made.runtime.receive({ kind: "asset", key }, { body: pushOf({ partition }, undefined, `${key} ${partition}`) });
  const asked = (topic: string): readonly string[] => made.published.filter((text) => text.startsWith(`${topic} `));
  return { ...made, clock, reads, make, asked };
}

test("news that was lost is told again after a while, and not before", async () => {
  const { runtime, clock, make, asked } = setUp();
  await make("2024-03-01");
  await runtime.sweepBuckets();
  assert.deepEqual(asked("asset.a.below"), []);
  await clock.advance(3 * MINUTE);
  await runtime.sweepBuckets();
  assert.equal(asked("asset.a.below").length, 1);
  assert.match(
    asked("asset.a.below")[0] ?? "",
    /"kind":"reconcile".*"partition":"2024-03-01"|"partition":"2024-03-01".*"kind":"reconcile"/,
  );
  assert.equal(asked("sensor.told").length, 1);
});

test("a request that is lost as well is made again, under the same run key, until there is a run", async () => {
  const { runtime, clock, make, asked } = setUp();
  await make("2024-03-01");
  for (let minutes = 3; minutes < 9; minutes += 3) {
    await clock.advance(3 * MINUTE);
    await runtime.sweepBuckets();
  }
  const requests = asked("asset.a.below");
  assert.equal(requests.length, 2);
  assert.equal(new Set(requests).size, 1, "another run key would be another run");
  const data: unknown = JSON.parse((requests[0] ?? "").slice("asset.a.below ".length));
  await runtime.receive({ kind: "asset", key: "a/below" }, { body: pushOf(data) });
  await clock.advance(3 * MINUTE);
  await runtime.sweepBuckets();
  assert.equal(asked("asset.a.below").length, 2);
});

test("whoever waits is asked once more however late the next sweep comes, and then given up", async () => {
  const { runtime, events, clock, make, asked } = setUp();
  await make("2024-03-01");
  await clock.advance(3 * MINUTE);
  await runtime.sweepBuckets();
  await clock.advance(25 * 60 * MINUTE);
  await runtime.sweepBuckets();
  assert.equal(asked("asset.a.below").length, 2);
  assert.doesNotMatch((await events.get("cursor", "sweep news"))?.value ?? "", /below|told/);
  await runtime.sweepBuckets();
  assert.equal(asked("asset.a.below").length, 2);
});

test("who cannot be asked holds up nobody, and is given up after a day", async () => {
  const { runtime, events, clock, make, asked } = setUp(defined(), (topic) => {
    if (topic === "asset.a.below") throw new Error("the topic is gone");
  });
  for (let day = 1; day <= 25; day++) await make(`2024-03-${String(day).padStart(2, "0")}`);
  // Twenty are tried at a time, and those that were not come first the next time.
  for (let sweeps = 0; sweeps < 4; sweeps++) {
    await clock.advance(3 * MINUTE);
    await assert.rejects(runtime.sweepBuckets(), /the topic is gone/);
  }
  assert.equal(new Set(asked("sensor.told")).size, 25);
  assert.match((await events.get("cursor", "sweep news"))?.value ?? "", /below/);
  await clock.advance(25 * 60 * MINUTE);
  await runtime.sweepBuckets();
  assert.doesNotMatch((await events.get("cursor", "sweep news"))?.value ?? "", /below/);
});

test("whoever has seen it is not asked, and the sensor that has ticked does not tick again", async () => {
  const { runtime, clock, make, asked } = setUp();
  await make("2024-03-01");
  await make("2024-03-01", "a/below");
  const [news = ""] = asked("materialized.a.up");
  await runtime.receive({ kind: "sensor", name: "told" }, { body: pushOf(JSON.parse(news.slice(news.indexOf("{")))) });
  await clock.advance(3 * MINUTE);
  await runtime.sweepBuckets();
  assert.deepEqual([...asked("asset.a.below"), ...asked("sensor.told")], []);
});

test("news of an asset that an older process does not know is left to one that does, and forgotten some day", async () => {
  const up = asset({ key: "a/above", previousKeys: ["a/up"], partitions, materialize: nothing });
  const below = asset({ key: "a/below", partitions, deps: [up], automation: eager(), materialize: nothing });
  const { definitions } = collectDefinitions([{ file: "functions/a.ts", exports: { up, below } }]);
  const newer = setUp(definitions);
  const older = plainRuntime({ definitions: defined(), clock: newer.clock, events: () => newer.events });
  await newer.make("2024-03-01", "a/above");
  await newer.clock.advance(3 * MINUTE);
  await older.runtime.sweepBuckets();
  await older.runtime.sweepBuckets();
  assert.equal(newer.asked("asset.a.below").length, 0);
  await newer.clock.advance(25 * 60 * MINUTE); // nobody sweeps meanwhile
  await newer.runtime.sweepBuckets();
  assert.equal(newer.asked("asset.a.below").length, 1);

  const waiting = async (): Promise<string> => (await newer.events.get("cursor", "sweep news"))?.value ?? "";
  await newer.make("2024-03-02", "a/above");
  await newer.clock.advance(3 * MINUTE);
  await older.runtime.sweepBuckets();
  assert.match(await waiting(), /"unknown"/);
  await newer.clock.advance(61 * MINUTE);
  await older.runtime.sweepBuckets();
  assert.doesNotMatch(await waiting(), /"unknown"/);
});

test("nothing new: as many reads with a thousand assets as with three", async () => {
  const many = Array.from({ length: 1_000 }, (_, index) =>
    asset({ key: `many/n${index}`, partitions, materialize: nothing }),
  );
  const counts: number[] = [];
  for (const definitions of [defined(), defined(...many)]) {
    const { runtime, clock, make, reads } = setUp(definitions);
    for (const day of ["2024-03-01", "2024-03-02", "2024-03-03"]) {
      await make(day);
      await make(day, "a/below");
    }
    await clock.advance(3 * MINUTE);
    // The sensor never hears, so it is waited for: that is for a day, and no longer.
    await runtime.sweepBuckets();
    await clock.advance(24 * 60 * MINUTE);
    await runtime.sweepBuckets();
    reads.length = 0;
    await runtime.sweepBuckets();
    counts.push(reads.length);
  }
  assert.equal(counts[0], counts[1]);
  assert.ok((counts[0] ?? Infinity) < 10, `${counts[0]} reads`);
});

test("partitions that were redefined since stop nothing", async () => {
  const { runtime, clock, make, asked, events } = setUp();
  const bad = { v: 1 as const, at: clock.now(), asset: "a/up", run: "0123456789abcdef" };
  const materialized = { materializationId: "m-1", fingerprint: "f", inputs: [] };
  await events.append([{ ...bad, id: "old", partition: "eu", type: "materialized", ...materialized }]);
  await make("2024-03-01");
  await clock.advance(3 * MINUTE);
  await runtime.sweepBuckets();
  assert.equal(asked("asset.a.below").length, 1);
});
