import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { asset } from "../../lib/core/asset.ts";
import type { AssetDocument, DueDocument, FreshnessDocument } from "../../lib/core/documents.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";
import {
  checkFreshness,
  freshnessDueId,
  freshnessOf,
  freshnessText,
  partitionDue,
  recordFreshness,
} from "../../lib/core/freshness.ts";
import type { Freshness, FreshnessPolicy } from "../../lib/core/freshness.ts";
import { daily, hourly, staticPartitions } from "../../lib/core/partitions.ts";
import type { PartitionsDefinition } from "../../lib/core/partitions.ts";

const at = (text: string): number => Date.parse(text);
const LONG_AGO = at("2020-01-01T00:00:00Z");

function newest(text: string, partition = ""): Pick<AssetDocument, "partition" | "order" | "at"> {
  return { partition, order: partition, at: at(text) };
}

interface Case {
  readonly name: string;
  readonly policy: FreshnessPolicy;
  readonly now: string;
  readonly partitions?: PartitionsDefinition;
  readonly slot?: "table" | "partition";
  readonly newest?: ReturnType<typeof newest>;
  readonly held?: boolean;
  readonly since?: string;
  readonly status: Freshness["status"];
  readonly deadline?: string;
  readonly nextAt?: string;
}

function play(cases: readonly Case[]): void {
  for (const given of cases) {
    test(given.name, () => {
      const { policy, partitions, slot, held } = given;
      const facts = { since: given.since === undefined ? LONG_AGO : at(given.since), newest: given.newest, held };
      const found = freshnessOf(policy, { partitions, slot }, facts, at(given.now));
      assert.equal(found.status, given.status, found.because);
      const iso = (ms: number | undefined): string | undefined =>
        ms === undefined ? undefined : new Date(ms).toISOString();
      if (given.deadline !== undefined) assert.equal(iso(found.deadline), iso(at(given.deadline)));
      if (given.nextAt !== undefined) assert.equal(iso(found.nextAt), iso(at(given.nextAt)));
    });
  }
}

describe("within a duration", () => {
  const policy: FreshnessPolicy = { within: "26h" };
  const made = newest("2024-05-01T03:00:00Z");
  play([
    {
      name: "just made",
      policy,
      newest: made,
      now: "2024-05-01T03:00:01Z",
      status: "fresh",
      nextAt: "2024-05-02T05:00:00.001Z",
    },
    { name: "at the very last moment", policy, newest: made, now: "2024-05-02T05:00:00Z", status: "fresh" },
    {
      name: "a moment later",
      policy,
      newest: made,
      now: "2024-05-02T05:00:00.001Z",
      status: "late",
      deadline: "2024-05-02T05:00:00Z",
    },
    {
      name: "never made, and new",
      policy,
      since: "2024-05-01T00:00:00Z",
      now: "2024-05-02T02:00:00Z",
      status: "unknown",
    },
    {
      name: "never made, and not new",
      policy,
      since: "2024-05-01T00:00:00Z",
      now: "2024-05-02T02:00:00.001Z",
      status: "late",
    },
    {
      name: "a day counts from its end",
      policy,
      partitions: daily(),
      newest: newest("2024-06-30T00:00:00Z", "2024-05-01"),
      now: "2024-05-03T02:00:00Z",
      status: "fresh",
    },
    {
      name: "a correction of an old day makes no fresh data",
      policy,
      partitions: daily(),
      newest: newest("2024-05-03T01:00:00Z", "2024-05-01"),
      now: "2024-05-03T02:00:00.001Z",
      status: "late",
    },
    {
      name: "the last day there will ever be",
      policy,
      partitions: daily({ start: "2024-01-01", end: "2024-05-02" }),
      newest: newest("2024-05-02T00:00:00Z", "2024-05-01"),
      now: "2030-01-01T00:00:00Z",
      status: "fresh",
    },
    {
      name: "a partition that the asset does not have any more is no data",
      policy,
      partitions: hourly(),
      newest: newest("2024-05-02T00:00:00Z", "2024-05-01"),
      since: "2024-05-02T00:00:00Z",
      now: "2024-05-02T01:00:00Z",
      status: "unknown",
    },
  ]);
});

