/** An asset is renamed between two starts: nothing is loaded again, its history is whole, and nobody downstream runs. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { asset, bigqueryTable, daily, eager, Interval, intervalGcsImportAsset, SourceMode } from "sluice";
import type { AssetDefinition } from "sluice";
import { z } from "zod";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { MessageBus } from "../../lib/ports/message-bus.ts";
import { definitionsOf, localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { otherRuntime, portsOf } from "../support/days.ts";
import { mortalPorts } from "../support/mortal.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

const DAYS = ["2024-05-01", "2024-05-02", "2024-05-03"];
const uriOf = (day: string): string => `gs://renamed-drops/scores/${day}.parquet`;

function scores(keyPrefix: string, previousKeys?: readonly string[]) {
  return intervalGcsImportAsset({
    keyPrefix,
    name: "scores",
    bucketName: "renamed-drops",
    pathBase: "scores",
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
    destinationTable: "scores",
    rawDatasetName: "renamed_raw",
    cleanDatasetName: "renamed",
    interval: Interval.Daily,
    mode: SourceMode.Incremental,
    retentionDays: 10,
    format: "PARQUET",
    ...(previousKeys === undefined ? {} : { asset: { previousKeys } }),
  });
}

/** A dependent that stores rows in the table of its key, and one of that, each with what it was called before. */
function dependents(
  upstream: AssetDefinition,
  key: string,
  previousKeys: readonly string[] | undefined,
  ran: string[],
) {
  const copy = asset({
    key,
    ...(previousKeys === undefined ? {} : { previousKeys }),
    partitions: daily(),
    deps: [upstream],
    automation: eager(),
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    async *materialize({ row, partition }) {
      ran.push(`copy ${partition.key}`);
      yield row({ n: 1 });
    },
  });
  const last = asset({
    key: "renamed/last",
    deps: [copy],
    automation: eager(),
    async materialize() {
      ran.push("last");
    },
  });
  return { copy, last };
}

async function drop(platform: LocalPlatform, day: string, people = 3): Promise<void> {
  const rows = `SELECT 'p' || i AS address, i AS score FROM range(${people}) AS t(i)`;
  await platform.put(uriOf(day), await duck.file(rows));
}

async function headsOf(platform: LocalPlatform, key: string) {
  const { items } = await platform.events.partitions({ name: key, limit: 1000 });
  return items.flatMap(({ partition, head, token }) => (head === undefined ? [] : [{ partition, head, token }]));
}

test("both are renamed: nothing is loaded again, downstream does not run, history is whole", async () => {
  const ran: string[] = [];
  const before = scores("renamed");
  const first = await localPlatform({
    exports: { before, ...dependents(before.asset, "renamed/copy", undefined, ran) },
  });
  const { home } = first;
  for (const day of DAYS) await drop(first, day);
  await first.quiet();
  const heads = { scores: await headsOf(first, "renamed/scores"), copy: await headsOf(first, "renamed/copy") };
  const history = await first.history();
  const runs = await first.allRuns();
  assert.equal(heads.scores.length, 3);
  assert.equal(heads.copy.length, 3);
  await first.shut();
  ran.length = 0;

  const now = scores("later", ["renamed/scores"]);
  await using platform = await localPlatform({
    home,
    exports: { now, ...dependents(now.asset, "other/copy", ["renamed/copy"], ran) },
  });
  await platform.quiet(1_000);
  // Every object is announced again, as the sweep does from time to time.
  await platform.runtime.sweepBuckets();
  await platform.quiet(1_000);
  assert.deepEqual(await headsOf(platform, "later/scores"), heads.scores);
  assert.deepEqual(await headsOf(platform, "other/copy"), heads.copy);
  assert.deepEqual(await headsOf(platform, "renamed/scores"), []);
  assert.equal((await platform.allRuns()).length, runs.length, "no run, not even one that is skipped");
  const added = (await platform.history()).slice(history.length);
  assert.deepEqual(added.map(({ type, asset: key }) => `${type} ${key ?? ""}`).sort(), [
    "asset.renamed later/scores",
    "asset.renamed other/copy",
  ]);
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM renamed.scores"), [{ n: 9 }]);
  // The table of the key stays the old one's.
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM renamed.copy"), [{ n: 3 }]);

  // By hand as well, there is nothing to do.
  await platform.publish("asset.other.copy", { partition: DAYS[0] });
  await platform.publish("asset.later.scores", { partition: DAYS[0], runKey: "by hand" });
  await platform.quiet(1_000);
  assert.deepEqual(ran, []);
  const skipped = (await platform.allRuns()).filter(({ status }) => status === "skipped");
  assert.deepEqual(skipped.map(({ name, code }) => `${name} ${code}`).sort(), [
    "later/scores unchanged",
    "other/copy unchanged",
  ]);

  // And it goes on: a correction is loaded, and followed, in the same tables.
  await drop(platform, "2024-05-02", 5);
  await platform.quiet();
  assert.deepEqual(ran, ["copy 2024-05-02", "last"]);
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM renamed.scores"), [{ n: 11 }]);
  const { items } = await platform.events.history({
    asset: ["later/scores", "renamed/scores"],
    types: ["materialized"],
    order: "oldest",
  });
  const lines = items.map(({ asset: key, partition }) => `${key} ${partition}`);
  assert.equal(lines.pop(), "later/scores 2024-05-02");
  assert.deepEqual(
    lines.sort(),
    DAYS.map((day) => `renamed/scores ${day}`),
  );
  assert.deepEqual(await platform.leftovers(), []);
});

