import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { retryDelay } from "../../lib/core/retry.ts";

test("the default policy tries three times again", () => {
  const delays = [1, 2, 3, 4].map((failures) => retryDelay({}, failures, 0));
  assert.deepEqual(delays, [10_000, 10_000, 10_000, undefined]);
});

test("a policy without retries gives up at the first failure", () => {
  assert.equal(retryDelay({ maxRetries: 0 }, 1, 0.5), undefined);
});

test("delays double with each failure, and stay within the policy's bounds", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((failures) =>
      retryDelay({ maxRetries: 9, delaySeconds: 1, maxDelaySeconds: 8 }, failures, 0.999999),
    ),
    [1999, 3999, 7999, 7999, 7999],
  );
  const policies = fc.record({
    maxRetries: fc.integer({ min: 0, max: 20 }),
    delaySeconds: fc.integer({ min: 0, max: 100 }),
    maxDelaySeconds: fc.integer({ min: 100, max: 1000 }),
  });
  fc.assert(
    fc.property(
      policies,
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (policy, failures, random) => {
        const delay = retryDelay(policy, failures, random);
        if (failures > policy.maxRetries) assert.equal(delay, undefined);
        else
          assert.ok(
            delay !== undefined && delay >= policy.delaySeconds * 1000 && delay <= policy.maxDelaySeconds * 1000,
          );
      },
    ),
  );
});
