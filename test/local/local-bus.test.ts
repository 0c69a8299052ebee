import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { PermanentError } from "../../lib/core/errors.ts";
import { openLocalBus } from "../../lib/local/local-bus.ts";
import type { LocalBus, LocalBusOptions, PushEnvelope, Subscription } from "../../lib/local/local-bus.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";
import type { VirtualClock } from "../support/virtual-clock.ts";
import { bodyOf, testMessageBus } from "../ports/message-bus-conformance.ts";
import type { Receiver } from "../ports/message-bus-conformance.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-bus-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = (): string => join(folder, `bus ${++files}.db`);
const lib = (path: string): string => JSON.stringify(new URL(`../../lib/local/${path}`, import.meta.url).href);

testMessageBus("in process, on SQLite", async () => {
  const clock = virtualClock();
  const subscriptions: Subscription[] = [];
  const receivers = new Map<string, Receiver>();
  const bus = openLocalBus({
    file: newFile(),
    clock,
    random: seededRandom(),
    subscriptions: () => subscriptions,
    push: async ({ name }, envelope) => (await receivers.get(name)?.(envelope)) ?? "nack",
  });
  bus.start();
  return {
    bus,
    maxAttempts: 5,
    async subscribe(topic, receiver, options) {
      const name = `s${subscriptions.length + 1}`;
      receivers.set(name, receiver);
      subscriptions.push({ name, topic, ...options });
    },
    now: clock.now,
    pass: (ms) => clock.advance(ms),
    until: (condition) => until(clock, condition),
    stop: () => bus.stop(),
    async close() {
      await bus.stop();
      bus.close();
    },
  };
});

async function until(clock: VirtualClock, condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 5_000; turn++) {
    if (condition()) return;
    // First what needs no time, then time in small steps.
    await clock.advance(turn < 30 ? 0 : 100);
  }
  throw new Error(`it never happened: ${condition.toString()}`);
}

/** Waits for what real time brings: another process's message, a poll. */
async function really(condition: () => boolean, what: string): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    assert.ok(turn < 12_000, `never came: ${what}`);
    await systemClock().sleep(10);
  }
}

type Push = (envelope: PushEnvelope, subscription: Subscription, signal: AbortSignal) => Promise<"ack" | "nack">;

/** A bus with one subscription `s` on topic `t`, on a virtual clock unless told otherwise; closed after the test. */
function setUp(
  context: TestContext,
  push: Push,
  changes: Partial<LocalBusOptions> = {},
): { bus: LocalBus; clock: VirtualClock } {
  const clock = virtualClock();
  const bus = openLocalBus({
    file: newFile(),
    clock,
    random: seededRandom(),
    subscriptions: () => [{ name: "s", topic: "t" }],
    push: (subscription, envelope, signal) => push(envelope, subscription, signal),
    ...changes,
  });
  context.after(async () => {
    await bus.stop(0);
    bus.close();
  });
  return { bus, clock };
}

test("a push over its deadline is told so and comes again with the next attempt; its late ack still counts", async (context) => {
  const attempts: number[] = [];
  const signals: AbortSignal[] = [];
  const slow = Promise.withResolvers<"ack" | "nack">();
  const second = Promise.withResolvers<"ack" | "nack">();
  const { bus, clock } = setUp(
    context,
    (envelope, _subscription, signal) => {
      attempts.push(envelope.deliveryAttempt);
      signals.push(signal);
      return [slow, second][attempts.length - 1]?.promise ?? Promise.resolve("ack");
    },
    { ackDeadlineMs: 10_000, concurrency: 1 },
  );
  bus.start();
  await bus.publish("t", { data: 1 });
  await clock.advance(9_999);
  assert.deepEqual(attempts, [1]);
  assert.equal(signals[0]?.aborted, false);
  await clock.advance(5_000);
  assert.deepEqual(attempts, [1, 2], "the hung push does not keep its place");
  assert.equal(signals[0]?.aborted, true);
  slow.resolve("ack");
  await clock.advance(0);
  second.resolve("nack");
  await clock.advance(3_600_000);
  assert.deepEqual(attempts, [1, 2]);
  assert.deepEqual(bus.depth(), []);
});

