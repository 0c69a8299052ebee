/** Rows that code yields, from their upstreams to a table: through the front door. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  Interval,
  SourceMode,
  asset,
  assetCheck,
  bigquery,
  bigqueryTable,
  daily,
  dependsOn,
  intervalGcsImportAsset,
  monthly,
  sql,
} from "sluice";
import { z } from "zod";
import * as gitcoin from "../../functions/gitcoin.ts";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";
import * as example from "../support/profiles.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
  process.env["PASSPORT_TOKEN"] = "swordfish";
});
after(() => {
  duck.close();
  delete process.env["PASSPORT_TOKEN"];
});

const schema = z.object({ n: z.int().min(0), text: z.string() });
type Numbers = readonly { readonly n: number; readonly text: string }[];

/** An asset of the rows that `make` gives. */
function numbers(make: () => Iterable<{ n: number; text: string }>, onInvalidRow: "fail" | "discard" = "fail") {
  return asset({
    key: "io/numbers",
    schema,
    ioManager: bigqueryTable({ onInvalidRow }),
    retry: { maxRetries: 1, delaySeconds: 0.1 },
    *materialize() {
      yield* make();
    },
  });
}
const some = (count: number, from = 0): Numbers =>
  Array.from({ length: count }, (_, i) => ({ n: from + i, text: `t${from + i}` }));

async function run(platform: LocalPlatform, key: string, request: object = {}): Promise<string> {
  await platform.publish(`asset.${key.replaceAll("/", ".")}`, request);
  await platform.quiet();
  const [last] = (await platform.allRuns()).filter(({ name }) => name === key);
  return last?.status === "succeeded" ? "succeeded" : `${last?.status ?? "none"}: ${last?.reason ?? ""}`;
}

async function staged(platform: LocalPlatform): Promise<readonly string[]> {
  return (await Array.fromAsync(platform.objects.list("sluice-staging"))).map(({ name }) => name);
}

async function cleanlyDone(platform: LocalPlatform): Promise<void> {
  assert.deepEqual(await platform.leftovers(), []);
  assert.deepEqual(await staged(platform), []);
  assert.deepEqual(platform.complaints, []);
}

const shown = (platform: LocalPlatform) => platform.rows("SELECT count(*) AS n, sum(n) AS s FROM io.numbers");

async function dropScores(platform: LocalPlatform, day: string, rows: string): Promise<void> {
  const bytes = await duck.file(
    `SELECT address, score::DOUBLE AS score, DATE '${day}' AS day FROM (VALUES ${rows}) AS t(address, score)`,
  );
  await platform.put(`gs://oso-dataset-transfer-bucket/passport/${day}/scores.parquet`, bytes);
  await platform.quiet();
}

test("rows of an upstream become rows of a table; what does not fit is left out, counted and shown", async () => {
  await using platform = await localPlatform({ exports: { ...gitcoin, ...example } });
  assert.match(await run(platform, "gitcoin/profiles"), /failed: gitcoin\/passport_scores was never materialized/);
  await dropScores(platform, "2024-05-01", "('0x1', 20), ('0x2', 19.5), ('', 3)");
  assert.equal(await run(platform, "gitcoin/profiles"), "succeeded");
  assert.deepEqual(await platform.rows("SELECT address, tier FROM gitcoin.profiles ORDER BY 1"), [
    { address: "0x1", tier: "high" },
    { address: "0x2", tier: "low" },
  ]);
  const made = (await platform.eventsOf("materialized")).find((event) => event.asset === "gitcoin/profiles");
  assert.equal(made?.rows, 2);
  assert.deepEqual(made.schema, [
    { name: "address", type: "STRING", mode: "REQUIRED" },
    { name: "tier", type: "STRING", mode: "REQUIRED" },
  ]);
  const { discardSamples, ...metadata } = made.metadata ?? {};
  assert.deepEqual(metadata, { authenticated: true, discardedRows: 1 });
  const [sample, ...more] = discardSamples as readonly { row: number; reason: string; value: string }[];
  assert.deepEqual([sample?.row, sample?.value, more.length], [3, '{"address":"","tier":"low"}', 0]);
  assert.match(sample?.reason ?? "", /^address: /);

  // Nothing has changed since.
  assert.match(await run(platform, "gitcoin/profiles"), /skipped: the partition already holds these inputs/);
  await dropScores(platform, "2024-05-02", "('0x3', 50)");
  assert.equal(await run(platform, "gitcoin/profiles"), "succeeded");
  assert.deepEqual(await platform.rows("SELECT address FROM gitcoin.profiles"), [{ address: "0x3" }]);

  // A blocking check keeps what it refuses out of sight.
  await dropScores(platform, "2024-05-03", "('0x4', 50), ('0x4', 1)");
  assert.match(
    await run(platform, "gitcoin/profiles"),
    /failed: not published, blocking check failed: unique_address: /,
  );
  assert.deepEqual(await platform.rows("SELECT address FROM gitcoin.profiles"), [{ address: "0x3" }]);
  await cleanlyDone(platform);
});

