/** The interval import, rule by rule, on the local platform. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
import type { IntervalGcsAsset } from "sluice";
import { switchSensor } from "../../lib/cli/switch-sensor.ts";
import type { Metadata } from "../../lib/core/events.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { lineOf, localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

const TOPIC = "asset.test.days";
const JOB = "job.days_clean_up_job";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

const config: IntervalGcsAsset = {
  keyPrefix: "test",
  name: "days",
  bucketName: "drops",
  pathBase: "days",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  destinationTable: "days",
  rawDatasetName: "raw",
  cleanDatasetName: "clean",
  interval: Interval.Daily,
  mode: SourceMode.Incremental,
  retentionDays: 3,
  format: "PARQUET",
};
const days = (more: Partial<IntervalGcsAsset> = {}) => ({ imported: intervalGcsImportAsset({ ...config, ...more }) });
const overwrite = { mode: SourceMode.Overwrite } as const;
const dayOf = (index: number): string => new Date(Date.UTC(2024, 4, index)).toISOString().slice(0, 10);
const uriOf = (day: string): string => `gs://drops/days/${day}.parquet`;
const numbered = (n: number): Promise<Buffer> => duck.file(`SELECT ${n} AS n`);

async function load(platform: LocalPlatform, day: string, n: number): Promise<void> {
  await platform.put(uriOf(day), await numbered(n));
  await platform.quiet();
}

async function request(platform: LocalPlatform, topic: string, body: object): Promise<void> {
  await platform.publish(topic, body);
  await platform.quiet();
}

const linesOf = async (platform: LocalPlatform) => (await platform.history("run.failed", "run.skipped")).map(lineOf);
const shown = async (platform: LocalPlatform) =>
  (await platform.rows("SELECT n FROM clean.days ORDER BY n")).map(({ n }) => n);

async function tablesIn(platform: LocalPlatform, dataset: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { table } of platform.warehouse.list({ dataset })) found.push(table);
  return found;
}

async function objectsIn(platform: LocalPlatform): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name } of platform.objects.list("drops")) found.push(name);
  return found;
}

interface Windows {
  readonly interval: IntervalGcsAsset["interval"];
  readonly pattern: string;
  /** Names, the keys of their windows, the rows' partition time, and the raw table of overwrite mode. */
  readonly drops: readonly (readonly [string, string, string, string])[];
}
const intervals: readonly Windows[] = [
  {
    interval: Interval.Hourly,
    pattern: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d/\d\d)/x\.parquet`,
    drops: [
      ["2024-05-01/23/x.parquet", "2024-05-01T23", "2024-05-01T23:00:00Z", "days__2024050123"],
      ["2024-05-02/00/x.parquet", "2024-05-02T00", "2024-05-02T00:00:00Z", "days__2024050200"],
    ],
  },
  {
    interval: Interval.Daily,
    pattern: String.raw`day=(?P<interval_timestamp>\d{8})/x\.parquet`,
    drops: [
      ["day=20240229/x.parquet", "2024-02-29", "2024-02-29T00:00:00Z", "days__20240229"],
      ["day=20240301/x.parquet", "2024-03-01", "2024-03-01T00:00:00Z", "days__20240301"],
    ],
  },
  {
    interval: Interval.Weekly,
    pattern: String.raw`(?P<interval_timestamp>\d{4}-W\d\d)\.parquet`,
    drops: [
      ["2024-W53.parquet", "", "", ""],
      ["2020-W53.parquet", "2020-12-28", "2020-12-28T00:00:00Z", "days__20201228"],
      ["2021-W01.parquet", "2021-01-04", "2021-01-04T00:00:00Z", "days__20210104"],
    ],
  },
  {
    interval: Interval.Monthly,
    pattern: String.raw`(?P<interval_timestamp>\d{4}/\d\d)\.parquet`,
    drops: [
      ["2023/12.parquet", "2023-12", "2023-12-01T00:00:00Z", "days__202312"],
      ["2024/01.parquet", "2024-01", "2024-01-01T00:00:00Z", "days__202401"],
    ],
  },
];
for (const { interval, pattern, drops } of intervals) {
  test(`${interval} files: each window is a partition by ingestion time`, async () => {
    await using platform = await localPlatform({ exports: days({ interval, fileMatch: pattern }) });
    for (const [index, [name]] of drops.entries()) await platform.put(`gs://drops/days/${name}`, await numbered(index));
    await platform.quiet();
    const legal = drops.filter(([, key]) => key !== "");
    const expected = legal.map(([name, , time]) => ({ n: drops.findIndex((d) => d[0] === name), time }));
    const query = `SELECT n, FORMAT_TIMESTAMP('%FT%TZ', _PARTITIONTIME) AS time FROM clean.days ORDER BY n`;
    assert.deepEqual(await platform.rows(query), expected);
    const keys = (await platform.eventsOf("materialized")).map(({ partition = "" }) => partition);
    assert.deepEqual(keys.sort(), legal.map(([, key]) => key).sort());
    const info = await platform.warehouse.describe({ dataset: "clean", table: "days" });
    const type = { hourly: "HOUR", daily: "DAY", weekly: "DAY", monthly: "MONTH" }[interval];
    assert.deepEqual(info?.partitioning, { type });
    assert.equal((await platform.eventsOf("object.refused")).length, drops.length - legal.length);
    // A correction of the first window replaces its rows alone.
    await platform.put(`gs://drops/days/${legal[0]?.[0] ?? ""}`, await numbered(100));
    await platform.quiet();
    assert.deepEqual(await shown(platform), [...expected.slice(1).map(({ n }) => n), 100]);
    assert.deepEqual(await platform.leftovers(), []);
  });

  test(`${interval} files: the newest window is the table, each keeps its raw table`, async () => {
    await using platform = await localPlatform({ exports: days({ interval, fileMatch: pattern, ...overwrite }) });
    for (const [index, [name]] of drops.entries()) {
      await platform.put(`gs://drops/days/${name}`, await numbered(index));
      await platform.quiet();
    }
    assert.deepEqual(await shown(platform), [drops.length - 1]);
    assert.deepEqual(
      await tablesIn(platform, "raw"),
      drops
        .map(([, , , raw]) => raw)
        .filter((raw) => raw !== "")
        .sort(),
    );
    assert.deepEqual(await platform.leftovers(), []);
  });
}

