/** The five materializations of a SQL asset, run by run: what is visible, what is run again, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asset,
  bigquery,
  bigqueryTable,
  check,
  daily,
  dependsOn,
  eager,
  monthly,
  partition,
  sql,
  sqlAsset,
} from "sluice";
import type { Materialization } from "sluice";
import { z } from "zod";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";

const config = z.object({ n: z.int().default(1) });

async function ask(platform: LocalPlatform, key: string, body: object = {}): Promise<void> {
  await platform.publish(`asset.${key.replaceAll("/", ".")}`, body);
  await platform.quiet();
}
const lastEnd = async (platform: LocalPlatform): Promise<string> => {
  const ends = await platform.history("run.succeeded", "run.skipped", "run.failed");
  const last = ends.at(-1);
  return last?.type === "run.skipped" || last?.type === "run.failed" ? `${last.code}: ${last.reason}` : "succeeded";
};
const clean = async (platform: LocalPlatform): Promise<void> =>
  assert.deepEqual([await platform.leftovers(), platform.complaints], [[], []]);

/** A table that a test fills as it likes. */
const source = asset({
  key: "sql/source",
  config: z.object({ from: z.int(), to: z.int() }),
  schema: z.object({ n: z.int() }),
  ioManager: bigqueryTable(),
  materialize: ({ config: { from, to } }) => Array.from({ length: to - from + 1 }, (_, i) => ({ n: from + i })),
});

test("table: each run replaces it, columns and all, and a run with the same inputs is skipped", async () => {
  const made = (statement: ReturnType<typeof sql>) =>
    sqlAsset({ key: "sql/made", sql: statement, checks: [check.rowCount({ min: 1 })] });
  const home = await (async () => {
    const platform = await localPlatform({ exports: { source, made: made(sql`SELECT n FROM ${source}`) } });
    await ask(platform, "sql/source", { config: { from: 1, to: 3 } });
    await ask(platform, "sql/made");
    assert.deepEqual(await platform.rows("SELECT n FROM sql.made ORDER BY n"), [{ n: 1 }, { n: 2 }, { n: 3 }]);
    await ask(platform, "sql/made");
    assert.match(await lastEnd(platform), /^unchanged/);
    await clean(platform);
    await platform.shut();
    return platform.home;
  })();
  // The same inputs, another statement: it runs anew, and the table has its columns.
  await using platform = await localPlatform({
    home,
    exports: { source, made: made(sql`SELECT CAST(n AS STRING) AS name FROM ${source} WHERE n > ${1}`) },
  });
  await ask(platform, "sql/made");
  assert.deepEqual(await platform.rows("SELECT * FROM sql.made ORDER BY name"), [{ name: "2" }, { name: "3" }]);
  await clean(platform);
});

test("insert_overwrite: each run replaces its partition, by time of ingestion or by a column", async () => {
  const by = (key: string, column: "day" | undefined) =>
    sqlAsset({
      key,
      config,
      partitions: daily(),
      schema: z.object({ day: z.iso.date(), n: z.int() }),
      sql: sql`SELECT CAST(${partition.key} AS DATE) AS day, i AS n FROM UNNEST(GENERATE_ARRAY(1, ${sql.config("n")})) AS i`,
      ...(column === undefined ? {} : { partitionBy: column }),
    });
  await using platform = await localPlatform({
    exports: { a: by("sql/ingested", undefined), b: by("sql/columned", "day") },
  });
  for (const key of ["sql/ingested", "sql/columned"]) {
    for (const [day, n] of [
      ["2024-05-02", 2],
      ["2024-05-01", 3],
      ["2024-05-02", 4],
    ] as const)
      await ask(platform, key, { partition: day, config: { n } });
    const rows = `SELECT CAST(day AS STRING) AS day, COUNT(*) AS n FROM ${key.replace("/", ".")} GROUP BY 1 ORDER BY 1`;
    assert.deepEqual(await platform.rows(rows), [
      { day: "2024-05-01", n: 3 },
      { day: "2024-05-02", n: 4 },
    ]);
  }
  const slot = await platform.events.get("slot", "sql.columned$20240502");
  const job = await platform.warehouse.inspect(slot?.committed?.jobId ?? "");
  assert.deepEqual(
    { ...job?.labels, sluice_run: undefined },
    { sluice_asset: "sql-columned", sluice_partition: "2024-05-02", sluice_run: undefined, sluice_step: "publish" },
  );
  const columned = await platform.warehouse.describe({ dataset: "sql", table: "columned" });
  assert.deepEqual(columned?.partitioning, { type: "DAY", column: "day" });
  assert.deepEqual(await platform.eventsOf("run.failed"), []);
  await clean(platform);
});