test("a rename at any step of a run under the old name: it ends under the new one, once", async () => {
  const DAY = "2024-05-01";
  for (let step = 1; ; step++) {
    assert.ok(step < 60, "the run never ends");
    const old = scores("renamed");
    const first = await localPlatform({ exports: { old } });
    const { home } = first;
    const object = await first.objects.write("renamed-drops", `scores/${DAY}.parquet`, [
      await duck.file("SELECT 'p' AS address, 1 AS score"),
    ]);
    const message = {
      partition: DAY,
      runKey: `${uriOf(DAY)}#${object.generation}`,
      cause: { kind: "object", uri: uriOf(DAY), generation: object.generation },
    };
    const { ports, death } = mortalPorts(portsOf(first), step);
    const data = Buffer.from(JSON.stringify(message)).toString("base64");
    const done = otherRuntime(first, ports).receive(
      { kind: "asset", key: "renamed/scores" },
      { body: { message: { data, messageId: "1" } } },
    );
    const died = await Promise.race([death, done.then(() => undefined)]);
    const started = (await first.allRuns()).length > 0;
    await first.shut();

    const now = scores("later", ["renamed/scores"]);
    await using platform = await localPlatform({ home, exports: { now }, settleMs: 0 });
    // Without a trace of the first delivery there is nothing but redelivery, which the transport owes; else its deadline.
    if (!started) await platform.publish("asset.later.scores", message);
    await platform.quiet();
    const where = `after ${died ?? "no death"}, step ${step}`;
    assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM renamed.scores"), [{ n: 1 }], where);
    assert.equal((await platform.eventsOf("materialized")).length, 1, where);
    const [head, ...more] = await headsOf(platform, "later/scores");
    assert.deepEqual(more, [], where);
    const runs = await platform.allRuns();
    assert.equal(runs.length, 1, where);
    assert.equal(head?.head.runId, runs[0]?.id, where);
    assert.equal(runs[0]?.status, "succeeded", where);
    assert.deepEqual(await platform.leftovers(), [], where);
    if (died === undefined) break;
  }
});

