/** What every message bus must do. An adapter's own test hands in how to open one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PermanentError } from "../../lib/core/errors.ts";
import type { PushEnvelope } from "../../lib/local/bus-envelope.ts";
import type { MessageBus } from "../../lib/ports/message-bus.ts";

export type Receiver = (envelope: PushEnvelope) => Promise<"ack" | "nack">;

export interface MessageBusHarness {
  readonly bus: MessageBus;
  /** How many attempts a message has before it is a dead letter. */
  readonly maxAttempts: number;
  /** Time passes by itself as well, as much as the machine takes for its work: what must not take long cannot be told from it. */
  readonly isRealTime?: boolean;
  subscribe(topic: string, receiver: Receiver, options?: { readonly deadLetterTopic?: string }): Promise<void>;
  /** The bus's time, ms. */
  now(): number;
  /** Lets time pass, and what it brings happen. */
  pass(ms: number): Promise<void>;
  /** Lets time pass until the condition holds; fails when it does not within the longest redelivery. */
  until(condition: () => boolean): Promise<void>;
  /** Stops delivering. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export interface MessageBusOptions {
  /** The checks run side by side: harnesses have nothing in common, and most of a check is waiting. */
  readonly sideBySide?: boolean;
  /** By a check's title: what the bus cannot do, and why. A title that there is not fails. */
  readonly deviations?: Readonly<Record<string, string>>;
}

