/** Statements that create and change tables: what they write, what they leave alone, and who may send them. */
import assert from "node:assert/strict";
import type { JobSpec, QueryParameter } from "../../../lib/ports/warehouse.ts";
import { column, minute, n, ref, type Scenario } from "./world.ts";

/** A job that may change the named tables of the dataset. */
function change(
  sql: string,
  tables: readonly string[] = ["t"],
  parameters?: Readonly<Record<string, QueryParameter>>,
): Extract<JobSpec, { kind: "query" }> {
  return { kind: "query", sql, writes: tables.map(ref), ...(parameters === undefined ? {} : { parameters }) };
}

const pairs = [column("id", "INT64"), column("name", "STRING")];

export const statementScenarios: Readonly<Record<string, Scenario>> = {
  "CREATE TABLE AS makes a table of the query's columns and rows": async ({ warehouse, fill, succeed, select }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    const { jobId, rows } = await succeed(
      change(
        "CREATE TABLE `shop.t` AS SELECT n AS id, CONCAT('no ', CAST(n AS STRING)) AS name, [n] AS list, DATE '2024-05-01' AS day FROM `shop.orders` WHERE n >= @least",
        ["t"],
        { least: { type: "INT64", value: 2 } },
      ),
    );
    assert.equal(rows, 2);
    assert.deepEqual(await Array.fromAsync(warehouse.rows(jobId)), [], "a change gives no rows");
    const info = await warehouse.describe(ref("t"));
    assert.equal(info?.rows, 2);
    assert.equal(info.partitioning, undefined);
    assert.deepEqual(info.schema, [...pairs, column("list", "INT64", "REPEATED"), column("day", "DATE")]);
    assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY id"), [
      { id: 2, name: "no 2", list: [2], day: "2024-05-01" },
      { id: 3, name: "no 3", list: [3], day: "2024-05-01" },
    ]);
  },

  "CREATE says what happens to a table that is there": async ({ warehouse, succeed, fail, values }) => {
    await succeed(change("CREATE TABLE `shop.t` AS SELECT 1 AS n"));
    const { etag } = (await warehouse.describe(ref("t"))) ?? {};
    await fail(change("CREATE TABLE `shop.t` AS SELECT 2 AS n"), "duplicate", "t");
    assert.equal((await succeed(change("CREATE TABLE IF NOT EXISTS `shop.t` AS SELECT 3 AS n"))).rows, 0);
    assert.deepEqual(await values("t"), [1]);
    assert.equal((await warehouse.describe(ref("t")))?.etag, etag);
    await succeed(change("CREATE OR REPLACE TABLE `shop.t` AS SELECT 'four' AS word FROM `shop.t`"));
    assert.deepEqual(await values("t", "word"), ["four"]);
    assert.deepEqual((await warehouse.describe(ref("t")))?.schema, [column("word", "STRING")]);
    assert.notEqual((await warehouse.describe(ref("t")))?.etag, etag);
  },

  "CREATE TABLE with columns makes an empty table, and PARTITION BY a partitioned one": async ({
    warehouse,
    succeed,
    values,
  }) => {
    await succeed(
      change("CREATE TABLE `shop.t` (n INT64 NOT NULL, seen TIMESTAMP) PARTITION BY TIMESTAMP_TRUNC(seen, HOUR)"),
    );
    const { schema, rows, partitioning } = (await warehouse.describe(ref("t"))) ?? {};
    assert.deepEqual(schema, [column("n", "INT64", "REQUIRED"), column("seen", "TIMESTAMP")]);
    assert.deepEqual({ rows, partitioning }, { rows: 0, partitioning: { type: "HOUR", column: "seen" } });
    await succeed(
      change(
        "INSERT INTO `shop.t` (n, seen) VALUES (1, TIMESTAMP '2024-05-01 00:30:00+00'), (2, TIMESTAMP '2024-05-01 01:30:00+00'), (3, NULL)",
      ),
    );
    assert.equal(await warehouse.drop({ ...ref("t"), partition: "2024050101" }), true);
    assert.deepEqual(await values("t"), [1, 3]);
    for (const [by, expected] of [
      ["day", { type: "DAY", column: "day" }],
      ["DATE(seen)", { type: "DAY", column: "seen" }],
      ["DATE_TRUNC(day, MONTH)", { type: "MONTH", column: "day" }],
    ] as const) {
      const query = "SELECT DATE '2024-05-01' AS day, TIMESTAMP '2024-05-01 00:00:00+00' AS seen";
      await succeed(change(`CREATE OR REPLACE TABLE \`shop.t\` PARTITION BY ${by} AS ${query}`));
      assert.deepEqual((await warehouse.describe(ref("t")))?.partitioning, expected, by);
    }
  },

  "INSERT adds rows, and leaves out what it does not name": async ({ warehouse, fill, succeed, select }) => {
    await fill("t", [...pairs, column("list", "INT64", "REPEATED")], [{ id: 1, name: "a", list: [1, 2] }]);
    assert.equal((await succeed(change("INSERT INTO `shop.t` (name, id) VALUES ('b', 2), (NULL, 3)"))).rows, 2);
    assert.equal((await succeed(change("INSERT `shop.t` SELECT id + 10, name, list FROM `shop.t`"))).rows, 3);
    assert.equal((await warehouse.describe(ref("t")))?.rows, 6);
    assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY id"), [
      { id: 1, name: "a", list: [1, 2] },
      { id: 2, name: "b", list: [] },
      { id: 3, name: null, list: [] },
      { id: 11, name: "a", list: [1, 2] },
      { id: 12, name: "b", list: [] },
      { id: 13, name: null, list: [] },
    ]);
  },

  "UPDATE, DELETE and TRUNCATE": async ({ warehouse, fill, succeed, select }) => {
    await fill("t", pairs, [{ id: 1, name: "a" }, { id: 2, name: "b" }, { id: 3 }]);
    const etags = [(await warehouse.describe(ref("t")))?.etag];
    const after = async (sql: string, rows: readonly object[]): Promise<void> => {
      assert.equal((await succeed(change(sql))).rows, rows.length, "all rows that the table has afterwards");
      assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY id"), rows);
      const info = await warehouse.describe(ref("t"));
      assert.deepEqual([info?.rows, info?.schema], [rows.length, pairs]);
      etags.push(info?.etag);
    };
    await after("UPDATE `shop.t` SET name = CONCAT(name, '!'), id = id * 10 WHERE id <> 2", [
      { id: 2, name: "b" },
      { id: 10, name: "a!" },
      { id: 30, name: null },
    ]);
    await after("UPDATE `shop.t` t SET name = s.word FROM (SELECT 2 AS id, 'two' AS word) s WHERE t.id = s.id", [
      { id: 2, name: "two" },
      { id: 10, name: "a!" },
      { id: 30, name: null },
    ]);
    // What is neither true nor false is kept.
    await after("DELETE FROM `shop.t` WHERE name = 'two'", [
      { id: 10, name: "a!" },
      { id: 30, name: null },
    ]);
    await after("TRUNCATE TABLE `shop.t`", []);
    assert.equal(new Set(etags).size, etags.length, "each change gives another etag");
  },

  "MERGE updates, inserts and deletes at once": async ({ fill, succeed, select }) => {
    await fill("t", pairs, [
      { id: 1, name: "stays" },
      { id: 2, name: "changes" },
      { id: 3, name: "goes" },
    ]);
    await fill("news", pairs, [{ id: 2, name: "changed" }, { id: 3 }, { id: 4, name: "comes" }]);
    await succeed(
      change(
        "MERGE `shop.t` t USING `shop.news` s ON t.id = s.id WHEN MATCHED AND s.name IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)",
      ),
    );
    assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY id"), [
      { id: 1, name: "stays" },
      { id: 2, name: "changed" },
      { id: 4, name: "comes" },
    ]);
  },

  "DROP TABLE takes a table away": async ({ warehouse, fill, succeed, fail }) => {
    await fill("t", n, [{ n: 1 }]);
    await succeed(change("DROP TABLE `shop.t`"));
    assert.equal(await warehouse.describe(ref("t")), undefined);
    await fail(change("DROP TABLE `shop.t`"), "notFound", "t");
    await succeed(change("DROP TABLE IF EXISTS `shop.t`"));
    await fail(change("INSERT INTO `shop.t` (n) VALUES (1)"), "notFound", "t");
    await fail(change("UPDATE `shop.t` SET n = 1 WHERE true"), "notFound", "t");
  },

  "a change of one copy does not show in the other": async ({ fill, succeed, values }) => {
    await fill("original", n, [{ n: 1 }, { n: 2 }]);
    for (const [sql, expected] of [
      ["INSERT INTO `shop.t` (n) VALUES (3)", [1, 2, 3]],
      ["UPDATE `shop.t` SET n = n + 5 WHERE true", [6, 7]],
      ["DELETE FROM `shop.t` WHERE n = 1", [2]],
      ["TRUNCATE TABLE `shop.t`", []],
      ["CREATE OR REPLACE TABLE `shop.t` AS SELECT 9 AS n", [9]],
    ] as const) {
      await succeed({ kind: "copy", source: ref("original"), destination: ref("t") });
      await succeed(change(sql));
      assert.deepEqual([await values("t"), await values("original")], [expected, [1, 2]], sql);
    }
    await succeed({ kind: "copy", source: ref("original"), destination: ref("t") });
    await succeed(change("INSERT INTO `shop.original` (n) VALUES (3)", ["original"]));
    assert.deepEqual(
      [await values("t"), await values("original")],
      [
        [1, 2],
        [1, 2, 3],
      ],
    );
    await succeed(change("DROP TABLE `shop.original`", ["original"]));
    assert.deepEqual(await values("t"), [1, 2]);
  },

  "a statement that fails leaves the table as it was": async ({ warehouse, fill, run, fail, values }) => {
    await fill("t", n, [{ n: 1 }, { n: 0 }]);
    const before = await warehouse.describe(ref("t"));
    for (const sql of [
      "INSERT INTO `shop.t` (n) SELECT CAST(IF(i = 900, 'x', '1') AS INT64) FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS i",
      "UPDATE `shop.t` SET n = DIV(1, n) WHERE true",
      "DELETE FROM `shop.t` WHERE DIV(1, n) = 1",
      "CREATE OR REPLACE TABLE `shop.t` AS SELECT DIV(1, n) AS n FROM `shop.t`",
      "CREATE OR REPLACE TABLE `shop.t` AS SELECT 1 AS a, 2 AS A",
      "UPDATE `shop.t` t SET n = s.m FROM (SELECT 5 AS m UNION ALL SELECT 6) s WHERE t.n = 1",
      "MERGE `shop.t` t USING (SELECT 1 AS m UNION ALL SELECT 1) s ON t.n = s.m WHEN MATCHED THEN DELETE",
      "INSERT INTO `shop.t` (nothing) VALUES (1)",
      "INSERT INTO `shop.t` (n) VALUES ('text')",
      "TRUNCATE TABLE `shop.t`; SELEC 1",
    ]) {
      const { state, error } = await run(change(sql));
      assert.equal(state, "failed", sql);
      assert.ok(["invalidQuery", "invalid"].includes(error?.reason ?? ""), `${sql}: ${error?.reason ?? ""}`);
      assert.deepEqual(await warehouse.describe(ref("t")), before, sql);
      assert.deepEqual(await values("t"), [0, 1], sql);
    }
    await fail(change("CREATE TABLE `shop.other` AS SELECT n FROM `shop.nothing`", ["other"]), "notFound", "nothing");
    assert.equal(await warehouse.describe(ref("other")), undefined);
  },

  "a required column stays without nulls": async ({ fill, run, values, succeed }) => {
    await fill("t", [column("n", "INT64", "REQUIRED")], [{ n: 1 }]);
    for (const sql of ["INSERT INTO `shop.t` (n) VALUES (2), (NULL)", "UPDATE `shop.t` SET n = NULL WHERE true"])
      assert.equal((await run(change(sql))).state, "failed", sql);
    await succeed(change("INSERT INTO `shop.t` (n) VALUES (2)"));
    assert.deepEqual(await values("t"), [1, 2]);
  },

  "a statement changes only the tables that its job declares": async ({ warehouse, fill, fail, values }) => {
    await fill("t", n, [{ n: 1 }]);
    await fill("private", n, [{ n: 2 }]);
    for (const sql of [
      "CREATE OR REPLACE TABLE `shop.private` AS SELECT 9 AS n",
      "CREATE TABLE `shop.fresh` AS SELECT 9 AS n",
      "INSERT INTO `shop.private` (n) SELECT n FROM `shop.t`",
      "UPDATE `shop.private` SET n = 9 WHERE true",
      "DELETE FROM `shop.private` WHERE true",
      "MERGE `shop.private` p USING `shop.t` t ON p.n = t.n WHEN NOT MATCHED THEN INSERT (n) VALUES (t.n)",
      "TRUNCATE TABLE `shop.private`",
      "DROP TABLE `shop.private`",
      "DROP TABLE IF EXISTS `elsewhere.t`",
    ]) {
      await fail(change(sql), "accessDenied", "column");
      await fail({ kind: "query", sql }, "accessDenied");
    }
    await fail({ kind: "query", sql: "DROP TABLE `shop.t`", writes: [] }, "accessDenied", "shop.t");
    assert.deepEqual([await values("t"), await values("private")], [[1], [2]]);
    assert.equal(await warehouse.describe(ref("fresh")), undefined);
  },

  "a reader sees the old rows or the new ones": async ({ warehouse, succeed, select }) => {
    const create = (value: number): string =>
      `CREATE OR REPLACE TABLE \`shop.t\` AS SELECT ${value} AS v FROM UNNEST(GENERATE_ARRAY(1, 20000))`;
    await succeed(change(create(0)));
    let done = false;
    const writes = (async () => {
      for (let round = 1; round <= 6; round++) {
        await succeed(change(round % 2 === 0 ? create(round) : `UPDATE \`shop.t\` SET v = ${round} WHERE true`));
      }
      done = true;
    })();
    let reads = 0;
    let last = 0;
    for (; !done || reads === 0; reads++) {
      const [row] = await select("SELECT COUNT(*) AS c, MIN(v) AS low, MAX(v) AS high FROM `shop.t`");
      assert.equal(row?.["c"], 20_000);
      assert.equal(row["low"], row["high"]);
      assert.ok(Number(row["low"]) >= last, "no reader goes back");
      last = Number(row["low"]);
      assert.equal((await warehouse.describe(ref("t")))?.rows, 20_000);
    }
    await writes;
  },

  "changes of one table at the same time are all there": async ({ warehouse, fill, values }) => {
    await fill("t", n, []);
    const ids = Array.from({ length: 12 }, (_, index) => `add_${index}`);
    for (const [index, id] of ids.entries()) {
      const statement =
        index % 3 === 2
          ? `MERGE \`shop.t\` t USING (SELECT ${index} AS m) s ON t.n = s.m WHEN NOT MATCHED THEN INSERT (n) VALUES (s.m)`
          : `INSERT INTO \`shop.t\` (n) VALUES (${index})`;
      await warehouse.submit(id, change(statement), {});
    }
    for (const id of ids) {
      const { state, error } = await warehouse.wait(id, { timeoutMs: minute });
      assert.equal(state, "succeeded", error?.message);
    }
    assert.deepEqual(
      await values("t"),
      ids.map((_, index) => index),
    );
    assert.equal((await warehouse.describe(ref("t")))?.rows, ids.length);
  },
};
