/** What a run costs: every call that its event store makes to Firestore, while the real runtime carries it out. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { materializedTopicOf } from "../../lib/core/asset-key.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import type { FirestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { folderObjectStore } from "../../lib/local/folder-object-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import { withEmulator } from "../support/emulators.ts";
import { BUCKET, KEY, dayImport, nameOf } from "../support/import-world.ts";
import { memoryWarehouse } from "../support/memory-warehouse.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";
const folder = mkdtempSync(join(tmpdir(), "sluice-cost-"));

/** `calls` gets the name of every call of the client, in order. */
function counting(client: FirestoreClient, calls: string[]): FirestoreClient {
  let wrapped = false;
  return {
    ...client,
    open: async () => {
      const open = await client.open();
      if (wrapped) return open;
      wrapped = true;
      // Every call of the SDK goes through one of these two, which its types leave out.
      const inner = open.db as unknown as Record<
        "request" | "requestStream",
        (method: string, ...rest: unknown[]) => Promise<unknown>
      >;
      for (const name of ["request", "requestStream"] as const) {
        const original = inner[name].bind(open.db);
        inner[name] = (method, ...rest) => {
          calls.push(method);
          return original(method, ...rest);
        };
      }
      return open;
    },
  };
}

await withEmulator("firestore", (emulator) => {
  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    await emulator.close();
  });
  let worlds = 0;

  /** With jobs that take their time, this passes whenever nothing is asked of the store, which has the time of the machine. */
  async function setUp(context: TestContext, { jobMs = 0 } = {}) {
    const databaseId = `cost${++worlds}`;
    const virtual = jobMs > 0 ? virtualClock() : undefined;
    const clock = virtual ?? systemClock();
    const random = seededRandom();
    const calls: string[] = [];
    const operations: string[] = [];
    const underWay = new Set<Promise<unknown>>();
    const settings = { projectId: "sluice-test", databaseId, emulatorHost: emulator.host };
    const store = firestoreEventStore({ client: counting(firestoreClient(settings), calls), clock, random });
    const objects = folderObjectStore({ root: join(folder, databaseId), clock: systemClock() });
    const generations = new Map<string, string>();
    const memory = memoryWarehouse((uri) => generations.get(uri));
    const warehouse = portOf(memory, clock, jobMs);
    const published: string[] = [];
    const runtime = createRuntime({
      objects,
      warehouse,
      events: watched(store, operations, underWay),
      bus: {
        publish: async (topic) => `${published.push(topic)}`,
        schedule: async () => undefined,
      },
      secrets: { access: () => Promise.reject(new PermanentError("no secrets here")) },
      clock,
      random,
      definitions: () => dayImport(),
    });
    context.after(() => store.close());
    const drop = async (day: number): Promise<void> => {
      const { generation } = await objects.write(BUCKET, nameOf(day), [Buffer.from(String(Math.random()))]);
      generations.set(`gs://${BUCKET}/${nameOf(day)}`, generation);
    };
    const request = async (day: number, runKey: string): Promise<void> => {
      const data = { partition: `2024-05-0${day}`, runKey };
      const message = {
        data: Buffer.from(JSON.stringify(data)).toString("base64"),
        messageId: runKey.replaceAll(/\D/g, "") || "1",
        publishTime: new Date(clock.now()).toISOString(),
      };
      let isOver = false;
      const done = runtime
        .receive({ kind: "asset", key: KEY }, { body: { message, subscription: "s" } })
        .finally(() => (isOver = true));
      done.catch(() => undefined);
      while (virtual !== undefined && !isOver) {
        await pause(10);
        const next = virtual.nextAt();
        if (underWay.size === 0 && next !== undefined) await virtual.advance(next - virtual.now());
      }
      await done;
    };
    /** What one piece of work costs. */
    const cost = async (work: () => Promise<void>) => {
      calls.length = 0;
      operations.length = 0;
      await work();
      return { calls: [...calls], operations: [...operations] };
    };
    return { store, drop, request, cost, published, clock };
  }

  test("from its claim to its announcement, a run makes three transactions and one mark of its outbox", async (context) => {
    const { store, drop, request, cost, published } = await setUp(context);
    await drop(1);
    const first = await cost(() => request(1, "k1"));
    assert.equal((await store.runs({ name: KEY })).items[0]?.status, "succeeded");
    assert.deepEqual(published, [materializedTopicOf(KEY)]);
    context.diagnostic(`a first load: ${first.operations.join(", ")}`);
    context.diagnostic(`calls of Firestore: ${summary(first.calls)}`);
    assert.deepEqual(
      first.operations.filter((name) => name.startsWith("transact")),
      [
        "transact run+partition+pause",
        "transact partition+slot",
        "transact run+partition+slot+asset",
        "transact run+partition",
      ],
    );
    assert.equal(first.calls.filter((name) => name === "commit").length, 4);
    const gets = first.operations.filter((name) => name.startsWith("get"));
    assert.ok(gets.length <= 4, gets.join(", "));
    assert.equal(first.calls.length, 4 * 2 + gets.length, "two calls a transaction, one a document");
    assert.equal(first.operations.filter((name) => name.startsWith("append")).length, 0);

    await drop(2);
    const second = await cost(() => request(2, "k2"));
    assert.deepEqual(second.calls, first.calls, "history makes no difference");

    const again = await cost(() => request(1, "k1"));
    context.diagnostic(`the same trigger again: ${again.operations.join(", ")}: ${summary(again.calls)}`);
    assert.equal(again.operations.filter((name) => name.startsWith("transact")).length, 1);
  });

  test("while a run waits for its job, it makes one renewal in 30 s and nothing else", async (context) => {
    const { drop, request, cost, clock } = await setUp(context, { jobMs: 125_000 });
    await drop(1);
    const began = clock.now();
    const { operations, calls } = await cost(() => request(1, "k1"));
    const elapsed = clock.now() - began;
    const renewals = operations.filter((name) => name === "transact partition").length;
    context.diagnostic(`jobs of 125 s: ${operations.join(", ")}; ${summary(calls)}`);
    assert.ok(elapsed >= 3 * 125_000, "a load, a publish and the copy to the raw table, one after the other");
    assert.ok(renewals <= Math.floor(elapsed / 30_000), `${renewals} renewals in ${elapsed} ms`);
    assert.ok(renewals >= Math.floor(elapsed / 45_000), `${renewals} renewals in ${elapsed} ms`);
    assert.equal(operations.filter((name) => name.startsWith("transact")).length - renewals, 4);
  });
});

