/** The driver of backfills over real rules and a store: deaths at every step, and a hundred thousand partitions. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asset, daily, hourly, PermanentError, RetryableError } from "sluice";
import type { MaterializeContext, Partition, PartitionRange } from "sluice";
import { backfillRequest, backfillRunKey } from "../../lib/core/backfill.ts";
import { advance } from "../../lib/core/commit.ts";
import type { BackfillStart } from "../../lib/core/backfill-message.ts";
import type {
  AssetDocument,
  BackfillDocument,
  PartitionDocument,
  RunDocument,
  Write,
} from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { partitionSpan } from "../../lib/core/partition-span.ts";
import { partitionOrder } from "../../lib/core/partitions.ts";
import { replayOf } from "../../lib/core/replay.ts";
import { runIdOf } from "../../lib/core/request.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { heldBytes } from "../support/held-memory.ts";
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

/** Requests by their partitions, which come first in their text. */
function oldestFirst(messages: readonly Message[]): readonly Message[] {
  const textOf = ({ data }: Message): string => JSON.stringify(data);
  return messages.toSorted((one, other) => (textOf(one) < textOf(other) ? -1 : 1));
}

/** How often each document has been written, by kind and id. */
interface WriteCounts {
  count(writes: readonly Write[]): void;
  of(kind: string, id: string): number;
  /** The documents that were written more often than so. */
  over(most: number): readonly string[];
}

function writeCounts(): WriteCounts {
  const counts = new Map<string, number>();
  return {
    count(writes) {
      for (const write of writes) {
        const { kind, id } = "put" in write ? write.put : write.delete;
        counts.set(`${kind} ${id}`, (counts.get(`${kind} ${id}`) ?? 0) + 1);
      }
    },
    of: (kind, id) => counts.get(`${kind} ${id}`) ?? 0,
    over: (most) => [...counts].flatMap(([name, count]) => (count > most ? [`${name}: ${count} writes`] : [])),
  };
}

function counting(store: EventStore, counts: WriteCounts): EventStore {
  return {
    ...store,
    transact: (refs, decide) => {
      let writes: readonly Write[] = [];
      return store
        .transact(refs, (state) => {
          const decision = decide(state);
          ({ writes } = decision);
          return decision;
        })
        .finally(() => counts.count(writes));
    },
  };
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
        plain: { partition, runKey: "other", cause: { kind: "schedule" }, requestedAt: 0 },
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
      ["2024-05-07"],
    );
  });
});

