/** Poison in every form on the bus of one machine, in virtual time: it ends as an event, and holds nobody up. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { asset, job } from "sluice";
import { jobTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import { deadLetterStates } from "../../lib/core/dead-letter.ts";
import type { DeadLettered } from "../../lib/core/dead-letter.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import type { EventType, StoredEvent } from "../../lib/core/events.ts";
import { DEAD_LETTERS, deadLetterPlan, subscriptionsOf } from "../../lib/core/subscriptions.ts";
import type { SubscriptionPlan } from "../../lib/core/subscriptions.ts";
import { openLocalBus } from "../../lib/local/local-bus.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import { recordDeadLetter } from "../../lib/runtime/dead-letters.ts";
import type { OperationServices } from "../../lib/runtime/operations.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import { defaultSettings } from "../../lib/runtime/services.ts";
import { definitionsOf } from "../support/local-platform.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-dead-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

const MAX_ATTEMPTS = 5;
const GOOD = topicOf("a/good");
const STUCK = topicOf("a/stuck");
const GONE = topicOf("a/gone");
const OLD_JOB = jobTopicOf("old");

const nothing = async (): Promise<void> => undefined;
const good = asset({ key: "a/good", materialize: nothing });
const stuck = asset({ key: "a/stuck", materialize: nothing });
const gone = asset({ key: "a/gone", materialize: nothing });
const old = job({ name: "old", run: nothing });

/** The bus with the real runtime behind it; `a/stuck` cannot be claimed until it is mended. */
function setUp(context: TestContext) {
  const clock = virtualClock();
  const random = seededRandom();
  const store = memoryEventStore();
  const kept = new Map<string, Uint8Array>();
  let definitions: Definitions = definitionsOf({ good, stuck, gone, old });
  let mended = false;
  let lost = false;
  const events: EventStore = {
    ...store,
    transact: (refs, decide) => {
      const touched = Object.values(refs).some(({ kind, id }) => kind === "partition" && id.startsWith("a/stuck|"));
      if (touched && !mended) return Promise.reject(new Error("the store does not take it"));
      return store.transact(refs, decide);
    },
    append: (added) => (lost ? new Promise(() => undefined) : store.append(added)),
  };
  const objects = {
    write: async (_bucket: string, name: string, body: Iterable<Uint8Array>) => {
      kept.set(name, Buffer.concat([...body]));
    },
    async *read(_bucket: string, name: string) {
      yield kept.get(name) ?? assert.fail(name);
    },
  };
  const plans = (): readonly SubscriptionPlan[] => [...subscriptionsOf(definitions), deadLetterPlan];
  const attempts = new Map<string, number>();
  const aside: string[] = [];
  const bus = openLocalBus({
    file: join(folder, `bus ${++files}.db`),
    clock,
    random,
    maxAttempts: MAX_ATTEMPTS,
    subscriptions: () =>
      plans().map((plan) => (plan.name === DEAD_LETTERS ? plan : { ...plan, deadLetterTopic: DEAD_LETTERS })),
    async push({ name }, envelope) {
      const { messageId } = envelope.message;
      attempts.set(messageId, (attempts.get(messageId) ?? 0) + 1);
      const plan = plans().find((known) => known.name === name) ?? assert.fail(name);
      await runtime.receive(plan.consumer, { body: envelope });
      return "ack";
    },
    onAside: ({ messageId }) => void aside.push(messageId),
  });
  const unused = new Proxy({}, { get: () => () => assert.fail("not to be called") });
  const runtime = createRuntime({
    events,
    bus,
    // What is called of the others here, and nothing else.
    objects: objects as unknown as ObjectStore,
    warehouse: unused as never,
    secrets: { access: () => Promise.reject(new PermanentError("there are none")) },
    clock,
    random,
    definitions: () => definitions,
  });
  context.after(async () => {
    const stopped = bus.stop();
    await clock.runUntil(stopped);
    bus.close();
  });
  const eventsOf = async <T extends EventType>(type: T) =>
    // `history` returns only events of the asked type.
    (await store.history({ types: [type], order: "oldest", limit: 1_000 })).items as readonly Extract<
      StoredEvent,
      { readonly type: T }
    >[];
  const until = async (condition: () => Promise<boolean>): Promise<void> => {
    for (let turn = 0; turn < 3_000; turn++) {
      if (await condition()) return;
      await clock.advance(turn < 60 ? 0 : 20_000);
    }
    assert.fail("it does not come to that");
  };
  return {
    clock,
    bus,
    runtime,
    store,
    kept,
    aside,
    attempts,
    eventsOf,
    until,
    /** Whether what is appended is lost with its process. */
    lose: (now: boolean) => void (lost = now),
    mend: () => void (mended = true),
    define: (exports: Readonly<Record<string, unknown>>) => void (definitions = definitionsOf(exports)),
  };
}