test("a late nack does not end the attempt that is in flight now", async (context) => {
  const answers = [Promise.withResolvers<"ack" | "nack">(), Promise.withResolvers<"ack" | "nack">()];
  let attempts = 0;
  const { bus, clock } = setUp(context, () => answers[attempts++]?.promise ?? Promise.resolve("ack"), {
    ackDeadlineMs: 10_000,
  });
  bus.start();
  await bus.publish("t", { data: 1 });
  await clock.advance(12_000);
  assert.equal(attempts, 2);
  answers[0]?.resolve("nack");
  await clock.advance(6_000);
  assert.equal(attempts, 2);
  answers[1]?.resolve("ack");
  await clock.advance(3_600_000);
  assert.equal(attempts, 2);
});

test("a push that never answers is dead after its attempts, and the reason is kept", async (context) => {
  let attempts = 0;
  const { bus, clock } = setUp(context, () => (attempts++, new Promise(() => undefined)), {
    ackDeadlineMs: 1_000,
    maxAttempts: 3,
  });
  bus.start();
  await bus.publish("t", { data: { a: 1 } });
  await clock.advance(600_000);
  assert.equal(attempts, 3);
  const [dead] = bus.deadLetters();
  assert.equal(dead?.attempt, 3);
  assert.match(dead?.reason ?? "", /no answer within 1000 ms/);
  assert.deepEqual(bus.depth(), [{ subscription: "s", exists: true, ready: 0, delayed: 0, inFlight: 0, dead: 1 }]);
  assert.deepEqual(bus.deadLetters({ subscription: "other" }), []);
});

test("a dead letter without a dead-letter topic is kept, listed with its reason, and can be delivered again", async (context) => {
  let broken = true;
  const bodies: unknown[] = [];
  const { bus, clock } = setUp(context, async (envelope) => {
    if (broken) throw new Error("database\n  gone");
    bodies.push([envelope.deliveryAttempt, bodyOf(envelope)]);
    return "ack";
  });
  bus.start();
  await bus.publish("t", { data: "precious" });
  await clock.advance(600_000);
  const [dead] = bus.deadLetters({ subscription: "s" });
  assert.equal(dead?.reason, "database gone");
  broken = false;
  assert.equal(bus.revive(dead?.sequence ?? 0), true);
  assert.equal(bus.revive(dead?.sequence ?? 0), false);
  await clock.advance(0);
  assert.deepEqual(bodies, [[1, "precious"]]);
  assert.deepEqual(bus.deadLetters(), []);
});

test("retries back off: each waits longer than the least and no longer than the greatest delay", async (context) => {
  const times: number[] = [];
  const { bus, clock } = setUp(context, async () => (times.push(clock.now()), "nack"), {
    minBackoffMs: 1_000,
    maxBackoffMs: 3_000,
    maxAttempts: 6,
  });
  bus.start();
  await bus.publish("t", { data: 1 });
  await clock.advance(60_000);
  const waits = times.slice(1).map((time, n) => time - (times[n] ?? 0));
  assert.equal(waits.length, 5);
  assert.ok(
    waits.every((wait) => wait >= 1_000 && wait <= 3_000),
    String(waits),
  );
  assert.ok(new Set(waits).size > 1, "with jitter");
});

test("no more pushes run at once than allowed, and the oldest message goes first", async (context) => {
  const order: unknown[] = [];
  let [now, most] = [0, 0];
  const { bus, clock } = setUp(
    context,
    async (envelope) => {
      order.push(bodyOf(envelope));
      most = Math.max(most, ++now);
      await clock.sleep(10);
      now--;
      return "ack";
    },
    { concurrency: 3 },
  );
  for (let n = 0; n < 20; n++) await bus.publish("t", { data: n });
  bus.start();
  await clock.runUntil(bus.idle());
  assert.equal(most, 3);
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, n) => n),
  );
});