describe("a single run", () => {
  const WEEK = Array.from({ length: 7 }, (_, n) => `2024-05-0${n + 1}`);
  const single = (more: Partial<BackfillStart> = {}): unknown => start({ singleRun: true, ...more });
  const raw = asset({
    key: "demo/raw",
    partitions: daily({ start: "2024-01-01" }),
    target: "none",
    async materialize() {},
  });

  type Code = (range: PartitionRange, context: MaterializeContext<unknown, Partition>) => Promise<unknown> | void;
  const made = (code: Code, more: { readonly backfill?: "single-run" } = { backfill: "single-run" }): Definitions => {
    const definition = asset({
      key: KEY,
      partitions: daily({ start: "2024-01-01" }),
      target: "none",
      deps: [raw],
      retry: { maxRetries: 0 },
      ...more,
      async materialize(context) {
        await code(context.partitionRange, context);
      },
    });
    return definitionsOf([raw, definition]);
  };

  /** A new materialization of the upstream, as a run of it would leave it. */
  async function materializeRaw(store: EventStore, partition: string, version: string): Promise<void> {
    const head = { materializationId: version, runId: "r", at: 0, fingerprint: "", inputs: [] };
    const document = { name: "demo/raw", partition, token: 1, head };
    await store.transact({}, () => ({
      result: 0,
      writes: [put(partitionRef("demo/raw", partition), document)],
      events: [],
    }));
  }

  async function headsIn(store: EventStore): Promise<readonly PartitionDocument[]> {
    const { items } = await store.partitions({ name: KEY, limit: 100 });
    assert.ok(items.every(({ holder, pending }) => holder === undefined && pending === undefined));
    return items.filter(({ head }) => head !== undefined);
  }

  /** Delivers until the run that makes the range has done so, and nothing of what follows from it. */
  async function untilMade(world: Post, runtime: Runtime, store: EventStore): Promise<void> {
    for (;;) {
      await world.receive(runtime, world.waiting.shift()?.data);
      if ((await runsIn(store)).some(({ status }) => status === "succeeded")) return;
    }
  }

  test("makes the range at once and records each partition once, after a death at every step", async () => {
    let deaths = 0;
    for (let step = 1; ; step++) {
      assert.ok(step < 600, "the backfill never ends");
      const store = memoryEventStore();
      for (const key of WEEK) await materializeRaw(store, key, `raw ${key}`);
      const world = post(store);
      const calls: PartitionRange[] = [];
      const definitions = made((range) => void calls.push(range));
      const options = { definitions: () => definitions };
      const { ports, death } = mortalPorts(world.ports, step);
      world.send(single());
      const died = await world.run(createRuntime({ ...ports, ...options }), death);
      if (died !== undefined) await world.run(createRuntime({ ...world.ports, ...options }));

      const after = `after ${died ?? "no death"}, step ${step}`;
      const { status, counts, underWay } = await backfillIn(store);
      assert.deepEqual([status, underWay], ["done", []], after);
      assert.deepEqual(counts, { passedOver: 0, succeeded: 7, skipped: 0, failed: 0 }, after);
      assert.ok(calls.length >= 1 && calls.length <= (died === undefined ? 1 : 2), `${calls.length} calls ${after}`);
      for (const range of calls) {
        const [from, to] = ["2024-05-01", "2024-05-07"];
        const times = { start: Date.UTC(2024, 4, 1), end: Date.UTC(2024, 4, 8) };
        assert.deepEqual(range, { from, to, keys: WEEK, ...times }, after);
      }
      const heads = await headsIn(store);
      assert.deepEqual(
        heads.map(({ partition, head }) => [partition, head?.upstreams]),
        WEEK.map((key) => [key, { [`demo/raw|${key}`]: `raw ${key}` }]),
        after,
      );
      const { items } = await store.history({ types: ["materialized"] });
      assert.deepEqual(items.map(({ partition = "" }) => partition).sort(), WEEK, after);
      assert.ok(
        items.every(({ id }) => heads.some(({ head }) => id === `${head?.runId}-materialized`)),
        after,
      );
      const runs = await runsIn(store);
      assert.deepEqual([runs.length, runs.flatMap(({ outbox }) => outbox)], [7, []], after);
      assert.equal(await store.nextDue(), undefined, after);
      if (died === undefined) break;
      deaths += 1;
    }
    assert.ok(deaths > 50, `${deaths} deaths`);
  });

  test("an upstream that changes meanwhile is not taken for read: its partition is made again, alone", async () => {
    const store = memoryEventStore();
    for (const key of WEEK) await materializeRaw(store, key, "old");
    const world = post(store);
    const ranges: (readonly string[])[] = [];
    const definitions = made(async ({ keys }) => {
      ranges.push(keys);
      if (keys.length > 1) await materializeRaw(store, "2024-05-03", "new");
    });
    world.send(single());
    await world.run(createRuntime({ ...world.ports, definitions: () => definitions }));
    assert.deepEqual(ranges, [WEEK, ["2024-05-03"]]);
    for (const { partition, head } of await headsIn(store)) {
      const expected = { [`demo/raw|${partition}`]: partition === "2024-05-03" ? "new" : "old" };
      assert.deepEqual(head?.upstreams, expected, partition);
    }
  });

  test("fails, or is skipped, as a whole, and records nothing", async () => {
    const failing = made(() => {
      throw new PermanentError("no luck");
    });
    const skipped = made((_, { partition }) => assert.fail(partition.key));
    for (const [definitions, block, expected] of [
      [failing, false, { failed: 7, skipped: 0 }],
      [skipped, true, { failed: 0, skipped: 7 }],
    ] as const) {
      const store = memoryEventStore();
      const world = post(store);
      if (block) {
        // Of any of the partitions that it would be made from.
        const partition = "2024-05-06";
        const blocked = { name: "demo/raw", partition, token: 1, blocked: { at: 0, runId: "r", reason: "bad rows" } };
        const place = partitionRef("demo/raw", partition);
        await store.transact({}, () => ({ result: 0, writes: [put(place, blocked)], events: [] }));
      }
      world.send(single());
      await world.run(createRuntime({ ...world.ports, definitions: () => definitions }));
      const { status, counts, failures } = await backfillIn(store);
      assert.deepEqual([status, counts], ["done", { passedOver: 0, succeeded: 0, ...expected }]);
      assert.deepEqual(
        failures.map(({ partition, reason }) => `${partition}: ${reason}`),
        block ? [] : ["2024-05-01: no luck"],
      );
      assert.deepEqual([(await runsIn(store)).length, (await headsIn(store)).length], [1, 0]);
      assert.equal(await store.nextDue(), undefined);
      // Whoever asks all the same: nothing was made that could be recorded.
      world.send(backfillRequest(await backfillIn(store), "2024-05-02"));
      await world.run(createRuntime({ ...world.ports, definitions: () => failing }));
      assert.equal((await headsIn(store)).length, 0);
    }
  });

  test("cancelled after the range was made, it records the rest when it is resumed", async () => {
    const store = memoryEventStore();
    const world = post(store);
    let calls = 0;
    const definitions = made(() => void (calls += 1));
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    world.send(single());
    await untilMade(world, runtime, store);
    await world.receive(runtime, { backfill: { action: "cancel", id: ID } });
    await world.run(runtime);
    const cancelled = await backfillIn(store);
    assert.deepEqual([cancelled.status, cancelled.counts.succeeded], ["cancelled", 1]);
    assert.equal((await headsIn(store)).length, 1);
    world.send({ backfill: { action: "resume", id: ID } });
    await world.run(runtime);
    const { status, counts } = await backfillIn(store);
    assert.deepEqual([status, counts.succeeded, (await headsIn(store)).length, calls], ["done", 7, 7, 1]);
  });

  test("a partition that another run works on is recorded after it, and a wish that comes meanwhile is not lost", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const calls: string[] = [];
    const gate = Promise.withResolvers<void>();
    const definitions = made(async ({ from, to }, { runId }) => {
      calls.push(from === to ? from : `${from} to ${to}`);
      if (calls.length === 1) await gate.promise;
      assert.notEqual(runId, "");
    });
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    const partition = "2024-05-04";
    const busy = world.receive(runtime, { partition });
    world.send(single());
    // All but the busy one are done; its request waits.
    for (let n = 0; (await backfillIn(store).catch(() => undefined))?.counts.succeeded !== 6; n++) {
      assert.ok(n < 1_000, "it never comes so far");
      const index = world.waiting.findIndex(({ at }) => at <= world.clock.now());
      const [message] = index < 0 ? [] : world.waiting.splice(index, 1);
      if (message === undefined) await world.clock.advance(1_000);
      else await world.receive(runtime, message.data);
    }
    await world.receive(runtime, { partition });
    gate.resolve();
    await busy;
    await world.run(runtime);
    assert.deepEqual(calls, [partition, "2024-05-01 to 2024-05-07", partition]);
    assert.deepEqual((await backfillIn(store)).counts.succeeded, 7);
    const ofIt = (await runsIn(store)).filter((run) => run.partition === partition);
    assert.deepEqual(
      ofIt.map(({ status }) => status),
      ["succeeded", "succeeded", "succeeded"],
    );
  });

  test("code that did not know of ranges has made its own partition alone: the others are made as ever", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const calls: string[] = [];
    const code: Code = ({ from, to }) => void calls.push(from === to ? from : assert.fail("a range"));
    const [now, older] = [made(code), made(code, {})];
    let definitions = now;
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    world.send(single());
    await world.receive(runtime, world.waiting.shift()?.data);
    definitions = older;
    await untilMade(world, runtime, store);
    definitions = now;
    await world.run(runtime);
    assert.deepEqual(calls.toSorted(), WEEK);
    assert.equal((await backfillIn(store)).counts.succeeded, 7);
  });

  test("an attempt that died with the range noted does not vouch for a later one of other code", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const calls: string[] = [];
    const dying = made(() => {
      throw new RetryableError("once");
    });
    let definitions = { ...dying };
    const [days] = [dying.assets.get(KEY) ?? assert.fail()];
    const retried = { ...days, retry: { maxRetries: 1 } };
    definitions = { ...dying, assets: new Map([...dying.assets, [KEY, retried]]) };
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    world.send(single());
    await world.receive(runtime, world.waiting.shift()?.data);
    await world.receive(runtime, world.waiting.shift()?.data);
    const [run] = await runsIn(store);
    assert.deepEqual([run?.status, Object.keys(run?.range?.upstreams ?? {})], ["parked", WEEK]);
    const code: Code = ({ from, to }) => void calls.push(from === to ? from : assert.fail("a range"));
    definitions = made(code, {});
    while (calls.length === 0) {
      await world.clock.advance(60_000);
      await runtime.sweepDue();
      for (const { data } of world.waiting.splice(0)) await world.receive(runtime, data);
    }
    definitions = made(code);
    await world.run(runtime);
    assert.deepEqual(calls.toSorted(), WEEK);
  });

  test("narrows the range to what is missing, and says why it cannot be", async () => {
    const store = memoryEventStore();
    const world = post(store);
    const calls: string[] = [];
    let definitions = made(({ from, to }) => void calls.push(`${from} to ${to}`));
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    const refusal = async (message: unknown): Promise<string> => {
      world.send(message);
      await world.run(runtime);
      const [event] = (await store.history({ types: ["message.refused"], limit: 1 })).items;
      assert.equal(await store.get("backfill", ID), undefined);
      return event?.type === "message.refused" ? event.reason : "";
    };
    world.send({ partition: "2024-05-02" });
    await world.run(runtime);
    assert.match(await refusal(single()), /^1 of the 7 partitions from 2024-05-01 to 2024-05-07 have data.*--all/);
    assert.match(await refusal(single({ which: "failed" })), /leave --failed out/);
    assert.match(await refusal(single({ maxConcurrent: 2 })), /leave --max-concurrent and --per-day out/);
    definitions = made(() => undefined, {});
    assert.match(await refusal(single()), /leave --single-run out, or let its code/);
    definitions = made(({ from, to }) => void calls.push(`${from} to ${to}`));

    const other = "1".repeat(16);
    world.send(single({ from: "2024-05-02", id: other }));
    await world.run(runtime);
    assert.deepEqual(calls, ["2024-05-02 to 2024-05-02", "2024-05-03 to 2024-05-07"]);
    const { from, total, which } = (await store.get("backfill", other)) ?? assert.fail();
    assert.deepEqual([from, total, which], ["2024-05-03", 5, "all"]);

    world.send(single({ from: "2024-05-03" }));
    await world.run(runtime);
    assert.deepEqual((await backfillIn(store)).counts, { passedOver: 5, succeeded: 0, skipped: 0, failed: 0 });
    assert.equal(calls.length, 2);
  });

  test("has no partition of its own and no version, and is not replayed", async () => {
    const store = memoryEventStore();
    const world = post(store);
    let calls = 0;
    const definitions = made(({ keys }, context) => {
      if (keys.length === 1) assert.equal(context.partition.key, "2024-05-01");
      else assert.throws(() => context.partition, /makes 7 partitions.*use context.partitionRange/);
      context.skipUnchanged("v1");
      calls += 1;
    });
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    world.send({ partition: "2024-05-01" });
    await world.run(runtime);
    assert.equal((await headsIn(store))[0]?.head?.dataVersion, "v1");
    world.send(single({ which: "all" }));
    await world.run(runtime);
    assert.equal(calls, 2);
    const [first] = await headsIn(store);
    assert.equal(first?.head?.dataVersion, undefined);
    const run = (await store.get("run", first?.head?.runId ?? "")) ?? assert.fail();
    const replay = replayOf(run, "n");
    assert.match(replay.kind === "refused" ? replay.reason : "", /several partitions of demo\/days at once/);
  });
});