describe("by a deadline", () => {
  const policy: FreshnessPolicy = { by: "0 9 * * *", timeZone: "Europe/Berlin" };
  const bounded: FreshnessPolicy = { ...policy, lowerBound: "2h" };
  play([
    {
      name: "made since the deadline before",
      policy,
      newest: newest("2024-05-01T07:00:01Z"),
      now: "2024-05-02T07:00:00Z",
      status: "fresh",
      deadline: "2024-05-02T07:00:00Z",
      nextAt: "2024-05-03T07:00:00Z",
    },
    {
      name: "made at the deadline before, and not since",
      policy,
      newest: newest("2024-05-01T07:00:00Z"),
      now: "2024-05-02T07:00:00Z",
      status: "late",
      deadline: "2024-05-02T07:00:00Z",
    },
    {
      name: "before the deadline nothing is late",
      policy,
      newest: newest("2024-04-30T07:00:01Z"),
      now: "2024-05-02T06:59:59Z",
      status: "fresh",
    },
    {
      name: "made after the deadline: fresh again",
      policy,
      newest: newest("2024-05-02T12:00:00Z"),
      now: "2024-05-02T12:00:00Z",
      status: "fresh",
    },
    {
      name: "made too early to count",
      policy: bounded,
      newest: newest("2024-05-02T04:59:59Z"),
      now: "2024-05-02T07:00:00Z",
      status: "late",
    },
    {
      name: "made just late enough to count",
      policy: bounded,
      newest: newest("2024-05-02T05:00:00Z"),
      now: "2024-05-02T07:00:00Z",
      status: "fresh",
    },
    { name: "never made, after a deadline", policy, now: "2024-05-02T07:00:00Z", status: "late" },
    {
      name: "never made, before its first deadline",
      policy,
      since: "2024-05-02T07:00:00Z",
      now: "2024-05-03T06:59:59Z",
      status: "unknown",
      nextAt: "2024-05-03T07:00:00Z",
    },
    {
      name: "what was due before the policy came is not missed",
      policy,
      newest: newest("2024-01-01T00:00:00Z"),
      since: "2024-05-02T08:00:00Z",
      now: "2024-05-02T12:00:00Z",
      status: "fresh",
    },
    {
      name: "in winter the line is an hour later",
      policy,
      newest: newest("2024-12-01T08:30:00Z"),
      now: "2024-12-02T07:59:59Z",
      status: "fresh",
      nextAt: "2024-12-02T08:00:00Z",
    },
    // On 31 March 2024 the clocks of Berlin go from 2:00 to 3:00; on 27 October from 3:00 to 2:00.
    {
      name: "a line within the hour that spring leaves out comes at its end",
      policy: { by: "30 2 * * *", timeZone: "Europe/Berlin" },
      newest: newest("2024-03-30T12:00:00Z"),
      now: "2024-03-31T12:00:00Z",
      status: "fresh",
      deadline: "2024-03-31T01:00:00Z",
    },
    {
      name: "in the night that is an hour longer there is one deadline, not two",
      policy: { by: "30 2 * * *", timeZone: "Europe/Berlin" },
      newest: newest("2024-10-27T00:30:01Z"),
      now: "2024-10-27T12:00:00Z",
      status: "fresh",
      nextAt: "2024-10-28T01:30:00Z",
    },
    {
      name: "the day's partition is there",
      policy,
      partitions: daily(),
      newest: newest("2024-05-02T01:00:00Z", "2024-05-01"),
      held: true,
      now: "2024-05-02T07:00:00Z",
      status: "fresh",
    },
    {
      name: "the day's partition is not there, others are",
      policy,
      partitions: daily(),
      newest: newest("2024-05-02T06:00:00Z", "2024-04-30"),
      now: "2024-05-02T07:00:00Z",
      status: "late",
    },
    {
      name: "a newer day in place of it, in a table that shows the newest",
      policy,
      partitions: daily(),
      slot: "table",
      newest: newest("2024-05-03T01:00:00Z", "2024-05-02"),
      now: "2024-05-03T01:00:00Z",
      status: "fresh",
    },
    {
      name: "a newer day beside it, in a table of days",
      policy,
      partitions: daily(),
      slot: "partition",
      newest: newest("2024-05-03T01:00:00Z", "2024-05-02"),
      now: "2024-05-03T01:00:00Z",
      status: "late",
    },
    {
      name: "before the first day is over",
      policy,
      partitions: daily({ start: "2024-05-02" }),
      now: "2024-05-02T12:00:00Z",
      status: "unknown",
    },
  ]);

  test("which partition a deadline is about follows from the window that was over then, in UTC", () => {
    const due = (by: string, timeZone: string, now: string): string | undefined =>
      partitionDue({ by, timeZone }, { partitions: daily() }, at(now))?.key;
    assert.equal(due("0 9 * * *", "Europe/Berlin", "2024-05-02T12:00:00Z"), "2024-05-01");
    // Half past midnight in Berlin is still the day before in UTC.
    assert.equal(due("30 0 * * *", "Europe/Berlin", "2024-05-02T12:00:00Z"), "2024-04-30");
    assert.equal(due("0 20 * * *", "America/New_York", "2024-05-02T00:00:00Z"), "2024-05-01");
    assert.equal(partitionDue({ within: "1h" }, { partitions: daily() }, at("2024-05-02T12:00:00Z")), undefined);
  });
});

