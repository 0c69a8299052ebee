/** Hand-written SQL over an imported table: the run's own table is made, checked and published as a loaded one is. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  Interval,
  SourceMode,
  asset,
  bigquery,
  check,
  daily,
  eager,
  intervalGcsImportAsset,
  RetryableError,
  sql,
} from "sluice";
import type { BigQueryResource, TableRef } from "sluice";
import { z } from "zod";
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
  keyPrefix: "gitcoin",
  name: "passport_scores",
  bucketName: "passport-drops",
  pathBase: "passport",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/scores.parquet`,
  destinationTable: "passport_scores",
  rawDatasetName: "gitcoin_raw",
  cleanDatasetName: "gitcoin",
  interval: Interval.Daily,
  mode: SourceMode.Overwrite,
  retentionDays: 10,
  format: "PARQUET",
});

const table = { dataset: "gitcoin", table: "passing" };

export const passing = asset({
  key: "gitcoin/passing",
  target: { table, slot: "table" },
  partitions: daily({ start: "2024-05-01" }),
  deps: [scores.asset],
  resources: { bigquery: bigquery() },
  config: z.object({ threshold: z.number().default(20) }),
  automation: eager(),
  checks: [check.rowCount({ min: 1 }), check.unique("address")],
  async materialize({ partition, config, target }, { bigquery }) {
    const job = await bigquery.run(sql`
      CREATE OR REPLACE TABLE ${target} AS SELECT address FROM ${scores.asset}
      WHERE day = ${partition.key} AND score >= ${config.threshold}`);
    return { metadata: { rows: job.rows, bytesBilled: job.bytesBilled } };
  },
});

/** The people p0, p1, … with the scores 0, 1, …. */
async function drop(platform: LocalPlatform, day: string, people: number): Promise<void> {
  const rows = `SELECT 'p' || i AS address, i::DOUBLE AS score, DATE '${day}' AS day FROM range(${people}) AS t(i)`;
  await platform.put(`gs://passport-drops/passport/${day}/scores.parquet`, await duck.file(rows));
  await platform.quiet();
}

const ask = async (platform: LocalPlatform, body: object): Promise<void> => {
  await platform.publish("asset.gitcoin.passing", body);
  await platform.quiet();
};
const shown = (platform: LocalPlatform) =>
  platform.rows("SELECT COUNT(*) AS n, MIN(address) AS low FROM gitcoin.passing");

test("an asset in SQL follows an import by itself, and is audited and published", async () => {
  await using platform = await localPlatform({ exports: { scores, passing } });
  await drop(platform, "2024-05-01", 25);
  assert.deepEqual(await shown(platform), [{ n: 5, low: "p20" }]);
  const [made] = (await platform.eventsOf("materialized")).slice(-1);
  assert.equal(made?.asset, "gitcoin/passing");
  assert.equal(made.partition, "2024-05-01");
  assert.equal(made.rows, 5);
  assert.equal(made.table, "gitcoin.passing");
  assert.equal(made.metadata?.["rows"], 5);
  assert.equal(typeof made.metadata["bytesBilled"], "number");
  assert.deepEqual(
    made.schema?.map(({ name, type }) => `${name} ${type}`),
    ["address STRING"],
  );

  // The same request again finds the same inputs.
  await ask(platform, { partition: "2024-05-01" });
  const [skipped] = await platform.eventsOf("run.skipped");
  assert.deepEqual([skipped?.asset, skipped?.code], ["gitcoin/passing", "unchanged"]);

  // Another threshold makes another table; the parameter is no text of the statement.
  await ask(platform, { partition: "2024-05-01", config: { threshold: 22.5 } });
  assert.deepEqual(await shown(platform), [{ n: 2, low: "p23" }]);

  await drop(platform, "2024-05-02", 30);
  assert.deepEqual(await shown(platform), [{ n: 10, low: "p20" }]);
  assert.deepEqual(await platform.eventsOf("run.failed"), []);
  assert.deepEqual(await platform.leftovers(), []);
  assert.deepEqual(platform.complaints, []);
});

test("what a blocking check refuses is not visible, and a corrected import is", async () => {
  await using platform = await localPlatform({ exports: { scores, passing } });
  await drop(platform, "2024-05-01", 25);
  await drop(platform, "2024-05-02", 10);
  const [failed] = await platform.eventsOf("run.failed");
  assert.equal(failed?.code, "check-failed");
  assert.match(failed.reason, /row_count: 0 rows, expected at least 1/);
  assert.deepEqual(await shown(platform), [{ n: 5, low: "p20" }]);

  // The very inputs whose table was dropped after the failure: everything is made anew.
  await ask(platform, { partition: "2024-05-02", config: { threshold: 9 } });
  assert.deepEqual(await shown(platform), [{ n: 1, low: "p9" }]);
  await drop(platform, "2024-05-02", 27);
  assert.deepEqual(await shown(platform), [{ n: 7, low: "p20" }]);
  assert.deepEqual(await platform.leftovers(), []);
});

/** An asset whose code is the test's. */
const coded = (work: (target: TableRef | undefined, bigquery: BigQueryResource) => Promise<unknown>) =>
  asset({
    key: "gitcoin/passing",
    target: { table, slot: "table" },
    resources: { bigquery: bigquery() },
    retry: { maxRetries: 5, delaySeconds: 0.01 },
    async materialize({ target }, { bigquery }) {
      await work(target, bigquery);
    },
  });

