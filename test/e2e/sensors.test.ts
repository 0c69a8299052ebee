/** Sensors through the front door: each event is one tick, and what it decided is stored with it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, assetSensor, daily, job, objectSensor, skip } from "sluice";
import { z } from "zod";
import { localPlatform } from "../support/local-platform.ts";

test("an object sensor is told of each generation once, and its job gets the config that it asked for", async () => {
  const got: string[] = [];
  const copy = job({
    name: "copy",
    config: z.strictObject({ name: z.string(), size: z.int() }),
    async run({ config }) {
      got.push(`${config.name} ${config.size}`);
    },
  });
  const watch = objectSensor({
    name: "watch",
    bucket: "incoming",
    prefix: "in/",
    job: copy,
    evaluate: (_context, { name, size, generation }) =>
      name.endsWith(".tmp") ? skip("a temporary file") : { runKey: `${name}#${generation}`, config: { name, size } },
  });
  await using platform = await localPlatform({ exports: { copy, watch } });
  const first = await platform.put("gs://incoming/in/a.csv", "123");
  await platform.announceObject(first);
  await platform.put("gs://incoming/in/b.tmp", "1");
  await platform.put("gs://incoming/elsewhere/c.csv", "1");
  await platform.quiet();
  await platform.put("gs://incoming/in/a.csv", "12345");
  await platform.quiet();
  assert.deepEqual(got, ["in/a.csv 3", "in/a.csv 5"]);
  const ticks = await platform.eventsOf("sensor.ticked");
  assert.deepEqual(
    ticks.map(({ requested, skipReason }) => skipReason ?? requested.length),
    [1, "a temporary file", 1],
  );
  assert.deepEqual(await platform.leftovers(), []);
});

test("a sensor can request partitions of an asset, several at once, and keep a cursor", async () => {
  const made: string[] = [];
  const cursors: (string | undefined)[] = [];
  const source = asset({ key: "s/source", partitions: daily(), materialize: async () => undefined });
  const target = asset({
    key: "s/target",
    partitions: daily(),
    async materialize({ partition }) {
      made.push(partition.key);
    },
  });
  const fan = assetSensor({
    name: "fan",
    asset: source,
    target,
    evaluate({ cursor }, { partition, materializationId }) {
      cursors.push(cursor);
      if (partition.key === "2024-05-03") return skip("not this one", { cursor: `${cursor ?? ""}s` });
      const wanted = ["2024-01-01", partition.key];
      return {
        requests: wanted.map((key) => ({ runKey: `${materializationId} ${key}`, partition: key })),
        cursor: partition.key,
      };
    },
  });
  await using platform = await localPlatform({ exports: { source, target, fan } });
  for (const partition of ["2024-05-01", "2024-05-03", "2024-05-02"]) {
    await platform.publish("asset.s.source", { partition });
    await platform.quiet();
  }
  assert.deepEqual(cursors, [undefined, "2024-05-01", "2024-05-01s"]);
  assert.deepEqual(made.sort(), ["2024-01-01", "2024-01-01", "2024-05-01", "2024-05-02"]);
});

test("a sensor that throws for good is a failed run, and the next event is a tick of its own", async () => {
  let calls = 0;
  const noop = job({ name: "noop", run: async () => undefined });
  const source = asset({ key: "s/source", materialize: async () => undefined });
  const strict = assetSensor({
    name: "strict",
    asset: source,
    job: noop,
    evaluate(_context, { materializationId }) {
      calls += 1;
      if (calls === 1) throw new TypeError("not what was expected");
      return { runKey: materializationId };
    },
  });
  await using platform = await localPlatform({ exports: { source, noop, strict } });
  await platform.publish("asset.s.source", {});
  await platform.settle();
  const parked = (await platform.eventsOf("run.parked")).filter(({ code }) => code === "retry");
  assert.equal(parked.length, 1, "an unknown error may be a passing one: it is tried again");
  await platform.publish("asset.s.source", {});
  await platform.settle();
  assert.equal((await platform.eventsOf("sensor.ticked")).length, 1);
});
