/** Scripts: several statements, variables and conditions in one job. */
import assert from "node:assert/strict";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";
import { column, n, ref, type Scenario } from "./world.ts";

function script(sql: string, tables: readonly string[] = ["t"]): Extract<JobSpec, { kind: "query" }> {
  return { kind: "query", sql, writes: tables.map(ref) };
}

export const scriptScenarios: Readonly<Record<string, Scenario>> = {
  "a script's rows are those of its last SELECT": async ({ warehouse, succeed, values }) => {
    const { jobId, rows } = await succeed(
      script(
        "SELECT 1 AS a; SELECT 2 AS b UNION ALL SELECT 3 ORDER BY b;\nCREATE TABLE `shop.t` AS SELECT 5 AS n; INSERT INTO `shop.t` (n) VALUES (6);",
      ),
    );
    assert.equal(rows, 2);
    assert.deepEqual(await Array.fromAsync(warehouse.rows(jobId)), [{ b: 2 }, { b: 3 }]);
    assert.deepEqual(await values("t"), [5, 6]);
    const none = await succeed(script("DELETE FROM `shop.t` WHERE n = 5; TRUNCATE TABLE `shop.t`"));
    assert.deepEqual(await Array.fromAsync(warehouse.rows(none.jobId)), []);
    assert.equal((await warehouse.describe(ref("t")))?.rows, 0);
  },

  "variables stand wherever an expression does": async ({ fill, select }) => {
    await fill(
      "orders",
      [column("id", "INT64"), column("day", "DATE")],
      [
        { id: 1, day: "2024-05-01" },
        { id: 2, day: "2024-05-02" },
        { id: 3, day: "2024-05-03" },
      ],
    );
    const sql = `DECLARE first, last DATE;
      DECLARE ids ARRAY<INT64> DEFAULT [1, 2, 3];
      DECLARE factor DEFAULT @factor;
      DECLARE total NUMERIC DEFAULT 0;
      DECLARE pair STRUCT<a INT64, b STRING>;
      SET first = DATE '2024-05-02';
      SET (last, total) = (SELECT AS STRUCT MAX(day), SUM(id) FROM \`shop.orders\`);
      SET pair = (7, 'seven');
      SELECT id * factor AS x, total, PAIR.b AS word, ARRAY_LENGTH(ids) AS c FROM \`shop.orders\`
      WHERE day BETWEEN first AND last AND id IN UNNEST(ids) ORDER BY id;`;
    assert.deepEqual(await select(sql, { factor: { type: "INT64", value: 10 } }), [
      { x: 20, total: "6", word: "seven", c: 3 },
      { x: 30, total: "6", word: "seven", c: 3 },
    ]);
    assert.deepEqual(await select("DECLARE v INT64; DECLARE s STRING DEFAULT 'a'; SELECT v, s, v IS NULL AS gone;"), [
      { v: null, s: "a", gone: true },
    ]);
  },

  "a column goes before a variable of its name": async ({ fill, select }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }]);
    assert.deepEqual(
      await select("DECLARE n INT64 DEFAULT 100; SELECT n FROM `shop.orders` WHERE n < 50 ORDER BY n;"),
      [{ n: 1 }, { n: 2 }],
    );
  },

  "IF, loops and blocks": async ({ select, succeed, values }) => {
    const grade = (score: number): string => `DECLARE score INT64 DEFAULT ${score};
      DECLARE grade STRING;
      IF score >= 20 THEN SET grade = 'high'; SELECT grade;
      ELSEIF score >= 10 THEN SELECT 'middle' AS grade;
      ELSE SELECT 'low' AS grade;
      END IF;`;
    assert.deepEqual(await select(grade(25)), [{ grade: "high" }]);
    assert.deepEqual(await select(grade(15)), [{ grade: "middle" }]);
    assert.deepEqual(await select(grade(5)), [{ grade: "low" }]);
    await succeed(script("CREATE TABLE `shop.t` (n INT64)"));
    await succeed(
      script(`DECLARE i INT64 DEFAULT 0;
        WHILE i < 10 DO
          SET i = i + 1;
          IF MOD(i, 2) = 0 THEN CONTINUE; END IF;
          IF i > 7 THEN BREAK; END IF;
          INSERT INTO \`shop.t\` (n) VALUES (i);
        END WHILE;
        BEGIN
          DECLARE j INT64 DEFAULT i * 10;
          LOOP
            SET j = j + 1;
            IF j > 92 THEN LEAVE; END IF;
            INSERT INTO \`shop.t\` VALUES (j);
          END LOOP;
        END;`),
    );
    assert.deepEqual(await values("t"), [1, 3, 5, 7, 91, 92]);
  },

  "a temporary table lives as long as its script": async ({ warehouse, fill, select, run }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }]);
    const sql = `CREATE TEMP TABLE twice AS SELECT n * 2 AS n FROM \`shop.orders\`;
      INSERT INTO twice (n) VALUES (100);
      UPDATE twice SET n = n + 1 WHERE n < 100;
      CREATE TEMP TABLE empty (word STRING);
      SELECT t.n, (SELECT COUNT(*) FROM empty) AS c FROM twice AS t ORDER BY n;`;
    const expected = [
      { n: 3, c: 0 },
      { n: 5, c: 0 },
      { n: 100, c: 0 },
    ];
    assert.deepEqual(await select(sql), expected);
    assert.deepEqual(await select(sql), expected, "the name is free again");
    assert.deepEqual(await Array.fromAsync(warehouse.list({ dataset: "shop" })), [ref("orders")]);
    const after = await run({ kind: "query", sql: "SELECT 1 AS a; SELECT * FROM twice" });
    assert.equal(after.state, "failed");
    assert.match(after.error?.message ?? "", /twice/);
  },

  "each statement of a script takes effect by itself, also when a later one fails": async ({
    warehouse,
    fill,
    run,
    values,
  }) => {
    await fill("t", n, [{ n: 1 }]);
    const { state, error } = await run(
      script(
        "INSERT INTO `shop.t` (n) VALUES (2); CREATE TABLE `shop.u` AS SELECT 3 AS n;\nSELECT DIV(1, n - 1) AS x FROM `shop.t`; DROP TABLE `shop.t`;",
        ["t", "u"],
      ),
    );
    assert.equal(state, "failed");
    assert.equal(error?.reason, "invalidQuery", error?.message);
    assert.deepEqual([await values("t"), await values("u")], [[1, 2], [3]]);
    assert.equal((await warehouse.describe(ref("t")))?.rows, 2);
  },

  "a statement of a script changes only what its job declares": async ({ fill, fail, values }) => {
    await fill("t", n, [{ n: 1 }]);
    await fill("private", n, [{ n: 2 }]);
    await fail(script("SELECT 1 AS a; DELETE FROM `shop.private` WHERE true;"), "accessDenied", "private");
    await fail(script("IF FALSE THEN DROP TABLE `shop.private`; END IF;"), "accessDenied", "private");
    assert.deepEqual([await values("t"), await values("private")], [[1], [2]]);
  },

  "a script that cannot be read changes nothing": async ({ warehouse, fill, fail, values }) => {
    await fill("t", n, [{ n: 1 }]);
    const before = await warehouse.describe(ref("t"));
    const start = "TRUNCATE TABLE `shop.t`;";
    for (const rest of [
      "SELEC 1;",
      "SELECT 'open",
      "IF TRUE THEN SELECT 1;",
      "WHILE TRUE DO SELECT 1;",
      "BREAK;",
      "BEGIN DECLARE x INT64; DECLARE x STRING; END;",
      "END;",
    ]) {
      await fail(script(`${start} ${rest}`), "invalidQuery");
      assert.deepEqual(await warehouse.describe(ref("t")), before, rest);
    }
    await fail(script("DECLARE x INT64 DEFAULT 'text'; SELECT x;"), "invalidQuery");
    assert.deepEqual(await values("t"), [1]);
  },
};
