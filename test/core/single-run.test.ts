/** Who may take a range in a single run, and which range. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { asset, bigquery, daily, parquetFiles, staticPartitions } from "sluice";
import type { BackfillDocument } from "../../lib/core/documents.ts";
import { advance, backfillRequest, begin, countEnded, remainingMs, roomOf } from "../../lib/core/backfill.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { MAX_SINGLE_RUN, onePartition, singleSpan, upstreamsDigest } from "../../lib/core/single-run.ts";

const days = daily({ start: "2015-01-01" });
const materialize = async (): Promise<void> => undefined;

test("only an asset that writes by itself, by partitions, says that it takes a range", () => {
  const common = { key: "demo/days", backfill: "single-run", materialize } as const;
  assert.equal(asset({ ...common, partitions: days, target: "none" }).backfill, "single-run");
  assert.equal(asset({ ...common, partitions: days }).backfill, "single-run");

  const raw = asset({
    key: "demo/raw",
    schema: z.object({ n: z.int() }),
    ioManager: parquetFiles({ location: "gs://demo-bucket/p" }),
    materialize: () => [],
  });
  const source = {
    bucket: "demo-bucket",
    pathBase: "p",
    fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)\.csv`,
    interval: "daily",
  } as const;
  const refused: readonly (readonly [() => unknown, RegExp])[] = [
    [() => asset({ ...common }), /has no partitions, so it cannot take a range.*give it some/],
    [
      () => asset({ ...common, partitions: days, target: "demo.days" }),
      /published one partition at a time.*target: "none"/,
    ],
    [
      () => asset({ ...common, partitions: days, resources: { bigquery: bigquery() } }),
      /published one partition at a time/,
    ],
    [() => asset({ ...common, partitions: days, source }), /loaded from the files of one partition/],
    [() => asset({ ...common, partitions: days, inputs: { raw } }), /name its inputs in deps/],
    // As JavaScript would have it.
    [
      (): unknown => Reflect.apply(asset, undefined, [{ ...common, partitions: days, backfill: "whole" }]),
      /backfill.*single-run/,
    ],
    [
      (): unknown =>
        Reflect.apply(asset, undefined, [
          {
            ...common,
            partitions: days,
            schema: z.object({ n: z.int() }),
            ioManager: parquetFiles({ location: "gs://demo-bucket/p" }),
          },
        ]),
      /published one partition at a time/,
    ],
  ];
  for (const [define, message] of refused) assert.throws(define, (error) => message.test(messageOf(error)));
});

test("the range is from the first wanted partition to the last, without a hole, and not too long", () => {
  const taker = { key: "demo/days", backfill: "single-run" } as const;
  const all = { which: "all" } as const;
  const span = (wanted: number, first?: string, last?: string, order: Parameters<typeof singleSpan>[2] = all) =>
    singleSpan(taker, days, order, {
      wanted,
      ...(first === undefined ? {} : { first }),
      ...(last === undefined ? {} : { last }),
    });
  const wrong = (answer: ReturnType<typeof singleSpan>): string => (typeof answer === "string" ? answer : "");
  const found = span(3, "2024-05-02", "2024-05-04");
  assert.ok(typeof found === "object");
  assert.deepEqual([found.from, found.to, found.total], ["2024-05-02", "2024-05-04", 3]);
  assert.equal(span(0), undefined);
  assert.match(
    wrong(span(2, "2024-05-02", "2024-05-04")),
    /^1 of the 3 partitions from 2024-05-02 to 2024-05-04 have data/,
  );
  assert.equal(typeof span(MAX_SINGLE_RUN, "2015-01-01", "2020-06-22"), "object");
  assert.match(
    wrong(span(MAX_SINGLE_RUN + 1, "2015-01-01", "2020-06-23")),
    /makes 2000 partitions at most.* there are 2001/,
  );
  assert.match(wrong(span(1, "2024-05-02", "2024-05-02", { which: "failed" })), /leave --failed out/);
  assert.match(
    wrong(span(1, "2024-05-02", "2024-05-02", { ...all, perDay: 1 })),
    /leave --max-concurrent and --per-day out/,
  );
  assert.match(wrong(span(1, "2024-05-02", "2024-05-02", { ...all, maxConcurrent: 1 })), /there is but one run/);
  const other = singleSpan({ key: "demo/days" }, days, all, { wanted: 1, first: "2024-05-02", last: "2024-05-02" });
  assert.match(wrong(other), /^demo\/days cannot take a range in a single run/);
  const keys = singleSpan(taker, staticPartitions(["b", "a", "c"]), all, { wanted: 2, first: "b", last: "a" });
  assert.ok(typeof keys === "object");
  assert.deepEqual([keys.at(0), keys.at(1), keys.total], ["b", "a", 2]);
});

test("several partitions are not one", () => {
  const range = { from: "a", to: "b", keys: ["a", "b"] };
  assert.throws(() => onePartition("demo/days", { key: "a" }, range), /this run of demo\/days makes 2 partitions/);
  assert.deepEqual(onePartition("demo/days", { key: "a" }, { from: "a", to: "a", keys: ["a"] }), { key: "a" });
  assert.equal(onePartition("demo/days", undefined, undefined), undefined);
});

test("upstreams are told apart by their versions, in whatever order", () => {
  assert.equal(upstreamsDigest({ "a|1": "x", "b|1": "y" }), upstreamsDigest({ "b|1": "y", "a|1": "x" }));
  const digests = [{}, { "a|1": "x" }, { "a|1": "y" }, { "a|2": "x" }, { "a|1": "x", "b|1": "x" }].map(upstreamsDigest);
  assert.equal(new Set(digests).size, digests.length);
});

describe("the backfill", () => {
  const T = Date.UTC(2024, 5, 1);
  const id = "0123456789abcdef";
  const order = {
    id,
    asset: "demo/days",
    from: "p0",
    to: "p9",
    total: 10,
    which: "all",
    maxConcurrent: 100,
    singleRun: true,
  } as const;
  const begun = begin({ backfill: undefined }, order, T).result;
  const leading: BackfillDocument = { ...begun, next: 1, underWay: [{ partition: "p0", askedAt: T }] };

  test("asks for the first partition alone, until it is made; then for many at a time", () => {
    assert.equal(roomOf(begun, T), 1);
    assert.equal(roomOf(leading, T), 0);
    const made = countEnded(leading, new Map([["p0", { runId: "r", status: "succeeded" }]]));
    assert.deepEqual([made.counts.succeeded, made.next, roomOf(made, T)], [1, 1, 9]);
    assert.equal(remainingMs(made, T + 1_000), undefined);
    assert.deepEqual(
      ["p0", "p1"].map((partition) => backfillRequest(made, partition).force),
      [undefined, true],
    );
  });

  const endings = [
    ["failed", { passedOver: 0, succeeded: 0, skipped: 0, failed: 10 }],
    ["canceled", { passedOver: 0, succeeded: 0, skipped: 0, failed: 10 }],
    ["skipped", { passedOver: 0, succeeded: 0, skipped: 10, failed: 0 }],
  ] as const;
  for (const [status, counts] of endings)
    test(`ends as a whole when the run is ${status}, cancelled or not`, () => {
      for (const backfill of [leading, { ...leading, status: "cancelled" as const }]) {
        const ended = new Map([["p0", { runId: "r", status, reason: "so" }]]);
        const seen = { revision: backfill.revision, ended, lost: new Set<string>() };
        const { result, writes } = advance({ backfill }, seen, { now: T + 1, againMs: 30_000 });
        assert.ok(result.kind === "advanced");
        assert.deepEqual([result.backfill.status, result.backfill.counts, result.ask], ["done", counts, []]);
        assert.equal(result.backfill.endedAt, T + 1);
        assert.ok(writes.some((write) => "delete" in write && write.delete.kind === "due"));
      }
    });

  test("one of the others that fails does so alone", () => {
    const others = { ...leading, next: 10, underWay: [{ partition: "p4", askedAt: T }] };
    const counted = countEnded(others, new Map([["p4", { runId: "r", status: "failed" }]]));
    assert.deepEqual([counted.counts.failed, counted.failures.length], [1, 1]);
  });
});