/** Notes every operation that the runtime asks of its store, and which are under way. */
function watched(store: EventStore, operations: string[], underWay: Set<Promise<unknown>>): EventStore {
  const noted = <T>(operation: Promise<T>): Promise<T> => {
    const whole: Promise<T> = operation.finally(() => underWay.delete(whole));
    underWay.add(whole);
    return whole;
  };
  return {
    ...store,
    transact: (refs, decide) => {
      operations.push(
        `transact ${Object.values(refs)
          .map(({ kind }) => kind)
          .join("+")}`,
      );
      return noted(store.transact(refs, decide));
    },
    get: (kind, id) => {
      operations.push(`get ${kind}`);
      return noted(store.get(kind, id));
    },
    append: (events) => {
      operations.push(`append ${events.map(({ type }) => type).join("+")}`);
      return noted(store.append(events));
    },
    history: (query) => {
      operations.push("history");
      return noted(store.history(query));
    },
  };
}

/** The memory warehouse behind the port; a job runs once it was waited for so long. */
function portOf(memory: ReturnType<typeof memoryWarehouse>, clock: Clock, jobMs: number): Warehouse {
  return {
    submit: async (id, spec, labels) => memory.submit(id, spec, labels),
    inspect: async (id) => memory.inspect(id),
    cancel: async (id) => memory.cancel(id),
    dryRun: () => Promise.reject(new PermanentError("no dry runs here")),
    async wait(id, { signal }) {
      if (memory.pending().some((job) => job.id === id)) {
        await clock.sleep(jobMs, signal);
        memory.run(id);
      }
      return memory.inspect(id) ?? assert.fail(id);
    },
    async *rows() {},
    describe: async (table) => memory.describe(table),
    extend: async () => undefined,
    drop: async (table) => memory.drop(table),
    async *list({ dataset }, prefix = "") {
      yield* memory.list(dataset, prefix);
    },
  };
}

function summary(calls: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of calls) counts.set(name, (counts.get(name) ?? 0) + 1);
  return `${calls.length} calls: ${[...counts].map(([name, count]) => `${count} ${name}`).join(", ")}`;
}