test("rows outside of the partition are not published", async () => {
  const stray = sqlAsset({
    key: "sql/stray",
    partitions: daily(),
    schema: z.object({ day: z.iso.date() }),
    partitionBy: "day",
    sql: sql`SELECT DATE_ADD(CAST(${partition.key} AS DATE), INTERVAL 1 DAY) AS day`,
  });
  await using platform = await localPlatform({ exports: { stray } });
  await ask(platform, "sql/stray", { partition: "2024-05-01" });
  assert.match(await lastEnd(platform), /^check-failed: .*rows_in_partition/);
  assert.equal(await platform.warehouse.describe({ dataset: "sql", table: "stray" }), undefined);
  await clean(platform);
});

test("append: each run adds its rows, and a run with the same inputs adds none", async () => {
  const made = sqlAsset({ key: "sql/made", materialization: "append", sql: sql`SELECT n FROM ${source}` });
  await using platform = await localPlatform({ exports: { source, made } });
  const shown = () => platform.rows("SELECT n, COUNT(*) AS times FROM sql.made GROUP BY n ORDER BY n");
  await ask(platform, "sql/source", { config: { from: 1, to: 2 } });
  await ask(platform, "sql/made");
  await ask(platform, "sql/made");
  assert.match(await lastEnd(platform), /^unchanged/);
  await ask(platform, "sql/source", { config: { from: 2, to: 3 } });
  await ask(platform, "sql/made");
  assert.deepEqual(await shown(), [
    { n: 1, times: 1 },
    { n: 2, times: 2 },
    { n: 3, times: 1 },
  ]);
  await ask(platform, "sql/made", { force: true });
  assert.deepEqual((await shown()).at(-1), { n: 3, times: 2 });
  const made2 = (await platform.eventsOf("materialized")).filter((event) => event.asset === "sql/made");
  assert.deepEqual(
    made2.map(({ rows }) => rows),
    [2, 2, 2],
    "the event tells what the run has added",
  );
  await clean(platform);
});

test("append: a forced request that comes twice, and at once, adds its rows once", async () => {
  const made = sqlAsset({ key: "sql/made", materialization: "append", sql: sql`SELECT 1 AS n` });
  await using platform = await localPlatform({ exports: { made } });
  const asset = { kind: "asset", key: "sql/made" } as const;
  for (let n = 1; n <= 3; n++) {
    const body = { force: true, runKey: `forced ${n}` };
    await Promise.all([platform.deliver(asset, body), platform.deliver(asset, body)]);
    await platform.deliver(asset, body);
    await platform.quiet();
    assert.deepEqual(await platform.rows("SELECT COUNT(*) AS n FROM sql.made"), [{ n }]);
  }
  assert.equal((await platform.eventsOf("materialized")).length, 3);
  await clean(platform);
});

