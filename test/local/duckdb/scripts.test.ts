/** Scripts and views in the embedded engine, beyond what every warehouse does. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import { openDuckdbWarehouse, type DuckdbWarehouse } from "../../../lib/local/duckdb/warehouse.ts";
import { systemClock } from "../../../lib/local/system-clock.ts";
import type { JobSpec, JobStatus } from "../../../lib/ports/warehouse.ts";
import { column, minute, n, ref } from "../../ports/warehouse/world.ts";

interface Shop {
  readonly file: string;
  readonly open: () => Promise<DuckdbWarehouse>;
}

async function withShop(work: (shop: Shop) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "duckdb-scripts-"));
  const file = join(folder, "shop.duckdb");
  try {
    await work({
      file,
      open: () => openDuckdbWarehouse({ file, resolveUri: (uri) => uri, clock: systemClock(), memoryLimit: "1GB" }),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

let count = 0;

async function run(
  warehouse: DuckdbWarehouse,
  sql: string,
  more: Partial<Extract<JobSpec, { kind: "query" }>> = {},
): Promise<JobStatus> {
  const id = `job_${++count}`;
  await warehouse.submit(id, { kind: "query", sql, writes: [ref("t"), ref("u"), ref("v")], ...more }, {});
  return await warehouse.wait(id, { timeoutMs: minute });
}

async function rowsOf(warehouse: DuckdbWarehouse, sql: string): Promise<readonly unknown[]> {
  const { jobId, state, error } = await run(warehouse, sql);
  assert.equal(state, "succeeded", error?.message);
  return await Array.fromAsync(warehouse.rows(jobId));
}

/** The first column of every row of a closed warehouse's file. */
async function inside(file: string, sql: string): Promise<readonly unknown[]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run(`ATTACH '${file}' AS file (READ_ONLY)`);
    return (await connection.runAndReadAll(sql)).getRows().map(([first]) => first);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

test("scripts leave nothing behind but what they made", async () =>
  await withShop(async ({ file, open }) => {
    const warehouse = await open();
    const good = await run(
      warehouse,
      `SELECT 1 AS a; CREATE TEMP TABLE s AS SELECT 1 AS n; CREATE OR REPLACE TEMP TABLE s AS SELECT n + 1 AS n FROM s;
       UPDATE s SET n = n + 1 WHERE true; CREATE TABLE shop.t AS SELECT n FROM s; CREATE OR REPLACE TABLE shop.t AS SELECT n FROM shop.t;
       CREATE TABLE shop.u AS SELECT 1 AS n; DROP TABLE shop.u; SELECT 2 AS b; SELECT n FROM shop.t`,
    );
    assert.equal(good.state, "succeeded", good.error?.message);
    const bad = await run(
      warehouse,
      "CREATE TEMP TABLE s AS SELECT 7 AS n; SELECT 1 AS a; INSERT INTO shop.t SELECT n FROM s; CREATE TEMP TABLE more AS SELECT 1 / 0 AS x;",
    );
    assert.equal(bad.error?.reason, "invalidQuery", bad.error?.message);
    assert.deepEqual(await rowsOf(warehouse, "SELECT n FROM shop.t ORDER BY n"), [{ n: 3 }, { n: 7 }]);
    await assert.rejects(Array.fromAsync(warehouse.rows(bad.jobId)), { name: "PermanentError" });
    await warehouse.close();
    const tables = (prefix: string): string =>
      `SELECT table_name FROM duckdb_tables() WHERE database_name = 'file' AND schema_name = '_sluice_data' AND table_name LIKE '${prefix}%'`;
    assert.equal((await inside(file, tables("t"))).length, 1);
    const results = `${tables("q")} AND table_name NOT IN (SELECT result FROM file._sluice.jobs WHERE state = 'succeeded' AND result IS NOT NULL)`;
    assert.deepEqual(await inside(file, results), []);
    const schemas =
      "SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'file' AND schema_name LIKE '_sluice_s%'";
    assert.deepEqual(await inside(file, schemas), []);
  }));

