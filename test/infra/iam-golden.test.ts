/** What the account of each kind of definition may do, with every reason, as it is committed: whoever widens one sees it in the review. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import {
  alert,
  asset,
  assetCheck,
  bigquery,
  bigqueryTable,
  check,
  daily,
  externalAsset,
  gcs,
  Interval,
  intervalGcsImportAsset,
  ioManager,
  job,
  objectSensor,
  observableSource,
  pool,
  pubsubTopic,
  resource,
  secret,
  skip,
  SourceMode,
  sql,
  sqlAsset,
  webhook,
} from "../../lib/index.ts";
import { bindingLine, compiled, definitionsOf } from "../support/infra.ts";
import { ROOT } from "../support/tree.ts";

const FOLDER = "test/infra/golden/iam";
const nothing = async (): Promise<void> => undefined;
const schema = z.object({ a: z.string() });

const orders = {
  keyPrefix: "shop",
  name: "orders",
  bucketName: "drops",
  pathBase: "orders",
  fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/o\.csv`,
  destinationTable: "orders",
  rawDatasetName: "shop_raw",
  cleanDatasetName: "shop",
  interval: Interval.Daily,
  retentionDays: 10,
  format: "CSV",
} as const;
const imported = intervalGcsImportAsset({ ...orders, mode: SourceMode.Incremental });
/** Keeps raw tables, which go with the files. */
const replaced = intervalGcsImportAsset({ ...orders, mode: SourceMode.Overwrite });
const up = asset({ key: "up/people", schema, ioManager: bigqueryTable(), materialize: async () => [] });
const stored = ioManager({
  name: "books",
  needs: [{ kind: "write-dataset", dataset: "books", reason: "keeps rows in it" }],
  resources: { token: secret("books_token"), files: gcs.write("gs://library/books") },
  write: async () => null,
  read: async function* () {},
});
const shelf = asset({ key: "lib/shelf", schema, ioManager: stored, materialize: async () => [] });
const rates = externalAsset({
  key: "crm/rates",
  table: "their-project.crm.rates",
  checks: [check.rowCount({ min: 1 }, { blocking: false })],
});
const seen = observableSource({
  key: "crm/seen",
  table: "crm.seen",
  resources: { bigquery: bigquery() },
  observe: async () => undefined,
});
const base = sqlAsset({ key: "base/rows", sql: sql`SELECT 1 AS a` });
const view = sqlAsset({ key: "shown/rows", materialization: "view", sql: sql`SELECT a FROM ${base}` });
const heavy = pool({ name: "heavy", limit: 2 });

type Files = Parameters<typeof definitionsOf>[0];
type Kind = readonly [name: string, files: Files, accounts?: readonly string[]];

