/** Several assets from one pass of their code: each published by a run of its own, exactly once, whatever dies in between. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, assetCheck, bigqueryTable, check, eager, multiAsset, onSchedule } from "sluice";
import { z } from "zod";
import { fireDue } from "../../lib/cli/scheduler.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Settings } from "../../lib/runtime/services.ts";
import { gates, otherRuntime, portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";
import type { Ports } from "../support/mortal.ts";

const JOB = { kind: "job", name: "site" } as const;
const PEOPLE = { kind: "asset", key: "site/people" } as const;
const settings: Partial<Settings> = { checkpointMs: 0 };
const PAGES = 3;

interface Site {
  readonly exports: Readonly<Record<string, unknown>>;
  /** What was selected in each call of the code. */
  readonly calls: string[];
  /** What the code says that its data is. */
  version: string | undefined;
  /** The least number of people that is let through. */
  least: number;
}

function site(more: { readonly automation?: "eager" | "schedule" } = {}): Site {
  const calls: string[] = [];
  const source = asset({
    key: "site/source",
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    materialize: () => [{ n: 1 }],
  });
  const made: Site = { exports: {}, calls, version: undefined, least: 0 };
  const shared = {
    name: JOB.name,
    retry: { delaySeconds: 0.05, maxRetries: 3 },
    ...(more.automation === "eager" ? { deps: [source], automation: eager() } : {}),
    ...(more.automation === "schedule" ? { automation: onSchedule("* * * * *") } : {}),
  };
  const all = multiAsset({
    ...shared,
    assets: {
      people: {
        key: PEOPLE.key,
        schema: z.object({ making: z.int(), n: z.int().min(0) }),
        ioManager: bigqueryTable({ onInvalidRow: "discard" }),
        checks: [check.rowCount({ min: 1 }), check.notNull("n")],
      },
      places: {
        key: "site/places",
        schema: z.object({ making: z.int(), name: z.string() }),
        ioManager: bigqueryTable({ clusterBy: ["name"] }),
      },
    },
    async *materialize({ row, selected, checkpoint, metadata, skipUnchanged }) {
      calls.push([...selected].join());
      skipUnchanged(made.version);
      const making = calls.length;
      metadata({ pages: PAGES });
      for (let page = Number(checkpoint.last ?? 1); page <= PAGES; page++) {
        yield row.people({ making, n: page >= made.least ? page : -1 });
        yield [row.places({ making, name: `a${page}` }), row.places({ making, name: `b${page}` })];
        await checkpoint.save(page + 1);
      }
    },
  });
  return Object.assign(made, { exports: { all, source } });
}

async function shown(platform: LocalPlatform, table: "people" | "places"): Promise<readonly unknown[]> {
  const column = table === "people" ? "CAST(n AS STRING)" : "name";
  const rows = await platform
    .rows(`SELECT ${column} AS v FROM site.${table} ORDER BY v`)
    .catch((error: unknown): readonly Record<string, unknown>[] => {
      if (error instanceof Error && /does not exist/.test(error.message)) return [];
      throw error;
    });
  return rows.map(({ v }) => v);
}

async function staged(platform: LocalPlatform): Promise<readonly string[]> {
  return (await Array.fromAsync(platform.objects.list("sluice-staging"))).map(({ name }) => name);
}

async function made(platform: LocalPlatform, key: string): Promise<number> {
  return (await platform.eventsOf("materialized")).filter((event) => event.asset === key).length;
}

const ALL_PEOPLE = ["1", "2", "3"];
const ALL_PLACES = ["a1", "a2", "a3", "b1", "b2", "b3"];

/** Both tables whole, and nothing left over. */
async function assertBoth(platform: LocalPlatform, times: number, after = ""): Promise<void> {
  await platform.quiet();
  assert.deepEqual([await shown(platform, "people"), await shown(platform, "places")], [ALL_PEOPLE, ALL_PLACES], after);
  assert.deepEqual([await made(platform, "site/people"), await made(platform, "site/places")], [times, times], after);
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []], after);
}

