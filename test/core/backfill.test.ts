/** The rules of a backfill, by example and under every interleaving of wake-ups, deaths, losses and repetitions. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  advance,
  backfillOf,
  backfillRequest,
  backfillRunKey,
  begin,
  cancel,
  countEnded,
  inOrder,
  remainingMs,
  resume,
  roomOf,
  usualOrder,
} from "../../lib/core/backfill.ts";
import type { BackfillOrder, EndedRun, Seen } from "../../lib/core/backfill.ts";
import type { BackfillDocument, Decision } from "../../lib/core/documents.ts";
import { partitionSpan } from "../../lib/core/partition-span.ts";
import { daily, staticPartitions } from "../../lib/core/partitions.ts";
import { requestSchema } from "../../lib/core/request.ts";
import { memoryDocuments } from "../support/memory-documents.ts";

const ID = "0123456789abcdef";
const T = Date.UTC(2024, 4, 1, 12);
const order: BackfillOrder = {
  id: ID,
  asset: "demo/days",
  from: "p0",
  to: "p9",
  total: 10,
  which: "all",
  maxConcurrent: 3,
};
const begun = (more: Partial<BackfillDocument> = {}): BackfillDocument => ({
  ...begin({ backfill: undefined }, order, T).result,
  ...more,
});
const seenOf = ({ revision }: BackfillDocument, more: Partial<Seen> = {}): Seen => ({
  revision,
  ended: new Map(),
  lost: new Set(),
  ...more,
});
const at = (now: number): { now: number; againMs: number } => ({ now, againMs: 30_000 });
const succeeded: EndedRun = { runId: "r", status: "succeeded" };

describe("rules", () => {
  test("a request is what the asset's topic takes, and tells its backfill", () => {
    const request = backfillRequest({ id: ID, force: true, from: "2024-05-01" }, "2024-05-01");
    assert.deepEqual(requestSchema.parse(request), request);
    assert.equal(request.force, true);
    const single = { id: ID, singleRun: true, from: "p0" } as const;
    // A run that only records what was made is never folded into another, and has nothing new to find.
    assert.deepEqual([backfillRequest(single, "p0").force, backfillRequest(single, "p1").force], [undefined, true]);
    assert.equal(backfillOf(backfillRunKey(ID, "2024-05-01")), ID);
    assert.equal(backfillOf("manual:0123456789abcdef:"), undefined);
  });

  test("a range is numbered in its order, and each partition has one number", () => {
    const span = partitionSpan(daily(), "2024-02-27", "2024-03-02");
    const days = (by: Parameters<typeof inOrder>[1]): string =>
      Array.from({ length: span.total }, (_, n) => inOrder(span, by).at(n).slice(-2)).join(" ");
    assert.equal(days({}), "27 28 29 01 02");
    assert.equal(days({ order: "newest-first" }), "02 01 29 28 27");
    assert.equal(days({ singleRun: true }), "27 28 29 01 02");
    assert.equal(days({ order: "newest-first", singleRun: true }), "27 02 01 29 28", "its run is that of the oldest");
    const one = partitionSpan(staticPartitions(["a", "b"]), "b", "b");
    assert.equal(inOrder(one, { order: "newest-first", singleRun: true }).at(0), "b");
  });

  test("the newest comes first where the order changes nothing", () => {
    assert.equal(usualOrder({}), "newest-first");
    assert.equal(usualOrder({ target: { slot: "partition" } }), "newest-first");
    assert.equal(usualOrder({ target: { slot: "partition", schemaChange: "fail" } }), "newest-first");
    assert.equal(usualOrder({ target: { slot: "partition", schemaChange: "extend" } }), undefined);
    assert.equal(usualOrder({ target: { slot: "table", schemaChange: "replace" } }), undefined);
  });

  test("the same order again begins nothing", () => {
    const backfill = begun();
    const again = begin({ backfill }, { ...order, total: 99 }, T + 1);
    assert.deepEqual([again.result, again.writes, again.events], [backfill, [], []]);
  });

  test("what was seen of an older revision decides nothing", () => {
    const backfill = begun({ revision: 7 });
    const outcome = advance({ backfill }, seenOf({ ...backfill, revision: 6 }), at(T));
    assert.deepEqual([outcome.result.kind, outcome.writes], ["stale", []]);
    assert.equal(advance({ backfill: undefined }, seenOf(backfill), at(T)).result.kind, "stale");
  });

  test("more than there is room for is never entered", () => {
    const backfill = begun({ underWay: [{ partition: "p0", askedAt: T }], next: 1 });
    assert.equal(roomOf(backfill, T), 2);
    const found = { wanted: ["p1", "p2", "p3"], next: 4 };
    assert.equal(advance({ backfill }, seenOf(backfill, { found }), at(T)).result.kind, "stale");
  });

  test("a day's share is counted over all its steps", () => {
    let backfill = begun({ perDay: 3 });
    for (const n of [0, 1, 2]) {
      const found = { wanted: [`p${n}`], next: n + 1 };
      const outcome = advance({ backfill }, seenOf(backfill, { found }), at(T)).result;
      backfill = outcome.kind === "advanced" ? outcome.backfill : assert.fail("stale");
      assert.equal(roomOf({ ...backfill, underWay: [] }, T), 2 - n);
    }
    assert.equal(roomOf({ ...backfill, underWay: [] }, T + 86_400_000), 3);
  });

  test("nothing new changes nothing, so that repeated wake-ups cost no writes", () => {
    const backfill = begun({ underWay: ["p0", "p1", "p2"].map((partition) => ({ partition, askedAt: T })), next: 3 });
    const { result, writes, events } = advance({ backfill }, seenOf(backfill), at(T + 1));
    assert.deepEqual([result.kind === "advanced" && result.ask, writes, events], [[], [], []]);
  });

  test("what is under way without a run is asked for again after a while, not at once", () => {
    const backfill = begun({ underWay: [{ partition: "p0", askedAt: T }], next: 1, maxConcurrent: 1 });
    const seen = seenOf(backfill, { lost: new Set(["p0"]) });
    const early = advance({ backfill }, seen, at(T + 29_999)).result;
    assert.deepEqual(early.kind === "advanced" && early.ask, []);
    const later = advance({ backfill }, seen, at(T + 30_000)).result;
    assert.deepEqual(later.kind === "advanced" && later.ask, ["p0"]);
    assert.deepEqual(later.kind === "advanced" && later.backfill.underWay, [{ partition: "p0", askedAt: T + 30_000 }]);
  });

  test("a day's share is not exceeded, and the next look is on the next day", () => {
    const backfill = begun({ perDay: 2 });
    const found = { wanted: ["p0", "p1"], next: 2 };
    assert.equal(roomOf(backfill, T), 2);
    const first = advance({ backfill }, seenOf(backfill, { found }), at(T)).result;
    assert.ok(first.kind === "advanced" && !first.more);
    const ended = new Map([
      ["p0", succeeded],
      ["p1", succeeded],
    ]);
    const spent = advance({ backfill: first.backfill }, seenOf(first.backfill, { ended }), at(T + 5_000));
    const due = spent.writes.find((write) => "put" in write && write.put.kind === "due");
    const midnight = Date.UTC(2024, 4, 2);
    assert.ok(due !== undefined && "value" in due);
    assert.deepEqual(due.value, { shard: 1, dueAt: midnight, runId: ID, backfill: true });
    assert.ok(spent.result.kind === "advanced");
    assert.deepEqual([roomOf(spent.result.backfill, midnight - 1), roomOf(spent.result.backfill, midnight)], [0, 2]);
  });

  test("a cancelled one ends when what was under way has, and can go on", () => {
    const backfill = begun({ underWay: [{ partition: "p0", askedAt: T }], next: 1 });
    const cancelled = cancel({ backfill }, T + 1).result;
    assert.ok(cancelled !== undefined);
    assert.deepEqual([cancelled.status, cancelled.endedAt, roomOf(cancelled, T)], ["cancelled", undefined, 0]);
    assert.deepEqual(cancel({ backfill: cancelled }, T + 2).writes, []);
    const ended = new Map([["p0", succeeded]]);
    const over = advance({ backfill: cancelled }, seenOf(cancelled, { ended }), at(T + 3));
    assert.ok(over.result.kind === "advanced");
    assert.deepEqual([over.result.backfill.status, over.result.backfill.endedAt], ["cancelled", T + 3]);
    assert.ok(over.writes.some((write) => "delete" in write && write.delete.kind === "due"));
    const again = resume({ backfill: over.result.backfill }, T + 4).result;
    assert.deepEqual([again?.status, again?.endedAt, again?.next], ["running", undefined, 1]);
    assert.deepEqual(again?.since, { at: T + 4, ended: 1 });
  });

  test("one that is done is neither cancelled nor resumed", () => {
    const backfill = begun({ status: "done", endedAt: T, next: 10 });
    assert.deepEqual([cancel({ backfill }, T).writes, resume({ backfill }, T).writes], [[], []]);
  });

  test("only the last failures are kept, and their reasons cut", () => {
    const partitions = Array.from({ length: 8 }, (_, n) => `p${n}`);
    const backfill = begun({ underWay: partitions.map((partition) => ({ partition, askedAt: T })) });
    const failed: EndedRun = { runId: "r", status: "failed", reason: "x".repeat(5_000) };
    const { counts, failures, underWay } = countEnded(backfill, new Map(partitions.map((key) => [key, failed])));
    assert.deepEqual([counts.failed, failures.length, underWay.length], [8, 5, 0]);
    assert.equal(failures.at(-1)?.partition, "p7");
    assert.ok(JSON.stringify(failures).length < 2_000);
  });

  test("the estimate goes by the runs since the start or the resumption, and by the day's share", () => {
    const counts = { passedOver: 0, succeeded: 4, skipped: 0, failed: 0 };
    assert.equal(remainingMs(begun(), T + 1_000), undefined);
    assert.equal(remainingMs(begun({ counts, next: 4 }), T + 4_000), 6_000);
    assert.equal(remainingMs(begun({ counts, next: 4, since: { at: T, ended: 2 } }), T + 4_000), 12_000);
    assert.equal(remainingMs(begun({ counts, next: 4, perDay: 2 }), T + 4_000), 2 * 86_400_000);
    assert.equal(remainingMs(begun({ counts, next: 10, endedAt: T }), T + 4_000), 0);
  });
});

/** A driver between its look and its decision, or between its decision and its last request. */
interface Driver {
  seen?: Seen;
  ask: string[];
}

