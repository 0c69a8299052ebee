/**
 * `npm run kills -- --rounds 1000 [--seed N]`: the test of kills on the local platform, with as many rounds as are asked for.
 * `npm run kills -- --emulators --rounds 200 [--seed N]`: the same of function processes, on Google's emulators.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { killsOf } from "./kills-options.ts";

const asked = killsOf(process.argv.slice(2));
if ("problem" in asked) {
  process.stderr.write(`error: ${asked.problem}\n`);
  process.exit(2);
}
const { test, env, args } = asked;
const { status } = spawnSync(
  process.execPath,
  ["--test", "--test-reporter=spec", ...args, fileURLToPath(new URL(test, import.meta.url))],
  { stdio: "inherit", env: { ...process.env, ...env } },
);
process.exitCode = status ?? 1;