test("a hundred thousand partitions: few writes, little memory, a bounded time", async (t) => {
  const sqlite = openSqliteEventStore({ file: ":memory:" });
  t.after(() => sqlite.close());
  const [from, to] = ["2010-01-01T00", "2021-05-29T15"];
  const partitions = hourly({ start: from });
  const span = partitionSpan(partitions, from, to);
  assert.equal(span.total, 100_000);
  let longest = 0;
  const writes = writeCounts();
  const store = counting(sqlite, {
    ...writes,
    count(some) {
      writes.count(some);
      for (const write of some)
        if ("put" in write && write.put.kind === "backfill")
          longest = Math.max(longest, JSON.stringify(write.value).length);
    },
  });
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
  const before = heldBytes();
  let held = 0;
  const requested = new Set<string>();
  let newest: AssetDocument | undefined;
  const begunAt = world.clock.now();
  await receive(start({ from, to, maxConcurrent: 100 }));
  for (let second = 0; (await backfillIn(store)).endedAt === undefined; second++) {
    assert.ok(second < 2_000, "it takes too long");
    // Workers of somewhere else: every request ends within the second, those of the same second from the oldest to the newest,
    // which is the worst case.
    const ended: Write[] = [];
    for (const { data } of oldestFirst(world.waiting.splice(0))) {
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
      const head = { materializationId: id, runId: id, at: now, fingerprint: "", inputs: [] };
      const identity = { id, kind: "asset" as const, name: KEY, partition };
      for (const write of advance(newest, identity, head, partitionOrder(partitions, partition))) {
        ended.push(write);
        if ("put" in write && write.put.kind === "asset")
          newest = { key: KEY, partition, order: partition, materializationId: id, at: now };
      }
    }
    await store.transact({}, () => ({ result: 0, writes: ended, events: [] }));
    await world.clock.advance(1_000);
    await receive({ backfill: { action: "wake", id: ID } });
    // Many more ends than one call: within the same second they change nothing.
    const writesBefore = writes.of("backfill", ID);
    await receive({ backfill: { action: "wake", id: ID } });
    assert.equal(writes.of("backfill", ID), writesBefore);
    if (second % 100 === 0) held = Math.max(held, heldBytes());
  }
  const { counts, status } = await backfillIn(store);
  assert.equal(status, "done");
  assert.deepEqual(counts, { passedOver: 5_000, succeeded: 95_000, skipped: 0, failed: 0 });
  assert.equal(requested.size, 95_000);
  assert.ok(writes.of("backfill", ID) < 1_100, `${writes.of("backfill", ID)} writes of the document`);
  // No document is written more than once a second, but for the asset's by those that are under way with the newest partition:
  // until it is there, each of them may be the newest so far.
  const seconds = (world.clock.now() - begunAt) / 1_000;
  // The backfill itself is begun and takes its first step in the same second.
  assert.deepEqual(writes.over(2 + seconds), []);
  assert.ok(writes.of("asset", KEY) <= 100, `${writes.of("asset", KEY)} writes of the asset`);
  assert.equal(newest?.partition, to);
  assert.ok(longest < 10_000, `${longest} characters in the document`);
  // The test's own set of requests is most of it.
  assert.ok(held > 0 && held - before < 200_000_000, `${Math.round((held - before) / 1e6)} MB`);
});

