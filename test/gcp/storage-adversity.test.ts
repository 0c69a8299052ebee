import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { inspect } from "node:util";
import { errorFor, failureOf } from "../../lib/gcp/storage-errors.ts";
import { BLOCK, BUCKET, bytesOf, content, isPermanent, isRetryable, namesIn, openGcs, pieces } from "./gcs-subject.ts";

test("a download that is cut again and again goes on where it was, at the same generation", async (t) => {
  const subject = await openGcs(t);
  const bytes = content(1_000_000);
  const { generation } = await subject.fake.put(BUCKET, "big", bytes);
  subject.fake.fail({ match: "alt=media", fault: "cut", bytes: 150_000, times: 6 });
  const before = subject.fake.calls.length;
  assert.ok((await bytesOf(subject, "big")).equals(bytes));
  const downloads = subject.fake.calls.slice(before);
  assert.ok(downloads.length >= 4, downloads.join("\n"));
  for (const call of downloads.slice(1)) assert.match(call, new RegExp(`generation=${generation}`));
});

test("an object that is replaced while a download is broken off is not mixed with its successor", async (t) => {
  const subject = await openGcs(t);
  await subject.fake.put(BUCKET, "big", content(500_000, 1));
  subject.fake.fail({ match: "alt=media", fault: "cut", bytes: 100_000 });
  const read = async () => {
    let first = true;
    for await (const _piece of subject.store.read(BUCKET, "big")) {
      if (first) await subject.fake.put(BUCKET, "big", content(500_000, 2));
      first = false;
    }
  };
  await assert.rejects(read(), isRetryable(/replaced or deleted/));
});

test("bytes that changed on the way are noticed", async (t) => {
  const subject = await openGcs(t);
  const { path } = await subject.fake.put(BUCKET, "y", "same size");
  writeFileSync(path, "same Size");
  await assert.rejects(bytesOf(subject, "y"), isRetryable(/damaged/));
});

test("an object that is stored compressed comes as it is stored", async (t) => {
  const subject = await openGcs(t);
  const stored = Buffer.from("H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==", "base64");
  const { size } = await subject.fake.put(BUCKET, "x.gz", stored, { contentEncoding: "gzip" });
  assert.equal((await subject.store.stat(BUCKET, "x.gz"))?.size, size);
  assert.ok((await bytesOf(subject, "x.gz")).equals(stored));
});

test("a resumable upload whose session dies leaves what was there, and says to write again", async (t) => {
  const subject = await openGcs(t);
  const { generation } = await subject.fake.put(BUCKET, "x", "old");
  const body = function* () {
    yield content(BLOCK);
    yield content(BLOCK);
    subject.fake.killSessions();
    yield content(BLOCK);
  };
  const write = subject.store.write(BUCKET, "x", body(), { ifGeneration: generation });
  await assert.rejects(write, isRetryable(/write it again/));
  assert.equal(subject.fake.objects(BUCKET)[0]?.generation, generation);
  assert.equal(subject.fake.openSessions(), 0);
});

test("a session that dies before its first block is replaced, and one after its last block was no loss", async (t) => {
  const subject = await openGcs(t);
  const bytes = content(3 * BLOCK);
  subject.fake.fail({ match: /^PUT .*upload_id/, fault: 410 });
  await subject.store.write(BUCKET, "first", pieces(bytes));
  assert.ok((await bytesOf(subject, "first")).equals(bytes));

  subject.fake.fail({ match: /^PUT .*upload_id/, skip: 2, fault: "reset-after" });
  subject.fake.fail({ match: /^PUT .*upload_id/, skip: 2, fault: 410 });
  await subject.store.write(BUCKET, "last", pieces(bytes), { ifGeneration: null });
  assert.ok((await bytesOf(subject, "last")).equals(bytes));
  await subject.fake.settled();
  assert.equal(subject.finalized.length, 2);
});

