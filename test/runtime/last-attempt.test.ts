import assert from "node:assert/strict";
import { test } from "node:test";
import { DefinitionError, PermanentError, RetryableError } from "../../lib/core/errors.ts";
import type { Execution } from "../../lib/runtime/execution.ts";
import { Canceled, ClaimLost, EndRun, OutOfTime, Park, Stopping } from "../../lib/runtime/interruptions.ts";
import { isLast } from "../../lib/runtime/last-attempt.ts";

const [once, never] = [
  { failures: 0, maxRetries: 1 },
  { failures: 1, maxRetries: 1 },
];
const ends = new PermanentError("for good");
const fails = new RetryableError("for now");

for (const [what, error, { failures, maxRetries }, reason, last] of [
  ["an error for good", ends, once, undefined, true],
  ["the end without a publish", new EndRun("unchanged", ""), once, undefined, true],
  ["a definition that is wrong", new DefinitionError("bad"), once, undefined, true],
  ["a passing error", fails, once, undefined, false],
  ["a passing error, once too often", fails, never, undefined, true],
  ["any other error, once too often", new Error("what?"), never, undefined, true],
  ["sleep", new Park("retry", "", 0), never, undefined, false],
  ["a claim that is lost: the partition is another's", new ClaimLost("r"), never, undefined, false],
  ["a wish to cancel, which puts away by itself", new Canceled("r"), never, undefined, false],
  ["whatever is thrown once the claim is lost", ends, never, new ClaimLost("r"), false],
  ["whatever is thrown once the process stops", ends, never, new Stopping(), false],
  ["whatever is thrown once the time is up", ends, once, new OutOfTime(1), false],
  ["whatever is thrown once the time is up, once too often", ends, never, new OutOfTime(1), true],
  ["sleep once the time is up", new Park("retry", "", 0), never, new OutOfTime(1), false],
] as const)
  test(`${what} is ${last ? "" : "not "}the last that is heard of the run`, () => {
    const signal = reason === undefined ? new AbortController().signal : AbortSignal.abort(reason);
    const execution = { run: { failures }, signal } as unknown as Execution; // what is looked at of it
    assert.equal(isLast(execution, { retry: { maxRetries } }, error), last);
  });
