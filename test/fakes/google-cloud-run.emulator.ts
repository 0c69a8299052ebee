/** The fake cloud with running functions: what gcloud deploys takes messages, and a dropped file becomes a table. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "../../infra/build.ts";
import { packFolder } from "../../infra/deploy/archive.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { withEmulators } from "../support/emulators.ts";
import { startFastGcloud, type FastGcloud } from "../support/fast-gcloud.ts";
import { callApi, toolIn, type Tool } from "../support/gcloud.ts";
import { openDuck, scoresSql } from "../support/parquet.ts";
import { temporaryProject, type Project } from "../support/sluice-command.ts";
import { startGoogleCloud, type GoogleCloud } from "./fake-google-cloud.ts";
import { textAt } from "./google-cloud/json.ts";

const P = "live-shop";
const REGION = "europe-west1";
const APIS = [
  "artifactregistry",
  "cloudbuild",
  "cloudfunctions",
  "cloudscheduler",
  "cloudtasks",
  "eventarc",
  "iam",
  "pubsub",
  "run",
  "storage",
  "bigquery",
];
const account = (name: string): string => `${name}@${P}.iam.gserviceaccount.com`;
const PUBSUB_AGENT = "service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com";

const SCORES = `
  import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
  export const scores = intervalGcsImportAsset({
    keyPrefix: "shop", name: "scores", bucketName: "drops", pathBase: "scores",
    fileMatch: String.raw\`(?P<interval_timestamp>\\d\\d\\d\\d-\\d\\d-\\d\\d)/scores\\.parquet\`,
    destinationTable: "scores", rawDatasetName: "raw", cleanDatasetName: "shop",
    interval: Interval.Daily, mode: SourceMode.Overwrite, retentionDays: 10, format: "PARQUET",
  });`;

await withEmulators((emulators) => {
  let project: Project;
  let cloud: GoogleCloud;
  let events: EventStore & { close(): Promise<void> };
  let fast: FastGcloud;
  let gcloud: Tool;

  /** As gcloud would ask for it, in a thousandth of the time. */
  async function ask(method: string, api: string, path: string, body: unknown = {}): Promise<unknown> {
    const answer = await callApi(cloud.url, method, api, path, body);
    assert.ok(answer.status < 300, `${method} ${api} ${path}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
  const allow = (api: string, path: string, role: string, email: string): Promise<unknown> =>
    ask("POST", api, `${path}:setIamPolicy`, {
      policy: { bindings: [{ role, members: [`serviceAccount:${email}`] }] },
    });

  async function deploy(name: string, ...more: readonly string[]): Promise<string> {
    const words = `functions deploy ${name} --gen2 --region=${REGION} --runtime=nodejs24 --entry-point=sluice --source=gs://drops/source.zip --memory=512Mi --cpu=1 --concurrency=8 --build-service-account=projects/${P}/serviceAccounts/${account("sluice-build")} --run-service-account=${account("fn-shop")} --format=json`;
    const config = {
      project: P,
      region: REGION,
      location: "EU",
      stagingBucket: "staging",
      queue: "sluice",
      taskAccount: account("sluice-tasks"),
    };
    // gcloud takes another separator than the comma when it is told so.
    const variables = `--set-env-vars=^|^SLUICE_FUNCTION=${name}|SLUICE_CONFIG=${JSON.stringify(config)}`;
    return textAt(await gcloud.json(words, variables, ...more), "serviceConfig", "uri");
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (const end = Date.now() + 180_000; Date.now() < end; await sleep(100)) if (await condition()) return;
    assert.fail(`it did not come to pass: ${JSON.stringify(cloud.live?.deliveries)}\n${cloud.live?.logs()}`);
  }

  const succeeded = (partition: string): Promise<void> =>
    until(async () => {
      const { items } = await events.history({ asset: "shop/scores", partition, order: "oldest" });
      return items.some(({ type }) => type === "run.succeeded");
    });

  before(async () => {
    project = temporaryProject({ "scores.ts": SCORES });
    const { definitions, problems, modules } = await functionsLoader(project.root).load();
    assert.deepEqual(problems, []);
    const dist = join(project.root, "dist");
    await build({ root: project.root, outDir: dist, definitions, modules });
    cloud = await startGoogleCloud({
      project: P,
      apis: APIS.map((name) => `${name}.googleapis.com`),
      buckets: { drops: "EU", staging: "EU" },
      run: { pubsub: emulators.pubsub.host, firestore: emulators.firestore.host },
    });
    fast = await startFastGcloud();
    gcloud = toolIn("gcloud", { ...cloud.env, PATH: `${fast.bin}:${cloud.env["PATH"]}` });
    await cloud.gcs.put("drops", "source.zip", (await packFolder(dist)).bytes);
    events = firestoreEventStore({
      client: firestoreClient({ projectId: P, emulatorHost: emulators.firestore.host }),
      clock: systemClock(),
      random: systemRandom(),
    });
    for (const accountId of ["fn-shop", "sluice-build", "sluice-push", "sluice-tasks"]) {
      await ask("POST", "iam", `/v1/projects/${P}/serviceAccounts`, { accountId });
    }
    for (const topic of ["asset.shop.scores", "materialized.shop.scores", "bucket.drops"]) {
      await ask("PUT", "pubsub", `/v1/projects/${P}/topics/${topic}`);
    }
    for (const dataset of ["raw", "shop"]) {
      const datasetReference = { projectId: P, datasetId: dataset };
      await ask("POST", "bigquery", `/bigquery/v2/projects/${P}/datasets`, { datasetReference, location: "EU" });
    }
    const location = `projects/${P}/locations/${REGION}`;
    await ask("POST", "cloudtasks", `/v2/${location}/queues`, { name: `${location}/queues/sluice` });
    await allow(
      "cloudresourcemanager",
      `/v1/projects/${P}`,
      "roles/cloudbuild.builds.builder",
      account("sluice-build"),
    );
    await allow(
      "iam",
      `/v1/projects/${P}/serviceAccounts/${account("sluice-push")}`,
      "roles/iam.serviceAccountTokenCreator",
      PUBSUB_AGENT,
    );
  });
  after(async () => {
    await events.close();
    await fast.close();
    await cloud.close();
    await project.remove();
    await Promise.all([emulators.firestore.close(), emulators.pubsub.close()]);
  });

  async function pushTo(uri: string, topic: string): Promise<void> {
    const oidcToken = { serviceAccountEmail: account("sluice-push"), audience: uri };
    const pushConfig = { pushEndpoint: `${uri}/${topic}`, oidcToken };
    await ask("PUT", "pubsub", `/v1/projects/${P}/subscriptions/${topic}`, {
      topic: `projects/${P}/topics/${topic}`,
      pushConfig,
      ackDeadlineSeconds: 600,
    });
  }

  describe("deployed functions run", () => {
    test("a message for a deployed asset materializes it, once the push account may invoke it", async () => {
      const duck = await openDuck();
      const day = "2024-05-01";
      const bytes = await duck.file(scoresSql(day, 7));
      duck.close();
      await cloud.gcs.put("drops", `scores/${day}/scores.parquet`, bytes);

      const uri = await deploy(
        "asset-shop-scores",
        "--trigger-http",
        "--no-allow-unauthenticated",
        "--ingress-settings=internal-only",
      );
      await pushTo(uri, "asset.shop.scores");
      assert.deepEqual(cloud.shortfalls(), [
        `subscription asset.shop.scores: ${account("sluice-push")} may not invoke asset-shop-scores`,
      ]);
      await gcloud.well(`pubsub topics publish asset.shop.scores --message={"partition":"${day}"}`);
      await until(() => cloud.live?.deliveries.some(({ status }) => status === 403) === true);

      await allow(
        "run",
        `/v1/projects/${P}/locations/${REGION}/services/asset-shop-scores`,
        "roles/run.invoker",
        account("sluice-push"),
      );
      assert.deepEqual(cloud.shortfalls(), []);
      await succeeded(day);
      const contents = await cloud.live?.bigquery.contents();
      assert.deepEqual(contents?.["shop"]?.tables, ["scores"]);
    });

    test("a dropped file reaches its table through the bucket's notification and the router", async () => {
      const duck = await openDuck();
      const day = "2024-05-02";
      const bytes = await duck.file(scoresSql(day, 5));
      duck.close();
      const uri = await deploy("sensor-drops", "--trigger-http", "--no-allow-unauthenticated");
      await allow(
        "run",
        `/v1/projects/${P}/locations/${REGION}/services/sensor-drops`,
        "roles/run.invoker",
        account("sluice-push"),
      );
      await pushTo(uri, "bucket.drops");
      const { email_address: agent } = (await ask("GET", "storage", `/storage/v1/projects/${P}/serviceAccount`)) as {
        readonly email_address: string;
      };
      await allow("pubsub", `/v1/projects/${P}/topics/bucket.drops`, "roles/pubsub.publisher", agent);
      await gcloud.well(
        "storage buckets notifications create gs://drops --topic=bucket.drops --event-types=OBJECT_FINALIZE --payload-format=json --skip-topic-setup",
      );
      await cloud.gcs.put("drops", `scores/${day}/scores.parquet`, bytes);
      await succeeded(day);
      assert.deepEqual(cloud.unknown, []);
    });

    test("in gcloud's standard form a trigger brings the message, as a CloudEvent", async () => {
      const duck = await openDuck();
      const day = "2024-05-03";
      const bytes = await duck.file(scoresSql(day, 3));
      duck.close();
      await ask("DELETE", "pubsub", `/v1/projects/${P}/subscriptions/asset.shop.scores`);
      await ask("DELETE", "pubsub", `/v1/projects/${P}/subscriptions/bucket.drops`);
      await cloud.gcs.put("drops", `scores/${day}/scores.parquet`, bytes);
      await deploy(
        "asset-shop-scores",
        "--trigger-topic=asset.shop.scores",
        "--retry",
        `--trigger-service-account=${account("sluice-push")}`,
      );
      await gcloud.well(`pubsub topics publish asset.shop.scores --message={"partition":"${day}"}`);
      await succeeded(day);
    });
  });
});