test("a row that does not fit ends the run by its number, and nothing is published", async () => {
  let rows: Numbers = some(3);
  const exports = { numbers: numbers(() => rows) };
  await using platform = await localPlatform({ exports });
  assert.equal(await run(platform, "io/numbers"), "succeeded");
  rows = [...some(7), { n: -1, text: "bad" }, ...some(2)];
  assert.match(await run(platform, "io/numbers"), /failed: row 8 of io\/numbers does not fit its schema: n: /);
  assert.deepEqual(await shown(platform), [{ n: 3, s: 3 }]);
  await cleanlyDone(platform);
});

test("a run all of whose rows are discarded fails; one without rows shows an empty table, if its checks let it", async () => {
  let rows: Numbers = some(3);
  const made = numbers(() => rows, "discard");
  const notEmpty = assetCheck({ asset: made, name: "not_empty", blocking: true, rowCount: { min: 1 } });
  await using platform = await localPlatform({ exports: { made } });
  assert.equal(await run(platform, "io/numbers"), "succeeded");
  rows = Array.from({ length: 9 }, () => ({ n: -1, text: "" }));
  assert.match(await run(platform, "io/numbers"), /failed: none of the 9 rows of io\/numbers fits its schema/);
  assert.deepEqual(await shown(platform), [{ n: 3, s: 3 }]);
  rows = [...rows, ...some(2)];
  assert.equal(await run(platform, "io/numbers"), "succeeded");
  const { metadata } = (await platform.eventsOf("materialized")).at(-1) ?? {};
  assert.equal(metadata?.["discardedRows"], 9);
  assert.equal((metadata["discardSamples"] as readonly unknown[]).length, 5);
  rows = [];
  assert.equal(await run(platform, "io/numbers"), "succeeded");
  assert.deepEqual(await platform.rows("SELECT count(*) AS n FROM io.numbers"), [{ n: 0 }]);
  await cleanlyDone(platform);

  await using strict = await localPlatform({ exports: { made, notEmpty } });
  assert.match(await run(strict, "io/numbers"), /failed: not published, blocking check failed: not_empty/);
  await cleanlyDone(strict);
});

test("an error in the middle of the rows is retried, and leaves nothing behind when it stays", async () => {
  let attempts = 0;
  const closed: number[] = [];
  function* failing(until: number): Generator<{ n: number; text: string }> {
    attempts++;
    try {
      yield* some(5);
      if (attempts < until) throw new Error("the source hung up");
    } finally {
      closed.push(attempts);
    }
  }
  let until = 2;
  await using platform = await localPlatform({ exports: { numbers: numbers(() => failing(until)) } });
  assert.equal(await run(platform, "io/numbers"), "succeeded");
  assert.equal(attempts, 2);
  await cleanlyDone(platform);
  until = 99;
  assert.match(await run(platform, "io/numbers"), /failed: the source hung up \(tried 2 times\)/);
  assert.deepEqual(closed, [1, 2, 3, 4]);
  assert.deepEqual(await shown(platform), [{ n: 5, s: 10 }]);
  await cleanlyDone(platform);
});

