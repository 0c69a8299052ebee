import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { assetCheck, check } from "../../lib/core/check.ts";
import { checkQuery } from "../../lib/core/check-query.ts";
import type { CheckedRows } from "../../lib/core/check-query.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { sql } from "../../lib/core/sql.ts";

const rows: CheckedRows = {
  table: { dataset: "raw", table: "scores__staging" },
  schema: [
    { name: "Address", type: "STRING", mode: "NULLABLE" },
    { name: "day", type: "DATE", mode: "NULLABLE" },
    { name: "seen", type: "TIMESTAMP", mode: "NULLABLE" },
  ],
  partition: { key: "2024-05-01", start: Date.UTC(2024, 4, 1), end: Date.UTC(2024, 4, 2) },
  requestedAt: Date.UTC(2024, 4, 2, 6),
  tableOf: (key) => ({ dataset: "clean", table: key.replace("/", "_") }),
};
const queryOf = ({ rule }: ReturnType<typeof check.unique>) => {
  assert.ok(rule.kind !== "row-count" && rule.kind !== "function");
  return checkQuery(rule, rows);
};

test("each check becomes a query whose rows are its failures", () => {
  const people = { key: "a/people" };
  assert.equal(
    queryOf(check.notNull(["address", "day"])).text,
    "SELECT * FROM `raw.scores__staging` WHERE `Address` IS NULL OR `day` IS NULL LIMIT 100",
  );
  assert.equal(
    queryOf(check.unique(["day", "address"])).text,
    "SELECT `day`, `Address`, COUNT(*) AS row_count FROM `raw.scores__staging` GROUP BY `day`, `Address` HAVING COUNT(*) > 1 LIMIT 100",
  );
  assert.equal(
    queryOf(check.references("address", people, "id")).text,
    "SELECT DISTINCT `Address` FROM `raw.scores__staging` WHERE `Address` IS NOT NULL AND `Address` NOT IN (SELECT `id` FROM `clean.a_people` WHERE `id` IS NOT NULL) LIMIT 100",
  );
  assert.deepEqual(queryOf(check.freshWithin("seen", "6h")).parameters, {
    oldest: { type: "TIMESTAMP", value: "2024-05-02T00:00:00.000Z" },
  });
  assert.deepEqual(queryOf(check.freshWithin("day", "2d")).parameters, {
    oldest: { type: "DATE", value: "2024-04-30" },
  });
});

test("a column that is not there, or of another type, is bad input that names it", () => {
  assert.throws(() => queryOf(check.unique("adress")), { code: "bad-input", message: /no column adress/ });
  assert.throws(() => queryOf(check.freshWithin("address", "1d")), {
    code: "bad-input",
    message: /Address|address is STRING/,
  });
});

test("names, blocking and severity have defaults that can be changed", () => {
  const { name, blocking, severity } = check.unique(["day", "address"]);
  assert.deepEqual([name, blocking, severity], ["unique_day_address", true, "error"]);
  assert.equal(check.notNull("day", { severity: "warn" }).blocking, false);
  assert.equal(check.notNull("day", { blocking: false }).severity, "error");
  assert.equal(check.notNull("day", { name: "has_day" }).name, "has_day");
  assert.equal(check.noRows("no_ghosts", sql`SELECT 1`).name, "no_ghosts");
  assert.equal(assetCheck({ asset: { key: "a/b" }, name: "c", rowCount: { min: 1 } }).blocking, false);
});

test("what makes no sense is refused where it is written", () => {
  assert.throws(() => check.unique([]), /at least one column/);
  assert.throws(() => check.notNull("a`b"), /not a legal name/);
  assert.throws(() => check.rowCount({}), /bounds/);
  assert.throws(() => check.freshWithin("day", "soon" as `${number}d`), /not a duration/);
});

test("a check reads what its asset depends on, and nothing else", () => {
  const materialize = async (): Promise<undefined> => undefined;
  const target = { table: { dataset: "d", table: "t" }, slot: "table" as const };
  const people = asset({ key: "a/people", target: "d.people", materialize });
  const bad = asset({ key: "a/bad", target, checks: [check.references("id", people)], materialize });
  const good = asset({
    key: "a/good",
    target: "d.good",
    deps: [people],
    checks: [check.references("id", people, "id", { severity: "warn" })],
    materialize,
  });
  const { problems } = collectDefinitions([{ file: "functions/a.ts", exports: { people, bad, good } }]);
  assert.deepEqual(
    problems.map(({ message, where, remedy }) => [message, where, remedy]),
    [
      [
        "the check references_id of a/bad reads a/people, which a/bad does not depend on",
        "functions/a.ts bad",
        "add a/people to its deps",
      ],
    ],
  );
});
