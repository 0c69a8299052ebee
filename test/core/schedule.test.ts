/** When schedules tick in an environment, and which of their ticks never came. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { asset } from "../../lib/core/asset.ts";
import { onInterval, onSchedule, scheduledRunKey } from "../../lib/core/automation.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { canonicalJson, shortHash } from "../../lib/core/hash.ts";
import { bigqueryTable } from "../../lib/core/io-manager.ts";
import { multiAsset } from "../../lib/core/multi-asset.ts";
import { daily } from "../../lib/core/partitions.ts";
import { runIdOf } from "../../lib/core/request.ts";
import { cronLines, overdueTick, runsOfTick, scheduledRequests } from "../../lib/core/schedule.ts";
import { fromStub, stubOf } from "../../lib/core/stub.ts";

const at = (text: string): number => Date.parse(text);
const none = { schedules: {}, spreadMinutes: { hourly: 0, daily: 0, weekly: 0, monthly: 0 } };
async function materialize(): Promise<void> {}

describe("the tick that is overdue", () => {
  for (const [cron, timeZone, since, now, expected] of [
    ["0 6 * * *", "UTC", "2024-05-01T05:00:00Z", "2024-05-01T06:09:59Z", undefined],
    ["0 6 * * *", "UTC", "2024-05-01T05:00:00Z", "2024-05-01T06:10:00Z", "2024-05-01T06:00:00.000Z"],
    ["0 6 * * *", "UTC", "2024-05-01T06:00:00Z", "2024-05-01T23:00:00Z", undefined],
    ["0 6 * * *", "UTC", "2024-05-01T07:00:00Z", "2024-05-02T05:00:00Z", undefined],
    ["0 6 * * *", "UTC", "2024-04-01T07:00:00Z", "2024-05-02T05:00:00Z", "2024-05-01T06:00:00.000Z"],
    ["* * * * *", "UTC", "2024-05-01T05:00:00Z", "2024-05-01T06:00:30Z", "2024-05-01T05:50:00.000Z"],
    // Before and after the clocks change.
    ["0 9 * * *", "Europe/Berlin", "2024-03-29T12:00:00Z", "2024-03-30T12:00:00Z", "2024-03-30T08:00:00.000Z"],
    ["0 9 * * *", "Europe/Berlin", "2024-03-30T12:00:00Z", "2024-03-31T12:00:00Z", "2024-03-31T07:00:00.000Z"],
    ["0 9 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z", "2024-10-27T12:00:00Z", "2024-10-27T08:00:00.000Z"],
  ] as const) {
    test(`of ${cron} in ${timeZone}, settled to ${since}, at ${now}: ${expected ?? "none"}`, () => {
      const found = overdueTick(cronLines()({ cron, timeZone }), at(since), at(now));
      assert.equal(found === undefined ? undefined : new Date(found).toISOString(), expected);
    });
  }
});

const { definitions } = collectDefinitions([
  {
    file: "functions/a.ts",
    exports: {
      days: asset({
        key: "a/days",
        partitions: daily({ start: "2024-01-01" }),
        automation: onInterval("daily"),
        materialize,
      }),
      six: asset({ key: "a/six", previousKeys: ["a/old"], automation: onSchedule("0 6 * * *"), materialize }),
      eight: asset({ key: "a/eight", automation: onSchedule("0 8 * * *"), materialize }),
      idle: asset({ key: "a/idle", materialize }),
    },
  },
]);

test("an environment moves whole intervals, and says exact times", () => {
  const rules = {
    schedules: { "a/eight": { cron: "30 7 * * 1", timeZone: "Asia/Tokyo" } },
    spreadMinutes: { hourly: 10, daily: 50, weekly: 50, monthly: 50 },
  };
  const requests = scheduledRequests(definitions, rules);
  assert.deepEqual(
    requests.map(({ topic }) => topic),
    ["asset.a.days", "asset.a.six", "asset.a.eight"],
  );
  const [days, six, eight] = requests;
  assert.match(days?.cron ?? "", /^([0-9]|[1-4][0-9]|50) 0 \* \* \*$/);
  assert.equal(six?.cron, "0 6 * * *");
  assert.deepEqual([eight?.cron, eight?.timeZone], ["30 7 * * 1", "Asia/Tokyo"]);
  // The function that sweeps knows them by their stubs alone.
  const all = [...definitions.assets.values()].map((one) => fromStub(stubOf(one, { deadlines: true })));
  const stubs = collectDefinitions([{ file: "stubs", exports: { all } }], { part: true });
  const told = scheduledRequests(stubs.definitions, rules);
  const said = (list: typeof requests) =>
    list.map(({ topic, data, cron, timeZone }) => ({ topic, data, cron, timeZone }));
  assert.deepEqual(said(told), said(requests));
});

test("a tick's runs are those of its window, or of its minute and the following ones before the next tick", () => {
  const [days, six] = scheduledRequests(definitions, none);
  assert.ok(days !== undefined && six !== undefined);
  const line = cronLines();
  assert.deepEqual(runsOfTick(days, line(days), at("2024-05-02T00:00:00Z")), [
    runIdOf("asset", "a/days", "2024-05-01", "schedule:2024-05-01"),
  ]);
  const runs = runsOfTick(six, line(six), at("2024-05-02T06:00:00Z"));
  assert.equal(runs.length, 10);
  assert.equal(runs[0], runIdOf("asset", "a/old", "", "schedule::2024-05-02T06:00:00.000Z"));
  assert.equal(runs[9], runIdOf("asset", "a/old", "", "schedule::2024-05-02T06:09:00.000Z"));
  const minutely = { ...six, cron: "*/2 * * * *" };
  assert.equal(runsOfTick(minutely, line(minutely), at("2024-05-02T06:00:00Z")).length, 2);
});

test("outputs of a multi-asset are one request to its job, also where only stubs are known", () => {
  const schema = z.object({ n: z.number() });
  const output = (key: string) => ({ key, schema, ioManager: bigqueryTable() });
  const site = multiAsset({
    name: "site",
    automation: onSchedule("0 6 * * *"),
    assets: { people: output("site/people"), places: output("site/places") },
    async *materialize() {},
  });
  const whole = collectDefinitions([{ file: "functions/a.ts", exports: { site } }]).definitions;
  const all = [...whole.assets.values(), ...whole.jobs.values()].map((one) =>
    fromStub(stubOf(one, { deadlines: true })),
  );
  const stubs = collectDefinitions([{ file: "stubs", exports: { all } }], { part: true });
  assert.deepEqual(stubs.problems, []);
  for (const known of [whole, stubs.definitions]) {
    const [request, ...others] = scheduledRequests(known, none);
    assert.ok(request !== undefined && others.length === 0);
    assert.equal(request.topic, "job.site");
    const [run] = runsOfTick(request, cronLines()(request), at("2024-05-02T06:00:00Z"));
    const what = shortHash([canonicalJson({ select: ["people", "places"] })]);
    assert.equal(run, runIdOf("job", "site", "", `schedule::${what}:2024-05-02T06:00:00.000Z`));
  }
});

test("two schedules of one multi-asset that tick in one minute are two runs", () => {
  const at = Date.parse("2024-05-02T06:00:00Z");
  const keys = [["people"], ["places"], ["people", "places"]].map((select) => scheduledRunKey({}, "", at, { select }));
  assert.equal(new Set(keys).size, 3);
});