test("SQL by hand is published as its target says", async () => {
  const table = { dataset: "sql", table: "made" };
  for (const [publish, shown] of [
    ["append", ["a 1", "a 2", "b 1", "b 2"]],
    [{ merge: ["k"] }, ["a 2", "b 2"]],
    ["replace", ["a 2", "b 2"]],
  ] as const) {
    const made = asset({
      key: "sql/made",
      target: { table, slot: "table", publish },
      config,
      resources: { bigquery: bigquery() },
      async materialize({ target, config: { n } }, { bigquery }) {
        await bigquery.run(
          sql`CREATE OR REPLACE TABLE ${target} AS SELECT k, ${n} AS n FROM UNNEST(${["a", "b"]}) AS k`,
        );
      },
    });
    await using platform = await localPlatform({ exports: { made } });
    for (const n of [1, 2]) await ask(platform, "sql/made", { config: { n } });
    const rows = await platform.rows("SELECT k, n FROM sql.made ORDER BY k, n");
    assert.deepEqual(
      rows.map(({ k, n }) => `${String(k)} ${String(n)}`),
      shown,
    );
    await clean(platform);
  }
});

test("merge: a key that is there is replaced, others are added, in whatever order the partitions come", async () => {
  const made = sqlAsset({
    key: "sql/made",
    config,
    partitions: daily(),
    materialization: { merge: ["day", "kind"] },
    sql: sql`SELECT CAST(${partition.key} AS DATE) AS day, kind, ${sql.config("n")} AS n FROM UNNEST(['a', 'b']) AS kind`,
  });
  await using platform = await localPlatform({ exports: { made } });
  const shown = async () =>
    (await platform.rows("SELECT CAST(day AS STRING) AS day, kind, n FROM sql.made ORDER BY day, kind")).map(
      ({ day, kind, n }) => `${String(day)} ${String(kind)} ${String(n)}`,
    );
  await ask(platform, "sql/made", { partition: "2024-05-02", config: { n: 2 } });
  await ask(platform, "sql/made", { partition: "2024-05-01", config: { n: 1 } });
  assert.deepEqual(await shown(), ["2024-05-01 a 1", "2024-05-01 b 1", "2024-05-02 a 2", "2024-05-02 b 2"]);
  await ask(platform, "sql/made", { partition: "2024-05-01", config: { n: 5 } });
  assert.deepEqual(await shown(), ["2024-05-01 a 5", "2024-05-01 b 5", "2024-05-02 a 2", "2024-05-02 b 2"]);
  assert.deepEqual(await platform.eventsOf("run.skipped"), []);
  await clean(platform);
});

test("merge: of the same inputs, a partition is made once, although another one was committed after it", async () => {
  const made = sqlAsset({
    key: "sql/made",
    partitions: daily(),
    materialization: { merge: ["day"] },
    sql: sql`SELECT ${partition.key} AS day, SUM(n) AS n FROM ${source}`,
  });
  await using platform = await localPlatform({ exports: { source, made } });
  await ask(platform, "sql/source", { config: { from: 1, to: 2 } });
  for (const day of ["2024-05-01", "2024-05-02"]) await ask(platform, "sql/made", { partition: day });
  await ask(platform, "sql/made", { partition: "2024-05-01" });
  assert.match(await lastEnd(platform), /^unchanged/);
  await ask(platform, "sql/source", { config: { from: 1, to: 3 } });
  await ask(platform, "sql/made", { partition: "2024-05-01" });
  assert.deepEqual(await platform.rows("SELECT day, n FROM sql.made ORDER BY day"), [
    { day: "2024-05-01", n: 6 },
    { day: "2024-05-02", n: 3 },
  ]);
});

test("merge: a key that is there twice, or is NULL, keeps all of the run's rows out", async () => {
  for (const [values, line] of [
    ["['a', 'b', 'a']", /merge_key: 1 row, such as \{"k":"a","row_count":2\}/],
    ["['a', NULL]", /merge_key: 1 row, such as \{"k":null,"row_count":1\}/],
  ] as const) {
    const statement = { kind: "sql", strings: [`SELECT k FROM UNNEST(${values}) AS k`], values: [] } as const;
    const made = sqlAsset({ key: "sql/made", materialization: { merge: ["k"] }, sql: statement });
    await using platform = await localPlatform({ exports: { made } });
    await ask(platform, "sql/made");
    assert.match(await lastEnd(platform), line);
    assert.equal(await platform.warehouse.describe({ dataset: "sql", table: "made" }), undefined);
    await clean(platform);
  }
});

