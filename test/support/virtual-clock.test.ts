import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, virtualClock } from "./virtual-clock.ts";

test("sleepers wake in the order of their times, each at its own instant, also those that start on the way", async () => {
  const clock = virtualClock(1_000);
  const woken: [string, number][] = [];
  const sleeper = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms);
    woken.push([name, clock.now()]);
  };
  void sleeper("b", 20);
  void sleeper("a", 10).then(() => sleeper("nested", 5));
  void sleeper("b2", 20);
  void sleeper("late", 31);
  await clock.advance(30);
  assert.deepEqual(woken, [
    ["a", 1_010],
    ["nested", 1_015],
    ["b", 1_020],
    ["b2", 1_020],
  ]);
  assert.equal(clock.now(), 1_030);
  assert.equal(clock.sleeping, 1);
  assert.equal(clock.nextAt(), 1_031);
});

test("an aborted sleeper rejects with the reason and is gone", async () => {
  const clock = virtualClock();
  const controller = new AbortController();
  const reason = new Error("enough");
  const sleeping = clock.sleep(10, controller.signal);
  controller.abort(reason);
  await assert.rejects(sleeping, (error) => error === reason);
  await assert.rejects(clock.sleep(10, controller.signal), (error) => error === reason);
  assert.equal(clock.sleeping, 0);
});

test("runUntil goes from sleeper to sleeper, no further than needed, and gives up at its limit", async () => {
  const clock = virtualClock(0);
  const work = async (): Promise<string> => {
    for (let n = 0; n < 3; n++) await clock.sleep(100);
    return "done";
  };
  void clock.sleep(5_000);
  assert.equal(await clock.runUntil(work()), "done");
  assert.equal(clock.now(), 300);
  await assert.rejects(clock.runUntil(Promise.reject(new Error("its own"))), /its own/);
  await assert.rejects(clock.runUntil(new Promise(() => undefined), 1_000), /not settled after 1000 ms/);
});

test("the same seed gives the same chance, spread over its range", () => {
  const [one, same, other] = [seededRandom(7), seededRandom(7), seededRandom(8)];
  const take = (random: { next(): number }): number[] => Array.from({ length: 1_000 }, () => random.next());
  const numbers = take(one);
  assert.deepEqual(take(same), numbers);
  assert.notDeepEqual(take(other), numbers);
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
  assert.ok(Math.abs(numbers.reduce((sum, number) => sum + number, 0) / 1_000 - 0.5) < 0.05);
  assert.match(one.id(), /^[0-9a-f]{16}$/);
  assert.equal(new Set(Array.from({ length: 1_000 }, () => one.id())).size, 1_000);
});
