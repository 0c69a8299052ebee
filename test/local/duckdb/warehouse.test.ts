import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import { openDuckdbWarehouse, type DuckdbWarehouse } from "../../../lib/local/duckdb/warehouse.ts";
import { systemClock } from "../../../lib/local/system-clock.ts";
import { warehouseConformance, type WarehouseUnderTest } from "../../ports/warehouse-conformance.ts";
import { column, csvLoad, n, parquet, parquetLoad, ref, worldOf } from "../../ports/warehouse/world.ts";

interface Folder extends WarehouseUnderTest {
  readonly warehouse: DuckdbWarehouse;
  readonly folder: string;
  readonly file: string;
}

async function setup(given?: string): Promise<Folder> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), "duckdb-warehouse-")));
  const file = join(folder, "shop.duckdb");
  const pathOf = (uri: string): string => join(folder, uri.slice("gs://".length));
  let offset = 0;
  let held = Promise.withResolvers<void>();
  held.resolve();
  const warehouse = await openDuckdbWarehouse({
    file,
    resolveUri: pathOf,
    clock: { ...systemClock(), now: () => Date.now() + offset },
    memoryLimit: "1GB",
    gate: () => held.promise,
  });
  return {
    warehouse,
    folder,
    file,
    async writeObject(uri, bytes) {
      await mkdir(dirname(pathOf(uri)), { recursive: true });
      await writeFile(pathOf(uri), bytes);
    },
    holdJobs() {
      held = Promise.withResolvers();
      return held.resolve;
    },
    advance(ms) {
      offset += ms;
    },
    async close() {
      held.resolve();
      await warehouse.close();
      if (given === undefined) await rm(folder, { recursive: true });
    },
  };
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "duckdb-warehouse-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

warehouseConformance("DuckDB", () => setup());

/** The first column of every row. */
async function look(warehouse: DuckdbWarehouse, sql: string): Promise<readonly unknown[]> {
  const { rows } = await warehouse.query(sql);
  return (await Array.fromAsync(rows)).map((row) => Object.values(row)[0]);
}

/** The first column of every row of a closed warehouse's file, asked of the engine itself. */
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

const physicalTables = (prefix: string): string =>
  `SELECT table_name FROM duckdb_tables() WHERE database_name = 'file' AND schema_name = '_sluice_data' AND table_name LIKE '${prefix}%'`;

test("jobs, tables and results are there after the file was closed", async () =>
  await withFolder(async (folder) => {
    const first = await setup(folder);
    const world = worldOf(first);
    await world.fill("orders", n, [{ n: 1 }]);
    const query = await world.succeed({ kind: "query", sql: "SELECT n FROM `shop.orders`" });
    const described = await first.warehouse.describe(ref("orders"));
    first.holdJobs();
    await first.warehouse.submit("held", csvLoad(await world.put("7\n", "held.csv"), "late", n), { k: "v" });
    await first.warehouse.submit("cancelled", csvLoad(await world.put("8\n", "held.csv"), "never", n), {});
    await first.warehouse.cancel("cancelled");
    await first.warehouse.close();

    const second = await setup(folder);
    assert.deepEqual(await Array.fromAsync(second.warehouse.rows(query.jobId)), [{ n: 1 }]);
    assert.deepEqual(await second.warehouse.describe(ref("orders")), described);
    const end = await second.warehouse.wait("held", { timeoutMs: 240_000 });
    assert.deepEqual(end, { jobId: "held", state: "succeeded", labels: { k: "v" }, rows: 1, bytesBilled: 0 });
    assert.equal((await second.warehouse.inspect("cancelled"))?.error?.reason, "stopped");
    assert.equal(await second.warehouse.describe(ref("never")), undefined);
    assert.equal(await second.warehouse.submit("held", { kind: "query", sql: "SELECT 1 AS x" }, {}), "duplicate");
    await second.close();
  }));

