/** The two ways of SQL over an imported table, as authors write them: by hand, and as an asset that is all data. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { asset, bigquery, check, daily, eager, partition, sql, sqlAsset } from "sluice";
import { z } from "zod";
import { gitcoinPassportScores } from "../../functions/gitcoin.ts";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { openDuck, scoresSql } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

export const passing = asset({
  key: "gitcoin/passing",
  partitions: daily({ start: "2024-05-01" }),
  deps: [gitcoinPassportScores.asset],
  resources: { bigquery: bigquery() },
  config: z.object({ threshold: z.number().default(20) }),
  automation: eager(),
  async materialize({ partition, config, target }, { bigquery }) {
    const job = await bigquery.run(sql`
      CREATE OR REPLACE TABLE ${target} AS SELECT address FROM ${gitcoinPassportScores.asset}
      WHERE day = ${partition.key} AND score >= ${config.threshold}`);
    return { metadata: { bytesBilled: job.bytesBilled } };
  },
});

export const daySummary = sqlAsset({
  key: "gitcoin/day_summary",
  partitions: daily({ start: "2024-05-01" }),
  schema: z.object({ day: z.iso.date(), people: z.int() }),
  materialization: { merge: ["day"] },
  checks: [check.unique("day")],
  automation: eager(),
  sql: sql`SELECT day, COUNT(*) AS people FROM ${gitcoinPassportScores.asset}
           WHERE day = ${partition.key} GROUP BY day`,
});

const exports = { gitcoinPassportScores, passing, daySummary };

async function drop(platform: LocalPlatform, day: string, people: number): Promise<void> {
  const uri = `gs://oso-dataset-transfer-bucket/passport/${day}/scores.parquet`;
  await platform.put(uri, await duck.file(scoresSql(day, people, 25)));
  await platform.quiet();
}
const summary = (platform: LocalPlatform) =>
  platform.rows("SELECT CAST(day AS STRING) AS day, people FROM gitcoin.day_summary ORDER BY day");
const passed = (platform: LocalPlatform) =>
  platform.rows(
    "SELECT FORMAT_DATE('%F', DATE(_PARTITIONTIME)) AS day, COUNT(*) AS n FROM gitcoin.passing GROUP BY day ORDER BY day",
  );

test("both follow the import by themselves, each in the table of its key", async () => {
  await using platform = await localPlatform({ exports });
  await drop(platform, "2024-05-01", 30);
  await drop(platform, "2024-05-02", 40);
  assert.deepEqual(await passed(platform), [
    { day: "2024-05-01", n: 30 },
    { day: "2024-05-02", n: 40 },
  ]);
  assert.deepEqual(await summary(platform), [
    { day: "2024-05-01", people: 30 },
    { day: "2024-05-02", people: 40 },
  ]);

  // A corrected file takes the place of the rows of its day, here and there.
  await drop(platform, "2024-05-02", 35);
  assert.deepEqual((await passed(platform)).at(-1), { day: "2024-05-02", n: 35 });
  assert.deepEqual(await summary(platform), [
    { day: "2024-05-01", people: 30 },
    { day: "2024-05-02", people: 35 },
  ]);
  const made = (await platform.eventsOf("materialized")).filter((event) => event.asset === "gitcoin/day_summary");
  assert.deepEqual(
    made.map(({ partition, rows, table, metadata }) => [partition, rows, table, Object.keys(metadata ?? {})]),
    ["2024-05-01", "2024-05-02", "2024-05-02"].map((day) => [day, 1, "gitcoin.day_summary", ["bytesBilled"]]),
  );
  assert.deepEqual(await platform.eventsOf("run.failed"), []);
  assert.deepEqual([await platform.leftovers(), platform.complaints], [[], []]);
});