test("the job calls the code once for all outputs, and each is published by its own run", async () => {
  const { exports, calls } = site();
  await using platform = await localPlatform({ exports, settings });
  await platform.publish("job.site", {});
  await assertBoth(platform, 1);
  assert.deepEqual(calls, ["people,places"]);
  const runs = await platform.allRuns();
  const job = runs.find(({ kind }) => kind === "job");
  assert.deepEqual(runs.map(({ name, status, request }) => `${name} ${status} by ${request.cause.kind}`).sort(), [
    "site succeeded by manual",
    "site/people succeeded by job",
    "site/places succeeded by job",
  ]);
  const [ended] = (await platform.eventsOf("run.succeeded")).filter(({ kind }) => kind === "job");
  assert.deepEqual(ended?.metadata, { people: { rows: 3 }, places: { rows: 6 } });
  const events = await platform.eventsOf("materialized");
  assert.deepEqual(
    events.map(({ metadata }) => metadata?.["pages"]),
    [PAGES, PAGES],
  );
  assert.ok(runs.filter(({ kind }) => kind === "asset").every(({ request }) => request.multi === job?.id));
  const row = await platform.rows(
    "SELECT DISTINCT making FROM site.people UNION DISTINCT SELECT making FROM site.places",
  );
  assert.equal(row.length, 1, "both are of one making");
});

test("a selection makes no more than that, by the job and by an output's own run", async () => {
  const { exports, calls } = site();
  await using platform = await localPlatform({ exports, settings });
  await platform.publish("job.site", { config: { select: ["places"] } });
  await platform.quiet();
  assert.deepEqual([await shown(platform, "people"), await shown(platform, "places")], [[], ALL_PLACES]);
  await platform.publish("asset.site.people", {});
  await assertBoth(platform, 1);
  assert.deepEqual(calls, ["places", "people"]);
});

test("what makes no sense is refused in one line", async () => {
  const { exports } = site();
  await using platform = await localPlatform({ exports, settings });
  await platform.publish("job.site", { config: { select: ["plases"] } });
  await platform.publish("job.site", { config: { selected: ["places"] } });
  await platform.publish("job.site", { config: { partition: "2024-05-01" } });
  await platform.publish("job.site", { partition: "2024-05-01" });
  await platform.publish("asset.site.people", { multi: "../../secrets" });
  await platform.quiet();
  const reasons = (await platform.eventsOf("message.refused")).map(({ reason }) => reason).sort();
  assert.equal(reasons.length, 5);
  assert.match(
    reasons.join("\n"),
    /select\[0\]: expected one of "people", "places", got "plases" \(did you mean "places"\?\)/,
  );
  assert.match(reasons.join("\n"), /unknown field "selected" .*select/);
  assert.match(reasons.join("\n"), /site: the asset has no partitions, but "2024-05-01" was asked for/);
  assert.match(reasons.join("\n"), /multi: a run id has 16 hexadecimal digits/);
});

test("an output that fails its blocking check does not hold back the other one", async () => {
  const all = site();
  const tooFew = assetCheck({
    asset: { key: PEOPLE.key },
    name: "enough",
    blocking: true,
    rowCount: { min: PAGES },
  });
  await using platform = await localPlatform({ exports: { ...all.exports, tooFew }, settings });
  all.least = 2;
  await platform.publish("job.site", {});
  await platform.quiet();
  assert.deepEqual([await shown(platform, "people"), await shown(platform, "places")], [[], ALL_PLACES]);
  const failed = await platform.eventsOf("run.failed");
  assert.deepEqual(
    failed.map(({ asset: key, code }) => [key, code]),
    [["site/people", "check-failed"]],
  );
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
  all.least = 0;
  await platform.publish("job.site", { config: { select: ["people"] } });
  await assertBoth(platform, 1);
  assert.deepEqual(all.calls, ["people,places", "people"]);
});

test("a process that dies after any step of the job: each output is published once, and nothing is left over", async () => {
  const { exports, calls } = site();
  await using platform = await localPlatform({ exports, settings });
  const deaths: string[] = [];
  for (let step = 1; ; step++) {
    assert.ok(step < 120, "the run never ends");
    const message = pushOf({ runKey: `step-${step}` });
    const { ports, death } = mortalPorts(portsOf(platform), step);
    const done = otherRuntime(platform, ports, settings).receive(JOB, { body: message });
    const died = await Promise.race([death, done.then(() => undefined)]);
    await platform.runtime.releaseAbandoned();
    await platform.runtime.receive(JOB, { body: message });
    await assertBoth(platform, step, `after ${died ?? "no death"}, step ${step}`);
    if (died === undefined) break;
    deaths.push(died);
  }
  for (const call of ["objects.write", "objects.list", "events.transact", "bus.publish"])
    assert.ok(deaths.includes(call), call);
  assert.ok(
    calls.every((selected) => selected === "people,places"),
    "no output has made its rows by itself",
  );
});

