import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RetryPolicy } from "../../lib/core/definition.ts";
import { RetryableError, messageOf } from "../../lib/core/errors.ts";
import { checkRetry, retryAfter, retryDelay, withFailure } from "../../lib/core/retry.ts";
import type { Failures } from "../../lib/core/retry.ts";

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

const odd = (): Error => new Error("odd");
const quota = (afterMs?: number): RetryableError =>
  new RetryableError("no more today", { code: "quota", ...(afterMs === undefined ? {} : { afterMs }) });
class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

test("each class of errors has retries of its own, and what it leaves out from the policy", () => {
  const policy: RetryPolicy = {
    maxRetries: 1,
    delaySeconds: 5,
    on: { quota: { maxRetries: 4, delaySeconds: 60 }, TimeoutError: { maxRetries: 2 }, "crm-down": { maxRetries: 0 } },
  };
  const cases: readonly (readonly [string, Failures, unknown, string | undefined, number | undefined])[] = [
    ["the first of the others", { failures: 0 }, odd(), undefined, 5_000],
    ["one too many of the others", { failures: 1 }, odd(), undefined, undefined],
    ["others do not count those of a class", { failures: 4, failuresOf: { quota: 4 } }, odd(), undefined, 5_000],
    ["a class does not count the others", { failures: 1 }, quota(), "quota", 60_000],
    ["the last of a class", { failures: 3, failuresOf: { quota: 3 } }, quota(), "quota", 60_000],
    ["one too many of a class", { failures: 4, failuresOf: { quota: 4 } }, quota(), "quota", undefined],
    ["by the name of its class", { failures: 0 }, new TimeoutError("late"), "TimeoutError", 5_000],
    ["never again", { failures: 0 }, new RetryableError("no", { code: "crm-down" }), "crm-down", undefined],
    ["a text is an error as well", { failures: 0 }, "thrown", undefined, 5_000],
    ["the code of another library", { failures: 0 }, Object.assign(odd(), { code: "quota" }), "quota", 60_000],
    ["a code that is no text", { failures: 0 }, Object.assign(odd(), { code: 17 }), undefined, 5_000],
    ["a name that every object has", { failures: 0 }, Object.assign(odd(), { code: "toString" }), undefined, 5_000],
    [
      "what the error asks for is longer",
      { failures: 0 },
      new RetryableError("x", { afterMs: 9_000 }),
      undefined,
      9_000,
    ],
  ];
  for (const [name, run, error, errorClass, delayMs] of cases) {
    const found = retryAfter(policy, run, error, 0);
    assert.deepEqual({ errorClass: found.errorClass, delayMs: found.delayMs }, { errorClass, delayMs }, name);
  }
});

test("transient stands for whatever has no entry", () => {
  const policy: RetryPolicy = { maxRetries: 0, on: { transient: { maxRetries: 1, delaySeconds: 2 } } };
  assert.equal(retryAfter(policy, { failures: 0 }, odd(), 0).delayMs, 2_000);
  assert.equal(retryAfter(policy, withFailure({ failures: 0 }, "transient"), odd(), 0).delayMs, undefined);
});

test("waiting for a quota is no failure, unless the policy has an entry for it", () => {
  const waiting = retryAfter({ maxRetries: 0 }, { failures: 9 }, quota(60_000), 0.9);
  assert.deepEqual(waiting, { errorClass: undefined, delayMs: 60_000, counts: false, failures: 9 });
  const counted = retryAfter({ on: { quota: { maxRetries: 1 } } }, { failures: 0 }, quota(60_000), 0);
  assert.deepEqual(counted, { errorClass: "quota", delayMs: 60_000, counts: true, failures: 1 });
});

test("however failures are mixed, no class gets more retries than its own entry gives it", () => {
  const errors = fc.array(fc.constantFrom("quota", "a", "b", undefined), { maxLength: 40 });
  const policy: RetryPolicy = { maxRetries: 2, on: { quota: { maxRetries: 5 }, a: { maxRetries: 0 } } };
  const allowed: Readonly<Record<string, number>> = { quota: 5, a: 0, others: 2 };
  fc.assert(
    fc.property(errors, fc.double({ min: 0, max: 0.99, noNaN: true }), (list, random) => {
      let run: Failures = { failures: 0 };
      const counts: Record<string, number> = {};
      for (const code of list) {
        const error = new RetryableError("x", code === undefined ? {} : { code });
        const { delayMs, errorClass } = retryAfter(policy, run, error, random);
        const name = errorClass ?? "others";
        counts[name] = (counts[name] ?? 0) + 1;
        assert.equal(delayMs === undefined, (counts[name] ?? 0) > (allowed[name] ?? 0));
        run = withFailure(run, errorClass);
      }
      assert.equal(run.failures, list.length);
    }),
  );
});

test("what a policy cannot be is said with its place and the way out", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ maxRetries: -1 }, /^x: retry\.maxRetries is -1 \(give a whole number from 0 to 100\)$/],
    [{ maxRetries: 1.5 }, /maxRetries is 1\.5/],
    [{ maxRetries: "3" }, /maxRetries is "3"/],
    [{ delaySeconds: Number.NaN }, /delaySeconds is null/],
    [{ delaySeconds: 604_801, maxDelaySeconds: 604_801 }, /delaySeconds is 604801 .*to 604800/],
    [{ maxDelaySeconds: 5 }, /maxDelaySeconds is 5, less than delaySeconds \(give at least 10\)/],
    [{ factor: 0.5 }, /factor is 0\.5/],
    [{ maxRetry: 1 }, /retry\.maxRetry is not a known field .*maxRetries/],
    [{ on: { quota: { attempts: 1 } } }, /retry\.on\.quota\.attempts is not a known field/],
    [{ on: { "two words": {} } }, /retry\.on "two words" is no error's code or class/],
    [{ delaySeconds: 100, on: { quota: { maxDelaySeconds: 50 } } }, /retry\.on\.quota\.maxDelaySeconds is 50/],
  ];
  // What a type refuses, plain JavaScript lets through.
  for (const [policy, line] of cases)
    assert.throws(
      () => checkRetry(policy as RetryPolicy, "x"),
      (error: unknown) => line.test(messageOf(error)) || assert.fail(messageOf(error)),
    );
  assert.doesNotThrow(() => checkRetry({ delaySeconds: 0.02, maxDelaySeconds: 0.05, factor: 1, on: {} }, "x"));
});
