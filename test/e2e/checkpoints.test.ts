/** A crawl that saves checkpoints stores every page exactly once, wherever and however often it is killed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { asset, bigqueryTable, RetryableError } from "sluice";
import type { JsonValue } from "sluice";
import { z } from "zod";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { Settings } from "../../lib/runtime/services.ts";
import { otherRuntime, portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";

const KEY = { kind: "asset", key: "web/pages" } as const;
const settings: Partial<Settings> = { checkpointMs: 0 };
const ROWS = 3;

interface Crawl {
  readonly exports: Readonly<Record<string, unknown>>;
  /** Every page that was asked for, in this order. */
  readonly fetched: number[];
  /** Called before each page. */
  before: (page: number) => Promise<void> | void;
}

/** On every tenth page, one of the rows does not fit. */
function crawl(pages: number): Crawl {
  const fetched: number[] = [];
  const made: Crawl = { exports: {}, fetched, before: () => undefined };
  const all = asset({
    key: KEY.key,
    schema: z.object({ page: z.int(), i: z.int().max(ROWS - 1) }),
    ioManager: bigqueryTable({ onInvalidRow: "discard" }),
    retry: { delaySeconds: 0.02, maxDelaySeconds: 0.02, maxRetries: 3 },
    async *materialize({ row, checkpoint, metadata }) {
      for (let page = Number(checkpoint.last ?? 1); page <= pages; page++) {
        await made.before(page);
        fetched.push(page);
        const extra = page % 10 === 0 ? 1 : 0;
        for (let i = 0; i < ROWS + extra; i++) yield row({ page, i });
        metadata({ [`page ${Math.ceil(page / 100)}`]: true });
        await checkpoint.save(page + 1);
      }
    },
  });
  return Object.assign(made, { exports: { all } });
}

/** Every page whole and once, one materialization, and nothing left over. */
async function assertComplete(platform: LocalPlatform, pages: number, after: string): Promise<void> {
  const [shown] = await platform.rows(
    `SELECT COUNT(*) AS n, COUNT(DISTINCT page) AS pages, COUNT(DISTINCT page * 10 + i) AS d, MAX(page) AS last FROM web.pages`,
  );
  const expected = { n: pages * ROWS, pages, d: pages * ROWS, last: pages };
  const numbers = Object.fromEntries(Object.entries(shown ?? {}).map(([name, value]) => [name, Number(value)]));
  assert.deepEqual(numbers, expected, after);
  const made = await platform.eventsOf("materialized");
  assert.equal(made.at(-1)?.rows, pages * ROWS, after);
  assert.equal(made.at(-1)?.metadata?.["discardedRows"], Math.floor(pages / 10), after);
  for (let hundred = 1; hundred <= Math.ceil(pages / 100); hundred++)
    assert.equal(made.at(-1)?.metadata?.[`page ${hundred}`], true, after);
  assert.deepEqual(await staged(platform), [], after);
}

async function staged(platform: LocalPlatform): Promise<readonly string[]> {
  return (await Array.fromAsync(platform.objects.list("sluice-staging"))).map(({ name }) => name);
}

/** Lets the lease of whoever crawls run out, without waking anybody. */
async function expire(platform: LocalPlatform): Promise<void> {
  const partition = { kind: "partition", id: `${KEY.key}|` } as const;
  await platform.events.transact({ partition }, (state) => ({
    result: undefined,
    writes:
      state.partition?.holder === undefined
        ? []
        : [{ put: partition, value: { ...state.partition, holder: { ...state.partition.holder, leaseUntil: 0 } } }],
    events: [],
  }));
}

