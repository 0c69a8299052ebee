import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { keepSweeping } from "../../lib/cli/sweeper.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";

describe("the sweeper", () => {
  test("sweeps at its start, when something is due, and never after its stop", async () => {
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
    const dueAt = clock.now() + 200;
    const set = (id: string, at: number): Promise<void> =>
      events.transact({}, () => ({
        result: undefined,
        writes: [put(ref("due", id), { shard: 0, dueAt: at, runId: id })],
        events: [{ v: 1, id: `e-${id}`, at: clock.now(), type: "partition.sealed" }],
      }));

    const sweeper = keepSweeping({ events, runtime, clock, onError: (error) => errors.push(error) });
    await pause(20);
    assert.equal(sweeps.length, 1);
    assert.equal(errors.length, 1, "a sweep that fails is told of, and followed by others");
    await set("a", dueAt);
    await pause(100);
    assert.equal(sweeps.length, 1, "not before it is due");
    await pause(250);
    assert.equal(sweeps.length, 2);
    assert.ok((sweeps[1] ?? 0) >= dueAt);

    await set("b", clock.now() + 60);
    await sweeper.stop();
    await pause(150);
    assert.equal(sweeps.length, 2);
    events.close();
  });
});
