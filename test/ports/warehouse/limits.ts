/** What a query would read, what it costs, and where it stops. */
import assert from "node:assert/strict";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";
import { column, n, ref, type Scenario } from "./world.ts";

type QuerySpec = Extract<JobSpec, { kind: "query" }>;

function query(sql: string, more: Partial<QuerySpec> = {}): QuerySpec {
  return { kind: "query", sql, ...more };
}

/** The least that is billed for a table. */
const least = 10 * 1024 * 1024;

export const limitScenarios: Readonly<Record<string, Scenario>> = {
  "a dry run says the columns of a query": async ({ warehouse, fill }) => {
    await fill("orders", n, [{ n: 1 }]);
    const { schema } = await warehouse.dryRun(
      query(
        "SELECT n, n / 2 AS half, 'x' AS word, [n] AS list, STRUCT(n AS a, DATE '2024-05-01' AS day) AS pair, NUMERIC '1.5' AS price, CURRENT_TIMESTAMP() AS now, @p AS p FROM `shop.orders`",
        { parameters: { p: { type: "BOOL", value: true } } },
      ),
    );
    assert.deepEqual(schema, [
      ...n,
      column("half", "FLOAT64"),
      column("word", "STRING"),
      column("list", "INT64", "REPEATED"),
      { ...column("pair", "STRUCT"), fields: [column("a", "INT64"), column("day", "DATE")] },
      column("price", "NUMERIC"),
      column("now", "TIMESTAMP"),
      column("p", "BOOL"),
    ]);
  },

  "a dry run says what a query reads: the columns that it names, each by its size": async ({ warehouse, fill }) => {
    const schema = [
      column("i", "INT64"),
      column("f", "FLOAT64"),
      column("yes", "BOOL"),
      column("day", "DATE"),
      column("at", "TIMESTAMP"),
      column("local", "DATETIME"),
      column("clock", "TIME"),
      column("price", "NUMERIC"),
      column("wide", "BIGNUMERIC"),
      column("word", "STRING"),
      column("raw", "BYTES"),
      column("list", "STRING", "REPEATED"),
      { ...column("pair", "STRUCT"), fields: [column("a", "INT64"), column("b", "STRING")] },
    ];
    await fill("t", schema, [
      {
        i: 1,
        f: 1.5,
        yes: true,
        day: "2024-05-01",
        at: "2024-05-01T00:00:00Z",
        local: "2024-05-01T00:00:00",
        clock: "01:02:03",
        price: "1.5",
        wide: "1.5",
        word: "aé€",
        raw: "AAEC",
        list: ["a", "bc"],
        pair: { a: 1, b: "xyz" },
      },
      { i: 2 },
    ]);
    const sizes = {
      i: 16,
      f: 8,
      yes: 1,
      day: 8,
      at: 8,
      local: 8,
      clock: 8,
      price: 16,
      wide: 32,
      word: 2 + 6,
      raw: 2 + 3,
      list: 3 + 4,
      pair: 8 + 5,
    };
    const bytes = async (sql: string): Promise<number> => (await warehouse.dryRun(query(sql))).bytesProcessed;
    for (const [name, size] of Object.entries(sizes))
      assert.equal(await bytes(`SELECT t.${name} FROM \`shop.t\` AS t`), size, name);
    const all = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    assert.equal(await bytes("SELECT * FROM `shop.t`"), all);
    assert.equal(await bytes("SELECT i FROM `shop.t` WHERE word = 'a' ORDER BY i"), 16 + 8);
    assert.equal(await bytes("SELECT x.i, y.i AS other FROM `shop.t` x JOIN `shop.t` y ON x.day = y.day"), 16 + 8);
    assert.equal(await bytes("SELECT 1 AS one"), 0);
    assert.equal(await bytes("SELECT 't.word' AS i FROM UNNEST([1])"), 0);
  },

  "a dry run of a view reads what is behind it, and new rows count": async ({ warehouse, fill, succeed }) => {
    await fill("t", [column("i", "INT64"), column("word", "STRING")], [{ i: 1, word: "abc" }]);
    await succeed(query("CREATE VIEW `shop.v` AS SELECT i FROM `shop.t`", { writes: [ref("v")] }));
    const bytes = async (): Promise<number> => (await warehouse.dryRun(query("SELECT * FROM `shop.v`"))).bytesProcessed;
    assert.equal(await bytes(), 8);
    await succeed(query("INSERT INTO `shop.t` (i) VALUES (2)", { writes: [ref("t")] }));
    assert.equal(await bytes(), 16);
    await fill("t", [column("i", "INT64")], [{ i: 1 }, { i: 2 }, { i: 3 }]);
    assert.equal(await bytes(), 24);
  },

  "a dry run changes nothing": async ({ warehouse, fill, values }) => {
    await fill("t", n, [{ n: 1 }]);
    const before = await warehouse.describe(ref("t"));
    for (const sql of [
      "CREATE TABLE `shop.fresh` AS SELECT n FROM `shop.t`",
      "CREATE OR REPLACE TABLE `shop.t` AS SELECT 2 AS n",
      "CREATE VIEW `shop.fresh` AS SELECT n FROM `shop.t`",
      "INSERT INTO `shop.t` (n) VALUES (2)",
      "UPDATE `shop.t` SET n = 2 WHERE true",
      "DELETE FROM `shop.t` WHERE true",
      "MERGE `shop.t` t USING (SELECT 5 AS m) s ON t.n = s.m WHEN NOT MATCHED THEN INSERT (n) VALUES (m)",
      "TRUNCATE TABLE `shop.t`",
      "DROP TABLE `shop.t`",
      "DECLARE x INT64 DEFAULT 5; INSERT INTO `shop.t` (n) VALUES (x); SELECT x;",
    ]) {
      const found = await warehouse.dryRun(query(sql, { writes: [ref("t"), ref("fresh")] }));
      assert.deepEqual(found.schema, [], sql);
      assert.ok(Number.isSafeInteger(found.bytesProcessed) && found.bytesProcessed >= 0, sql);
    }
    assert.deepEqual(await warehouse.describe(ref("t")), before);
    assert.deepEqual(await values("t"), [1]);
    assert.equal(await warehouse.describe(ref("fresh")), undefined);
  },

  "a dry run refuses what the query would be refused for, with its place": async ({ warehouse, fill }) => {
    await fill("t", n, [{ n: 1 }]);
    const refused = async (sql: string, code: string, message: RegExp): Promise<void> =>
      await assert.rejects(warehouse.dryRun(query(sql)), { name: "PermanentError", code, message });
    await refused("SELEC 1", "invalidQuery", /\b1\b.*\b1\b/);
    await refused("SELECT n\nFROM `shop.t`\nWHERE nonsense = 1", "invalidQuery", /\b3\b.*\b7\b/);
    await refused("SELECT 1 AS a FROM", "invalidQuery", /\b1\b.*\b1\d\b/);
    await refused("SELECT UPPER(n) FROM `shop.t`", "invalidQuery", /UPPER/);
    await refused("SELECT @p", "invalidQuery", /p/);
    await refused("SELECT * FROM `shop.nothing`", "notFound", /nothing/);
    await refused("DROP TABLE `shop.t`", "accessDenied", /t/);
  },

  "a query bills ten megabytes for a small table": async ({ fill, run, succeed }) => {
    await fill("t", n, [{ n: 1 }]);
    await fill("u", n, [{ n: 1 }]);
    assert.equal((await succeed(query("SELECT 1 AS one"))).bytesBilled, 0);
    assert.equal((await succeed(query("SELECT n FROM `shop.t`"))).bytesBilled, least);
    assert.equal((await succeed(query("SELECT t.n FROM `shop.t` t JOIN `shop.u` u USING (n)"))).bytesBilled, 2 * least);
    const { state, bytesBilled } = await run(query("SELECT n FROM `shop.t`", { maximumBytesBilled: least }));
    assert.deepEqual({ state, bytesBilled }, { state: "succeeded", bytesBilled: least });
  },

  "a job that would bill more than its limit fails, and changes nothing": async ({ warehouse, fill, run, values }) => {
    await fill("t", n, [{ n: 1 }]);
    await fill("u", n, [{ n: 2 }]);
    const before = await warehouse.describe(ref("t"));
    for (const sql of [
      "SELECT n FROM `shop.t`",
      "INSERT INTO `shop.t` (n) SELECT n FROM `shop.u`",
      "CREATE OR REPLACE TABLE `shop.t` AS SELECT n FROM `shop.u`",
      "DELETE FROM `shop.t` WHERE n = 1",
    ]) {
      const { state, error } = await run(query(sql, { writes: [ref("t")], maximumBytesBilled: least - 1 }));
      assert.equal(state, "failed", sql);
      assert.deepEqual([error?.reason, error?.retryable], ["bytesBilledLimitExceeded", false], sql);
      assert.match(error?.message ?? "", /10485759|10,485,759/, "the limit is told");
    }
    assert.deepEqual(await warehouse.describe(ref("t")), before);
    assert.deepEqual(await values("t"), [1]);
    const free = await run(query("SELECT 1 AS one", { maximumBytesBilled: 1 }));
    assert.equal(free.state, "succeeded");
  },
};
