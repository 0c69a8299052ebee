/** The bindings of each kind of asset, job and sensor, in full: whatever is added here can be done by somebody who takes it over. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import {
  asset,
  assetSensor,
  bigquery,
  bigqueryTable,
  eager,
  externalAsset,
  gcs,
  intervalGcsImportAsset,
  Interval,
  job,
  multiAsset,
  objectSensor,
  observableSource,
  parquetFiles,
  resource,
  secret,
  skip,
  SourceMode,
  sql,
  sqlAsset,
} from "../../lib/index.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { bindingLine, compiled, definitionsOf } from "../support/infra.ts";

const nothing = async (): Promise<void> => undefined;
const schema = z.object({ a: z.string() });
const STAGING = "bucket:own-project-sluice-staging";

/** What every function's account has, beside what its needs say. */
const ALWAYS = [
  `cloudtasks.enqueuer queue:sluice`,
  `datastore.user project:own-project [the database (default)]`,
  `iam.serviceAccountUser account:sluice-tasks`,
  `storage.legacyBucketReader ${STAGING}`,
  `storage.objectUser ${STAGING} [below manifests/]`,
];

function rightsOf(account: string, definitions: Definitions, fields = {}): readonly string[] {
  const { manifest, problems } = compiled(definitions, fields);
  assert.deepEqual(problems, []);
  const lines = [...manifest.bindings, ...manifest.foreignBindings].map(bindingLine);
  const own = lines.filter((line) => line.startsWith(`${account} `)).map((line) => line.slice(account.length + 1));
  for (const always of ALWAYS) assert.ok(own.includes(always), `${account} lacks ${always}`);
  return own.filter((line) => !ALWAYS.includes(line)).sort();
}

const topics = (...names: readonly string[]): string[] =>
  names.flatMap((name) => [`pubsub.publisher topic:asset.${name}`, `pubsub.publisher topic:materialized.${name}`]);