test("closing leaves a running job to the next process", async () =>
  await withFolder(async (folder) => {
    const first = await setup(folder);
    const rows = await worldOf(first).put(await parquet("SELECT i AS n FROM range(3000000) r(i)"));
    await first.warehouse.submit("long", parquetLoad(rows, "long"), {});
    while ((await first.warehouse.inspect("long"))?.state === "pending") await pause(1);
    await first.warehouse.close();
    const second = await setup(folder);
    const end = await second.warehouse.wait("long", { timeoutMs: 240_000 });
    assert.equal(end.state, "succeeded");
    assert.equal((await second.warehouse.describe(ref("long")))?.rows, 3_000_000);
    await second.close();
  }));

test("killed at ten moments, jobs and their effects agree and what was accepted is finished", async () =>
  await withFolder(async (folder) => {
    for (let month = 1; month <= 12; month++) {
      const name = String(month).padStart(2, "0");
      await writeFile(
        join(folder, `${name}.parquet`),
        await parquet(`SELECT DATE '2024-${name}-10' AS day, i AS n, ${month} AS month FROM range(5000) r(i)`),
      );
    }
    const file = join(folder, "shop.duckdb");
    const accepted: string[] = [];
    for (let round = 0; round < 10; round++) {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, "warehouse.child.ts"), file, folder, String(round)],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      const exited = new Promise((resolve) => child.once("exit", resolve));
      // After so many jobs, and then at any moment of the next one.
      let jobs = 3 + Math.floor(Math.random() * 12);
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === "open") continue;
        accepted.push(line);
        if (--jobs === 0) setTimeout(() => child.kill("SIGKILL"), Math.random() * 50);
      }
      await exited;
      const reopened = () =>
        openDuckdbWarehouse({
          file,
          resolveUri: (uri) => join(folder, uri.slice("gs://drops/".length)),
          clock: systemClock(),
        });
      let warehouse = await reopened();
      for (const id of accepted) {
        const { state, error } = await warehouse.wait(id, { timeoutMs: 240_000 });
        assert.equal(state, "succeeded", `${id}: ${error?.message ?? "never ended"}`);
        if (!id.startsWith("load")) continue;
        assert.equal((await warehouse.describe(ref(id.replace("load", "staged"))))?.rows, 5000, id);
      }
      // The child may have died after a job was taken and before it could say so.
      await warehouse.close();
      const unfinished = await inside(file, "SELECT id FROM file._sluice.jobs WHERE state <> 'succeeded'");
      warehouse = await reopened();
      for (const id of unfinished)
        assert.equal((await warehouse.wait(String(id), { timeoutMs: 240_000 })).state, "succeeded", String(id));
      const whole = accepted.some((id) => id.startsWith("whole"));
      if (whole)
        assert.deepEqual(
          await look(warehouse, "SELECT FORMAT('%d rows of %d', COUNT(*), COUNT(DISTINCT month)) FROM shop.clean"),
          ["5000 rows of 1"],
        );
      const published = new Set(
        accepted.filter((id) => id.startsWith("part")).map((id) => Number(id.split("_")[2]) % 12),
      );
      if (published.size > 0) {
        const months = await look(
          warehouse,
          "SELECT month - 1 FROM shop.months GROUP BY month HAVING COUNT(*) = 5000 AND COUNT(DISTINCT n) = 5000",
        );
        for (const month of published) assert.ok(months.includes(month), `month ${month + 1} is not whole`);
        assert.deepEqual(await look(warehouse, "SELECT MOD(COUNT(*), 5000) FROM shop.months"), [0]);
      }
      const added = await warehouse.describe(ref("log"));
      const appended = await warehouse.describe(ref("everything"));
      await warehouse.close();
      assert.deepEqual(await inside(file, "SELECT id FROM file._sluice.jobs WHERE state <> 'succeeded'"), []);
      const inserts = "SELECT count(*) FROM file._sluice.jobs WHERE id LIKE 'add%' AND spec LIKE '%INSERT%'";
      assert.equal(Number(added?.rows ?? 0), Number((await inside(file, inserts))[0]), "each INSERT is there once");
      const appends = await inside(file, "SELECT count(*) FROM file._sluice.jobs WHERE id LIKE 'more%'");
      assert.equal(appended?.rows ?? 0, 5000 * Number(appends[0]), "each append is there once, and whole");
      const left = `${physicalTables("t")} AND table_name NOT IN (SELECT physical FROM file._sluice.tables)`;
      assert.deepEqual(await inside(file, left), []);
    }
    assert.ok(accepted.length >= 30, `only ${accepted.length} jobs were accepted in all rounds`);
  }));

