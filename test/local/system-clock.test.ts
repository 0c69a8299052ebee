import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";

test("sleep takes its time, and also a sleep of nothing or less ends", async () => {
  const clock = systemClock();
  const start = performance.now();
  await clock.sleep(30);
  assert.ok(performance.now() - start >= 29);
  await clock.sleep(0);
  await clock.sleep(-5);
});

test("an aborted sleep rejects at once with the signal's reason, before and while it sleeps, and leaves no timer", async () => {
  const clock = systemClock();
  const reason = new Error("enough");
  await assert.rejects(clock.sleep(1e9, AbortSignal.abort(reason)), (error) => error === reason);
  const controller = new AbortController();
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const sleeping = clock.sleep(1e9, controller.signal);
  controller.abort(reason);
  await assert.rejects(sleeping, (error) => error === reason);
  assert.equal(timers(), before);
});

test("a sleep longer than a timer can hold does not end at once", async () => {
  const controller = new AbortController();
  const sleeping = systemClock().sleep(2 ** 31 + 5, controller.signal);
  const early = sleeping.then(() => "ended").catch(() => "aborted");
  assert.equal(
    await Promise.race([
      early,
      systemClock()
        .sleep(20)
        .then(() => "sleeping"),
    ]),
    "sleeping",
  );
  controller.abort();
  assert.equal(await early, "aborted");
});

test("chance is in its range, and ids are 16 hexadecimal digits that do not repeat", () => {
  const random = systemRandom();
  const numbers = Array.from({ length: 1_000 }, () => random.next());
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
  assert.ok(Math.min(...numbers) < 0.1 && Math.max(...numbers) > 0.9);
  const ids = Array.from({ length: 1_000 }, () => random.id());
  assert.equal(new Set(ids).size, 1_000);
  assert.ok(ids.every((id) => /^[0-9a-f]{16}$/.test(id)));
});