test("a column that partitions the table", async (t) => {
  const columns = [
    {
      interval: Interval.Hourly,
      match: String.raw`(?P<interval_timestamp>\d{10})`,
      name: "2024050113",
      type: "HOUR",
      at: "TIMESTAMPTZ '2024-05-01 13:59:59Z'",
      late: "TIMESTAMPTZ '2024-05-01 14:00:00Z'",
    },
    {
      interval: Interval.Daily,
      match: String.raw`(?P<interval_timestamp>\d{8})`,
      name: "20240501",
      type: "DAY",
      at: "DATE '2024-05-01'",
      late: "DATE '2024-05-02'",
    },
    {
      interval: Interval.Daily,
      match: String.raw`(?P<interval_timestamp>\d{8})`,
      name: "20240501",
      type: "DAY",
      at: "TIMESTAMP '2024-05-01 23:59:59.999'",
      late: "TIMESTAMP '2024-05-02 00:00:00'",
    },
    {
      interval: Interval.Monthly,
      match: String.raw`(?P<interval_timestamp>\d{6})`,
      name: "202402",
      type: "MONTH",
      at: "DATE '2024-02-29'",
      late: "DATE '2024-03-01'",
    },
  ] as const;
  for (const { interval, match, name, type, at, late } of columns) {
    await t.test(`${interval}, ${at}`, async () => {
      const exports = days({ interval, fileMatch: match, partitionColumn: "happened" });
      await using platform = await localPlatform({ exports });
      await platform.put(`gs://drops/days/${name}`, await duck.file(`SELECT ${at} AS happened, 1 AS n`));
      await platform.quiet();
      assert.deepEqual(await linesOf(platform), []);
      assert.deepEqual(await shown(platform), [1]);
      const info = await platform.warehouse.describe({ dataset: "clean", table: "days" });
      assert.deepEqual(info?.partitioning, { type, column: "happened" });
      await platform.put(`gs://drops/days/${name}`, await duck.file(`SELECT ${late} AS happened, 2 AS n`));
      await platform.quiet();
      assert.match((await linesOf(platform))[0] ?? "", /^check-failed: .*rows_in_interval: 1 row,/);
      assert.deepEqual(await shown(platform), [1]);
    });
  }
  await t.test("weekly: rows must be of the Monday in whose partition they are put", async () => {
    const exports = days({ interval: Interval.Weekly, partitionColumn: "happened" });
    await using platform = await localPlatform({ exports });
    const select = (day: string, n: number): string => `SELECT DATE '${day}' AS happened, ${n} AS n`;
    await platform.put(uriOf("2024-04-29"), await duck.file(select("2024-04-29", 1)));
    await platform.quiet();
    assert.deepEqual(await shown(platform), [1]);
    assert.deepEqual(await linesOf(platform), []);
    // Within the week, but not in the partition of its Monday: not published, and one clear line.
    await platform.put(uriOf("2024-05-06"), await duck.file(select("2024-05-08", 2)));
    await platform.quiet();
    assert.deepEqual(await shown(platform), [1]);
    assert.deepEqual(await linesOf(platform), [
      'check-failed: not published, blocking check failed: rows_in_interval: 1 row, such as {"happened":"2024-05-08"}; correct the data, or the check',
    ]);
    assert.deepEqual(await platform.leftovers(), []);
  });
});

