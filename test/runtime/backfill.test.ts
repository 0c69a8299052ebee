/** The driver of backfills over real rules and a store: deaths at every step, and a hundred thousand partitions. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asset, daily, hourly, PermanentError } from "sluice";
import { backfillRunKey } from "../../lib/core/backfill.ts";
import type { BackfillStart } from "../../lib/core/backfill-message.ts";
import type { BackfillDocument, PartitionDocument, RunDocument, Write } from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { partitionSpan } from "../../lib/core/partition-span.ts";
import { runIdOf } from "../../lib/core/request.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { mortalPorts } from "../support/mortal.ts";
import type { Ports } from "../support/mortal.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";
import type { VirtualClock } from "../support/virtual-clock.ts";

const KEY = "demo/days";
const TOPIC = "asset.demo.days";
const ID = "00112233aabbccdd";
const CONSUMER = { kind: "asset", key: KEY } as const;

function definitionsOf(definition: unknown): Definitions {
  const { definitions, problems } = collectDefinitions([{ file: "functions/test.ts", exports: { definition } }]);
  if (problems[0] !== undefined) throw problems[0];
  return definitions;
}

interface Message {
  readonly data: unknown;
  readonly at: number;
}

interface Post {
  readonly ports: Ports;
  readonly clock: VirtualClock;
  readonly waiting: Message[];
  send(data: unknown): void;
  receive(runtime: Runtime, data: unknown): Promise<void>;
  /** Delivers what can be delivered, lets time pass where nothing can, until nothing is left; or until the death of who receives. */
  run(runtime: Runtime, death?: Promise<string>): Promise<string | undefined>;
}

const none = (): never => assert.fail("not to be called");

function post(events: EventStore): Post {
  const clock = virtualClock(Date.UTC(2024, 5, 1));
  const waiting: Message[] = [];
  const names = new Set<string>();
  let count = 0;
  const send = (data: unknown, at = 0): void => void waiting.push({ data, at });
  const ports: Ports = {
    events,
    clock,
    random: seededRandom(7),
    secrets: { access: none },
    bus: {
      publish: async (topic, { data }) => {
        if (topic === TOPIC) send(data);
        return `m${++count}`;
      },
      schedule: async (name, topic, { data }, at) => {
        assert.equal(topic, TOPIC);
        if (!names.has(name)) send(data, at);
        names.add(name);
      },
    },
    objects: { list: none, stat: none, read: none, write: none, delete: none },
    warehouse: {
      submit: none,
      dryRun: none,
      inspect: none,
      cancel: none,
      wait: none,
      rows: none,
      describe: none,
      extend: none,
      drop: none,
      list: none,
    },
  };
  const receive = (runtime: Runtime, data: unknown): Promise<void> =>
    runtime.receive(CONSUMER, {
      body: {
        message: {
          data: Buffer.from(JSON.stringify(data)).toString("base64"),
          messageId: `d${++count}`,
          publishTime: new Date(clock.now()).toISOString(),
        },
      },
    });
  return {
    ports,
    clock,
    waiting,
    send,
    receive,
    async run(runtime, death = new Promise<never>(() => undefined)) {
      for (let rounds = 0; ; rounds++) {
        assert.ok(rounds < 5_000, "it never ends");
        const index = waiting.findIndex(({ at }) => at <= clock.now());
        const [message] = index < 0 ? [] : waiting.splice(index, 1);
        if (message !== undefined) {
          const done = receive(runtime, message.data).then(() => undefined);
          const died = await Promise.race([death, done]);
          if (died === undefined) continue;
          waiting.push(message); // nobody has acknowledged it
          return died;
        }
        const due = (await events.nextDue()) ?? Infinity;
        const next = Math.min(due, ...waiting.map(({ at }) => at));
        if (next === Infinity) return undefined;
        await clock.advance(next - clock.now());
        if (due <= clock.now()) {
          const died = await Promise.race([death, runtime.sweepDue().then(() => undefined)]);
          if (died !== undefined) return died;
        }
      }
    },
  };
}

const start = (more: Partial<BackfillStart> = {}): unknown => ({
  backfill: { action: "start", id: ID, from: "2024-05-01", to: "2024-05-07", ...more },
});

const days = asset({
  key: KEY,
  partitions: daily({ start: "2024-01-01" }),
  target: "none",
  retry: { maxRetries: 0 },
  async materialize({ partition }) {
    if (partition.key === "2024-05-03") throw new PermanentError("the third is bad");
  },
});

async function backfillIn(store: EventStore): Promise<BackfillDocument> {
  return (await store.get("backfill", ID)) ?? assert.fail("there is none");
}

async function runsIn(store: EventStore): Promise<readonly RunDocument[]> {
  return (await store.runs({ limit: 1_000 })).items;
}

