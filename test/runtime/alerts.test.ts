/** Alerts and freshness over ports in memory: processes die after any call, receivers refuse, and each change is told of once. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { alert, pubsubTopic, webhook } from "../../lib/core/alert.ts";
import type { AlertPayload } from "../../lib/core/alert-payload.ts";
import { asset } from "../../lib/core/asset.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import type { EventType, StoredEvent } from "../../lib/core/events.ts";
import { job } from "../../lib/core/job.ts";
import { daily } from "../../lib/core/partitions.ts";
import { secret } from "../../lib/core/resources.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { WebhookAnswer } from "../../lib/ports/webhooks.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import type { Settings } from "../../lib/runtime/services.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { memoryDocuments } from "../support/memory-documents.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { pushOf } from "../support/plain-runtime.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";
import type { VirtualClock } from "../support/virtual-clock.ts";

const ADDRESS = "https://hooks.example.org/T0/B0/very-secret";

interface Ground {
  readonly clock: VirtualClock;
  readonly documents: MemoryDocuments;
  readonly store: EventStore;
  /** What receivers got, in order; a topic's message has the topic's name before it. */
  readonly received: AlertPayload[];
  readonly addresses: Set<string>;
  answer(): WebhookAnswer | Promise<WebhookAnswer>;
  events(type: EventType): readonly StoredEvent[];
}

function ground(answer: Ground["answer"] = () => ({ status: 200 })): Ground {
  const documents = memoryDocuments();
  return {
    clock: virtualClock(),
    documents,
    store: memoryEventStore(documents),
    received: [],
    addresses: new Set(),
    answer,
    events: (type) => documents.events.filter((event) => event.type === type),
  };
}

/** A process on the ground. It dies right after call number `last` has had its effect, and never hears of it. */
function process(
  on: Ground,
  definitions: Definitions,
  { last = Infinity, settings = {} }: { readonly last?: number; readonly settings?: Partial<Settings> } = {},
): { readonly runtime: Runtime; readonly death: Promise<string> } {
  const { clock, store } = on;
  const { promise: death, resolve: die } = Promise.withResolvers<string>();
  let calls = 0;
  const step = async <T>(name: string, effect: () => T | Promise<T>): Promise<T> => {
    if (calls >= last) return await new Promise(() => undefined);
    const result = await effect();
    calls += 1;
    if (calls < last) return result;
    die(name);
    return await new Promise(() => undefined);
  };
  const nothing = (): never => {
    throw new PermanentError("there is none here");
  };
  const events: EventStore = {
    ...store,
    transact: (refs, decide) => step(`transact ${Object.keys(refs).join(" ")}`, () => store.transact(refs, decide)),
    get: (kind, id) => step(`get ${kind}`, () => store.get(kind, id)),
    append: (added) => step("append", () => store.append(added)),
    due: (query) => step("due", () => store.due(query)),
  };
  const runtime = createRuntime({
    events,
    bus: {
      publish: (topic, { data }) =>
        step(`publish ${topic}`, () => {
          // What goes to a topic of alerts is one of their payloads.
          if (topic === "told") on.received.push(data as AlertPayload);
          return "1";
        }),
      schedule: () => step("schedule", () => undefined),
    },
    webhooks: {
      post: (address, { body }) =>
        step("post", async () => {
          on.addresses.add(address);
          const answer = await on.answer();
          if (answer.status === 200) on.received.push(JSON.parse(body) as AlertPayload); // the format of its own
          return answer;
        }),
    },
    secrets: { access: (name) => step(`secret ${name}`, () => ADDRESS) },
    objects: new Proxy({}, { get: nothing }) as never,
    warehouse: new Proxy({}, { get: nothing }) as never,
    clock,
    random: seededRandom(),
    definitions: () => definitions,
    settings,
  });
  return { runtime, death };
}

function load(exports: Readonly<Record<string, unknown>>): Definitions {
  const { definitions, problems } = collectDefinitions([{ file: "functions/a.ts", exports }]);
  assert.deepEqual(problems, []);
  return definitions;
}

