/** Assets run from one machine against real BigQuery and buckets, as a person would; the fakes stand in for the services. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PassThroughClient } from "google-auth-library";
import { bigqueryClient } from "../../lib/gcp/bigquery-client.ts";
import { bigqueryWarehouse } from "../../lib/gcp/bigquery-warehouse.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { JobSpec } from "../../lib/ports/warehouse.ts";
import { startFakeBigquery, type FakeBigquery } from "../fakes/fake-bigquery.ts";
import { fileOfUri, startFakeGcs, type FakeGcs } from "../fakes/fake-gcs.ts";
import { SCORES, temporaryProject } from "../support/sluice-command.ts";
import type { Outcome } from "../support/sluice-command.ts";

const PROJECT = "sluice-test";

const ASSETS = `
import { asset, bigquery, bigqueryTable, dependsOn, daily, externalAsset, gcs, parquetFiles, resource, sql, sqlAsset } from "sluice";
import { z } from "zod";
import { scores } from "./scores.ts";
const schema = z.object({ address: z.string(), score: z.number(), day: z.iso.date() });
export const visits = externalAsset({ key: "web/visits", table: "web.visits", partitions: daily({ start: "2024-05-01" }), schema: z.object({ who: z.string() }) });
export const high = sqlAsset({ key: "demo/high", sql: sql\`SELECT * FROM \${scores.asset} WHERE score > 15\` });
export const tiers = asset({
  key: "demo/tiers", inputs: { visits }, partitions: daily({ start: "2024-05-01" }),
  schema: z.object({ who: z.string(), loud: z.string() }), ioManager: bigqueryTable(),
  async *materialize({ row }, { visits }) { for await (const { who } of visits) yield row({ who, loud: who.toUpperCase() }); },
});
export const chain = sqlAsset({ key: "demo/chain", sql: sql\`SELECT COUNT(*) AS n FROM \${high}\` });
export const files = asset({ key: "demo/files", schema, ioManager: parquetFiles({ location: "gs://drops/files" }), materialize: () => [] });
export const reader = asset({ key: "demo/reader", inputs: { files }, schema, ioManager: bigqueryTable(), materialize: () => [] });
export const writer = asset({ key: "demo/writer", resources: { out: gcs.write("gs://drops/out") }, async materialize(_, { out }) { await out.write("out/x", [new Uint8Array([1])]); } });
export const other = asset({ key: "demo/other", resources: { x: resource({ needs: [{ kind: "write-dataset", dataset: "crm", reason: "updates crm" }], create: () => 1 }) }, async materialize() {} });
export const sly = asset({ key: "demo/sly", resources: { bigquery: bigquery() }, async materialize(_, { bigquery }) { await bigquery.run(sql\`CREATE OR REPLACE TABLE demo.scores AS SELECT 1 AS a\`); } });
`;

const project = temporaryProject({ "scores.ts": SCORES, "assets.ts": ASSETS });
let bigquery: FakeBigquery;
let gcs: FakeGcs;

before(async () => {
  gcs = await startFakeGcs({ buckets: ["drops", "mine"] });
  bigquery = await startFakeBigquery({
    project: PROJECT,
    datasets: ["demo", "demo_raw", "web", "crm"],
    resolveUri: fileOfUri(gcs),
  });
  await gcs.put("drops", "scores/2024-05-01.json", '{"address":"0x1","score":10}\n{"address":"0x2","score":20}\n');
  await change("demo.scores", "CREATE TABLE `demo.scores` AS SELECT '0x9' AS address, 99 AS score");
  for (const [day, who] of [
    ["20240501", "ann"],
    ["20240502", "bob"],
  ] as const) {
    await gcs.put("drops", `visits/${day}.json`, JSON.stringify({ who }));
    await run({
      kind: "load",
      uris: [`gs://drops/visits/${day}.json`],
      format: "NEWLINE_DELIMITED_JSON",
      destination: { dataset: "web", table: "visits" },
      partitioning: { type: "DAY" },
      partition: day,
    });
  }
  process.env["SLUICE_GCP_ENDPOINTS"] = JSON.stringify({ bigquery: bigquery.url, storage: gcs.url });
});
after(async () => {
  delete process.env["SLUICE_GCP_ENDPOINTS"];
  await project.remove();
  await bigquery.close();
  await gcs.close();
});

/** The real tables are written by somebody else. */
async function change(name: string, sql: string): Promise<void> {
  const [dataset = "", table = ""] = name.split(".");
  await run({ kind: "query", sql, writes: [{ dataset, table }] });
}