test("append and merge: columns change by schemaChange alone, and old rows keep their values", async () => {
  const first = sql`SELECT 1 AS k, 'one' AS a`;
  const second = sql`SELECT ${sql.config("n")} AS k, 2.5 AS b`;
  const versions = (materialization: Materialization, schemaChange: "extend" | "fail") =>
    [first, second].map((statement) =>
      sqlAsset({ key: "sql/made", config, materialization, schemaChange, sql: statement }),
    );
  for (const materialization of ["append", { merge: ["k"] }] as const) {
    for (const schemaChange of ["fail", "extend"] as const) {
      const [before, after] = versions(materialization, schemaChange);
      const old = await localPlatform({ exports: { before } });
      await ask(old, "sql/made");
      await old.shut();
      await using platform = await localPlatform({ home: old.home, exports: { after } });
      await ask(platform, "sql/made", { config: { n: 2 } });
      const rows = await platform.rows("SELECT * FROM sql.made ORDER BY k");
      if (schemaChange === "fail") {
        assert.match(await lastEnd(platform), /^schema-changed: .*the column b is new.*; correct the data/);
        assert.deepEqual(rows, [{ k: 1, a: "one" }]);
      } else {
        assert.deepEqual(rows, [
          { k: 1, a: "one", b: null },
          { k: 2, a: null, b: 2.5 },
        ]);
        await ask(platform, "sql/made", { config: { n: 1 } });
        const found = await platform.rows("SELECT * FROM sql.made ORDER BY k, a");
        const replaced = { k: 1, a: null, b: 2.5 };
        assert.deepEqual(
          found.filter(({ k }) => k === 1),
          materialization === "append" ? [replaced, { k: 1, a: "one", b: null }] : [replaced],
        );
      }
      await clean(platform);
    }
  }
});

test("view: nothing is stored, and what its checks refuse is not shown", async () => {
  const view = sqlAsset({
    key: "sql/shown",
    materialization: "view",
    schema: z.object({ n: z.int(), name: z.string() }),
    checks: [check.rowCount({ min: 2 }), check.unique("n")],
    automation: eager(),
    sql: sql`SELECT n, CONCAT('n', CAST(n AS STRING)) AS name FROM ${source} WHERE n > 1`,
  });
  const reader = asset({
    key: "sql/reader",
    inputs: { view },
    schema: z.object({ name: z.string() }),
    ioManager: bigqueryTable(),
    automation: eager(),
    async *materialize({ row }, { view: rows }) {
      for await (const { name } of rows) yield row({ name });
    },
  });
  await using platform = await localPlatform({ exports: { source, view, reader } });
  await ask(platform, "sql/source", { config: { from: 1, to: 2 } });
  const [failed] = await platform.eventsOf("run.failed");
  assert.match(failed?.reason ?? "", /row_count: 1 row, expected at least 2/);
  assert.equal(await platform.warehouse.describe({ dataset: "sql", table: "shown" }), undefined);

  await ask(platform, "sql/source", { config: { from: 1, to: 3 } });
  assert.deepEqual(await platform.rows("SELECT * FROM sql.shown ORDER BY n"), [
    { n: 2, name: "n2" },
    { n: 3, name: "n3" },
  ]);
  assert.equal((await platform.warehouse.describe({ dataset: "sql", table: "shown" }))?.view, true);
  assert.deepEqual(await platform.rows("SELECT name FROM sql.reader ORDER BY name"), [{ name: "n2" }, { name: "n3" }]);
  const made = (await platform.eventsOf("materialized")).find((event) => event.asset === "sql/shown");
  assert.deepEqual([made?.rows, made?.schema?.map(({ name }) => name)], [undefined, ["n", "name"]]);
  await clean(platform);
});

