/** Which tables a statement would change, by its words alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readStatements } from "../../lib/gcp/bigquery-targets.ts";

function read(sql: string): string {
  const { onlyReads, script, targets, unknown } = readStatements(sql);
  if (unknown !== undefined) return `unknown ${unknown.construct} at ${unknown.line}:${unknown.column}`;
  if (onlyReads) return "reads";
  return [script ? "script" : "one", ...targets.map(({ parts }) => parts.join("."))].join(" ");
}

test("statements that give rows", () => {
  for (const sql of [
    "SELECT 1",
    "(SELECT 1) UNION ALL SELECT 2;",
    "with x as (select 1) select * from x",
    '-- DROP TABLE a.b;\nSELECT \'; DROP TABLE a.b\' AS `; DELETE a.b`, r\'\\\', """; x\n""", /* ; */ 2 # ; DROP',
    "",
    ";;",
  ])
    assert.equal(read(sql), "reads", sql);
});

test("statements that change what they name first", () => {
  for (const [sql, expected] of [
    ["INSERT INTO `a.b` (n) SELECT n FROM c.d", "one a.b"],
    ["INSERT a.b VALUES (1)", "one a.b"],
    ["UPDATE my-project.a.b SET n = 1 WHERE true", "one my-project.a.b"],
    ["DELETE a.b WHERE true", "one a.b"],
    ["DELETE\nFROM `p`.a.`b` t WHERE true", "one p.a.b"],
    ["MERGE INTO a . b USING c.d ON false WHEN NOT MATCHED THEN INSERT ROW", "one a.b"],
    ["TRUNCATE TABLE a.b", "one a.b"],
    ["CREATE OR REPLACE TABLE a.b AS SELECT 1", "one a.b"],
    ["CREATE TABLE IF NOT EXISTS a.b (n INT64)", "one a.b"],
    ["CREATE MATERIALIZED VIEW a.b AS SELECT 1", "one a.b"],
    ["DROP VIEW IF EXISTS a.b", "one a.b"],
    ["ALTER TABLE a.b RENAME TO c", "one a.b a.c"],
    ["ALTER TABLE a.b RENAME COLUMN x TO y", "one a.b"],
    ["CREATE TEMP TABLE x AS SELECT 1; INSERT INTO x SELECT 2; INSERT INTO a.b SELECT * FROM x", "script x a.b"],
    ["BEGIN TRANSACTION; DELETE a.b WHERE true; COMMIT;", "script a.b"],
  ] as const)
    assert.equal(read(sql), expected, sql);
});

test("conditions, loops and blocks hide nothing", () => {
  for (const sql of [
    "DECLARE x INT64; IF x = 1 THEN DELETE a.b WHERE true; END IF;",
    "IF (SELECT CASE WHEN true THEN 1 ELSE 2 END) = 1 THEN DELETE a.b WHERE true; END IF; SELECT 1",
    "IF false THEN SELECT 1; ELSEIF true THEN DELETE a.b WHERE true; END IF",
    "IF false THEN SELECT 1; ELSE DELETE a.b WHERE true; END IF",
    "WHILE CASE WHEN true THEN true END DO DELETE a.b WHERE true; END WHILE;",
    "FOR r IN (SELECT 1 AS n) DO DELETE a.b WHERE true; END FOR;",
    "LOOP DELETE a.b WHERE true; BREAK; END LOOP",
    "REPEAT DELETE a.b WHERE true; UNTIL true END REPEAT",
    "BEGIN DELETE a.b WHERE true; EXCEPTION WHEN ERROR THEN SELECT 1; END",
    "BEGIN SELECT 1; EXCEPTION WHEN ERROR THEN DELETE a.b WHERE true; END",
    "BEGIN IF true THEN LOOP DELETE a.b WHERE true; LEAVE; END LOOP; END IF; END",
  ])
    assert.equal(read(sql), "script a.b", sql);
});

test("what cannot be told is said, with its place", () => {
  for (const [sql, construct] of [
    ["SELECT 1;\n  EXECUTE IMMEDIATE 'DROP TABLE a.b'", "EXECUTE IMMEDIATE at 2:3"],
    ["CALL a.p()", "CALL a at 1:1"],
    ["EXPORT DATA OPTIONS (uri = 'gs://b/*') AS SELECT 1", "EXPORT DATA at 1:1"],
    ["LOAD DATA INTO a.b FROM FILES (format = 'CSV')", "LOAD DATA at 1:1"],
    ["CREATE SCHEMA a", "CREATE SCHEMA at 1:1"],
    ["DROP TABLE FUNCTION a.f; SELECT 1", "DROP TABLE at 1:1"],
    ["SET @@dataset_id = 'a'; DELETE b WHERE true", "SET @@dataset_id at 1:1"],
    ["FROM a.b |> SELECT n |> INSERT INTO a.c; SELECT 1", "FROM a at 1:1"],
    ["SELECT 1; SELEC 2", "SELEC 2 at 1:11"],
    ["SELECT 1; DROP TABLE `a.b", "DROP TABLE at 1:11"],
  ] as const)
    assert.equal(read(sql), `unknown ${construct}`, sql);
});

test("of a pipe the dry run has to tell", () => {
  assert.equal(read("FROM a.b |> WHERE n = 1"), "one");
});
