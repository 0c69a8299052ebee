import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { runSteps } from "../../../infra/deploy/run-steps.ts";
import type { Progress, StepsOptions, StepsResult, Tried } from "../../../infra/deploy/run-steps.ts";
import type { FaultKind } from "../../../infra/deploy/faults.ts";
import type { Limit, ResourceKind, Step } from "../../../infra/plan/step.ts";
import { seededRandom, virtualClock } from "../../support/virtual-clock.ts";

const DONE: Tried = { kind: "done" };
const fault = (kind: FaultKind, at = 0): Tried => ({
  kind: "fault",
  at,
  fault: { kind, reason: kind },
  command: "gcloud x",
});

function step(id: string, needs: readonly string[] = [], kind: ResourceKind = "topic"): Step {
  return { id, kind, name: id, action: "create", reason: "it is new", needs, calls: [], records: {}, seconds: 1 };
}

interface Scene {
  readonly steps: readonly Step[];
  attempt(step: Step, from: number, tries: number): Tried;
  readonly limits?: Partial<Record<ResourceKind, Limit>>;
  readonly programs?: number;
  /** How long each try takes, milliseconds. */
  readonly takes?: number;
  readonly stopAt?: number;
}

/** `log` is `START id@seconds` and `END id@seconds`. */
async function play(
  scene: Scene,
): Promise<StepsResult & { log: readonly string[]; told: readonly Progress[]; most: number }> {
  const clock = virtualClock(0);
  const stop = new AbortController();
  const log: string[] = [];
  const told: Progress[] = [];
  const tries = new Map<string, number>();
  let now = 0;
  let most = 0;
  if (scene.stopAt !== undefined) clock.sleep(scene.stopAt).then(() => stop.abort(), assert.ifError);
  const options: StepsOptions = {
    steps: scene.steps,
    limitOf: (kind) => scene.limits?.[kind] ?? { parallel: 100, perMinute: 1_000 },
    programs: scene.programs ?? 100,
    async attempt(one, from) {
      const count = (tries.get(one.id) ?? 0) + 1;
      tries.set(one.id, count);
      now += 1;
      most = Math.max(most, now);
      log.push(`START ${one.id}@${clock.now() / 1000}`);
      await clock.sleep(scene.takes ?? 1_000);
      now -= 1;
      log.push(`END ${one.id}@${clock.now() / 1000}`);
      return scene.attempt(one, from, count);
    },
    signal: stop.signal,
    clock,
    random: seededRandom(),
    tell: (progress) => told.push(progress),
  };
  const result = await clock.runUntil(runSteps(options));
  return { ...result, log, told, most };
}

const ids = (steps: readonly Step[]): readonly string[] => steps.map(({ id }) => id);