/** A bus that keeps what is published, for the test to deliver. */
function holding(platform: LocalPlatform): {
  readonly ports: Ports;
  readonly kept: { topic: string; data: unknown }[];
} {
  const kept: { topic: string; data: unknown }[] = [];
  const ports = portsOf(platform);
  const publish: Ports["bus"]["publish"] = async (topic, { data }) => {
    kept.push({ topic, data });
    return `kept-${kept.length}`;
  };
  return { ports: { ...ports, bus: { ...ports.bus, publish } }, kept };
}

test("a process that dies after any step of an output's run: the rows that the job has made are published, once", async () => {
  const { exports, calls } = site();
  await using platform = await localPlatform({ exports, settings });
  for (let step = 1; ; step++) {
    assert.ok(step < 120, "the run never ends");
    const { ports: quietPorts, kept } = holding(platform);
    await otherRuntime(platform, quietPorts, settings).receive(JOB, { body: pushOf({ runKey: `step-${step}` }) });
    assert.deepEqual(
      kept.map(({ topic }) => topic),
      ["asset.site.people", "asset.site.places"],
    );
    const body = pushOf(kept[0]?.data);
    const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
    const done = otherRuntime(platform, ports, settings).receive(PEOPLE, { body });
    const died = await Promise.race([death, done.then(() => undefined)]);
    for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
    await platform.runtime.releaseAbandoned();
    await platform.deliver(PEOPLE, kept[0]?.data);
    await platform.deliver({ kind: "asset", key: "site/places" }, kept[1]?.data);
    await assertBoth(platform, step, `after ${died ?? "no death"}, step ${step}`);
    if (died === undefined) break;
  }
  assert.ok(
    calls.every((selected) => selected === "people,places"),
    calls.join(" "),
  );
});

test("messages that come twice, late or in another order start nothing anew", async () => {
  const { exports, calls } = site();
  await using platform = await localPlatform({ exports, settings });
  const { ports, kept } = holding(platform);
  const runtime = otherRuntime(platform, ports, settings);
  const message = { body: pushOf({ runKey: "once" }) };
  await Promise.all([runtime.receive(JOB, message), runtime.receive(JOB, message)]);
  await runtime.receive(JOB, message);
  for (const { topic, data } of [...kept, ...kept].reverse()) await platform.publish(topic, data);
  await assertBoth(platform, 1);
  for (const { topic, data } of kept) await platform.publish(topic, data);
  await assertBoth(platform, 1);
  assert.deepEqual(calls, ["people,places"]);
});

test("an output that is busy meanwhile takes its rows when it is free", async () => {
  const { exports, calls } = site();
  const gate = gates();
  await using platform = await localPlatform({ exports, settings, gate: gate.gate });
  const held = gate.hold(/^load-rows-/);
  await platform.publish("asset.site.people", {});
  const delivering = platform.quiet();
  await held;
  const { ports, kept } = holding(platform);
  await otherRuntime(platform, ports, settings).receive(JOB, { body: pushOf({}) });
  await platform.publish("asset.site.people", {});
  for (const { topic, data } of kept) await platform.publish(topic, data);
  await new Promise((resolve) => setTimeout(resolve, 200));
  gate.release();
  await delivering;
  await platform.quiet();
  assert.deepEqual([await shown(platform, "people"), await shown(platform, "places")], [ALL_PEOPLE, ALL_PLACES]);
  assert.deepEqual(calls.toSorted(), ["people", "people", "people,places"]);
  assert.deepEqual([await made(platform, "site/people"), await made(platform, "site/places")], [3, 1]);
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
});

test("an output whose staged rows are gone or changed makes them itself", async () => {
  for (const meddle of ["delete", "replace"] as const) {
    const { exports, calls } = site();
    await using platform = await localPlatform({ exports, settings });
    const { ports, kept } = holding(platform);
    await otherRuntime(platform, ports, settings).receive(JOB, { body: pushOf({}) });
    const name = (await staged(platform)).find((each) => /\/people\/part-/.test(each)) ?? "";
    const bytes = await Array.fromAsync(platform.objects.read("sluice-staging", name));
    const info = await platform.objects.stat("sluice-staging", name);
    if (meddle === "delete") await platform.objects.delete("sluice-staging", name, info?.generation ?? "");
    else await platform.objects.write("sluice-staging", name, bytes);
    for (const { topic, data } of kept) await platform.publish(topic, data);
    await assertBoth(platform, 1, meddle);
    assert.deepEqual(calls, ["people,places", "people"]);
  }
});