describe("the driver", () => {
  test("comes to the same end after a death at every step", async () => {
    let deaths = 0;
    for (let step = 1; ; step++) {
      assert.ok(step < 400, "the backfill never ends");
      const store = memoryEventStore();
      const world = post(store);
      const definitions = definitionsOf(days);
      const options = { definitions: () => definitions };
      const { ports, death } = mortalPorts(world.ports, step);
      world.send(start({ maxConcurrent: 2 }));
      const died = await world.run(createRuntime({ ...ports, ...options }), death);
      if (died !== undefined) await world.run(createRuntime({ ...world.ports, ...options }));

      const after = `after ${died ?? "no death"}, step ${step}`;
      const { status, counts, underWay } = await backfillIn(store);
      assert.deepEqual([status, underWay], ["done", []], after);
      assert.deepEqual(counts, { passedOver: 0, succeeded: 6, skipped: 0, failed: 1 }, after);
      const runs = await runsIn(store);
      assert.deepEqual(
        runs.map(({ partition, request }) => `${partition} ${request.runKey}`).sort(),
        Array.from({ length: 7 }, (_, n) => `2024-05-0${n + 1} ${backfillRunKey(ID, `2024-05-0${n + 1}`)}`),
        after,
      );
      assert.equal(await store.nextDue(), undefined, after);
      const { items } = await store.history({ types: ["backfill.started", "backfill.ended"] });
      assert.deepEqual(
        items.map(({ type }) => type),
        ["backfill.ended", "backfill.started"],
        after,
      );
      if (died === undefined) break;
      deaths += 1;
    }
    assert.ok(deaths > 50, `${deaths} deaths`);
  });

  test("a request that is folded into another one is made again when that one is over", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const definitions = definitionsOf(days);
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    const partition = "2024-05-01";
    const busy: PartitionDocument = {
      name: KEY,
      partition,
      token: 1,
      holder: { runId: "ffff0000ffff0000", token: 1, leaseUntil: world.clock.now() + 100_000 },
      pending: {
        plain: { partition, runKey: "other", cause: { kind: "manual" }, requestedAt: 0 },
        special: [],
      },
    };
    const place = partitionRef(KEY, partition);
    await store.transact({}, () => ({ result: 0, writes: [put(place, busy)], events: [] }));
    world.send(start({ to: partition }));
    // Its message is received, and dropped in favour of the one that waits already.
    await world.receive(runtime, world.waiting.shift()?.data);
    assert.deepEqual((await backfillIn(store)).underWay.length, 1);
    await world.receive(runtime, world.waiting.shift()?.data);
    assert.deepEqual(await store.get("partition", place.id), busy);
    const { holder, pending, ...free } = busy;
    await store.transact({}, () => ({ result: 0, writes: [put(place, free)], events: [] }));
    await world.run(runtime);
    const { status, counts } = await backfillIn(store);
    assert.deepEqual([status, counts.succeeded], ["done", 1]);
  });

  test("which: partitions without data, those whose last run failed, or all", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const definitions = definitionsOf(days);
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    const asked = async (which: "missing" | "failed" | "all", id: string): Promise<readonly string[]> => {
      world.send(start({ which, id }));
      await world.run(runtime);
      const runs = (await runsIn(store)).filter(({ request }) => request.runKey.startsWith(`backfill:${id}:`));
      return runs.map(({ partition }) => partition.slice(-2)).sort();
    };
    for (const partition of ["2024-05-02", "2024-05-03", "2024-05-05"]) world.send({ partition });
    await world.run(runtime);
    assert.deepEqual(await asked("failed", "0".repeat(16)), ["03"]);
    assert.deepEqual(await asked("missing", "1".repeat(16)), ["01", "03", "04", "06", "07"]);
    assert.deepEqual(await asked("missing", "2".repeat(16)), ["03"]);
    assert.deepEqual(await asked("all", "3".repeat(16)), ["01", "02", "03", "04", "05", "06", "07"]);
  });

  test("what makes no sense is refused in one line, and begins nothing", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const kept = asset({
      key: KEY,
      partitions: daily({ start: "2015-01-01" }),
      target: { table: { dataset: "demo", table: "days" }, slot: "table", schemaChange: "replace" },
      async materialize() {},
    });
    let definitions = definitionsOf(kept);
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    const refusal = async (message: unknown): Promise<string> => {
      world.send(message);
      await world.run(runtime);
      const [event] = (await store.history({ types: ["message.refused"], limit: 1 })).items;
      assert.equal(await store.get("backfill", ID), undefined);
      return event?.type === "message.refused" ? event.reason : "";
    };
    assert.match(await refusal(start({ from: "2024-05-08" })), /runs backwards/);
    assert.match(await refusal(start({ to: "2024-07-01" })), /has not begun yet/);
    assert.match(await refusal(start({ from: "2014-05-08" })), /before the first one/);
    assert.match(
      await refusal(start({ from: "2016-01-01" })),
      /do not fit into a day: .*--per-day 1350 would take 3 days/,
    );
    assert.match(await refusal(start({ maxConcurrent: 101 })), /backfill.*100/);
    assert.match(await refusal({ backfill: { action: "wake", id: ID } }), /there is no backfill/);
    assert.match(await refusal({ backfill: "yes" }), /nothing that a backfill is told/);
    definitions = definitionsOf(asset({ key: KEY, target: "none", async materialize() {} }));
    assert.match(await refusal(start()), /has no partitions/);
  });

  test("ends when the asset's partitions are not those that it began with", async () => {
    const store = memoryEventStore();
    const world = post(store);
    let definitions = definitionsOf(days);
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    world.send(start({ perDay: 1 }));
    await world.receive(runtime, world.waiting.shift()?.data);
    definitions = definitionsOf(asset({ key: KEY, partitions: hourly(), target: "none", async materialize() {} }));
    await world.run(runtime);
    const { status, reason, endedAt, failures } = await backfillIn(store);
    assert.equal(status, "cancelled");
    assert.match(reason ?? "", /not those that it began with/);
    // What is under way can be asked for no more, and is not waited for.
    assert.notEqual(endedAt, undefined);
    assert.deepEqual(
      failures.map(({ partition }) => partition),
      ["2024-05-01"],
    );
  });
});

