/** Assets that follow others by themselves: from one dropped file through a chain of intervals, once for each news. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  Interval,
  SourceMode,
  asset,
  assetCheck,
  assetSensor,
  daily,
  dependsOn,
  eager,
  intervalGcsImportAsset,
  job,
  monthly,
  onMissing,
  sql,
  weekly,
} from "sluice";
import type { AssetDefinition, AutomationCondition } from "sluice";
import { explain } from "../../lib/core/condition.ts";
import { readFacts } from "../../lib/runtime/upstreams.ts";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

const scores = intervalGcsImportAsset({
  keyPrefix: "chain",
  name: "scores",
  bucketName: "chain-drops",
  pathBase: "scores",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  destinationTable: "scores",
  rawDatasetName: "chain_raw",
  cleanDatasetName: "chain",
  interval: Interval.Daily,
  mode: SourceMode.Incremental,
  retentionDays: 10,
  format: "PARQUET",
});

/** Assets that note for which partition, and from which upstream versions, they ran. */
function noted(): { readonly ran: string[]; readonly note: (key: string) => (context: unknown) => Promise<undefined> } {
  const ran: string[] = [];
  return {
    ran,
    note: (key) => async (context) => {
      const { partition } = context as { readonly partition: { readonly key: string } | undefined };
      ran.push(`${key} ${partition?.key ?? ""}`.trim());
    },
  };
}

/** An asset that is made from the same day of the scores. */
function copyOf(automation: AutomationCondition, note: ReturnType<typeof noted>["note"]): AssetDefinition {
  return asset({ key: "chain/copy", partitions: daily(), deps: [scores.asset], automation, materialize: note("copy") });
}

async function drop(platform: LocalPlatform, day: string, people = 3): Promise<void> {
  const rows = `SELECT 'p' || i AS address, i AS score FROM range(${people}) AS t(i)`;
  await platform.put(`gs://chain-drops/scores/${day}.parquet`, await duck.file(rows));
}

async function why(platform: LocalPlatform, definition: AssetDefinition, partition: string, now = Date.now()) {
  const { events, definitions } = platform;
  const facts = await readFacts({ events, assets: definitions.assets }, definition, partition, now);
  assert.ok(definition.automation !== undefined);
  return explain(definition.automation, facts);
}

test("a chain of three intervals runs through by itself, each as soon as all of its windows are there", async () => {
  const { ran, note } = noted();
  const week = asset({
    key: "chain/week",
    partitions: weekly(),
    deps: [dependsOn(scores.asset, { kind: "windows" })],
    automation: eager(),
    materialize: note("week"),
  });
  const month = asset({
    key: "chain/month",
    partitions: monthly(),
    deps: [dependsOn(week, { kind: "last" })],
    automation: eager(),
    materialize: note("month"),
  });
  await using platform = await localPlatform({ exports: { scores, week, month } });
  const days = ["2024-04-29", "2024-04-30", "2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"];
  for (const day of days) await drop(platform, day);
  await platform.quiet();
  assert.deepEqual(ran, [], "six of seven days are there");
  const waiting = await why(platform, week, "2024-04-29");
  assert.equal(waiting.value, false);
  assert.match(waiting.because, /not there yet: chain\/scores 2024-05-05/);

  await drop(platform, "2024-05-05");
  await platform.quiet();
  assert.equal(ran[0], "week 2024-04-29");
  assert.match(ran[1] ?? "", /^month \d{4}-\d{2}$/);
  assert.equal(ran.length, 2);
  assert.equal((await why(platform, week, "2024-04-29")).value, false, "it was made from what is there");
  assert.deepEqual(await platform.leftovers(), []);
});

test("a corrected upstream makes its dependent again, with the version that it shows", async () => {
  const { ran, note } = noted();
  const copy = copyOf(eager(), note);
  await using platform = await localPlatform({ exports: { scores, copy } });
  await drop(platform, "2024-05-01");
  await platform.quiet();
  await drop(platform, "2024-05-01", 4);
  await platform.quiet();
  assert.deepEqual(ran, ["copy 2024-05-01", "copy 2024-05-01"]);
  const [upstream, own] = await Promise.all([
    platform.events.get("partition", "chain/scores|2024-05-01"),
    platform.events.get("partition", "chain/copy|2024-05-01"),
  ]);
  assert.deepEqual(own?.head?.upstreams, { "chain/scores|2024-05-01": upstream?.head?.materializationId });
});