test("whatever is fresh stays so until nextAt, if nothing happens", () => {
  const minutes = fc.integer({ min: 0, max: 60 * 24 * 400 });
  const policies = fc.constantFrom<FreshnessPolicy>(
    { within: "26h" },
    { within: "10m" },
    { by: "0 9 * * *", timeZone: "Europe/Berlin" },
    { by: "30 2 * * *", timeZone: "Europe/Berlin", lowerBound: "6h" },
    { by: "*/20 * * * 1-5", timeZone: "America/New_York" },
  );
  const start = at("2024-01-01T00:00:00Z");
  fc.assert(
    fc.property(policies, minutes, minutes, minutes, (policy, made, looked, later) => {
      const facts = { since: start, newest: { partition: "", order: "", at: start + made * 60_000 } };
      const now = start + (made + looked) * 60_000;
      const found = freshnessOf(policy, {}, facts, now);
      if (found.nextAt === undefined) return assert.equal(found.status, "late");
      assert.ok(found.nextAt > now);
      const then = Math.min(found.nextAt - 1, now + later * 60_000);
      assert.equal(freshnessOf(policy, {}, facts, then).status, found.status);
    }),
    { numRuns: 300 },
  );
});

describe("what is recorded", () => {
  const policy: FreshnessPolicy = { within: "1h" };
  const record = (
    before: FreshnessDocument | undefined,
    status: Freshness["status"],
    now: number,
    more: { policy?: FreshnessPolicy | undefined } = { policy },
  ) => {
    const seen: number[] = [];
    const decision = recordFreshness(
      { freshness: before },
      {
        id: "a/b",
        asset: "a/b",
        policy: more.policy,
        now,
        evaluate: (since) => {
          seen.push(since);
          return { status, because: "so", nextAt: now + 5_000_000 };
        },
      },
    );
    const written = decision.writes.flatMap((write) =>
      "put" in write && write.put.kind === "freshness" ? [write.value as FreshnessDocument] : [],
    );
    const due = decision.writes.find((write) => "put" in write && write.put.kind === "due");
    return {
      events: decision.events.map(({ type }) => type),
      ids: decision.events.map(({ id }) => id),
      written: written[0],
      due,
      seen,
      decision,
    };
  };

  test("an event for each change between late and not late, and for nothing else", () => {
    const statuses = ["unknown", "fresh", "fresh", "late", "late", "unknown", "late", "fresh"] as const;
    const events: string[] = [];
    const ids = new Set<string>();
    let kept: FreshnessDocument | undefined;
    for (const [index, status] of statuses.entries()) {
      const result = record(kept, status, 1_000 * (index + 1));
      events.push(result.events.join(" "));
      for (const id of result.ids) ids.add(id);
      kept = result.written ?? kept;
    }
    assert.deepEqual(events, [
      "",
      "",
      "",
      "freshness.failed",
      "",
      "freshness.restored",
      "freshness.failed",
      "freshness.restored",
    ]);
    assert.equal(ids.size, 4, "each change has an id of its own");
  });

  test("the same look twice records the same event", () => {
    const first = record(undefined, "late", 1_000);
    assert.deepEqual(record(undefined, "late", 2_000).ids, first.ids);
    assert.deepEqual(record(first.written, "late", 2_000).events, []);
    assert.equal(record(first.written, "late", 2_000).written, undefined, "nothing is written that did not change");
  });

  test("what is late is looked at again soon, all else when its time comes", () => {
    const dueAt = ({ due }: ReturnType<typeof record>): number | undefined =>
      due !== undefined && "put" in due && due.put.kind === "due" ? (due.value as DueDocument).dueAt : undefined; // of its kind
    assert.equal(dueAt(record(undefined, "late", 0)), 3_600_000);
    assert.equal(dueAt(record(undefined, "fresh", 0)), 5_000_000);
  });

  test("another policy begins anew, and no policy ends it", () => {
    const late = record(undefined, "late", 1_000).written;
    const changed = record(late, "unknown", 9_000, { policy: { within: "2h" } });
    assert.deepEqual([changed.seen, changed.events, changed.written?.since], [[9_000], ["freshness.restored"], 9_000]);
    const removed = record(late, "fresh", 9_000, { policy: undefined });
    assert.deepEqual(removed.events, ["freshness.restored"]);
    assert.deepEqual(removed.decision.writes, [
      { delete: { kind: "due", id: freshnessDueId("a/b") } },
      { delete: { kind: "freshness", id: "a/b" } },
    ]);
  });
});

