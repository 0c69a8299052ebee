/** What becomes of definitions that somebody runs from a desk: only datasets of that person's own are written. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { subscriptionsOf } from "../../lib/core/subscriptions.ts";
import { personalPrefix, redirect } from "../../lib/core/redirect.ts";
import {
  asset,
  assetCheck,
  bigquery,
  bigqueryTable,
  check,
  daily,
  eager,
  gcs,
  Interval,
  intervalGcsImportAsset,
  ioManager,
  multiAsset,
  observableSource,
  parquetFiles,
  resource,
  SourceMode,
  sql,
  sqlAsset,
} from "../../lib/index.ts";

const schema = z.object({ address: z.string() });

const scores = intervalGcsImportAsset({
  keyPrefix: "demo",
  name: "scores",
  bucketName: "drops",
  pathBase: "scores",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.json`,
  destinationTable: "scores",
  rawDatasetName: "demo_raw",
  cleanDatasetName: "demo",
  interval: Interval.Daily,
  mode: SourceMode.Overwrite,
  retentionDays: 5,
  format: "NEWLINE_DELIMITED_JSON",
});
const high = sqlAsset({ key: "demo/high", automation: eager(), sql: sql`SELECT * FROM ${scores.asset}` });
const top = sqlAsset({ key: "demo/top", sql: sql`SELECT * FROM ${high}` });
const abroad = sqlAsset({
  key: "demo/abroad",
  target: "far-away.x.y",
  sql: sql`SELECT 1 AS a`,
});
const rows = asset({ key: "demo/rows", inputs: { high }, schema, ioManager: bigqueryTable(), materialize: () => [] });
const both = multiAsset({
  name: "both",
  assets: {
    a: { key: "m/a", schema, ioManager: bigqueryTable() },
    b: { key: "n/b", schema, ioManager: bigqueryTable() },
  },
  materialize: () => [],
});
const files = asset({
  key: "demo/files",
  schema,
  ioManager: parquetFiles({ location: "gs://lake/x" }),
  materialize: () => [],
});
const custom = asset({
  key: "demo/custom",
  schema,
  ioManager: ioManager({ name: "mine", write: async () => 1, async *read() {} }),
  materialize: () => [],
});
const fromFiles = asset({
  key: "demo/from_files",
  inputs: { files },
  resources: { b: bigquery() },
  async materialize() {},
});
const afterFiles = asset({
  key: "demo/after_files",
  deps: [files],
  resources: { b: bigquery() },
  async materialize() {},
});
const writer = asset({ key: "demo/writer", resources: { out: gcs.write("gs://out/x") }, async materialize() {} });
const crm = asset({
  key: "demo/crm",
  resources: {
    x: resource({ needs: [{ kind: "write-dataset", dataset: "crm", reason: "updates it" }], create: () => 1 }),
  },
  async materialize() {},
});
const seen = observableSource({ key: "web/seen", observe: async () => ({ dataVersion: "1" }) });
const follower = sqlAsset({ key: "demo/follower", deps: [seen], sql: sql`SELECT 1 AS a` });
const extra = assetCheck({ asset: high, name: "extra", blocking: true, sql: sql`SELECT 1 FROM ${high}` });
const more = assetCheck({
  asset: scores.asset,
  name: "more",
  blocking: false,
  sql: sql`SELECT 1 FROM ${scores.asset}`,
});

const { definitions, problems } = collectDefinitions([
  {
    file: "functions/all.ts",
    exports: {
      scores,
      high,
      top,
      abroad,
      rows,
      both,
      files,
      custom,
      fromFiles,
      afterFiles,
      writer,
      crm,
      seen,
      follower,
      extra,
      more,
    },
  },
]);
assert.deepEqual(problems, []);

const PREFIX = "dev_ann_";
const chosen = (...keys: readonly string[]): ReturnType<typeof redirect> =>
  redirect(definitions, new Set(keys), PREFIX);

/** Every dataset that anything in these definitions could write. */
function writable({ assets, jobs, sensors }: Definitions): readonly string[] {
  const all = [...assets.values(), ...[...jobs.values()].flatMap(({ multi }) => Object.values(multi?.outputs ?? {}))];
  const targets = all.flatMap(({ external, target }) =>
    external === true || target === undefined
      ? []
      : [target.table.dataset, target.stagingDataset ?? target.table.dataset],
  );
  assert.equal(sensors.size, 0);
  return [...new Set(targets)].sort();
}

describe("personalPrefix", () => {
  for (const [user, prefix] of [
    ["ann", "dev_ann_"],
    ["Ann.O'Hara", "dev_ann_o_hara_"],
    ["DOMAIN\\ann", "dev_domain_ann_"],
    ["Zoë-1", "dev_zoe_1_"],
    ["__x__", "dev_x_"],
  ] as const)
    test(`${user} → ${prefix}`, () => assert.equal(personalPrefix("dev", user), prefix));
  for (const user of ["", "!!", "_"])
    test(`${JSON.stringify(user)} is refused`, () => assert.throws(() => personalPrefix("dev", user), DefinitionError));
});

