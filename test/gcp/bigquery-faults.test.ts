/** Faults at calls that a seed picks. `bigquery-faults.sweep.ts` goes through all of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bigqueryUnderTest } from "./bigquery-world.ts";
import { faults, nameOf, workUnder } from "./bigquery-faults.ts";

test("a fault at any call leaves no lost and no doubled work", async () => {
  const subject = await bigqueryUnderTest({ retry: { pauseMs: 2, timeoutMs: 600 } });
  try {
    const calls = await workUnder(subject, "clean", undefined);
    assert.ok(calls > 30, `${calls} calls`);
    const injection = fc.record({
      at: fc.nat({ max: calls - 1 }),
      fault: fc.constantFrom(...faults),
      lasting: fc.boolean(),
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(injection, async (one) => {
        await workUnder(subject, `r${++round}`, one).catch((error: unknown) => {
          throw new Error(nameOf(one), { cause: error });
        });
      }),
      { seed: 20_240_501, numRuns: 10, endOnFailure: true },
    );
  } finally {
    await subject.close();
  }
});
