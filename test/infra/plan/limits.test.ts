/** How long a plan takes, by the limits of its steps' kinds. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { estimate, LIMITS } from "../../../infra/plan/limits.ts";
import type { Step } from "../../../infra/plan/step.ts";

describe("how long", () => {
  const functions = (count: number): Step[] =>
    Array.from({ length: count }, (_, index) => ({
      id: `function f${index}`,
      kind: "function",
      name: `f${index}`,
      action: "create",
      reason: "",
      needs: [],
      calls: [],
      seconds: 120,
      records: {},
    }));
  const { parallel } = LIMITS.function;
  const table: readonly (readonly [number, number])[] = [
    [0, 0],
    [1, 120],
    [parallel, 120],
    [parallel + 1, 240],
    [200, (200 / parallel) * 120],
  ];
  for (const [count, seconds] of table)
    test(`${count} functions take ${seconds} s`, () => assert.equal(estimate(functions(count)), seconds));

  test("what needs another one comes after it, and a minute has its limit", () => {
    const [first, second] = functions(2);
    assert.ok(first && second);
    assert.equal(estimate([first, { ...second, needs: [first.id] }]), 240);
    const { perMinute } = LIMITS.function;
    const quick = functions(perMinute + 1).map((step) => ({ ...step, seconds: 0 }));
    assert.equal(estimate(quick), 60);
  });
});