test("no document is written more than about once a second, however many runs commit at once", async () => {
  const [from, to] = ["2024-05-01T00", "2024-05-10T23"];
  for (const [which, more, first] of [
    ["a run each", { maxConcurrent: 8 }, 8],
    // That of the whole range is alone, and a hundred at a time record the rest.
    ["a single run", { singleRun: true }, 101],
  ] as const) {
    const writes = writeCounts();
    const store = counting(memoryEventStore(), writes);
    const world = post(store);
    const definition = asset({
      key: KEY,
      partitions: hourly({ start: "2024-01-01T00" }),
      target: "none",
      backfill: "single-run",
      async materialize() {},
    });
    const definitions = definitionsOf(definition);
    const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
    const begunAt = world.clock.now();
    await world.receive(runtime, start({ from, to, ...more }));
    for (let second = 0; (await backfillIn(store)).endedAt === undefined; second++) {
      assert.ok(second < 1_000, "it takes too long");
      const { clock, waiting } = world;
      const ready = waiting.filter(({ at }) => at <= clock.now());
      for (const message of ready) waiting.splice(waiting.indexOf(message), 1);
      // All of them at once, the oldest partition a little earlier: the worst case.
      await Promise.all(oldestFirst(ready).map(({ data }) => world.receive(runtime, data)));
      await clock.advance(500);
      await runtime.sweepDue();
    }
    assert.equal((await backfillIn(store)).counts.succeeded, 240, which);
    assert.equal((await store.get("asset", KEY))?.partition, to, which);
    const seconds = (world.clock.now() - begunAt) / 1_000;
    // Those under way with the newest partition may each be the newest so far; and a run's own document has a few writes in its
    // short life.
    assert.deepEqual(writes.over(first + seconds), [], which);
  }
});

