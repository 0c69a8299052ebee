/** Views: a query under a name. */
import assert from "node:assert/strict";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";
import { column, csvLoad, n, ref, type Scenario } from "./world.ts";

function change(sql: string, tables: readonly string[] = ["v"]): Extract<JobSpec, { kind: "query" }> {
  return { kind: "query", sql, writes: tables.map(ref) };
}

export const viewScenarios: Readonly<Record<string, Scenario>> = {
  "a view shows what its query gives at the time": async ({ warehouse, fill, succeed, values }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }]);
    const { jobId, rows } = await succeed(change("CREATE VIEW `shop.v` AS SELECT n * 10 AS n FROM `shop.orders`"));
    assert.equal(rows, 0);
    assert.deepEqual(await Array.fromAsync(warehouse.rows(jobId)), []);
    assert.deepEqual(await values("v"), [10, 20]);
    await fill("orders", n, [{ n: 7 }]);
    assert.deepEqual(await values("v"), [70]);
    await succeed(change("INSERT INTO `shop.orders` (n) VALUES (8)", ["orders"]));
    assert.deepEqual(await values("v"), [70, 80]);
  },

  "describe and list show a view": async ({ warehouse, fill, succeed }) => {
    await fill("orders", n, [{ n: 1 }]);
    await succeed(
      change("CREATE VIEW `shop.v` AS SELECT n, 'x' AS word, [n] AS list, DATE '2024-05-01' AS day FROM `shop.orders`"),
    );
    const info = await warehouse.describe(ref("v"));
    assert.deepEqual(
      { ...info, etag: "" },
      {
        view: true,
        rows: 0,
        schema: [...n, column("word", "STRING"), column("list", "INT64", "REPEATED"), column("day", "DATE")],
        etag: "",
      },
    );
    assert.equal((await warehouse.describe(ref("orders")))?.view, undefined);
    assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), [ref("orders"), ref("v")]);
    await succeed(change("CREATE OR REPLACE VIEW `shop.v` AS SELECT n AS m FROM `shop.orders`"));
    const next = await warehouse.describe(ref("v"));
    assert.deepEqual(next?.schema, [column("m", "INT64")]);
    assert.notEqual(next.etag, info?.etag);
  },

  "a view may name its columns, and be read like a table": async ({ fill, succeed, select }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    await succeed(
      change("CREATE VIEW `shop.v` (number, twice) AS SELECT n, n * 2 FROM `shop.orders` ORDER BY n DESC LIMIT 2"),
    );
    assert.deepEqual(await select("SELECT * FROM `shop.v` ORDER BY number"), [
      { number: 2, twice: 4 },
      { number: 3, twice: 6 },
    ]);
    assert.deepEqual(
      await select(
        "WITH both AS (SELECT v.twice, o.n FROM `shop.v` AS v JOIN `shop.orders` o ON o.n = v.number) SELECT SUM(twice) AS s, (SELECT MAX(number) FROM shop.v) AS m FROM both",
      ),
      [{ s: 10, m: 3 }],
    );
    await succeed(change("CREATE TABLE `shop.t` AS SELECT * FROM `shop.v`", ["t"]));
    assert.deepEqual(await select("SELECT SUM(twice) AS s FROM `shop.t`"), [{ s: 10 }]);
  },

  "a view of a view": async ({ warehouse, fill, succeed, fail, values, run }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }]);
    await succeed(change("CREATE VIEW `shop.v` AS SELECT n + 1 AS n FROM `shop.orders`"));
    await succeed(change("CREATE VIEW `shop.w` AS SELECT n * 10 AS n FROM `shop.v`", ["w"]));
    assert.deepEqual(await values("w"), [20, 30]);
    await succeed(change("CREATE OR REPLACE VIEW `shop.v` AS SELECT n + 5 AS n FROM `shop.orders`"));
    assert.deepEqual(await values("w"), [60, 70]);
    const circle = await run(change("CREATE OR REPLACE VIEW `shop.v` AS SELECT n FROM `shop.w`"));
    assert.equal(circle.state, "failed", "a view that reads itself");
    assert.deepEqual(await values("w"), [60, 70]);
    await warehouse.drop(ref("orders"));
    await fail({ kind: "query", sql: "SELECT * FROM `shop.w`" }, "notFound", "orders");
    await fill("orders", n, [{ n: 3 }]);
    assert.deepEqual(await values("w"), [80]);
  },

  "CREATE VIEW says what happens to a view that is there": async ({ warehouse, succeed, fail, values }) => {
    await succeed(change("CREATE VIEW IF NOT EXISTS `shop.v` AS SELECT 1 AS n"));
    const { etag } = (await warehouse.describe(ref("v"))) ?? {};
    await fail(change("CREATE VIEW `shop.v` AS SELECT 2 AS n"), "duplicate", "v");
    await succeed(change("CREATE VIEW IF NOT EXISTS `shop.v` AS SELECT 3 AS n"));
    assert.deepEqual(await values("v"), [1]);
    assert.equal((await warehouse.describe(ref("v")))?.etag, etag);
    await succeed(change("CREATE OR REPLACE VIEW `shop.v` AS SELECT 4 AS n"));
    assert.deepEqual(await values("v"), [4]);
  },

  "DROP VIEW takes a view away, and drop does": async ({ warehouse, fill, succeed, fail, values }) => {
    await fill("orders", n, [{ n: 1 }]);
    await succeed(change("CREATE VIEW `shop.v` AS SELECT n FROM `shop.orders`"));
    await succeed(change("DROP VIEW `shop.v`"));
    assert.equal(await warehouse.describe(ref("v")), undefined);
    await fail(change("DROP VIEW `shop.v`"), "notFound", "v");
    await succeed(change("DROP VIEW IF EXISTS `shop.v`"));
    await fail({ kind: "query", sql: "SELECT * FROM `shop.v`" }, "notFound", "v");
    await succeed(change("CREATE VIEW `shop.v` AS SELECT n FROM `shop.orders`"));
    assert.equal(await warehouse.drop(ref("v")), true);
    assert.equal(await warehouse.drop(ref("v")), false);
    assert.deepEqual(await values("orders"), [1]);
  },

  "a table does not become a view, nor a view a table": async ({ warehouse, put, fill, succeed, fail, values }) => {
    await fill("t", n, [{ n: 1 }]);
    await fill("more", n, [{ n: 9 }]);
    await succeed(change("CREATE VIEW `shop.v` AS SELECT n + 1 AS n FROM `shop.t`"));
    const both = async (): Promise<unknown> => [await warehouse.describe(ref("t")), await warehouse.describe(ref("v"))];
    const before = await both();
    await fail(change("CREATE OR REPLACE VIEW `shop.t` AS SELECT 5 AS n", ["t"]), "invalid", "TABLE");
    await fail(change("CREATE VIEW `shop.t` AS SELECT 5 AS n", ["t"]), "duplicate", "t");
    await fail(change("DROP VIEW `shop.t`", ["t"]), "invalid", "TABLE");
    await fail(change("CREATE OR REPLACE TABLE `shop.v` AS SELECT 5 AS n"), "invalid", "VIEW");
    await fail(change("CREATE TABLE `shop.v` AS SELECT 5 AS n"), "duplicate", "v");
    await fail(change("DROP TABLE `shop.v`"), "invalid", "VIEW");
    await fail(csvLoad(await put("5\n"), "v", n), "invalid", "v");
    await fail({ kind: "copy", source: ref("more"), destination: ref("v") }, "invalid", "v");
    await fail({ kind: "copy", source: ref("more"), destination: ref("v"), append: true }, "invalid", "v");
    await fail({ kind: "copy", source: ref("v"), destination: ref("fresh") }, "invalid", "v");
    assert.deepEqual(await both(), before);
    assert.deepEqual([await values("t"), await values("v")], [[1], [2]]);
    assert.equal(await warehouse.describe(ref("fresh")), undefined);
  },

  "a view's rows cannot be changed": async ({ fill, succeed, run, values }) => {
    await fill("orders", n, [{ n: 1 }]);
    await succeed(change("CREATE VIEW `shop.v` AS SELECT n FROM `shop.orders`"));
    for (const sql of [
      "INSERT INTO `shop.v` (n) VALUES (2)",
      "UPDATE `shop.v` SET n = 2 WHERE true",
      "DELETE FROM `shop.v` WHERE true",
      "TRUNCATE TABLE `shop.v`",
      "MERGE `shop.v` v USING `shop.orders` o ON v.n = o.n WHEN MATCHED THEN DELETE",
    ]) {
      const { state, error } = await run(change(sql, ["v", "orders"]));
      assert.equal(state, "failed", sql);
      assert.ok(["invalid", "invalidQuery"].includes(error?.reason ?? ""), `${sql}: ${error?.message ?? ""}`);
    }
    assert.deepEqual([await values("v"), await values("orders")], [[1], [1]]);
  },

  "a view has no parameters, no columns without a name, and needs what it reads": async ({ warehouse, run, fail }) => {
    const parameters = { p: { type: "INT64", value: 1 } } as const;
    for (const sql of [
      "CREATE VIEW `shop.v` AS SELECT @p AS n",
      "CREATE VIEW `shop.v` AS SELECT 1",
      "CREATE VIEW `shop.v` AS SELECT 1 AS n, 2 AS N",
      "CREATE VIEW `shop.v` (a) AS SELECT 1 AS n, 2 AS m",
      "CREATE VIEW `shop.v` AS SELEC 1",
    ]) {
      const { state, error } = await run({ ...change(sql), parameters });
      assert.equal(state, "failed", sql);
      assert.ok(["invalid", "invalidQuery"].includes(error?.reason ?? ""), `${sql}: ${error?.reason ?? ""}`);
    }
    await fail(change("CREATE VIEW `shop.v` AS SELECT * FROM `shop.nothing`"), "notFound", "nothing");
    assert.equal(await warehouse.describe(ref("v")), undefined);
  },

  "a job makes and drops only the views that it declares": async ({ warehouse, succeed, fail }) => {
    await succeed(change("CREATE VIEW `shop.v` AS SELECT 1 AS n"));
    for (const sql of [
      "CREATE VIEW `shop.w` AS SELECT 1 AS n",
      "CREATE OR REPLACE VIEW `shop.v` AS SELECT 2 AS n",
      "DROP VIEW `shop.v`",
      "DROP VIEW IF EXISTS `shop.w`",
    ]) {
      await fail(change(sql, ["t"]), "accessDenied");
      await fail({ kind: "query", sql }, "accessDenied");
    }
    assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), [ref("v")]);
  },
};
