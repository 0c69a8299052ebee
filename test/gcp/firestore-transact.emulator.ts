/** Decisions of several clients on the same documents, as calls of Firestore: what they cost, and what becomes of those that break off. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { Firestore } from "@google-cloud/firestore";
import { decided, put, ref } from "../../lib/core/documents.ts";
import { RetryableError } from "../../lib/core/errors.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import type { FirestoreClient, OpenFirestore } from "../../lib/gcp/firestore-client.ts";
import { COLLECTIONS } from "../../lib/gcp/firestore-documents.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { increment, log, run } from "../ports/event-store-conformance.ts";
import { withEmulator } from "../support/emulators.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

/** `make` is one call of the SDK; the result is what it answers. */
type Around = (method: string, make: () => Promise<unknown>) => Promise<unknown>;

/** The client, with something around every call that it makes. */
function around(client: FirestoreClient, each: Around): FirestoreClient {
  let wrapped: Promise<OpenFirestore> | undefined;
  const wrap = async (): Promise<OpenFirestore> => {
    const open = await client.open();
    // Every single call of the SDK goes through one of these two, which its types leave out.
    const inner = open.db as unknown as Record<
      "request" | "requestStream",
      (method: string, ...rest: unknown[]) => Promise<unknown>
    >;
    for (const name of ["request", "requestStream"] as const) {
      const original = inner[name].bind(open.db);
      inner[name] = (method, ...rest) => each(method, () => original(method, ...rest));
    }
    return open;
  };
  return { ...client, open: () => (wrapped ??= wrap()) };
}