test("a second process is told that the file is open", async () =>
  await withFolder(async (folder) => {
    const file = join(folder, "shop.duckdb");
    const child = spawn(process.execPath, [join(import.meta.dirname, "warehouse.child.ts"), file, folder, "x"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const message = `the warehouse ${file} is open in another process; stop that one, or work through it`;
    await assert.rejects(openDuckdbWarehouse({ file, resolveUri: (uri) => uri, clock: systemClock() }), {
      code: "locked",
      message,
    });
    child.kill("SIGKILL");
    await exited;
  }));

test("a file that is no warehouse is refused in one line", async () =>
  await withFolder(async (folder) => {
    const file = join(folder, "shop.duckdb");
    await writeFile(file, "this is not a database, although it is long enough to look like one".repeat(400));
    await assert.rejects(openDuckdbWarehouse({ file, resolveUri: (uri) => uri, clock: systemClock() }), {
      code: "unreadable",
      message: /^[^\n]+$/,
    });
  }));

/** Each by what the engine says of itself otherwise: its settings, types and columns. */
const ENGINE_ERRORS = [
  ["SELECT (SELECT x FROM UNNEST([1, 2]) AS x) AS y", "a subquery that stands for one value gives more than one row"],
  ["SELECT CAST(x AS INT64) AS y FROM UNNEST([1e30]) AS x", "the value 1e+30 is out of range for INT64"],
  ["SELECT CAST(x AS INT64) AS y FROM UNNEST(['99999999999999999999']) AS x", "bad INT64 value: 99999999999999999999"],
  ["SELECT CAST(x AS NUMERIC) AS y FROM UNNEST(['1e60']) AS x", "bad NUMERIC value: 1e60"],
  ["SELECT CAST(x AS BOOL) AS y FROM UNNEST(['q']) AS x", "bad BOOL value: q"],
  [
    "SELECT x + 1 AS y FROM UNNEST([9223372036854775807]) AS x",
    "Overflow in addition of INT64 (9223372036854775807 + 1)",
  ],
] as const;

test("a query for people writes nothing, fails as a whole, and can be left", async () => {
  const subject = await setup();
  const { warehouse } = subject;
  await worldOf(subject).fill("orders", n, [{ n: 1 }]);
  const parameters = { p: { type: "INT64", value: 3 } } as const;
  const { columns, rows } = await warehouse.query("SELECT n, @p AS p FROM `shop.orders`", { parameters });
  assert.deepEqual(columns, ["n", "p"]);
  assert.deepEqual(await Array.fromAsync(rows), [{ n: 1, p: 3 }]);
  for (const sql of [
    "DROP VIEW shop.orders",
    "INSERT INTO shop.orders VALUES (2)",
    "COPY shop.orders TO '/tmp/x'",
    "ATTACH 'x'",
    "SET threads = 1",
  ]) {
    await assert.rejects(warehouse.query(sql), {
      code: "invalidQuery",
      message: /the embedded engine|a syntax error$/,
    });
  }
  // A stream of the engine would end here without an error.
  const late = "SELECT CAST(IF(i = 300000, 'x', '1') AS INT64) AS i FROM UNNEST(GENERATE_ARRAY(1, 400000)) AS i";
  await assert.rejects(warehouse.query(late), { code: "invalidQuery", message: /^bad INT64 value: x$/ });
  for (const [sql, message] of ENGINE_ERRORS)
    await assert.rejects(warehouse.query(sql), { code: "invalidQuery", message });
  const long = "UNNEST(GENERATE_ARRAY(1, 1000000))";
  await assert.rejects(
    warehouse.query(`SELECT COUNT(*) AS c FROM ${long} AS a, ${long} AS b WHERE a < b`, {
      signal: AbortSignal.timeout(100),
    }),
  );
  for await (const row of (await warehouse.query(`SELECT i FROM ${long} AS i`)).rows) if (row["i"] === 5) break;
  await warehouse.close();
  assert.deepEqual(await inside(subject.file, physicalTables("q")), []);
  await subject.close();
});

test("a dataset may be called like the file; names that this engine cannot tell apart are refused", async () => {
  const subject = await setup();
  const { fill, fail, values, put } = worldOf(subject);
  await fill("shop", n, [{ n: 1 }]);
  assert.deepEqual(await values("shop"), [1]);
  await fail(csvLoad(await put("1\n"), "Shop", n), "invalid", "shop.Shop", "case");
  const elsewhere = { dataset: "Shop", table: "shop" };
  await fail({ kind: "copy", source: ref("shop"), destination: elsewhere }, "invalid", "Shop.shop", "case");
  const spec = { ...parquetLoad("gs://drops/x", "t"), destination: { dataset: "main", table: "t" } };
  await assert.rejects(subject.warehouse.submit("a", spec, {}), /reserved/);
  await fail(parquetLoad("gs://drops/*.parquet", "t"), "invalid", "wildcard");
  const json = {
    kind: "load",
    uris: [await put("{}")],
    format: "NEWLINE_DELIMITED_JSON",
    schema: n,
    destination: ref("t"),
    options: { maxBadRecords: 1 },
  } as const;
  await fail(json, "invalid", "maxBadRecords");
  const reserved = { kind: "query", sql: "SELECT 1 AS x", writes: [{ dataset: "main", table: "t" }] } as const;
  await assert.rejects(subject.warehouse.submit("b", reserved, {}), /reserved/);
  const cased = { kind: "query", sql: "CREATE TABLE shop.Shop AS SELECT 1 AS n", writes: [ref("Shop")] } as const;
  await fail(cased, "invalid", "shop.Shop", "case");
  await fail(
    { kind: "query", sql: "WITH x AS (SELECT 1) DELETE FROM shop.shop", writes: [ref("shop")] },
    "invalidQuery",
  );
  assert.deepEqual(await values("shop"), [1]);
  await subject.close();
});

/** What `describe` says must be what the file holds, now and for whoever opens it next. */
async function checkCounts(warehouse: DuckdbWarehouse, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const found = await look(warehouse, `SELECT COUNT(*) FROM shop.${name}`);
    assert.deepEqual(found, [(await warehouse.describe(ref(name)))?.rows], name);
  }
}

test("the rows of a table are counted right through every change", async () =>
  await withFolder(async (folder) => {
    const subject = await setup(folder);
    const { warehouse } = subject;
    const { fill, succeed } = worldOf(subject);
    const partitioning = { type: "DAY" } as const;
    const put = (source: string, table: string, partition: string): Promise<unknown> =>
      succeed({ kind: "copy", source: ref(source), destination: { ...ref(table), partition }, partitioning });
    await fill("two", n, [{ n: 1 }, { n: 2 }]);
    await fill("three", n, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    await put("two", "days", "20240101");
    await put("three", "days", "20240102");
    await put("three", "days", "20240101");
    await checkCounts(warehouse, "two", "three", "days");
    await succeed({ kind: "copy", source: ref("days"), destination: ref("shared") });
    await put("two", "days", "20240102");
    await checkCounts(warehouse, "days", "shared");
    await succeed({ kind: "copy", source: ref("days"), destination: ref("other") });
    assert.equal(await warehouse.drop({ ...ref("other"), partition: "20240101" }), true);
    assert.equal(await warehouse.drop({ ...ref("days"), partition: "20240102" }), true);
    assert.equal(await warehouse.drop({ ...ref("days"), partition: "20240102" }), false);
    await succeed({ kind: "copy", source: ref("three"), destination: ref("made") });
    const change = (sql: string): Promise<unknown> => succeed({ kind: "query", sql, writes: [ref("made")] });
    await change("INSERT INTO shop.made (n) VALUES (7), (8)");
    await change("INSERT INTO shop.made (n) SELECT n FROM shop.made");
    await change("DELETE FROM shop.made WHERE n = 7");
    await change("MERGE shop.made t USING (SELECT 99 AS m) s ON t.n = s.m WHEN NOT MATCHED THEN INSERT (n) VALUES (m)");
    await checkCounts(warehouse, "made", "three");
    for (const table of ["shared", "two"])
      await warehouse.extend(
        ref(table),
        [column("more", "STRING")],
        (await warehouse.describe(ref(table)))?.etag ?? "",
      );
    const names = ["two", "three", "days", "shared", "other", "made"];
    await checkCounts(warehouse, ...names);
    const described = await Promise.all(names.map((name) => warehouse.describe(ref(name))));
    assert.deepEqual(
      described.map((info) => info?.rows),
      [2, 3, 3, 6, 2, 9],
    );
    await warehouse.close();

    const again = await setup(folder);
    assert.deepEqual(await Promise.all(names.map((name) => again.warehouse.describe(ref(name)))), described);
    await again.close();
  }));

test("what a wait, an inspection and a description say is what the file says, at whatever moment a copy is cancelled", async () =>
  await withFolder(async (folder) => {
    const subject = await setup(folder);
    const { warehouse } = subject;
    const { fill } = worldOf(subject);
    await fill("two", n, [{ n: 1 }, { n: 2 }]);
    await fill("three", n, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    await fill("clean", n, []);
    const ends = new Map<string, unknown>();
    for (let round = 0; round < 60; round++) {
      const id = `copy_${round}`;
      const rows = (await warehouse.describe(ref("clean")))?.rows;
      const source = ref(round % 2 === 0 ? "two" : "three");
      await warehouse.submit(id, { kind: "copy", source, destination: ref("clean") }, { round: String(round) });
      await pause(Math.random() * 4);
      await warehouse.cancel(id);
      const end = await warehouse.wait(id, { timeoutMs: 240_000 });
      assert.deepEqual(await warehouse.inspect(id), end);
      const expected = end.state === "succeeded" ? (round % 2 === 0 ? 2 : 3) : rows;
      assert.equal((await warehouse.describe(ref("clean")))?.rows, expected, id);
      await checkCounts(warehouse, "clean");
      ends.set(id, end);
    }
    const described = await warehouse.describe(ref("clean"));
    await warehouse.close();

    const again = await setup(folder);
    for (const [id, end] of ends) assert.deepEqual(await again.warehouse.inspect(id), end);
    assert.deepEqual(await again.warehouse.describe(ref("clean")), described);
    await again.close();
  }));

test("statements leave no physical table behind, whether they succeed, fail or are cancelled", async () => {
  const subject = await setup();
  const { warehouse, folder, file } = subject;
  const { fill, run, succeed, values } = worldOf(subject);
  await fill("orders", n, [{ n: 1 }, { n: 2 }]);
  const change = (sql: string) => ({ kind: "query", sql, writes: [ref("orders"), ref("gone")] }) as const;
  await succeed(change("UPDATE shop.orders SET n = n + 1 WHERE true"));
  await succeed(change("CREATE OR REPLACE TABLE shop.gone AS SELECT n FROM shop.orders"));
  await succeed(change("DROP TABLE shop.gone"));
  assert.equal(
    (await run(change("UPDATE shop.orders SET n = CAST(CONCAT('x', n) AS INT64) WHERE true"))).state,
    "failed",
  );
  const long = "UNNEST(GENERATE_ARRAY(1, 1000000))";
  const slow = change(`INSERT INTO shop.orders (n) SELECT COUNT(*) FROM ${long} AS a, ${long} AS b WHERE a < b`);
  await warehouse.submit("slow", slow, {});
  while ((await warehouse.inspect("slow"))?.state === "pending") await pause(1);
  await warehouse.cancel("slow");
  assert.equal((await warehouse.wait("slow", { timeoutMs: 240_000 })).error?.reason, "stopped");
  assert.deepEqual(await values("orders"), [2, 3]);
  await warehouse.close();
  assert.equal((await inside(file, physicalTables("t"))).length, 1, folder);
  await subject.close();
});

test("what is not supported in a change is refused by its name and place", async () => {
  const subject = await setup();
  const { fill, fail, succeed } = worldOf(subject);
  await fill("rows", n, [{ n: 1 }]);
  await succeed({
    kind: "copy",
    source: ref("rows"),
    destination: { ...ref("days"), partition: "20240101" },
    partitioning: { type: "DAY" },
  });
  for (const [sql, ...words] of [
    ["CREATE MATERIALIZED VIEW shop.days AS SELECT 1 AS n", "column 1", "CREATE MATERIALIZED"],
    ["CREATE OR REPLACE TABLE shop.days PARTITION BY _PARTITIONDATE AS SELECT 1 AS n", "BY _PARTITIONDATE"],
    ["CREATE OR REPLACE TABLE shop.days PARTITION BY n AS SELECT 1 AS n", "column 25", "BY n"],
    ["CREATE OR REPLACE TABLE shop.days PARTITION BY DATE_TRUNC(d, YEAR) AS SELECT CURRENT_DATE() AS d", "(d, YEAR)"],
    ["CREATE OR REPLACE TABLE shop.days OPTIONS(description = 'x') AS SELECT 1 AS n", "OPTIONS"],
    ["INSERT INTO shop.days (n) VALUES (1)", "ingestion time"],
    ["UPDATE shop.days SET n = 1 WHERE true", "column 8", "ingestion time"],
    ["ALTER TABLE shop.days ADD COLUMN m INT64", "ALTER"],
    ["BEGIN DELETE FROM shop.days WHERE true; EXCEPTION WHEN ERROR THEN SELECT 1; END", "column 41", "EXCEPTION"],
    ["DELETE FROM shop.days WHERE true; EXECUTE IMMEDIATE 'SELECT 1'", "column 35", "EXECUTE"],
  ] as const) {
    await fail(
      { kind: "query", sql, writes: [ref("days")] },
      "invalidQuery",
      "line 1",
      "the embedded engine",
      ...words,
    );
  }
  assert.equal((await subject.warehouse.describe(ref("days")))?.rows, 1);
  await subject.close();
});

test("tables that show the same rows leave none behind when they are dropped at once", async () => {
  const subject = await setup();
  const { warehouse } = subject;
  const { fill, succeed } = worldOf(subject);
  const names = Array.from({ length: 8 }, (_, index) => `copy_${index}`);
  for (let round = 0; round < 5; round++) {
    await fill("rows", n, [{ n: round }]);
    for (const name of names) await succeed({ kind: "copy", source: ref("rows"), destination: ref(name) });
    const dropped = await Promise.all(["rows", ...names].map((name) => warehouse.drop(ref(name))));
    assert.ok(dropped.every(Boolean));
  }
  await warehouse.close();
  assert.deepEqual(await inside(subject.file, physicalTables("t")), []);
  await subject.close();
});

test("two hundred damaged Parquet files leave the warehouse well", async () => {
  const subject = await setup();
  const { put, run, fill, values } = worldOf(subject);
  await fill("orders", [column("n", "INT64")], [{ n: 1 }]);
  const good = await parquet("SELECT i AS n, 'row ' || (i % 7) AS t, [i] AS l FROM range(500) r(i)");
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 200; round++) {
    const bytes = Uint8Array.from(good);
    for (let flips = 0; flips <= round % 4; flips++) bytes[random(bytes.length)] = random(256);
    const { state, error } = await run(parquetLoad(await put(bytes), "damaged"));
    if (state === "failed") assert.equal(error?.reason, "invalid", error?.message);
  }
  assert.deepEqual(await values("orders"), [1]);
  await subject.close();
});