test("a code that has come to a version which is shown already ends the run there", async () => {
  const all = site();
  await using platform = await localPlatform({ exports: all.exports, settings });
  const statuses = async (): Promise<readonly string[]> =>
    (await platform.allRuns()).map(({ name, status, code }) => `${name} ${code ?? status}`).sort();
  all.version = "c1";
  await platform.publish("job.site", {});
  await assertBoth(platform, 1);
  for (const topic of ["job.site", "asset.site.people", "asset.site.places"]) await platform.publish(topic, {});
  await assertBoth(platform, 1);
  assert.deepEqual(await statuses(), [
    "site succeeded",
    "site unchanged",
    "site/people succeeded",
    "site/people unchanged",
    "site/places succeeded",
    "site/places unchanged",
  ]);
  const head = (await platform.events.get("partition", "site/people|"))?.head;
  assert.equal(head?.dataVersion, "c1");
  await platform.publish("job.site", { config: { force: true } });
  await assertBoth(platform, 2);
  // One output is behind: the job makes both, and the other one's run sees that it has that version already.
  all.version = "c2";
  await platform.publish("asset.site.people", {});
  await platform.quiet();
  await platform.publish("job.site", {});
  await platform.quiet();
  assert.deepEqual([await made(platform, "site/people"), await made(platform, "site/places")], [3, 3]);
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
  assert.equal(all.calls.length, 7);
});

test("what one upstream makes due is asked of the job at once, and says which version it was made from", async () => {
  const { exports, calls } = site({ automation: "eager" });
  await using platform = await localPlatform({ exports, settings });
  await platform.publish("asset.site.source", {});
  await assertBoth(platform, 1);
  assert.deepEqual(calls, ["people,places"]);
  const heads = async (): Promise<readonly unknown[]> =>
    await Promise.all(
      ["people", "places"].map(
        async (name) => (await platform.events.get("partition", `site/${name}|`))?.head?.upstreams?.["site/source|"],
      ),
    );
  const newest = async (): Promise<unknown> =>
    (await platform.events.get("partition", "site/source|"))?.head?.materializationId;
  // The source goes on between the job's reading and the outputs' runs, and they are made again before those come.
  const late = holding(platform);
  await otherRuntime(platform, late.ports, settings).receive(JOB, { body: pushOf({ config: { force: true } }) });
  await platform.publish("asset.site.source", {});
  await platform.quiet();
  assert.equal(calls.length, 3);
  for (const { topic, data } of late.kept) await platform.publish(topic, { ...(data as object), force: false });
  await platform.quiet();
  assert.deepEqual(await heads(), [await newest(), await newest()], "the old rows do not replace the newer ones");
  assert.equal(calls.length, 3);
  // The source goes on, and nobody has seen it yet: the rows of the job are newer than what is shown.
  const early = holding(platform);
  await otherRuntime(platform, early.ports, settings).receive(JOB, { body: pushOf({ config: { force: true } }) });
  const before = await newest();
  const news = holding(platform);
  await otherRuntime(platform, news.ports, settings).receive(
    { kind: "asset", key: "site/source" },
    { body: pushOf({}) },
  );
  assert.notEqual(await newest(), before);
  for (const { topic, data } of early.kept) await platform.publish(topic, data);
  await platform.quiet();
  assert.deepEqual([await heads(), calls.length], [[before, before], 4]);
  for (const { topic, data } of news.kept) await platform.publish(topic, data);
  await platform.quiet();
  assert.deepEqual([await heads(), calls.length], [[await newest(), await newest()], 5]);
  await platform.publish("job.site", {});
  await platform.quiet();
  assert.deepEqual([(await platform.allRuns())[0]?.code, calls.length], ["unchanged", 5]);
  assert.deepEqual([await platform.leftovers(), await staged(platform)], [[], []]);
});

test("outputs on one schedule are asked of the job by one message", async () => {
  const { exports, calls } = site({ automation: "schedule" });
  await using platform = await localPlatform({ exports, settings });
  const { events, bus } = platform;
  const clock = { ...systemClock(), now: () => at };
  let at = Date.UTC(2024, 4, 1);
  const fire = (): Promise<unknown> => fireDue({ events, bus, clock, definitions: () => platform.definitions });
  await fire();
  at += 60_000;
  await fire();
  await assertBoth(platform, 1);
  assert.deepEqual(calls, ["people,places"]);
});

