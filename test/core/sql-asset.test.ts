/** The asset that is one statement: what follows from its SQL and its materialization, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { asset, dependsOn } from "../../lib/core/asset.ts";
import { daily, hourly, monthly, parsePartition, staticPartitions, weekly } from "../../lib/core/partitions.ts";
import type { PartitionsDefinition } from "../../lib/core/partitions.ts";
import { partition, placeholderValues } from "../../lib/core/placeholders.ts";
import { renderSql, sql } from "../../lib/core/sql.ts";
import { sqlAsset } from "../../lib/core/sql-asset.ts";
import { materializeInMemory } from "../../lib/testing/materialize-in-memory.ts";
import type { Materialization } from "../../lib/core/sql-asset.ts";

const scores = asset({ key: "gitcoin/scores", target: "gitcoin.scores", materialize: async () => undefined });
const users = asset({ key: "gitcoin/users", target: "gitcoin.users", materialize: async () => undefined });
const one = sql`SELECT 1 AS one`;
const key = "gitcoin/summary";
const table = { dataset: "gitcoin", table: "summary" };
const schema = z.object({
  day: z.iso.date(),
  at: z.date(),
  people: z.int(),
  ratio: z.number(),
  tags: z.array(z.string()),
});

test("its references are its dependencies, with those that it adds", () => {
  const made = sqlAsset({
    key,
    sql: sql`SELECT * FROM ${scores} WHERE a IN (${sql`SELECT a FROM ${users}`}) AND EXISTS (SELECT 1 FROM ${scores})`,
    deps: [dependsOn(users, { kind: "last" }), "other/thing"],
  });
  assert.deepEqual(made.deps, ["gitcoin/scores", "gitcoin/users", "other/thing"]);
  assert.deepEqual(made.mappings, { "gitcoin/users": { kind: "last" } });
  assert.deepEqual(
    made.needs.map(({ kind }) => kind),
    ["run-jobs", "write-dataset", "run-jobs"],
  );
});

test("its SQL is data: keys in the place of assets, and placeholders", () => {
  const made = sqlAsset({
    key,
    partitions: daily(),
    config: z.object({ low: z.int().default(1) }),
    sql: sql`SELECT * FROM ${scores} WHERE day = ${partition.key} AND n > ${sql.config("low")} ${sql`AND ${scores}.m = ${5}`}`,
  });
  assert.deepEqual(JSON.parse(JSON.stringify(made.sql)), {
    kind: "sql",
    strings: ["SELECT * FROM ", " WHERE day = ", " AND n > ", " ", ""],
    values: [
      { kind: "asset", key: "gitcoin/scores" },
      { kind: "placeholder", of: "partition", name: "key" },
      { kind: "placeholder", of: "config", name: "low" },
      {
        kind: "sql",
        strings: ["AND ", ".m = ", ""],
        values: [
          { kind: "asset", key: "gitcoin/scores" },
          { kind: "parameter", parameter: { type: "INT64", value: 5 } },
        ],
      },
    ],
  });
});

test("what its SQL says is the same after a manifest has held it, whatever its values", () => {
  const values = [2n ** 60n, new Date(0), null, "x", 1.5, true, [1n, 2n], []];
  const statement = { kind: "sql", strings: ["SELECT ", ...values.map(() => ", ")], values } as const;
  const made = sqlAsset({ key, sql: statement });
  assert.ok(made.sql !== undefined);
  const rendered = renderSql(statement, () => assert.fail());
  assert.deepEqual(
    renderSql(made.sql, () => assert.fail()),
    rendered,
  );
  // JSON of what a definition says of itself as data.
  const read = JSON.parse(JSON.stringify(made.sql)) as typeof made.sql;
  assert.deepEqual(
    renderSql(read, () => assert.fail()),
    rendered,
  );
});

test("each materialization is a slot and a way to publish in it", () => {
  const cases: readonly [Materialization | undefined, PartitionsDefinition | undefined, object][] = [
    [undefined, undefined, { table, slot: "table", schemaChange: "replace" }],
    ["table", daily(), { table, slot: "table", schemaChange: "replace" }],
    ["table", staticPartitions(["a"]), { table, slot: "table", schemaChange: "replace" }],
    [undefined, daily(), { table, slot: "partition", partitioning: { type: "DAY" } }],
    ["insert_overwrite", hourly(), { table, slot: "partition", partitioning: { type: "HOUR" } }],
    ["append", monthly(), { table, slot: "partition", partitioning: { type: "MONTH" } }],
    ["append", undefined, { table, slot: "table", publish: "append" }],
    ["append", staticPartitions(["a"]), { table, slot: "table", publish: "append" }],
    [{ merge: ["day"] }, daily(), { table, slot: "table", publish: { merge: ["day"] } }],
    [{ merge: ["day"] }, undefined, { table, slot: "table", publish: { merge: ["day"] } }],
    ["view", undefined, { table, slot: "table", publish: "view", schemaChange: "replace" }],
  ];
  for (const [materialization, partitions, target] of cases) {
    const made = sqlAsset({
      key,
      sql: one,
      ...(materialization === undefined ? {} : { materialization }),
      ...(partitions === undefined ? {} : { partitions }),
    });
    assert.deepEqual(made.target, target);
  }
  const laidOut = sqlAsset({
    key,
    sql: one,
    partitions: weekly(),
    schema,
    partitionBy: "at",
    clusterBy: ["people"],
    target: "d.t",
    schemaChange: "extend",
  });
  assert.deepEqual(laidOut.target, {
    table: { dataset: "d", table: "t" },
    slot: "partition",
    partitioning: { type: "DAY", column: "at" },
    clustering: ["people"],
    schemaChange: "extend",
  });
  assert.deepEqual(
    laidOut.checks.map(({ name }) => name),
    ["rows_in_partition"],
  );
});

test("what cannot be is refused with the remedy", () => {
  const refused = (options: Partial<Parameters<typeof sqlAsset>[0]>, line: RegExp): void =>
    assert.throws(() => sqlAsset({ key, sql: one, ...options }), { name: "DefinitionError", message: line });
  refused({ key: "summary" }, /the key summary does not say a dataset and a table/);
  refused({ partitions: staticPartitions(["a"]) }, /static partitions, which a table cannot keep apart/);
  refused({ materialization: "insert_overwrite" }, /no time partitions that insert_overwrite could replace/);
  refused({ materialization: { merge: [] } }, /merges by no column/);
  refused({ materialization: "view", partitions: daily() }, /is a view, which has no partitions/);
  refused({ materialization: "view", partitionBy: "day" }, /is a view, which stores no rows/);
  refused({ materialization: "view", sql: sql`SELECT ${1} AS one` }, /is a view, which takes no values/);
  refused({ materialization: "view", sql: sql`SELECT ${sql`${null}`} AS one` }, /is a view, which takes no values/);
  refused({ materialization: "view", schemaChange: "extend" }, /schemaChange has no meaning/);
  refused({ materialization: "table", schemaChange: "fail" }, /schemaChange has no meaning/);
  refused({ sql: sql`SELECT ${partition.key} AS k` }, /asks for partition\.key, but the asset has no partitions/);
  refused(
    { sql: sql`SELECT ${partition.start} AS k`, partitions: staticPartitions(["a"]), materialization: "table" },
    /asks for partition\.start, but only time partitions have one/,
  );
  refused({ sql: sql`SELECT ${sql.config("low")} AS k` }, /asks for config low, which the config does not have/);
  // @ts-expect-error: there is no such materialization
  refused({ materialization: "tabel" }, /unknown materialization "tabel"/);
  refused({ maximumBytesBilled: 0 }, /maximumBytesBilled is 0/);
  refused({ schema, materialization: { merge: ["dya"] } }, /has no column "dya"/);
  refused({ schema, materialization: { merge: ["ratio"] } }, /cannot be merged by ratio, which is REQUIRED FLOAT64/);
  refused({ schema, materialization: { merge: ["tags"] } }, /cannot be merged by tags, which is REPEATED STRING/);
  refused({ schema, partitionBy: "people" }, /cannot be partitioned by DAY of people/);
  refused({ schema, clusterBy: ["ratio"] }, /cannot be clustered by ratio/);
});

test("a typo in a column is a type error where there is a schema", () => {
  sqlAsset({ key, sql: one, materialization: { merge: ["whatever"] } });
  sqlAsset({ key, sql: one, schema, materialization: { merge: ["day", "people"] }, partitionBy: "day" });
  // @ts-expect-error: the schema has no such column
  assert.throws(() => sqlAsset({ key, sql: one, schema, materialization: { merge: ["dya"] } }));
  // @ts-expect-error: the schema has no such column
  assert.throws(() => sqlAsset({ key, sql: one, schema, clusterBy: ["peple"] }));
  // @ts-expect-error: a sqlAsset has no code
  assert.throws(() => sqlAsset({ key, sql: one, materialize: async () => undefined }), /unknown option "materialize"/);
});

test("it does not run in memory, and says so", async () => {
  await assert.rejects(
    materializeInMemory(sqlAsset({ key, sql: one }), {}),
    /has no code that could run without a warehouse/,
  );
});

test("the partition in a statement is texts, which GoogleSQL takes for dates and times", () => {
  const statement = sql`${partition.key} ${partition.start} ${partition.end}`;
  const values = (definition: PartitionsDefinition, text: string) =>
    Object.values(
      renderSql(statement, () => assert.fail(), placeholderValues(parsePartition(definition, text), {})).parameters,
    ).map(({ type, value }) => `${type} ${String(value)}`);
  assert.deepEqual(values(daily(), "2024-05-01"), ["STRING 2024-05-01", "STRING 2024-05-01", "STRING 2024-05-02"]);
  assert.deepEqual(values(weekly(), "2024-W18"), ["STRING 2024-04-29", "STRING 2024-04-29", "STRING 2024-05-06"]);
  assert.deepEqual(values(monthly(), "2024-02"), ["STRING 2024-02", "STRING 2024-02-01", "STRING 2024-03-01"]);
  assert.deepEqual(values(hourly(), "2024-05-01T23"), [
    "STRING 2024-05-01T23",
    "STRING 2024-05-01 23:00:00",
    "STRING 2024-05-02 00:00:00",
  ]);
  assert.throws(() => values(staticPartitions(["a"]), "a"), /partition\.start has no value in this run/);
  assert.throws(() => renderSql(statement, () => assert.fail()), /partition\.key has no value here/);
});
