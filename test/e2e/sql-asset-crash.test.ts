/** A process may die after any step of publishing by append or merge: every row is there once, and the newest run's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { daily, partition, sql, sqlAsset } from "sluice";
import { z } from "zod";
import type { Settings } from "../../lib/runtime/services.ts";
import { dayOf, gates, otherRuntime, portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";

const config = z.object({ n: z.int() });
const retry = { delaySeconds: 0.05 };

/** Each run adds its number. */
const log = sqlAsset({
  key: "sql/log",
  config,
  retry,
  materialization: "append",
  sql: sql`SELECT ${sql.config("n")} AS n`,
});
/** Each run sets the number of its day, and counts one day more that all of them share. */
const sums = sqlAsset({
  key: "sql/sums",
  partitions: daily(),
  config,
  retry,
  materialization: { merge: ["day"] },
  sql: sql`SELECT day, ${sql.config("n")} AS n FROM UNNEST([${partition.key}, '2000-01-01']) AS day`,
});
const assets = { log, sums } as const;

const ask = { log: () => "", sums: dayOf } as const;
const shown = {
  log: async (platform: LocalPlatform) =>
    (await platform.rows("SELECT n FROM sql.log ORDER BY n")).map(({ n }) => String(n)),
  sums: async (platform: LocalPlatform) =>
    (await platform.rows("SELECT day, n FROM sql.sums ORDER BY day")).map(
      ({ day, n }) => `${String(day)} ${String(n)}`,
    ),
} as const;
const expected = {
  log: (runs: readonly number[]) => runs.map(String),
  sums: (runs: readonly number[]) => [`2000-01-01 ${runs.at(-1) ?? 0}`, ...runs.map((n) => `${dayOf(n)} ${n}`)],
} as const;

for (const name of ["log", "sums"] as const) {
  const asset = { kind: "asset", key: assets[name].key } as const;
  const messageOf = (n: number): unknown => {
    const day = ask[name](n);
    return pushOf({ ...(day === "" ? {} : { partition: day }), runKey: `run ${n}`, config: { n } });
  };

  test(`${name}: a process that dies after any of its steps, then the same message again, twice`, async () => {
    await using platform = await localPlatform({ exports: assets });
    const deaths: string[] = [];
    for (let step = 1; ; step++) {
      assert.ok(step < 100, "the run never ends");
      const message = messageOf(step);
      const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
      const done = otherRuntime(platform, ports).receive(asset, { body: message });
      const died = await Promise.race([death, done.then(() => undefined)]);
      for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
      await platform.runtime.releaseAbandoned();
      for (let again = 0; again < 2; again++) await platform.runtime.receive(asset, { body: message });
      await platform.quiet();
      const after = `after ${died ?? "no death"}, step ${step}`;
      const runs = Array.from({ length: step }, (_, index) => index + 1);
      assert.deepEqual(await shown[name](platform), expected[name](runs), after);
      assert.equal((await platform.eventsOf("materialized")).length, step, after);
      assert.deepEqual(await platform.leftovers(), [], after);
      if (died === undefined) break;
      deaths.push(died);
    }
    assert.ok(deaths.filter((call) => call === "warehouse.submit").length >= 2, deaths.join(", "));
    assert.ok(deaths.includes("warehouse.wait"), deaths.join(", "));
  });

  test(`${name}: processes that die one after the other, each at work on what the last one left`, async (t) => {
    const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
    t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
    let state = seed;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return Math.floor((state / 0x80000000) * limit);
    };
    await using platform = await localPlatform({ exports: assets });
    for (let n = 1; n <= 8; n++) {
      const story: string[] = [];
      const jobs: string[] = [];
      for (let death = 0; death < 4; death++) {
        const mortal = mortalPorts(portsOf(platform), 1 + below(40));
        const runtime = otherRuntime(platform, mortal.ports);
        const open = (await platform.allRuns()).find((run) => run.endedAt === undefined);
        const body = open !== undefined && below(2) === 0 ? pushOf({ wake: open.id }) : messageOf(n);
        const done = runtime.receive(asset, { body }).then(() => "nothing");
        story.push(await Promise.race([mortal.death, done]));
        jobs.push(...mortal.jobs);
        if (below(2) === 0) for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
        await expire(platform, asset.key, ask[name](n));
      }
      for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
      await platform.runtime.receive(asset, { body: messageOf(n) });
      await platform.runtime.releaseAbandoned();
      await platform.quiet(15_000);
      const runs = Array.from({ length: n }, (_, index) => index + 1);
      assert.deepEqual(await shown[name](platform), expected[name](runs), story.join(", "));
      assert.equal((await platform.eventsOf("materialized")).length, n, story.join(", "));
      // A statement of the dead that lands after its successor is done leaves a table behind, which harms nobody.
      const left = (await platform.leftovers()).filter((line) => !line.startsWith("staging table"));
      assert.deepEqual(left, [], story.join(", "));
    }
  });

  test(`${name}: a publish that lands late, after its process died, takes effect once, before the next one`, async () => {
    const gate = gates();
    const settings: Partial<Settings> = { waitMs: 50, lookAgainMs: 100 };
    await using platform = await localPlatform({ exports: assets, settings, gate: gate.gate });
    await platform.runtime.receive(asset, { body: messageOf(1) });
    await platform.quiet();

    const held = gate.hold(/^pub-/);
    const mortal = mortalPorts(portsOf(platform), Infinity);
    void otherRuntime(platform, mortal.ports, settings).receive(asset, { body: messageOf(2) });
    const job = await held;
    await expire(platform, asset.key, ask[name](2));
    void platform.runtime.receive(asset, { body: messageOf(3) });
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(await shown[name](platform), expected[name]([1]), "nothing of the second is visible yet");
    gate.release();
    await platform.warehouse.wait(job, { timeoutMs: 240_000 });
    await platform.runtime.releaseAbandoned();
    await platform.runtime.receive(asset, { body: messageOf(2) });
    await platform.quiet(15_000);
    const found = await shown[name](platform);
    if (name === "log") assert.deepEqual(found, expected.log([1, 2, 3]));
    else assert.deepEqual(found.slice(1), expected.sums([1, 2, 3]).slice(1));
    assert.equal((await platform.eventsOf("materialized")).length, 3);
    assert.deepEqual(await platform.leftovers(), []);
  });
}