/** Sweeps whenever something is due, until nothing is within `patienceMs`. */
async function rest(on: Ground, runtime: Runtime, patienceMs = 0): Promise<void> {
  for (let round = 0; ; round++) {
    assert.ok(round < 1_000, "it never comes to rest");
    await runtime.sweepDue();
    const next = await on.store.nextDue();
    if (next === undefined || next > on.clock.now() + patienceMs) return;
    if (next > on.clock.now()) await on.clock.advance(next - on.clock.now());
  }
}

const broken = asset({
  key: "crm/broken",
  tags: { daily: "yes" },
  materialize: (): Promise<undefined> => Promise.reject(new PermanentError("no such table", { code: "not-found" })),
});
const flaky = asset({
  key: "web/flaky",
  retry: { maxRetries: 1, delaySeconds: 1, maxDelaySeconds: 1 },
  materialize: (): Promise<undefined> => Promise.reject(new RetryableError("503")),
});
const failing = job({ name: "failing", run: (): Promise<undefined> => Promise.reject(new PermanentError("no")) });
const to = webhook({ url: secret("hook") });
const failures = alert({ on: ["run.failed"], to, quiet: "1h" });
const everything = load({
  broken,
  flaky,
  failing,
  failures,
  copies: alert({ on: ["run.failed"], assets: "tag:daily", to: pubsubTopic("told") }),
});

async function fail(runtime: Runtime, key: string, runKey: string): Promise<void> {
  await runtime.receive({ kind: "asset", key }, { body: pushOf({ runKey }) });
}

describe("a failed run", () => {
  test("is told of once its retries are used up, to whoever is concerned, with its run", async () => {
    const on = ground();
    const { runtime } = process(on, everything, {
      settings: { environment: "prod", consoleUrl: "https://s.example.org/" },
    });
    await fail(runtime, "web/flaky", "k");
    await rest(on, runtime);
    assert.deepEqual(on.received, [], "it will be tried again");
    await on.clock.advance(2_000);
    const run = on.documents.all("run")[0]?.[1];
    await runtime.receive({ kind: "asset", key: "web/flaky" }, { body: pushOf({ wake: run?.id }) });
    await rest(on, runtime);
    assert.deepEqual(
      on.received.map(({ alert: name, subject, code, link, environment }) => ({
        name,
        subject,
        code,
        link,
        environment,
      })),
      [
        {
          name: "failures",
          subject: "web/flaky",
          code: "retries-exhausted",
          link: `https://s.example.org/runs/${run?.id}`,
          environment: "prod",
        },
      ],
    );
  });

  test("of an asset that was chosen goes to both, one of a job to the one for everything", async () => {
    const on = ground();
    const { runtime } = process(on, everything);
    await fail(runtime, "crm/broken", "k");
    await runtime.receive({ kind: "job", name: "failing" }, { body: pushOf({ runKey: "k" }) });
    await rest(on, runtime);
    assert.deepEqual(on.received.map(({ alert: name, subject }) => `${name} ${subject}`).sort(), [
      "copies crm/broken",
      "failures crm/broken",
      "failures job failing",
    ]);
  });

  test("again and again within the quiet time becomes one message with their number", async () => {
    const on = ground();
    const { runtime } = process(on, load({ broken, failures }));
    for (let n = 0; n < 30; n++) {
      await fail(runtime, "crm/broken", `k${n}`);
      await rest(on, runtime);
      await on.clock.advance(60_000);
    }
    assert.deepEqual(
      on.received.map(({ count }) => count),
      [1],
    );
    await rest(on, runtime, 4_000_000);
    assert.deepEqual(
      on.received.map(({ count }) => count),
      [1, 29],
    );
    assert.equal(new Set(on.received.map(({ id }) => id)).size, 2);
    assert.deepEqual(on.documents.all("due"), [], "and nothing waits any more");
  });

  test("costs nothing where nobody asks for it", async () => {
    const on = ground();
    const { runtime } = process(on, load({ broken }));
    await fail(runtime, "crm/broken", "k");
    assert.deepEqual(on.documents.all("due"), []);
    assert.equal(on.events("run.failed").length, 1);
  });

  test("is noticed by a process that knows of alerts by its settings alone, and told of by another", async () => {
    const on = ground();
    const { runtime } = process(on, load({ broken }), { settings: { notices: ["run.failed"] } });
    await fail(runtime, "crm/broken", "k");
    assert.equal(on.documents.all("due").length, 1);
    await rest(on, process(on, load({ broken, failures })).runtime);
    assert.equal(on.received.length, 1);
  });
});