export function testMessageBus(
  name: string,
  open: () => Promise<MessageBusHarness>,
  { sideBySide = false, deviations = {} }: MessageBusOptions = {},
): void {
  const titles = new Set<string>();
  const check = (title: string, body: (harness: MessageBusHarness) => Promise<void>): void => {
    titles.add(title);
    const reason = deviations[title];
    test(title, reason === undefined ? {} : { skip: `declared deviation: ${reason}` }, async () => {
      const harness = await open();
      try {
        await body(harness);
      } finally {
        await harness.close();
      }
    });
  };

  describe(`message bus: ${name}`, { concurrency: sideBySide ? 4 : 1 }, () => {
    check("a message arrives as Pub/Sub pushes it", async ({ bus, subscribe, until, now }) => {
      const { seen, receiver } = recorder();
      await subscribe("t", receiver);
      const before = now();
      const id = await bus.publish("t", { data: { a: [1, "x"] }, attributes: { k: "v" } });
      await until(() => seen.length === 1);
      const { message, subscription, deliveryAttempt } = seen[0] ?? assert.fail();
      assert.deepEqual(bodyOf(seen[0]), { a: [1, "x"] });
      assert.deepEqual(message.attributes, { k: "v" });
      assert.equal(message.messageId, id);
      assert.equal(message.message_id, id);
      assert.match(id, /^\d+$/);
      assert.equal(message.publishTime, message.publish_time);
      assert.match(message.publishTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
      assert.ok(Math.abs(Date.parse(message.publishTime) - before) < 60_000);
      assert.match(subscription, /^projects\/[^/]+\/subscriptions\/[^/]+$/);
      assert.equal(deliveryAttempt, 1);
    });

    check("an acknowledged message does not come again", async ({ bus, subscribe, until, pass }) => {
      const { seen, receiver } = recorder();
      await subscribe("t", receiver);
      await bus.publish("t", { data: 1 });
      await until(() => seen.length > 0);
      await pass(700_000);
      assert.equal(seen.length, 1);
    });

    check(
      "every subscription of a topic gets its own copy, and no other does",
      async ({ bus, subscribe, until, pass }) => {
        const [a, b, other] = [recorder(), recorder((attempt) => (attempt === 1 ? "nack" : "ack")), recorder()];
        await subscribe("t", a.receiver);
        await subscribe("t", b.receiver);
        await subscribe("t2", other.receiver);
        const id = await bus.publish("t", { data: 1 });
        await until(() => a.seen.length === 1 && b.seen.length === 2);
        await pass(10_000);
        assert.deepEqual(
          [a.seen.length, b.seen.length, other.seen.length],
          [1, 2, 0],
          "a nack concerns only its own copy",
        );
        assert.ok([...a.seen, ...b.seen].every(({ message }) => message.messageId === id));
      },
    );

    check("200 messages published at once all arrive", async ({ bus, subscribe, until }) => {
      const { seen, receiver } = recorder();
      await subscribe("t", receiver);
      const ids = await Promise.all(Array.from({ length: 200 }, (_, n) => bus.publish("t", { data: n })));
      await until(() => seen.length >= 200);
      assert.equal(new Set(ids).size, 200);
      assert.deepEqual(new Set(seen.map(({ message }) => message.messageId)), new Set(ids));
    });

    check(
      "after a nack or a throw the message comes again, attempts are counted",
      async ({ bus, subscribe, until, maxAttempts }) => {
        const nacked = recorder((attempt) => (attempt < maxAttempts ? "nack" : "ack"));
        const thrown = recorder((attempt) => {
          if (attempt === 1) throw new Error("receiver broke");
          return "ack";
        });
        await subscribe("nacked", nacked.receiver);
        await subscribe("thrown", thrown.receiver);
        const id = await bus.publish("nacked", { data: { n: 1 }, attributes: { a: "b" } });
        await bus.publish("thrown", { data: 1 });
        await until(() => nacked.seen.length === maxAttempts && thrown.seen.length === 2);
        assert.deepEqual(
          nacked.seen.map(({ deliveryAttempt }) => deliveryAttempt),
          Array.from({ length: maxAttempts }, (_, n) => n + 1),
        );
        assert.deepEqual(
          thrown.seen.map(({ deliveryAttempt }) => deliveryAttempt),
          [1, 2],
        );
        for (const envelope of nacked.seen) {
          assert.equal(envelope.message.messageId, id);
          assert.deepEqual(bodyOf(envelope), { n: 1 });
          assert.deepEqual(envelope.message.attributes, { a: "b" });
        }
      },
    );

    check(
      "after its last attempt a message goes to the dead-letter topic, once",
      async ({ bus, subscribe, until, pass, maxAttempts }) => {
        const [poison, dead] = [recorder(() => "nack"), recorder()];
        await subscribe("dead", dead.receiver);
        await subscribe("t", poison.receiver, { deadLetterTopic: "dead" });
        await bus.publish("t", { data: { poison: true }, attributes: { mine: "kept" } });
        await until(() => dead.seen.length === 1);
        await pass(700_000);
        assert.equal(poison.seen.length, maxAttempts);
        assert.equal(dead.seen.length, 1);
        assert.deepEqual(bodyOf(dead.seen[0]), { poison: true });
        const attributes = dead.seen[0]?.message.attributes ?? {};
        assert.equal(attributes["mine"], "kept");
        assert.equal(attributes["CloudPubSubDeadLetterSourceDeliveryCount"], String(maxAttempts));
        assert.match(attributes["CloudPubSubDeadLetterSourceSubscription"] ?? "", /./);
      },
    );

    check("failing messages do not hold up healthy ones", async ({ bus, subscribe, until, now, isRealTime }) => {
      const healthy = recorder();
      const mixed = recorder(() => "nack");
      await subscribe("t", async (envelope) => {
        const { poison } = bodyOf(envelope) as { poison: boolean };
        return poison ? await mixed.receiver(envelope) : await healthy.receiver(envelope);
      });
      const start = now();
      const arrived: number[] = [];
      for (let n = 0; n < 40; n++) {
        await bus.publish("t", { data: { poison: n % 2 === 0 } });
        arrived.push(n);
      }
      await until(() => healthy.seen.length === 20);
      if (isRealTime !== true) assert.ok(now() - start < 5_000, `healthy messages took ${now() - start} ms`);
    });

    check(
      "a topic without subscriptions drops the message, also for those that come later",
      async ({ bus, subscribe, pass }) => {
        assert.match(await bus.publish("nobody", { data: 1 }), /^\d+$/);
        const { seen, receiver } = recorder();
        await subscribe("nobody", receiver);
        await pass(5_000);
        assert.equal(seen.length, 0);
      },
    );

    check("data of every JSON kind, none at all, 1 MB, and Unicode attributes", async ({ bus, subscribe, until }) => {
      const { seen, receiver } = recorder();
      await subscribe("t", receiver);
      const values = [null, 0, "", "Ünï 🦔 \u0000", [], {}, { deep: [{ a: null }] }, "x🦔".repeat(200_000)];
      for (const [n, data] of values.entries())
        await bus.publish("t", { data, attributes: { n: String(n), schlüssel: "wért 日本 🦔 \n" } });
      await bus.publish("t", { data: undefined, attributes: { only: "attributes" } });
      await until(() => seen.length === values.length + 1);
      for (const envelope of seen) {
        const { n, ...rest } = envelope.message.attributes ?? {};
        if (n === undefined) {
          assert.deepEqual(rest, { only: "attributes" });
          assert.equal(envelope.message.data ?? "", "");
        } else {
          assert.deepEqual(bodyOf(envelope), values[Number(n)]);
          assert.deepEqual(rest, { schlüssel: "wért 日本 🦔 \n" });
        }
      }
    });

    check(
      "a delayed message does not come before its time",
      async ({ bus, subscribe, until, pass, now, isRealTime }) => {
        // By the machine's own time, its making may take a while.
        const at = now() + (isRealTime === true ? 3_600_000 : 60_000);
        const times: number[] = [];
        await subscribe("t", async () => {
          times.push(now());
          return "ack";
        });
        await bus.schedule("later", "t", { data: 1 }, at);
        await bus.schedule("past", "t", { data: 2 }, now() - 1_000);
        await until(() => times.length === 1);
        await pass(at - now() - (isRealTime === true ? 600_000 : 1_000));
        assert.equal(times.length, 1, "the one in the past at once, the other not yet");
        await until(() => times.length === 2);
        assert.ok((times[1] ?? 0) >= at);
        if (isRealTime !== true) assert.ok((times[1] ?? 0) < at + 5_000);
      },
    );

    check(
      "delayed messages come in the order of their times, not of their making",
      async ({ bus, subscribe, until, now }) => {
        const { seen, receiver } = recorder();
        await subscribe("t", receiver);
        const start = now();
        for (const n of [3, 1, 2]) await bus.schedule(`m${n}`, "t", { data: n }, start + n * 10_000);
        await until(() => seen.length === 3);
        assert.deepEqual(seen.map(bodyOf), [1, 2, 3]);
      },
    );

    check(
      "a name that waits or was used within the hour is ignored; the first wins",
      async ({ bus, subscribe, until, pass, now }) => {
        const { seen, receiver } = recorder();
        await subscribe("t", receiver);
        await Promise.all(
          Array.from({ length: 20 }, (_, n) => bus.schedule("wake", "t", { data: n }, now() + 5_000 + n)),
        );
        await bus.schedule("wake", "t", { data: "sooner" }, now());
        await bus.schedule("Wake", "t", { data: "another name" }, now() + 5_000);
        await until(() => seen.length === 2);
        assert.deepEqual(new Set(seen.map(bodyOf)), new Set([0, "another name"]));
        await pass(30 * 60_000);
        await bus.schedule("wake", "t", { data: "too soon" }, now());
        await pass(60_000);
        assert.equal(seen.length, 2);
        await pass(60 * 60_000);
        await bus.schedule("wake", "t", { data: "free again" }, now());
        await until(() => seen.length === 3);
        assert.equal(bodyOf(seen[2]), "free again");
      },
    );

    check("names are letters, digits, - and _, at most 500", async ({ bus, now }) => {
      await bus.schedule("aZ09-_".padEnd(500, "x"), "t", { data: 1 }, now());
      for (const bad of ["", "a/b", "a b", "ü", "a\n", "x".repeat(501)]) {
        await assert.rejects(
          bus.schedule(bad, "t", { data: 1 }, now()),
          PermanentError,
          JSON.stringify(bad.slice(0, 9)),
        );
      }
      await assert.rejects(bus.schedule("ok", "t", { data: 1 }, Number.NaN), PermanentError);
    });

    check("a message over the limit is refused when it is published", async ({ bus }) => {
      await assert.rejects(bus.publish("t", { data: "x".repeat(10_000_001) }), PermanentError);
    });

    check(
      "nothing is delivered after stop, and stop waits for what is in flight",
      async ({ bus, subscribe, until, pass, stop }) => {
        const finished: string[] = [];
        const started: string[] = [];
        const gate = Promise.withResolvers<void>();
        await subscribe("t", async ({ message }) => {
          started.push(message.messageId);
          await gate.promise;
          finished.push(message.messageId);
          return "ack";
        });
        await bus.publish("t", { data: 1 });
        await until(() => started.length === 1);
        const stopped = stop();
        await bus.publish("t", { data: 2 });
        assert.equal(await Promise.race([stopped.then(() => "stopped"), pass(1_000).then(() => "waiting")]), "waiting");
        gate.resolve();
        await stopped;
        assert.equal(finished.length, 1);
        await pass(5_000);
        assert.equal(started.length, 1);
      },
    );

    test("every declared deviation names a check", () => {
      assert.deepEqual(
        Object.keys(deviations).filter((title) => !titles.has(title)),
        [],
      );
    });
  });
}

/** A receiver that remembers what it saw, and answers by the delivery attempt. */
export function recorder(answer: (attempt: number) => "ack" | "nack" = () => "ack") {
  const seen: PushEnvelope[] = [];
  const receiver: Receiver = async (envelope) => {
    seen.push(envelope);
    return answer(envelope.deliveryAttempt);
  };
  return { seen, receiver };
}

export function bodyOf(envelope: PushEnvelope | undefined): unknown {
  return JSON.parse(Buffer.from(envelope?.message.data ?? "", "base64").toString());
}
