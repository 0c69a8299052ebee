import assert from "node:assert/strict";
import { test } from "node:test";
import { interrupts } from "../../lib/cli/interrupts.ts";

/** What is done when the signal comes at these moments (ms). */
function play(moments: readonly number[]): readonly string[] {
  const done: string[] = [];
  let now = 0;
  const interrupt = interrupts({
    now: () => now,
    sameKeyMs: 300,
    stop: () => void done.push(`stop ${now}`),
    end: () => void done.push(`end ${now}`),
  });
  for (const moment of moments) {
    now = moment;
    interrupt();
  }
  return done;
}

for (const [what, moments, expected] of [
  ["one Ctrl-C asks to stop", [7], ["stop 7"]],
  ["one that npm passes on is the same", [7, 7, 8, 307], ["stop 7"]],
  ["a second one is meant, and ends at once", [7, 8, 308], ["stop 7", "end 308"]],
  ["at the very start of the clock as well", [0, 0, 301], ["stop 0", "end 301"]],
] as const) {
  test(what, () => {
    assert.deepEqual(play(moments), expected);
  });
}
