/** The fake itself: the unmodified client finds what it finds in the cloud, and what the cloud refuses is refused. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { Storage } from "@google-cloud/storage";
import { PassThroughClient } from "google-auth-library";
import { type FakeGcsOptions, startFakeGcs } from "../fakes/fake-gcs.ts";
import type { Notification } from "../fakes/gcs/notifications.ts";

const BUCKET = "fake-bucket";
const KIB = 1024;

async function open(t: TestContext, options: FakeGcsOptions = {}) {
  const fake = await startFakeGcs({ buckets: [BUCKET], ...options });
  t.after(() => fake.close());
  const storage = new Storage({ apiEndpoint: fake.url, projectId: "p", authClient: new PassThroughClient() });
  const objects = `${fake.url}/storage/v1/b/${BUCKET}/o`;
  const uploads = `${fake.url}/upload/storage/v1/b/${BUCKET}/o`;
  /** Status, reason and message of an error, or the status alone. */
  const ask = async (method: string, url: string, init: RequestInit = {}) => {
    const response = await fetch(url, { method, redirect: "manual", ...init });
    const text = await response.text();
    const body = text.startsWith("{")
      ? (JSON.parse(text) as { error?: { errors: { reason: string }[]; message: string } })
      : {};
    return {
      status: response.status,
      reason: body.error?.errors[0]?.reason,
      message: body.error?.message,
      body,
      response,
    };
  };
  return { fake, storage, bucket: storage.bucket(BUCKET), objects, uploads, ask };
}

test("the client uploads in all three ways, with checksums that it checks itself", async (t) => {
  const { fake, bucket } = await open(t);
  const large = Buffer.alloc(500 * KIB, "abc");
  await bucket
    .file("multipart/é ü.txt")
    .save("small", { resumable: false, validation: "md5", contentType: "text/plain" });
  await bucket.file("resumable").save(large, { resumable: true, validation: "crc32c" });
  await new Promise<void>((resolve, reject) => {
    const stream = bucket
      .file("chunked")
      .createWriteStream({ chunkSize: 256 * KIB, metadata: { metadata: { a: "b" } } });
    stream.on("error", reject).on("finish", resolve).end(large);
  });
  assert.equal((await bucket.file("multipart/é ü.txt").download()).toString(), "small");
  for (const name of ["resumable", "chunked"]) {
    assert.ok((await bucket.file(name).download({ validation: "md5" }))[0].equals(large), name);
    assert.ok(readFileSync(fake.pathOf(BUCKET, name) ?? "").equals(large), name);
  }
  const [metadata] = await bucket.file("chunked").getMetadata();
  assert.deepEqual([metadata.metadata, metadata.size, metadata.metageneration], [{ a: "b" }, "512000", "1"]);
  assert.equal((await bucket.file("multipart/é ü.txt").getMetadata())[0].contentType, "text/plain");
  assert.equal(fake.openSessions(), 0);
});

test("the client lists, copies, composes, patches and deletes", async (t) => {
  const { bucket, storage } = await open(t);
  for (const name of ["a/1", "a/2", "a/b/3", "c"]) await bucket.file(name).save(name);
  const names = async (query: object) => (await bucket.getFiles(query))[0].map(({ name }) => name);
  assert.deepEqual(await names({ prefix: "a/" }), ["a/1", "a/2", "a/b/3"]);
  assert.deepEqual(await names({ startOffset: "a/2", endOffset: "c" }), ["a/2", "a/b/3"]);
  const [page, next] = await bucket.getFiles({ maxResults: 3, autoPaginate: false });
  const [rest, end] = await bucket.getFiles({ ...next, autoPaginate: false });
  assert.deepEqual(
    [...page, ...rest].map(({ name }) => name),
    ["a/1", "a/2", "a/b/3", "c"],
  );
  assert.deepEqual([page.length, end], [3, null]);
  const [files, , response] = await bucket.getFiles({ prefix: "a/", delimiter: "/", autoPaginate: false });
  assert.deepEqual(
    [files.map(({ name }) => name), (response as { prefixes: string[] }).prefixes],
    [["a/1", "a/2"], ["a/b/"]],
  );

  await bucket.file("a/1").copy(bucket.file("copy"));
  await bucket.combine(["a/1", "a/2"], "both");
  assert.equal((await bucket.file("both").download()).toString(), "a/1a/2");
  const [composed] = await bucket.file("both").getMetadata();
  assert.deepEqual([composed.componentCount, composed.md5Hash], [2, undefined]);
  await bucket.file("copy").setMetadata({ metadata: { k: "v" } }, { ifMetagenerationMatch: 1 });
  assert.equal((await bucket.file("copy").getMetadata())[0].metageneration, "2");
  await assert.rejects(bucket.file("copy").setMetadata({}, { ifMetagenerationMatch: 1 }), { code: 412 });
  await bucket.deleteFiles();
  assert.deepEqual(await names({}), []);
  await storage.createBucket("another-bucket");
  assert.deepEqual(
    (await storage.getBuckets())[0].map(({ name }) => name),
    [BUCKET, "another-bucket"],
  );
  await assert.rejects(storage.createBucket("another-bucket"), { code: 409 });
});