for (const name of ["log", "sums"] as const) {
  const asset = { kind: "asset", key: assets[name].key } as const;
  const messageOf = (n: number): unknown =>
    pushOf({ ...(name === "log" ? {} : { partition: dayOf(n) }), runKey: `run ${n}`, config: { n } });

  test(`${name}: whoever comes next settles the publish of the dead, and it counts once or not at all`, async () => {
    await using platform = await localPlatform({ exports: assets });
    const seen = new Set<string>();
    const runs: number[] = [];
    for (let step = 1; ; step++) {
      assert.ok(step < 100, "the run never ends");
      const [first, second] = [2 * step - 1, 2 * step];
      const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
      const done = otherRuntime(platform, ports).receive(asset, { body: messageOf(first) });
      const died = await Promise.race([death, done.then(() => undefined)]);
      for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
      await expire(platform, asset.key, ask[name](first));
      await platform.runtime.receive(asset, { body: messageOf(second) });
      const after = `after ${died ?? "no death"}, step ${step}`;
      const now = await shown[name](platform);
      const firstThere = now.some((line) => line === String(first) || line === `${dayOf(first)} ${first}`);
      if (firstThere) runs.push(first);
      runs.push(second);
      assert.deepEqual(now, expected[name](runs), after);
      for (const { outcome, run } of await platform.eventsOf("publish.settled")) seen.add(`${outcome} ${run ?? ""}`);

      // The first one's message still comes, and all of it is there then.
      await platform.runtime.releaseAbandoned();
      await platform.runtime.receive(asset, { body: messageOf(first) });
      await platform.quiet();
      if (!firstThere) runs.push(first);
      const last = name === "log" ? runs.toSorted((a, b) => a - b) : runs;
      if (name === "sums" && !firstThere) {
        const [shared, ...others] = await shown[name](platform);
        assert.equal(shared, `2000-01-01 ${first}`, after);
        assert.deepEqual(
          others,
          runs.toSorted((a, b) => a - b).map((n) => `${dayOf(n)} ${n}`),
          after,
        );
      } else assert.deepEqual(await shown[name](platform), expected[name](last), after);
      runs.sort((a, b) => a - b);
      assert.deepEqual(await platform.leftovers(), [], after);
      if (died === undefined) break;
    }
    const outcomes = new Set([...seen].map((line) => line.split(" ")[0]));
    assert.deepEqual(outcomes, new Set(["closed", "rolled-forward"]));
  });
}

/** Lets the lease of a partition run out, without waking anybody. */
async function expire(platform: LocalPlatform, key: string, partitionKey: string): Promise<void> {
  const partition = { kind: "partition", id: `${key}|${partitionKey}` } as const;
  await platform.events.transact({ partition }, (state) => ({
    result: undefined,
    writes:
      state.partition?.holder === undefined
        ? []
        : [{ put: partition, value: { ...state.partition, holder: { ...state.partition.holder, leaseUntil: 0 } } }],
    events: [],
  }));
}