test("idle waits for what is ready or in flight and not for what is delayed; nextAt says when that comes", async (context) => {
  const { bus, clock } = setUp(context, async (envelope) => {
    await clock.sleep(50);
    return envelope.deliveryAttempt === 1 ? "nack" : "ack";
  });
  bus.start();
  await bus.idle();
  assert.equal(bus.nextAt(), undefined);
  await bus.schedule("later", "t", { data: 1 }, clock.now() + 5_000_000);
  await bus.idle();
  assert.equal(bus.nextAt(), clock.now() + 5_000_000);
  const start = clock.now();
  await bus.publish("t", { data: 1 });
  await clock.runUntil(bus.idle());
  assert.equal(clock.now(), start + 50, "the push was waited for, its retry was not");
  const retry = bus.nextAt() ?? 0;
  assert.ok(retry > clock.now() && retry < clock.now() + 2_000);
});

test("a subscription that has gone keeps its messages, listed and undelivered, until it is there again", async (context) => {
  let subscriptions: Subscription[] = [
    { name: "gone", topic: "t" },
    { name: "stays", topic: "t" },
  ];
  const seen: string[] = [];
  const { bus, clock } = setUp(context, async (_envelope, { name }) => (seen.push(name), "ack"), {
    subscriptions: () => subscriptions,
    concurrency: 1,
  });
  for (let n = 0; n < 5; n++) await bus.publish("t", { data: n });
  subscriptions = subscriptions.slice(1);
  bus.start();
  await bus.idle();
  await clock.advance(3_600_000);
  assert.deepEqual(seen, Array(5).fill("stays"), "and it is in nobody's way");
  assert.deepEqual(bus.depth(), [{ subscription: "gone", exists: false, ready: 5, delayed: 0, inFlight: 0, dead: 0 }]);
  assert.equal(bus.nextAt(), undefined);
  subscriptions = [...subscriptions, { name: "gone", topic: "t" }];
  await really(() => seen.length >= 10, "what was kept for the subscription");
  assert.deepEqual(seen.slice(5), Array(5).fill("gone"));
});

test("raw data travels as it is, and what is not base64 is refused", async (context) => {
  const seen: (string | undefined)[] = [];
  const { bus } = setUp(context, async ({ message }) => (seen.push(message.data), "ack"));
  bus.start();
  const odd = [Buffer.from([0xff, 0xfe, 0]), Buffer.from("{not json"), Buffer.from("{}")];
  for (const bytes of odd) await bus.publishRaw("t", bytes.toString("base64"));
  await bus.publishRaw("t", Buffer.from([0xfb, 0xff]).toString("base64url"));
  await bus.publishRaw("t", "", { only: "attributes" });
  await bus.idle();
  assert.deepEqual(seen, [...odd.map((bytes) => bytes.toString("base64")), "+/8=", undefined]);
  for (const bad of ["{}", "a", "ab=c", "a b", "é"])
    await assert.rejects(bus.publishRaw("t", bad), PermanentError, bad);
});

test("stop gives back what does not end in time, without counting it as dead", async (context) => {
  let attempts = 0;
  const signals: AbortSignal[] = [];
  const { bus, clock } = setUp(
    context,
    (_envelope, _subscription, signal) => (attempts++, signals.push(signal), new Promise(() => undefined)),
    {
      maxAttempts: 1,
    },
  );
  bus.start();
  await bus.publish("t", { data: 1 });
  await clock.advance(0);
  assert.equal(attempts, 1);
  await clock.runUntil(bus.stop(2_000));
  assert.equal(signals[0]?.aborted, true);
  assert.deepEqual(bus.depth(), [{ subscription: "s", exists: true, ready: 1, delayed: 0, inFlight: 0, dead: 0 }]);
  bus.start();
  await clock.advance(0);
  assert.equal(attempts, 2);
});

