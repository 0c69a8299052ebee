/** A factory as an author writes one: its types are the test as much as what it makes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asset,
  assetCheck,
  assetSensor,
  bigquery,
  combineResponses,
  daily,
  gcs,
  job,
  skip,
  sql,
  timePartitions,
} from "sluice";
import type { AssetFactoryResponse, Interval } from "sluice";
import { z } from "zod";
import { collectDefinitions } from "../../lib/core/collect.ts";

interface Drop {
  /** The key's first segments: one, or several. */
  readonly prefix: string | readonly string[];
  readonly name: string;
  readonly bucket: string;
  readonly folder: string;
  readonly interval: Interval;
  readonly keepDays: number;
  readonly asset?: { readonly owners?: readonly string[] };
}

function droppedFiles(drop: Drop) {
  const place = `gs://${drop.bucket}/${drop.folder}` as const;
  const loaded = asset({
    ...drop.asset,
    key: [drop.prefix, drop.name],
    partitions: timePartitions(drop.interval),
    resources: { bigquery: bigquery(), files: gcs.read(place) },
    async materialize({ partition }, { bigquery: warehouse }) {
      const { rows } = await warehouse.load({ format: "CSV", uris: [`${place}/${partition.key}.csv`] });
      return { metadata: { rows } };
    },
  });
  const forget = job({
    name: `${drop.name}_forget`,
    resources: { files: gcs.delete(place, loaded) },
    config: z.strictObject({ before: z.iso.date(), dryRun: z.boolean().default(false) }),
    async run({ config }, { files }) {
      const { deleted } = await files.deleteLoaded(config);
      return { deleted: deleted.length };
    },
  });
  const tellForget = assetSensor({
    name: `${drop.name}_forget_sensor`,
    asset: loaded,
    job: forget,
    defaultStatus: "stopped",
    evaluate(_context, { partition, materializationId }) {
      if (partition.start === undefined) return skip("no day");
      const before = new Date(partition.start - drop.keepDays * 86_400_000).toISOString().slice(0, 10);
      return { runKey: materializationId, config: { before } };
    },
  });
  const notEmpty = assetCheck({
    asset: loaded,
    name: "not_empty",
    blocking: true,
    sql: sql`SELECT 1 FROM (SELECT COUNT(*) AS n FROM ${loaded}) WHERE n = 0`,
  });
  return {
    asset: loaded,
    assets: [loaded],
    sensors: [tellForget],
    jobs: [forget],
    checks: [notEmpty],
  } satisfies AssetFactoryResponse;
}

const drop: Drop = { prefix: "shop", name: "sales", bucket: "drops", folder: "sales", interval: "daily", keepDays: 7 };

test("a factory's response is taken apart, and its asset can be named by others", () => {
  const sales = droppedFiles({ ...drop, asset: { owners: ["shop@example.org"] } });
  const report = asset({ key: "shop/report", partitions: daily(), deps: [sales.asset], materialize: async () => {} });
  const { definitions, problems } = collectDefinitions([{ file: "functions/shop.ts", exports: { sales, report } }]);
  assert.deepEqual(problems, []);
  assert.deepEqual([...definitions.assets.keys()], ["shop/sales", "shop/report"]);
  assert.deepEqual(definitions.assets.get("shop/sales")?.owners, ["shop@example.org"]);
  assert.deepEqual([...definitions.jobs.keys()], ["sales_forget"]);
  assert.deepEqual(definitions.graph.depsOf("shop/report"), ["shop/sales"]);
});

test("a list of segments is as good as one", () => {
  assert.equal(droppedFiles({ ...drop, prefix: ["shop", "north"] }).asset.key, "shop/north/sales");
});

test("the asset of a response counts, named among the others or not", () => {
  const { asset: one } = droppedFiles(drop);
  const response: AssetFactoryResponse = { asset: one, assets: [] };
  const { definitions } = collectDefinitions([{ file: "functions/shop.ts", exports: { response } }]);
  assert.deepEqual([...definitions.assets.keys()], ["shop/sales"]);
  assert.deepEqual(combineResponses(response, { assets: [one] }).assets, [one]);
});

test("what is no list in a response is told, and hides nothing else", () => {
  const { asset: one } = droppedFiles(drop);
  const { definitions, problems } = collectDefinitions([
    { file: "functions/shop.ts", exports: { response: { assets: [one], sensors: { a: 1 }, jobs: "none" } } },
  ]);
  assert.deepEqual([...definitions.assets.keys()], ["shop/sales"]);
  assert.deepEqual(
    problems.map(({ message }) => message),
    [
      "the sensors of a factory response are no list, but an object",
      'the jobs of a factory response are no list, but "none"',
    ],
  );
});