test("one that is under way since before there were orders goes on from the oldest to the newest", async () => {
  const store = memoryEventStore();
  const world = post(store);
  const made: string[] = [];
  const definitions = definitionsOf(
    asset({
      key: KEY,
      partitions: daily({ start: "2024-01-01" }),
      target: "none",
      async materialize({ partition }) {
        made.push(partition.key.slice(-2));
      },
    }),
  );
  const runtime = createRuntime({ ...world.ports, definitions: () => definitions });
  const now = world.clock.now();
  // As an older version has left it.
  const stored = `{"id":"${ID}","asset":"${KEY}","from":"2024-05-01","to":"2024-05-07","total":7,"which":"missing",
    "maxConcurrent":1,"status":"running","next":3,"underWay":[],"counts":{"passedOver":0,"succeeded":3,"skipped":0,"failed":0},
    "failures":[],"day":{"start":0,"requested":3},"revision":7,"createdAt":${now - 9_000},
    "since":{"at":${now - 9_000},"ended":0},"updatedAt":${now - 5_000}}`;
  // JSON of just that type.
  const old = JSON.parse(stored) as BackfillDocument;
  await store.transact({}, () => ({ result: 0, writes: [put(ref("backfill", ID), old)], events: [] }));
  world.send({ backfill: { action: "wake", id: ID } });
  await world.run(runtime);
  assert.deepEqual(made, ["04", "05", "06", "07"]);
  made.length = 0;
  const id = "1".repeat(16);
  world.send(start({ id, which: "missing", from: "2024-04-29", maxConcurrent: 1 }));
  await world.run(runtime);
  assert.deepEqual(made, ["03", "02", "01", "30", "29"]);
  const { next, total, counts, order } = (await store.get("backfill", id)) ?? assert.fail();
  assert.deepEqual([next, total, counts.passedOver, order], [9, 9, 4, "newest-first"]);
});
