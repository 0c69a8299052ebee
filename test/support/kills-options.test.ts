/** `npm run kills`: it plays the test that is meant, and as many rounds as are asked for. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { killsOf } from "./kills-options.ts";
import type { AskedKills } from "./kills-options.ts";

const asked = (...args: readonly string[]): AskedKills => {
  const found = killsOf(args);
  return "problem" in found ? assert.fail(found.problem) : found;
};

test("on the local platform, and with --emulators on those", () => {
  assert.deepEqual(asked().env, { SLUICE_KILLS: "1000" });
  assert.deepEqual(asked("--rounds", "30", "--seed", "7").env, { SLUICE_KILLS: "30", SLUICE_SEED: "7" });
  const emulators = asked("--emulators", "--rounds", "3", "--seed", "7");
  assert.deepEqual(emulators.env, { SLUICE_KILL_ROUNDS: "3", CI_EMULATORS: "required", SLUICE_SEED: "7" });
  assert.equal(asked("--emulators").env["SLUICE_KILL_ROUNDS"], "200");
});

test("each test is there, reads its number of rounds, and has a name that the pattern lets through", () => {
  for (const { test: file, env, args } of [asked(), asked("--emulators")]) {
    const text = readFileSync(new URL(file, import.meta.url), "utf8");
    for (const name of Object.keys(env).filter((each) => each.startsWith("SLUICE_")))
      assert.ok(text.includes(`process.env["${name}"]`), `${file} does not read ${name}`);
    const pattern = args[0]?.replace("--test-name-pattern=", "");
    const titles = [...text.matchAll(/^\s*test\(`([^`]+)`/gm)].map(([, title = ""]) => title);
    if (pattern !== undefined)
      assert.deepEqual(
        titles.filter((title) => new RegExp(pattern).test(title)),
        ["${ROUNDS} rounds of kills while files keep dropping"],
      );
  }
});

for (const args of [
  ["--rounds", "abc"],
  ["--rounds", "19"],
  ["--emulators", "--rounds", "0"],
  ["--seed", "-1"],
  ["--no"],
])
  test(`refused in one line: ${args.join(" ")}`, () => {
    const found = killsOf(args);
    assert.ok("problem" in found);
    assert.match(found.problem, /^[^\n]{10,200}$/);
  });