test("a view does not take the place of a table, nor a table that of a view", async () => {
  const as = (materialization: Materialization) =>
    sqlAsset({ key: "sql/made", materialization, sql: sql`SELECT 1 AS n` });
  for (const [first, second, line] of [
    ["table", "view", /^schema-changed: sql\.made is a table and would become a view: drop it first/],
    ["view", "table", /^schema-changed: sql\.made is a view and would become a table: drop it first/],
    ["view", "append", /^schema-changed: sql\.made is a view and would become a table: drop it first/],
  ] as const) {
    const old = await localPlatform({ exports: { made: as(first) } });
    await ask(old, "sql/made");
    await old.shut();
    await using platform = await localPlatform({ home: old.home, exports: { made: as(second) } });
    await ask(platform, "sql/made");
    assert.match(await lastEnd(platform), line);
    await clean(platform);
  }
});

test("rows that are not what the schema promises are not published", async () => {
  const made = (statement: ReturnType<typeof sql>) =>
    sqlAsset({ key: "sql/made", schema: z.object({ day: z.iso.date(), n: z.int() }), sql: statement });
  for (const [statement, line] of [
    [
      sql`SELECT DATE '2024-05-01' AS day`,
      /^schema-mismatch: the column n of the SQL of sql\/made is missing, and INT64/,
    ],
    [sql`SELECT '2024-05-01' AS day, 1 AS n`, /^schema-mismatch: the column day .* is STRING, and DATE in its schema/],
    [sql`SELECT DATE '2024-05-01' AS day, [1] AS n`, /the column n .* is ARRAY<INT64>, and INT64 in its schema/],
  ] as const) {
    await using platform = await localPlatform({ exports: { made: made(statement) } });
    await ask(platform, "sql/made");
    assert.match(await lastEnd(platform), line);
    assert.equal(await platform.warehouse.describe({ dataset: "sql", table: "made" }), undefined);
    await clean(platform);
  }
});

test("partitionBy and clusterBy lay the table out, whatever its column's type", async () => {
  const laid = (key: string, column: ReturnType<typeof sql>) =>
    sqlAsset({
      key,
      partitions: monthly(),
      partitionBy: "moment",
      clusterBy: ["kind"],
      sql: sql`SELECT ${column} AS moment, 'x' AS kind`,
    });
  await using platform = await localPlatform({
    exports: {
      date: laid("sql/date", sql`CAST(${partition.start} AS DATE)`),
      moment: laid("sql/moment", sql`CAST(${partition.start} AS TIMESTAMP)`),
      local: laid("sql/local", sql`CAST(${partition.start} AS DATETIME)`),
    },
  });
  for (const name of ["date", "moment", "local"]) {
    await ask(platform, `sql/${name}`, { partition: "2024-05" });
    assert.equal(await lastEnd(platform), "succeeded", name);
    const info = await platform.warehouse.describe({ dataset: "sql", table: name });
    assert.deepEqual([info?.rows, info?.partitioning], [1, { type: "MONTH", column: "moment" }], name);
  }
  await clean(platform);
});

test("the bounds of a partition compare with dates and timestamps alike", async () => {
  const moments = sqlAsset({
    key: "sql/moments",
    sql: sql`SELECT day, TIMESTAMP(day) AS moment, DATETIME(day) AS local
      FROM UNNEST(GENERATE_DATE_ARRAY(DATE '2024-04-30', DATE '2024-06-01')) AS day`,
  });
  const counted = sqlAsset({
    key: "sql/counted",
    partitions: monthly(),
    deps: [dependsOn(moments, { kind: "all" })],
    sql: sql`SELECT
      COUNTIF(day >= ${partition.start} AND day < ${partition.end}) AS days,
      COUNTIF(moment >= ${partition.start} AND moment < ${partition.end}) AS moments,
      COUNTIF(local >= ${partition.start} AND local < ${partition.end}) AS locals
      FROM ${moments}`,
  });
  await using platform = await localPlatform({ exports: { moments, counted } });
  await ask(platform, "sql/moments");
  await ask(platform, "sql/counted", { partition: "2024-05" });
  assert.equal(await lastEnd(platform), "succeeded");
  assert.deepEqual(await platform.rows("SELECT days, moments, locals FROM sql.counted"), [
    { days: 31, moments: 31, locals: 31 },
  ]);
});