test("a hundred thousand partitions: few writes, little memory, a bounded time", { timeout: 120_000 }, async (t) => {
  const sqlite = openSqliteEventStore({ file: ":memory:" });
  t.after(() => sqlite.close());
  const [from, to] = ["2010-01-01T00", "2021-05-29T15"];
  const partitions = hourly({ start: from });
  const span = partitionSpan(partitions, from, to);
  assert.equal(span.total, 100_000);
  let writes = 0;
  let longest = 0;
  const store: EventStore = {
    ...sqlite,
    transact: (refs, decide) =>
      sqlite.transact(refs, (state) => {
        const decision = decide(state);
        for (const write of decision.writes) {
          if (!("put" in write) || write.put.kind !== "backfill") continue;
          writes += 1;
          longest = Math.max(longest, JSON.stringify(write.value).length);
        }
        return decision;
      }),
  };
  // Every tenth partition of the first half has data.
  const made: Write[] = [];
  for (let n = 0; n < 50_000; n += 10) {
    const head = { materializationId: "m", runId: "r", at: 0, fingerprint: "", inputs: [] };
    made.push(put(partitionRef(KEY, span.at(n)), { name: KEY, partition: span.at(n), token: 1, head }));
  }
  await sqlite.transact({}, () => ({ result: 0, writes: made, events: [] }));

  const world = post(store);
  const definition = asset({ key: KEY, partitions, target: "none", async materialize() {} });
  const definitions = definitionsOf(definition);
  const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
  const receive = (data: unknown): Promise<void> => world.receive(runtime, data);
  const heapBefore = process.memoryUsage().heapUsed;
  let heap = 0;
  const requested = new Set<string>();
  await receive(start({ from, to, maxConcurrent: 100 }));
  for (let second = 0; (await backfillIn(store)).endedAt === undefined; second++) {
    assert.ok(second < 2_000, "it takes too long");
    // Workers of somewhere else: every request ends within the second.
    const ended: Write[] = [];
    for (const { data } of world.waiting.splice(0)) {
      if (typeof data !== "object" || data === null || !("partition" in data)) continue;
      const partition = String(data.partition);
      assert.ok(!requested.has(partition));
      requested.add(partition);
      const runKey = backfillRunKey(ID, partition);
      const id = runIdOf("asset", KEY, partition, runKey);
      const now = world.clock.now();
      ended.push(
        put(ref("run", id), {
          id,
          kind: "asset",
          name: KEY,
          partition,
          request: { partition, runKey, cause: { kind: "backfill", id: ID }, requestedAt: now },
          status: "succeeded",
          attempt: 1,
          failures: 0,
          token: 1,
          createdAt: now,
          updatedAt: now,
          endedAt: now,
          outbox: [],
        }),
      );
    }
    await sqlite.transact({}, () => ({ result: 0, writes: ended, events: [] }));
    await world.clock.advance(1_000);
    await receive({ backfill: { action: "wake", id: ID } });
    // Many more ends than one call: within the same second they change nothing.
    const before = writes;
    await receive({ backfill: { action: "wake", id: ID } });
    assert.equal(writes, before);
    heap = Math.max(heap, process.memoryUsage().heapUsed);
  }
  const { counts, status } = await backfillIn(store);
  assert.equal(status, "done");
  assert.deepEqual(counts, { passedOver: 5_000, succeeded: 95_000, skipped: 0, failed: 0 });
  assert.equal(requested.size, 95_000);
  assert.ok(writes < 1_100, `${writes} writes of the document`);
  assert.ok(longest < 10_000, `${longest} characters in the document`);
  // The test's own set of requests is most of it.
  assert.ok(heap - heapBefore < 200_000_000, `${Math.round((heap - heapBefore) / 1e6)} MB`);
});
