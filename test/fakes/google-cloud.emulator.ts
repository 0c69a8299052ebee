/**
 * The fake of Google Cloud's control plane, by the real gcloud and bq: every kind of resource made, listed, changed and deleted, and those
 * refusals whose words gcloud makes itself. All others are in test/infra/fake-google-cloud-refusals.test.ts, which needs no gcloud.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startFastGcloud, type FastGcloud } from "../support/fast-gcloud.ts";
import { toolIn, withGcloud, type Tool } from "../support/gcloud.ts";
import { startGoogleCloud, type GoogleCloud, type GoogleCloudOptions } from "./fake-google-cloud.ts";
import { at, listAt, textAt } from "./google-cloud/json.ts";

const P = "shop-1";
const REGION = "europe-west1";
const APIS =
  "artifactregistry bigquery cloudbuild cloudfunctions cloudscheduler cloudtasks eventarc firestore iam pubsub run secretmanager storage"
    .split(" ")
    .map((name) => `${name}.googleapis.com`);
const email = (name: string): string => `${name}@${P}.iam.gserviceaccount.com`;
const PUBSUB_AGENT = "service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com";

interface Ground {
  readonly cloud: GoogleCloud;
  readonly gcloud: Tool;
  readonly bq: Tool;
  /** Writes a file and says where. */
  file(name: string, content: unknown): string;
  /** The command fails, and says so. */
  refused(pattern: RegExp, words: string, ...args: readonly string[]): Promise<void>;
}

