/** What the simulator's command takes, and what it refuses in one line. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { optionsOf } from "./options.ts";

const taken = (...args: readonly string[]) => {
  const read = optionsOf(args, () => 0.5);
  return "options" in read ? read.options : assert.fail(read.problem);
};

test("a first seed is a number, or left to chance and known before anything is played", () => {
  assert.deepEqual([taken().from, taken().chosen], [0, false]);
  assert.deepEqual([taken("--from", "77").from, taken("--from=77").chosen], [77, false]);
  const { from, chosen, seeds } = taken("--from", "random", "--seeds", "12");
  assert.deepEqual([from, chosen, seeds], [2_000_000_000, true, 12]);
  for (const chance of [0, 0.999_999_999_999_999_9]) {
    const read = optionsOf(["--from", "random"], () => chance);
    assert.ok("options" in read && read.options.from + 100_000_000 < 2 ** 32);
  }
});

for (const args of [
  ["--seeds", "abc"],
  ["--seeds", "0"],
  ["--seeds", "1e3"],
  ["--seeds", ""],
  ["--seeds"],
  ["--from", "-1"],
  ["--from", "Random"],
  ["--jobs", "1.5"],
  ["--seed", "99999999999999999999"],
  ["--bogus"],
  ["4711"],
])
  test(`refused in one line: ${args.join(" ")}`, () => {
    const read = optionsOf(args, () => 0);
    assert.ok("problem" in read, JSON.stringify(read));
    assert.match(read.problem, /^[^\n]{10,200}$/);
    assert.ok(read.problem.includes(args[0] ?? ""), read.problem);
  });

test("the command says what is wrong without a stack, and ends with 2; a range left to chance is printed and can be played again", () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url)), ...args], { encoding: "utf8" });
  const refused = run("--bogus");
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /^error: [^\n]*--bogus[^\n]*\n$/);
  assert.equal(refused.stdout, "");

  const played = run("--seeds", "2", "--from", "random");
  assert.equal(played.status, 0, played.stderr);
  const [, seeds, from] = /--seeds (\d+) --from (\d+) plays them again/.exec(played.stdout) ?? [];
  assert.equal(seeds, "2");
  assert.match(played.stdout, new RegExp(`of the seeds ${from} to ${Number(from) + 1},`));
});