test("generations, preconditions and ranges", async (t) => {
  const { fake, bucket, objects, ask } = await open(t);
  const file = bucket.file("x");
  await file.save("first", { preconditionOpts: { ifGenerationMatch: 0 } });
  const first = String(file.metadata.generation);
  await assert.rejects(file.save("again", { preconditionOpts: { ifGenerationMatch: 0 } }), { code: 412 });
  await file.save("second!", { preconditionOpts: { ifGenerationMatch: first } });
  const second = String(file.metadata.generation);
  assert.ok(BigInt(second) > BigInt(first));
  assert.equal((await ask("GET", `${objects}/x?generation=${first}`)).status, 404);
  assert.equal((await ask("GET", `${objects}/x?ifGenerationNotMatch=${second}`)).status, 304);
  assert.equal((await ask("GET", `${objects}/x?ifGenerationMatch=abc`)).status, 400);
  assert.equal((await ask("DELETE", `${objects}/x?ifGenerationMatch=${first}`)).reason, "conditionNotMet");
  const part = await fetch(`${objects}/x?alt=media`, { headers: { range: "bytes=2-3" } });
  assert.deepEqual([part.status, part.headers.get("content-range"), await part.text()], [206, "bytes 2-3/7", "co"]);
  assert.equal(await (await fetch(`${objects}/x?alt=media`, { headers: { range: "bytes=-2" } })).text(), "d!");
  assert.equal((await ask("GET", `${objects}/x?alt=media`, { headers: { range: "bytes=7-" } })).status, 416);
  assert.equal(fake.pathOf(BUCKET, "x", first), undefined);
  assert.equal((await ask("DELETE", `${objects}/x?generation=${second}`)).status, 204);
});

test("what is stored compressed is handed out as its reader takes it", async (t) => {
  const { bucket, objects } = await open(t);
  await bucket.file("x").save("text ".repeat(100), { gzip: true });
  const raw = await bucket.file("x").download({ decompress: false });
  assert.equal(gunzipSync(raw[0]).toString(), "text ".repeat(100));
  assert.equal((await bucket.file("x").download()).toString(), "text ".repeat(100));
  const plain = await fetch(`${objects}/x?alt=media`, { headers: { "accept-encoding": "identity" } });
  assert.deepEqual([plain.headers.get("content-encoding"), await plain.text()], [null, "text ".repeat(100)]);
});

test("a resumable upload by hand: states, overlaps, and what does not fit", async (t) => {
  const { fake, uploads, ask } = await open(t);
  const start = async () => {
    const { response } = await ask("POST", `${uploads}?uploadType=resumable&name=x`, { body: "{}" });
    return response.headers.get("location") ?? "";
  };
  const bytes = Buffer.alloc(600 * KIB, "0123456789");
  const put = async (uri: string, range: string, body?: Buffer) => {
    const answer = await ask("PUT", uri, {
      headers: { "content-range": range },
      ...(body && { body: new Uint8Array(body) }),
    });
    return [answer.status, answer.response.headers.get("range")] as const;
  };
  const uri = await start();
  assert.deepEqual(await put(uri, "bytes */*"), [308, null]);
  assert.deepEqual(await put(uri, "bytes 0-1023/*", bytes.subarray(0, KIB)), [400, null], "a part is too small");
  assert.deepEqual(await put(uri, "bytes 1024-2047/2048", bytes.subarray(0, KIB)), [400, null], "a gap");
  assert.deepEqual(await put(uri, "bytes 0-99/*", bytes.subarray(0, 256 * KIB)), [400, null], "another length");
  assert.deepEqual(await put(uri, "lines 0-99/*"), [400, null]);
  assert.deepEqual(await put(uri, `bytes 0-${300 * KIB - 1}/*`, bytes.subarray(0, 300 * KIB)), [
    308,
    `bytes=0-${256 * KIB - 1}`,
  ]);
  assert.deepEqual(await put(uri, "bytes */614400"), [308, `bytes=0-${256 * KIB - 1}`]);
  assert.equal(fake.openSessions(), 1);
  assert.equal((await put(uri, `bytes ${200 * KIB}-${600 * KIB - 1}/${600 * KIB}`, bytes.subarray(200 * KIB)))[0], 200);
  assert.ok(readFileSync(fake.pathOf(BUCKET, "x") ?? "").equals(bytes), "what came twice is there once");
  assert.equal((await put(uri, "bytes */*"))[0], 200, "the end can be asked for again");
  assert.equal(fake.objects(BUCKET).length, 1);

  const cancelled = await start();
  assert.equal((await ask("DELETE", cancelled)).status, 499);
  assert.equal((await put(cancelled, "bytes */*"))[0], 499);
  const dead = await start();
  fake.killSessions();
  assert.equal((await put(dead, "bytes */*"))[0], 410);
  assert.equal((await ask("PUT", `${uploads}?upload_id=unknown`)).status, 404);
  const wrong = await start();
  const headers = { "content-range": "bytes 0-0/1", "x-goog-hash": "crc32c=AAAAAA==" };
  assert.match((await ask("PUT", wrong, { headers, body: "x" })).message ?? "", /doesn't match calculated/);
});

test("an upload whose connection breaks keeps what came in whole granules", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-upload-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { fake, uploads, ask } = await open(t, { folder });
  const incoming = join(folder, "incoming");
  const came = () => Math.max(...readdirSync(incoming).map((name) => statSync(join(incoming, name)).size));
  const { response } = await ask("POST", `${uploads}?uploadType=resumable&name=x`, { body: "{}" });
  const uri = response.headers.get("location") ?? "";
  const body = new ReadableStream({
    async pull(controller) {
      controller.enqueue(new Uint8Array(300 * KIB));
      while (came() < 300 * KIB) await sleep(5);
      controller.error(new Error("the line broke"));
    },
  });
  const init = { method: "PUT", body, duplex: "half", headers: { "content-range": "bytes 0-*/*" } } as const;
  await assert.rejects(fetch(uri, init));
  const state = await ask("PUT", uri, { headers: { "content-range": "bytes */*" } });
  assert.deepEqual([state.status, state.response.headers.get("range")], [308, `bytes=0-${256 * KIB - 1}`]);
  assert.deepEqual(fake.objects(BUCKET), []);
});

