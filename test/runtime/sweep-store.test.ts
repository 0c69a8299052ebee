import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventStore, StoreSlice } from "../../lib/ports/event-store.ts";
import { sweepStore } from "../../lib/runtime/sweep-store.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const DAY_MS = 86_400_000;

/** A store with so many objects beside it, every third of which nobody needs. */
function setUp(count: number) {
  const clock = virtualClock();
  const objects = new Set(Array.from({ length: count }, (_, n) => String(n).padStart(4, "0")));
  const slices: (string | undefined)[] = [];
  const sweep = async ({ startAfter, limit = 1_000 }: StoreSlice = {}) => {
    slices.push(startAfter);
    const seen = [...objects].filter((name) => startAfter === undefined || name > startAfter).slice(0, limit);
    const unneeded = seen.filter((name) => Number(name) % 3 === 0);
    for (const name of unneeded) objects.delete(name);
    const last = seen.at(-1);
    return { deleted: unneeded.length, ...(seen.length === limit && last !== undefined ? { next: last } : {}) };
  };
  const events: EventStore = { ...memoryEventStore(), sweep };
  return { events, clock, objects, slices };
}

test("each sweep takes a slice, until all were looked at; then it rests for a day", async () => {
  const { events, clock, objects, slices } = setUp(500);
  const deleted: number[] = [];
  for (let n = 0; n < 5; n++) {
    deleted.push(await sweepStore({ events, clock }));
    await clock.advance(60_000);
  }
  assert.deepEqual(deleted, [67, 67, 33, 0, 0]);
  assert.deepEqual(slices, [undefined, "0199", "0399"], "bounded, and on from where the last one ended");
  assert.equal(objects.size, 333);
  await clock.advance(DAY_MS);
  assert.equal(await sweepStore({ events, clock }), 0);
  assert.deepEqual(slices.slice(3), [undefined], "a new round");
});

test("a sweep that dies before it has noted its place looks at the same slice again", async () => {
  const { events, clock, objects, slices } = setUp(300);
  let dead = true;
  const mortal: EventStore = {
    ...events,
    transact: (refs, decide) => (dead ? Promise.reject(new Error("killed")) : events.transact(refs, decide)),
  };
  await assert.rejects(sweepStore({ events: mortal, clock }), /killed/);
  dead = false;
  for (let n = 0; n < 3; n++) await sweepStore({ events: mortal, clock });
  assert.deepEqual(slices.slice(0, 2), [undefined, undefined]);
  assert.equal(objects.size, 200);
});

test("a store that keeps nothing beside its documents is left alone", async () => {
  const clock = virtualClock();
  const events = memoryEventStore();
  assert.equal(await sweepStore({ events, clock }), 0);
  assert.equal(await events.get("cursor", "sweep store"), undefined);
});
