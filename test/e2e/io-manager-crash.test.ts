/** A process may die after any step of making, staging, loading and publishing rows; and others may meddle with what it staged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, bigqueryTable, daily } from "sluice";
import { z } from "zod";
import type { Settings } from "../../lib/runtime/services.ts";
import { dayOf, gates, otherRuntime, portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";

const KEY = { kind: "asset", key: "io/days" } as const;
const ROWS = 50;

/** Every making of the rows gives others: what is published must be of one making, and say which. */
function definitions() {
  let makings = 0;
  const source = asset({
    key: "io/source",
    schema: z.object({ i: z.int() }),
    ioManager: bigqueryTable(),
    materialize: () => Array.from({ length: ROWS }, (_, i) => ({ i })),
  });
  const days = asset({
    key: KEY.key,
    partitions: daily(),
    inputs: { source },
    schema: z.object({ day: z.iso.date(), making: z.int(), i: z.int().max(ROWS - 3) }),
    ioManager: bigqueryTable({ partitionBy: "day", onInvalidRow: "discard" }),
    retry: { delaySeconds: 0.05 },
    async *materialize({ row, metadata, partition }, { source }) {
      const making = ++makings;
      for await (const { i } of source) yield row({ day: partition.key, making, i });
      metadata({ making });
    },
  });
  return { exports: { source, days }, makings: () => makings };
}

interface Shown {
  readonly day: string;
  readonly making: number;
  readonly n: number;
}

async function shown(platform: LocalPlatform): Promise<readonly Shown[]> {
  const rows = await platform.rows(
    "SELECT CAST(day AS STRING) AS day, making, COUNT(*) AS n FROM io.days GROUP BY day, making ORDER BY day, making",
  );
  return rows as unknown as readonly Shown[]; // the columns of the query
}

async function staged(platform: LocalPlatform): Promise<readonly string[]> {
  return (await Array.fromAsync(platform.objects.list("sluice-staging"))).map(({ name }) => name);
}

async function makeSource(platform: LocalPlatform): Promise<void> {
  await platform.publish("asset.io.source", {});
  await platform.quiet();
}

test("a process that dies after any of its steps: one making is shown whole, once, and nothing is left over", async () => {
  const { exports } = definitions();
  await using platform = await localPlatform({ exports });
  await makeSource(platform);
  const deaths: string[] = [];
  for (let step = 1; ; step++) {
    assert.ok(step < 100, "the run never ends");
    const day = dayOf(step);
    const message = pushOf({ partition: day, runKey: `step-${step}` });
    const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
    const done = otherRuntime(platform, ports).receive(KEY, { body: message });
    const died = await Promise.race([death, done.then(() => undefined)]);
    for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
    await platform.runtime.releaseAbandoned();
    await platform.runtime.receive(KEY, { body: message });
    await platform.quiet();
    const after = `after ${died ?? "no death"}, step ${step}`;
    const [of, ...others] = (await shown(platform)).filter((row) => row.day === day);
    assert.deepEqual([of?.n, others], [ROWS - 2, []], after);
    const made = (await platform.eventsOf("materialized")).filter(({ partition }) => partition === day);
    assert.deepEqual(
      made.map(({ rows, metadata }) => [rows, metadata?.["making"], metadata?.["discardedRows"]]),
      [[ROWS - 2, of?.making, 2]],
      after,
    );
    assert.deepEqual(await platform.leftovers(), [], after);
    assert.deepEqual(await staged(platform), [], after);
    if (died === undefined) break;
    deaths.push(died);
  }
  for (const call of ["objects.write", "warehouse.submit", "objects.delete"]) assert.ok(deaths.includes(call), call);
});

test("processes that die one after the other, each at work on what the last one left", async (t) => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
  const { exports } = definitions();
  await using platform = await localPlatform({ exports });
  await makeSource(platform);
  for (let round = 1; round <= 10; round++) {
    const day = dayOf(round);
    const message = { partition: day, runKey: `round-${round}` };
    const story: string[] = [];
    const jobs: string[] = [];
    for (let death = 0; death < 4; death++) {
      const mortal = mortalPorts(portsOf(platform), 1 + below(45));
      const runtime = otherRuntime(platform, mortal.ports);
      const open = (await platform.allRuns()).find((run) => run.partition === day && run.endedAt === undefined);
      const body = pushOf(open !== undefined && below(2) === 0 ? { wake: open.id } : message);
      const done = runtime.receive(KEY, { body }).then(() => "nothing");
      story.push(await Promise.race([mortal.death, done]));
      jobs.push(...mortal.jobs);
      // The next one sometimes begins while the warehouse still works for the last one.
      if (below(2) === 0) for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
      await expire(platform, day);
    }
    for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
    await platform.runtime.receive(KEY, { body: pushOf(message) });
    await platform.runtime.releaseAbandoned();
    await platform.quiet(15_000);
    const [of, ...others] = (await shown(platform)).filter((row) => row.day === day);
    assert.deepEqual([of?.n, others], [ROWS - 2, []], story.join(", "));
    const made = (await platform.eventsOf("materialized")).filter(({ partition }) => partition === day);
    assert.deepEqual(
      made.map(({ rows, metadata }) => [rows, metadata?.["making"]]),
      [[ROWS - 2, of?.making]],
      story.join(", "),
    );
    // A load of the dead that lands after its successor is done leaves a table behind, which harms nobody and expires.
    const left = (await platform.leftovers()).filter((line) => !line.startsWith("staging table"));
    assert.deepEqual([left, await staged(platform)], [[], []], story.join(", "));
  }
});