test("a process that dies after any of its steps: every page is stored once, and at most one page is fetched again", async () => {
  const pages = 4;
  const made = crawl(pages);
  await using platform = await localPlatform({ exports: made.exports, settings });
  const deaths: string[] = [];
  for (let step = 1; ; step++) {
    assert.ok(step < 120, "the run never ends");
    made.fetched.length = 0;
    const message = pushOf({ runKey: `step-${step}` });
    const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
    const done = otherRuntime(platform, ports, settings).receive(KEY, { body: message });
    const died = await Promise.race([death, done.then(() => undefined)]);
    for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
    await platform.runtime.releaseAbandoned();
    await platform.runtime.receive(KEY, { body: message });
    await platform.quiet();
    const after = `after ${died ?? "no death"}, step ${step}`;
    await assertComplete(platform, pages, after);
    assert.deepEqual(await platform.leftovers(), [], after);
    assert.equal((await platform.eventsOf("materialized")).length, step, after);
    assert.ok(made.fetched.length <= pages + 1, `${after}: ${made.fetched.join(" ")}`);
    if (died === undefined) break;
    deaths.push(died);
  }
  for (const call of ["objects.write", "warehouse.submit", "objects.delete"]) assert.ok(deaths.includes(call), call);
});

test("a crawl of 400 pages, killed again and again, fetches hardly a page twice", async (t) => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
  const pages = 400;
  const made = crawl(pages);
  await using platform = await localPlatform({ exports: made.exports, settings });
  const message = pushOf({ runKey: "crawl" });
  const jobs: string[] = [];
  const story: string[] = [];
  for (let death = 0; death < 15; death++) {
    const mortal = mortalPorts(portsOf(platform), 1 + below(100));
    const done = otherRuntime(platform, mortal.ports, settings)
      .receive(KEY, { body: message })
      .then(() => "nothing");
    story.push(`${await Promise.race([mortal.death, done])} on page ${made.fetched.at(-1) ?? 0}`);
    jobs.push(...mortal.jobs);
    await expire(platform);
  }
  for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
  await platform.runtime.receive(KEY, { body: message });
  await platform.quiet();
  await assertComplete(platform, pages, story.join(", "));
  assert.equal((await platform.eventsOf("materialized")).length, 1);
  assert.ok(made.fetched.length <= pages + 15, `${made.fetched.length} fetches: ${story.join(", ")}`);
  assert.ok(new Set(story.map((line) => line.split(" page ")[1])).size > 5, "the deaths came at different pages");
});

test("the save of an attempt that was taken over fails, and what it wrote is nobody's", async () => {
  const pages = 8;
  const made = crawl(pages);
  await using platform = await localPlatform({ exports: made.exports, settings });
  const held = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  let first = true;
  made.before = async (page) => {
    if (page !== 4 || !first) return;
    first = false;
    arrived.resolve();
    await held.promise;
  };
  const message = pushOf({ runKey: "crawl" });
  const zombie = otherRuntime(platform, portsOf(platform), settings).receive(KEY, { body: message });
  await arrived.promise;
  await expire(platform);
  const again = Promise.withResolvers<void>();
  const passed = Promise.withResolvers<void>();
  made.before = async (page) => {
    if (page !== 7) return;
    // The successor waits here, its own saves being done, until the zombie has tried its own.
    passed.resolve();
    await again.promise;
  };
  const successor = otherRuntime(platform, portsOf(platform), settings).receive(KEY, { body: message });
  await passed.promise;
  held.resolve();
  await zombie;
  assert.deepEqual(made.fetched, [1, 2, 3, 4, 5, 6, 4], "the zombie's page is its last one");
  again.resolve();
  await successor;
  await platform.quiet();
  await assertComplete(platform, pages, "after the takeover");
  assert.deepEqual(made.fetched, [1, 2, 3, 4, 5, 6, 4, 7, 8], "the zombie's file has done no harm");
  assert.equal((await platform.eventsOf("materialized")).length, 1);
});