test("what is refused anywhere in a script is refused before anything of it runs", async () =>
  await withShop(async ({ open }) => {
    const warehouse = await open();
    await run(warehouse, "CREATE TABLE shop.t AS SELECT 1 AS n");
    const before = await warehouse.describe(ref("t"));
    for (const [rest, reason, word] of [
      ["SELECT FOO(1)", "invalidQuery", "line 2, column 8: the function FOO"],
      ["SET nobody = 1", "invalidQuery", "line 2, column 5"],
      ["SELECT nonsense FROM shop.t", "invalidQuery", "nonsense"],
      ["SELECT * FROM shop.nothing", "notFound", "shop.nothing"],
      ["IF FALSE THEN EXECUTE IMMEDIATE 'SELECT 1'; END IF", "invalidQuery", "EXECUTE"],
      ["WHILE FALSE DO DELETE FROM elsewhere.t WHERE TRUE; END WHILE", "accessDenied", "elsewhere.t"],
      ["BEGIN SELECT 1; EXCEPTION WHEN ERROR THEN SELECT 2; END", "invalidQuery", "EXCEPTION"],
      ["CREATE TEMP TABLE s AS SELECT 1 AS n; SELECT m FROM s", "invalidQuery", "the unknown name m"],
      ["SELECT @p AS p", "invalidQuery", "@p"],
    ] as const) {
      const { state, error } = await run(warehouse, `TRUNCATE TABLE shop.t;\n${rest};`);
      assert.equal(state, "failed", rest);
      assert.equal(error?.reason, reason, error?.message);
      assert.ok(error.message.includes(word), `${word} is not in ${error.message}`);
      assert.deepEqual(await warehouse.describe(ref("t")), before, rest);
    }
    await warehouse.close();
  }));

test("what only the run can tell is left to the run, and says no name that nobody wrote", async () =>
  await withShop(async ({ open }) => {
    const warehouse = await open();
    const either = (condition: string): string =>
      `IF ${condition} THEN CREATE TEMP TABLE s AS SELECT 1 AS n; ELSE CREATE TEMP TABLE s AS SELECT 'x' AS m; END IF;
       BEGIN DECLARE top DEFAULT (SELECT AS STRUCT * FROM s LIMIT 1); SELECT * FROM s, (SELECT top.n AS again); END;`;
    assert.deepEqual(await rowsOf(warehouse, either("TRUE")), [{ n: 1, again: 1 }]);
    const other = await run(warehouse, either("FALSE"));
    assert.match(other.error?.message ?? "", /the unknown field n/);
    for (const sql of [
      "CREATE TEMP TABLE s AS SELECT 1 AS n; CREATE TEMP TABLE s AS SELECT 2 AS n",
      "CREATE TEMP TABLE s AS SELECT 1 AS n; DROP TABLE s; SELECT * FROM s",
      "CREATE TEMP TABLE s AS SELECT 1 AS n; DROP VIEW s",
    ]) {
      const { error } = await run(warehouse, sql);
      assert.ok(error !== undefined, sql);
      assert.doesNotMatch(error.message, /_sluice/);
      assert.match(error.message, /\bs\b/);
    }
    await warehouse.close();
  }));

test("scripts at the same time do not meet each other's names", async () =>
  await withShop(async ({ open }) => {
    const warehouse = await open();
    await run(warehouse, "CREATE TABLE shop.t (n INT64)");
    const ids = Array.from({ length: 8 }, (_, index) => `at_once_${index}`);
    for (const [index, id] of ids.entries()) {
      const sql = `DECLARE x INT64 DEFAULT ${index}; DECLARE y INT64;
        CREATE TEMP TABLE s AS SELECT x AS n; INSERT INTO shop.t SELECT n FROM s; SELECT n, y FROM s;`;
      await warehouse.submit(id, { kind: "query", sql, writes: [ref("t")] }, {});
    }
    for (const [index, id] of ids.entries()) {
      const { state, error } = await warehouse.wait(id, { timeoutMs: minute });
      assert.equal(state, "succeeded", error?.message);
      assert.deepEqual(await Array.fromAsync(warehouse.rows(id)), [{ n: index, y: null }]);
    }
    assert.equal((await warehouse.describe(ref("t")))?.rows, 8);
    await warehouse.close();
  }));

