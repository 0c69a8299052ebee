/** A partition is never loaded twice, half visible or lost, whatever the transport, the clock and other runs do. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SourceMode } from "sluice";
import {
  ASSET,
  dayOf,
  days,
  fileOf,
  gates,
  line,
  onlyWhole,
  otherRuntime,
  overwrite,
  parts,
  pause,
  portsOf,
  reader,
  settled,
  uriOf,
} from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
  test(`duplicate events load once (${mode})`, async () => {
    await using platform = await localPlatform({ exports: days({ mode }) });
    const watching = reader(platform);
    const object = await platform.put(uriOf("2024-05-01"), await fileOf(duck, "2024-05-01", 1));
    await Promise.all(Array.from({ length: 8 }, () => platform.announceObject(object)));
    // Another transport says the same without attributes, with the generation as a number would be lost: as text.
    const { bucket, name, generation } = object;
    await platform.publish("bucket.drops", { bucket, name, generation });
    await platform.quiet();
    await Promise.all(Array.from({ length: 4 }, () => platform.announceObject(object)));
    await settled(platform, [line("2024-05-01", 1)]);
    onlyWhole(await watching.stop(), [line("2024-05-01", 1)]);
    assert.equal((await platform.allRuns()).length, 1);
    assert.equal((await platform.eventsOf("materialized")).length, 1);
  });

  test(`events in reverse order (${mode})`, async () => {
    await using platform = await localPlatform({ exports: days({ mode }) });
    const watching = reader(platform);
    const dates = [1, 2, 3, 4, 5, 6].map(dayOf);
    const objects = [];
    for (const day of dates) {
      objects.push(await platform.objects.write("drops", `days/${day}.parquet`, [await fileOf(duck, day, 1)]));
    }
    for (const object of objects.reverse()) await platform.announceObject(object);
    const expected = mode === SourceMode.Incremental ? dates.map((day) => line(day, 1)) : [line(dayOf(6), 1)];
    await settled(platform, expected);
    onlyWhole(
      await watching.stop(),
      dates.map((day) => line(day, 1)),
    );
  });

  test(`a correction during a load is what becomes visible (${mode})`, async () => {
    const held = gates();
    await using platform = await localPlatform({ exports: days({ mode }), gate: held.gate });
    const watching = reader(platform);
    const loading = held.hold(/^load-/);
    await platform.put(uriOf("2024-05-01"), await fileOf(duck, "2024-05-01", 1));
    await loading;
    await platform.put(uriOf("2024-05-01"), await fileOf(duck, "2024-05-01", 2, 25));
    held.release();
    await settled(platform, [line("2024-05-01", 2, 25)]);
    onlyWhole(await watching.stop(), [line("2024-05-01", 2, 25)]);
    assert.equal((await platform.eventsOf("materialized")).length, 1, "the second event finds its file loaded");
    assert.equal((await platform.eventsOf("run.restarted")).length, 1);
  });

  test(`a correction while the publish is under way comes after it (${mode})`, async () => {
    const held = gates();
    await using platform = await localPlatform({ exports: days({ mode }), gate: held.gate });
    const watching = reader(platform);
    const publishing = held.hold(/^pub-/);
    await platform.put(uriOf("2024-05-01"), await fileOf(duck, "2024-05-01", 1));
    await publishing;
    await platform.put(uriOf("2024-05-01"), await fileOf(duck, "2024-05-01", 2, 25));
    await pause(100);
    held.release();
    await settled(platform, [line("2024-05-01", 2, 25)]);
    onlyWhole(await watching.stop(), [line("2024-05-01", 1), line("2024-05-01", 2, 25)]);
    assert.equal((await platform.eventsOf("materialized")).length, 2);
  });
}

const rules = {
  count: { complete: { count: 3 } },
  marker: { complete: { marker: "_SUCCESS" } },
  settle: { complete: { settle: "1s" } },
} as const;
for (const [name, rule] of Object.entries(rules)) {
  for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
    test(`several files of an interval around a running load: ${name} (${mode})`, async () => {
      const held = gates();
      await using platform = await localPlatform({ exports: days({ mode, ...parts, ...rule }), gate: held.gate });
      const watching = reader(platform);
      const day = "2024-05-01";
      const put = async (part: number, version = 1) =>
        await platform.put(
          `gs://drops/days/${day}/part-${part}.parquet`,
          await fileOf(duck, day, version, 10 + part, part),
        );
      const lines = (versions: readonly number[]) =>
        versions.map((version, part) => line(day, version, 10 + part, part));
      const loading = held.hold(/^load-/);
      await put(0);
      await put(1);
      if (name !== "settle") {
        await platform.settle();
        assert.deepEqual(await platform.eventsOf("materialized"), [], "two of the files are not the interval");
        await put(2);
      }
      if (name === "marker") await platform.put(`gs://drops/days/${day}/_SUCCESS`, "");
      const waking = platform.quiet();
      await loading;
      // During the load: a duplicate, a file that was missing, or a correction.
      await (name === "settle" ? put(2) : put(1, 2));
      held.release();
      await waking;
      const expected = [...lines(name === "settle" ? [1, 1, 1] : [1, 2, 1])].sort();
      await settled(platform, expected);
      const observed = (await watching.stop()).filter((content) => content.length > 0);
      for (const content of observed) assert.deepEqual(content, expected, "a part of the interval was visible");
      // After the load: one more correction.
      await put(0, 3);
      await settled(platform, [...lines(name === "settle" ? [3, 1, 1] : [3, 2, 1])].sort());
    });
  }
}

test("intervals that race for one table: the newest wins, whoever publishes first", async (t) => {
  for (const [first, second] of [
    [1, 2],
    [2, 1],
  ] as const) {
    await t.test(`${dayOf(first)} is publishing when ${dayOf(second)} arrives`, async () => {
      const held = gates();
      await using platform = await localPlatform({ exports: days(overwrite), gate: held.gate });
      const watching = reader(platform);
      const publishing = held.hold(/^pub-/);
      await platform.put(uriOf(dayOf(first)), await fileOf(duck, dayOf(first), 1));
      await publishing;
      await platform.put(uriOf(dayOf(second)), await fileOf(duck, dayOf(second), 1));
      await pause(300);
      held.release();
      await settled(platform, [line(dayOf(2), 1)]);
      onlyWhole(await watching.stop(), [line(dayOf(1), 1), line(dayOf(2), 1)]);
    });
  }
  await t.test("ten at once", async () => {
    await using platform = await localPlatform({ exports: days(overwrite) });
    const watching = reader(platform);
    const dates = [7, 3, 10, 1, 9, 2, 8, 4, 6, 5].map(dayOf);
    const files = await Promise.all(dates.map((day) => fileOf(duck, day, 1)));
    await Promise.all(dates.map((day, index) => platform.put(uriOf(day), files[index] ?? "")));
    await platform.quiet(60_000);
    await settled(platform, [line(dayOf(10), 1)]);
    const observed = await watching.stop();
    onlyWhole(
      observed,
      dates.map((day) => line(day, 1)),
    );
    const shown = observed.map((content) => content[0] ?? "");
    assert.deepEqual(shown, [...shown].sort(), "the table never goes back");
  });
});

test("ten partitions of one table at once", async () => {
  await using platform = await localPlatform({ exports: days() });
  const watching = reader(platform);
  const dates = [7, 3, 10, 1, 9, 2, 8, 4, 6, 5].map(dayOf);
  const files = await Promise.all(dates.map((day) => fileOf(duck, day, 1)));
  await Promise.all(dates.map((day, index) => platform.put(uriOf(day), files[index] ?? "")));
  await settled(
    platform,
    dates.sort().map((day) => line(day, 1)),
  );
  onlyWhole(
    await watching.stop(),
    dates.map((day) => line(day, 1)),
  );
});

test("an expired lease whose holder is still alive", async (t) => {
  const brief = { leaseMs: 150, renewMs: 60_000 };
  for (const mode of [SourceMode.Incremental, SourceMode.Overwrite]) {
    for (const [step, jobs] of [
      ["its load", /^load-/],
      ["its publish", /^pub-/],
    ] as const) {
      for (const successor of ["its own wake-up", "a correction", "a correction and a forced request"] as const) {
        await t.test(`held in ${step}, then ${successor} (${mode})`, async () => {
          const held = gates();
          await using platform = await localPlatform({ exports: days({ mode }), gate: held.gate });
          const watching = reader(platform);
          const sleeper = otherRuntime(platform, portsOf(platform), brief);
          const object = await platform.objects.write("drops", "days/2024-05-01.parquet", [
            await fileOf(duck, "2024-05-01", 1),
          ]);
          const holding = held.hold(jobs);
          const runKey = `gs://drops/days/2024-05-01.parquet#${object.generation}`;
          const zombie = sleeper.receive(ASSET, { body: pushOf({ partition: "2024-05-01", runKey }) });
          await holding;
          await pause(200);
          const corrected = successor !== "its own wake-up";
          if (corrected) await platform.put(uriOf("2024-05-01"), await fileOf(duck, "2024-05-01", 2, 25));
          if (successor === "a correction and a forced request") {
            await platform.publish("asset.test.days", { partition: "2024-05-01", force: true });
          }
          await platform.runtime.sweepDue();
          await pause(150);
          held.release();
          await zombie;
          const last = corrected ? line("2024-05-01", 2, 25) : line("2024-05-01", 1);
          await settled(platform, [last]);
          onlyWhole(await watching.stop(), [line("2024-05-01", 1), last]);
          const made = await platform.eventsOf("materialized");
          assert.ok(made.length <= (corrected ? 3 : 1), `${made.length} materializations`);
        });
      }
    }
  }
});
