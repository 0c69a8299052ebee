/** Queries: statements, parameters, and rows as plain JSON values. */
import assert from "node:assert/strict";
import { column, minute, n, parquet, parquetLoad, ref, type Scenario } from "./world.ts";

export const queryScenarios: Readonly<Record<string, Scenario>> = {
  "rows come in the order of the statement, all of them, more than once": async ({ warehouse, succeed, put }) => {
    await succeed(
      parquetLoad(
        await put(await parquet("SELECT i AS n, 'row ' || i AS t FROM range(100000) r(i) ORDER BY hash(i)")),
        "big",
      ),
    );
    const { jobId, rows } = await succeed({ kind: "query", sql: "SELECT n, t FROM `shop.big` ORDER BY n DESC" });
    assert.equal(rows, 100_000);
    for (let time = 0; time < 2; time++) {
      let expected = 99_999;
      for await (const row of warehouse.rows(jobId)) {
        if (row["n"] !== expected) assert.fail(`${String(row["n"])} instead of ${expected}`);
        expected--;
      }
      assert.equal(expected, -1);
    }
  },

  "a reader may stop early, be slow, or be aborted": async ({ warehouse, succeed, put, select }) => {
    await succeed(parquetLoad(await put(await parquet("SELECT i AS n FROM range(50000) r(i)")), "big"));
    const { jobId } = await succeed({ kind: "query", sql: "SELECT n FROM `shop.big`" });
    for await (const row of warehouse.rows(jobId)) {
      assert.equal(typeof row["n"], "number");
      break;
    }
    const stop = new AbortController();
    await assert.rejects(async () => {
      for await (const row of warehouse.rows(jobId, { signal: stop.signal }))
        if (row["n"] === 100) stop.abort(new Error("enough"));
    }, /enough/);
    assert.deepEqual(await select("SELECT 1 AS fine"), [{ fine: 1 }]);
  },

  "a result is what it was, even if its table is gone": async ({ warehouse, fill, succeed }) => {
    await fill("orders", n, [{ n: 1 }]);
    const { jobId } = await succeed({ kind: "query", sql: "SELECT * FROM `shop.orders`" });
    await warehouse.drop(ref("orders"));
    assert.deepEqual(await Array.fromAsync(warehouse.rows(jobId)), [{ n: 1 }]);
  },

  "rows of what is no successful query are refused": async ({ warehouse, run, put }) => {
    await assert.rejects(Array.fromAsync(warehouse.rows("nobody")), { name: "PermanentError", code: "not-found" });
    const failed = await run({ kind: "query", sql: "SELECT nonsense" });
    await assert.rejects(Array.fromAsync(warehouse.rows(failed.jobId)), { name: "PermanentError" });
    const load = await run({ kind: "load", uris: [await put("1\n")], format: "CSV", schema: n, destination: ref("t") });
    await assert.rejects(Array.fromAsync(warehouse.rows(load.jobId)), { name: "PermanentError" });
  },

  "results are kept for a day": async ({ warehouse, succeed, advance }) => {
    const { jobId } = await succeed({ kind: "query", sql: "SELECT 1 AS one" });
    advance(23 * 60 * minute);
    assert.deepEqual(await Array.fromAsync(warehouse.rows(jobId)), [{ one: 1 }]);
    await succeed({ kind: "query", sql: "SELECT 2 AS two" });
    advance(2 * 60 * minute);
    await succeed({ kind: "query", sql: "SELECT 3 AS three" });
    await assert.rejects(Array.fromAsync(warehouse.rows(jobId)), { name: "PermanentError", code: "not-found" });
    assert.equal((await warehouse.inspect(jobId))?.state, "succeeded");
  },

  "a result may have any column names": async ({ select }) => {
    assert.deepEqual(await select("SELECT 1 AS rowid, 2 AS `from`, 3 AS c0, '4' AS `a b`"), [
      { rowid: 1, from: 2, c0: 3, "a b": "4" },
    ]);
  },

  "values are plain JSON": async ({ fill, select }) => {
    const schema = [
      column("small", "INT64"),
      column("wide", "INT64"),
      column("ratio", "FLOAT64"),
      column("price", "NUMERIC"),
      column("raw", "BYTES"),
      column("day", "DATE"),
      column("local", "DATETIME"),
      column("at", "TIMESTAMP"),
      column("clock", "TIME"),
      column("any", "JSON"),
      column("gone", "STRING"),
    ];
    await fill("v", schema, [
      {
        small: 9007199254740991,
        wide: "-9223372036854775808",
        ratio: 0.1,
        price: "-0.000000001",
        raw: "AAEC",
        day: "0001-01-01",
        local: "1969-12-31T23:59:59.5",
        at: "1969-12-31T23:59:59.999999Z",
        clock: "00:00:00.000001",
        any: '"text"',
      },
    ]);
    const [row] = await select("SELECT * FROM `shop.v`");
    assert.deepEqual(JSON.parse(JSON.stringify(row)), row);
    assert.deepEqual(row, {
      small: 9007199254740991,
      wide: "-9223372036854775808",
      ratio: 0.1,
      price: "-0.000000001",
      raw: "AAEC",
      day: "0001-01-01",
      local: "1969-12-31T23:59:59.500",
      at: "1969-12-31T23:59:59.999999Z",
      clock: "00:00:00.000001",
      any: row?.["any"],
      gone: null,
    });
  },

  "parameters of every type": async ({ select }) => {
    const [row] = await select(
      "SELECT @text AS text, @wide AS wide, @ratio AS ratio, @price AS price, @yes AS yes, @day AS day, @local AS local, @at AS `at`, @clock AS clock, @raw AS raw, @gone AS gone, @list AS list, @none AS none, @Text AS again",
      {
        text: { type: "STRING", value: 'it\'s "@x" -- \\ `y` \n ü' },
        wide: { type: "INT64", value: 9223372036854775807n },
        ratio: { type: "FLOAT64", value: 0.1 },
        price: { type: "NUMERIC", value: "1.10" },
        yes: { type: "BOOL", value: true },
        day: { type: "DATE", value: "2024-02-29" },
        local: { type: "DATETIME", value: "2024-02-29T01:02:03" },
        at: { type: "TIMESTAMP", value: new Date("2024-02-29T01:02:03.004Z") },
        clock: { type: "TIME", value: "01:02:03" },
        raw: { type: "BYTES", value: new Uint8Array([0, 255]) },
        gone: { type: "INT64", value: null },
        list: { type: "STRING", array: true, value: ["a,b", "it's", '"q"', ""] },
        none: { type: "INT64", array: true, value: [] },
        unused: { type: "STRING", value: "x" },
      },
    );
    assert.deepEqual(row, {
      text: 'it\'s "@x" -- \\ `y` \n ü',
      wide: "9223372036854775807",
      ratio: 0.1,
      price: "1.1",
      yes: true,
      day: "2024-02-29",
      local: "2024-02-29T01:02:03",
      at: "2024-02-29T01:02:03.004Z",
      clock: "01:02:03",
      raw: "AP8=",
      gone: null,
      list: ["a,b", "it's", '"q"', ""],
      none: [],
      again: 'it\'s "@x" -- \\ `y` \n ü',
    });
  },

  "texts and comments are not read as names or parameters": async ({ fill, select }) => {
    await fill("orders", n, [{ n: 1 }]);
    const sql = [
      "-- `no.such.table` @nobody",
      "SELECT '@a `x.y`' AS a, \"double's\" AS b, 'it\\'s\\n' AS c, r'\\d' AS d, '''three ' quotes''' AS e /* @b 'open */, @p AS p",
      "FROM `any-project.shop.orders` # ; the end",
      ";",
    ].join("\n");
    assert.deepEqual(await select(sql, { p: { type: "INT64", value: 5 } }), [
      { a: "@a `x.y`", b: "double's", c: "it's\n", d: "\\d", e: "three ' quotes", p: 5 },
    ]);
  },

  "what is wrong with a statement is said in a line": async ({ warehouse, fill, fail }) => {
    await fill("orders", n, [{ n: 1 }]);
    for (const sql of [
      "SELEC 1",
      "SELECT nonsense FROM `shop.orders`",
      "SELECT @nobody",
      "SELECT 'open",
      "",
      "SELECT 1 AS a, 2 AS A",
      "SELECT CAST('x' AS INT64) AS i",
      "SELECT 1; SELECT nonsense",
    ]) {
      await fail({ kind: "query", sql }, "invalidQuery");
    }
    await fail({ kind: "query", sql: "SELECT * FROM `shop.nothing`" }, "notFound", "nothing");
    await fail({ kind: "query", sql: "SELECT * FROM `nowhere.nothing`" }, "notFound", "nothing");
    assert.equal((await warehouse.describe(ref("orders")))?.rows, 1);
  },

  "maximumBytesBilled and an unused label do not stop a small query": async ({ run }) => {
    const { state, rows, bytesBilled } = await run({
      kind: "query",
      sql: "SELECT 1 AS one",
      maximumBytesBilled: 100_000_000,
    });
    assert.deepEqual({ state, rows, billed: typeof bytesBilled }, { state: "succeeded", rows: 1, billed: "number" });
  },
};
