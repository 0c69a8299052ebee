/** The usual checks on real rows: what they find, what they let through, and that nothing failed is visible. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Interval, SourceMode, check, intervalGcsImportAsset } from "sluice";
import type { InlineCheck } from "sluice";
import { localPlatform } from "../support/local-platform.ts";
import { openDuck } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

const importOf = (name: string, checks: readonly InlineCheck[], deps: readonly string[] = []) =>
  intervalGcsImportAsset({
    keyPrefix: "checked",
    name,
    bucketName: "checked-drops",
    pathBase: name,
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
    destinationTable: name,
    rawDatasetName: "checked_raw",
    cleanDatasetName: "checked",
    interval: Interval.Daily,
    mode: SourceMode.Overwrite,
    retentionDays: 10,
    format: "PARQUET",
    asset: { checks, deps },
  });

const GOOD = "SELECT 'p' || i AS id, i AS score, now()::TIMESTAMPTZ AS seen FROM range(5) AS t(i)";

const cases: [string, InlineCheck, string, RegExp][] = [
  [
    "a NULL",
    check.notNull(["id", "score"]),
    "SELECT 'a' AS id, NULL::BIGINT AS score, now() AS seen",
    /not_null_id_score: 1 row,/,
  ],
  [
    "a duplicate",
    check.unique("id"),
    "SELECT 'a' AS id, i AS score, now() AS seen FROM range(2) t(i)",
    /unique_id: 1 row, such as .*"row_count":2/,
  ],
  [
    "too few rows",
    check.rowCount({ min: 3 }),
    "SELECT 'a' AS id, 1::BIGINT AS score, now() AS seen",
    /row_count: 1 row, expected at least 3/,
  ],
  [
    "old rows",
    check.freshWithin("seen", "1h"),
    "SELECT 'a' AS id, 1::BIGINT AS score, now() - INTERVAL 2 HOUR AS seen",
    /fresh_seen: 1 row,/,
  ],
];

for (const [what, rule, bad, message] of cases) {
  test(`${what} keeps the data from being published, and good data passes`, async () => {
    const { assets, checks, jobs, sensors } = importOf("scores", [rule]);
    await using platform = await localPlatform({ exports: { assets, checks, jobs, sensors } });
    await platform.put("gs://checked-drops/scores/2024-05-01.parquet", await duck.file(GOOD));
    await platform.quiet();
    assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM checked.scores"), [{ n: 5 }]);

    await platform.put("gs://checked-drops/scores/2024-05-02.parquet", await duck.file(bad));
    await platform.quiet();
    assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM checked.scores"), [{ n: 5 }]);
    const [failed] = await platform.eventsOf("run.failed");
    assert.equal(failed?.code, "check-failed");
    assert.match(failed.reason, message);
    assert.deepEqual(await platform.leftovers(), []);
  });
}

test("a reference to another asset's table is looked up anew by every run", async () => {
  const people = importOf("people", []);
  const scores = importOf("scores", [check.references("id", people.asset)], ["checked/people"]);
  await using platform = await localPlatform({ exports: { people, scores } });
  const drop = async (name: string, rows: string): Promise<void> => {
    await platform.put(`gs://checked-drops/${name}/2024-05-01.parquet`, await duck.file(rows));
    await platform.quiet();
  };
  await drop("people", "SELECT 'a' AS id");
  await drop("scores", "SELECT 'b' AS id, 1::BIGINT AS score");
  const [failed] = await platform.eventsOf("run.failed");
  assert.match(failed?.reason ?? "", /references_id: 1 row, such as \{"id":"b"\}/);

  await drop("people", "SELECT 'b' AS id");
  await platform.publish("asset.checked.scores", { partition: "2024-05-01" });
  await platform.quiet();
  assert.deepEqual(await platform.rows("SELECT id FROM checked.scores"), [{ id: "b" }]);
});

test("a check that only warns is recorded and publishes", async () => {
  const scores = importOf("scores", [check.unique("id", { severity: "warn" })]);
  await using platform = await localPlatform({ exports: { scores } });
  await platform.put("gs://checked-drops/scores/2024-05-01.parquet", await duck.file("SELECT 'a' AS id FROM range(2)"));
  await platform.quiet();
  assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM checked.scores"), [{ n: 2 }]);
  const results = (await platform.eventsOf("check.evaluated")).map(({ result }) => result);
  const warned = results.find((result) => result.check === "unique_id");
  assert.deepEqual([warned?.passed, warned?.blocking, warned?.severity], [false, false, "warn"]);
});