test("an endless script can be cancelled, and holds up nobody then", async () =>
  await withShop(async ({ open }) => {
    const warehouse = await open();
    await run(warehouse, "CREATE TABLE shop.t AS SELECT 1 AS n");
    const before = await warehouse.describe(ref("t"));
    const sql = "DECLARE i INT64 DEFAULT 0; DELETE FROM shop.t WHERE TRUE; LOOP SET i = i + 1; END LOOP;";
    await warehouse.submit("endless", { kind: "query", sql, writes: [ref("t")] }, {});
    while ((await warehouse.inspect("endless"))?.state === "pending") await pause(1);
    await pause(30);
    await warehouse.cancel("endless");
    assert.equal((await warehouse.wait("endless", { timeoutMs: minute })).error?.reason, "stopped");
    assert.deepEqual(await warehouse.describe(ref("t")), before);
    assert.equal((await run(warehouse, "INSERT INTO shop.t VALUES (2)")).state, "succeeded");
    await warehouse.close();
  }));

test("a limit counts all statements of a script together", async () =>
  await withShop(async ({ open }) => {
    const warehouse = await open();
    await run(warehouse, "CREATE TABLE shop.t AS SELECT 1 AS n");
    const once = "INSERT INTO shop.u SELECT n FROM shop.t;";
    const script = `CREATE TABLE shop.u (n INT64); ${once} ${once} ${once}`;
    const limited = await run(warehouse, script, { maximumBytesBilled: 25 * 1024 ** 2 });
    assert.deepEqual([limited.error?.reason, limited.error?.retryable], ["bytesBilledLimitExceeded", false]);
    assert.equal((await warehouse.describe(ref("u")))?.rows, 2);
    await warehouse.drop(ref("u"));
    const whole = await run(warehouse, script);
    assert.equal(whole.bytesBilled, 30 * 1024 ** 2);
    assert.equal((await warehouse.inspect(whole.jobId))?.bytesBilled, whole.bytesBilled);
    await warehouse.close();
  }));

test("views are there after the file was closed, and are no tables of the engine", async () =>
  await withShop(async ({ file, open }) => {
    const first = await open();
    await run(first, "CREATE TABLE shop.t AS SELECT 1 AS n");
    await run(first, "CREATE VIEW shop.v (twice) AS SELECT n * 2 FROM shop.t");
    const described = await first.describe(ref("v"));
    await first.close();
    assert.deepEqual(await inside(file, "SELECT name FROM file._sluice.tables WHERE view IS NOT NULL"), ["v"]);
    const second = await open();
    assert.deepEqual(await second.describe(ref("v")), described);
    assert.deepEqual(await rowsOf(second, "SELECT * FROM shop.v"), [{ twice: 2 }]);
    const { columns, rows } = await second.query("SELECT v.twice FROM shop.v AS v");
    assert.deepEqual([columns, await Array.fromAsync(rows)], [["twice"], [{ twice: 2 }]]);
    await assert.rejects(second.extend(ref("v"), [column("m", "INT64")], described?.etag ?? ""), { code: "invalid" });
    await assert.rejects(second.drop({ ...ref("v"), partition: "20240101" }), { code: "bad-input" });
    assert.deepEqual((await second.describe(ref("t")))?.schema, n);
    await second.close();
  }));

