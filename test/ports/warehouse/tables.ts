/** Tables as wholes: replaced atomically, described, extended, dropped, listed, expired. */
import assert from "node:assert/strict";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";
import { column, csvLoad, minute, n, parquet, parquetLoad, ref, type Scenario } from "./world.ts";

export const tableScenarios: Readonly<Record<string, Scenario>> = {
  "a load replaces what the table held, schema included": async ({ warehouse, fill, select }) => {
    await fill("orders", n, [{ n: 1 }]);
    await fill("orders", [column("who", "STRING")], [{ who: "ann" }, { who: "bob" }]);
    assert.deepEqual(await select("SELECT * FROM `shop.orders` ORDER BY who"), [{ who: "ann" }, { who: "bob" }]);
    assert.deepEqual((await warehouse.describe(ref("orders")))?.schema, [column("who", "STRING")]);
  },

  "a copy makes its destination, and the two are apart from then on": async ({ fill, succeed, values }) => {
    await fill("staged", n, [{ n: 1 }]);
    const { rows } = await succeed({
      kind: "copy",
      source: ref("staged"),
      destination: { dataset: "other", table: "clean" },
    });
    assert.equal(rows, 1);
    await succeed({ kind: "copy", source: { dataset: "other", table: "clean" }, destination: ref("again") });
    await fill("staged", n, [{ n: 2 }]);
    assert.deepEqual(await values("again"), [1]);
    assert.deepEqual(await values("staged"), [2]);
  },

  "a source can be dropped after its copy, and a copy after its source": async ({
    warehouse,
    fill,
    succeed,
    values,
  }) => {
    await fill("staged", n, [{ n: 1 }]);
    await succeed({ kind: "copy", source: ref("staged"), destination: ref("clean") });
    await succeed({ kind: "copy", source: ref("staged"), destination: ref("raw") });
    assert.equal(await warehouse.drop(ref("staged")), true);
    assert.deepEqual(await values("clean"), [1]);
    assert.equal(await warehouse.drop(ref("clean")), true);
    assert.deepEqual(await values("raw"), [1]);
  },

  "extending a copy leaves its source alone": async ({ warehouse, fill, succeed, select }) => {
    await fill("staged", n, [{ n: 1 }]);
    await succeed({ kind: "copy", source: ref("staged"), destination: ref("clean") });
    const { etag } = (await warehouse.describe(ref("clean"))) ?? assert.fail();
    await warehouse.extend(ref("clean"), [column("note", "STRING")], etag);
    const other = (await warehouse.describe(ref("staged"))) ?? assert.fail();
    await warehouse.extend(ref("staged"), [column("note", "INT64")], other.etag);
    assert.deepEqual(await select("SELECT * FROM `shop.clean`"), [{ n: 1, note: null }]);
    assert.deepEqual((await warehouse.describe(ref("staged")))?.schema, [...n, column("note", "INT64")]);
  },

  "a table is copied onto itself": async ({ fill, succeed, values }) => {
    await fill("orders", n, [{ n: 1 }]);
    await succeed({ kind: "copy", source: ref("orders"), destination: ref("orders") });
    assert.deepEqual(await values("orders"), [1]);
  },

  "a reader never sees half a copy, nor a missing table": async ({ warehouse, fill, select }) => {
    const rows = (k: number): object[] => Array.from({ length: 1000 }, (_, i) => ({ k, i }));
    const schema = [column("k", "INT64"), column("i", "INT64")];
    await fill("even", schema, rows(0));
    await fill("odd", schema, rows(1));
    await fill("clean", schema, rows(0));
    let done = false;
    const reader = async (): Promise<number> => {
      let looks = 0;
      for (; !done; looks++) {
        const [seen] = await select(
          "SELECT COUNT(*) AS c, COUNT(DISTINCT k) AS kinds, COUNT(DISTINCT i) AS ids FROM `shop.clean`",
        );
        assert.deepEqual(seen, { c: 1000, kinds: 1, ids: 1000 });
      }
      return looks;
    };
    const writer = async (): Promise<void> => {
      try {
        for (let round = 0; round < 40; round++) {
          const id = `swap_${round}`;
          await warehouse.submit(
            id,
            { kind: "copy", source: ref(round % 2 === 0 ? "odd" : "even"), destination: ref("clean") },
            {},
          );
          assert.equal((await warehouse.wait(id, { timeoutMs: minute })).state, "succeeded");
          if (round % 8 === 0) await fill(round % 16 === 0 ? "odd" : "even", schema, rows(round % 16 === 0 ? 1 : 0));
        }
      } finally {
        done = true;
      }
    };
    const [looks] = await Promise.all([reader(), writer()]);
    assert.ok(looks > 0);
  },

  "copies from and to the same tables at once all end, and one of them has won": async ({
    warehouse,
    fill,
    values,
  }) => {
    await fill("a", n, [{ n: 1 }]);
    await fill("b", n, [{ n: 2 }]);
    const ids = Array.from({ length: 12 }, (_, i) => `cross_${i}`);
    for (const [i, id] of ids.entries()) {
      await warehouse.submit(
        id,
        { kind: "copy", source: ref(i % 2 === 0 ? "a" : "b"), destination: ref(i % 3 === 0 ? "a" : "b") },
        {},
      );
    }
    for (const id of ids) assert.equal((await warehouse.wait(id, { timeoutMs: minute })).state, "succeeded", id);
    for (const table of ["a", "b"]) assert.equal((await values(table)).length, 1);
  },

  "describe says schema, rows, partitioning and expiry": async ({ warehouse, fill }) => {
    const schema = [column("day", "DATE"), column("n", "INT64", "REQUIRED"), column("tags", "STRING", "REPEATED")];
    const partitioning = { type: "DAY", column: "day" } as const;
    const expiresAt = Date.now() + 3_600_000;
    await fill("orders", schema, [{ day: "2024-05-01", n: 1, tags: ["x"] }], { partitioning, expiresAt });
    const info = await warehouse.describe(ref("orders"));
    assert.deepEqual({ ...info, etag: "" }, { schema, rows: 1, partitioning, expiresAt, etag: "" });
    assert.equal(await warehouse.describe(ref("nothing")), undefined);
    assert.equal(await warehouse.describe({ dataset: "nowhere", table: "nothing" }), undefined);
  },

  "the etag changes with data and with schema, and with nothing else": async ({ warehouse, fill, select, succeed }) => {
    const etag = async (): Promise<string> => (await warehouse.describe(ref("orders")))?.etag ?? assert.fail();
    const seen = [];
    await fill("orders", n, [{ n: 1 }]);
    seen.push(await etag());
    await select("SELECT * FROM `shop.orders`");
    await succeed({ kind: "copy", source: ref("orders"), destination: ref("other") });
    assert.equal(await etag(), seen[0]);
    await fill("orders", n, [{ n: 1 }]);
    seen.push(await etag());
    await warehouse.extend(ref("orders"), [column("x", "STRING")], seen[1] ?? "");
    seen.push(await etag());
    await succeed({ kind: "copy", source: ref("other"), destination: ref("orders") });
    seen.push(await etag());
    await warehouse.drop(ref("orders"));
    await fill("orders", n, [{ n: 1 }]);
    seen.push(await etag());
    assert.equal(new Set(seen).size, seen.length);
  },

  "extend adds nullable columns at the end": async ({ warehouse, fill, select }) => {
    await fill("orders", n, [{ n: 1 }]);
    const { etag } = (await warehouse.describe(ref("orders"))) ?? assert.fail();
    const more = [column("note", "STRING"), column("tags", "STRING", "REPEATED")];
    await warehouse.extend(ref("orders"), more, etag);
    assert.deepEqual((await warehouse.describe(ref("orders")))?.schema, [...n, ...more]);
    assert.deepEqual(await select("SELECT * FROM `shop.orders`"), [{ n: 1, note: null, tags: [] }]);
  },

  "of two extensions at one etag one wins": async ({ warehouse, fill }) => {
    await fill("orders", n, [{ n: 1 }]);
    const { etag } = (await warehouse.describe(ref("orders"))) ?? assert.fail();
    const both = await Promise.allSettled([
      warehouse.extend(ref("orders"), [column("a", "STRING")], etag),
      warehouse.extend(ref("orders"), [column("b", "STRING")], etag),
    ]);
    assert.deepEqual(both.map((one) => one.status).sort(), ["fulfilled", "rejected"]);
    for (const one of both) if (one.status === "rejected") assert.equal((one.reason as Error).name, "RetryableError");
    assert.equal((await warehouse.describe(ref("orders")))?.schema.length, 2);
  },

  "extend refuses a required column, a name that is taken, and a table that is not there": async ({
    warehouse,
    fill,
  }) => {
    await fill("orders", n, [{ n: 1 }]);
    const info = (await warehouse.describe(ref("orders"))) ?? assert.fail();
    await assert.rejects(warehouse.extend(ref("orders"), [column("a", "STRING", "REQUIRED")], info.etag), {
      name: "PermanentError",
    });
    await assert.rejects(warehouse.extend(ref("orders"), [column("N", "STRING")], info.etag), {
      name: "PermanentError",
    });
    await assert.rejects(warehouse.extend(ref("nothing"), [column("a", "STRING")], info.etag), {
      name: "PermanentError",
    });
    assert.deepEqual(await warehouse.describe(ref("orders")), info);
  },

  "drop says whether there was a table": async ({ warehouse, fill, fail }) => {
    await fill("orders", n, [{ n: 1 }]);
    assert.equal(await warehouse.drop(ref("orders")), true);
    assert.equal(await warehouse.drop(ref("orders")), false);
    assert.equal(await warehouse.describe(ref("orders")), undefined);
    await fail({ kind: "query", sql: "SELECT * FROM `shop.orders`" }, "notFound", "orders");
  },

  "list gives the tables of one dataset by name and prefix": async ({ warehouse, fill, succeed }) => {
    await fill("raw__20240501", n, [{ n: 1 }]);
    for (const table of ["raw__20240502", "rawX_20240503", "clean"])
      await succeed({ kind: "copy", source: ref("raw__20240501"), destination: ref(table) });
    await succeed({ kind: "copy", source: ref("clean"), destination: { dataset: "shop2", table: "raw__9" } });
    const list = async (prefix?: string): Promise<string[]> => {
      const tables = [];
      for await (const { dataset, table } of warehouse.list({ dataset: "shop" }, prefix)) {
        assert.equal(dataset, "shop");
        tables.push(table);
      }
      return tables;
    };
    assert.deepEqual(await list(), ["clean", "rawX_20240503", "raw__20240501", "raw__20240502"]);
    assert.deepEqual(await list("raw__"), ["raw__20240501", "raw__20240502"]);
    assert.deepEqual(await list("%"), []);
    assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "nowhere" })), []);
  },

  "a table expires by the clock": async ({ warehouse, fill, succeed, advance, fail, values }) => {
    await fill("staged", n, [{ n: 1 }], { expiresAt: Date.now() + minute });
    await succeed({ kind: "copy", source: ref("staged"), destination: ref("clean") });
    await succeed({
      kind: "copy",
      source: ref("staged"),
      destination: ref("raw"),
      expiresAt: Date.now() + 10 * minute,
    });
    advance(2 * minute);
    assert.equal(await warehouse.describe(ref("staged")), undefined);
    await fail({ kind: "copy", source: ref("staged"), destination: ref("clean") }, "notFound", "staged");
    await fail({ kind: "query", sql: "SELECT * FROM `shop.staged`" }, "notFound", "staged");
    assert.deepEqual(
      (await Array.fromAsync(warehouse.list({ dataset: "shop" }))).map((one) => one.table),
      ["clean", "raw"],
    );
    assert.equal(await warehouse.drop(ref("staged")), false);
    assert.equal((await warehouse.describe(ref("clean")))?.expiresAt, undefined);
    assert.deepEqual(await values("raw"), [1]);
    await fill("staged", n, [{ n: 2 }]);
    assert.deepEqual(await values("staged"), [2]);
  },

  "what a statement creates goes when its job says": async ({ warehouse, fill, succeed, advance }) => {
    const expiresAt = Date.now() + minute;
    const made = (table: string, sql: string): JobSpec => ({ kind: "query", sql, writes: [ref(table)], expiresAt });
    await fill("source", n, [{ n: 1 }]);
    await succeed(made("t", "CREATE OR REPLACE TABLE `shop.t` AS SELECT n FROM `shop.source`"));
    await succeed(made("v", "CREATE VIEW `shop.v` AS SELECT n FROM `shop.source`"));
    await succeed(
      made("s", "CREATE TEMP TABLE x AS SELECT 1 AS n; CREATE TABLE `shop.s` AS SELECT n FROM x; SELECT 1"),
    );
    for (const table of ["t", "v", "s"])
      assert.equal((await warehouse.describe(ref(table)))?.expiresAt, expiresAt, table);
    // A change of rows is none of its end, and a new table takes nothing over.
    await succeed({ ...made("t", "INSERT INTO `shop.t` (n) VALUES (2)"), expiresAt: expiresAt + minute });
    assert.equal((await warehouse.describe(ref("t")))?.expiresAt, expiresAt);
    await succeed({ kind: "query", sql: "CREATE OR REPLACE TABLE `shop.s` AS SELECT 1 AS n", writes: [ref("s")] });
    assert.equal((await warehouse.describe(ref("s")))?.expiresAt, undefined);
    advance(2 * minute);
    assert.deepEqual(
      (await Array.fromAsync(warehouse.list({ dataset: "shop" }))).map(({ table }) => table),
      ["s", "source"],
    );
  },

  "tables whose names are words of SQL work": async ({ warehouse, fill, select }) => {
    await fill("select", [column("order", "INT64"), column("group", "STRING")], [{ order: 1, group: "g" }]);
    assert.deepEqual(await select("SELECT `order`, `group` FROM `shop.select`"), [{ order: 1, group: "g" }]);
    assert.equal((await warehouse.describe(ref("select")))?.rows, 1);
  },

  "a load, a query and two copies run at the same time": async ({ warehouse, put, fill }) => {
    await fill("staged", n, [{ n: 1 }]);
    const rows = await put(await parquet("SELECT i AS n FROM range(300000) t(i)"));
    const specs = {
      load: parquetLoad(rows, "big"),
      query: { kind: "query", sql: "SELECT COUNT(*) AS c FROM `shop.staged`" },
      first: { kind: "copy", source: ref("staged"), destination: ref("one") },
      second: { kind: "copy", source: ref("staged"), destination: ref("two") },
      csv: csvLoad(await put("1\n"), "small", n),
    } as const;
    await Promise.all(Object.entries(specs).map(([id, spec]) => warehouse.submit(id, spec, {})));
    for (const id of Object.keys(specs))
      assert.equal((await warehouse.wait(id, { timeoutMs: minute })).state, "succeeded", id);
    assert.equal((await warehouse.describe(ref("big")))?.rows, 300_000);
  },
};
