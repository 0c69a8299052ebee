/** What the fake of Google Cloud's control plane refuses, and that a refusal changes nothing. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { binding, email, functionOf, IN, opened, P, topic } from "../support/asked-cloud.ts";
import { textAt, type Json } from "../fakes/google-cloud/json.ts";

/** What is asked, which status it gets, and what the answer says. In a cloud with one topic, one function's worth of accounts, and a source. */
const REFUSALS: readonly (readonly [
  method: string,
  api: string,
  path: string,
  body: Json,
  status: number,
  says: RegExp,
])[] = [
  ["POST", "iam", `/v1/projects/${P}/serviceAccounts`, { accountId: "fn-shop" }, 409, /already exists/],
  ["POST", "iam", `/v1/projects/${P}/serviceAccounts`, { accountId: "shop" }, 400, /6 to 30 characters/],
  ["GET", "iam", `/v1/projects/${P}/serviceAccounts/${email("fn-none")}`, {}, 404, /Unknown service account/],
  ["GET", "cloudresourcemanager", "/v1/projects/other", {}, 403, /Permission denied on resource project other/],
  ["PUT", "pubsub", `/v1/${topic("asset.shop")}`, {}, 409, /already exists/],
  ["PUT", "pubsub", `/v1/${topic("goog-asset")}`, {}, 400, /Invalid resource name/],
  ["PUT", "pubsub", `/v1/${topic("x")}`, {}, 400, /Invalid resource name/],
  ["PUT", "pubsub", `/v1/${topic("labelled")}`, { labels: { App: "sluice" } }, 400, /Invalid label/],
  ["PUT", "pubsub", `/v1/projects/${P}/subscriptions/one`, { topic: topic("asset.none") }, 404, /asset\.none/],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    { topic: topic("asset.shop"), ackDeadlineSeconds: 601 },
    400,
    /between 10 and 600/,
  ],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    { topic: topic("asset.shop"), messageRetentionDuration: "9999999s" },
    400,
    /31 days/,
  ],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    { topic: topic("asset.shop"), retryPolicy: { maximumBackoff: "601s" } },
    400,
    /backoff/,
  ],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    { topic: topic("asset.shop"), deadLetterPolicy: { deadLetterTopic: topic("none") } },
    404,
    /none/,
  ],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    {
      topic: topic("asset.shop"),
      deadLetterPolicy: { deadLetterTopic: topic("asset.shop"), maxDeliveryAttempts: 101 },
    },
    400,
    /between 5 and 100/,
  ],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    { topic: topic("asset.shop"), pushConfig: { pushEndpoint: "http://x.run.app/" } },
    400,
    /Invalid push endpoint/,
  ],
  [
    "PUT",
    "pubsub",
    `/v1/projects/${P}/subscriptions/one`,
    {
      topic: topic("asset.shop"),
      pushConfig: { pushEndpoint: "https://x.run.app/", oidcToken: { serviceAccountEmail: email("fn-none") } },
    },
    404,
    /does not exist/,
  ],
  ["POST", "pubsub", `/v1/${topic("asset.none")}:publish`, { messages: [{ data: "" }] }, 404, /asset\.none/],
  [
    "POST",
    "pubsub",
    `/v1/${topic("asset.shop")}:setIamPolicy`,
    binding(`serviceAccount:${email("fn-none")}`, "roles/pubsub.publisher"),
    400,
    /does not exist/,
  ],
  [
    "POST",
    "pubsub",
    `/v1/${topic("asset.shop")}:setIamPolicy`,
    binding("fn-shop", "roles/pubsub.publisher"),
    400,
    /Invalid member/,
  ],
  [
    "POST",
    "pubsub",
    `/v1/${topic("asset.shop")}:setIamPolicy`,
    binding(`serviceAccount:${email("fn-shop")}`, "roles/storage.objectUser"),
    400,
    /not supported/,
  ],
  [
    "POST",
    "pubsub",
    `/v1/${topic("asset.shop")}:setIamPolicy`,
    binding(`serviceAccount:${email("fn-shop")}`, "roles/pubsub.publisher", {
      condition: { title: "t", expression: "true" },
    }),
    400,
    /version 3/,
  ],
  [
    "POST",
    "cloudresourcemanager",
    `/v1/projects/${P}:setIamPolicy`,
    binding(
      "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com",
      "roles/pubsub.publisher",
    ),
    400,
    /does not exist/,
  ],
  ["POST", "cloudfunctions", `/v2/${IN}/functions?functionId=asset_shop`, functionOf(), 400, /Invalid function name/],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    functionOf({ serviceAccountEmail: email("fn-none") }),
    404,
    /fn-none.* was not found/,
  ],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    functionOf({ availableCpu: "0.5", maxInstanceRequestConcurrency: 8 }),
    400,
    /cpu < 1/,
  ],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    functionOf({ timeoutSeconds: 3601 }),
    400,
    /Timeout/,
  ],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    functionOf({ environmentVariables: { PORT: "1" } }),
    400,
    /reserved/,
  ],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    functionOf({ secretEnvironmentVariables: [{ projectId: P, secret: "none" }] }),
    400,
    /Secret .*none was not found/,
  ],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    { ...functionOf(), buildConfig: { runtime: "nodejs18", entryPoint: "sluice" } },
    400,
    /nodejs18/,
  ],
  [
    "POST",
    "cloudfunctions",
    `/v2/${IN}/functions?functionId=asset`,
    {
      ...functionOf(),
      eventTrigger: { eventType: "google.cloud.pubsub.topic.v1.messagePublished", pubsubTopic: topic("asset.none") },
    },
    404,
    /asset\.none/,
  ],
  ["PATCH", "cloudfunctions", `/v2/${IN}/functions/none`, functionOf(), 404, /was not found/],
  [
    "POST",
    "run",
    `/v1/${IN}/services/none:setIamPolicy`,
    binding(`serviceAccount:${email("fn-shop")}`, "roles/run.invoker"),
    404,
    /does not exist/,
  ],
  [
    "POST",
    "cloudscheduler",
    `/v1/${IN}/jobs`,
    { name: `${IN}/jobs/one`, schedule: "0 0 * * *", pubsubTarget: { topicName: topic("none"), data: "e30=" } },
    404,
    /none/,
  ],
  [
    "POST",
    "cloudscheduler",
    `/v1/${IN}/jobs`,
    {
      name: `${IN}/jobs/one`,
      schedule: "0 0 * * *",
      timeZone: "Mars/Base",
      pubsubTarget: { topicName: topic("asset.shop"), data: "e30=" },
    },
    400,
    /time zone/,
  ],
  [
    "POST",
    "cloudscheduler",
    `/v1/${IN}/jobs`,
    { name: `${IN}/jobs/one`, schedule: "0 0 * *", pubsubTarget: { topicName: topic("asset.shop"), data: "e30=" } },
    400,
    /Schedule/,
  ],
  ["POST", "cloudtasks", `/v2/${IN}/queues`, { name: `${IN}/queues/under_score` }, 400, /Invalid queue name/],
  [
    "POST",
    "cloudtasks",
    `/v2/${IN}/queues`,
    { name: `${IN}/queues/fast`, rateLimits: { maxDispatchesPerSecond: 501 } },
    400,
    /at most 500/,
  ],
  ["POST", "firestore", `/v1/projects/${P}/databases/(default)/collectionGroups/a/indexes`, {}, 404, /does not exist/],
  ["POST", "firestore", `/v1/projects/${P}/databases?databaseId=(default)`, { locationId: "mars" }, 400, /location/],
  ["POST", "storage", `/storage/v1/b?project=${P}`, { name: "drops" }, 409, /already own it/],
  ["POST", "storage", `/storage/v1/b?project=${P}`, { name: "No" }, 400, /./],
  ["PATCH", "storage", "/storage/v1/b/drops", { location: "US" }, 400, /cannot be changed/],
  [
    "POST",
    "storage",
    "/storage/v1/b/drops/notificationConfigs",
    { topic: topic("none"), payload_format: "JSON_API_V1" },
    400,
    /Not found/,
  ],
  [
    "POST",
    "storage",
    "/storage/v1/b/drops/notificationConfigs",
    { topic: topic("asset.shop"), payload_format: "JSON_API_V1" },
    403,
    /does not have permission/,
  ],
  [
    "POST",
    "bigquery",
    `/bigquery/v2/projects/${P}/datasets`,
    { datasetReference: { datasetId: "a-b" } },
    400,
    /Invalid dataset ID/,
  ],
  [
    "POST",
    "bigquery",
    `/bigquery/v2/projects/${P}/datasets`,
    { datasetReference: { datasetId: "raw" }, access: [{ role: "WRITER", userByEmail: email("fn-none") }] },
    400,
    /does not exist/,
  ],
  ["GET", "bigquery", `/bigquery/v2/projects/${P}/datasets/none`, {}, 404, /Not found: Dataset/],
  [
    "POST",
    "artifactregistry",
    `/v1/${IN}/repositories?repositoryId=images`,
    { cleanupPolicies: { old: { id: "new", action: "DELETE" } } },
    400,
    /cleanup policy/,
  ],
  ["GET", "secretmanager", `/v1/projects/${P}/secrets/none`, {}, 404, /not found/],
];

describe("what the fake cloud refuses", () => {
  let ground: Awaited<ReturnType<typeof opened>>;
  let atFirst: Json;
  before(async () => {
    ground = await opened(undefined);
    await ground.account("fn-shop");
    await ground.well("PUT", "pubsub", `/v1/${topic("asset.shop")}`);
    await ground.cloud.gcs.put("drops", "source.zip", "");
    atFirst = ground.cloud.snapshot();
  });
  after(() => ground.cloud.close());

  for (const [method, api, path, body, status, says] of REFUSALS) {
    test(`${method} ${api} ${path.slice(0, 70)}: ${says.source}`, async () => {
      const answer = await ground.ask(method, api, path, body);
      assert.match(textAt(answer.body, "error", "message"), says);
      assert.equal(answer.status, status);
      assert.deepEqual(ground.cloud.snapshot(), atFirst, "a refusal changes nothing");
      assert.deepEqual(ground.cloud.unknown, []);
    });
  }
});