test("views stand on each other sixteen deep, and a refusal in one names it", async () =>
  await withShop(async ({ open }) => {
    const warehouse = await open();
    const writes = Array.from({ length: 18 }, (_, index) => ref(`v${index}`));
    await run(warehouse, "CREATE VIEW shop.v0 AS SELECT 1 AS n", { writes });
    for (let index = 1; index < 16; index++) {
      const sql = `CREATE VIEW shop.v${index} AS SELECT n + 1 AS n FROM shop.v${index - 1}`;
      assert.equal((await run(warehouse, sql, { writes })).state, "succeeded", sql);
    }
    assert.deepEqual(await rowsOf(warehouse, "SELECT n FROM shop.v15"), [{ n: 16 }]);
    const deep = await run(warehouse, "CREATE VIEW shop.v16 AS SELECT n FROM shop.v15", { writes });
    assert.match(deep.error?.message ?? "", /on top of 16 others/);
    await run(warehouse, "CREATE OR REPLACE VIEW shop.v0 AS SELECT 'x' AS n", { writes });
    const broken = await run(warehouse, "SELECT *\nFROM shop.v1");
    assert.match(broken.error?.message ?? "", /^line 2, column 6: the view shop\.v1, which has /);
    await warehouse.close();
  }));

test("a statement reads the datasets that its job declares, its own tables and a script's temporary ones, and no others", async () => {
  await withShop(async ({ open }) => {
    const warehouse = await open();
    const private_ = { dataset: "private", table: "p" };
    await run(warehouse, "CREATE TABLE `shop.t` AS SELECT 1 AS n");
    await run(warehouse, "CREATE TABLE private.p AS SELECT 2 AS n", { writes: [private_] });
    await run(warehouse, "CREATE VIEW `shop.v` AS SELECT n FROM private.p");
    const reads = [{ dataset: "shop" }];
    const outcome = async (sql: string, more = {}): Promise<string> => {
      const { state, error } = await run(warehouse, sql, { reads, ...more });
      return error?.reason ?? state;
    };
    for (const sql of [
      "SELECT n FROM shop.t",
      "SELECT n FROM `shop.t` WHERE n IN (SELECT n FROM shop.t)",
      "CREATE OR REPLACE TABLE `shop.u` AS SELECT n FROM shop.t",
      "CREATE TEMP TABLE near AS SELECT n FROM shop.t; SELECT n FROM near",
      "DECLARE most INT64 DEFAULT (SELECT MAX(n) FROM shop.t); SELECT most AS m",
    ])
      assert.equal(await outcome(sql), "succeeded", sql);
    for (const sql of [
      "SELECT n FROM private.p",
      "SELECT n FROM private.nothing",
      "SELECT n FROM shop.t WHERE n IN (SELECT n FROM private.p)",
      "WITH far AS (SELECT n FROM private.p) SELECT n FROM far",
      "CREATE OR REPLACE TABLE `shop.u` AS SELECT n FROM private.p",
      "MERGE `shop.t` t USING private.p p ON t.n = p.n WHEN NOT MATCHED THEN INSERT (n) VALUES (p.n)",
      "CREATE TEMP TABLE near AS SELECT n FROM private.p; SELECT n FROM near",
      "DECLARE most INT64 DEFAULT (SELECT MAX(n) FROM private.p); SELECT most AS m",
      // As in BigQuery, whoever asks a view must be allowed to read what it reads.
      "SELECT n FROM shop.v",
    ]) {
      assert.equal(await outcome(sql), "accessDenied", sql);
      await assert.rejects(warehouse.dryRun({ kind: "query", sql, reads, writes: [ref("t"), ref("u")] }), {
        code: "accessDenied",
      });
    }
    assert.equal(await outcome("SELECT n FROM shop.v", { reads: [...reads, private_] }), "succeeded");
    assert.equal((await run(warehouse, "SELECT n FROM private.p")).state, "succeeded");
    assert.equal(await outcome("SELECT n FROM private.p", { reads: [], writes: [private_] }), "succeeded");
    assert.deepEqual(await rowsOf(warehouse, "SELECT n FROM shop.u"), [{ n: 1 }]);
    await warehouse.close();
  });
});
