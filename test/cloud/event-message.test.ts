import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf, severityOf } from "../../lib/cloud/event-message.ts";
import type { EventBody, SluiceEvent } from "../../lib/core/events.ts";

const base = { v: 1, id: "e", at: 1, asset: "a/b", partition: "2024-05-01", run: "r" } as const;
const check = { check: "not_empty", passed: false, blocking: true, severity: "error", message: "no rows" } as const;

const cases: readonly (readonly [EventBody, severity: string, message: string])[] = [
  [{ type: "check.evaluated", result: check }, "ERROR", "check not_empty failed and blocks: no rows (error)"],
  [
    { type: "check.evaluated", result: { ...check, blocking: false, severity: "warn" } },
    "WARNING",
    "check not_empty failed: no rows (warn)",
  ],
  [
    { type: "check.evaluated", result: { check: "unique", passed: true, blocking: false, severity: "error" } },
    "INFO",
    "check unique passed",
  ],
  [
    {
      type: "run.started",
      kind: "asset",
      name: "a/b",
      cause: { kind: "object", uri: "gs://b/x", generation: "7" },
      attempt: 2,
      tookOver: true,
    },
    "INFO",
    "run.started (kind asset, name a/b, cause (kind object, uri gs://b/x, generation 7), attempt 2, tookOver true)",
  ],
  [
    { type: "run.parked", code: "retry", reason: "503", wakeAt: Date.UTC(2024, 4, 1) },
    "INFO",
    "run.parked: 503 (code retry, wakeAt 2024-05-01T00:00:00.000Z)",
  ],
  [
    { type: "run.failed", code: "bad-input", reason: "no such column", failures: 1, stack: "Error: …\n  at x" },
    "ERROR",
    "run.failed: no such column (code bad-input, failures 1)",
  ],
  [
    {
      type: "materialized",
      materializationId: "m",
      table: "d.t",
      rows: 3,
      schema: [],
      fingerprint: "f",
      inputs: [{ bucket: "b", name: "x", generation: "7", size: 1 }],
      metadata: { secret: "none here" },
    },
    "INFO",
    "materialized (materializationId m, table d.t, rows 3, inputs 1)",
  ],
  [{ type: "schema.extended", table: "d.t", columns: ["x", "y"] }, "INFO", "schema.extended (table d.t, columns x y)"],
  [{ type: "partition.sealed" }, "INFO", "partition.sealed"],
  [{ type: "object.deleted", uri: "gs://b/x", generation: "7" }, "INFO", "object.deleted (uri gs://b/x, generation 7)"],
  [
    { type: "message.refused", topic: "t", messageId: "9", reason: "no JSON" },
    "WARNING",
    "message.refused: no JSON (topic t, messageId 9)",
  ],
  [
    {
      type: "alert.delayed",
      alert: "a",
      about: "g",
      count: 1,
      attempt: 1,
      retryAt: Date.UTC(2024, 4, 1),
      reason: "503",
    },
    "WARNING",
    "alert.delayed: 503 (alert a, about g, count 1, attempt 1, retryAt 2024-05-01T00:00:00.000Z)",
  ],
  [
    {
      type: "backfill.ended",
      backfill: "b1",
      status: "done",
      counts: { passedOver: 1, succeeded: 2, skipped: 0, failed: 0 },
    },
    "INFO",
    "backfill.ended (backfill b1, status done, counts (passedOver 1, succeeded 2, skipped 0, failed 0))",
  ],
  [{ type: "log", level: "warn", message: "slow" }, "WARNING", "slow"],
];
for (const [body, severity, message] of cases) {
  test(message, () => {
    const event: SluiceEvent = { ...base, ...body };
    assert.equal(messageOf(event), `a/b 2024-05-01 ${message}`);
    assert.equal(severityOf(event), severity);
  });
}

test("a type that nobody has heard of says all that it has, in one line of bounded length", () => {
  // As a newer Sluice may write it.
  const unknown = (fields: object): SluiceEvent => ({ v: 1, id: "e", at: 1, ...fields }) as unknown as SluiceEvent;
  assert.equal(
    messageOf(
      unknown({ type: "lag.failed", asset: "a", reason: "3 h late", since: 5, list: ["x"], deep: { a: { b: 1 } } }),
    ),
    "a lag.failed: 3 h late (since 5, list x, deep (a (b 1)))",
  );
  assert.equal(severityOf(unknown({ type: "lag.failed" })), "ERROR");
  assert.equal(severityOf(unknown({ type: "lag.seen" })), "INFO");
  const long = messageOf(unknown({ type: "x", reason: "🦔".repeat(5_000), lastAt: Number.MAX_SAFE_INTEGER }));
  assert.ok(long.length <= 2_001 && long.isWellFormed());
});
