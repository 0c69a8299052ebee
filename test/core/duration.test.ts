import { test } from "node:test";
import assert from "node:assert/strict";
import { durationMs } from "../../lib/core/duration.ts";
import type { Duration } from "../../lib/core/duration.ts";
import { DefinitionError } from "../../lib/core/errors.ts";

test("durations are milliseconds", () => {
  const table: [Duration, number][] = [
    ["0s", 0],
    ["90s", 90_000],
    ["15m", 900_000],
    ["1.5h", 5_400_000],
    ["10d", 864_000_000],
    ["0.001s", 1],
  ];
  for (const [text, ms] of table) assert.equal(durationMs(text), ms, text);
});

test("whatever the type lets through is still checked", () => {
  // These are durations for the type checker, or come from a request that it never saw.
  for (const text of [
    "-1s",
    "1e3s",
    "0x10s",
    "10",
    "s",
    "",
    "1 s",
    "1w",
    "1s ",
    "1s\n",
    "1.s",
    "NaNs",
    "9999999999d",
  ]) {
    assert.throws(() => durationMs(text as Duration), DefinitionError, text);
  }
});
