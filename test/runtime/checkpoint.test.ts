import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_CHECKPOINT_BYTES } from "../../lib/core/checkpoint.ts";
import type { JsonValue } from "../../lib/core/checkpoint.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import { checkpointDesk } from "../../lib/runtime/checkpoint.ts";
import { pauseOf } from "../../lib/runtime/stage-rows.ts";

function deskAt(pauseMs = 1_000) {
  const clock = { at: 0, now: () => clock.at };
  const desk = checkpointDesk({ last: undefined, clock, pauseMs: () => pauseMs });
  const stored: JsonValue[] = [];
  const serve = (): Promise<void> => desk.serve(async (value) => void stored.push(value));
  return { clock, desk, stored, serve, save: desk.checkpoint.save };
}

test("a save within the pause of the last durable one is passed over; the first one never is", async () => {
  const { clock, desk, stored, serve, save } = deskAt();
  for (const [at, value] of [
    [0, 1],
    [10, 2],
    [999, 3],
    [1_000, 4],
    [1_500, 5],
    [2_000, 6],
  ] as const) {
    clock.at = at;
    const saved = save(value);
    while (desk.waiting()) await serve();
    await saved;
  }
  assert.deepEqual(stored, [1, 4, 6]);
});

test("the pause grows with what has been saved, so that hardly any crawl comes to its last part", () => {
  assert.equal(pauseOf(1_000, 0), 1_000);
  assert.equal(pauseOf(1_000, 500), 1_000);
  assert.equal(pauseOf(1_000, 5_000), 10_000);
  assert.equal(pauseOf(0, 5_000), 0);
});

test("saves are served in order, each with the value that it was given", async () => {
  const { desk, stored, serve, save } = deskAt(0);
  const list = [1];
  const saves = [save(list), save("second"), save(null)];
  list.push(2);
  while (desk.waiting()) await serve();
  await Promise.all(saves);
  assert.deepEqual(stored, [[1], "second", null]);
});

test("what fails to be stored fails the save, and so does the end", async () => {
  const { desk, save } = deskAt();
  const fault = new Error("the bucket is away");
  const first = save(1);
  await assert.rejects(
    desk.serve(() => Promise.reject(fault)),
    fault,
  );
  await assert.rejects(first, fault);
  const over = new Error("it is over");
  const second = save(2);
  desk.close(over);
  await assert.rejects(second, over);
  await assert.rejects(save(3), over);
});

test("only JSON is taken, and not much of it", async () => {
  const { save } = deskAt(0);
  const bad: readonly unknown[] = [
    undefined,
    Number.NaN,
    1n,
    new Date(),
    new Map(),
    { a: undefined },
    () => 1,
    "\ud800",
  ];
  for (const value of bad)
    assert.throws(
      () => void save(value as JsonValue), // what a plain JavaScript caller may do
      (error: unknown) => error instanceof PermanentError && error.code === "bad-checkpoint",
      String(value),
    );
  const text = "é".repeat(MAX_CHECKPOINT_BYTES / 2);
  assert.throws(() => void save(text), /a checkpoint of 100002 bytes is too large: save 100000 at most/);
  assert.doesNotThrow(() => void save(text.slice(1)));
});
