import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { PermanentError } from "../../lib/core/errors.ts";
import { hash } from "../../lib/core/hash.ts";
import { decode, defaultKeep, encode } from "../../lib/gcp/firestore-documents.ts";
import { openManifests } from "../../lib/gcp/firestore-manifests.ts";
import { folderObjectStore } from "../../lib/local/folder-object-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";

const DAY_MS = 86_400_000;
const text = JSON.stringify(["one", "🦔"]);
const texts = new Map([[hash(text), text]]);

function setUp(context: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "sluice-manifests-"));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  let ahead = 0;
  const clock = { ...systemClock(), now: () => Date.now() + ahead };
  const objects = folderObjectStore({ root, clock: systemClock() });
  const written: string[] = [];
  const watched: typeof objects = {
    ...objects,
    write: (bucket, name, body, options) => {
      written.push(name);
      return objects.write(bucket, name, body, options);
    },
  };
  const open = () => openManifests({ objects: watched, bucket: "sluice" }, clock);
  return { open, objects, written, pass: (ms: number) => (ahead += ms) };
}

test("an object is written once, by whichever process, and read back by others", async (context) => {
  const { open, written } = setUp(context);
  const [one, other] = [open(), open()];
  assert.equal(one.isStored(hash(text)), false);
  await Promise.all([one.store(texts), other.store(texts)]);
  await one.store(texts);
  assert.ok(written.length <= 2);
  assert.equal(one.isStored(hash(text)), true);
  assert.deepEqual(await open().load([hash(text), hash(text)]), texts);
  await assert.rejects(open().load(["0".repeat(64)]), PermanentError);
});

test("after an hour it is looked for again, and after a day written again, so that no sweep takes what is needed anew", async (context) => {
  const { open, written, pass } = setUp(context);
  const manifests = open();
  await manifests.store(texts);
  pass(3_600_000);
  assert.equal(manifests.isStored(hash(text)), false);
  await manifests.store(texts);
  assert.equal(written.length, 1);
  pass(DAY_MS);
  await manifests.store(texts);
  assert.equal(written.length, 2);
});

test("what comes to be needed between the sweep's look and its deletion stays", async (context) => {
  const { open, pass } = setUp(context);
  await open().store(texts);
  pass(8 * DAY_MS);
  const report = await open().sweep(async () => {
    await open().store(texts); // another process needs it, a moment after nobody did
    return false;
  }, {});
  assert.deepEqual(report, { deleted: 0 });
  assert.deepEqual(await open().load([hash(text)]), texts);
  const calm = await open().sweep(async () => false, {});
  assert.deepEqual(calm, { deleted: 1 });
});

test("the sweep leaves alone what is not a manifest", async (context) => {
  const { open, objects, pass } = setUp(context);
  await objects.write("sluice", "manifests/readme.txt", [Buffer.from("mine")]);
  await objects.write("sluice", "other.json", [Buffer.from("mine")]);
  pass(8 * DAY_MS);
  assert.deepEqual(await open().sweep(async () => false, {}), { deleted: 0 });
});

test("without a bucket there is no place, and what needs one says so", async () => {
  const none = openManifests(undefined, systemClock());
  assert.equal(none.available, false);
  assert.equal((await none.load([])).size, 0);
  await assert.rejects(none.load([hash(text)]), /open the event store with its manifests/);
});

test("only what is asked which objects it needs may lie in one: a large cursor is refused, and not swept away", () => {
  const options = { keep: defaultKeep, outside: true, mark: "m" };
  const large = "x".repeat(1_000_000);
  assert.throws(
    () => encode("cursor", "c", { value: large, at: 1 }, options),
    (error: unknown) =>
      error instanceof PermanentError &&
      error.code === "too-large" &&
      error.message.endsWith("1 MiB; store a reference"),
  );
  const value = { name: "a", partition: large, token: 1 };
  const { fields, texts } = encode("partition", "p", value, options);
  assert.equal(texts.size, 1);
  assert.deepEqual(decode("partition", fields, texts), value);
});
