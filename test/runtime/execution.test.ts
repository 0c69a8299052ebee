import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "sluice";
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
