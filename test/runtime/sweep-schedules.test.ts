/** Ticks of schedules that never came are made up for, once each; those that came are let be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { onInterval, onSchedule } from "../../lib/core/automation.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import type { ScheduleRules } from "../../lib/core/schedule.ts";
import { daily } from "../../lib/core/partitions.ts";
import type { OutgoingMessage } from "../../lib/ports/message-bus.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import { plainRuntime } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const MINUTE = 60_000;
const at = (text: string): number => Date.parse(text);
const rules: ScheduleRules = { schedules: {}, spreadMinutes: { hourly: 0, daily: 0, weekly: 0, monthly: 0 } };
const tick = { cause: { kind: "schedule" } };

type Options = Parameters<typeof asset>[0];

/** One asset; what is made up for is delivered when `deliver` is called, as often as is asked. */
function setUp(
  options: Partial<Options>,
  {
    start = "2024-05-01T05:00:00Z",
    settings = rules,
    events,
  }: { start?: string; settings?: ScheduleRules; events?: (store: EventStore) => EventStore } = {},
) {
  const clock = virtualClock(at(start));
  const ran: string[] = [];
  const sent: OutgoingMessage[] = [];
  const of = (more: Partial<Options>) => {
    const a = asset({
      key: "a/x",
      async materialize({ partition }: { readonly partition?: { readonly key: string } }) {
        ran.push(partition?.key ?? "");
      },
      ...options,
      ...more,
    } as Options);
    const { definitions, problems } = collectDefinitions([{ file: "functions/a.ts", exports: { a } }]);
    assert.deepEqual(problems, []);
    return definitions;
  };
  let key = "a/x";
  const definitions = { ...of({}) };
  const down = { publish: false };
  const made = plainRuntime({
    definitions,
    clock,
    settings: { schedules: settings },
    ...(events === undefined ? {} : { events }),
    onPublish: (topic, message) => {
      if (down.publish) throw new Error("the topic is gone");
      if (topic.startsWith("asset.")) sent.push(message);
    },
  });
  let ids = 0;
  const receive = (message: OutgoingMessage, publishTime: number) =>
    made.runtime.receive(
      { kind: "asset", key },
      {
        body: {
          message: {
            data: Buffer.from(JSON.stringify(message.data)).toString("base64"),
            attributes: message.attributes,
            messageId: `m${ids++}`,
            publishTime: new Date(publishTime).toISOString(),
          },
        },
      },
    );
  return {
    ...made,
    clock,
    ran,
    sent,
    down,
    sweep: () => made.runtime.sweepDue(),
    /** The message of Cloud Scheduler, whenever it comes. */
    real: (published: string) => receive({ data: tick }, at(published)),
    async deliver() {
      for (const message of sent.splice(0)) await receive(message, clock.now());
    },
    /** As by a new deployment. */
    become(more: Partial<Options> & { readonly key?: string }) {
      key = more.key ?? key;
      Object.assign(definitions, of(more));
    },
    until: (text: string) => clock.advance(at(text) - clock.now()),
  };
}

const six = { automation: onSchedule("0 6 * * *") };

test("a lost tick becomes one run, ten minutes later; delivered late, it is the same one", async () => {
  const { sweep, until, sent, deliver, real, ran, events } = setUp(six);
  await sweep();
  await until("2024-05-01T06:09:59Z");
  await sweep();
  assert.deepEqual(sent, [], "it may still come");
  await until("2024-05-01T06:10:00Z");
  await sweep();
  assert.deepEqual(sent, [
    {
      data: { cause: { kind: "schedule", at: at("2024-05-01T06:00:00Z") } },
      attributes: { "sluice-published-at": "2024-05-01T06:00:00.000Z" },
    },
  ]);
  await sweep();
  assert.equal(sent.length, 1);
  await deliver();
  await real("2024-05-01T06:00:03Z");
  await until("2024-05-02T05:00:00Z");
  await sweep();
  assert.deepEqual([ran, sent], [[""], []]);
  const { items } = await events.history({ types: ["run.started"] });
  assert.deepEqual(
    items.map((event) => "cause" in event && event.cause),
    [{ kind: "schedule", at: at("2024-05-01T06:00:00Z") }],
  );
});