test("news that was decided on under the old name reaches those who follow the new one", async () => {
  const ran: string[] = [];
  const make = (name: string, previousKeys?: readonly string[]) => {
    const upstream = asset({
      key: name,
      ...(previousKeys === undefined ? {} : { previousKeys }),
      materialize: async () => undefined,
    });
    const follower = asset({
      key: "renamed/follower",
      deps: [upstream],
      automation: eager(),
      async materialize() {
        ran.push("follower");
      },
    });
    return { upstream, follower };
  };
  for (let step = 1; ; step++) {
    assert.ok(step < 30, "the run never ends");
    ran.length = 0;
    const first = await localPlatform({ exports: make("renamed/before") });
    const { home } = first;
    const { ports, death } = mortalPorts(portsOf(first), step);
    const done = otherRuntime(first, ports).receive(
      { kind: "asset", key: "renamed/before" },
      { body: { message: { data: "e30=", messageId: "1" } } },
    );
    const died = await Promise.race([death, done.then(() => undefined)]);
    const started = (await first.allRuns()).length > 0;
    await first.shut();
    await using platform = await localPlatform({ home, exports: make("renamed/after", ["renamed/before"]) });
    await platform.quiet();
    assert.deepEqual(ran, started ? ["follower"] : [], `after ${died ?? "no death"}, step ${step}`);
    assert.deepEqual(await platform.leftovers(), [], `after ${died ?? "no death"}, step ${step}`);
    if (died === undefined) break;
  }
});

export const totals = asset({
  key: "flights/daily_totals",
  previousKeys: ["flights/totals"],
  partitions: daily({ start: "2024-05-01" }),
  schema: z.object({ day: z.iso.date(), flights: z.int() }),
  ioManager: bigqueryTable({ partitionBy: "day" }),
  async *materialize({ row, partition }) {
    yield row({ day: partition.key, flights: 3 });
  },
});

test("the rows of a renamed asset stay in the table of its oldest name, and new ones join them", async () => {
  const before = Object.freeze({ ...totals, key: "flights/totals", previousKeys: undefined });
  const first = await localPlatform({ exports: { before } });
  await first.publish("asset.flights.totals", { partition: "2024-05-01" });
  await first.quiet();
  await first.shut();
  await using platform = await localPlatform({ home: first.home, exports: { totals } });
  for (const partition of ["2024-05-01", "2024-05-02"]) {
    await platform.publish("asset.flights.daily_totals", { partition });
  }
  await platform.quiet();
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM flights.totals"), [{ n: 2 }]);
  assert.deepEqual(await platform.leftovers(), []);
});

test("an old deployment that is still at work: its run is waited for, and then it passes on what it gets", async () => {
  const DAY = "2024-05-01";
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  await using old = await localPlatform({
    exports: { old: scores("renamed") },
    async gate(jobId) {
      if (!jobId.startsWith("load")) return;
      started.resolve();
      await gate.promise;
    },
  });
  const definitions = definitionsOf({ now: scores("later", ["renamed/scores"]) });
  const published: { topic: string; data: unknown }[] = [];
  const bus: MessageBus = {
    async publish(topic, { data }) {
      published.push({ topic, data });
      return "1";
    },
    async schedule(_name, topic, { data }) {
      published.push({ topic, data });
    },
  };
  const deployed = createRuntime({ ...portsOf(old), bus, definitions: () => definitions });
  const body = { partition: DAY, runKey: "by hand" };
  const ask = () => deployed.receive({ kind: "asset", key: "later/scores" }, { body: pushOf(body) });

  await drop(old, DAY);
  await started.promise;
  await ask();
  const again = { topic: "asset.later.scores", data: { ...body, cause: { kind: "manual" } } };
  assert.deepEqual(published.splice(0), [again], "asked again later");
  assert.equal(await old.events.get("partition", `later/scores|${DAY}`), undefined);
  gate.resolve();
  await old.quiet();
  assert.equal((await headsOf(old, "renamed/scores")).length, 1);

  await ask();
  assert.equal((await headsOf(old, "later/scores")).length, 1);
  const [skipped] = await old.eventsOf("run.skipped");
  assert.deepEqual([skipped?.asset, skipped?.code], ["later/scores", "unchanged"]);
  assert.equal((await old.eventsOf("materialized")).length, 1);

  published.length = 0;
  await drop(old, DAY, 5);
  await old.quiet();
  const [passed] = await old.eventsOf("message.refused");
  assert.match(
    passed?.reason ?? "",
    /^renamed\/scores is called later\/scores now, and the request was passed on to it; to go back .* previousKeys: \["later\/scores"\]$/,
  );
  assert.equal((await old.eventsOf("materialized")).length, 1, "the old one makes nothing any more");
  assert.deepEqual(await headsOf(old, "renamed/scores"), []);
});