const kinds: readonly Kind[] = [
  ["incremental-import", { "shop.ts": { imported } }],
  [
    "pathway-1",
    {
      "up.ts": { up },
      "passing.ts": {
        passing: asset({
          key: "own/passing",
          partitions: daily({ start: "2024-05-01" }),
          deps: [up],
          resources: { bigquery: bigquery() },
          materialize: nothing,
        }),
      },
    },
    ["asset-own-passing"],
  ],
  [
    "rows-with-inputs",
    {
      "up.ts": { up, rates },
      "rows.ts": {
        rows: asset({
          key: "own/rows",
          schema,
          inputs: { up, rates },
          resources: { files: gcs.read("gs://lists/people/") },
          ioManager: bigqueryTable(),
          materialize: async () => [],
        }),
      },
    },
    ["asset-own-rows"],
  ],
  [
    "custom-io-manager",
    { "shelf.ts": { shelf }, "r.ts": { r: asset({ key: "own/r", inputs: { shelf }, materialize: nothing }) } },
  ],
  ["external-with-a-check", { "rates.ts": { rates } }],
  ["source-with-a-table", { "seen.ts": { seen } }],
  [
    "a-view-and-its-reader",
    {
      "base.ts": { base },
      "view.ts": { view },
      "reader.ts": { reader: sqlAsset({ key: "own/reader", sql: sql`SELECT a FROM ${view}` }) },
    },
    ["asset-shown-rows", "asset-own-reader"],
  ],
  [
    "a-check-of-another-file",
    {
      "up.ts": { up },
      "checks.ts": {
        outside: assetCheck({
          asset: up,
          name: "outside",
          resources: { token: secret("judge"), list: gcs.read("gs://lists/allowed.txt") },
          evaluate: () => ({ passed: true }),
        }),
      },
    },
  ],
  [
    "clean-up-by-an-asset-and-a-sensor",
    {
      "shop.ts": { replaced },
      "tidy.ts": {
        tidy: asset({
          key: "own/tidy",
          resources: { old: gcs.delete("gs://drops/orders", replaced.asset) },
          materialize: nothing,
        }),
        eye: objectSensor({
          name: "eye",
          bucket: "drops",
          target: { key: "own/tidy" },
          resources: { old: gcs.delete("gs://drops/orders", replaced.asset) },
          evaluate: () => skip("no"),
        }),
      },
    },
    ["asset-own-tidy", "sensor-eye"],
  ],
  [
    "a-job-with-needs-of-its-own",
    {
      "job.ts": {
        report: job({
          name: "report",
          resources: {
            bigquery: bigquery(),
            tables: resource({
              needs: [{ kind: "read-dataset", dataset: "shop", reason: "reports of it" }, ...secret("mail").needs],
              create: () => 1,
            }),
          },
          run: nothing,
        }),
      },
    },
  ],
  ["a-pool", { "pooled.ts": { heavy, pooled: asset({ key: "own/pooled", pool: heavy, materialize: nothing }) } }],
  [
    "alerts",
    {
      "alerts.ts": {
        one: asset({ key: "own/one", materialize: nothing }),
        chat: alert({ on: ["run.failed"], to: webhook({ url: secret("chat_url") }) }),
        calls: alert({ on: ["check.failed"], to: pubsubTopic("pager") }),
      },
    },
    ["asset-own-one", "sluice-reconcile"],
  ],
];

/** One account after the other, without what Sluice's own and Google's have in every deployment. */
function grantsOf([, files, shown]: Kind): string {
  const { manifest, problems } = compiled(definitionsOf(files), { accounts: "asset" });
  assert.deepEqual(problems, []);
  const isOwn = (account: string): boolean => shown?.includes(account) ?? /^(asset|job|sensor)-/.test(account);
  const grants = [...manifest.bindings, ...manifest.foreignBindings].map((binding) => {
    const [account = "", ...rest] = bindingLine(binding).split(" ");
    return { account, text: [`  ${rest.join(" ")}`, ...binding.reasons.map((reason) => `      ${reason}`)].join("\n") };
  });
  const accounts = [...new Set(grants.map(({ account }) => account))].filter(isOwn).sort();
  const blocks = accounts.map((name) =>
    [name, ...grants.flatMap(({ account, text }) => (account === name ? [text] : [])).sort()].join("\n"),
  );
  return `${blocks.join("\n\n")}\n`;
}

for (const kind of kinds) {
  const [name] = kind;
  test(`the grants of ${name.replaceAll("-", " ")} are the committed ones`, () => {
    const file = join(ROOT, FOLDER, `${name}.txt`);
    const text = grantsOf(kind);
    if (process.env["GOLDEN"] === "write") writeFileSync(file, text);
    assert.equal(
      existsSync(file) ? readFileSync(file, "utf8") : "",
      text,
      `${FOLDER}/${name}.txt is out of date: run GOLDEN=write node --test test/infra/iam-golden.test.ts, and review it`,
    );
  });
}

test("every committed list of grants belongs to a kind", () => {
  assert.deepEqual(readdirSync(join(ROOT, FOLDER)).sort(), kinds.map(([name]) => `${name}.txt`).sort());
});
