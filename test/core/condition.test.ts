import assert from "node:assert/strict";
import { test } from "node:test";
import { eager, onCron, onInterval, onMissing } from "../../lib/core/automation.ts";
import type { AutomationCondition } from "../../lib/core/automation.ts";
import { automaticRunKey, explain } from "../../lib/core/condition.ts";
import type { Facts, UpstreamFact } from "../../lib/core/condition.ts";

const at = Date.UTC(2024, 4, 2, 6);
const fresh: UpstreamFact = {
  asset: "a/x",
  origin: "a/x",
  partition: "2024-05-01",
  version: "m-2",
  at: at - 1_000,
  consumed: "m-1",
};
const seen: UpstreamFact = { ...fresh, consumed: "m-2" };
const absent: UpstreamFact = { asset: "a/y", origin: "a/y", partition: "2024-05-01" };
const facts = (more: Partial<Facts>): Facts => ({
  asset: "a/z",
  partition: "2024-05-01",
  now: at,
  newest: true,
  upstreams: [],
  ...more,
});

const cases: [string, AutomationCondition, Partial<Facts>, boolean, RegExp][] = [
  ["eager: never made, all there", eager(), { upstreams: [seen] }, true, /all of these/],
  [
    "eager: made from the same",
    eager(),
    { madeAt: 1, upstreams: [seen] },
    false,
    /it was made from what its upstreams show/,
  ],
  ["eager: something newer", eager(), { madeAt: 1, upstreams: [fresh] }, true, /all of these/],
  ["eager: one missing", eager(), { madeAt: 1, upstreams: [fresh, absent] }, false, /not there yet: a\/y 2024-05-01/],
  [
    "eager: one blocked",
    eager(),
    { upstreams: [{ ...fresh, blocked: "not_empty failed" }] },
    false,
    /^waits until a run passes: a\/x 2024-05-01: not_empty failed$/,
  ],
  ["missing: never made", onMissing(), { upstreams: [seen] }, true, /all of these/],
  ["missing: made before", onMissing(), { madeAt: 1, upstreams: [fresh] }, false, /it was made 1970/],
  ["missing: waits for the upstream", onMissing(), { upstreams: [absent] }, false, /not there yet/],
  ["cron: all updated since", onCron("0 6 * * *"), { tick: at - 2_000, upstreams: [fresh] }, true, /all of these/],
  [
    "cron: one not updated since",
    onCron("0 6 * * *"),
    { tick: at, upstreams: [fresh] },
    false,
    /not updated since the tick/,
  ],
  [
    "cron: done already",
    onCron("0 6 * * *"),
    { tick: at - 2_000, madeAt: at, upstreams: [fresh] },
    false,
    /after the tick/,
  ],
  [
    "cron: an old partition",
    onCron("0 6 * * *"),
    { tick: at - 2_000, newest: false, upstreams: [fresh] },
    false,
    /a newer one/,
  ],
  ["cron: no tick yet", onCron("0 6 * * *"), { upstreams: [fresh] }, false, /has not ticked/],
  [
    "schedule: not by upstreams",
    onInterval("daily"),
    { upstreams: [fresh] },
    false,
    /0 0 \* \* \* \(UTC\), not by its upstreams: last 2024-05-02T00:00:00\.000Z, next 2024-05-03T00:00:00\.000Z$/,
  ],
];

for (const [name, condition, given, value, because] of cases) {
  test(name, () => {
    const explained = explain(condition, facts(given));
    assert.equal(explained.value, value);
    assert.match(explained.because, because);
  });
}

test("each line is true of what was never made, has no upstreams, or has none that was made", () => {
  const lines = (more: Partial<Facts>): Readonly<Record<string, string>> => {
    const [something, ...others] = explain(eager(), facts(more)).parts;
    return Object.fromEntries([...(something?.parts ?? []), ...others].map(({ label, because }) => [label, because]));
  };
  const alone = lines({});
  assert.equal(alone["missing"], "it was never made");
  assert.equal(alone["an upstream updated"], "it has no upstreams");
  assert.equal(alone["all upstreams there"], "it has no upstreams");
  assert.equal(lines({ upstreams: [absent] })["an upstream updated"], "none of its upstreams was ever made");
  const { consumed: _, ...unread } = { ...fresh, run: "r-2" };
  assert.equal(
    lines({ upstreams: [unread] })["an upstream updated"],
    "made, and never read by it: a/x 2024-05-01 of 2024-05-02T05:59:59.000Z by run r-2",
  );
  const made = lines({ madeAt: at, madeBy: { run: "r-9", version: "m-9" }, upstreams: [seen] });
  assert.equal(made["missing"], "it was made 2024-05-02T06:00:00.000Z by run r-9");
  assert.equal(
    made["an upstream updated"],
    "it was made from what its upstreams show: a/x 2024-05-01 of 2024-05-02T05:59:59.000Z",
  );
});

test("of many upstreams, the last made is named with its time and run, and its event comes first", () => {
  const upstreams = Array.from({ length: 24 }, (_, hour) => ({
    ...seen,
    partition: `2024-05-01T${String(hour).padStart(2, "0")}`,
    at: at + hour,
    version: `m-${hour}`,
    consumed: `m-${hour}`,
    run: `r-${hour}`,
  }));
  const there = explain(eager(), facts({ upstreams })).parts.find(({ label }) => label === "all upstreams there");
  assert.equal(there?.because, "24 of 24 there, the last a/x 2024-05-01T23 of 2024-05-02T06:00:00.023Z by run r-23");
  assert.deepEqual([there?.events.length, there?.events[0]], [24, "m-23"]);
});

test("every part of the tree names what it rests on", () => {
  const tree = explain(eager(), facts({ madeAt: 1, upstreams: [fresh] }));
  const labels = tree.parts.map(({ label }) => label);
  assert.deepEqual(labels, ["something new", "all upstreams there", "no upstream blocked"]);
  const updated = tree.parts[0]?.parts.find(({ label }) => label === "an upstream updated");
  assert.deepEqual(updated?.events, ["m-2"]);
  const blocked = explain(eager(), facts({ upstreams: [{ ...fresh, blocked: "not_empty failed", blockedBy: "r-1" }] }));
  assert.deepEqual(blocked.parts.find(({ label }) => label === "no upstream blocked")?.events, ["r-1"]);
});

test("the same versions ask for the same run, others for another", () => {
  const condition = eager();
  const key = automaticRunKey(condition, facts({ upstreams: [fresh] }));
  assert.equal(automaticRunKey(condition, facts({ upstreams: [seen], madeAt: 5 })), key);
  assert.notEqual(automaticRunKey(condition, facts({ upstreams: [{ ...fresh, version: "m-3" }] })), key);
  const cron = onCron("0 6 * * *");
  assert.equal(
    automaticRunKey(cron, facts({ tick: 7, upstreams: [fresh] })),
    automaticRunKey(cron, facts({ tick: 7, upstreams: [absent] })),
  );
});