test("the input of a merged table is the whole, or by a column the window that is asked for", async () => {
  const merged = (key: string, partitionBy: string | undefined) =>
    sqlAsset({
      key,
      partitions: daily(),
      materialization: { merge: ["day"] },
      schema: z.object({ day: z.iso.date() }),
      sql: sql`SELECT CAST(${partition.key} AS DATE) AS day`,
      ...(partitionBy === undefined ? {} : { partitionBy: "day" as const }),
    });
  const whole = merged("sql/whole", undefined);
  const parted = merged("sql/parted", "day");
  const seen: string[] = [];
  const reader = asset({
    key: "sql/reader",
    target: "none",
    partitions: daily(),
    inputs: { whole, parted },
    async materialize(_context, inputs) {
      for (const name of ["whole", "parted"] as const)
        for await (const { day } of inputs[name]) seen.push(`${name} ${day}`);
    },
  });
  await using platform = await localPlatform({ exports: { whole, parted, reader } });
  for (const day of ["2024-05-01", "2024-05-02"])
    for (const key of ["sql/whole", "sql/parted"]) await ask(platform, key, { partition: day });
  await ask(platform, "sql/reader", { partition: "2024-05-01" });
  assert.deepEqual(seen.sort(), ["parted 2024-05-01", "whole 2024-05-01", "whole 2024-05-02"]);
});

test("an asset that has put nothing into its table is told how", async () => {
  const idle = asset({ key: "sql/idle", resources: { bigquery: bigquery() }, materialize: async () => undefined });
  await using platform = await localPlatform({ exports: { idle } });
  await ask(platform, "sql/idle");
  assert.match(
    await lastEnd(platform),
    /^no-data: sql\/idle has put nothing into its table: write to \$\{target\}.*target: "none"/,
  );
  await clean(platform);
});