test("columns that differ from the table's are refused", async () => {
  const before = numbers(() => some(2));
  const now = asset({
    key: "io/numbers",
    schema: z.object({ n: z.string() }),
    ioManager: bigqueryTable(),
    materialize: () => [{ n: "1" }],
  });
  const platform = await localPlatform({ exports: { before } });
  assert.equal(await run(platform, "io/numbers"), "succeeded");
  await platform.shut();
  await using later = await localPlatform({ exports: { now }, home: platform.home });
  assert.match(await run(later, "io/numbers"), /failed: the columns of io.numbers would change: .*INT64 to STRING/);
  assert.deepEqual(await shown(later), [{ n: 2, s: 1 }]);
  await cleanlyDone(later);
});

const days = intervalGcsImportAsset({
  keyPrefix: "up",
  name: "days",
  bucketName: "up-drops",
  pathBase: "days",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
  destinationTable: "days",
  rawDatasetName: "up_raw",
  cleanDatasetName: "up",
  interval: Interval.Daily,
  mode: SourceMode.Incremental,
  retentionDays: 10,
  format: "PARQUET",
  schema: z.object({ n: z.int() }),
});
const byColumn = asset({
  key: "up/by_column",
  partitions: daily(),
  inputs: { days: days.asset },
  schema: z.object({ day: z.iso.date(), n: z.int() }),
  ioManager: bigqueryTable({ partitionBy: "day" }),
  async *materialize({ row, partition }, { days }) {
    for await (const { n } of days) yield row({ day: partition.key, n });
  },
});

async function dropDay(platform: LocalPlatform, day: string, count: number): Promise<void> {
  await platform.put(
    `gs://up-drops/days/${day}.parquet`,
    await duck.file(`SELECT 1::BIGINT AS n FROM range(${count})`),
  );
  await platform.quiet();
}

test("partitions follow partitions: each reads the windows that it is made from, and replaces its own", async () => {
  const sums = asset({
    key: "up/sums",
    partitions: monthly(),
    inputs: { days: byColumn },
    schema: z.object({ total: z.int() }),
    ioManager: bigqueryTable(),
    async *materialize({ row }, { days }) {
      let total = 0;
      for await (const { n } of days) total += n;
      yield row({ total });
      // Once more from the start.
      for await (const { n } of days) total -= n;
      yield row({ total });
    },
  });
  const before = asset({
    key: "up/before",
    partitions: daily(),
    inputs: { days: dependsOn(byColumn, { kind: "offset", by: -1 }) },
    schema: z.object({ total: z.int() }),
    ioManager: bigqueryTable({ writeDisposition: "overwrite" }),
    async materialize(_context, { days }) {
      return [{ total: (await Array.fromAsync(days)).length }];
    },
  });
  await using platform = await localPlatform({ exports: { days, byColumn, sums, before } });
  for (const [day, count] of [
    ["2024-05-01", 1],
    ["2024-05-02", 20],
    ["2024-05-31", 300],
    ["2024-06-01", 4000],
  ] as const) {
    await dropDay(platform, day, count);
    assert.equal(await run(platform, "up/by_column", { partition: day }), "succeeded");
  }
  const perDay = () =>
    platform.rows("SELECT CAST(day AS STRING) AS day, count(*) AS n FROM up.by_column GROUP BY 1 ORDER BY 1");
  assert.deepEqual(await perDay(), [
    { day: "2024-05-01", n: 1 },
    { day: "2024-05-02", n: 20 },
    { day: "2024-05-31", n: 300 },
    { day: "2024-06-01", n: 4000 },
  ]);
  await dropDay(platform, "2024-05-02", 21);
  assert.equal(await run(platform, "up/by_column", { partition: "2024-05-02" }), "succeeded");
  assert.deepEqual(
    (await perDay()).map(({ n }) => n),
    [1, 21, 300, 4000],
  );

  assert.equal(await run(platform, "up/before", { partition: "2024-05-03" }), "succeeded");
  assert.deepEqual(await platform.rows("SELECT total FROM up.before"), [{ total: 21 }]);
  assert.match(
    await run(platform, "up/before", { partition: "2024-05-05" }),
    /up\/by_column \(2024-05-04\) was never materialized/,
  );
  assert.match(
    await run(platform, "up/before", { partition: "2024-05-02" }),
    /skipped: the table already shows 2024-05-03/,
  );

  const month = await run(platform, "up/sums", { partition: "2024-05" });
  assert.match(month, /up\/by_column \(2024-05-03, 2024-05-04, 2024-05-05 and 25 more\) was never materialized/);
  await cleanlyDone(platform);
});

