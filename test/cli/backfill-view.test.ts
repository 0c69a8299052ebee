/** A backfill's bar, as it is drawn once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { barText } from "../../lib/cli/backfill-view.ts";

const at = (done: number, total: number, columns: number): string =>
  barText({ total, counts: { passedOver: done, succeeded: 0, skipped: 0, failed: 0 } }, columns);

test("it is full only when all is done, and says the same as its number", () => {
  assert.equal(at(0, 100_000, 80), `${"░".repeat(40)} 0 %`);
  assert.equal(at(50_000, 100_000, 80), `${"█".repeat(20)}${"░".repeat(20)} 50 %`);
  assert.equal(at(99_999, 100_000, 80), `${"█".repeat(39)}░ 99 %`);
  assert.equal(at(100_000, 100_000, 80), `${"█".repeat(40)} 100 %`);
});

test("what failed and what was passed over counts as done", () => {
  const counts = { passedOver: 1, succeeded: 1, skipped: 1, failed: 1 };
  assert.match(barText({ total: 8, counts }, 80), / 50 %$/);
});

test("it fits into the terminal", () => {
  for (const columns of [0, 1, 7, 12, 20, 46, 80, 400])
    for (const done of [0, 3, 10]) assert.ok(at(done, 10, columns).length <= Math.max(columns, 7), String(columns));
});
