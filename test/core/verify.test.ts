import assert from "node:assert/strict";
import { test } from "node:test";
import type { Intent, SlotCommit } from "../../lib/core/documents.ts";
import { verifySlot } from "../../lib/core/verify.ts";
import type { SlotFacts, SlotStatus } from "../../lib/core/verify.ts";

const AT = Date.UTC(2024, 4, 2);
const SLACK = 60_000;
const committed: SlotCommit = {
  sequence: 3,
  partition: "2024-05-01",
  order: "2024-05-01",
  runId: "4f1d0a2b3c4d5e6f",
  materializationId: "m-4f1d0a2b3c4d5e6f",
  jobId: "pub-0123-3",
  at: AT,
};
// Only these of its fields are looked at.
const intent = { jobId: "pub-0123-4", runId: "5e6f", openedAt: AT + 10 * SLACK } as Intent;

const CASES: readonly (readonly [what: string, facts: SlotFacts, status: SlotStatus, drift: boolean])[] = [
  ["nothing and nobody", { changedAt: undefined }, "empty", false],
  ["a table that nobody has published", { changedAt: AT }, "foreign", true],
  ["the publish itself", { committed, changedAt: AT - 1 }, "as committed", false],
  ["a change that the warehouse dates late", { committed, changedAt: AT + SLACK }, "as committed", false],
  ["a write by others", { committed, changedAt: AT + SLACK + 1 }, "changed", true],
  [
    "a write by others, seconds after the publish's own job",
    { committed, endedAt: AT - 9_000, changedAt: AT - 6_000 },
    "changed",
    true,
  ],
  [
    "a job's own change, dated a moment late",
    { committed, endedAt: AT - 9_000, changedAt: AT - 7_000 },
    "as committed",
    false,
  ],
  [
    "a clock that is late by an hour",
    { committed, endedAt: AT - 3_600_000, changedAt: AT - 3_600_001 },
    "as committed",
    false,
  ],
  ["a job that is not known any more", { committed, endedAt: "unknown", changedAt: AT + SLACK }, "as committed", false],
  ["a late write after such a job", { committed, endedAt: "unknown", changedAt: AT + SLACK + 1 }, "changed", true],
  [
    "a write after the job, before the open publish",
    { committed, intent, endedAt: AT - 9_000, changedAt: AT },
    "changed",
    true,
  ],
  ["a table that was dropped", { committed, changedAt: undefined }, "missing", true],
  ["a partition that was dropped", { committed, changedAt: undefined, rows: 7 }, "missing", true],
  ["a partition without rows", { committed, changedAt: undefined, rows: 0 }, "as committed", false],
  ["rows in a partition that was published empty", { committed, changedAt: AT + 2 * SLACK, rows: 0 }, "changed", true],
  ["a first publish that has not happened", { intent, changedAt: undefined }, "publishing", false],
  ["a publish under way", { committed, intent, changedAt: AT }, "publishing", false],
  ["a publish that has just happened", { committed, intent, changedAt: AT + 11 * SLACK }, "publishing", false],
  ["a publish of a dead run", { committed, intent, abandoned: true, changedAt: AT }, "unsettled", false],
  ["a write before the open publish", { committed, intent, changedAt: AT + 5 * SLACK }, "changed", true],
  [
    "a write in the same minute as the open publish",
    { committed, intent, changedAt: AT + 9.5 * SLACK },
    "publishing",
    false,
  ],
  [
    "a dead run's open publish after a write",
    { committed, intent, abandoned: true, changedAt: AT + 5 * SLACK },
    "changed",
    true,
  ],
  ["a table dropped under an open publish", { committed, intent, changedAt: undefined }, "publishing", false],
];

for (const [what, facts, status, drift] of CASES) {
  test(`${what}: ${status}`, () => {
    const verdict = verifySlot(facts, SLACK);
    assert.equal(verdict.status, status);
    assert.equal(verdict.drift, drift);
    assert.ok(verdict.reason !== "" && !verdict.reason.includes("\n"));
  });
}

test("a reason names the job, the run and the times", () => {
  const { reason } = verifySlot({ committed, changedAt: AT + 2 * SLACK }, SLACK);
  for (const part of ["pub-0123-3", committed.runId, "2024-05-02T00:00:00.000Z", "2024-05-02T00:02:00.000Z"])
    assert.ok(reason.includes(part), reason);
});

test("without slack, every later change counts", () => {
  assert.equal(verifySlot({ committed, changedAt: AT }, 0).status, "as committed");
  assert.equal(verifySlot({ committed, changedAt: AT + 1 }, 0).status, "changed");
});