test("the same news twice starts nothing twice", async () => {
  const { ran, note } = noted();
  const copy = copyOf(onMissing(), note);
  await using platform = await localPlatform({ exports: { scores, copy } });
  await drop(platform, "2024-05-01");
  await platform.quiet();
  const [event] = await platform.eventsOf("materialized");
  assert.ok(event !== undefined);
  const news = {
    asset: "chain/scores",
    partition: "2024-05-01",
    materializationId: event.materializationId,
    runId: event.run,
  };
  for (let i = 0; i < 3; i++) await platform.publish("materialized.chain.scores", news);
  await platform.quiet();
  assert.deepEqual(ran, ["copy 2024-05-01"]);
});

test("two upstreams that commit at once start their common downstream, which ends with both versions", async () => {
  // Each waits in its code until the other is there as well, so that both go on to commit at the same moment.
  let waiting: (() => void)[] = [];
  const together = async (): Promise<undefined> => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    waiting.push(() => resolve(undefined));
    if (waiting.length === 2) {
      for (const release of waiting) release();
      waiting = [];
    }
    return await promise;
  };
  const upstreams = ["left", "right"].map((name) => asset({ key: `chain/${name}`, materialize: together }));
  let ran = 0;
  const both = asset({
    key: "chain/both",
    deps: upstreams,
    automation: eager(),
    async materialize() {
      ran += 1;
    },
  });
  await using platform = await localPlatform({ exports: { upstreams, both } });
  for (let round = 0; round < 5; round++) {
    ran = 0;
    await Promise.all(upstreams.map(({ key }) => platform.publish(`asset.${key.replace("/", ".")}`, { force: true })));
    await platform.quiet();
    assert.ok(ran === 1 || ran === 2, `it ran ${ran} times`);
    const versions: Record<string, string | undefined> = {};
    for (const { key } of upstreams) {
      versions[`${key}|`] = (await platform.events.get("partition", `${key}|`))?.head?.materializationId;
    }
    assert.equal(new Set(Object.values(versions)).size, 2);
    assert.deepEqual((await platform.events.get("partition", "chain/both|"))?.head?.upstreams, versions);
  }
  assert.equal((await platform.eventsOf("materialized")).filter(({ asset: key }) => key !== "chain/both").length, 10);
});

test("four partitions materialized at once tick a downstream sensor four times", async () => {
  const seen: string[] = [];
  let ran = 0;
  const noop = job({
    name: "noop",
    async run() {
      ran += 1;
    },
  });
  const sensor = assetSensor({
    name: "watch",
    asset: scores.asset,
    job: noop,
    evaluate(_context, { partition, materializationId }) {
      seen.push(partition.key);
      return { runKey: materializationId };
    },
  });
  await using platform = await localPlatform({ exports: { scores, sensor, noop } });
  const days = ["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"];
  await Promise.all(days.map((day) => drop(platform, day)));
  await platform.quiet();
  assert.deepEqual(seen.sort(), days);
  assert.equal(ran, 4);
  assert.equal((await platform.eventsOf("materialized")).length, 4);
});

test("a failed blocking check holds back everything downstream until a run passes", async () => {
  const { ran, note } = noted();
  const guard = assetCheck({
    asset: scores.asset,
    name: "no_negative",
    blocking: true,
    sql: sql`SELECT score FROM ${scores.asset} WHERE score < 0`,
  });
  const copy = copyOf(eager(), note);
  await using platform = await localPlatform({ exports: { scores, guard, copy } });
  await drop(platform, "2024-05-01");
  await platform.quiet();
  await platform.put(
    "gs://chain-drops/scores/2024-05-01.parquet",
    await duck.file("SELECT 'x' AS address, -1::BIGINT AS score"),
  );
  await platform.quiet();
  const blocked = await why(platform, copy, "2024-05-01");
  assert.match(JSON.stringify(blocked), /no_negative/);
  const [failed] = await platform.eventsOf("run.failed");
  assert.deepEqual(blocked.parts.find(({ label }) => label === "no upstream blocked")?.events, [failed?.run]);

  await platform.publish("asset.chain.copy", { partition: "2024-05-01" });
  await platform.quiet();
  assert.deepEqual(ran, ["copy 2024-05-01"], "nor does it start by hand");
  const [skipped] = (await platform.allRuns()).filter(({ code }) => code === "upstream-blocked");
  assert.match(skipped?.reason ?? "", /chain\/scores is blocked: .*no_negative/);

  await drop(platform, "2024-05-01", 5);
  await platform.quiet();
  assert.deepEqual(ran, ["copy 2024-05-01", "copy 2024-05-01"]);
});