describe("steps", () => {
  test("run side by side as far as they do not need one another", async () => {
    const { log, done } = await play({ steps: [step("a"), step("b"), step("c", ["a", "b"])], attempt: () => DONE });
    assert.deepEqual(log, ["START a@0", "START b@0", "END a@1", "END b@1", "START c@1", "END c@2"]);
    assert.deepEqual(ids(done), ["a", "b", "c"]);
  });

  test("need nothing of steps that are not in this plan", async () => {
    const { done } = await play({ steps: [step("a", ["done before"])], attempt: () => DONE });
    assert.deepEqual(ids(done), ["a"]);
  });

  test("of one kind keep to its quota, and all of them to the machine's", async () => {
    const steps = Array.from({ length: 150 }, (_, index) => step(`f${index}`, [], "function"));
    const limits = { function: { parallel: 30, perMinute: 60 } };
    const { log, done, most } = await play({ steps, attempt: () => DONE, limits, takes: 20_000 });
    assert.equal(done.length, 150);
    assert.equal(most, 30);
    const starts = log.filter((line) => line.startsWith("START")).map((line) => Number(line.split("@")[1]));
    for (const start of starts) assert.ok(starts.filter((one) => one >= start && one < start + 60).length <= 60);
    const { most: few } = await play({ steps, attempt: () => DONE, programs: 7 });
    assert.equal(few, 7);
  });

  test("that wait for their kind's quota hold up no other kind", async () => {
    const steps = [step("f1", [], "function"), step("f2", [], "function"), step("t")];
    const { log } = await play({ steps, attempt: () => DONE, limits: { function: { parallel: 1, perMinute: 60 } } });
    assert.deepEqual(log.slice(0, 2), ["START f1@0", "START t@0"]);
  });

  for (const kind of ["rate", "conflict", "unavailable", "not-visible"] as const)
    test(`that meet «${kind}» are tried again after a pause`, async () => {
      const { done, told } = await play({
        steps: [step("a")],
        attempt: (_, __, tries) => (tries < 4 ? fault(kind) : DONE),
      });
      assert.deepEqual(ids(done), ["a"]);
      const pauses = told.flatMap((one) => (one.type === "waiting" ? [one.ms] : []));
      assert.equal(pauses.length, 3);
      for (const ms of pauses) assert.ok(ms >= 1_000 && ms <= 60_000);
    });

  test("are not tried for ever, and not at all where that cannot help", async () => {
    const passing = await play({ steps: [step("a")], attempt: () => fault("unavailable") });
    assert.equal(passing.failed[0]?.tries, 8);
    const lasting = await play({ steps: [step("a")], attempt: () => fault("failed") });
    assert.deepEqual(
      lasting.failed.map(({ tries, command }) => [tries, command]),
      [[1, "gcloud x"]],
    );
  });

  test("go on with the call that failed, and count the faults of each call for itself", async () => {
    const froms: number[] = [];
    const { done } = await play({
      steps: [step("a")],
      attempt(_, from, tries) {
        froms.push(from);
        return tries <= 7 ? fault("unavailable") : tries <= 14 ? fault("unavailable", 1) : DONE;
      },
    });
    assert.deepEqual(ids(done), ["a"]);
    assert.deepEqual(froms, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
  });

  test("that need a failed one are left out, whatever stands between, and all others finish", async () => {
    const { done, blocked, told } = await play({
      steps: [step("a"), step("b", ["a"]), step("c", ["b"]), step("d"), step("e", ["d"])],
      attempt: ({ id }) => (id === "a" ? fault("failed") : DONE),
    });
    assert.deepEqual(ids(done), ["d", "e"]);
    assert.deepEqual(ids(blocked), ["b", "c"]);
    assert.deepEqual(
      told.flatMap((one) => (one.type === "blocked" ? [`${one.step.id} by ${one.by}`] : [])),
      ["b by a", "c by b"],
    );
  });

  test("under way are waited for after a stop, and no other begins", async () => {
    const { done, left } = await play({
      steps: [step("a"), step("b", ["a"]), step("c")],
      attempt: () => DONE,
      stopAt: 500,
    });
    assert.deepEqual(ids(done), ["a", "c"]);
    assert.deepEqual(ids(left), ["b"]);
  });

  test("whose tool was ended are left by a stop, and have failed without one", async () => {
    const scene: Scene = { steps: [step("a"), step("b", ["a"])], attempt: () => fault("ended") };
    const stopped = await play({ ...scene, stopAt: 500 });
    assert.deepEqual([ids(stopped.left), stopped.failed], [["a", "b"], []]);
    const ended = await play(scene);
    assert.deepEqual(
      [ended.left, ended.failed.map(({ fault: { kind }, tries }) => [kind, tries]), ids(ended.blocked)],
      [[], [["ended", 1]], ["b"]],
    );
  });

  test("in a pause are left by a stop, at once", async () => {
    const { left, log } = await play({ steps: [step("a")], attempt: () => fault("rate"), stopAt: 2_000 });
    assert.deepEqual(ids(left), ["a"]);
    assert.deepEqual(log, ["START a@0", "END a@1"]);
  });

  test("that reject end everything, after those under way", async () => {
    const ended: string[] = [];
    const working = play({
      steps: [step("a"), step("b"), step("c", ["b"])],
      attempt({ id }) {
        ended.push(id);
        if (id === "a") throw new Error("nobody is signed in");
        return DONE;
      },
    });
    await assert.rejects(working, /nobody is signed in/);
    assert.deepEqual(ended, ["a", "b"]);
  });

  test("end, in any graph, with any faults: each is done, failed, or blocked by a failed one", async () => {
    const graph = fc.array(
      fc.record({
        needs: fc.array(fc.nat(30), { maxLength: 3 }),
        faults: fc.array(fc.constantFrom<FaultKind>("rate", "conflict", "failed", "missing"), { maxLength: 3 }),
      }),
      { maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(graph, fc.integer({ min: 1, max: 4 }), async (nodes, parallel) => {
        const needsOf = (index: number): readonly string[] =>
          (nodes[index]?.needs ?? []).filter((other) => other < index).map((other) => `s${other}`);
        const steps = nodes.map((_, index) => step(`s${index}`, needsOf(index)));
        const over = new Set<string>();
        const { done, failed, blocked, left, most } = await play({
          steps,
          limits: { topic: { parallel, perMinute: 10 } },
          attempt({ id, needs }, _, tries) {
            for (const need of needs) assert.ok(over.has(need), `${id} began before ${need} was done`);
            const met = nodes[Number(id.slice(1))]?.faults[tries - 1];
            if (met !== undefined) return fault(met);
            over.add(id);
            return DONE;
          },
        });
        assert.ok(most <= parallel);
        assert.deepEqual(left, []);
        const bad = new Set([...failed.map((one) => one.step.id), ...ids(blocked)]);
        assert.equal(done.length + bad.size, steps.length);
        for (const one of blocked) assert.ok(one.needs.some((id) => bad.has(id)));
        for (const one of done) assert.ok(!one.needs.some((id) => bad.has(id)));
      }),
      { numRuns: 40 },
    );
  });
});
