import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as immediate } from "node:timers/promises";
import { keepSweeping } from "../../lib/cli/sweeper.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";

describe("the sweeper", () => {
  test("sweeps at its start, when something is due, and never after its stop", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
    const events = openSqliteEventStore({ file: ":memory:" });
    const clock = systemClock();
    const sweeps: number[] = [];
    const errors: unknown[] = [];
    const runtime = {
      async sweepDue() {
        sweeps.push(clock.now());
        for (const { runId } of await events.due({ now: clock.now(), limit: 10 })) await remove(runId);
        if (sweeps.length === 1) throw new Error("the store is busy");
        return 0;
      },
    };
    const remove = (runId: string): Promise<void> =>
      events.transact({}, () => ({ result: undefined, writes: [{ delete: ref("due", runId) }], events: [] }));
    const set = (id: string, at: number): Promise<void> =>
      events.transact({}, () => ({
        result: undefined,
        writes: [put(ref("due", id), { shard: 0, dueAt: at, runId: id })],
        events: [{ v: 1, id: `e-${id}`, at: clock.now(), type: "partition.sealed" }],
      }));
    /** Everything that does not wait for the clock is done; only timers are left. */
    const settled = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn += 1) await immediate();
    };
    const pass = async (ms: number): Promise<void> => {
      t.mock.timers.tick(ms);
      await settled();
    };

    const sweeper = keepSweeping({ events, runtime, clock, onError: (error) => errors.push(error) });
    await settled();
    assert.deepEqual(sweeps, [1_000_000]);
    assert.equal(errors.length, 1, "a sweep that fails is told of, and followed by others");

    await set("a", 1_000_200);
    await settled();
    await pass(199);
    assert.equal(sweeps.length, 1, "not before it is due");
    await pass(1);
    assert.deepEqual(sweeps, [1_000_000, 1_000_200]);
    await pass(29_999);
    assert.equal(sweeps.length, 2, "not without need");
    await pass(1);
    assert.deepEqual(sweeps, [1_000_000, 1_000_200, 1_030_200], "another process may have left a deadline");

    await set("b", clock.now() + 60);
    await settled();
    await sweeper.stop();
    await pass(60_000);
    assert.equal(sweeps.length, 3);
    events.close();
  });
});