test("bounds of an upstream are kept, and a window that its overwritten table does not show is refused", async () => {
  const newest = asset({
    key: "up/newest",
    partitions: daily({ start: "2024-05-30" }),
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable({ writeDisposition: "overwrite" }),
    materialize: async ({ partition }) => [{ n: Number(partition.key.slice(-2)) }],
  });
  const kept = asset({
    key: "up/kept",
    partitions: daily({ start: "2024-05-30" }),
    inputs: { newest },
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    async *materialize(_context, { newest }) {
      yield* newest;
    },
  });
  const may = asset({
    key: "up/may",
    partitions: monthly(),
    inputs: { kept },
    schema: z.object({ n: z.int() }),
    ioManager: bigqueryTable(),
    materialize: (_context, { kept }) => kept,
  });
  await using platform = await localPlatform({ exports: { newest, kept, may } });
  for (const partition of ["2024-05-30", "2024-05-31", "2024-06-01"]) {
    assert.equal(await run(platform, "up/newest", { partition }), "succeeded");
    assert.equal(await run(platform, "up/kept", { partition }), "succeeded");
  }
  assert.equal(await run(platform, "up/may", { partition: "2024-05" }), "succeeded");
  assert.deepEqual(await platform.rows("SELECT n FROM up.may ORDER BY n"), [{ n: 30 }, { n: 31 }]);
  assert.match(
    await run(platform, "up/kept", { partition: "2024-05-30", force: true }),
    /failed: up\.newest shows up\/newest of 2024-06-01, but up\/kept is made from 2024-05-30: an overwritten table/,
  );
  await cleanlyDone(platform);
});

test("rows of an upstream that are not what its schema says are refused by number and column", async () => {
  const copy = asset({
    key: "up/copy",
    inputs: { scores: gitcoin.gitcoinPassportScores.asset },
    schema: z.object({ address: z.string() }),
    ioManager: bigqueryTable(),
    async *materialize({ row }, { scores }) {
      for await (const { address } of scores) yield row({ address });
    },
  });
  await using platform = await localPlatform({ exports: { ...gitcoin, copy } });
  await dropScores(platform, "2024-05-01", "('0x1', 20), (NULL, 1)");
  assert.match(
    await run(platform, "up/copy"),
    /failed: row \d of gitcoin\/passport_scores is not what its schema says: address: /,
  );
  await cleanlyDone(platform);
});