test("objects that were loaded and are gone: nothing is published, unless that is meant", async (t) => {
  const parts = {
    fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/\d+\.parquet`,
    complete: { settle: "1s" },
  } as const;
  const uri = (part: number): string => `gs://drops/days/2024-05-01/${part}.parquet`;
  const remove = async (platform: LocalPlatform, part: number): Promise<void> => {
    const object = await platform.objects.stat("drops", `days/2024-05-01/${part}.parquet`);
    assert.ok(object !== undefined);
    assert.equal(await platform.objects.delete("drops", object.name, object.generation), "deleted");
  };
  const filled = async (options: Partial<IntervalGcsAsset>): Promise<LocalPlatform> => {
    const platform = await localPlatform({ exports: days({ ...parts, ...options }) });
    for (const part of [1, 2]) await platform.put(uri(part), await numbered(part));
    await platform.quiet();
    assert.deepEqual(await shown(platform), [1, 2]);
    return platform;
  };
  const line =
    "inputs-missing: 1 objects that were loaded before are gone (days/2024-05-01/2.parquet): put them back, or run with --allow-missing";

  await t.test("an event for the rest publishes nothing", async () => {
    await using platform = await filled({});
    await remove(platform, 2);
    await platform.put(uri(1), await numbered(10));
    await platform.quiet();
    assert.equal((await linesOf(platform)).at(-1), line);
    assert.deepEqual(await shown(platform), [1, 2]);
    await request(platform, TOPIC, { partition: "2024-05-01", allowMissing: true });
    assert.deepEqual(await shown(platform), [10]);
    assert.deepEqual(await platform.leftovers(), []);
  });
  await t.test("the definition allows it", async () => {
    await using platform = await filled({ allowMissing: true });
    await remove(platform, 2);
    await platform.put(uri(1), await numbered(10));
    await platform.quiet();
    assert.deepEqual(await shown(platform), [10]);
  });
  await t.test("an empty listing replaces nothing, whoever asks", async () => {
    await using platform = await filled({ allowMissing: true });
    await remove(platform, 1);
    await remove(platform, 2);
    await request(platform, TOPIC, { partition: "2024-05-01", allowMissing: true, force: true });
    assert.equal((await linesOf(platform)).at(-1), "no-inputs: no object of 2024-05-01 is in gs://drops/days");
    assert.deepEqual(await shown(platform), [1, 2]);
  });
});

test("overwrite: an older interval is kept out, and shown only by a rollback", async () => {
  await using platform = await localPlatform({ exports: days(overwrite) });
  await load(platform, dayOf(2), 2);
  await load(platform, dayOf(1), 1);
  assert.deepEqual(await linesOf(platform), [`superseded: the table already shows ${dayOf(2)}`]);
  await request(platform, TOPIC, { partition: dayOf(1), force: true });
  assert.deepEqual(await shown(platform), [2], "force is no rollback");
  await request(platform, TOPIC, { partition: dayOf(1), rollback: true });
  assert.deepEqual(await shown(platform), [1]);
  assert.deepEqual(await tablesIn(platform, "raw"), ["days__20240501", "days__20240502"]);
  // The newest again, although its partition holds these very inputs: the table does not show them.
  await request(platform, TOPIC, { partition: dayOf(2) });
  assert.deepEqual(await shown(platform), [2]);
  // And back once more, by the same fingerprint.
  await request(platform, TOPIC, { partition: dayOf(1), rollback: true });
  assert.deepEqual(await shown(platform), [1]);
  await load(platform, dayOf(3), 3);
  assert.deepEqual(await shown(platform), [3]);
  const asset = await platform.events.get("asset", "test/days");
  assert.equal(asset?.partition, dayOf(3));
  assert.deepEqual(await platform.leftovers(), []);
});

test("the same inputs are loaded once; force and another definition load them again", async () => {
  await using platform = await localPlatform({ exports: days() });
  await load(platform, dayOf(1), 1);
  await request(platform, TOPIC, { partition: dayOf(1) });
  assert.deepEqual(await linesOf(platform), ["unchanged: the partition already holds these inputs"]);
  await request(platform, TOPIC, { partition: dayOf(1), force: true });
  assert.equal((await platform.eventsOf("materialized")).length, 2);
  await platform.shut();
  await using changed = await localPlatform({ home: platform.home, exports: days({ maxBadRecords: 5 }) });
  await request(changed, TOPIC, { partition: dayOf(1) });
  assert.equal((await changed.eventsOf("materialized")).length, 3);
  assert.deepEqual(await shown(changed), [1]);
});

test("two spellings of one interval are refused, not joined", async () => {
  const fileMatch = String.raw`(?P<interval_timestamp>\d{4}-?\d\d-?\d\d)\.parquet`;
  await using platform = await localPlatform({ exports: days({ fileMatch, complete: { count: 1 } }) });
  await platform.put("gs://drops/days/2024-05-01.parquet", await numbered(1));
  await platform.quiet();
  await platform.put("gs://drops/days/20240501.parquet", await numbered(2));
  await platform.quiet();
  assert.deepEqual(await linesOf(platform), [
    "bad-input: the interval is spelled in 2 ways, as 2024-05-01 and 20240501: keep the objects of one",
  ]);
  assert.deepEqual(await shown(platform), [1]);
  assert.deepEqual(await platform.leftovers(), []);
});

/** The metadata of the last clean-up job that ended. */
async function lastReport(platform: LocalPlatform): Promise<Metadata> {
  const ended = (await platform.eventsOf("run.succeeded")).filter(({ kind }) => kind === "job");
  return ended.at(-1)?.metadata ?? {};
}

test("the clean-up sensor is stopped until somebody starts it, then requests the job with the right date", async () => {
  await using platform = await localPlatform({ exports: days(overwrite) });
  const choose = (status: "running" | "stopped") =>
    switchSensor(
      { events: platform.events, clock: systemClock(), random: systemRandom() },
      "days_clean_up_sensor",
      status,
    );
  for (let i = 1; i <= 5; i++) await load(platform, dayOf(i), i);
  assert.deepEqual(await platform.eventsOf("sensor.ticked"), []);
  assert.equal((await objectsIn(platform)).length, 5);

  await choose("running");
  await load(platform, dayOf(6), 6);
  const [tick] = await platform.eventsOf("sensor.ticked");
  const [last] = (await platform.eventsOf("materialized")).slice(-1);
  assert.deepEqual(tick?.requested, [last?.materializationId]);
  const [job] = (await platform.allRuns()).filter(({ kind }) => kind === "job");
  assert.deepEqual(job?.request.config, { before: "2024-05-03" });
  assert.deepEqual(job.request.cause, { kind: "sensor", sensor: "days_clean_up_sensor", tick: tick?.run });
  assert.equal(job.status, "succeeded");
  assert.deepEqual(
    await objectsIn(platform),
    [3, 4, 5, 6].map((i) => `days/${dayOf(i)}.parquet`),
  );
  assert.deepEqual(await tablesIn(platform, "raw"), [
    "days__20240503",
    "days__20240504",
    "days__20240505",
    "days__20240506",
  ]);
  const deleted = (await platform.eventsOf("object.deleted")).map(({ uri, partition }) => [uri, partition]);
  assert.deepEqual(
    deleted,
    [1, 2].map((i) => [uriOf(dayOf(i)), dayOf(i)]),
  );
  assert.deepEqual(
    (await platform.eventsOf("table.dropped")).map(({ table }) => table),
    ["raw.days__20240501", "raw.days__20240502"],
  );
  assert.deepEqual(await shown(platform), [6]);

  await choose("stopped");
  await load(platform, dayOf(9), 9);
  assert.equal((await platform.eventsOf("sensor.ticked")).length, 1);
  assert.deepEqual(
    (await platform.eventsOf("sensor.switched")).map(({ status }) => status),
    ["running", "stopped"],
  );
  assert.deepEqual(await platform.leftovers(), []);
});

test("a dry run of the clean-up tells what would go, and touches nothing", async () => {
  await using platform = await localPlatform({ exports: days(overwrite) });
  for (const i of [1, 2, 5]) await load(platform, dayOf(i), i);
  await request(platform, JOB, { config: { before: dayOf(9), dryRun: true } });
  assert.deepEqual(await lastReport(platform), {
    dryRun: true,
    deletedCount: 1,
    deleted: [uriOf(dayOf(1))],
    keptCount: 0,
    kept: [],
    droppedTables: ["raw.days__20240501"],
  });
  assert.equal((await objectsIn(platform)).length, 3);
  assert.equal((await tablesIn(platform, "raw")).length, 3);
  assert.deepEqual(await platform.eventsOf("partition.sealed"), []);
  assert.deepEqual(await platform.eventsOf("object.deleted"), []);
  // Retention holds whatever date is asked for: three days back from the newest is 2024-05-02, which is not over then.
  await request(platform, JOB, { config: { before: dayOf(9) } });
  assert.deepEqual(
    await objectsIn(platform),
    [2, 5].map((i) => `days/${dayOf(i)}.parquet`),
  );
});

test("a sealed interval takes no more runs, until it is unsealed", async () => {
  await using platform = await localPlatform({ exports: days() });
  for (const i of [1, 5]) await load(platform, dayOf(i), i);
  await request(platform, JOB, { config: { before: dayOf(2) } });
  assert.deepEqual(await objectsIn(platform), [`days/${dayOf(5)}.parquet`]);
  assert.deepEqual(await shown(platform), [1, 5], "rows outlive their file");

  const line = `sealed: test/days ${dayOf(1)} was cleaned up and takes no more runs; put all its files back and run it with --unseal`;
  await load(platform, dayOf(1), 100);
  assert.deepEqual(await linesOf(platform), [line]);
  await request(platform, TOPIC, { partition: dayOf(1), force: true, allowMissing: true });
  assert.deepEqual(await linesOf(platform), [line, line]);
  assert.deepEqual(await shown(platform), [1, 5]);
  // What came after the clean-up was not loaded, so no clean-up takes it.
  await request(platform, JOB, { config: { before: dayOf(2) } });
  assert.ok((await objectsIn(platform)).includes(`days/${dayOf(1)}.parquet`));

  await request(platform, TOPIC, { partition: dayOf(1), unseal: true });
  assert.deepEqual(await shown(platform), [5, 100]);
  assert.equal((await platform.eventsOf("partition.unsealed")).length, 1);
  await load(platform, dayOf(1), 101);
  assert.deepEqual(await shown(platform), [5, 101], "open again for good");
  assert.deepEqual(await platform.leftovers(), []);
});

test("the clean-up leaves what it must not take", async (t) => {
  await t.test("an object that changed after it was loaded", async () => {
    await using platform = await localPlatform({ exports: days() });
    for (const i of [1, 5]) await load(platform, dayOf(i), i);
    // Replaced, and nobody was told.
    await platform.objects.write("drops", `days/${dayOf(1)}.parquet`, [await numbered(11)]);
    await request(platform, JOB, { config: { before: dayOf(2) } });
    const { deleted, kept } = await lastReport(platform);
    assert.deepEqual(deleted, []);
    assert.deepEqual(kept, [{ uri: uriOf(dayOf(1)), reason: "it is not loaded yet" }]);
    assert.equal((await platform.eventsOf("object.kept")).length, 1);
    assert.deepEqual(await platform.eventsOf("partition.sealed"), []);
  });
  await t.test("the newest interval, and what the table shows", async () => {
    await using platform = await localPlatform({ exports: days(overwrite) });
    for (const i of [1, 9]) await load(platform, dayOf(i), i);
    await request(platform, TOPIC, { partition: dayOf(1), rollback: true });
    await request(platform, JOB, { config: { before: dayOf(30) } });
    assert.equal((await objectsIn(platform)).length, 2);
    assert.deepEqual((await lastReport(platform))["kept"], [
      { uri: uriOf(dayOf(1)), reason: "it is what the table shows" },
    ]);
    assert.deepEqual(await shown(platform), [1]);
  });
  await t.test("what came too late, unless cleanSuperseded says so", async () => {
    for (const cleanSuperseded of [false, true]) {
      await using platform = await localPlatform({ exports: days({ ...overwrite, cleanSuperseded }) });
      for (const i of [9, 1]) await load(platform, dayOf(i), i);
      await request(platform, JOB, { config: { before: dayOf(5) } });
      const expected = cleanSuperseded ? [9] : [1, 9];
      assert.deepEqual(
        await objectsIn(platform),
        expected.map((i) => `days/${dayOf(i)}.parquet`),
      );
    }
  });
  await t.test("what does not belong to the asset", async () => {
    await using platform = await localPlatform({ exports: days() });
    for (const i of [1, 5]) await load(platform, dayOf(i), i);
    await platform.put("gs://drops/days/readme.txt", "mine");
    await platform.put(`gs://drops/days/${dayOf(1)}.csv`, "mine");
    await request(platform, JOB, { config: { before: dayOf(2) } });
    assert.deepEqual(await objectsIn(platform), [
      `days/${dayOf(1)}.csv`,
      `days/${dayOf(5)}.parquet`,
      "days/readme.txt",
    ]);
  });
});
