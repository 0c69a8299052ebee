/** Which table an asset publishes in, and how, by what it declares. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { hourly, daily, monthly, staticPartitions, weekly } from "../../lib/core/partitions.ts";
import type { PartitionsDefinition } from "../../lib/core/partitions.ts";
import { bigquery } from "../../lib/core/resources.ts";
import type { Target } from "../../lib/core/target.ts";

const nothing = async (): Promise<undefined> => undefined;
const made = (key: string, more: { partitions?: PartitionsDefinition; target?: Target | string } = {}) =>
  asset({ key, resources: { bigquery: bigquery() }, materialize: nothing, ...more });
const replaced = { slot: "table", schemaChange: "replace" };

test("an asset with the warehouse at hand has the table of its key", () => {
  assert.deepEqual(made("a/b/c").target, { table: { dataset: "a_b", table: "c" }, ...replaced });
  for (const [partitions, type] of [
    [hourly(), "HOUR"],
    [daily(), "DAY"],
    [weekly(), "DAY"],
    [monthly(), "MONTH"],
  ] as const) {
    const target = { table: { dataset: "a", table: "b" }, slot: "partition", partitioning: { type } };
    assert.deepEqual(made("a/b", { partitions }).target, target);
  }
  assert.deepEqual(made("a/b", { partitions: staticPartitions(["x"]) }).target?.slot, "table");
  assert.equal(asset({ key: "a/b", materialize: nothing }).target, undefined);
});

test("a table by its name, a whole target, or none at all", () => {
  assert.deepEqual(made("a", { target: "d.t" }).target, { table: { dataset: "d", table: "t" }, ...replaced });
  assert.deepEqual(made("a", { target: "my-project.d.t" }).target, {
    table: { project: "my-project", dataset: "d", table: "t" },
    ...replaced,
  });
  const target: Target = { table: { dataset: "d", table: "t" }, slot: "table" };
  assert.deepEqual(made("a", { target }).target, target);
  assert.equal(made("a", { target: "none" }).target, undefined);
  assert.deepEqual(
    made("a", { target: "none" }).needs.map(({ kind }) => kind),
    ["run-jobs"],
  );
  assert.deepEqual(asset({ key: "a", target: "d.t", materialize: nothing }).target?.table, target.table);
});

test("a key that names no table asks for one, and bad names are refused", () => {
  for (const key of ["passing", "gitcoin/pass-ing", "git-coin/passing"])
    assert.throws(() => made(key), { message: /does not say a dataset and a table/, remedy: /target: "none"/ });
  assert.throws(() => made("1a/b"), /the dataset of "1a\.b", "1a" is not a legal name/);
  for (const target of ["t", "a.b.c.d", "", "a..b", "a.b`"])
    assert.throws(() => made("a/b", { target }), { name: "DefinitionError" }, target);
});

test("how a slot is published must fit the slot", () => {
  const table = { dataset: "d", table: "t" };
  const refused = (target: Target, line: RegExp): void =>
    assert.throws(() => made("a/b", { target, partitions: daily() }), line);
  refused({ table, slot: "partition", publish: "append" }, /a\/b replaces its partition of d\.t, and cannot do more/);
  refused({ table, slot: "table", publish: { merge: [] } }, /merges by no column/);
  refused({ table, slot: "table", publish: { merge: ["day", "DAY"] } }, /merges by a column twice/);
  refused({ table, slot: "table", publish: { merge: ["day; DROP"] } }, /merge key "day; DROP" is not a legal name/);
  refused({ table, slot: "table", publish: "view" }, /has no statement that could become a view/);
  const { checks } = made("a/b", { target: { table, slot: "table", publish: { merge: ["x", "y"] } } });
  assert.deepEqual(
    checks.map(({ name, blocking, rule }) => [name, blocking, rule]),
    [["merge_key", true, { kind: "key", columns: ["x", "y"] }]],
  );
});