test("what the service refuses is refused with its status and reason", async (t) => {
  const { fake, objects, uploads, ask } = await open(t);
  const b = `${fake.url}/storage/v1/b`;
  const multipart = (body: string) => ({ body, headers: { "content-type": "multipart/related; boundary=B" } });
  const metadata = (json: string) =>
    multipart(`--B\r\ncontent-type: application/json\r\n\r\n${json}\r\n--B\r\n\r\nx\r\n--B--`);
  const cases: readonly (readonly [string, string, string, RequestInit, number, string])[] = [
    ["no uploadType", "POST", `${uploads}?name=x`, { body: "x" }, 400, "wrongUrlForUpload"],
    ["not below /upload", "POST", `${objects}?uploadType=media&name=x`, { body: "x" }, 400, "wrongUrlForUpload"],
    ["no name", "POST", `${uploads}?uploadType=media`, { body: "x" }, 400, "required"],
    [
      "an unknown bucket",
      "POST",
      `${uploads.replace(BUCKET, "nobody")}?uploadType=media&name=x`,
      { body: "x" },
      404,
      "notFound",
    ],
    ["a line break", "POST", `${uploads}?uploadType=media&name=a%0Ab`, { body: "x" }, 400, "invalid"],
    ["a long name", "POST", `${uploads}?uploadType=media&name=${"n".repeat(1025)}`, { body: "x" }, 400, "invalid"],
    ["dots", "POST", `${uploads}?uploadType=media&name=..`, { body: "x" }, 400, "invalid"],
    ["no boundary", "POST", `${uploads}?uploadType=multipart&name=x`, { body: "x" }, 400, "badContent"],
    [
      "one part",
      "POST",
      `${uploads}?uploadType=multipart&name=x`,
      multipart("--B\r\n\r\n{}\r\n--B--"),
      400,
      "badContent",
    ],
    [
      "no end",
      "POST",
      `${uploads}?uploadType=multipart&name=x`,
      multipart("--B\r\n\r\n{}\r\n--B\r\n\r\nx"),
      400,
      "badContent",
    ],
    ["bad metadata", "POST", `${uploads}?uploadType=multipart&name=x`, metadata("{"), 400, "parseError"],
    ["a wrong md5", "POST", `${uploads}?uploadType=multipart&name=x`, metadata('{"md5Hash":"AA=="}'), 400, "invalid"],
    ["no object", "GET", `${objects}/none`, {}, 404, "notFound"],
    ["no bucket", "GET", `${b}/nobody/o`, {}, 404, "notFound"],
    ["a bad page token", "GET", `${objects}?pageToken=nonsense`, {}, 400, "invalid"],
    ["bad fields", "GET", `${objects}?fields=items(name`, {}, 400, "invalidParameter"],
    ["a bad bucket name", "POST", `${b}?project=p`, { body: '{"name":"Upper"}' }, 400, "invalid"],
    ["google in it", "POST", `${b}?project=p`, { body: '{"name":"my-google-bucket"}' }, 400, "invalid"],
    ["no project", "POST", b, { body: '{"name":"fine"}' }, 400, "required"],
    ["another path", "GET", `${fake.url}/storage/v2/x`, {}, 404, "notFound"],
    [
      "a bad topic",
      "POST",
      `${b}/${BUCKET}/notificationConfigs`,
      { body: '{"topic":"t","payload_format":"NONE"}' },
      400,
      "invalid",
    ],
  ];
  for (const [title, method, url, init, status, reason] of cases) {
    const answer = await ask(method, url, init);
    assert.deepEqual([answer.status, answer.reason], [status, reason], `${title}: ${answer.message}`);
  }
  assert.deepEqual(fake.objects(BUCKET), []);
  assert.equal((await ask("POST", `${uploads}?uploadType=multipart&name=x`, metadata("{}"))).status, 200);
  assert.equal((await ask("DELETE", `${b}/${BUCKET}`)).reason, "conflict");
  assert.equal(readFileSync(fake.pathOf(BUCKET, "x") ?? "", "utf8"), "x");
});