await withEmulator("firestore", (emulator) => {
  after(() => emulator.close());
  let databases = 0;

  /** Stores of several processes on one database. */
  function setUp(context: TestContext) {
    const databaseId = `decisions${++databases}`;
    const settings = { projectId: "sluice-test", databaseId, emulatorHost: emulator.host };
    const raw = new Firestore({ projectId: "sluice-test", databaseId, host: emulator.host, ssl: false });
    context.after(() => raw.terminate());
    const open = (each: Around = (_, make) => make(), clock = systemClock()): EventStore => {
      const client = around(firestoreClient(settings), each);
      const store = firestoreEventStore({ client, clock, random: systemRandom() });
      context.after(() => store.close());
      return store;
    };
    return { open, raw };
  }

  /** A process that stops right before it commits, until it is let go on. */
  function halting() {
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const each: Around = async (method, make) => {
      if (method === "commit") {
        reached.resolve();
        await goOn.promise;
      }
      return await make();
    };
    return { each, reached: reached.promise, goOn: () => goOn.resolve() };
  }

  test("who dies between its reads and its commit delays nobody, and can do no harm should it come back", async (context) => {
    const { open } = setUp(context);
    const { each, reached, goOn } = halting();
    const [zombie, heir] = [open(each), open()];
    const late = increment(zombie, "c");
    await reached;
    for (let n = 1; n <= 5; n++) assert.equal(await increment(heir, "c"), n, "nothing is held for the dead");
    goOn();
    assert.equal(await late, 6, "it reads and decides again");
    assert.equal((await heir.get("cursor", "c"))?.value, "6");
  });

  test("what was only read is as it was when the decision is written, whether it is there or not", async (context) => {
    const { open } = setUp(context);
    for (const there of [true, false]) {
      const { each, reached, goOn } = halting();
      const [slow, quick] = [open(each), open()];
      const [guard, other] = [ref("cursor", `guard ${there}`), ref("cursor", `other ${there}`)];
      const to = (value: string) => ({ value, at: 1 });
      if (there) await quick.transact({}, () => ({ result: 0, writes: [put(guard, to("before"))], events: [] }));
      const seen: (string | undefined)[] = [];
      const copied = slow.transact({ guard }, ({ guard: read }) => {
        seen.push(read?.value);
        return {
          result: read?.value,
          writes: [put(other, to(read?.value ?? "none"))],
          events: [log(`copied ${there}`)],
        };
      });
      await reached;
      await quick.transact({ guard }, () => ({ result: 0, writes: [put(guard, to("after"))], events: [] }));
      goOn();
      assert.equal(await copied, "after");
      assert.deepEqual(seen, [there ? "before" : undefined, "after"]);
      assert.equal((await quick.get("cursor", other.id))?.value, "after");
    }
  });

  test("many may rest on a document that nobody changes: they are not in each other's way", async (context) => {
    const { open, raw } = setUp(context);
    let commits = 0;
    const stores = Array.from({ length: 8 }, () =>
      open((method, make) => {
        if (method === "commit") commits += 1;
        return make();
      }),
    );
    const [first] = stores;
    assert.ok(first !== undefined);
    const shared = ref("cursor", "shared");
    await first.transact({}, () => ({ result: 0, writes: [put(shared, { value: "1", at: 1 })], events: [] }));
    const times = async () =>
      (await raw.collection(COLLECTIONS.cursor).get()).docs
        .filter((document) => document.get("id") === shared.id)
        .map(({ updateTime }) => updateTime.toDate().toISOString());
    const before = await times();
    commits = 0;
    await Promise.all(
      stores.map((store, n) =>
        store.transact({ shared, none: ref("cursor", "none") }, () => ({
          result: 0,
          writes: [put(ref("cursor", `own ${n}`), { value: "1", at: 1 })],
          events: [],
        })),
      ),
    );
    assert.equal(commits, 8, "each at its first try");
    assert.deepEqual(await times(), before, "guarding it has not touched it");
  });

  test("a decision is one read and one commit; one that writes nothing, or reads nothing, is one call; nothing is locked", async (context) => {
    const { open } = setUp(context);
    const calls: string[] = [];
    const store = open((method, make) => {
      calls.push(method);
      return make();
    });
    const cost = async (work: () => Promise<unknown>): Promise<string[]> => {
      calls.length = 0;
      await work();
      return [...calls];
    };
    const both = { at: ref("cursor", "c"), slot: ref("slot", "s") };
    const write = [put(both.at, { value: "1", at: 1 })];
    const events = [log("e")];
    assert.deepEqual(await cost(() => store.transact(both, () => ({ result: 0, writes: write, events }))), [
      "batchGetDocuments",
      "commit",
    ]);
    assert.deepEqual(await cost(() => store.transact(both, () => decided(0))), ["batchGetDocuments"]);
    assert.deepEqual(await cost(() => store.transact({}, () => ({ result: 0, writes: write, events: [] }))), [
      "commit",
    ]);
    assert.deepEqual(await cost(() => store.append([log("e2")])), ["commit"]);
    assert.deepEqual(await cost(() => store.append([])), []);
  });

  test("a document that is written anew has nothing left of what it was", async (context) => {
    const { open, raw } = setUp(context);
    const store = open();
    const at = ref("run", "r");
    const save = (value: ReturnType<typeof run>) =>
      store.transact({ at }, () => ({ result: 0, writes: [put(at, value)], events: [] }));
    const fields = async () => Object.keys((await raw.collection(COLLECTIONS.run).get()).docs[0]?.data() ?? {}).sort();
    await save(run("r"));
    const live = await fields();
    await save(run("r", { status: "succeeded", endedAt: 1 }));
    assert.deepEqual(await fields(), [...live, "expireAt"].sort(), "it may go");
    await save(run("r"));
    assert.deepEqual(await fields(), live, "and may not");
    assert.deepEqual(await store.get("run", "r"), run("r"));
    const remove = () => store.transact({ at }, () => ({ result: 0, writes: [{ delete: at }], events: [] }));
    await remove();
    await remove();
    assert.equal(await store.get("run", "r"), undefined);
  });

  test("who is overtaken for a minute gives up in one line that names the document, and may try again", async (context) => {
    const { open } = setUp(context);
    const quick = open();
    let now = 0;
    // Somebody else is faster every time; the pauses in between take no time of this test.
    const clock = { now: () => now, sleep: async (ms: number) => void (now += ms) };
    const slow = open(async (method, make) => {
      if (method === "commit") await increment(quick, "hot");
      return await make();
    }, clock);
    await assert.rejects(
      increment(slow, "hot"),
      (error: unknown) =>
        error instanceof RetryableError &&
        /others change cursor hot all the time; send less at once/.test(error.message),
    );
    assert.ok(now >= 60_000);
  });

  test("a commit whose answer is lost counts once, and its own result comes back", async (context) => {
    const { open } = setUp(context);
    let left = 0;
    const store = open(async (method, make) => {
      const answer = await make();
      if (method !== "commit" || left === 0) return answer;
      left -= 1;
      throw Object.assign(new Error("UNAVAILABLE: the connection broke"), { code: 14 });
    });
    for (let n = 1; n <= 20; n++) {
      left = n % 2;
      assert.equal(await increment(store, "c"), n);
      assert.equal(left, 0, "they were lost indeed");
    }
    left = 1;
    await store.append([log("once")]);
    left = 1;
    const won = await store.transact({ at: ref("cursor", "claim") }, ({ at }) =>
      at === undefined
        ? { result: true, writes: [put(ref("cursor", "claim"), { value: "mine", at: 1 })], events: [log("claimed")] }
        : { result: false, writes: [], events: [] },
    );
    assert.equal(won, true, "the claim knows its own");
    const { items } = await store.history({ order: "oldest" });
    assert.deepEqual(
      items.map(({ id }) => id),
      ["once", "claimed"],
    );
  });
});
