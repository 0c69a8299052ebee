/** `npm run kills -- --rounds 1000 [--seed N]`: the test of kills on the local platform, with as many rounds as are asked for. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "1000" }, seed: { type: "string" } } });
const test = fileURLToPath(new URL("../e2e/kill.test.ts", import.meta.url));
const { status } = spawnSync(process.execPath, ["--test", "--test-reporter=spec", test], {
  stdio: "inherit",
  env: {
    ...process.env,
    SLUICE_KILLS: values.rounds,
    ...(values.seed === undefined ? {} : { SLUICE_SEED: values.seed }),
  },
});
process.exitCode = status ?? 1;