test("a dry run says what a statement would return and read, and runs nothing", async () => {
  const tried = asset({
    key: "sql/tried",
    deps: [source],
    resources: { bigquery: bigquery({ maximumBytesBilled: 1_000_000 }) },
    async materialize({ target, metadata }, { bigquery }) {
      const { schema } = await bigquery.dryRun(sql`SELECT n, CAST(n AS STRING) AS name FROM ${source}`);
      metadata({ columns: schema.map(({ name, type }) => `${name} ${type}`) });
      assert.deepEqual((await bigquery.dryRun(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 1 AS n`)).schema, []);
      await assert.rejects(bigquery.dryRun(sql`SELECT nothing FROM ${source}`), { code: "invalidQuery" });
      await assert.rejects(bigquery.run(sql`SELECT n FROM ${target}`), /tried/);
      await bigquery.run(sql`CREATE OR REPLACE TABLE ${target} AS SELECT 1 AS n`, { maximumBytesBilled: 10 });
    },
  });
  await using platform = await localPlatform({ exports: { source, tried } });
  await ask(platform, "sql/source", { config: { from: 1, to: 2 } });
  await ask(platform, "sql/tried");
  assert.equal(await lastEnd(platform), "succeeded");
  const made = (await platform.eventsOf("materialized")).at(-1);
  assert.deepEqual(made?.metadata, { columns: ["n INT64", "name STRING"] });
  await clean(platform);
});

test("a mistake in a statement has its place in the words of the author", async () => {
  const statements = {
    word: sql`SELEC 1 AS one`,
    end: sql`SELECT 1 +`,
    list: sql`SELECT 1 AS one,
      ROUND(x, 'a') AS two FROM UNNEST([1]) AS x`,
    run: sql`SELECT SUM(x) AS n FROM UNNEST([9223372036854775807, 1]) AS x`,
  };
  const made = Object.entries(statements).map(([name, statement]) =>
    sqlAsset({ key: `sql/${name}`, sql: statement, clusterBy: ["one"] }),
  );
  const view = sqlAsset({ key: "sql/view", materialization: "view", sql: sql`SELECT 1 AS one FORM d.t` });
  await using platform = await localPlatform({ exports: { made, view } });
  for (const [name, expected] of [
    ["word", /^invalidQuery: line 1, column 1: SELEC at this place: a syntax error$/],
    ["end", /^invalidQuery: line 1, column 11: a statement that ends too early: a syntax error$/],
    ["list", /^invalidQuery: line 2, column 7: ROUND of /],
    ["view", /^invalidQuery: line 1, column 17: FORM at this place: a syntax error$/],
    ["run", /^invalidQuery: SUM: INT64 overflow: 9223372036854775808$/],
  ] as const) {
    await ask(platform, `sql/${name}`);
    assert.match(await lastEnd(platform), expected);
  }
  await clean(platform);
});

test("a statement that would bill more than its limit fails, and publishes nothing", async () => {
  const made = sqlAsset({ key: "sql/made", sql: sql`SELECT SUM(n) AS n FROM ${source}`, maximumBytesBilled: 1_000 });
  const tried = asset({
    key: "sql/tried",
    deps: [source],
    resources: { bigquery: bigquery({ maximumBytesBilled: 1_000 }) },
    async materialize({ target }, { bigquery }) {
      const statement = sql`CREATE OR REPLACE TABLE ${target} AS SELECT SUM(n) AS n FROM ${source}`;
      await assert.rejects(bigquery.run(statement), { code: "bytesBilledLimitExceeded" });
      await bigquery.run(statement, { maximumBytesBilled: 1_000_000_000 });
    },
  });
  await using platform = await localPlatform({ exports: { source, made, tried } });
  await ask(platform, "sql/source", { config: { from: 1, to: 2 } });
  await ask(platform, "sql/made");
  assert.match(await lastEnd(platform), /^bytesBilledLimitExceeded/);
  assert.equal(await platform.warehouse.describe({ dataset: "sql", table: "made" }), undefined);
  await ask(platform, "sql/tried");
  assert.equal(await lastEnd(platform), "succeeded");
  await clean(platform);
});

test("a script fills the run's table, which it names several times, and no other", async () => {
  const scripted = (last: ReturnType<typeof sql>) =>
    asset({
      key: "sql/scripted",
      resources: { bigquery: bigquery() },
      async materialize({ target }, { bigquery }) {
        await bigquery.run(sql`
          DECLARE low INT64 DEFAULT ${2};
          CREATE OR REPLACE TABLE ${target} AS SELECT n FROM UNNEST([1, 2, 3]) AS n;
          DELETE FROM ${target} WHERE n < low;
          INSERT INTO ${target} (n) SELECT MAX(n) + 1 FROM ${target};
          ${last}`);
      },
    });
  await using good = await localPlatform({ exports: { made: scripted(sql`SELECT 1`) } });
  await ask(good, "sql/scripted");
  assert.equal(await lastEnd(good), "succeeded");
  assert.deepEqual(await good.rows("SELECT n FROM sql.scripted ORDER BY n"), [{ n: 2 }, { n: 3 }, { n: 4 }]);
  await clean(good);
  await using bad = await localPlatform({ exports: { made: scripted(sql`DROP TABLE IF EXISTS other.table`) } });
  await ask(bad, "sql/scripted");
  assert.match(await lastEnd(bad), /^accessDenied/);
  assert.equal(await bad.warehouse.describe({ dataset: "sql", table: "scripted" }), undefined);
});