test("several statements fill one table, and a retry does none of them twice", async () => {
  let attempts = 0;
  const made = coded(async (target, bigquery) => {
    await bigquery.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 'a' AS address, 1 AS n`);
    const added = [sql`('b', ${2})`, sql`('c', 3)`].map((row) =>
      bigquery.run(sql`INSERT INTO ${target} VALUES ${row}`),
    );
    assert.deepEqual(
      (await Promise.all(added)).map(({ rows }) => rows),
      [1, 1],
    );
    await bigquery.run(sql`UPDATE ${target} SET n = n + ${10} WHERE address <> 'a'`);
    const read = await bigquery.run(sql`SELECT SUM(n) AS total FROM ${target}`);
    assert.deepEqual(await Array.fromAsync(read.rowsOf()), [{ total: 26 }]);
    if (++attempts === 1) throw new RetryableError("once more");
    await bigquery.run(sql`DELETE FROM ${target} WHERE address = 'b'`);
  });
  await using platform = await localPlatform({ exports: { made } });
  await ask(platform, {});
  assert.equal(attempts, 2);
  const rows = "SELECT address, n FROM gitcoin.passing ORDER BY 1";
  assert.deepEqual(await platform.rows(rows), [
    { address: "a", n: 1 },
    { address: "c", n: 13 },
  ]);
  assert.deepEqual(await platform.leftovers(), []);
});

test("a table that was dropped half way is made anew, every statement of it", async () => {
  let attempts = 0;
  const made = coded(async (target, bigquery) => {
    await bigquery.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 'a' AS address`);
    if (++attempts === 3) throw new RetryableError("after the first statement");
    await bigquery.run(sql`INSERT INTO ${target} VALUES ('b')`);
    if (attempts === 4) return;
    assert.ok(target !== undefined);
    await platform.warehouse.drop(target);
    throw new RetryableError("the table is gone");
  });
  await using platform = await localPlatform({ exports: { made } });
  await ask(platform, {});
  assert.equal(attempts, 4);
  assert.deepEqual(await platform.rows("SELECT address FROM gitcoin.passing ORDER BY 1"), [
    { address: "a" },
    { address: "b" },
  ]);
  assert.deepEqual(await platform.leftovers(), []);
});

test("no table but the run's own may be written, and a failed statement fails the run in a line", async (t) => {
  for (const [name, work, line] of [
    [
      "the visible table",
      sql`TRUNCATE TABLE ${sql.table(table)}`,
      /^accessDenied: line 1, column 16: .*gitcoin\.passing/,
    ],
    ["another table", sql`CREATE TABLE other.mine AS SELECT 1 AS one`, /^accessDenied: .* no table.*other\.mine/],
    ["an upstream", sql`DELETE FROM ${sql.table({ dataset: "gitcoin", table: "passport_scores" })} WHERE true`, /^acc/],
  ] as const) {
    await t.test(name, async () => {
      const made = coded(async (target, bigquery) => {
        await bigquery.run(sql`CREATE TABLE ${target} AS SELECT 'a' AS address`);
        await bigquery.run(work);
      });
      await using platform = await localPlatform({ exports: { made, scores } });
      await drop(platform, "2024-05-01", 3);
      await ask(platform, {});
      const [failed] = await platform.eventsOf("run.failed");
      assert.match(`${failed?.code ?? ""}: ${failed?.reason ?? ""}`, line);
      assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM gitcoin.passport_scores"), [{ n: 3 }]);
      assert.equal(await platform.warehouse.describe(table), undefined);
      assert.deepEqual(await platform.leftovers(), []);
    });
  }

  await t.test("a statement that the engine cannot run", async () => {
    const made = coded((target, bigquery) =>
      bigquery.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT SOUNDEX('a') AS one`),
    );
    await using platform = await localPlatform({ exports: { made } });
    await ask(platform, {});
    const [failed] = await platform.eventsOf("run.failed");
    assert.equal(failed?.code, "invalidQuery");
    assert.match(failed.reason, /^line 1, column \d+: .*SOUNDEX.*: the embedded engine does not run this/);
  });

  await t.test("a view in the place of the run's table", async () => {
    const made = coded((target, bigquery) => bigquery.run(sql`CREATE OR REPLACE VIEW ${target} AS SELECT 1 AS one`));
    await using platform = await localPlatform({ exports: { made } });
    await ask(platform, {});
    const [failed] = await platform.eventsOf("run.failed");
    assert.match(failed?.reason ?? "", /^gitcoin\/passing has made its table a view, whose rows cannot be published/);
    assert.deepEqual(await platform.leftovers(), []);
  });

  await t.test("an asset without a target", async () => {
    const made = asset({
      key: "gitcoin/passing",
      target: "none",
      resources: { bigquery: bigquery() },
      async materialize({ target }, { bigquery }) {
        await bigquery.run(sql`DROP TABLE ${target}`);
      },
    });
    await using platform = await localPlatform({ exports: { made } });
    await ask(platform, {});
    const [failed] = await platform.eventsOf("run.failed");
    assert.match(failed?.reason ?? "", /the value after "DROP TABLE " is undefined.*target/);
  });
});