test("a write that is given up frees its session", async (t) => {
  const subject = await openGcs(t);
  const body = function* () {
    yield content(2 * BLOCK);
    throw new Error("the source broke");
  };
  await assert.rejects(subject.store.write(BUCKET, "x", body()), /the source broke/);
  for (let tries = 0; subject.fake.openSessions() > 0 && tries < 6_000; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(subject.fake.openSessions(), 0);
  assert.deepEqual(await namesIn(subject), []);
});

test("3,005 objects come in pages, and after any of them", async (t) => {
  const subject = await openGcs(t);
  const names = Array.from({ length: 3005 }, (_, index) => `p/${String(index).padStart(5, "0")}`);
  for (let at = 0; at < names.length; at += 50) {
    await Promise.all(names.slice(at, at + 50).map((name) => subject.fake.put(BUCKET, name, "")));
  }
  await subject.fake.put(BUCKET, "q", "");
  const before = subject.fake.calls.length;
  assert.deepEqual(await namesIn(subject, { prefix: "p/" }), names);
  assert.equal(subject.fake.calls.length - before, 4);
  for (const index of [0, 998, 999, 1000, 1001, 3003, 3004]) {
    const startAfter = names[index] ?? "";
    assert.deepEqual(await namesIn(subject, { prefix: "p/", startAfter }), names.slice(index + 1), startAfter);
  }
  subject.fake.fail({ match: "pageToken", fault: 503, times: 2 });
  assert.equal((await namesIn(subject)).length, 3006);
});

test("a listing while objects come and go has each of the others once", async (t) => {
  const subject = await openGcs(t);
  for (let index = 0; index < 30; index++) await subject.fake.put(BUCKET, `n${index + 10}`, "");
  const seen: string[] = [];
  for await (const { name, generation } of subject.store.list(BUCKET)) {
    seen.push(name);
    assert.equal(await subject.store.delete(BUCKET, name, generation), "deleted");
    await subject.fake.put(BUCKET, `a${name}`, "");
  }
  assert.equal(new Set(seen).size, 30);
});

test("what does not pass is a RetryableError after a bounded number of tries", async (t) => {
  const subject = await openGcs(t, { attempts: 3 });
  for (const fault of [429, 500, 503, "reset-before", "reset-after"] as const) {
    subject.fake.fail({ fault, times: 1000 });
    const before = subject.fake.calls.length;
    await assert.rejects(subject.store.stat(BUCKET, "x"), isRetryable(/could not read gs:\/\/test-bucket\/x/));
    assert.equal(subject.fake.calls.length - before, 3);
    await assert.rejects(subject.store.write(BUCKET, "x", [content(10)]), isRetryable(/could not write/));
    await assert.rejects(subject.store.write(BUCKET, "x", [content(BLOCK + 1)]), isRetryable(/could not write/));
    await assert.rejects(subject.store.delete(BUCKET, "x", "1"), isRetryable(/could not delete/));
    await assert.rejects(namesIn(subject), isRetryable(/could not list/));
    await assert.rejects(bytesOf(subject, "x"), isRetryable(/could not read/));
    subject.fake.heal();
  }
});

test("a server that hangs is given up after the timeout, and a stopped signal does not wait for it", async (t) => {
  const subject = await openGcs(t, { attempts: 2, timeoutMs: 60 });
  await subject.fake.put(BUCKET, "x", "there");
  subject.fake.fail({ fault: "slow", ms: 300, times: 1000 });
  await assert.rejects(subject.store.stat(BUCKET, "x"), isRetryable(/no answer within 60 ms/));
  await assert.rejects(bytesOf(subject, "x"), isRetryable(/no answer within 60 ms/));
  await assert.rejects(subject.store.write(BUCKET, "y", [content(10)]), isRetryable(/no answer/));

  const patient = await openGcs(t);
  await patient.fake.put(BUCKET, "x", "there");
  patient.fake.fail({ fault: "slow", ms: 3_600_000, times: 1000 });
  for (const body of [[content(10)], [content(BLOCK + 1)]]) {
    const reason = new Error("enough");
    const options = { signal: AbortSignal.timeout(20) };
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 20);
    await assert.rejects(patient.store.write(BUCKET, "z", body, { signal: controller.signal }), reason);
    await assert.rejects(async () => {
      for await (const _piece of patient.store.read(BUCKET, "x", options));
    });
  }
});

test("what is refused says what, where and what to do", async (t) => {
  const subject = await openGcs(t);
  const { store, fake } = subject;
  const refused = [
    [() => store.stat(BUCKET, "x"), /storage\.objects\.get/],
    [() => bytesOf(subject, "x"), /storage\.objects\.get/],
    [() => namesIn(subject), /storage\.objects\.list/],
    [() => store.write(BUCKET, "x", []), /storage\.objects\.create/],
    [() => store.write(BUCKET, "x", [content(BLOCK + 1)]), /storage\.objects\.create/],
    [() => store.delete(BUCKET, "x", "1"), /storage\.objects\.delete/],
  ] as const;
  for (const [act, permission] of refused) {
    fake.fail({ fault: 403 });
    const before = fake.calls.length;
    await assert.rejects(act(), (error: unknown) => {
      assert.match(String(error), permission);
      assert.match(String(error), /grant roles\/storage\.object(Viewer|User) on the bucket/);
      return isPermanent("access-denied", BUCKET)(error);
    });
    assert.equal(fake.calls.length - before, 1, "it is not tried again");
  }
  fake.fail({ fault: 403, reason: "rateLimitExceeded" });
  assert.equal(await store.stat(BUCKET, "x"), undefined);
  fake.fail({ fault: 401 });
  await assert.rejects(
    store.stat(BUCKET, "x"),
    isPermanent("unauthenticated", "gcloud auth application-default login"),
  );
  for (const [body, ifGeneration] of [
    [[content(1)]],
    [[content(BLOCK + 1)]],
    [[content(1)], "1"],
    [[content(1)], null],
  ] as const) {
    const options = ifGeneration === undefined ? {} : { ifGeneration };
    await assert.rejects(store.write("no-such-bucket", "x", body, options), isPermanent("not-found", "no-such-bucket"));
  }
});

test("an error that is logged whole shows no token", () => {
  const token = "Bearer ya29.secret";
  const response = { request: { headers: { Authorization: token } }, headers: { authorization: token } };
  const purpose = { bucket: BUCKET, uri: `gs://${BUCKET}/x`, verb: "read" } as const;
  for (const code of [undefined, 400, 401, 403, 404, 503]) {
    const thrown = Object.assign(new Error("it went wrong"), { code, response, config: response });
    const shown = inspect(errorFor(failureOf(thrown), purpose, thrown), { depth: 20, showHidden: true });
    assert.match(shown, /test-bucket/);
    assert.ok(!shown.includes("secret"), shown);
  }
});