test("what a policy cannot be is said with the way out", () => {
  const cases: readonly (readonly [unknown, PartitionsDefinition | undefined, RegExp])[] = [
    [{ within: "soon" }, undefined, /"soon" is not a duration/],
    [{ within: "0s" }, undefined, /within no time at all/],
    [{ by: "9 o'clock" }, undefined, /no line of five fields/],
    [{ by: "0 9 * * *", timeZone: "Mars/North" }, undefined, /the time zone "Mars\/North" is not known/],
    [{ by: "0 0 30 2 *" }, undefined, /never comes/],
    [{ by: "0 9 * * *", lowerBound: "2h" }, daily(), /leave lowerBound out/],
    [{ within: "1h" }, staticPartitions(["a", "b"]), /use time partitions, or none/],
    [{}, undefined, /has no deadline/],
    [{ by: "0 9 * * *", timezone: "UTC" }, undefined, /has "timezone"/],
    [{ within: "1h", by: "0 9 * * *" }, undefined, /has "within"/],
  ];
  for (const [policy, partitions, line] of cases)
    assert.throws(
      // What a type refuses, plain JavaScript lets through.
      () => checkFreshness(policy as FreshnessPolicy, partitions, "a/b"),
      (error: unknown) =>
        error instanceof DefinitionError && (line.test(messageOf(error)) || assert.fail(messageOf(error))),
    );
  assert.throws(
    () => asset({ key: "a", freshness: { within: "0s" }, materialize: async () => undefined }),
    DefinitionError,
  );
  assert.equal(
    freshnessText({ by: "0 9 * * *", lowerBound: "2h" }),
    "by 0 9 * * * (UTC), not made more than 2h before",
  );
});