test("rows that are staged for an output which never comes go after a while, and only those", async () => {
  const { exports } = site();
  await using platform = await localPlatform({ exports, settings });
  const { ports } = holding(platform);
  await otherRuntime(platform, ports, settings).receive(JOB, { body: pushOf({}) });
  await platform.objects.write("sluice-staging", "notes.txt", [Buffer.from("mine")]);
  const before = await staged(platform);
  await otherRuntime(platform, ports, settings).sweepBuckets();
  assert.deepEqual(await staged(platform), before);
  const clock = { ...ports.clock, now: () => Date.now() + 31 * 86_400_000 };
  await otherRuntime(platform, { ...ports, clock }, settings).sweepBuckets();
  assert.deepEqual(await staged(platform), ["notes.txt"]);
});

test("an output whose definition has changed since the job ran does not take its rows", async () => {
  const old = site();
  await using platform = await localPlatform({ exports: old.exports, settings });
  const { ports, kept } = holding(platform);
  await otherRuntime(platform, ports, settings).receive(JOB, { body: pushOf({}) });
  const people = platform.definitions.assets.get(PEOPLE.key);
  assert.ok(people !== undefined);
  const assets = new Map([...platform.definitions.assets, [people.key, { ...people, codeVersion: "2" }]]);
  const definitions = () => ({ ...platform.definitions, assets });
  const runtime = createRuntime({ ...portsOf(platform), definitions, settings });
  for (const { topic, data } of kept)
    await runtime.receive({ kind: "asset", key: topic.slice(6).replace(".", "/") }, { body: pushOf(data) });
  await assertBoth(platform, 1);
  assert.deepEqual(old.calls, ["people,places", "people"]);
});

test("processes that die one after the other, at work on the job and on its outputs at once", async (t) => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * limit);
  };
  const { exports } = site();
  await using platform = await localPlatform({ exports, settings });
  for (let round = 1; round <= 8; round++) {
    const { ports, kept } = holding(platform);
    const first = { topic: "job.site", data: { runKey: `round-${round}` } };
    const story: string[] = [];
    const jobs: string[] = [];
    for (let death = 0; death < 5; death++) {
      const messages = [first, ...kept.filter(({ topic }) => topic.startsWith("asset."))];
      const { topic, data } = messages[below(messages.length)] ?? first;
      const mortal = mortalPorts(ports, 1 + below(45));
      const runtime = otherRuntime(platform, mortal.ports, settings);
      const done = runtime.receive(consumerOf(topic), { body: pushOf(data) }).then(() => "nothing");
      story.push(`${topic} until ${await Promise.race([mortal.death, done])}`);
      jobs.push(...mortal.jobs);
      if (below(2) === 0) for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
      await expire(platform);
    }
    for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
    for (const { topic, data } of [first, ...kept]) await platform.publish(topic, data);
    await platform.runtime.releaseAbandoned();
    await platform.quiet(15_000);
    const after = `seed ${seed}, round ${round}: ${story.join(", ")}`;
    assert.deepEqual(
      [await shown(platform, "people"), await shown(platform, "places")],
      [ALL_PEOPLE, ALL_PLACES],
      after,
    );
    assert.deepEqual([await made(platform, "site/people"), await made(platform, "site/places")], [round, round], after);
    // A load of the dead that lands after its successor is done leaves a table behind, which harms nobody and expires.
    const left = (await platform.leftovers()).filter((line) => !line.startsWith("staging table"));
    assert.deepEqual([left, await staged(platform)], [[], []], after);
  }
});

function consumerOf(topic: string): Parameters<LocalPlatform["deliver"]>[0] {
  return topic === "job.site" ? JOB : { kind: "asset", key: topic.slice("asset.".length).replace(".", "/") };
}

/** Lets every lease run out, without waking anybody. */
async function expire(platform: LocalPlatform): Promise<void> {
  for (const run of await platform.allRuns()) {
    if (run.endedAt !== undefined) continue;
    const id = run.kind === "job" ? `job:${run.name}|${run.id}` : `${run.name}|`;
    const partition = { kind: "partition", id } as const;
    await platform.events.transact({ partition }, (state) => ({
      result: undefined,
      writes:
        state.partition?.holder === undefined
          ? []
          : [{ put: partition, value: { ...state.partition, holder: { ...state.partition.holder, leaseUntil: 0 } } }],
      events: [],
    }));
  }
}
