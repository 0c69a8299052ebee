import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DeployEvent } from "../../infra/deploy.ts";
import type { Plan, Step } from "../../infra/plan/step.ts";
import { deployProgress } from "../../lib/cli/deploy-progress.ts";

const step = (name: string, action: Step["action"] = "create"): Step => ({
  id: `topic ${name}`,
  kind: "topic",
  name,
  action,
  reason: "",
  needs: [],
  calls: [],
  seconds: 1,
  records: {},
});
const [a, b, c, d] = [step("a"), step("b", "update"), step("c", "delete"), step("d")];
const plan: Plan = {
  environment: "prod",
  steps: [a, b, c, d],
  unchanged: [],
  withheld: [],
  foreign: [],
  records: {},
  notes: [],
  values: new Map(),
  seconds: 90,
};
const fault = { kind: "rate", reason: "429: too\u001b[2J many" } as const;
const EVENTS: readonly DeployEvent[] = [
  { type: "reading" },
  { type: "planned", plan },
  { type: "begun", plan },
  { type: "started", step: a, tries: 1 },
  { type: "started", step: b, tries: 1 },
  { type: "waiting", step: a, fault, ms: 12_000 },
  { type: "done", step: b, ms: 2_500 },
  { type: "started", step: a, tries: 2 },
  { type: "failed", step: a, fault },
  { type: "blocked", step: d, by: "topic a" },
  { type: "started", step: c, tries: 1 },
  { type: "done", step: c, ms: 61_000 },
];

describe("a deployment's progress", () => {
  test("is plain lines where there is no terminal", () => {
    const lines: string[] = [];
    const progress = deployProgress({ line: (text) => void lines.push(text), now: () => 0 });
    EVENTS.forEach(progress.show);
    progress.close();
    assert.deepEqual(lines, [
      "topic a: 429: too\\x1b[2J many; again in 12.0 s",
      "[1/4] topic b: updated in 2.5 s",
      "[2/4] topic a: failed: 429: too\\x1b[2J many",
      "[4/4] topic c: deleted in 1 min 1 s",
    ]);
  });

  test("is a bar with what is under way and how long it takes yet, with the lines above it", () => {
    let now = 0;
    const drawn: string[] = [];
    const above: string[] = [];
    const progress = deployProgress({
      line: () => assert.fail("lines go above the bar"),
      now: () => now,
      openBar: (total) => ({
        show: (done, words) => void drawn.push(`${done}/${total}${words}`),
        above: (text) => void above.push(text),
        close: () => void drawn.push("closed"),
      }),
    });
    for (const event of EVENTS) {
      progress.show(event);
      now += 10_000;
    }
    progress.close();
    progress.close();
    // The time stands first: the end is what a narrow terminal cuts off.
    assert.deepEqual(drawn, [
      "0/4 · about 1 min 30 s left",
      "0/4 · about 1 min 40 s left · topic a",
      "0/4 · about 1 min 8 s left · topic a, topic b",
      "0/4 · about 1 min 15 s left · topic b",
      "1/4 · about 1 min 21 s left",
      "1/4 · about 1 min 28 s left · topic a",
      "2/4 · about 52.5 s left",
      "3/4 · about 23.1 s left",
      "3/4 · about 25.6 s left · topic c",
      "4/4",
      "closed",
    ]);
    assert.equal(above.length, 4);
  });

  test("goes by how fast it goes: a cloud that is quicker than planned is not waited for, nor a slower one forgotten", () => {
    const steps = Array.from({ length: 10 }, (_, n) => step(`n${n}`));
    const leftAfter = (eachMs: number): readonly string[] => {
      let now = 0;
      const drawn: string[] = [];
      const progress = deployProgress({
        line: () => assert.fail("lines go above the bar"),
        now: () => now,
        openBar: () => ({ show: (_, words) => void drawn.push(words), above: () => {}, close: () => {} }),
      });
      progress.show({ type: "begun", plan: { ...plan, steps, seconds: 100 } });
      for (const one of steps) {
        now += eachMs;
        progress.show({ type: "done", step: one, ms: eachMs });
      }
      return [drawn[0], drawn[5], drawn[9], drawn[10]].map((words) => words ?? "none");
    };
    assert.deepEqual(leftAfter(10_000), [
      " · about 1 min 40 s left",
      " · about 50.0 s left",
      " · about 10.0 s left",
      "",
    ]);
    assert.deepEqual(leftAfter(100), [" · about 1 min 40 s left", " · about 25.3 s left", "", ""]);
    assert.deepEqual(leftAfter(30_000), [
      " · about 1 min 40 s left",
      " · about 1 min 40 s left",
      " · about 28.0 s left",
      "",
    ]);
  });

  test("says what happens before the first step", () => {
    const lines: string[] = [];
    const { show } = deployProgress({ line: (text) => void lines.push(text), now: () => 0 });
    const lock = { holder: "ada@laptop", token: "t", since: 0, expires: 1 };
    show({ type: "locked", lock, message: "ada@laptop has been deploying for 1 min" });
    show({ type: "overtaken" });
    show({ type: "stolen", from: lock });
    assert.deepEqual(lines, [
      "waiting: ada@laptop has been deploying for 1 min",
      "somebody has deployed meanwhile: looking again",
      "took over from ada@laptop, who has not finished",
    ]);
  });
});