describe("redirect", () => {
  for (const [keys, datasets, foreign, stages] of [
    [["demo/scores"], ["dev_ann_demo", "dev_ann_demo_raw"], [], false],
    [["demo/high"], ["dev_ann_demo"], ["demo/scores"], false],
    [["demo/high", "demo/scores"], ["dev_ann_demo", "dev_ann_demo_raw"], [], false],
    [["demo/top"], ["dev_ann_demo"], ["demo/high"], false],
    [["demo/abroad"], ["dev_ann_x"], [], false],
    [["demo/rows"], ["dev_ann_demo"], ["demo/high"], true],
    [["m/a", "n/b"], ["dev_ann_m", "dev_ann_n"], [], true],
    [["demo/after_files"], ["dev_ann_demo"], ["demo/files"], false],
    [["demo/follower"], ["dev_ann_demo"], [], false],
  ] as const)
    test(`${keys.join(" + ")} writes ${datasets.join(", ")}`, () => {
      const found = chosen(...keys);
      assert.deepEqual(found.datasets, datasets);
      assert.deepEqual(
        found.foreign.map(({ key }) => key),
        foreign,
      );
      assert.equal(found.stages, stages);
      assert.deepEqual(writable(found.definitions), datasets);
      for (const asset of found.definitions.assets.values()) {
        assert.equal(asset.automation, undefined, "nothing starts by itself");
        for (const need of asset.needs)
          if (need.kind === "write-dataset") assert.ok(need.dataset.startsWith(PREFIX), JSON.stringify(need));
      }
    });

  for (const [key, message] of [
    ["demo/files", /demo\/files writes gs:\/\/lake\/x\/demo\/files\/ .*only tables in datasets of your own/],
    ["demo/custom", /demo\/custom keeps its rows by the I\/O manager mine/],
    ["demo/from_files", /demo\/from_files reads demo\/files, whose I\/O manager keeps rows in no table/],
    ["demo/writer", /demo\/writer writes gs:\/\/out\/x/],
    ["demo/crm", /demo\/crm writes the dataset crm \(updates it\)/],
  ] as const)
    test(`${key} is refused`, () => assert.throws(() => chosen(key), { name: "DefinitionError", message }));

  test("the tables change their dataset, and lose a project of their own; the upstream's stays", () => {
    const { assets } = chosen("demo/high", "demo/abroad").definitions;
    assert.deepEqual(assets.get("demo/high")?.target?.table, { dataset: "dev_ann_demo", table: "high" });
    assert.deepEqual(assets.get("demo/abroad")?.target?.table, { dataset: "dev_ann_x", table: "y" });
    const upstream = assets.get("demo/scores");
    assert.deepEqual(upstream?.target?.table.dataset, "demo");
    assert.deepEqual([upstream.external, upstream.foreign, upstream.deps, upstream.checks], [true, true, [], []]);
    assert.equal(assets.has("demo/top"), false);
  });

  test("nothing is asked of what is only read, and nothing starts by itself", () => {
    const topics = subscriptionsOf(chosen("demo/high", "demo/rows").definitions).map(({ topic }) => topic);
    assert.deepEqual(topics.sort(), ["asset.demo.high", "asset.demo.rows"]);
  });

  test("checks of what is chosen stay, of what is read go", () => {
    const { checks } = chosen("demo/high").definitions;
    assert.deepEqual(
      checks.map(({ name }) => name),
      ["extra"],
    );
    assert.ok(check.unique("address").blocking);
  });

  test("a source that code looks at is looked at", () => {
    const upstream = chosen("demo/follower").definitions.assets.get("web/seen");
    assert.ok(upstream?.observe !== undefined);
    assert.equal(upstream.foreign, undefined);
  });

  test("the job of a multi-asset stays, with redirected outputs; all others go", () => {
    const { jobs } = chosen("m/a", "n/b", "demo/scores").definitions;
    assert.deepEqual([...jobs.keys()], ["both"]);
    assert.deepEqual(
      Object.values(jobs.get("both")?.multi?.outputs ?? {}).map(({ target }) => target?.table.dataset),
      ["dev_ann_m", "dev_ann_n"],
    );
  });

  test("the definitions that are redirected stay as they were", () => {
    const before = JSON.stringify([...definitions.assets]);
    chosen("demo/scores", "demo/high");
    assert.equal(JSON.stringify([...definitions.assets]), before);
  });

  test("a partitioned asset keeps its partitions", () => {
    const parts = sqlAsset({ key: "a/b", partitions: daily({ start: "2024-05-01" }), sql: sql`SELECT 1 AS a` });
    const own = collectDefinitions([{ file: "functions/x.ts", exports: { parts } }]).definitions;
    const { target, partitions } = redirect(own, new Set(["a/b"]), PREFIX).definitions.assets.get("a/b") ?? {};
    assert.deepEqual([target?.slot, target?.partitioning, partitions?.kind], ["partition", { type: "DAY" }, "time"]);
  });
});
