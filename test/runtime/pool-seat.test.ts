import assert from "node:assert/strict";
import { test } from "node:test";
import { pool } from "sluice";
import type { RunDocument } from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { POOL_FULL } from "../../lib/core/pool.ts";
import { Park } from "../../lib/runtime/interruptions.ts";
import { seatIn } from "../../lib/runtime/pool-seat.ts";
import type { Seat } from "../../lib/runtime/pool-seat.ts";
import { defaultSettings } from "../../lib/runtime/services.ts";
import type { Services } from "../../lib/runtime/services.ts";
import { memoryDocuments } from "../support/memory-documents.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { virtualClock } from "../support/virtual-clock.ts";

function setUp() {
  const documents = memoryDocuments();
  const clock = virtualClock();
  const woken: unknown[] = [];
  const services = {
    events: memoryEventStore(documents),
    clock,
    settings: defaultSettings,
    bus: { publish: async (_: string, { data }: { data: unknown }) => String(woken.push(data)) },
    definitions: () => ({ pools: new Map([["p", pool({ name: "p", limit: 1 })]]), assets: new Map() }),
  } as unknown as Services; // what a seat uses of it
  const runOf = (digit: string): RunDocument =>
    ({ id: digit.repeat(16), kind: "asset", name: "a", createdAt: Number(digit), token: 1 }) as unknown as RunDocument; // of it, as little
  const seat = (digit: string): Seat => seatIn(services, "p", { run: runOf(digit), token: 1 });
  /** The run sleeps, with its place among those who wait. */
  const wait = (digit: string): void => {
    const asleep = put(ref("run", runOf(digit).id), { ...runOf(digit), status: "parked", code: POOL_FULL });
    documents.apply({}, () => ({ result: 0, writes: [asleep, ...seat(digit).ticket], events: [] }));
  };
  return { clock, woken, seat, wait, runOf };
}

const isFull = (error: unknown): boolean => error instanceof Park && error.code === POOL_FULL;

test("whose work goes on elsewhere keeps the slot, until it should have come back", async () => {
  const { clock, seat } = setUp();
  const first = seat("1");
  await first.take();
  await first.leave(clock.now() + 1_000);
  await assert.rejects(seat("2").take(), isFull);
  await clock.advance(1_000);
  await seat("2").take();
  assert.equal(await first.renew(), false);
});

test("who leaves wakes whoever waits longest, who holds the slot by then", async () => {
  const { seat, wait, woken, runOf } = setUp();
  const first = seat("1");
  await first.take();
  for (const digit of ["3", "2"]) wait(digit);
  await first.leave();
  assert.deepEqual(woken, [{ wake: runOf("2").id }]);
  await assert.rejects(seat("3").take(), isFull);
  await seat("2").take();
});

test("a slot that is free is not for who came later than somebody that waits", async () => {
  const { seat, wait } = setUp();
  wait("2");
  await assert.rejects(seat("3").take(), isFull);
  await seat("2").take();
});