test("whoever waits for idle is let go when the bus stops, with work left or not", async (context) => {
  const { bus, clock } = setUp(context, () => new Promise(() => undefined), { concurrency: 1 });
  bus.start();
  for (let n = 0; n < 3; n++) await bus.publish("t", { data: n });
  const idle = bus.idle().then(() => "idle");
  assert.equal(await Promise.race([idle, clock.advance(1_000)]), undefined);
  await clock.runUntil(bus.stop(100));
  assert.equal(await idle, "idle");
});

test("a message in flight is not taken by another bus on the same file", async (context) => {
  const file = newFile();
  const gate = Promise.withResolvers<void>();
  let [first, second] = [0, 0];
  const one = setUp(context, async () => (first++, await gate.promise, "ack"), { file });
  const two = setUp(context, async () => (second++, "ack"), { file });
  one.bus.start();
  await one.bus.publish("t", { data: 1 });
  await one.clock.advance(0);
  two.bus.start();
  await two.clock.advance(599_000);
  assert.deepEqual([first, second], [1, 0]);
  gate.resolve();
  await one.bus.idle();
  assert.deepEqual(two.bus.depth(), []);
});

test("an event store's file is refused as a bus's", () => {
  const file = newFile();
  openSqliteEventStore({ file }).close();
  const options = {
    clock: virtualClock(),
    random: seededRandom(),
    subscriptions: () => [],
    push: async () => "ack" as const,
  };
  assert.throws(() => openLocalBus({ file, ...options }), /is not Sluice's message bus/);
});

test("on the real clock messages are pushed, and a delayed one not before its time", async (context) => {
  const waits: number[] = [];
  const { bus } = setUp(
    context,
    async (envelope) => (waits.push(performance.now() - Number(bodyOf(envelope))), "ack"),
    {
      clock: systemClock(),
      random: systemRandom(),
    },
  );
  bus.start();
  for (let n = 0; n < 200; n++) {
    await bus.publish("t", { data: performance.now() });
    await bus.idle();
  }
  waits.sort((a, b) => a - b);
  context.diagnostic(
    `publish to push: median ${waits[100]?.toFixed(2)} ms, 99th percentile ${waits[198]?.toFixed(2)} ms`,
  );
  assert.equal(waits.length, 200);
  await bus.schedule("soon", "t", { data: performance.now() }, Date.now() + 150);
  await really(() => waits.length > 200, "the delayed message");
  assert.ok((waits[200] ?? 0) >= 148, `${waits[200]} ms`);
});

/** Runs JavaScript in a process of its own, with a `bus` on `file` and what it needs around it. */
function child(file: string, push: string, body: string) {
  const code = `import { writeSync } from "node:fs";
    import { openLocalBus } from ${lib("local-bus.ts")};
    import { systemClock, systemRandom } from ${lib("system-clock.ts")};
    const bus = openLocalBus({ file: ${JSON.stringify(file)}, clock: systemClock(), random: systemRandom(),
      subscriptions: () => [{ name: "s", topic: "t" }], push: ${push} });\n${body}`;
  return spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Waits for `wanted` lines of output, kills the process and returns them. */
async function killAfter(process: ReturnType<typeof child>, wanted: number): Promise<string[]> {
  let output = "";
  for await (const chunk of process.stdout) {
    output += String(chunk);
    if (output.split("\n").length > wanted) process.kill("SIGKILL");
  }
  if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
  assert.equal(process.signalCode, "SIGKILL");
  return output.split("\n").slice(0, -1);
}

test("what was published before a kill -9 is delivered after it, what was in flight as the next attempt", async (context) => {
  const file = newFile();
  const process = child(
    file,
    `(subscription, envelope) => { writeSync(1, "pushed " + envelope.message.messageId + "\\n"); return new Promise(() => {}); }`,
    `bus.start();
     await bus.schedule("later", "t", { data: "delayed" }, Date.now() + 50);
     for (let n = 0; ; n++) { writeSync(1, "published " + await bus.publish("t", { data: n }) + "\\n"); await new Promise(setImmediate); }`,
  );
  const lines = await killAfter(process, 60);
  const idsOf = (word: string): string[] =>
    lines.flatMap((line) => (line.startsWith(`${word} `) ? [line.slice(word.length + 1)] : []));
  assert.ok(idsOf("pushed").length > 0);

  const delivered = new Map<string, number>();
  let delayed = 0;
  const { bus } = setUp(
    context,
    async (envelope) => {
      delivered.set(envelope.message.messageId, envelope.deliveryAttempt);
      if (bodyOf(envelope) === "delayed") delayed++;
      return "ack";
    },
    { file, clock: systemClock(), random: systemRandom() },
  );
  bus.start();
  await bus.idle();
  for (const id of idsOf("published")) assert.ok(delivered.has(id), `message ${id} is lost`);
  for (const id of idsOf("pushed")) assert.equal(delivered.get(id), 2);
  await really(() => delayed > 0 && bus.depth().length === 0, "the delayed message");
  await bus.idle();
  assert.equal(delayed, 1);
  assert.deepEqual(bus.depth(), []);
});

test("a message that kills its process every time is dead after its attempts", async (context) => {
  const file = newFile();
  const { bus } = setUp(context, async () => "ack", { file, clock: systemClock(), random: systemRandom() });
  await bus.publish("t", { data: "deadly" });
  for (let attempt = 1; attempt <= 5; attempt++) {
    const [line] = await killAfter(
      child(
        file,
        `(s, envelope) => { writeSync(1, envelope.deliveryAttempt + "\\n"); return new Promise(() => {}); }`,
        "bus.start();",
      ),
      1,
    );
    assert.equal(line, String(attempt));
  }
  bus.start();
  await bus.idle();
  const [dead] = bus.deadLetters();
  assert.equal(dead?.attempt, 5);
  assert.match(dead?.reason ?? "", /process that handled it ended/);
});

test("a message that another process publishes is noticed soon, and a live process keeps what it holds", async (context) => {
  const file = newFile();
  const seen: unknown[] = [];
  const { bus } = setUp(context, async (envelope) => (seen.push(bodyOf(envelope)), "ack"), {
    file,
    clock: systemClock(),
    random: systemRandom(),
  });
  const holder = child(
    file,
    `(s, envelope) => { writeSync(1, "held\\n"); return new Promise(() => {}); }`,
    `bus.start(); await bus.publish("t", { data: "held" });`,
  );
  context.after(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");
  bus.start();
  const publisher = child(file, `async () => "nack"`, `await bus.publish("t", { data: "noticed" }); bus.close();`);
  await once(publisher, "exit");
  // The other live bus may take the message too.
  await really(() => seen.includes("noticed") || bus.depth()[0]?.inFlight === 2, "the other process's message");
  await systemClock().sleep(1_200); // over one check of the owners
  assert.ok(!seen.includes("held"), "the holder lives");
  holder.kill("SIGKILL");
  await really(() => seen.includes("held"), "the message of the dead, without a restart");
  await really(() => seen.includes("noticed"), "the other process's message");
});

test("another process's message is pushed with the next poll", async (context) => {
  const file = newFile();
  const seen: unknown[] = [];
  context.mock.timers.enable({ apis: ["setInterval"] });
  const { bus } = setUp(context, async (envelope) => (seen.push(bodyOf(envelope)), "ack"), {
    file,
    clock: systemClock(),
    random: systemRandom(),
  });
  bus.start();
  await bus.idle();
  const publisher = child(file, `async () => "nack"`, `await bus.publish("t", { data: "noticed" }); bus.close();`);
  await once(publisher, "exit");
  context.mock.timers.tick(100);
  await really(() => seen.includes("noticed"), "the other process's message");
});