describe("least privilege", () => {
  test("an import from a bucket", () => {
    const scores = intervalGcsImportAsset({
      keyPrefix: "g",
      name: "scores",
      bucketName: "drops",
      pathBase: "passport",
      fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/s\.parquet`,
      destinationTable: "scores",
      rawDatasetName: "raw",
      cleanDatasetName: "g",
      interval: Interval.Daily,
      mode: SourceMode.Overwrite,
      retentionDays: 10,
      format: "PARQUET",
    });
    const definitions = definitionsOf({ "grants.ts": { scores } });
    const common = ["bigquery.dataEditor dataset:raw", "storage.legacyBucketReader bucket:drops"];
    assert.deepEqual(
      rightsOf("asset-g-scores", definitions, { accounts: "asset" }),
      [
        ...common,
        "bigquery.dataOwner dataset:g",
        "bigquery.jobUser project:own-project",
        ...topics("g.scores"),
        "pubsub.publisher topic:job.scores_clean_up_job",
        "pubsub.publisher topic:sensor.scores_clean_up_sensor",
        "storage.objectViewer bucket:drops [below passport]",
      ].sort(),
    );
    assert.deepEqual(
      rightsOf("job-scores-clean-up-job", definitions, { accounts: "asset" }),
      [
        ...common,
        "pubsub.publisher topic:job.scores_clean_up_job",
        "storage.objectUser bucket:drops [below passport]",
      ].sort(),
    );
    // Together they may do what each may, and what deletes need not be said to read.
    const { manifest } = compiled(definitions);
    const condition = manifest.bindings.find(
      (binding) => bindingLine(binding) === "fn-grants storage.objectUser bucket:drops [below passport]",
    );
    assert.equal(
      condition?.condition?.expression,
      'resource.name == "projects/_/buckets/drops/objects/passport" || resource.name.startsWith("projects/_/buckets/drops/objects/passport/")',
    );
    assert.ok(!manifest.bindings.some((binding) => bindingLine(binding).startsWith("fn-grants storage.objectViewer")));
  });

  test("a statement reads what it refers to, and no more, wherever that is", () => {
    const rates = externalAsset({ key: "crm/rates", table: "other-project.crm.rates" });
    const up = sqlAsset({ key: "a/up", sql: sql`SELECT 1 AS a` });
    const down = sqlAsset({
      key: "b/down",
      sql: sql`SELECT * FROM ${up} JOIN ${rates} USING (a)`,
      automation: eager(),
    });
    const definitions = definitionsOf({ "up.ts": { up }, "down.ts": { down, rates } });
    assert.deepEqual(
      rightsOf("fn-down", definitions, { accounts: "file" }),
      [
        "bigquery.dataOwner dataset:b",
        "bigquery.dataViewer dataset:a",
        "bigquery.dataViewer dataset:other-project.crm",
        "bigquery.jobUser project:own-project",
        ...topics("b.down", "crm.rates"),
      ].sort(),
    );
    const { manifest } = compiled(definitions);
    assert.deepEqual(manifest.foreignBindings.map(bindingLine), [
      "fn-down bigquery.dataViewer dataset:other-project.crm",
    ]);
    assert.deepEqual(
      manifest.datasets.map(({ name }) => name),
      ["a", "b"],
    );
  });

  test("rows in a table are staged below the asset's own prefix", () => {
    const rows = asset({
      key: "a/rows",
      schema,
      ioManager: bigqueryTable(),
      resources: { token: secret("t") },
      materialize: async () => [],
    });
    assert.deepEqual(
      rightsOf("fn-shop", definitionsOf({ "shop.ts": { rows } })),
      [
        "bigquery.dataOwner dataset:a",
        "bigquery.jobUser project:own-project",
        ...topics("a.rows"),
        "secretmanager.secretAccessor secret:t",
        `storage.objectUser ${STAGING} [below a/rows/]`,
      ].sort(),
    );
  });

  test("whoever replaces tables sees their row policies, and whoever adds to them, or only stages, may not", () => {
    const rows = sql`SELECT 1 AS a`;
    const apart = { table: { dataset: "x", table: "all" }, slot: "table", stagingDataset: "x_raw" } as const;
    const all = asset({ key: "x/all", resources: { bq: bigquery() }, target: apart, materialize: nothing });
    const definitions = definitionsOf({
      "replaces.ts": { all },
      "merges.ts": { some: sqlAsset({ key: "x/some", sql: rows, materialization: { merge: ["a"] } }) },
      "appends.ts": { log: sqlAsset({ key: "x/log", sql: rows, materialization: "append" }) },
      "shows.ts": { view: sqlAsset({ key: "x/view", sql: rows, materialization: "view" }) },
      "both.ts": {
        one: sqlAsset({ key: "y/one", sql: rows }),
        two: sqlAsset({ key: "y/two", sql: rows, materialization: "append" }),
        three: sqlAsset({ key: "z/three", sql: sql`SELECT * FROM ${all}` }),
      },
    });
    const { manifest, problems } = compiled(definitions, { accounts: "file" });
    assert.deepEqual(problems, []);
    const datasets = manifest.bindings.filter(({ resource }) => resource.kind === "dataset");
    assert.deepEqual(datasets.map(bindingLine).sort(), [
      "fn-appends bigquery.dataEditor dataset:x",
      "fn-both bigquery.dataOwner dataset:y",
      "fn-both bigquery.dataOwner dataset:z",
      "fn-both bigquery.dataViewer dataset:x",
      "fn-merges bigquery.dataEditor dataset:x",
      "fn-replaces bigquery.dataEditor dataset:x_raw",
      "fn-replaces bigquery.dataOwner dataset:x",
      "fn-shows bigquery.dataEditor dataset:x",
      "sluice-reconcile bigquery.dataEditor dataset:x_raw",
    ]);
    assert.deepEqual(
      datasets.find((binding) => bindingLine(binding) === "fn-replaces bigquery.dataOwner dataset:x")?.reasons,
      ["x/all is published in it, after a look for row policies"],
    );
  });

  test("rows in files are read by their readers below the writer's prefix", () => {
    const kept = asset({
      key: "a/kept",
      schema,
      ioManager: parquetFiles({ location: "gs://lake/x" }),
      materialize: async () => [],
    });
    const reader = asset({ key: "a/reader", inputs: { kept }, materialize: nothing });
    const definitions = definitionsOf({ "kept.ts": { kept }, "reader.ts": { reader } });
    assert.deepEqual(
      rightsOf("fn-kept", definitions),
      [
        ...topics("a.kept"),
        "storage.legacyBucketReader bucket:lake",
        "storage.objectUser bucket:lake [below x/a/kept/]",
      ].sort(),
    );
    assert.deepEqual(
      rightsOf("fn-reader", definitions),
      [
        ...topics("a.reader"),
        "storage.legacyBucketReader bucket:lake",
        "storage.objectViewer bucket:lake [below x/a/kept/]",
      ].sort(),
    );
  });

  test("outputs that are made together, with their job", () => {
    const both = multiAsset({
      name: "both",
      assets: {
        one: { key: "m/one", schema, ioManager: bigqueryTable() },
        two: { key: "m/two", schema, ioManager: bigqueryTable() },
      },
      materialize: async () => [],
    });
    assert.deepEqual(
      rightsOf("fn-multi", definitionsOf({ "multi.ts": { both } })),
      [
        "bigquery.dataOwner dataset:m",
        "bigquery.jobUser project:own-project",
        ...topics("m.one", "m.two"),
        "pubsub.publisher topic:job.both",
        `storage.objectUser ${STAGING} [below m/one/]`,
        `storage.objectUser ${STAGING} [below m/two/]`,
        `storage.objectUser ${STAGING} [below multi.both/]`,
      ].sort(),
    );
  });

  test("a source is looked at by what depends on it in its own file, with its rights", () => {
    const page = observableSource({
      key: "web/page",
      resources: { token: secret("web") },
      observe: async () => ({ dataVersion: "1" }),
    });
    const near = asset({ key: "a/near", deps: [page], materialize: nothing });
    const far = asset({ key: "a/far", deps: ["web/page"], materialize: nothing });
    const definitions = definitionsOf({ "web.ts": { page, near }, "far.ts": { far } });
    assert.deepEqual(
      rightsOf("asset-a-near", definitions, { accounts: "asset" }),
      [...topics("a.near", "web.page"), "secretmanager.secretAccessor secret:web"].sort(),
    );
    assert.deepEqual(rightsOf("asset-a-far", definitions, { accounts: "asset" }), topics("a.far"));
    const { manifest } = compiled(definitions, { accounts: "asset" });
    const secretsOf = (unit: string) => manifest.functions.find((made) => made.unit === unit)?.secrets;
    assert.deepEqual(["asset a/near", "asset a/far"].map(secretsOf), [["web"], []]);
  });

  test("sensors and routers publish to what they ask, and touch nothing else", () => {
    const tidy = job({ name: "tidy", resources: { files: gcs.write("gs://lake") }, run: nothing });
    const made = asset({ key: "a/made", materialize: nothing });
    const eye = objectSensor({ name: "eye", bucket: "drops", job: tidy, evaluate: () => skip("no") });
    const ear = assetSensor({ name: "ear", asset: made, target: made, evaluate: () => skip("no") });
    const definitions = definitionsOf({ "a.ts": { made }, "eye.ts": { eye }, "ear.ts": { ear }, "tidy.ts": { tidy } });
    assert.deepEqual(rightsOf("fn-eye", definitions), [
      "pubsub.publisher topic:job.tidy",
      "pubsub.publisher topic:sensor.eye",
    ]);
    assert.deepEqual(rightsOf("fn-ear", definitions), [
      "pubsub.publisher topic:asset.a.made",
      "pubsub.publisher topic:sensor.ear",
    ]);
    // All of a bucket needs no condition, and whoever may change it need not be told that it may list.
    assert.deepEqual(rightsOf("fn-tidy", definitions), [
      "pubsub.publisher topic:job.tidy",
      "storage.objectUser bucket:lake",
    ]);
    const { manifest } = compiled(definitions);
    const own = manifest.bindings.map(bindingLine).filter((line) => line.startsWith("sluice-router "));
    assert.deepEqual(own, [
      `sluice-router storage.legacyBucketReader ${STAGING}`,
      `sluice-router storage.objectUser ${STAGING} [below manifests/]`,
      "sluice-router datastore.user project:own-project [the database (default)]",
      "sluice-router pubsub.publisher topic:sensor.eye",
    ]);
    const reconcile = manifest.bindings.map(bindingLine).filter((line) => line.startsWith("sluice-reconcile "));
    assert.deepEqual(reconcile.sort(), [
      "sluice-reconcile datastore.user project:own-project [the database (default)]",
      ...["asset.a.made", "bucket.drops", "job.tidy", "sensor.ear", "sensor.eye"].map(
        (topic) => `sluice-reconcile pubsub.publisher topic:${topic}`,
      ),
      "sluice-reconcile storage.legacyBucketReader bucket:drops",
      `sluice-reconcile storage.objectUser ${STAGING}`,
    ]);
  });

  test("only the push account may call functions, and nobody else may do anything", () => {
    const one = asset({ key: "a/one", materialize: nothing });
    const { manifest } = compiled(definitionsOf({ "a.ts": { one } }));
    const invokers = manifest.bindings.filter(({ role }) => role === "roles/run.invoker").map(bindingLine);
    assert.deepEqual(invokers, [
      "sluice-push run.invoker function:asset-a-one",
      "sluice-push run.invoker function:reconcile",
    ]);
    assert.deepEqual([...new Set(manifest.functions.map(({ ingress }) => ingress))], ["internal-only"]);
    assert.ok(!JSON.stringify(manifest).includes("allUsers"));
    const known = new Set(manifest.accounts.map(({ email }) => `serviceAccount:${email}`));
    for (const { member, reasons } of manifest.bindings) {
      assert.ok(known.has(member) || member.startsWith("serviceAccount:service-{number:own-project}@"), member);
      assert.ok(reasons.length > 0);
    }
  });

  test("the agents of Google's services get what dead letters and notifications take", () => {
    const eye = objectSensor({ name: "eye", bucket: "drops", target: { key: "a/one" }, evaluate: () => skip("no") });
    const one = asset({ key: "a/one", materialize: nothing });
    const { manifest } = compiled(definitionsOf({ "a.ts": { one, eye } }), {
      buckets: { drops: { project: "their-project" } },
    });
    const agents = manifest.bindings.map(bindingLine).filter((line) => line.startsWith("service-"));
    const pubsub = "service-{number:own-project}@gcp-sa-pubsub.iam.gserviceaccount.com";
    assert.deepEqual(agents.sort(), [
      `${pubsub} iam.serviceAccountTokenCreator account:sluice-push`,
      `${pubsub} pubsub.publisher topic:dead-letters`,
      ...["asset.a.one", "bucket.drops", "sensor.eye"].map(
        (name) => `${pubsub} pubsub.subscriber subscription:${name}`,
      ),
      "service-{number:their-project}@gs-project-accounts.iam.gserviceaccount.com pubsub.publisher topic:bucket.drops",
    ]);
    assert.deepEqual(manifest.foreignBindings.map(bindingLine), [
      "sluice-reconcile storage.legacyBucketReader bucket:their-project.drops",
    ]);
  });

  test("an environment beside another one changes nothing that they share", () => {
    const tidy = job({ name: "tidy", resources: { files: gcs.write("gs://lake/x") }, run: nothing });
    const definitions = definitionsOf({ "tidy.ts": { tidy } });
    const beside = { namePrefix: "dev-", datasetSuffix: "_dev" };
    const { manifest } = compiled(definitions, beside);
    assert.deepEqual(
      manifest.withheld.map(({ unit, access }) => [unit, access]),
      [
        ["job tidy", "delete-objects gs://lake/x"],
        ["job tidy", "write-objects gs://lake/x"],
      ],
    );
    const lines = manifest.bindings.map(bindingLine).filter((line) => line.includes("bucket:lake"));
    assert.deepEqual(lines, [
      "dev-fn-tidy storage.legacyBucketReader bucket:lake",
      "dev-fn-tidy storage.objectViewer bucket:lake [below x]",
    ]);
    const own = compiled(definitions, { ...beside, buckets: { lake: { writable: true } } }).manifest;
    assert.deepEqual(own.withheld, []);
    assert.ok(own.bindings.map(bindingLine).includes("dev-fn-tidy storage.objectUser bucket:lake [below x]"));
  });

  test("one account for a file, for each of its definitions, or for a group", () => {
    const one = asset({ key: "a/one", group: "money", materialize: nothing });
    const two = asset({ key: "a/two", materialize: nothing });
    const definitions = definitionsOf({ "crm/a.ts": { one, two } });
    const accountsFor = (accounts: string) =>
      compiled(definitions, { accounts }).manifest.functions.map(({ serviceAccount }) => serviceAccount.split("@")[0]);
    assert.deepEqual(accountsFor("file"), ["fn-crm-a", "fn-crm-a", "sluice-reconcile"]);
    assert.deepEqual(accountsFor("asset"), ["asset-a-one", "asset-a-two", "sluice-reconcile"]);
    assert.deepEqual(accountsFor("group"), ["group-money", "fn-crm-a", "sluice-reconcile"]);
  });

  test("what code declares by hand is granted as it is declared", () => {
    const needs = [
      { kind: "write-dataset", dataset: "elsewhere", reason: "keeps a log" },
      { kind: "publish", topic: "asset.a.one", reason: "asks" },
    ] as const;
    const one = asset({
      key: "a/one",
      resources: { log: resource({ needs, create: () => 1 }), bq: bigquery() },
      target: "none",
      materialize: nothing,
    });
    const { manifest } = compiled(definitionsOf({ "acme.ts": { one } }));
    const lines = manifest.bindings.map(bindingLine);
    assert.ok(lines.includes("fn-acme bigquery.dataEditor dataset:elsewhere"));
    assert.deepEqual(manifest.datasets, [{ name: "elsewhere", location: "EU", reasons: ["keeps a log"] }]);
  });
});
