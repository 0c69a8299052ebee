import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { planTicks } from "../../lib/cli/schedule.ts";
import { startScheduler } from "../../lib/cli/scheduler.ts";
import { asset } from "../../lib/core/asset.ts";
import { onSchedule } from "../../lib/core/automation.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const hourly = { asset: "a/hourly", cron: "0 * * * *", timeZone: "UTC" };
const at = (text: string): number => Date.parse(text);

describe("planTicks", () => {
  test("a schedule that was never seen counts from now on", () => {
    const plan = planTicks([hourly], new Map(), at("2024-05-01T10:30:00Z"));
    assert.deepEqual(plan, { due: [], fresh: ["a/hourly"], nextAt: at("2024-05-01T11:00:00Z"), problems: [] });
  });

  test("of many missed ticks only the latest is due", () => {
    const cursors = new Map([["a/hourly", at("2024-04-29T00:00:00Z")]]);
    const { due } = planTicks([hourly], cursors, at("2024-05-01T10:30:00Z"));
    assert.deepEqual(due, [{ asset: "a/hourly", tick: at("2024-05-01T10:00:00Z") }]);
  });

  for (const [now, isDue] of [
    ["2024-05-01T09:59:59.999Z", false],
    ["2024-05-01T10:00:00.000Z", true],
    ["2024-05-01T10:00:00.001Z", true],
  ] as const) {
    test(`at ${now} the tick of 10:00 is ${isDue ? "due" : "not due"}`, () => {
      const cursors = new Map([["a/hourly", at("2024-05-01T09:00:00Z")]]);
      const { due } = planTicks([hourly], cursors, at(now));
      assert.deepEqual(
        due.map(({ tick }) => new Date(tick).toISOString()),
        isDue ? ["2024-05-01T10:00:00.000Z"] : [],
      );
    });
  }

  test("a tick that was fired is not due again", () => {
    const cursors = new Map([["a/hourly", at("2024-05-01T10:00:00Z")]]);
    assert.deepEqual(planTicks([hourly], cursors, at("2024-05-01T10:00:00Z")).due, []);
    assert.deepEqual(planTicks([hourly], cursors, at("2024-05-01T10:59:59Z")).due, []);
  });

  test("cron lines are read in their own time zone", () => {
    const berlin = { asset: "a/berlin", cron: "0 9 * * *", timeZone: "Europe/Berlin" };
    const cursors = new Map([["a/berlin", at("2024-07-01T00:00:00Z")]]);
    const { due, nextAt } = planTicks([berlin], cursors, at("2024-07-01T08:00:00Z"));
    assert.deepEqual(due, [{ asset: "a/berlin", tick: at("2024-07-01T07:00:00Z") }]);
    assert.equal(nextAt, at("2024-07-02T07:00:00Z"));
  });

  test("a line that cannot be read is a problem and hinders no other", () => {
    const broken = [
      { asset: "a/broken", cron: "61 * * * *", timeZone: "UTC" },
      { asset: "a/nowhere", cron: "0 * * * *", timeZone: "Mars/Olympus" },
    ];
    const { problems, fresh } = planTicks([...broken, hourly], new Map(), at("2024-05-01T10:30:00Z"));
    assert.deepEqual(fresh, ["a/hourly"]);
    assert.match(problems[0] ?? "", /^a\/broken: the schedule "61 \* \* \* \*" in UTC cannot be read: /);
    assert.match(problems[1] ?? "", /^a\/nowhere: .*Mars\/Olympus/);
  });
});

describe("the scheduler", () => {
  const definitions = collectDefinitions([
    {
      file: "functions/a.ts",
      exports: { a: asset({ key: "a/hourly", automation: onSchedule("0 * * * *"), async materialize() {} }) },
    },
  ]).definitions;

  test("fires each tick once, and makes up for exactly one after a pause", async () => {
    const clock = virtualClock(at("2024-05-01T10:30:00Z"));
    const events = openSqliteEventStore({ file: ":memory:" });
    const published: string[] = [];
    const bus = {
      async publish(topic: string, { data }: { readonly data: unknown }) {
        published.push(`${new Date(clock.now()).toISOString().slice(11, 16)} ${topic} ${JSON.stringify(data)}`);
        return "1";
      },
      async schedule() {},
    };
    const message = 'asset.a.hourly {"cause":{"kind":"schedule"}}';
    const onError = (error: unknown): void => assert.fail(String(error));
    const start = () =>
      startScheduler({ events, bus, clock, definitions: () => definitions, onProblem: onError, onError });

    const first = start();
    await clock.advance(2 * 3_600_000);
    assert.deepEqual(published, [`11:00 ${message}`, `12:00 ${message}`]);
    await first.stop();
    assert.equal(clock.sleeping, 0);

    await clock.advance(5 * 3_600_000);
    const second = start();
    await clock.advance(60_000);
    assert.deepEqual(published.slice(2), [`17:30 ${message}`]);
    await second.stop();

    const third = start();
    await clock.advance(60_000);
    assert.equal(published.length, 3, "what was made up for is not fired again");
    await third.stop();
    events.close();
  });

  test("goes on after a fault of the bus, and loses no tick", async () => {
    const clock = virtualClock(at("2024-05-01T10:59:00Z"));
    const events = openSqliteEventStore({ file: ":memory:" });
    let broken = true;
    let published = 0;
    const bus = {
      async publish() {
        if (broken) throw new Error("the disk is full");
        return String(++published);
      },
      async schedule() {},
    };
    const errors: unknown[] = [];
    const scheduler = startScheduler({
      events,
      bus,
      clock,
      definitions: () => definitions,
      onProblem: () => assert.fail(),
      onError: (error) => errors.push(error),
    });
    await clock.advance(120_000);
    assert.ok(errors.length > 0);
    broken = false;
    await clock.advance(60_000);
    assert.equal(published, 1);
    await scheduler.stop();
    events.close();
  });
});
