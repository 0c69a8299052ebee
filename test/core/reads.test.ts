import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { datasetsIn, mayRead, undeclaredIn } from "../../lib/core/reads.ts";

const READS = [{ dataset: "own" }, { project: "their-project", dataset: "crm" }];

describe("the tables that a statement names in quotes", () => {
  const table: readonly (readonly [statement: string, refused: string | undefined])[] = [
    ["SELECT * FROM `own.t`", undefined],
    ["SELECT * FROM `any-project.own.t`", undefined],
    ["SELECT * FROM `their-project.crm.t`", undefined],
    ["SELECT * FROM `crm.t`", undefined],
    ["SELECT * FROM `our-project.crm.t`", "our-project.crm.t"],
    ["SELECT * FROM `example.com:p.own.t`", undefined],
    ["SELECT * FROM `own.t` JOIN `else.u` USING (a)", "else.u"],
    ["SELECT * FROM `else.events_*`", "else.events_*"],
    ["SELECT * FROM `region-eu.INFORMATION_SCHEMA.JOBS`", "region-eu.INFORMATION_SCHEMA.JOBS"],
    ["SELECT * FROM `own.INFORMATION_SCHEMA.TABLES`", undefined],
    ["SELECT * FROM `p.else.INFORMATION_SCHEMA.TABLES`", "p.else.INFORMATION_SCHEMA.TABLES"],
    // What is no whole name of a table.
    ["SELECT `a`.`b` AS `c.d` FROM `own.t`", undefined],
    ["SELECT `else.fn`(a) FROM `own.t`", undefined],
    ["SELECT '`else.t`', \"`else.t`\", r'\\'`else.t`', '''it's `else.t`''' FROM `own.t`", undefined],
    ["SELECT 1 -- `else.t`\n# `else.t`\n/* `else.t` */ FROM `own.t`", undefined],
    ["SELECT 'it\\'s' FROM `else.t`", "else.t"],
    ["SELECT `INFORMATION_SCHEMA.TABLES` FROM `own.t`", undefined],
  ];
  for (const [statement, refused] of table) {
    test(statement, () => {
      const message = undeclaredIn(statement, READS);
      assert.equal(message?.split(" ")[0], refused);
    });
  }

  test("a long text takes no long time", () => {
    const text = `SELECT ${"'".repeat(50_001)}`;
    assert.equal(undeclaredIn(text, READS), undefined);
  });
});

test("datasets are each named once, in order, whatever else is needed", () => {
  const reason = "r";
  const found = datasetsIn([
    { kind: "write-dataset", dataset: "b", reason },
    { kind: "run-jobs", reason },
    { kind: "read-dataset", dataset: "b", reason },
    { kind: "read-dataset", project: "p", dataset: "b", reason },
    { kind: "read-dataset", dataset: "a", reason },
  ]);
  assert.deepEqual(found, [{ dataset: "a" }, { dataset: "b" }, { project: "p", dataset: "b" }]);
  assert.ok(mayRead(found, { project: "x", dataset: "a" }));
  assert.ok(!mayRead(found, { dataset: "c" }));
});