test("a process may die after any of its calls, and a message is told of under one id", async () => {
  const definitions = load({ broken, failures });
  const deaths: string[] = [];
  for (let last = 1; ; last++) {
    assert.ok(last < 100, "it never ends");
    const on = ground();
    const { runtime, death } = process(on, definitions, { last });
    const work = fail(runtime, "crm/broken", "k").then(() => rest(on, runtime));
    const died = await Promise.race([death, work.then(() => undefined)]);
    const { runtime: next } = process(on, definitions);
    await fail(next, "crm/broken", "k");
    await on.clock.advance(100_000);
    await fail(next, "crm/broken", "k");
    await rest(on, next, 4_000_000);
    const where = `after ${died ?? "no death"}, call ${last}`;
    assert.ok(on.received.length >= 1 && on.received.length <= 2, where);
    assert.equal(new Set(on.received.map(({ id }) => id)).size, 1, where);
    assert.deepEqual(
      on.received.map(({ count }) => count).filter((count) => count !== 1),
      [],
      where,
    );
    assert.equal(on.events("alert.sent").length, 1, where);
    assert.equal(on.events("run.failed").length, 1, where);
    assert.deepEqual(on.documents.all("due"), [], where);
    if (died === undefined) break;
    deaths.push(died);
  }
  assert.ok(
    deaths.includes("post") && deaths.filter((call) => call === "transact alert").length >= 3,
    deaths.join(", "),
  );
});

test("two processes that sweep at the same time send once", async () => {
  const on = ground();
  const definitions = load({ broken, failures });
  const { runtime } = process(on, definitions);
  await fail(runtime, "crm/broken", "k");
  await Promise.all([rest(on, runtime), rest(on, process(on, definitions).runtime)]);
  assert.equal(on.received.length, 1);
});

