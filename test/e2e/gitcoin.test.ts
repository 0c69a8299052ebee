/** The example of the original document, as it stands in `functions/`, through the front door. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as gitcoin from "../../functions/gitcoin.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { openDuck, scoresSql } from "../support/parquet.ts";
import type { Duck } from "../support/parquet.ts";

const BUCKET = "gs://oso-dataset-transfer-bucket";
const TOPIC = "asset.gitcoin.passport_scores";
const ASSET = { kind: "asset", key: "gitcoin/passport_scores" } as const;

let duck: Duck;
before(async () => {
  duck = await openDuck();
});
after(() => duck.close());

const uriOf = (day: string): string => `${BUCKET}/passport/${day}/scores.parquet`;
const clean = (platform: LocalPlatform) =>
  platform.rows("SELECT CAST(day AS STRING) AS day, COUNT(*) AS people FROM gitcoin.passport_scores GROUP BY 1");

test("a copied file becomes the table by itself, with its raw table, events and head", async () => {
  await using platform = await localPlatform({ exports: gitcoin, watch: true });
  platform.dropFile(uriOf("2024-05-01"), await duck.file(scoresSql("2024-05-01", 30, 17)));
  for (let i = 0; i < 2_400 && (await platform.eventsOf("materialized")).length === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await platform.quiet();

  assert.deepEqual(await clean(platform), [{ day: "2024-05-01", people: 30 }]);
  assert.deepEqual(
    await platform.rows("SELECT COUNT(*) AS n, SUM(score) AS s FROM oso_raw_sources.passport_scores__20240501"),
    [{ n: 30, s: 510 }],
  );
  const object = await platform.objects.stat("oso-dataset-transfer-bucket", "passport/2024-05-01/scores.parquet");
  assert.ok(object !== undefined);
  const { updated: _, ...input } = object;

  const types = (await platform.history()).map(({ type }) => type);
  assert.deepEqual(types, ["run.started", "check.evaluated", "materialized", "run.succeeded"]);
  const [materialized] = await platform.eventsOf("materialized");
  assert.equal(materialized?.asset, "gitcoin/passport_scores");
  assert.equal(materialized.partition, "2024-05-01");
  assert.equal(materialized.rows, 30);
  assert.equal(materialized.table, "opensource-observer.gitcoin.passport_scores");
  assert.deepEqual(materialized.inputs, [input]);
  assert.deepEqual(
    materialized.schema?.map(({ name, type }) => `${name} ${type}`),
    ["address STRING", "score FLOAT64", "day DATE"],
  );
  const [started] = await platform.eventsOf("run.started");
  assert.deepEqual(started?.cause, { kind: "object", uri: uriOf("2024-05-01"), generation: object.generation });

  const partition = await platform.events.get("partition", "gitcoin/passport_scores|2024-05-01");
  assert.deepEqual(partition?.head?.inputs, [input]);
  assert.equal(partition.head.materializationId, materialized.materializationId);
  const asset = await platform.events.get("asset", "gitcoin/passport_scores");
  assert.equal(asset?.partition, "2024-05-01");
  assert.deepEqual(await platform.leftovers(), []);
  assert.deepEqual(platform.complaints, []);
});

test("a request by hand for nothing in particular takes the newest interval, whatever its form", async (t) => {
  await using platform = await localPlatform({ exports: gitcoin });
  // Written without an announcement: only a request can load them.
  for (const [day, people] of [
    ["2024-05-01", 5],
    ["2024-05-03", 7],
    ["2024-05-02", 6],
  ] as const) {
    const bytes = await duck.file(scoresSql(day, people));
    await platform.objects.write("oso-dataset-transfer-bucket", `passport/${day}/scores.parquet`, [bytes]);
  }
  const forms: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["{}", () => platform.publish(TOPIC, {})],
    ["attributes only", () => platform.publish(TOPIC, undefined, { who: "a person" })],
    ["an empty body", () => platform.bus.publishRaw(TOPIC, "")],
    ["only blanks", () => platform.bus.publishRaw(TOPIC, Buffer.from(" \n").toString("base64"))],
  ];
  for (const [index, [name, publish]] of forms.entries()) {
    await t.test(name, async () => {
      await publish();
      await platform.quiet();
      const started = await platform.eventsOf("run.started");
      assert.equal(started.length, index + 1);
      assert.equal(started.at(-1)?.partition, "2024-05-03");
      assert.deepEqual(started.at(-1)?.cause, { kind: "manual" });
      assert.deepEqual(await clean(platform), [{ day: "2024-05-03", people: 7 }]);
    });
  }
  const ends = (await platform.history("run.succeeded", "run.skipped")).map(({ type }) => type);
  assert.deepEqual(ends, ["run.succeeded", "run.skipped", "run.skipped", "run.skipped"], "nothing is loaded twice");
  assert.deepEqual(await platform.leftovers(), []);
});

test("before any file is there, a request by hand says so and ends", async () => {
  await using platform = await localPlatform({ exports: gitcoin });
  await platform.publish(TOPIC, {});
  await platform.quiet();
  const [skipped] = await platform.eventsOf("run.skipped");
  assert.equal(skipped?.code, "no-inputs");
  assert.match(skipped.reason, /^no object of \d{4}-\d\d-\d\d is in gs:\/\/oso-dataset-transfer-bucket\/passport$/);
  assert.deepEqual(await platform.leftovers(), []);
});

test("CloudEvents of every form do what the push message does", async (t) => {
  await using platform = await localPlatform({ exports: gitcoin });
  const source = "//pubsub.googleapis.com/projects/p/topics/t";
  const pubsub = "google.cloud.pubsub.topic.v1.messagePublished";
  const forms = {
    binary: (data: unknown, type: string, id: string) => ({
      headers: {
        "ce-specversion": "1.0",
        "ce-id": id,
        "ce-type": type,
        "ce-source": source,
        "content-type": "application/json",
      },
      body: data,
    }),
    structured: (data: unknown, type: string, id: string) => ({
      headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
      body: {
        specversion: "1.0",
        id,
        type,
        source,
        time: "2024-05-05T00:00:00Z",
        datacontenttype: "application/json",
        data,
      },
    }),
    parsed: (data: unknown, type: string, id: string) => ({ body: { specversion: "1.0", id, type, source, data } }),
  };
  let day = 0;
  for (const [name, form] of Object.entries(forms)) {
    await t.test(`pubsub, ${name}`, async () => {
      const partition = `2024-05-${String(++day).padStart(2, "0")}`;
      await platform.objects.write("oso-dataset-transfer-bucket", `passport/${partition}/scores.parquet`, [
        await duck.file(scoresSql(partition, day)),
      ]);
      await platform.runtime.receive(ASSET, form(pushOf({ partition }), pubsub, `event-${day}`));
      await platform.quiet();
      assert.deepEqual(await clean(platform), [{ day: partition, people: day }]);
    });
    await t.test(`a finalized object, ${name}`, async () => {
      const partition = `2024-05-${String(++day).padStart(2, "0")}`;
      const object = await platform.objects.write(
        "oso-dataset-transfer-bucket",
        `passport/${partition}/scores.parquet`,
        [await duck.file(scoresSql(partition, day))],
      );
      const data = {
        ...object,
        generation: object.generation,
        size: String(object.size),
        updated: "2024-05-05T00:00:00Z",
      };
      const type = "google.cloud.storage.object.v1.finalized";
      await platform.runtime.receive({ kind: "bucket", bucket: object.bucket }, form(data, type, `event-${day}`));
      await platform.quiet();
      assert.deepEqual(await clean(platform), [{ day: partition, people: day }]);
      const [started] = (await platform.eventsOf("run.started")).slice(-1);
      assert.equal(started?.cause.kind, "object");
    });
  }
  assert.equal((await platform.eventsOf("materialized")).length, 6);
  assert.deepEqual(await platform.eventsOf("message.refused"), []);
  assert.deepEqual(await platform.leftovers(), []);
});

test("a later day replaces the table, and an earlier one that comes late does not", async () => {
  await using platform = await localPlatform({ exports: gitcoin });
  for (const [day, people] of [
    ["2024-05-02", 4],
    ["2024-05-03", 6],
    ["2024-05-01", 9],
  ] as const) {
    await platform.put(uriOf(day), await duck.file(scoresSql(day, people)));
    await platform.quiet();
  }
  assert.deepEqual(await clean(platform), [{ day: "2024-05-03", people: 6 }]);
  const [skipped] = await platform.eventsOf("run.skipped");
  assert.equal(skipped?.code, "superseded");
  assert.equal(skipped.reason, "the table already shows 2024-05-03");
  const late = await platform.events.get("partition", "gitcoin/passport_scores|2024-05-01");
  assert.equal(late?.superseded?.inputs.length, 1);
  assert.equal(late.head, undefined);
  assert.deepEqual(await platform.leftovers(), []);
});