test("a crawl that is cut off at its function's deadline goes on while it saves pages; once it saves none, its tries are counted", async () => {
  const made = crawl(8);
  await using platform = await localPlatform({ exports: made.exports, settings });
  const deadlineMs = 500_000;
  let late = Promise.withResolvers<void>();
  const real = systemClock();
  // Time passes when the test says so: nothing is cut off before its page has come.
  let ahead = 0;
  const clock: Clock = {
    now: () => real.now() + ahead,
    sleep: (ms, signal) => (ms === deadlineMs ? late.promise : real.sleep(ms, signal)),
  };
  const ports = portsOf(platform);
  const bus = { ...ports.bus, schedule: async () => undefined };
  const one = otherRuntime(platform, { ...ports, bus, clock }, { ...settings, deadlineMs });
  // Each of the first three executions gets one page further; the others get nowhere.
  let stuckAt = 2;
  made.before = async (page) => {
    if (page < stuckAt) return;
    if (stuckAt < 4) stuckAt += 1;
    late.resolve();
    await new Promise(() => undefined);
  };
  const run = async () => (await platform.events.runs({ name: KEY.key })).items[0] ?? assert.fail("no run");
  const seen: string[] = [];
  await one.receive(KEY, { body: pushOf({ runKey: "crawl" }) });
  for (;;) {
    const { id, status, code, failures, wakeAt = 0 } = await run();
    seen.push(`${code} ${failures}`);
    if (status !== "parked" || seen.length > 9) break;
    late = Promise.withResolvers();
    ahead += Math.max(0, wakeAt - clock.now());
    await one.receive(KEY, { body: pushOf({ wake: id }) });
  }
  assert.deepEqual(seen, [
    "deadline 0",
    "deadline 0",
    "deadline 0",
    "retry 1",
    "retry 2",
    "retry 3",
    "retries-exhausted 4",
  ]);
  assert.deepEqual(made.fetched, [1, 2, 3], "what was saved was fetched once");
  assert.match((await run()).reason ?? "", /one execution may take 500 s, .* save checkpoints/);
  assert.deepEqual(await staged(platform), [], "the last one puts away what is staged");
  assert.deepEqual(await platform.leftovers(), []);
});

test("row numbers, samples and metadata go on where the last attempt was cut off", async () => {
  let attempts = 0;
  const all = asset({
    key: KEY.key,
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable({ onInvalidRow: "discard" }),
    retry: { delaySeconds: 0.01 },
    async *materialize({ row, checkpoint, metadata }) {
      if (++attempts === 1) {
        metadata({ started: true });
        yield row({ n: 1 });
        yield row({ n: 1.5 });
        await checkpoint.save({ at: [2] });
        yield row({ n: 99 });
        throw new RetryableError("the site hung up");
      }
      assert.deepEqual(checkpoint.last, { at: [2] });
      yield row({ n: 2.5 });
      yield row({ n: 3 });
    },
  });
  await using platform = await localPlatform({ exports: { all }, settings });
  await platform.publish("asset.web.pages", {});
  await platform.quiet();
  assert.deepEqual(
    (await platform.rows("SELECT n FROM web.pages ORDER BY n")).map(({ n }) => Number(n)),
    [1, 3],
  );
  const [made] = await platform.eventsOf("materialized");
  const samples = made?.metadata?.["discardSamples"] as readonly { readonly row: number }[]; // as they are stored
  assert.deepEqual([made?.metadata?.["started"], made?.metadata?.["discardedRows"]], [true, 2]);
  assert.deepEqual(
    samples.map(({ row }) => row),
    [2, 3],
  );
  assert.deepEqual(await staged(platform), []);
});

test("nothing is kept when the retries are used up, and a new run does not see what an old one has saved", async () => {
  const seen: unknown[] = [];
  const all = asset({
    key: KEY.key,
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    retry: { maxRetries: 1, delaySeconds: 0.01 },
    async *materialize({ row, checkpoint }) {
      seen.push(checkpoint.last);
      yield row({ n: 1 });
      await checkpoint.save(seen.length);
      throw new Error("the site hung up");
    },
  });
  await using platform = await localPlatform({ exports: { all }, settings });
  for (let run = 0; run < 2; run++) {
    await platform.publish("asset.web.pages", {});
    await platform.quiet();
    assert.deepEqual(await staged(platform), []);
  }
  assert.deepEqual(seen, [undefined, 1, undefined, 3]);
  assert.deepEqual(await platform.leftovers(), []);
});