test("of several lost ticks the latest alone is made up for, of the window that it stands for", async () => {
  const partitions = daily({ start: "2024-01-01" });
  const project = setUp({ partitions, automation: onInterval("daily") });
  await project.sweep();
  await project.until("2024-05-05T17:00:00Z");
  await project.sweep();
  await project.deliver();
  assert.deepEqual(project.ran, ["2024-05-04"]);
  // Published in another minute, it is still that window's.
  await project.real("2024-05-05T13:37:00Z");
  assert.deepEqual(project.ran, ["2024-05-04"]);
});

for (const published of ["2024-05-01T06:00:00Z", "2024-05-01T06:00:59Z", "2024-05-01T06:07:30Z"]) {
  test(`a tick that was published at ${published} is let be`, async () => {
    const { sweep, until, real, sent, ran } = setUp(six);
    await sweep();
    await until(published);
    await real(published);
    await until("2024-05-01T07:00:00Z");
    await sweep();
    assert.deepEqual([ran, sent], [[""], []]);
  });
}

test("who dies between the message and its note sends it again, for the same run; a topic that is gone is tried again", async () => {
  let dead = false;
  const project = setUp(six, {
    events: (store) => ({
      ...store,
      transact: (...args) => (dead ? Promise.reject(new Error("killed")) : store.transact(...args)),
    }),
  });
  await project.sweep();
  await project.until("2024-05-01T06:10:00Z");
  project.down.publish = true;
  await assert.rejects(project.sweep(), /the topic is gone/);
  project.down.publish = false;
  dead = true;
  await assert.rejects(project.sweep(), /killed/);
  dead = false;
  await project.sweep();
  assert.equal(project.sent.length, 2);
  await project.deliver();
  assert.deepEqual(project.ran, [""]);
});

test("a paused asset begins no run for it until it goes on; then one", async () => {
  const project = setUp(six);
  await project.sweep();
  await project.runtime.operations.pause("a/x");
  await project.until("2024-05-01T06:10:00Z");
  await project.sweep();
  await project.deliver();
  assert.deepEqual(project.ran, []);
  await project.runtime.operations.resume("a/x");
  for (let sweeps = 0; sweeps < 3; sweeps++) {
    await project.sweep();
    await project.deliver();
    await project.clock.advance(MINUTE);
  }
  assert.deepEqual(project.ran, [""]);
});

test("a schedule begins with the first sweep that knows it, again with other times; a renamed asset's goes on", async () => {
  const project = setUp({});
  await project.sweep();
  project.become(six);
  await project.until("2024-05-01T08:00:00Z");
  await project.sweep();
  assert.deepEqual(project.sent, [], "its first tick was before");
  await project.until("2024-05-02T07:00:00Z");
  project.become({ automation: onSchedule("0 5 * * *") });
  await project.sweep();
  assert.deepEqual(project.sent, [], "other times");
  await project.until("2024-05-03T04:00:00Z");
  project.become({ key: "a/y", previousKeys: ["a/x"], automation: onSchedule("0 5 * * *") });
  await project.until("2024-05-03T05:10:00Z");
  await project.sweep();
  assert.equal(project.sent.length, 1);
  await project.deliver();
  assert.deepEqual(project.ran, [""]);
  project.become({ key: "a/z" });
  await project.sweep();
  const cursor = await project.events.get("cursor", "schedule ticks");
  assert.equal(cursor?.value, "{}", "nothing is kept of what is gone");
});

test("without rules nothing is made up for, and nothing due costs one read", async () => {
  let reads = 0;
  const counted = (store: EventStore): EventStore => ({
    ...store,
    get: (...args) => {
      if (args[1] === "schedule ticks" || args[0] === "run") reads += 1;
      return store.get(...args);
    },
  });
  const project = setUp(six, { events: counted });
  await project.sweep();
  reads = 0;
  await project.until("2024-05-01T06:05:00Z");
  await project.sweep();
  assert.equal(reads, 1);
});
