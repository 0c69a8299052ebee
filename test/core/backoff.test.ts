import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoff } from "../../lib/core/backoff.ts";

const almostOne = 1 - 2 ** -53;
const attempts = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const limits = fc.tuple(fc.nat(1e6), fc.nat(1e9)).map(([minMs, more]) => ({ minMs, maxMs: minMs + more }));
const chance = fc.double({ min: 0, max: almostOne, noNaN: true });

test("the ceiling doubles with every attempt, up to the greatest delay", () => {
  const longest = [1, 2, 3, 4, 5, 6].map((attempt) => backoff({ attempt, minMs: 100, maxMs: 1_500 }, 0.999));
  assert.deepEqual(longest, [199, 399, 799, 1_498, 1_498, 1_498]);
});

test("the shortest delay is the least one, at every attempt", () => {
  for (const attempt of [1, 5, 1_000_000]) assert.equal(backoff({ attempt, minMs: 100, maxMs: 1_500 }, 0), 100);
});

test("a delay is a whole number between the limits, whatever the attempt", () => {
  fc.assert(
    fc.property(attempts, limits, chance, (attempt, { minMs, maxMs }, random) => {
      const delay = backoff({ attempt, minMs, maxMs }, random);
      assert.ok(Number.isSafeInteger(delay) && delay >= minMs && delay <= maxMs, String(delay));
    }),
  );
});

test("with the same luck a later attempt waits no less, and better luck never waits longer", () => {
  fc.assert(
    fc.property(attempts, limits, chance, chance, (attempt, { minMs, maxMs }, one, two) => {
      assert.ok(backoff({ attempt: attempt + 1, minMs, maxMs }, one) >= backoff({ attempt, minMs, maxMs }, one));
      const [low, high] = one < two ? [one, two] : [two, one];
      assert.ok(backoff({ attempt, minMs, maxMs }, low) <= backoff({ attempt, minMs, maxMs }, high));
    }),
  );
});

test("limits that contradict each other never give more than the greatest delay", () => {
  assert.equal(backoff({ attempt: 3, minMs: 500, maxMs: 100 }, 0.5), 100);
  assert.equal(backoff({ attempt: 3, minMs: 0, maxMs: 0 }, 0.5), 0);
});