async function run(spec: JobSpec): Promise<void> {
  const client = bigqueryClient({ project: PROJECT, endpoint: bigquery.url, authClient: new PassThroughClient() });
  const { location } = bigquery;
  const warehouse = bigqueryWarehouse({
    client,
    project: PROJECT,
    location,
    clock: systemClock(),
    random: systemRandom(),
  });
  const id = `somebody-${systemRandom().id()}`;
  await warehouse.submit(id, spec, {});
  const { state, error } = await warehouse.wait(id, { timeoutMs: 240_000 });
  assert.equal(state, "succeeded", error?.message);
}

const gcp = (...args: readonly string[]): Promise<Outcome> =>
  project.sluice(
    "materialize",
    ...args,
    "--target",
    "gcp",
    "--env",
    "dev",
    "--user",
    "Ann.O",
    "--gcp-project",
    PROJECT,
  );

async function refused(outcome: Promise<Outcome>, code: number, message: RegExp): Promise<void> {
  const before = { jobs: bigquery.jobIds().length, contents: await bigquery.contents() };
  const { code: found, stderr } = await outcome;
  assert.match(stderr, message);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  assert.equal(found, code, stderr);
  assert.deepEqual({ jobs: bigquery.jobIds().length, contents: await bigquery.contents() }, before);
}

