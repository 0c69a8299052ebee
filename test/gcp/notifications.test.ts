/** A bucket's notification, as Cloud Storage sends it and Pub/Sub pushes it, becomes the run of the asset that watches it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as gitcoin from "../../functions/gitcoin.ts";
import { readEnvelope } from "../../lib/runtime/envelope.ts";
import { startFakeGcs } from "../fakes/fake-gcs.ts";
import type { Notification } from "../fakes/gcs/notifications.ts";
import { localPlatform } from "../support/local-platform.ts";

const BUCKET = "oso-dataset-transfer-bucket";
const NAME = "passport/2024-05-01/scores.parquet";
const NOW = Date.UTC(2026, 0, 2);

/** The body of a push, with the fields that Pub/Sub writes. */
function pushOf({ attributes, data }: Notification, id: string): unknown {
  const message = {
    attributes,
    ...(data !== "" && { data: Buffer.from(data).toString("base64") }),
    messageId: id,
    message_id: id,
    publishTime: "2024-05-02T03:04:05.678Z",
    publish_time: "2024-05-02T03:04:05.678Z",
  };
  return { message, subscription: "projects/p/subscriptions/sensor" };
}

for (const payloadFormat of ["JSON_API_V1", "NONE"] as const) {
  test(`a finalized object starts its run, with the payload ${payloadFormat}; other changes start none`, async (t) => {
    const sent: Notification[] = [];
    const fake = await startFakeGcs({
      buckets: [BUCKET],
      onNotification: (notification) => Promise.resolve(void sent.push(notification)),
    });
    t.after(() => fake.close());
    const configs = `${fake.url}/storage/v1/b/${BUCKET}/notificationConfigs`;
    const topic = "//pubsub.googleapis.com/projects/p/topics/bucket.drops";
    await fetch(configs, { method: "POST", body: JSON.stringify({ topic, payload_format: payloadFormat }) });
    const { generation } = await fake.put(BUCKET, NAME, "rows");
    const url = `${fake.url}/storage/v1/b/${BUCKET}/o/${encodeURIComponent(NAME)}`;
    await fetch(url, { method: "PATCH", body: JSON.stringify({ metadata: { a: "b" } }) });
    await fetch(url, { method: "DELETE" });
    await fake.settled();
    assert.deepEqual(
      sent.map(({ attributes }) => attributes["eventType"]),
      ["OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE"],
    );

    const [finalized] = sent;
    assert.ok(finalized !== undefined);
    const envelope = readEnvelope({ body: pushOf(finalized, "m1") }, NOW);
    assert.ok(envelope.kind === "delivery");
    const { delivery } = envelope;
    assert.deepEqual([delivery.messageId, delivery.publishedAt], ["m1", Date.parse("2024-05-02T03:04:05.678Z")]);
    assert.deepEqual(delivery.attributes, finalized.attributes);
    assert.deepEqual(delivery.data, payloadFormat === "NONE" ? {} : JSON.parse(finalized.data));

    await using platform = await localPlatform({ exports: gitcoin });
    for (const [index, notification] of sent.entries()) {
      await platform.runtime.receive({ kind: "bucket", bucket: BUCKET }, { body: pushOf(notification, `m${index}`) });
    }
    await platform.quiet();
    const [run, ...others] = await platform.allRuns();
    assert.deepEqual(others, []);
    assert.equal(run?.partition, "2024-05-01");
    const [started] = await platform.eventsOf("run.started");
    assert.deepEqual(started?.cause, { kind: "object", uri: `gs://${BUCKET}/${NAME}`, generation });
  });
}