const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");

const POISON: readonly (readonly [what: string, data: string, reason: RegExp])[] = [
  ["no JSON", base64("{partition"), /is not JSON/],
  ["no text", base64(Buffer.from([0xff, 0xfe, 0x00])), /is not UTF-8 text/],
  ["a list", base64("[1,2]"), /no request/],
  ["a number", base64("7"), /no request/],
  ["null", base64("null"), /no request/],
  ["a field of another type", base64('{"partition":5}'), /no request: partition/],
  ["an unknown field", base64('{"partitoin":"x"}'), /unknown field "partitoin"/],
  ["a cause that is none", base64('{"cause":{"kind":"whim"}}'), /no request: cause/],
  ["a partition that it does not have", base64('{"partition":"2024-05-01"}'), /a\/good/],
  ["a wake-up that is none, which is no request either", base64('{"wake":"x"}'), /no request/],
  ["nine megabytes", base64(JSON.stringify({ tags: { long: "x".repeat(9_000_000) } })), /too large/],
];

test("poison is on record at its first delivery, and what is well gets through without a moment's delay", async (context) => {
  const { clock, bus, define, attempts, aside, eventsOf, until } = setUp(context);
  const began = clock.now();
  const ids = new Map<string, string>();
  for (const [what, data] of POISON) ids.set(what, await bus.publishRaw(GOOD, data));
  const removed = [await bus.publish(GONE, { data: {} }), await bus.publish(OLD_JOB, { data: {} })];
  for (let n = 0; n < 10; n++) await bus.publish(STUCK, { data: { runKey: `stuck ${n}` } });
  const healthy = 30;
  for (let n = 0; n < healthy; n++) await bus.publish(GOOD, { data: { runKey: `k${n}`, force: true } });
  define({ good, stuck });
  bus.start();

  await until(async () => (await eventsOf("run.succeeded")).length === healthy);
  assert.equal(clock.now(), began, "what is well has waited for what is not");

  const refused = new Map((await eventsOf("message.refused")).map(({ messageId, reason }) => [messageId, reason]));
  for (const [what, , reason] of POISON) {
    const id = ids.get(what) ?? assert.fail(what);
    assert.match(refused.get(id) ?? "nothing on record", reason, what);
    assert.equal(attempts.get(id), 1, what);
  }
  assert.deepEqual([...aside].sort(), [...removed].sort());

  // What only fails is given up after as many attempts as it may have.
  await until(async () => (await eventsOf("message.dead-lettered")).length === 10);
  for (const dead of await eventsOf("message.dead-lettered")) {
    assert.equal(dead.attempts, MAX_ATTEMPTS);
    assert.equal(dead.topic, STUCK);
    assert.equal(dead.asset, "a/stuck");
    assert.match(dead.reason ?? "", /the store does not take it/);
    assert.equal(dead.publishedAt, began);
  }
});

test("after a fix, a dead letter is published again, and takes effect once, as the message that it was", async (context) => {
  const { bus, runtime, mend, eventsOf, until, store } = setUp(context);
  bus.start();
  const messageId = await bus.publish(STUCK, { data: { tags: { by: "hand" } }, attributes: { who: "me" } });
  await until(async () => (await eventsOf("message.dead-lettered")).length === 1);
  const [dead] = await eventsOf("message.dead-lettered");
  assert.ok(dead !== undefined);
  assert.equal(dead.messageId, messageId);
  assert.deepEqual(dead.attributes, { who: "me" });
  assert.deepEqual(JSON.parse(dead.text), { tags: { by: "hand" } });

  // Too early: it dies again, as a dead letter of its own.
  const { replayDeadLetter } = runtime.operations;
  const early = await replayDeadLetter(dead.deadLetter);
  assert.equal(early.kind, "replayed");
  await until(async () => (await eventsOf("message.dead-lettered")).length === 2);
  assert.deepEqual(await replayDeadLetter(dead.deadLetter), { ...early, kind: "replayed-before" });

  mend();
  const [, again] = await eventsOf("message.dead-lettered");
  assert.ok(again !== undefined && again.deadLetter !== dead.deadLetter);
  await Promise.all([replayDeadLetter(again.deadLetter), replayDeadLetter(again.deadLetter)]);
  await until(async () => (await eventsOf("run.succeeded")).length === 1);
  await bus.idle();
  const { items } = await store.runs({ name: "a/stuck" });
  assert.deepEqual(
    items.map(({ request, status }) => [request.runKey, request.requestedAt, status]),
    [[`message:${messageId}`, dead.publishedAt, "succeeded"]],
  );
  assert.equal((await eventsOf("message.replayed")).length, 2);
});