describe("a receiver", () => {
  const definitions = load({ broken, failures });

  test("that is out of reach, busy or asks for a pause is tried again, and the run is long over", async () => {
    const times: number[] = [];
    const answers: (() => WebhookAnswer)[] = [
      () => ({ status: 500 }),
      () => {
        throw new RetryableError("the receiver is out of reach");
      },
      () => ({ status: 429, retryAfterMs: 3_000_000 }),
      () => ({ status: 204 }),
    ];
    const on = ground(() => {
      times.push(on.clock.now());
      return (answers.shift() ?? assert.fail("called too often"))();
    });
    const { runtime } = process(on, definitions);
    await fail(runtime, "crm/broken", "k");
    assert.equal(on.events("run.failed").length, 1);
    await rest(on, runtime, 86_400_000);
    assert.equal(times.length, 4);
    assert.ok((times[3] ?? 0) - (times[2] ?? 0) >= 3_000_000);
    assert.deepEqual(
      on.events("alert.sent").map((event) => event.type === "alert.sent" && event.attempt),
      [4],
    );
  });

  test("that is never there is given up with an event after a day, and what comes later is told of again", async () => {
    let calls = 0;
    const on = ground(() => ({ status: (calls += 1) <= 24 ? 503 : 200 }));
    const { runtime } = process(on, definitions);
    const began = on.clock.now();
    await fail(runtime, "crm/broken", "k");
    await rest(on, runtime, 3 * 86_400_000);
    const [given] = on.events("alert.failed");
    assert.ok(given?.type === "alert.failed" && given.attempts === 24);
    assert.ok(given.at - began >= 86_400_000 && given.at - began <= 2 * 86_400_000, `${given.at - began} ms`);
    assert.match(given.reason, /the receiver behind the secret hook answered 503/);
    const [late, ...more] = on.events("alert.delayed");
    assert.ok(late?.type === "alert.delayed" && more.length === 0, "it is told of once, by the first of 24 tries");
    assert.ok(late.at - began < 60_000 && late.attempt === 1, "at once");
    assert.equal(
      late.reason,
      "the receiver behind the secret hook answered 503; see to the receiver behind the secret hook, or give the secret a new value",
    );
    assert.deepEqual([late.asset, late.alert, late.about], ["crm/broken", "failures", "run.failed crm/broken"]);
    await fail(runtime, "crm/broken", "k2");
    await rest(on, runtime, 86_400_000);
    assert.equal(on.received.length, 1);
  });

  for (const status of [302, 400, 403, 404, 410])
    test(`that answers ${status} is not asked twice`, async () => {
      let calls = 0;
      const on = ground(() => ({ status: ((calls += 1), status) }));
      const { runtime } = process(on, definitions);
      await fail(runtime, "crm/broken", "k");
      await rest(on, runtime, 86_400_000);
      assert.equal(calls, 1);
      assert.equal(on.events("alert.failed").length, 1);
    });

  test("has an address that stands in no document and no event", async () => {
    let calls = 0;
    const on = ground(() => {
      calls += 1;
      if (calls < 3) throw new RetryableError("the receiver is out of reach");
      return { status: 404 };
    });
    const { runtime } = process(on, definitions);
    await fail(runtime, "crm/broken", "k");
    await rest(on, runtime, 86_400_000);
    assert.deepEqual([...on.addresses], [ADDRESS]);
    const kinds = ["run", "partition", "due", "alert", "cursor"] as const;
    const all = JSON.stringify([on.documents.events, kinds.map((kind) => on.documents.all(kind))]);
    assert.ok(!all.includes("very-secret") && !all.includes("hooks.example"));
  });

  test("of an alert that is not defined any more gets nothing, and nothing waits for it", async () => {
    const on = ground(() => ({ status: 500 }));
    const { runtime } = process(on, definitions);
    await fail(runtime, "crm/broken", "k");
    await rest(on, runtime);
    const { runtime: after } = process(on, load({ broken }));
    await rest(on, after, 86_400_000);
    assert.deepEqual([on.documents.all("due"), on.documents.all("alert")], [[], []]);
  });
});

