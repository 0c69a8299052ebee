/** The statements that publish by merge and as a view. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeStatement, viewStatement } from "../../lib/core/publish-job.ts";
import type { Column } from "../../lib/core/table.ts";

const columns = (...names: readonly string[]): readonly Column[] =>
  names.map((name) => ({ name, type: "STRING", mode: "NULLABLE" }));
const visible = { project: "my-project", dataset: "d", table: "t" };
const staging = { dataset: "s", table: "t__staging" };
const merge = (table: readonly Column[], staged: readonly Column[], keys: readonly string[]): readonly string[] =>
  mergeStatement({ ref: visible, schema: table }, { ref: staging, schema: staged }, keys).text.split("\n");

test("a row with the key is replaced in all its other columns, and any other is added", () => {
  assert.deepEqual(merge(columns("a", "b", "c", "d"), columns("d", "c", "b", "a"), ["a", "b"]), [
    "MERGE `my-project.d.t` AS visible USING `s.t__staging` AS staged ON visible.`a` = staged.`a` AND visible.`b` = staged.`b`",
    "WHEN MATCHED THEN UPDATE SET `c` = staged.`c`, `d` = staged.`d`",
    "WHEN NOT MATCHED THEN INSERT (`a`, `b`, `c`, `d`) VALUES (staged.`a`, staged.`b`, staged.`c`, staged.`d`)",
  ]);
});

test("of a table that is all key, no row is replaced", () => {
  assert.deepEqual(merge(columns("a", "B"), columns("A", "b"), ["a", "b"]), [
    "MERGE `my-project.d.t` AS visible USING `s.t__staging` AS staged ON visible.`a` = staged.`a` AND visible.`b` = staged.`b`",
    "WHEN NOT MATCHED THEN INSERT (`a`, `B`) VALUES (staged.`A`, staged.`b`)",
  ]);
});

test("a column that the rows lack is NULL, or empty, in every row that they bring", () => {
  const tags: Column = { name: "tags", type: "STRING", mode: "REPEATED" };
  assert.deepEqual(merge([...columns("a", "b"), tags], columns("a"), ["a"]).slice(1), [
    "WHEN MATCHED THEN UPDATE SET `b` = NULL, `tags` = []",
    "WHEN NOT MATCHED THEN INSERT (`a`, `b`, `tags`) VALUES (staged.`a`, NULL, [])",
  ]);
});

test("a view is its statement", () => {
  assert.deepEqual(viewStatement(visible, { text: "SELECT 1 AS n", parameters: {} }), {
    text: "CREATE OR REPLACE VIEW `my-project.d.t` AS SELECT 1 AS n",
    parameters: {},
  });
  assert.throws(() => viewStatement({ dataset: "d", table: "t`; DROP" }, { text: "SELECT 1", parameters: {} }));
});
