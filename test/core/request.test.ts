import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requestIn, requestSchema } from "../../lib/core/request.ts";

const partition = "2024-05-02";
/** What Google adds to messages by itself, and a replay of Sluice's own. */
const OTHERS: Readonly<Record<string, string>> = {
  CloudPubSubDeadLetterSourceDeliveryCount: "5",
  CloudPubSubDeadLetterSourceSubscription: "asset.x",
  CloudPubSubDeadLetterSourceSubscriptionProject: "p",
  CloudPubSubDeadLetterSourceTopicPublishTime: "2024-05-01T10:00:00Z",
  googclient_schemaencoding: "JSON",
  googclient_OpenTelemetrySpanID: "7",
  eventType: "OBJECT_FINALIZE",
  bucketId: "b",
  objectId: "x.csv",
  objectGeneration: "7",
  notificationConfig: "projects/_/buckets/b/notificationConfigs/1",
  payloadFormat: "JSON_API_V1",
  "ce-type": "google.cloud.scheduler.job.v1.executed",
  "ce-id": "1",
  traceparent: "00-1-2-01",
  "sluice-message-id": "9",
  "sluice-published-at": "2024-05-01T10:00:00Z",
};

describe("what a message asks", () => {
  for (const [what, data, attributes, request] of [
    ["nothing", {}, {}, {}],
    ["attributes of others alone", {}, OTHERS, {}],
    ["a partition", {}, { partition }, { partition }],
    ["a partition beside attributes of others", {}, { ...OTHERS, partition }, { partition }],
    ["words and flags", {}, { partition, runKey: "k", force: "true" }, { partition, runKey: "k", force: true }],
    [
      "every flag",
      {},
      { force: "false", rollback: "true", allowMissing: "true", unseal: "true" },
      { force: false, rollback: true, allowMissing: true, unseal: true },
    ],
    [
      "data, which is all that counts then",
      { partition: "2024-05-01" },
      { partition, force: "true" },
      { partition: "2024-05-01" },
    ],
    ["data that says something else", { force: true }, { partition }, { force: true }],
    ["another case, which is another name", {}, { Partition: partition, PARTITION: partition }, {}],
    ["names that every object has", {}, { constructor: "x", __proto__: "y" }, {}],
    ["what says why, and whose, and is nobody's to choose", {}, { cause: "manual", multi: "0", tags: "a" }, {}],
  ] as const)
    test(what, () => assert.deepEqual(requestSchema.parse(requestIn({ data, attributes })), request));

  for (const [what, attributes] of [
    ["a flag that is neither true nor false", { force: "yes" }],
    ["an empty flag", { rollback: "" }],
    ["a partition without end", { partition: "x".repeat(201) }],
    ["a config, which data alone can hold", { config: '{"select":["a"]}' }],
  ] as const)
    test(`${what} is no request`, () =>
      assert.equal(requestSchema.safeParse(requestIn({ data: {}, attributes: { ...attributes } })).success, false));

  for (const data of [[], null, "x", 7, [{ partition }]])
    test(`${JSON.stringify(data)} stays what it is, and is no request`, () => {
      assert.deepEqual(requestIn({ data, attributes: { partition } }), data);
      assert.equal(requestSchema.safeParse(data).success, false);
    });
});
