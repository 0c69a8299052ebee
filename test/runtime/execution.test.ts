import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, PermanentError } from "sluice";
import type { RetryPolicy } from "../../lib/core/definition.ts";
import { definitionsOf } from "../support/local-platform.ts";
import { plainRuntime, pushOf } from "../support/plain-runtime.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const DEADLINE = 500_000;

function setUp(deadlineMs?: number) {
  const clock = virtualClock();
  let steps = 0;
  const slow = asset({
    key: "slow/steps",
    async materialize({ checkpoint, signal }) {
      // Ten steps of 100 s each, saved one by one.
      for (steps = Number(checkpoint.last ?? 0); steps < 10;) {
        await clock.sleep(100_000, signal);
        steps += 1;
        await checkpoint.save(steps);
      }
    },
  });
  const definitions = definitionsOf({ slow });
  const made = plainRuntime({ definitions, clock, settings: deadlineMs === undefined ? {} : { deadlineMs } });
  const send = (data: unknown): Promise<void> =>
    clock.runUntil(made.runtime.receive({ kind: "asset", key: "slow/steps" }, { body: pushOf(data) }));
  const types = async (): Promise<readonly string[]> =>
    (await made.events.history({ order: "oldest" })).items.map(({ type }) => type);
  const run = async () => (await made.events.runs({})).items[0] ?? assert.fail("no run");
  return { ...made, clock, send, types, run };
}

test("an execution that has had its time is parked before its request is cut off, and goes on when it is woken", async () => {
  const { send, types, run, scheduled, clock } = setUp(DEADLINE);
  const began = clock.now();
  await send({});
  assert.equal(clock.now() - began, DEADLINE);
  const parked = await run();
  assert.deepEqual([parked.status, parked.code, parked.failures], ["parked", "deadline", 0]);
  assert.equal(parked.wakeAt, clock.now(), "asked for again at once");
  assert.deepEqual(
    scheduled.map(({ what }) => what),
    [`asset.slow.steps {"wake":"${parked.id}"}`],
  );
  for (let rounds = 0; (await run()).status === "parked"; rounds++) {
    assert.ok(rounds < 5);
    await send({ wake: parked.id });
  }
  assert.equal((await run()).status, "succeeded");
  assert.equal((await types()).filter((type) => type === "materialized").length, 1);
  assert.equal(clock.sleeping, 0, "no deadline outlives its execution");
});

test("without a deadline, an execution takes as long as it likes", async () => {
  const { send, run, scheduled, clock } = setUp();
  await send({});
  assert.equal((await run()).status, "succeeded");
  assert.equal(scheduled.length, 0);
  assert.equal(clock.sleeping, 0);
});

/** Code that takes longer than one execution, and saves nothing. */
function endless(retry: RetryPolicy, onAbort: (reason: unknown) => unknown = (reason) => reason) {
  const clock = virtualClock();
  const stuck = asset({
    key: "slow/stuck",
    retry,
    materialize: ({ signal }) =>
      clock.sleep(2 * DEADLINE, signal).catch((reason: unknown) => {
        throw onAbort(reason);
      }),
  });
  const made = plainRuntime({ definitions: definitionsOf({ stuck }), clock, settings: { deadlineMs: DEADLINE } });
  const send = (data: unknown): Promise<void> =>
    clock.runUntil(made.runtime.receive({ kind: "asset", key: "slow/stuck" }, { body: pushOf(data) }));
  const run = async () => (await made.events.runs({})).items[0] ?? assert.fail("no run");
  return { ...made, clock, send, run };
}

const TOLD = /^one execution may take 500 s, and nothing that it did by then is kept: save checkpoints, .* more time/;

for (const [what, onAbort] of [
  ["throws why it was cut off", undefined],
  ["throws something of its own", () => new Error("socket hang up")],
  ["says that it is for good", () => new PermanentError("no answer")],
] as const) {
  test(`an execution that gets nowhere counts as a failure, and the last one ends the run: code that ${what}`, async () => {
    const { send, run, events, clock } = endless({ maxRetries: 2 }, onAbort);
    const began = clock.now();
    await send({});
    const parked = await run();
    assert.equal(clock.now() - began, DEADLINE);
    assert.deepEqual([parked.status, parked.code, parked.failures], ["parked", "retry", 1]);
    assert.match(parked.reason ?? "", TOLD);
    for (let round = 0; round < 5 && (await run()).status === "parked"; round++) {
      const { wakeAt = 0 } = await run();
      assert.ok(wakeAt > clock.now(), "not at once");
      await clock.advance(wakeAt - clock.now());
      await send({ wake: parked.id });
    }
    const { status, code, reason, attempt } = await run();
    assert.deepEqual([status, code, attempt], ["failed", "retries-exhausted", 3]);
    assert.match(reason ?? "", TOLD);
    assert.match(reason ?? "", /\(tried 3 times\)$/);
    assert.equal((await events.get("partition", "slow/stuck|"))?.holder, undefined, "its partition is free");
    assert.equal(clock.sleeping, 0);
  });
}

test("a retry policy may treat what runs out of time by itself", async () => {
  const { send, run } = endless({ maxRetries: 9, on: { deadline: { maxRetries: 0 } } });
  await send({});
  const { status, code, attempt } = await run();
  assert.deepEqual([status, code, attempt], ["failed", "retries-exhausted", 1]);
});

test("asked to stop in the middle, a run has not failed", async () => {
  const { send, run, runtime, clock } = endless({ maxRetries: 0 });
  void clock.sleep(1_000).then(() => runtime.stop());
  await send({});
  const { status, code, failures } = await run();
  assert.deepEqual([status, code, failures], ["parked", "stopped", 0]);
});