test("gcloud's forms: a multipart body with bare line feeds and a quoted boundary, and fields by their paths", async (t) => {
  const { fake, objects, uploads, ask } = await open(t);
  const body =
    '--==B==\nContent-Type: application/json\nMIME-Version: 1.0\n\n{"name": "x"}\n--==B==\nContent-Type: text/csv\n\nhi\r\n\n--==B==--\n';
  const headers = { "content-type": "multipart/related; boundary='==B=='" };
  assert.equal((await ask("POST", `${uploads}?uploadType=multipart`, { body, headers })).status, 200);
  assert.equal(readFileSync(fake.pathOf(BUCKET, "x") ?? "", "utf8"), "hi\r\n");
  assert.equal(fake.objects(BUCKET)[0]?.attributes.contentType, "text/csv");
  const { body: page } = await ask("GET", `${objects}?fields=prefixes,items/name,items/size,nextPageToken`);
  assert.deepEqual(page, { items: [{ name: "x", size: "4" }] });
});

test("with auth required, only a bearer token or an upload's own URI gets in", async (t) => {
  const { objects, uploads, ask } = await open(t, { requireAuth: true });
  const headers = { authorization: "Bearer token" };
  assert.deepEqual([(await ask("GET", objects)).status, (await ask("GET", objects, { headers })).status], [401, 200]);
  const { response } = await ask("POST", `${uploads}?uploadType=resumable&name=x`, { body: "{}", headers });
  assert.equal((await ask("PUT", response.headers.get("location") ?? "", { body: "x" })).status, 200);
});

test("notification configs, and what they send", async (t) => {
  const received: Notification[] = [];
  let failures = 2;
  const onNotification = (notification: Notification) => {
    if (failures-- > 0) return Promise.reject(new Error("the topic is away"));
    received.push(notification);
    return Promise.resolve();
  };
  const { fake, bucket } = await open(t, { onNotification });
  const [config] = await bucket.createNotification("projects/p/topics/drops", {
    eventTypes: ["OBJECT_FINALIZE"],
    objectNamePrefix: "in/",
    payloadFormat: "JSON_API_V1",
    customAttributes: { team: "data" },
  });
  await bucket.file("in/a").save("1");
  await bucket.file("out/a").save("1");
  const { generation: first } = fake.objects(BUCKET, "in/")[0] ?? { generation: "" };
  await fake.settled();
  await fake.put(BUCKET, "in/a", "22");
  await fake.settled();
  assert.deepEqual(
    received.map(({ topic }) => topic),
    ["projects/p/topics/drops", "projects/p/topics/drops"],
  );
  const [object] = fake.objects(BUCKET, "in/");
  const { eventTime, ...attributes } = received[1]?.attributes ?? {};
  assert.match(eventTime ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.deepEqual(attributes, {
    team: "data",
    notificationConfig: `projects/_/buckets/${BUCKET}/notificationConfigs/${config.id}`,
    eventType: "OBJECT_FINALIZE",
    payloadFormat: "JSON_API_V1",
    bucketId: BUCKET,
    objectId: "in/a",
    objectGeneration: object?.generation,
    overwroteGeneration: first,
  });
  const resource = JSON.parse(received[1]?.data ?? "") as { size: string; generation: string };
  assert.deepEqual([resource.size, resource.generation], ["2", object?.generation]);
  assert.equal((await bucket.getNotifications())[0].length, 1);
  await config.delete();
  assert.equal((await bucket.getNotifications())[0].length, 0);
  await fake.put(BUCKET, "in/b", "");
  await fake.settled();
  assert.equal(received.length, 2);
});
