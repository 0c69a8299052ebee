import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { asset } from "../../lib/core/asset.ts";
import { check } from "../../lib/core/check.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import { bigqueryTable, storedTarget } from "../../lib/core/io-manager.ts";
import type { BigqueryTableOptions } from "../../lib/core/io-manager.ts";
import { daily, hourly, monthly, staticPartitions, weekly } from "../../lib/core/partitions.ts";
import type { PartitionsDefinition } from "../../lib/core/partitions.ts";

const schema = z.object({
  day: z.iso.date(),
  at: z.date(),
  name: z.string(),
  score: z.number(),
  tags: z.array(z.string()),
  n: z.int(),
});

const upstream = asset({
  key: "up/scores",
  target: { table: { dataset: "up", table: "scores" }, slot: "table" },
  materialize: async () => undefined,
});

function targetOf(options: BigqueryTableOptions = {}, partitions?: PartitionsDefinition, key = "a/b/c") {
  return storedTarget(bigqueryTable(options), { key, schema, partitions });
}

function refusal(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof DefinitionError, String(error));
    assert.ok(error.remedy !== undefined, "an error has a remedy");
    return messageOf(error);
  }
  return assert.fail("nothing was refused");
}

describe("the table of an I/O manager", () => {
  test("comes from the key, or is named", () => {
    const table = { dataset: "a_b", table: "c" };
    assert.deepEqual(targetOf(), { table, slot: "table" });
    assert.deepEqual(targetOf({ table: "d.t" }).table, { dataset: "d", table: "t" });
    assert.deepEqual(targetOf({ table: "my-project.d.t" }).table, { project: "my-project", dataset: "d", table: "t" });
    assert.deepEqual(targetOf({ table: { dataset: "d", table: "t" } }).table, { dataset: "d", table: "t" });
    for (const key of ["single", "with-dash/c"])
      assert.match(
        refusal(() => targetOf({}, undefined, key)),
        /name the table/,
      );
    for (const name of ["t", "d.", "a.b.c.d", "d.t;", "d.my-table", ""])
      assert.match(
        refusal(() => targetOf({ table: name })),
        /not a legal name|not a table's name/,
        name,
      );
  });

  test("has a part for each window of time, unless each run replaces it all", () => {
    const cases: readonly (readonly [BigqueryTableOptions, PartitionsDefinition | undefined, unknown])[] = [
      [{}, undefined, { slot: "table" }],
      [{ writeDisposition: "overwrite" }, undefined, { slot: "table" }],
      [{ partitionBy: "day" }, undefined, { slot: "table", partitioning: { type: "DAY", column: "day" } }],
      [{}, daily(), { slot: "partition", partitioning: { type: "DAY" } }],
      [{ writeDisposition: "append" }, weekly(), { slot: "partition", partitioning: { type: "DAY" } }],
      [{ partitionBy: "day" }, monthly(), { slot: "partition", partitioning: { type: "MONTH", column: "day" } }],
      [{ partitionBy: "at" }, hourly(), { slot: "partition", partitioning: { type: "HOUR", column: "at" } }],
      [{ writeDisposition: "overwrite" }, daily(), { slot: "table" }],
      [{ writeDisposition: "overwrite" }, staticPartitions(["de", "fr"]), { slot: "table" }],
    ];
    for (const [options, partitions, expected] of cases) {
      const { table: _, ...target } = targetOf(options, partitions);
      assert.deepEqual(target, expected, JSON.stringify([options, partitions]));
    }
    assert.match(
      refusal(() => targetOf({}, staticPartitions(["de", "fr"]))),
      /static partitions.*overwrite/,
    );
    assert.match(
      refusal(() => targetOf({ writeDisposition: "append" })),
      /append its rows again.*time partitions/,
    );
  });

  test("is partitioned and clustered by columns that BigQuery can take", () => {
    assert.deepEqual(targetOf({ clusterBy: ["name", "n"] }).clustering, ["name", "n"]);
    assert.equal("clustering" in targetOf({ clusterBy: [] }), false);
    assert.match(
      refusal(() => targetOf({ clusterBy: ["names"] })),
      /clusterBy: .*"names" \(did you mean "name"\?\)/,
    );
    assert.match(
      refusal(() => targetOf({ clusterBy: ["score"] })),
      /clustered by score, which is REQUIRED FLOAT64/,
    );
    assert.match(
      refusal(() => targetOf({ clusterBy: ["tags"] })),
      /tags, which is REPEATED STRING/,
    );
    assert.match(
      refusal(() => targetOf({ clusterBy: ["n", "n"] })),
      /different ones/,
    );
    assert.match(
      refusal(() => targetOf({ clusterBy: ["n", "day", "at", "name", "score"] })),
      /at most 4/,
    );
    assert.match(
      refusal(() => targetOf({ partitionBy: "name" })),
      /partitionBy: .*by DAY of name/,
    );
    assert.match(
      refusal(() => targetOf({ partitionBy: "day" }, hourly())),
      /by HOUR of day.*use a timestamp/,
    );
  });

  test("is checked, so that no row of a window is put in another one's part", () => {
    const made = asset({
      key: "a/b",
      partitions: daily(),
      schema,
      ioManager: bigqueryTable({ partitionBy: "day" }),
      materialize: () => [],
    });
    assert.deepEqual(
      made.checks.map(({ name, blocking, rule }) => [name, blocking, rule]),
      [["rows_in_partition", true, { kind: "in-partition", column: "day" }]],
    );
  });
});

test("what an asset with an I/O manager needs is there as data", () => {
  const made = asset({
    key: "a/b",
    inputs: { scores: upstream },
    schema,
    ioManager: bigqueryTable(),
    materialize: () => [],
  });
  assert.deepEqual(
    made.needs.map((need) => [need.kind, "dataset" in need ? need.dataset : "prefix" in need ? need.prefix : ""]),
    [
      ["stage-objects", "a/b/"],
      ["write-dataset", "a"],
      ["run-jobs", ""],
      ["read-dataset", "up"],
      ["run-jobs", ""],
    ],
  );
});

test("combinations that cannot be are refused", () => {
  const common = { key: "a/b", schema, ioManager: bigqueryTable(), materialize: () => [] };
  const noTable = asset({ key: "up/nothing", materialize: async () => undefined });
  const target = { table: { dataset: "d", table: "t" }, slot: "table" } as const;
  const both = { ...common, target };
  assert.match(
    // @ts-expect-error: one or the other
    refusal(() => asset(both)),
    /a target and an I\/O manager/,
  );
  assert.match(
    refusal(() => asset({ ...common, schema: z.object({}) })),
    /no columns/,
  );
  assert.match(
    refusal(() => asset({ ...common, schema: z.object({ x: z.any() }) })),
    /json\(\)/,
  );
  assert.match(
    refusal(() => asset({ ...common, inputs: { nothing: noTable } })),
    /up\/nothing has no table/,
  );
  for (const [made, word] of [
    [check.unique(["name", "dya"]), /check unique_name_dya: .*"dya" \(did you mean "day"/],
    [check.freshWithin("att", "1h"), /"att" \(did you mean "at"/],
    [check.references("id", upstream), /"id"/],
  ] as const)
    assert.match(
      refusal(() => asset({ ...common, checks: [made] })),
      word,
    );
  asset({ ...common, checks: [check.notNull(["name", "day"]), check.rowCount({ min: 1 })] });
  const twice = { ...common, inputs: { x: upstream }, resources: { x: { kind: "secret", needs: [] } as const } };
  assert.match(
    refusal(() => asset(twice)),
    /an input and a resource named x/,
  );
});