test("every wanted partition is requested exactly once, however wake-ups, deaths, losses and repetitions interleave", () => {
  const model = fc.record({
    total: fc.integer({ min: 1, max: 30 }),
    unwanted: fc.integer({ min: 0, max: 2 ** 30 - 1 }),
    maxConcurrent: fc.integer({ min: 1, max: 5 }),
    perDay: fc.option(fc.integer({ min: 1, max: 6 })),
    steps: fc.array(fc.nat(), { maxLength: 200 }),
  });
  fc.assert(
    fc.property(model, ({ total, unwanted, maxConcurrent, perDay, steps }) => {
      const documents = memoryDocuments();
      const refs = { backfill: { kind: "backfill" as const, id: ID } };
      const decide = <R>(rule: (state: { backfill: BackfillDocument | undefined }) => Decision<R>): R =>
        documents.apply(refs, rule);
      const wantsAt = (n: number): boolean => ((unwanted >> n) & 1) === 0;
      let now = T;
      /** Requests on their way, each of which may be delivered many times. */
      const messages: string[] = [];
      const runs = new Map<string, "running" | EndedRun>();
      const started: string[] = [];
      const entered = new Map<string, number>();
      const perDate = new Map<number, number>();
      const drivers: Driver[] = [{ ask: [] }, { ask: [] }];
      decide((state) => begin(state, { ...order, total, maxConcurrent, ...(perDay === null ? {} : { perDay }) }, now));
      const read = (): BackfillDocument => documents.get("backfill", ID) ?? assert.fail("it has gone");

      const look = (): Seen => {
        const backfill = read();
        const ended = new Map<string, EndedRun>();
        const lost = new Set<string>();
        for (const { partition } of backfill.underWay) {
          const run = runs.get(partition);
          if (run === undefined) lost.add(partition);
          else if (run !== "running") ended.set(partition, run);
        }
        const room = roomOf(countEnded(backfill, ended), now);
        if (room === 0) return { revision: backfill.revision, ended, lost };
        const wanted: string[] = [];
        let { next } = backfill;
        for (; next < total && wanted.length < room; next++) if (wantsAt(next)) wanted.push(`p${next}`);
        return { revision: backfill.revision, ended, lost, found: { wanted, next } };
      };
      const act = (driver: Driver): void => {
        if (driver.ask.length > 0) {
          messages.push(driver.ask.shift() ?? "");
        } else if (driver.seen === undefined) {
          if (read().endedAt === undefined) driver.seen = look();
        } else {
          const { seen } = driver;
          delete driver.seen;
          const before = read();
          const outcome = decide((state) => advance(state, seen, at(now)));
          const after = read();
          assert.ok(after.underWay.length <= maxConcurrent);
          if (outcome.kind === "stale") return;
          for (const { partition } of after.underWay) {
            if (before.underWay.some((each) => each.partition === partition)) continue;
            entered.set(partition, (entered.get(partition) ?? 0) + 1);
            const day = Math.floor(now / 86_400_000);
            perDate.set(day, (perDate.get(day) ?? 0) + 1);
          }
          driver.ask = [...outcome.ask];
        }
      };
      const deliver = (n: number): void => {
        const partition = messages[n % messages.length];
        if (partition === undefined || runs.has(partition)) return;
        runs.set(partition, "running");
        started.push(partition);
      };
      const endOne = (n: number): void => {
        const running = [...runs].filter(([, run]) => run === "running");
        const [partition] = running[n % running.length] ?? [];
        const status = (["succeeded", "failed", "skipped"] as const)[n % 3] ?? "failed";
        if (partition !== undefined) runs.set(partition, { runId: partition, status });
      };
      for (const choice of steps) {
        const n = choice >>> 4;
        const driver = drivers[n % 2] ?? assert.fail();
        switch (choice % 11) {
          case 0:
            drivers[n % 2] = { ask: [] }; // it dies, with whatever it had not said yet
            break;
          case 1:
            messages.splice(n % Math.max(1, messages.length), 1); // a message is lost
            break;
          case 2:
            now += [1_000, 31_000, 7_200_000][n % 3] ?? 0;
            break;
          case 3:
            if (n % 8 === 0) decide((state) => cancel(state, now));
            break;
          case 4:
            decide((state) => resume(state, now));
            break;
          case 5:
          case 6:
            deliver(n);
            break;
          case 7:
            endOne(n);
            break;
          default:
            act(driver);
        }
      }
      // The dust settles: it is resumed, deadlines wake a driver, messages arrive, and runs end.
      for (let round = 0; read().endedAt === undefined || read().status !== "done"; round++) {
        assert.ok(round < 500, "it never ends");
        decide((state) => resume(state, now));
        now += perDay === null ? 31_000 : 86_400_000;
        const [driver = assert.fail()] = drivers;
        do act(driver);
        while (driver.ask.length > 0);
        for (let n = 0; n < messages.length; n++) deliver(n);
        for (let n = 0; [...runs.values()].includes("running"); n++) endOne(n);
      }
      const wanted = Array.from({ length: total }, (_, n) => n).filter(wantsAt);
      assert.deepEqual([...entered.keys()].sort(), wanted.map((n) => `p${n}`).sort());
      assert.ok([...entered.values()].every((times) => times === 1));
      assert.equal(started.length, new Set(started).size);
      assert.equal(started.length, wanted.length);
      const { counts, endedAt } = read();
      assert.notEqual(endedAt, undefined);
      assert.equal(counts.passedOver, total - wanted.length);
      assert.equal(counts.succeeded + counts.failed + counts.skipped, wanted.length);
      for (const count of perDate.values()) assert.ok(perDay === null || count <= perDay);
      assert.equal(documents.get("due", ID), undefined);
    }),
    { numRuns: 500 },
  );
});