test("what is large is kept whole beside its event; what nobody listens to is not sent into the void", async (context) => {
  const { bus, runtime, mend, define, eventsOf, until, kept, store } = setUp(context);
  bus.start();
  const tags = { long: "é".repeat(30_000) };
  await bus.publish(STUCK, { data: { tags } });
  await until(async () => (await eventsOf("message.dead-lettered")).length === 1);
  const [dead] = await eventsOf("message.dead-lettered");
  assert.ok(dead !== undefined);
  assert.equal(dead.data, undefined);
  assert.ok(dead.text.length <= 1_000 && dead.bytes > 60_000);
  assert.deepEqual(JSON.parse(Buffer.from(kept.get(dead.object?.name ?? "") ?? []).toString()), { tags });

  define({ good });
  const refused = await runtime.operations.replayDeadLetter(dead.deadLetter);
  assert.deepEqual(refused, {
    kind: "refused",
    reason: "nothing listens to asset.a.stuck any more: define and deploy it again first",
  });
  define({ good, stuck });
  mend();
  assert.equal((await runtime.operations.replayDeadLetter(dead.deadLetter)).kind, "replayed");
  await until(async () => (await eventsOf("run.succeeded")).length === 1);
  assert.deepEqual((await store.runs({ name: "a/stuck" })).items[0]?.request.tags, tags);
  assert.equal((await runtime.operations.replayDeadLetter("0123456789abcdef")).kind, "refused");
});

test("whoever dies after each step of a replay has sent it once or twice, and it takes effect once", async (context) => {
  const { bus, runtime, mend, lose, eventsOf, until, store } = setUp(context);
  bus.start();
  await bus.publish(STUCK, { data: {} });
  await until(async () => (await eventsOf("message.dead-lettered")).length === 1);
  const [dead] = await eventsOf("message.dead-lettered");
  mend();
  lose(true);
  void runtime.operations.replayDeadLetter(dead?.deadLetter ?? "");
  await until(async () => (await eventsOf("run.succeeded")).length === 1);
  lose(false);
  assert.equal((await runtime.operations.replayDeadLetter(dead?.deadLetter ?? "")).kind, "replayed");
  await bus.idle();
  assert.equal((await store.runs({ name: "a/stuck" })).items.length, 1);
  assert.equal((await eventsOf("materialized")).length, 1);
});

test("a list says of each what can be done", () => {
  const event = (deadLetter: string, more: Partial<DeadLettered>): DeadLettered => ({
    v: 1,
    id: `dead-${deadLetter}`,
    at: 0,
    type: "message.dead-lettered",
    deadLetter,
    subscription: "s",
    messageId: "1",
    publishedAt: 0,
    attempts: 5,
    attributes: {},
    text: "",
    bytes: 0,
    sha256: "",
    ...more,
  });
  const dead = [event("a", { topic: GOOD }), event("b", { topic: GONE }), event("c", {})];
  const replayed = {
    v: 1,
    id: "replayed-a",
    at: 1,
    type: "message.replayed",
    deadLetter: "a",
    topic: GOOD,
    messageId: "2",
  } as const;
  assert.deepEqual(
    deadLetterStates(dead, [replayed], new Set([GOOD])).map(({ replayed: done, problem }) => [
      done?.messageId,
      problem,
    ]),
    [
      ["2", undefined],
      [undefined, "nothing listens to asset.a.gone any more: define and deploy it again first"],
      [undefined, 'nobody knows the topic of "s": publish it by hand'],
    ],
  );
});

test("what is too large for an event is stored before the event speaks of it", async () => {
  const events = memoryEventStore();
  let full = true;
  const stored: string[] = [];
  const services = {
    definitions: () => definitionsOf({}),
    clock: virtualClock(),
    events,
    settings: defaultSettings,
    objects: {
      async write(_: string, name: string) {
        if (full) throw new RetryableError("the bucket is out of reach");
        stored.push(name);
      },
    },
  } as unknown as OperationServices; // what is used of it
  const message = { messageId: "1", publishedAt: 1, attributes: {}, data: btoa("x".repeat(300_000)) };
  await assert.rejects(recordDeadLetter(services, message), /out of reach/);
  assert.deepEqual((await events.history({})).items, []);
  full = false;
  await recordDeadLetter(services, message);
  const [event] = (await events.history({})).items;
  assert.ok(event?.type === "message.dead-lettered");
  assert.deepEqual(stored, [event.object?.name]);
});