test("what is saved of other inputs is not seen", async () => {
  const seen: unknown[] = [];
  const source = asset({
    key: "web/source",
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    materialize: () => [{ n: 1 }],
  });
  const all = asset({
    key: KEY.key,
    deps: [source],
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    retry: { delaySeconds: 0.3, maxDelaySeconds: 0.3 },
    async *materialize({ row, checkpoint }) {
      seen.push(checkpoint.last);
      yield row({ n: seen.length });
      await checkpoint.save(seen.length);
      if (seen.length === 1) {
        await platform.publish("asset.web.source", {});
        // The next attempt is to find them.
        while ((await platform.history("materialized")).length < 2) await sleep(10);
        throw new Error("the site hung up");
      }
    },
  });
  await using platform = await localPlatform({ exports: { source, all }, settings });
  await platform.publish("asset.web.source", {});
  await platform.quiet();
  await platform.publish("asset.web.pages", {});
  await platform.quiet();
  assert.deepEqual(seen, [undefined, undefined]);
  const rows = await platform.rows("SELECT n FROM web.pages");
  assert.deepEqual(
    rows.map(({ n }) => Number(n)),
    [2],
  );
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
});

test("code that yields no rows keeps its value with the run, and only while it has the claim", async () => {
  const steps: string[] = [];
  const held = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const all = asset({
    key: KEY.key,
    retry: { delaySeconds: 0.01 },
    async materialize({ checkpoint }) {
      const attempt = steps.filter((step) => step.startsWith("from")).length + 1;
      steps.push(`from ${JSON.stringify(checkpoint.last)}`);
      if (attempt === 1) {
        await checkpoint.save([1]);
        throw new Error("the site hung up");
      }
      if (attempt === 2) {
        await checkpoint.save([1, 2]);
        arrived.resolve();
        await held.promise;
        await checkpoint.save("the zombie's").catch((error: unknown) => steps.push((error as Error).name));
        return;
      }
      await checkpoint.save([1, 2, 3]);
    },
  });
  await using platform = await localPlatform({ exports: { all }, settings });
  const message = pushOf({ runKey: "crawl" });
  const runtime = otherRuntime(platform, portsOf(platform), settings);
  await runtime.receive(KEY, { body: message });
  await new Promise((resolve) => setTimeout(resolve, 30));
  const zombie = runtime.receive(KEY, { body: message });
  await arrived.promise;
  await expire(platform);
  await otherRuntime(platform, portsOf(platform), settings).receive(KEY, { body: message });
  held.resolve();
  await zombie;
  await platform.quiet();
  assert.deepEqual(steps, ["from undefined", "from [1]", "from [1,2]", "ClaimLost"]);
  const [run] = await platform.allRuns();
  assert.deepEqual([run?.status, run?.checkpoint], ["succeeded", undefined]);
  assert.deepEqual(await platform.leftovers(), []);
});

test("a checkpoint that is too large ends the run with a clear line", async () => {
  const all = asset({
    key: KEY.key,
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    async *materialize({ row, checkpoint }) {
      const pages: JsonValue[] = [];
      for (let n = 0; ; n++) {
        yield row({ n });
        pages.push("x".repeat(30_000));
        await checkpoint.save(pages);
      }
    },
  });
  await using platform = await localPlatform({ exports: { all }, settings });
  await platform.publish("asset.web.pages", {});
  await platform.quiet();
  const [failed] = await platform.eventsOf("run.failed");
  assert.equal(failed?.code, "bad-checkpoint");
  assert.match(failed?.reason ?? "", /^a checkpoint of 120\d\d\d bytes is too large: save 100000 at most/);
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
});