/** Every table that a job of ours could have written, by its configuration. */
function written(from: number): readonly string[] {
  const targets: string[] = [];
  for (const id of bigquery.jobIds().slice(from)) {
    if (id.startsWith("somebody-")) continue;
    const { load, copy, query } = bigquery.configurationOf(id) as Record<string, Record<string, unknown>>;
    const destination = (load ?? copy ?? query)?.["destinationTable"] as Record<string, string> | undefined;
    if (destination !== undefined) targets.push(destination["datasetId"] ?? "");
    for (const [, dataset = ""] of JSON.stringify(query?.["query"] ?? "").matchAll(
      /(?:CREATE OR REPLACE TABLE|CREATE TABLE|INSERT INTO|MERGE|DROP TABLE|DELETE FROM|UPDATE) +`?(?:[\w-]+\.)?(\w+)\./g,
    ))
      targets.push(dataset);
  }
  return [...new Set(targets)].sort();
}

const rowsOf = async (sql: string): Promise<unknown> => {
  const { code, stdout, stderr } = await project.sluice("query", sql, "--home", ".sluice/gcp-dev", "--json");
  assert.equal(code, 0, stderr);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
};

describe("sluice materialize --target gcp", () => {
  test("makes no dataset unasked, and says what it would make", async () => {
    await refused(
      gcp("demo/scores", "--partition", "2024-05-01"),
      2,
      /makes dev_ann_o_demo, dev_ann_o_demo_raw in EU, whose tables go after 7 days: run it again with --yes/,
    );
  });

  test("loads the real file into a table of one's own, and touches no other", async () => {
    const from = bigquery.jobIds().length;
    const real = await bigquery.contents();
    const { code, stdout, stderr } = await gcp("demo/scores", "--partition", "2024-05-01", "--yes");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /Google Cloud project sluice-test, location EU/);
    assert.match(stdout, /writes +dev_ann_o_demo, dev_ann_o_demo_raw, and no other dataset/);
    assert.match(stdout, /limit +10\.0 GB billed by each query/);
    const contents = await bigquery.contents();
    const { dev_ann_o_demo: own, dev_ann_o_demo_raw: raw, ...others } = contents;
    assert.deepEqual(own, { ttlMs: 604_800_000, tables: ["scores"] });
    assert.deepEqual(raw, { ttlMs: 604_800_000, tables: ["scores__20240501"] });
    assert.deepEqual(others, real);
    assert.deepEqual(written(from), ["dev_ann_o_demo", "dev_ann_o_demo_raw"]);
    assert.deepEqual(await rowsOf("SELECT SUM(score) AS s FROM dev_ann_o_demo.scores"), [{ s: 30 }]);
    assert.deepEqual(await rowsOf("SELECT score AS s FROM demo.scores"), [{ s: 99 }]);
  });

  test("a second time it finds nothing to do", async () => {
    const { code, stdout, stderr } = await gcp("demo/scores", "--partition", "2024-05-01");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /already holds these inputs/);
  });

  test("its history is looked at with --home", async () => {
    const runs = (await project.json("runs", "--home", ".sluice/gcp-dev")) as readonly { name: string }[];
    assert.deepEqual([...new Set(runs.map(({ name }) => name))], ["demo/scores"]);
    const { stdout } = await project.sluice("events", "--home", ".sluice/gcp-dev", "--type", "materialized");
    assert.match(stdout, /dev_ann_o_demo\.scores/);
    await refused(
      project.sluice("materialize", "demo/high", "--home", ".sluice/gcp-dev"),
      2,
      /holds runs against Google Cloud: materialize with --target gcp/,
    );
    await refused(
      project.sluice("query", "DROP TABLE demo.scores", "--home", ".sluice/gcp-dev"),
      1,
      /access denied|accessDenied/i,
    );
  });

  test("what was not chosen is read where it is, anew each time", async () => {
    const from = bigquery.jobIds().length;
    const first = await gcp("demo/high");
    assert.equal(first.code, 0, first.stdout + first.stderr);
    assert.match(first.stdout, /reads +demo\/scores from demo\.scores, as it is; its history is not here/);
    assert.deepEqual(await rowsOf("SELECT address, score FROM dev_ann_o_demo.high"), [{ address: "0x9", score: 99 }]);
    await change("demo.scores", "INSERT INTO `demo.scores` (address, score) VALUES ('0x8', 80)");
    assert.equal((await gcp("demo/high")).code, 0);
    assert.deepEqual(await rowsOf("SELECT COUNT(*) AS n FROM dev_ann_o_demo.high"), [{ n: 2 }]);
    assert.deepEqual(written(from), ["dev_ann_o_demo"]);
  });

  test("of a foreign upstream an input has the run's own partition", async () => {
    await refused(gcp("demo/tiers", "--partition", "2024-05-02"), 2, /name one of yours by --staging-bucket/);
    const { code, stdout, stderr } = await gcp("demo/tiers", "--partition", "2024-05-02", "--staging-bucket", "mine");
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(await rowsOf("SELECT who, loud FROM dev_ann_o_demo.tiers"), [{ who: "bob", loud: "BOB" }]);
    assert.deepEqual(gcs.objects("mine"), []);
    assert.ok(
      bigquery
        .jobIds()
        .some((id) => JSON.stringify(bigquery.configurationOf(id)).includes("gs://mine/dev_ann_o/demo/tiers/")),
    );
  });

  test("what was chosen together is read from one's own tables", async () => {
    const { code, stdout, stderr } = await gcp("demo/high,demo/chain");
    assert.equal(code, 0, stdout + stderr);
    assert.deepEqual(await rowsOf("SELECT n FROM dev_ann_o_demo.chain"), [{ n: 2 }]);
    const sqls = bigquery.jobIds().map((id) => JSON.stringify(bigquery.configurationOf(id)));
    assert.ok(sqls.some((sql) => /COUNT\(\*\) AS n FROM `dev_ann_o_demo`?\.`?high/.test(sql)));
  });

  test("what an earlier choice has made of an upstream does not count when it is read where it is", async () => {
    const { code, stdout } = await gcp("demo/chain");
    assert.equal(code, 1, stdout);
    assert.match(stdout, /reads +demo\/high from demo\.high, as it is/);
    assert.match(stdout, /demo\.high/);
    assert.deepEqual(await rowsOf("SELECT n FROM dev_ann_o_demo.chain"), [{ n: 2 }]);
  });

  test("whatever would write elsewhere is refused before anything runs", async () => {
    await refused(
      gcp("demo/files"),
      2,
      /demo\/files writes gs:\/\/drops\/files\/demo\/files\/ .*only tables in datasets of your own/,
    );
    await refused(gcp("demo/writer"), 2, /demo\/writer writes gs:\/\/drops\/out/);
    await refused(gcp("demo/other"), 2, /demo\/other writes the dataset crm \(updates crm\)/);
    await refused(
      gcp("demo/reader", "--staging-bucket", "mine"),
      2,
      /demo\/reader reads demo\/files, whose I\/O manager keeps rows in no table/,
    );
    await refused(gcp("web/visits"), 2, /web\/visits is made elsewhere/);
  });

  test("code that writes past its declaration fails, and changes nothing", async () => {
    const { code, stdout } = await gcp("demo/sly");
    assert.equal(code, 1, stdout);
    assert.match(stdout, /access denied/);
    assert.deepEqual(await rowsOf("SELECT COUNT(*) AS n FROM demo.scores"), [{ n: 2 }]);
  });

  test("every query carries the limit, and one that would bill more fails", async () => {
    const { code, stdout } = await gcp("demo/high", "--max-bytes", "1");
    assert.equal(code, 1, stdout);
    assert.match(stdout, /would bill|bytes billed|maximumBytesBilled/i);
    const limits = new Map<unknown, number>();
    for (const id of bigquery.jobIds()) {
      const query = bigquery.configurationOf(id)?.["query"] as Record<string, unknown> | undefined;
      // What must not run is a job that only fails, and reads nothing.
      if (!id.startsWith("dev_ann_o-") || query === undefined || query["query"] === "SELECT ERROR(@message)") continue;
      const limit = query["maximumBytesBilled"];
      limits.set(limit, (limits.get(limit) ?? 0) + 1);
    }
    assert.deepEqual([...limits.keys()], ["10000000000"]);
  });

  test("says in one line what is missing", async () => {
    const materialize = (...args: readonly string[]): Promise<Outcome> =>
      project.sluice("materialize", "demo/scores", ...args);
    await refused(
      materialize("--target", "gcp", "--env", "dev"),
      2,
      /which Google Cloud project\? name it by --gcp-project/,
    );
    await refused(materialize("--target", "gcp", "--env", "prod", "--gcp-project", PROJECT), 2, /--env dev/);
    await refused(materialize("--user", "ann"), 2, /--user goes with --target gcp/);
    await refused(
      materialize("--target", "gcp", "--env", "dev", "--user", "!", "--gcp-project", PROJECT),
      2,
      /makes no name of a dataset/,
    );
    await refused(
      materialize("--target", "gcp", "--env", "dev", "--gcp-project", "another-project", "--home", "other"),
      1,
      /Access Denied: Project another-project.*grant roles\/bigquery/,
    );
    await refused(
      materialize(
        "--target",
        "gcp",
        "--env",
        "dev",
        "--user",
        "bea",
        "--gcp-project",
        PROJECT,
        "--location",
        "EU",
        "--yes",
      ),
      1,
      /is the history of prefix dev_ann_o_, and this is dev_bea_/,
    );
    await refused(gcp("demo/scores", "--location", "US"), 1, /is the history of location EU, and this is US/);
    await refused(
      gcp("demo/scores", "--location", "US", "--home", "other"),
      2,
      /the dataset dev_ann_o_demo is in EU, and this runs in US: use --location EU/,
    );
  });

  test("without credentials it says how to get some", async () => {
    const { SLUICE_GCP_ENDPOINTS: endpoints, HOME: home } = process.env;
    delete process.env["SLUICE_GCP_ENDPOINTS"];
    process.env["HOME"] = project.root;
    process.env["METADATA_SERVER_DETECTION"] = "none";
    try {
      await refused(gcp("demo/scores"), 1, /no credentials for Google Cloud.*gcloud auth application-default login/);
    } finally {
      process.env["SLUICE_GCP_ENDPOINTS"] = endpoints;
      process.env["HOME"] = home;
      delete process.env["METADATA_SERVER_DETECTION"];
    }
  });
});
