import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { Firestore } from "@google-cloud/firestore";
import type { DocumentData, Timestamp } from "@google-cloud/firestore";
import { put, ref } from "../../lib/core/documents.ts";
import type { InputObject, PartitionDocument, SlotDocument } from "../../lib/core/documents.ts";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import type { SluiceEvent } from "../../lib/core/events.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import type { FirestoreClient } from "../../lib/gcp/firestore-client.ts";
import { COLLECTIONS } from "../../lib/gcp/firestore-documents.ts";
import type { StoredKind } from "../../lib/gcp/firestore-documents.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { FIELD_OVERRIDES } from "../../lib/gcp/firestore-indexes.ts";
import { folderObjectStore } from "../../lib/local/folder-object-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { log, partition, run } from "../ports/event-store-conformance.ts";
import { withEmulator } from "../support/emulators.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";
const golden = new URL("golden/", import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "sluice-firestore-"));

await withEmulator("firestore", (emulator) => {
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await emulator.close();
  });
  let databases = 0;

  function setUp(context: TestContext, wrap: (client: FirestoreClient) => FirestoreClient = (client) => client) {
    const databaseId = `layout${++databases}`;
    const settings = { projectId: "sluice-test", databaseId, emulatorHost: emulator.host };
    let now = Date.now();
    const clock = { ...systemClock(), now: () => now };
    const objects = folderObjectStore({ root: join(folder, databaseId), clock: systemClock() });
    const manifests = { objects, bucket: "sluice" };
    const client = wrap(firestoreClient(settings));
    const store = firestoreEventStore({ client, clock, random: systemRandom(), manifests });
    const bare = firestoreEventStore({ client: firestoreClient(settings), clock, random: systemRandom() });
    const raw = new Firestore({ projectId: "sluice-test", databaseId, host: emulator.host, ssl: false });
    context.after(async () => {
      await Promise.all([store.close(), bare.close(), raw.terminate()]);
    });
    const listed = async (): Promise<string[]> => {
      const names: string[] = [];
      for await (const { name } of objects.list("sluice")) names.push(name);
      return names;
    };
    const stored = async (kind: StoredKind): Promise<DocumentData[]> =>
      (await raw.collection(COLLECTIONS[kind]).get()).docs.map((each) => each.data());
    return { store, bare, raw, objects, listed, stored, clock, pass: (ms: number) => (now += ms) };
  }

  const inputsOf = (count: number): InputObject[] =>
    Array.from({ length: count }, (_, n) => ({
      bucket: "b",
      name: `day/part-${n}.parquet`,
      generation: `${n}`,
      size: n,
    }));
  const withHead = (count: number): PartitionDocument => ({
    ...partition("a", "p"),
    head: { materializationId: "m", runId: "r", at: 1, fingerprint: "f", inputs: inputsOf(count) },
  });
  const materialized = (id: string, count: number): SluiceEvent => ({
    v: 1,
    id,
    at: 1,
    asset: "a",
    type: "materialized",
    materializationId: "m",
    fingerprint: "f",
    inputs: inputsOf(count),
  });

  test("documents of every earlier layout are still read", async (context) => {
    const { store, raw } = setUp(context);
    const files = readdirSync(golden);
    assert.ok(files.length > 0);
    for (const file of files) {
      const { documents } = JSON.parse(readFileSync(new URL(file, golden), "utf8")) as {
        documents: { kind: StoredKind; id: string; stored: DocumentData; value: unknown }[];
      };
      for (const { kind, stored } of documents) {
        // JSON has no times: these two fields are some.
        const times = Object.entries(stored["fields"] as DocumentData).map(([field, value]) =>
          field === "t" || field === "expireAt" ? [field, new Date(String(value))] : [field, value as unknown],
        );
        await raw
          .collection(COLLECTIONS[kind])
          .doc(String(stored["name"]))
          .set(Object.fromEntries(times) as DocumentData);
      }
      for (const { kind, id, value } of documents) {
        if (kind !== "event") assert.deepEqual(await store.get(kind, id), value, `${file} ${kind}`);
      }
      const events = documents.filter(({ kind }) => kind === "event").map(({ value }) => value);
      const { items } = await store.history({ asset: "golden/asset", order: "oldest" });
      assert.deepEqual(
        items.map(({ position: _, ...event }) => event),
        events,
      );
      assert.equal((await store.runs({ name: "golden/asset" })).items.length, 1);
      assert.equal((await store.partitions({ name: "golden/asset", from: "2024-05-01" })).items.length, 1);
      assert.equal((await store.due({ now: Number.MAX_SAFE_INTEGER, limit: 9 })).length, 1);
    }
  });

  test("a document of a newer layout is refused in one line", async (context) => {
    const { store, raw } = setUp(context);
    await store.transact({}, () => ({
      result: 0,
      writes: [put(ref("cursor", "c"), { value: "1", at: 1 })],
      events: [],
    }));
    const [document] = (await raw.collection(COLLECTIONS.cursor).get()).docs;
    await document?.ref.update({ v: 2 });
    await assert.rejects(
      store.get("cursor", "c"),
      (error: unknown) =>
        error instanceof PermanentError && /layout 2, and this Sluice knows layouts up to 1/.test(error.message),
    );
  });

  test("no stored field is indexed by itself, and only what may go has an end", async (context) => {
    const { store, stored } = setUp(context);
    const ended = run("ended", { endedAt: 1_000, status: "succeeded" });
    const unsaid = run("unsaid", { ...ended, id: "unsaid", outbox: [{ topic: "t", data: 1 }] });
    const slot: SlotDocument = { sequence: 1 };
    await store.transact({}, () => ({
      result: 0,
      writes: [
        ...[run("live"), ended, unsaid].map((one) => put(ref("run", one.id), one)),
        put(ref("partition", "a|p"), withHead(300)),
        put(ref("slot", "d.t"), slot),
        put(ref("asset", "a"), { key: "a", partition: "p", order: "p", materializationId: "m", at: 1 }),
        put(ref("sensor", "s"), { name: "s" }),
        put(ref("due", "live"), { shard: 3, dueAt: 5_000, runId: "live" }),
        put(ref("cursor", "c"), { value: "1", at: 1 }),
        put(ref("pause", "a"), { asset: "a", at: 1 }),
        put(ref("freshness", "a"), { asset: "a", policy: "p", since: 1, status: "late", at: 1, because: "r" }),
        put(ref("alert", "x"), { alert: "x", group: "g", seen: ["e"] }),
        put(ref("backfill", "b"), {
          id: "b",
          asset: "a",
          from: "p",
          to: "p",
          total: 1,
          which: "all",
          maxConcurrent: 1,
          status: "running",
          next: 0,
          underWay: [],
          counts: { passedOver: 0, succeeded: 0, skipped: 0, failed: 0 },
          failures: [],
          revision: 1,
          createdAt: 1,
          since: { at: 1, ended: 0 },
          updatedAt: 1,
        }),
      ],
      events: [
        materialized("m", 3),
        log("l", { asset: "a", partition: "p", run: "r" }),
        { v: 1, id: "sealed", at: 1, asset: "a", partition: "p", type: "partition.sealed" },
        { v: 1, id: "parked", at: 1, type: "run.parked", code: "c", reason: "r", wakeAt: 1 },
      ],
    }));
    // The keys of COLLECTIONS are the kinds.
    for (const kind of Object.keys(COLLECTIONS) as StoredKind[]) {
      const documents = await stored(kind);
      assert.ok(documents.length > 0, kind);
      const rules = FIELD_OVERRIDES.filter(({ collectionGroup }) => collectionGroup === COLLECTIONS[kind]);
      assert.ok(
        rules.some((rule) => rule.fieldPath === "*" && "indexes" in rule && rule.indexes.length === 0),
        `the fields of ${kind} would be indexed by themselves`,
      );
    }
    const ends = async (kind: StoredKind): Promise<Record<string, number | undefined>> =>
      Object.fromEntries(
        (await stored(kind)).map((document) => [
          String(document["id"]),
          (document["expireAt"] as Timestamp | undefined)?.toMillis(),
        ]),
      );
    const day = 86_400_000;
    assert.deepEqual(await ends("run"), { live: undefined, ended: 1_000 + 90 * day, unsaid: undefined });
    assert.deepEqual(await ends("due"), { live: 5_000 + 90 * day });
    assert.deepEqual(await ends("event"), { m: undefined, sealed: undefined, l: 1 + 30 * day, parked: 1 + 90 * day });
    for (const kind of [
      "partition",
      "slot",
      "asset",
      "sensor",
      "cursor",
      "pause",
      "freshness",
      "alert",
      "backfill",
    ] as const)
      assert.deepEqual(Object.values(await ends(kind)), [undefined]);
  });

  test("names of documents spread evenly, whatever the ids", async (context) => {
    const { store, raw } = setUp(context);
    await store.append(Array.from({ length: 200 }, (_, n) => log(`2024-05-01-${String(n).padStart(4, "0")}`)));
    const names = (await raw.collection(COLLECTIONS.event).get()).docs.map(({ id }) => id);
    assert.equal(new Set(names.map((name) => name[0])).size, 16);
    const shards = new Set(
      (await raw.collection(COLLECTIONS.event).get()).docs.map((each) => each.get("shard") as number),
    );
    assert.equal(shards.size, 8);
  });

  test("a long list of inputs is one object, however many documents have it; short ones stay inside", async (context) => {
    const { store, listed, stored } = setUp(context);
    const at = ref("partition", "a|p");
    const save = (count: number): Promise<unknown> =>
      store.transact({ at }, () => ({
        result: 0,
        writes: [put(at, withHead(count))],
        events: [materialized(`m${count}`, count)],
      }));
    await save(200);
    assert.deepEqual(await listed(), []);
    await save(201);
    assert.equal((await listed()).length, 1);
    assert.deepEqual(await store.get("partition", at.id), withHead(201));
    const [document] = await stored("partition");
    assert.ok(String(document?.["json"]).length < 500);
    const { items } = await store.history({ types: ["materialized"], order: "oldest" });
    assert.deepEqual(
      items.map((event) => event.type === "materialized" && event.inputs.length),
      [200, 201],
    );
  });

  test("another process reads what lies outside, within a transaction as well, and a changed object is noticed", async (context) => {
    const { store, objects, listed, clock } = setUp(context);
    const at = ref("partition", "a|p");
    await store.transact({}, () => ({ result: 0, writes: [put(at, withHead(5_000))], events: [] }));
    const other = firestoreEventStore({
      client: firestoreClient({
        projectId: "sluice-test",
        databaseId: `layout${databases}`,
        emulatorHost: emulator.host,
      }),
      clock,
      random: systemRandom(),
      manifests: { objects, bucket: "sluice" },
    });
    const seen = await other.transact({ at }, (state) => ({
      result: state.at?.head?.inputs.length,
      writes: state.at === undefined ? [] : [put(at, { ...state.at, token: 7 })],
      events: [],
    }));
    assert.equal(seen, 5_000);
    await other.close();
    assert.deepEqual(await store.get("partition", at.id), { ...withHead(5_000), token: 7 });

    const [name = ""] = await listed();
    await objects.write("sluice", name, [Buffer.from("[]")]);
    const fresh = firestoreEventStore({
      client: firestoreClient({
        projectId: "sluice-test",
        databaseId: `layout${databases}`,
        emulatorHost: emulator.host,
      }),
      clock,
      random: systemRandom(),
      manifests: { objects, bucket: "sluice" },
    });
    await assert.rejects(fresh.get("partition", at.id), /is not what was written there/);
    await fresh.close();
  });

  test("an author's value that looks like a reference stays as it is", async (context) => {
    const { store } = setUp(context);
    const config = { inputs: { $manifest: "0".repeat(64) }, other: { $manifest: "x" } };
    const odd = run("odd", { request: { ...run("x").request, config } });
    await store.transact({}, () => ({ result: 0, writes: [put(ref("run", "odd"), odd)], events: [] }));
    assert.deepEqual(await store.get("run", "odd"), odd);
    const both = { ...odd, request: { ...odd.request, config: { ...config, deep: { inputs: inputsOf(300) } } } };
    await store.transact({}, () => ({ result: 0, writes: [put(ref("run", "odd"), both)], events: [] }));
    assert.deepEqual(await store.get("run", "odd"), both);
  });

  test("a document of several MB lies outside; without a bucket it is refused in one line and nothing is stored", async (context) => {
    const { store, bare, listed } = setUp(context);
    const large = run("large", { reason: "🦔x".repeat(700_000) });
    const write = () => ({ result: 0, writes: [put(ref("run", "large"), large)], events: [log("with it")] });
    await assert.rejects(
      bare.transact({}, write),
      (error: unknown) =>
        error instanceof PermanentError &&
        error.code === "too-large" &&
        /give the event store a bucket/.test(error.message),
    );
    assert.deepEqual((await bare.history({})).items, []);
    await store.transact({}, write);
    assert.equal((await listed()).length, 1);
    assert.deepEqual(await store.get("run", "large"), large);
    assert.deepEqual((await store.runs({})).items, [large]);
    await assert.rejects(bare.get("run", "large"), /has a part in a bucket/);
  });

  test("manifests that no document needs are swept after a week, and none that one needs or may need", async (context) => {
    const { store, listed, pass } = setUp(context);
    const at = ref("partition", "a|p");
    const week = 7 * 86_400_000;
    const save = (count: number, events: SluiceEvent[] = []): Promise<unknown> =>
      store.transact({ at }, () => ({ result: 0, writes: [put(at, withHead(count))], events }));
    await save(300, [materialized("kept by its event", 300)]);
    await save(301);
    await save(302);
    assert.equal((await listed()).length, 3);
    pass(week - 60_000);
    assert.deepEqual(await store.sweep(), { deleted: 0 }, "too young");
    pass(120_000);
    let after: string | undefined;
    let deleted = 0;
    for (let slice = 0; slice < 9; slice++) {
      const report = await store.sweep({ limit: 1, ...(after === undefined ? {} : { startAfter: after }) });
      deleted += report.deleted;
      after = report.next;
      if (after === undefined) break;
    }
    assert.equal(deleted, 1);
    assert.equal((await listed()).length, 2);
    assert.equal((await store.get("partition", at.id))?.head?.inputs.length, 302);
    await save(301); // needed again: written again
    assert.equal((await store.get("partition", at.id))?.head?.inputs.length, 301);
  });

  test("a database out of reach is a passing fault in one line", async (context) => {
    const client = firestoreClient({ projectId: "p", emulatorHost: "127.0.0.1:1" });
    const failing: FirestoreClient = {
      ...client,
      open: async () => {
        const open = await client.open();
        // As above: what the types leave out.
        const inner = open.db as unknown as Record<string, unknown>;
        const fail = (): Promise<never> =>
          Promise.reject(
            Object.assign(new Error("7 PERMISSION_DENIED: Missing or insufficient permissions."), { code: 7 }),
          );
        inner["request"] = fail;
        inner["requestStream"] = fail;
        return open;
      },
    };
    const store = firestoreEventStore({ client: failing, clock: systemClock(), random: systemRandom() });
    context.after(() => store.close());
    await assert.rejects(
      store.append([log("e")]),
      (error: unknown) => error instanceof RetryableError && /roles\/datastore\.user/.test(error.message),
    );
  });
});