withGcloud(() => {
  let fast: FastGcloud;

  /** One test with a cloud of its own, in which nothing was asked that the fake does not know. */
  function played(
    name: string,
    play: (ground: Ground) => Promise<void>,
    options: Partial<GoogleCloudOptions> = {},
    unknown: readonly string[] = [],
  ): void {
    test(name, async () => {
      const cloud = await startGoogleCloud({ project: P, apis: APIS, buckets: { drops: "EU" }, ...options });
      const folder = mkdtempSync(join(tmpdir(), "google-cloud-test-"));
      const env = { ...cloud.env, PATH: `${fast.bin}:${cloud.env["PATH"]}` };
      const gcloud = toolIn("gcloud", env);
      try {
        await play({
          cloud,
          gcloud,
          bq: toolIn("bq", env),
          file(name, content) {
            writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
            return join(folder, name);
          },
          async refused(pattern, words, ...args) {
            const { code, stderr, stdout } = await gcloud(words, ...args);
            assert.notEqual(code, 0, `${words} was not refused: ${stdout}`);
            assert.match(stderr, pattern);
          },
        });
        assert.deepEqual(cloud.unknown, unknown);
      } finally {
        await cloud.close();
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }

  describe("the real gcloud on the fake cloud", { concurrency: 3 }, () => {
    before(async () => {
      fast = await startFastGcloud();
    });
    after(() => fast.close());

    played(
      "APIs, projects, service accounts and their policies",
      async ({ cloud, gcloud, refused }) => {
        await refused(/SERVICE_DISABLED|has not been used in project/, "iam service-accounts list");
        await gcloud.well("services enable iam.googleapis.com pubsub.googleapis.com");
        assert.match(
          await gcloud.well("services list --enabled --format=value(config.name)"),
          /^iam\.googleapis\.com$/m,
        );
        assert.equal(await gcloud.well(`projects describe ${P} --format=value(projectNumber)`), "123456789012\n");
        await gcloud.well("iam service-accounts create fn-shop", "--display-name=runs the shop");
        await refused(/already exists/, "iam service-accounts create fn-shop");
        await gcloud.well(`iam service-accounts update ${email("fn-shop")}`, "--description=what it does");
        await refused(/NOT_FOUND: Unknown service account/, `iam service-accounts describe ${email("fn-other")}`);
        const [account] = listAt({ all: await gcloud.json("iam service-accounts list --format=json") }, "all");
        assert.equal(textAt(account, "description"), "what it does");

        const bind = (role: string): string =>
          `projects add-iam-policy-binding ${P} --member=serviceAccount:${email("fn-shop")} --role=${role}`;
        // Each reads the policy, changes it and writes it back: who comes late is told so, and nobody loses what another has written.
        const roles = ["roles/bigquery.jobUser", "roles/datastore.user", "roles/logging.logWriter"];
        const bound = async (role: string): Promise<void> => {
          const { code, stderr } = await gcloud(`${bind(role)} --condition=None`);
          if (code === 0) return;
          assert.match(stderr, /There were concurrent policy changes/);
          await bound(role);
        };
        await Promise.all(roles.map(bound));
        const condition = `--condition=title=the database,expression=resource.name=="projects/${P}/databases/(default)"`;
        await gcloud.well(bind("roles/datastore.viewer"), condition);
        const policy = cloud.state.policies.get(`project ${P}`);
        assert.deepEqual(policy?.bindings.map(({ role }) => role).sort(), [...roles, "roles/datastore.viewer"].sort());
        assert.equal(policy?.version, 3);

        const grant = `iam service-accounts add-iam-policy-binding ${email("fn-shop")}`;
        await gcloud.well(
          `${grant} --role=roles/iam.serviceAccountTokenCreator --member=serviceAccount:${PUBSUB_AGENT}`,
        );
        await gcloud.well(`iam service-accounts delete ${email("fn-shop")}`);
        assert.match(JSON.stringify(cloud.state.policies.get(`project ${P}`)), /deleted:serviceAccount:fn-shop@/);
      },
      { apis: [] },
    );

    played("topics, subscriptions and messages", async ({ cloud, gcloud, refused }) => {
      await gcloud.well("iam service-accounts create sluice-push");
      await gcloud.well("pubsub topics create asset.shop.scores dead-letters --labels=app=sluice");
      await refused(/already exists/i, "pubsub topics create asset.shop.scores");
      const settings = [
        "--ack-deadline=600 --message-retention-duration=7d --expiration-period=never --min-retry-delay=10s --max-retry-delay=600s",
        `--push-endpoint=https://asset-shop-ew.a.run.app/x --push-auth-service-account=${email("sluice-push")}`,
        "--dead-letter-topic=dead-letters --max-delivery-attempts=100",
      ].join(" ");
      await refused(
        /Resource not found \(resource=asset\.other\)/,
        `pubsub subscriptions create scores --topic=asset.other ${settings}`,
      );
      await gcloud.well(`pubsub subscriptions create scores --topic=asset.shop.scores ${settings}`);
      const [one] = listAt({ all: await gcloud.json("pubsub subscriptions list --format=json") }, "all");
      assert.deepEqual(
        [at(one, "ackDeadlineSeconds"), at(one, "expirationPolicy"), textAt(one, "retryPolicy", "maximumBackoff")],
        [600, {}, "600s"],
      );
      await gcloud.well("pubsub subscriptions update scores --ack-deadline=300");
      const stored = cloud.state.resources.subscription.get(`projects/${P}/subscriptions/scores`);
      assert.equal(at(stored, "ackDeadlineSeconds"), 300);

      await gcloud.well("pubsub topics publish asset.shop.scores --message={} --attribute=a=b");
      assert.equal(cloud.published.get(`projects/${P}/topics/asset.shop.scores`)?.length, 1);
      await gcloud.well(
        `pubsub topics add-iam-policy-binding dead-letters --role=roles/pubsub.publisher --member=serviceAccount:${PUBSUB_AGENT}`,
      );
      await gcloud.well("pubsub subscriptions delete scores");
      await gcloud.well("pubsub topics delete dead-letters");
      assert.deepEqual([...cloud.state.resources.topic.keys()], [`projects/${P}/topics/asset.shop.scores`]);
      assert.equal(cloud.state.policies.size, 0);
    });

    played("buckets, a guarded object, and notifications", async ({ cloud, gcloud, file, refused }) => {
      await gcloud.well("iam service-accounts create fn-shop");
      const create = "storage buckets create gs://shop-staging --location=EU --uniform-bucket-level-access";
      await gcloud.well(`${create} --public-access-prevention`);
      await refused(/409/, create);
      const rule = { rule: [{ action: { type: "Delete" }, condition: { age: 45, matchesSuffix: [".parquet"] } }] };
      await gcloud.well(`storage buckets update gs://shop-staging --lifecycle-file=${file("lifecycle.json", rule)}`);
      assert.deepEqual(at(cloud.state.resources.bucket.get("shop-staging"), "lifecycle"), rule);

      const [first, second] = [file("first.json", "1"), file("second.json", "22")];
      const state = "gs://shop-staging/state.json";
      await gcloud.well(`storage cp ${first} ${state} --if-generation-match=0`);
      const generation = textAt(await gcloud.json(`storage objects describe ${state} --format=json`), "generation");
      await refused(/412/, `storage cp ${second} ${state} --if-generation-match=0`);
      await gcloud.well(`storage cp ${second} ${state} --if-generation-match=${generation}`);
      await refused(/412/, `storage cp ${first} ${state} --if-generation-match=${generation}`);
      assert.equal(await gcloud.well(`storage cat ${state}`), "22");

      const below = 'resource.name.startsWith("projects/_/buckets/shop-staging/objects/x/")';
      await gcloud.well(
        `storage buckets add-iam-policy-binding gs://shop-staging --member=serviceAccount:${email("fn-shop")} --role=roles/storage.objectUser`,
        `--condition=title=below x,expression=${below}`,
      );
      const policy = await gcloud.json("storage buckets get-iam-policy gs://shop-staging --format=json");
      assert.equal(textAt(listAt(policy, "bindings")[0], "condition", "expression"), below);

      await gcloud.well("pubsub topics create bucket.drops");
      const notify =
        "storage buckets notifications create gs://drops --topic=bucket.drops --event-types=OBJECT_FINALIZE --payload-format=json --skip-topic-setup";
      await refused(/does not have permission to publish/, notify);
      const agent = (await gcloud.well("storage service-agent")).trim();
      await gcloud.well(
        `pubsub topics add-iam-policy-binding bucket.drops --member=serviceAccount:${agent} --role=roles/pubsub.publisher`,
      );
      await gcloud.well(notify);
      await cloud.gcs.put("drops", "2024-05-01/scores.parquet", "PAR1");
      await cloud.gcs.settled();
      assert.equal(cloud.published.get(`projects/${P}/topics/bucket.drops`)?.length, 1);
      const listed = await gcloud.json("storage buckets notifications list gs://drops --format=json");
      const id = textAt(listAt({ listed }, "listed")[0], "Notification Configuration", "id");
      await gcloud.well(`storage buckets notifications delete projects/_/buckets/drops/notificationConfigs/${id}`);
      assert.equal(cloud.state.resources.notification.size, 0);
    });

    const deployed = (name: string): string =>
      [
        `functions deploy ${name} --gen2 --region=${REGION} --runtime=nodejs24 --entry-point=sluice --source=gs://drops/source.zip`,
        "--memory=512Mi --cpu=1 --concurrency=8 --timeout=540s --ingress-settings=internal-only",
        `--build-service-account=projects/${P}/serviceAccounts/${email("sluice-build")} --run-service-account=${email("fn-shop")}`,
      ].join(" ");

    async function readyToDeploy({ cloud, gcloud }: Ground): Promise<void> {
      await cloud.gcs.put("drops", "source.zip", "not looked into");
      for (const name of ["fn-shop", "sluice-build"]) await gcloud.well(`iam service-accounts create ${name}`);
      const member = `serviceAccount:${email("sluice-build")}`;
      await gcloud.well(
        `projects add-iam-policy-binding ${P} --member=${member} --role=roles/cloudbuild.builds.builder --condition=None`,
      );
    }

    played("functions, their services, and who may invoke them", async (ground) => {
      const { cloud, gcloud, refused } = ground;
      await readyToDeploy(ground);
      const http = (name: string): string => `${deployed(name)} --trigger-http --no-allow-unauthenticated`;
      await gcloud.well(
        `${http("asset-shop")} --update-labels=app=sluice,sluice-hash=aaa --set-env-vars=SLUICE_FUNCTION=asset-shop`,
      );
      await gcloud.well(`${http("asset-shop")} --update-labels=sluice-hash=bbb`);
      const list = await gcloud.well(
        `functions list --v2 --regions=${REGION} --filter=labels.app=sluice --format=csv[no-heading](name,labels.sluice-hash,serviceConfig.uri)`,
      );
      assert.match(list, /^asset-shop,bbb,https:\/\/asset-shop-[0-9a-f]{10}-ew\.a\.run\.app\n$/);
      const service = `projects/${P}/locations/${REGION}/services/asset-shop`;
      const members = [`serviceAccount:${email("fn-shop")}`];
      await gcloud.well(
        `run services add-iam-policy-binding asset-shop --region=${REGION} --role=roles/run.invoker --member=${members[0]}`,
      );
      assert.deepEqual(cloud.state.policies.get(`service ${service}`)?.bindings, [
        { role: "roles/run.invoker", members },
      ]);
      const described = await gcloud.json(`run services describe asset-shop --region=${REGION} --format=json`);
      assert.equal(textAt(described, "status", "url"), list.trim().split(",")[2]);

      cloud.quotas.functionWritesPerMinute = 0;
      await refused(/429|RESOURCE_EXHAUSTED|Quota exceeded/, http("asset-other"));
      cloud.quotas.functionWritesPerMinute = 60;
      cloud.state.policies.delete(`project ${P}`);
      await refused(/missing permission on the build service account/, http("asset-other"));
      await gcloud.well(`functions delete asset-shop --gen2 --region=${REGION}`);
      assert.equal(cloud.state.resources.service.size, 0);
      assert.equal(cloud.state.policies.has(`service ${service}`), false);
    });

    played("functions in gcloud's standard form bring triggers and subscriptions along", async (ground) => {
      const { cloud, gcloud, refused } = ground;
      await readyToDeploy(ground);
      await gcloud.well("pubsub topics create asset.shop");
      const account = `--trigger-service-account=${email("fn-shop")} --retry`;
      await gcloud.well(`${deployed("asset-shop")} --trigger-topic=asset.shop ${account}`);
      const [trigger] = listAt({ all: await gcloud.json("eventarc triggers list --location=- --format=json") }, "all");
      const subscription = textAt(trigger, "transport", "pubsub", "subscription");
      await gcloud.well(
        `pubsub subscriptions update ${subscription} --ack-deadline=600 --message-retention-duration=7d`,
      );

      const finalize =
        "--trigger-event-filters=type=google.cloud.storage.object.v1.finalized --trigger-event-filters=bucket=drops --trigger-location=eu";
      await refused(/unable to publish/, `${deployed("sensor-drops")} ${finalize} ${account}`);
      const agent = (await gcloud.well("storage service-agent")).trim();
      await gcloud.well(
        `projects add-iam-policy-binding ${P} --member=serviceAccount:${agent} --role=roles/pubsub.publisher --condition=None`,
      );
      await gcloud.well(`${deployed("sensor-drops")} ${finalize} ${account}`);
      await cloud.gcs.put("drops", "a", "b");
      await cloud.gcs.settled();
      const told = [...cloud.published.keys()].filter((topic) => topic.includes("/eventarc-eu-sensor-drops-"));
      assert.equal(told.length, 1);
      await gcloud.well(`functions delete sensor-drops --gen2 --region=${REGION}`);
      assert.equal(cloud.state.resources.trigger.size, 1);
      assert.equal(cloud.state.resources.notification.size, 0);
    });

    played("schedules and queues", async ({ cloud, gcloud, refused }) => {
      const at1 = `--location=${REGION}`;
      await gcloud.well("iam service-accounts create sluice-push");
      await gcloud.well("pubsub topics create asset.shop");
      const job = (topic: string): readonly [string, ...string[]] => [
        `scheduler jobs create pubsub schedule-shop ${at1} --time-zone=UTC --topic=${topic} --message-body={"cause":{"kind":"schedule"}}`,
        "--schedule=47 0 * * *",
      ];
      await refused(/NOT_FOUND/, ...job("asset.none"));
      await gcloud.well(...job("asset.shop"));
      await refused(/already exists/, ...job("asset.shop"));
      await gcloud.well(`scheduler jobs update pubsub schedule-shop ${at1}`, "--schedule=48 0 * * *");
      await gcloud.well(`scheduler jobs run schedule-shop ${at1}`);
      assert.equal(cloud.published.get(`projects/${P}/topics/asset.shop`)?.length, 1);
      await gcloud.well(
        `scheduler jobs create http reconcile ${at1} --uri=https://reconcile-ew.a.run.app/ --http-method=POST --oidc-service-account-email=${email("sluice-push")}`,
        "--schedule=* * * * *",
      );
      assert.deepEqual(cloud.shortfalls(), ["schedule reconcile: nothing answers at https://reconcile-ew.a.run.app/"]);
      await gcloud.well(`scheduler jobs delete reconcile ${at1}`);

      const settings = "--max-dispatches-per-second=500 --max-attempts=-1 --min-backoff=1s --max-backoff=300s";
      await gcloud.well(`tasks queues create sluice ${at1} ${settings}`);
      await refused(/ALREADY_EXISTS/, `tasks queues create sluice ${at1}`);
      await gcloud.well(`tasks queues update sluice ${at1} --max-concurrent-dispatches=10`);
      await gcloud.well(
        `tasks queues add-iam-policy-binding sluice ${at1} --member=serviceAccount:${email("sluice-push")} --role=roles/cloudtasks.enqueuer`,
      );
      const [queue] = listAt({ all: await gcloud.json(`tasks queues list ${at1} --format=json`) }, "all");
      assert.deepEqual(
        [at(queue, "rateLimits", "maxConcurrentDispatches"), at(queue, "retryConfig", "maxAttempts")],
        [10, -1],
      );
      await gcloud.well(`tasks queues delete sluice ${at1}`);
      await refused(/existed too recently/, `tasks queues create sluice ${at1}`);
    });

    played("the database, its indexes and times to live, and images", async ({ cloud, gcloud, file, refused }) => {
      const events = "--database=(default) --collection-group=events";
      await gcloud.well("firestore databases create --database=(default) --location=eur3 --type=firestore-native");
      const index = `firestore indexes composite create ${events} --query-scope=collection --field-config=field-path=asset,order=ascending --field-config=field-path=t,order=descending --async`;
      await gcloud.well(index);
      await refused(/already exists/, index);
      const [one] = listAt(
        { all: await gcloud.json("firestore indexes composite list --database=(default) --format=json") },
        "all",
      );
      assert.match(JSON.stringify(at(one, "fields")), /asset.*ASCENDING.*"t".*DESCENDING.*__name__.*DESCENDING/);
      await gcloud.well(`firestore indexes fields update * ${events} --disable-indexes`);
      await gcloud.well(`firestore indexes fields update tags ${events} --index=array-config=contains`);
      await gcloud.well(`firestore fields ttls update expires ${events} --enable-ttl`);
      const fields = await gcloud.json("firestore indexes fields list --database=(default) --format=json");
      assert.deepEqual(
        listAt({ fields }, "fields").map((field) => textAt(field, "name").split("/").at(-1)),
        ["*", "tags"],
      );
      // It has those of its collection, which are none, and another collection's has the usual ones.
      const indexesOf = async (group: string): Promise<readonly unknown[]> => {
        const field = `firestore indexes fields describe expires --database=(default) --collection-group=${group}`;
        return listAt(await gcloud.json(`${field} --format=json`), "indexConfig", "indexes");
      };
      assert.equal((await indexesOf("events")).length, 0);
      assert.equal((await indexesOf("others")).length, 3);
      const ttls = await gcloud.json("firestore fields ttls list --database=(default) --format=json");
      assert.equal(listAt({ ttls }, "ttls").length, 1);

      const images = `gcf-artifacts --location=${REGION}`;
      await gcloud.well(`artifacts repositories create ${images} --repository-format=docker`);
      const policy = [{ name: "old", action: { type: "Delete" }, condition: { tagState: "ANY", olderThan: "7d" } }];
      await gcloud.well(
        `artifacts repositories set-cleanup-policies ${images} --policy=${file("policy.json", policy)} --no-dry-run`,
      );
      const name = `projects/${P}/locations/${REGION}/repositories/gcf-artifacts`;
      const condition = { tagState: "ANY", olderThan: "604800s" };
      assert.deepEqual(at(cloud.state.resources.repository.get(name), "cleanupPolicies", "old"), {
        id: "old",
        action: "DELETE",
        condition,
      });
    });

    played(
      "secrets and datasets",
      async ({ cloud, gcloud, bq, file, refused }) => {
        await gcloud.well("iam service-accounts create fn-shop");
        await gcloud.well(
          `secrets add-iam-policy-binding token --member=serviceAccount:${email("fn-shop")} --role=roles/secretmanager.secretAccessor`,
        );
        await refused(/NOT_FOUND/, "secrets describe other");

        const own = `--project_id=${P} --location=EU`;
        await bq.well(`${own} mk --dataset --default_table_expiration=864000 ${P}:raw`);
        const again = await bq(`${own} mk --dataset ${P}:raw`);
        assert.match(again.stdout + again.stderr, /already exists/);
        const shown = await bq.json(`${own} show --format=json ${P}:raw`);
        const access = [...listAt(shown, "access"), { role: "WRITER", userByEmail: email("fn-shop") }];
        await bq.well(`${own} update --source=${file("dataset.json", { access })} ${P}:raw`);
        const stored = cloud.state.resources.dataset.get(`projects/${P}/datasets/raw`);
        assert.deepEqual([textAt(stored, "location"), textAt(stored, "defaultTableExpirationMs")], ["EU", "864000000"]);
        assert.match(JSON.stringify(at(stored, "access")), /fn-shop@/);
        const missing = await bq(`${own} show ${P}:none`);
        assert.match(missing.stdout + missing.stderr, /Not found: Dataset/);
      },
      { secrets: ["token"] },
    );

    played(
      "faults, fresh accounts, and a host of Google's that nobody may reach",
      async ({ cloud, gcloud, refused }) => {
        cloud.faults.add({ match: /^PUT pubsub/, fault: 403 });
        await refused(/on demand/, "pubsub topics create one");
        cloud.faults.add({ match: /^PUT pubsub/, fault: "reset-after" });
        await gcloud("pubsub topics create two");
        assert.ok(cloud.state.resources.topic.has(`projects/${P}/topics/two`), "it took effect, whatever gcloud says");
        await gcloud.well("iam service-accounts create fn-fresh");
        await refused(/NOT_FOUND/, `iam service-accounts describe ${email("fn-fresh")}`);
        await gcloud.well(`iam service-accounts describe ${email("fn-fresh")}`);
        await refused(/./, "compute instances list");
      },
      { freshAccounts: { looks: 1 } },
      ["CONNECT compute.googleapis.com:443"],
    );
  });
});
