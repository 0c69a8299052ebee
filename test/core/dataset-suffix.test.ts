import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { withDatasetSuffix, writtenDatasets } from "../../lib/core/dataset-suffix.ts";
import { asset, bigqueryTable, externalAsset, multiAsset, sql, sqlAsset } from "../../lib/index.ts";
import { definitionsOf } from "../support/infra.ts";

const schema = z.object({ a: z.string() });

function project() {
  const rates = externalAsset({ key: "crm/rates", table: "crm.rates" });
  const far = sqlAsset({ key: "far/up", target: "other-project.far.up", sql: sql`SELECT 1 AS a` });
  const down = asset({
    key: "a/down",
    inputs: { far, rates },
    schema,
    ioManager: bigqueryTable(),
    materialize: async () => [],
  });
  const both = multiAsset({
    name: "both",
    assets: { one: { key: "m/one", schema, ioManager: bigqueryTable() } },
    materialize: async () => [],
  });
  return definitionsOf({ "a.ts": { rates, far, down, both } });
}

describe("datasets of an environment's own", () => {
  test("without a suffix nothing changes", () => {
    const definitions = project();
    assert.equal(withDatasetSuffix(definitions, ""), definitions);
  });

  test("everything that is written moves to the environment's own project; what is made elsewhere is read there", () => {
    const { assets } = withDatasetSuffix(project(), "_pr_42");
    assert.deepEqual(assets.get("far/up")?.target?.table, { dataset: "far_pr_42", table: "up" });
    assert.deepEqual(assets.get("crm/rates")?.target?.table, { dataset: "crm", table: "rates" });
    const datasets = (key: string) =>
      assets
        .get(key)
        ?.needs.flatMap((need) =>
          need.kind === "read-dataset" || need.kind === "write-dataset"
            ? [[need.kind, need.project, need.dataset]]
            : [],
        );
    assert.deepEqual(datasets("a/down"), [
      ["write-dataset", undefined, "a_pr_42"],
      ["read-dataset", undefined, "far_pr_42"],
      ["read-dataset", undefined, "crm"],
    ]);
  });

  test("the outputs that a job makes are the very assets", () => {
    const { assets, jobs } = withDatasetSuffix(project(), "_x");
    assert.equal(jobs.get("both")?.multi?.outputs["one"], assets.get("m/one"));
    assert.equal(assets.get("m/one")?.target?.table.dataset, "m_x");
  });

  test("what was there before is as it was, and moves again to somewhere else", () => {
    const definitions = project();
    const before = [...writtenDatasets(definitions)].sort();
    assert.deepEqual(before, [".a", ".m", "other-project.far"]);
    assert.deepEqual([...writtenDatasets(withDatasetSuffix(definitions, "_x"))].sort(), [".a_x", ".far_x", ".m_x"]);
    assert.deepEqual([...writtenDatasets(definitions)].sort(), before);
  });
});