describe("freshness", () => {
  const HOUR = 3_600_000;
  const late = alert({ on: ["freshness"], to });
  const fresh = (within: "1h" | "2h") =>
    asset({ key: "crm/fresh", freshness: { within }, materialize: async () => undefined });
  const told = (on: Ground): readonly string[] => on.received.map(({ type, title }) => `${type}: ${title}`);
  const changes = (on: Ground): readonly string[] =>
    on.documents.events.flatMap(({ type }) => (type.startsWith("freshness.") ? [type] : []));

  test("is told of when it changes: late once, fresh again once", async () => {
    const on = ground();
    const { runtime } = process(on, load({ fresh: fresh("1h"), late }));
    await fail(runtime, "crm/fresh", "first");
    await rest(on, runtime);
    assert.deepEqual(changes(on), []);
    await rest(on, runtime, HOUR);
    assert.deepEqual(changes(on), []);
    await on.clock.advance(10 * HOUR);
    await runtime.sweepDue();
    await on.clock.advance(2 * HOUR);
    await runtime.sweepDue();
    assert.deepEqual(changes(on), ["freshness.failed"]);
    await fail(runtime, "crm/fresh", "second");
    await rest(on, runtime);
    assert.deepEqual(changes(on), ["freshness.failed", "freshness.restored"]);
    await rest(on, runtime);
    assert.deepEqual(told(on), ["freshness.failed: crm/fresh is late", "freshness.restored: crm/fresh is fresh again"]);
    assert.equal(
      on.documents.all("due").filter(([id]) => id.startsWith("freshness-")).length,
      1,
      "one deadline an asset",
    );
  });

  test("of data that never came is noticed after the policy's first deadline", async () => {
    const on = ground();
    const { runtime } = process(on, load({ fresh: fresh("1h") }));
    await runtime.sweepDue();
    await rest(on, runtime);
    assert.deepEqual(changes(on), []);
    await on.clock.advance(HOUR + 1);
    await rest(on, runtime);
    assert.deepEqual(changes(on), ["freshness.failed"]);
  });

  test("goes by the policy of the last deployment, and is over when that is gone", async () => {
    const on = ground();
    await rest(on, process(on, load({ fresh: fresh("1h") })).runtime);
    await fail(process(on, load({ fresh: fresh("1h") })).runtime, "crm/fresh", "k");
    await on.clock.advance(1.5 * HOUR);
    await rest(on, process(on, load({ fresh: fresh("1h") })).runtime);
    await rest(on, process(on, load({ fresh: fresh("2h") })).runtime);
    assert.deepEqual(changes(on), ["freshness.failed", "freshness.restored"]);
    const none = asset({ key: "crm/fresh", materialize: async () => undefined });
    await rest(on, process(on, load({ none })).runtime, 3 * HOUR);
    assert.deepEqual([on.documents.all("due"), on.documents.all("freshness")], [[], []]);
    assert.equal(changes(on).length, 2);
  });

  test("of days is about the day that was due, and a partition that comes late restores it", async () => {
    const on = ground();
    const days = asset({
      key: "crm/days",
      partitions: daily(),
      freshness: { by: "0 9 * * *" },
      materialize: async () => undefined,
    });
    const { runtime } = process(on, load({ days }));
    const make = (partition: string): Promise<void> =>
      runtime.receive({ kind: "asset", key: "crm/days" }, { body: pushOf({ partition, runKey: partition }) });
    await rest(on, runtime);
    await on.clock.advance(9.5 * HOUR);
    await make("2024-05-01");
    await rest(on, runtime);
    const [event] = on.documents.events.filter(({ type }) => type === "freshness.failed");
    assert.ok(event?.type === "freshness.failed" && event.partition === "2024-04-30");
    // An older one than the newest: no commit says so, and the next look finds it.
    await make("2024-04-30");
    await rest(on, runtime, HOUR);
    assert.deepEqual(changes(on), ["freshness.failed", "freshness.restored"]);
  });

  test("asks the store one thing a sweep while nothing is due, however many assets there are", async () => {
    const assets = Array.from({ length: 1_000 }, (_, n) =>
      asset({ key: `many/a${n}`, freshness: { within: "26h" }, materialize: async () => undefined }),
    );
    const on = ground();
    const definitions = load({ assets });
    for (let sweep = 0; sweep < 6; sweep++) await process(on, definitions).runtime.sweepDue();
    let calls = 0;
    const counted: EventStore = {
      ...on.store,
      get: (kind, id) => ((calls += 1), on.store.get(kind, id)),
      transact: (refs, decide) => ((calls += 1), on.store.transact(refs, decide)),
    };
    await process({ ...on, store: counted }, definitions).runtime.sweepDue();
    assert.equal(calls, 1);
    assert.deepEqual(on.documents.all("freshness").length, 1_000);
  });

  test("a process may die after any call of the sweep, and each change is an event once", async () => {
    const definitions = load({ fresh: fresh("1h"), late });
    for (let last = 1; ; last++) {
      assert.ok(last < 60, "it never ends");
      const on = ground();
      const { runtime: before } = process(on, definitions);
      await before.sweepDue();
      await fail(before, "crm/fresh", "k");
      await rest(on, before);
      await on.clock.advance(2 * HOUR);
      const { runtime, death } = process(on, definitions, { last });
      const died = await Promise.race([death, rest(on, runtime).then(() => undefined)]);
      await on.clock.advance(100_000);
      await rest(on, process(on, definitions).runtime);
      assert.deepEqual(changes(on), ["freshness.failed"], `after ${died ?? "no death"}`);
      assert.equal(new Set(on.received.map(({ id }) => id)).size, 1, `after ${died ?? "no death"}`);
      if (died === undefined) break;
    }
  });
});