/** Lets the lease of a day's run run out, without waking anybody. */
async function expire(platform: LocalPlatform, day: string): Promise<void> {
  const partition = { kind: "partition", id: `${KEY.key}|${day}` } as const;
  await platform.events.transact({ partition }, (state) => ({
    result: undefined,
    writes:
      state.partition?.holder === undefined
        ? []
        : [{ put: partition, value: { ...state.partition, holder: { ...state.partition.holder, leaseUntil: 0 } } }],
    events: [],
  }));
}

test("a load that takes long is waited for asleep, and the rows are not made again", async () => {
  const { exports, makings } = definitions();
  const gate = gates();
  const settings: Partial<Settings> = { waitMs: 300, lookAgainMs: 100 };
  await using platform = await localPlatform({ exports, settings, gate: gate.gate });
  await makeSource(platform);
  const held = gate.hold(/^load-rows-/);
  await platform.publish("asset.io.days", { partition: "2024-05-01" });
  const delivering = platform.quiet(5_000);
  await held;
  for (let i = 0; i < 100 && (await platform.eventsOf("run.parked")).length < 2; i++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal((await staged(platform)).length, 2, "the rows and their receipt are kept");
  gate.release();
  await delivering;
  await platform.quiet();
  assert.deepEqual(await shown(platform), [{ day: "2024-05-01", making: 1, n: ROWS - 2 }]);
  assert.equal(makings(), 1);
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
});

test("staged files that somebody replaces or deletes while they are loaded are never published", async () => {
  for (const meddle of ["replace", "delete"] as const) {
    const { exports, makings } = definitions();
    const gate = gates();
    await using platform = await localPlatform({ exports, gate: gate.gate });
    await makeSource(platform);
    const held = gate.hold(/^load-rows-/);
    await platform.publish("asset.io.days", { partition: "2024-05-01" });
    const delivering = platform.quiet();
    await held;
    const parts = (await Array.fromAsync(platform.objects.list("sluice-staging"))).filter(({ name }) =>
      name.endsWith(".parquet"),
    );
    assert.equal(parts.length, 1);
    for (const { bucket, name, generation } of parts) {
      const bytes = await Array.fromAsync(platform.objects.read(bucket, name));
      if (meddle === "replace") await platform.objects.write(bucket, name, bytes);
      else await platform.objects.delete(bucket, name, generation);
    }
    gate.release();
    await delivering;
    await platform.quiet();
    assert.deepEqual(await shown(platform), [{ day: "2024-05-01", making: 2, n: ROWS - 2 }], meddle);
    assert.equal(makings(), 2, meddle);
    const reasons = (await platform.eventsOf("run.parked")).map(({ reason }) => reason);
    assert.match(reasons.join(), /the staged files of io\/days were changed while they were loaded/);
    assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []], meddle);
  }
});

test("an asset's clearing up touches neither another asset's files nor anybody else's", async () => {
  const { exports } = definitions();
  await using platform = await localPlatform({ exports });
  const hex = "a".repeat(64);
  const foreign = [
    `io/days/2024-05-01/${hex}/notes.txt`,
    `io/days/2024-05-01/more/${hex}/part-1-00000.parquet`,
    `io/days/2024-05-011/${hex}/part-1-00000.parquet`,
  ];
  const stale = `io/days/2024-05-01/${hex}/part-1-00000.parquet`;
  for (const name of [...foreign, stale]) await platform.objects.write("sluice-staging", name, [Buffer.from("x")]);
  await makeSource(platform);
  await platform.publish("asset.io.days", { partition: "2024-05-01" });
  await platform.quiet();
  assert.deepEqual([...(await staged(platform))].sort(), [...foreign].sort());
  assert.equal((await shown(platform)).length, 1);
});