test("a table is partitioned by its column; a row outside of its window keeps its partition from being published", async () => {
  const row = z.object({ day: z.iso.date(), n: z.int() });
  let stray = false;
  const whole = asset({
    key: "parted/whole",
    schema: row,
    ioManager: bigqueryTable({ partitionBy: "day" }),
    materialize: () => [
      { day: "2024-05-01", n: 1 },
      { day: "2024-05-02", n: 2 },
    ],
  });
  const parts = asset({
    key: "parted/parts",
    partitions: daily(),
    schema: row,
    ioManager: bigqueryTable({ partitionBy: "day" }),
    materialize: ({ partition }) => [{ day: stray ? "2024-05-09" : partition.key, n: 1 }],
  });
  await using platform = await localPlatform({ exports: { whole, parts } });
  for (let i = 0; i < 2; i++) assert.equal(await run(platform, "parted/whole"), "succeeded");
  const info = await platform.warehouse.describe({ dataset: "parted", table: "whole" });
  assert.deepEqual([info?.rows, info?.partitioning], [2, { type: "DAY", column: "day" }]);

  assert.equal(await run(platform, "parted/parts", { partition: "2024-05-01" }), "succeeded");
  stray = true;
  for (const partition of ["2024-05-01", "2024-05-02"])
    assert.match(
      await run(platform, "parted/parts", { partition }),
      /blocking check failed: rows_in_partition: 1 row,/,
    );
  assert.deepEqual(await platform.rows("SELECT CAST(day AS STRING) AS day FROM parted.parts"), [{ day: "2024-05-01" }]);
  await cleanlyDone(platform);
});

test("code with an I/O manager sees its own table as it is shown, and cannot fill it by other means", async () => {
  const grown = asset({
    key: "io/grown",
    deps: [],
    schema: z.object({ n: z.int() }),
    resources: { bigquery: bigquery() },
    ioManager: bigqueryTable(),
    retry: { maxRetries: 0 },
    async *materialize({ row, target, metadata }, { bigquery }) {
      assert.equal(target, undefined);
      await assert.rejects(bigquery.load({ format: "PARQUET", uris: ["gs://x/y"] }), /fills its table by itself/);
      let last = 0;
      const before = await bigquery
        .run(sql`SELECT n FROM ${{ kind: "asset", key: "io/grown" }}`)
        .catch(() => undefined);
      for await (const { n } of before?.rowsOf() ?? []) {
        last = Math.max(last, Number(n));
        yield row({ n: Number(n) });
      }
      yield row({ n: last + 1 });
      metadata({ last });
    },
  });
  await using platform = await localPlatform({ exports: { grown } });
  for (let i = 0; i < 3; i++) assert.equal(await run(platform, "io/grown"), "succeeded");
  assert.deepEqual(await platform.rows("SELECT n FROM io.grown ORDER BY n"), [{ n: 1 }, { n: 2 }, { n: 3 }]);
  await cleanlyDone(platform);
});

test("a hundred megabytes of rows pass from an upstream to a table without being held in memory", async () => {
  const COUNT = 70_000;
  const wide = z.object({ i: z.int(), text: z.string() });
  const pad = "x".repeat(1_500);
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // what the flag has just put there
  let most = 0;
  const look = (i: number): void => {
    if (i % 7_000 !== 0) return;
    collect();
    most = Math.max(most, process.memoryUsage().heapUsed);
  };
  const first = asset({
    key: "big/first",
    schema: wide,
    ioManager: bigqueryTable(),
    *materialize({ row }) {
      for (let i = 0; i < COUNT; i++) {
        look(i);
        yield row({ i, text: `${i}${pad}` });
      }
    },
  });
  const second = asset({
    key: "big/second",
    inputs: { first },
    schema: wide.omit({ text: true }).extend({ length: z.int() }),
    ioManager: bigqueryTable(),
    async *materialize({ row }, { first }) {
      for await (const { i, text } of first) {
        look(i);
        yield row({ i, length: text.length });
      }
    },
  });
  await using platform = await localPlatform({ exports: { first, second } });
  assert.equal(await run(platform, "big/first"), "succeeded");
  assert.equal(await run(platform, "big/second"), "succeeded");
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n, SUM(i) AS s, MAX(length) AS l FROM big.second"), [
    { n: COUNT, s: (COUNT * (COUNT - 1)) / 2, l: 1_505 },
  ]);
  // The texts alone would be 100 MB.
  assert.ok(most > 0 && most < 60e6, `${Math.round(most / 1e6)} MB of heap`);
  await cleanlyDone(platform);
});
