/** A built function as a process: what needs no service of Google's. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TestContext } from "node:test";
import { build } from "../../infra/build.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { freePort, startFunction } from "../support/function-process.ts";
import type { FunctionProcess } from "../support/function-process.ts";
import { pushOf } from "../support/plain-runtime.ts";
import { ROOT } from "../support/tree.ts";

const CONFIG = JSON.stringify({
  project: "p",
  region: "r",
  location: "EU",
  stagingBucket: "b",
  queue: "q",
  taskAccount: "t@p.iam.gserviceaccount.com",
});
const FUNCTION = "asset-gitcoin-passport-scores";
let dist = "";

before(async () => {
  dist = mkdtempSync(join(tmpdir(), "sluice-dist-"));
  const { definitions, problems, modules } = await functionsLoader(ROOT).load();
  assert.deepEqual(problems, []);
  await build({ root: ROOT, outDir: dist, definitions, modules });
});
after(() => rmSync(dist, { recursive: true, force: true }));

async function started(t: TestContext, env: Readonly<Record<string, string>>): Promise<FunctionProcess> {
  const running = startFunction(await freePort(), { source: dist, env });
  t.after(async () => {
    running.kill();
    await running.ended;
  });
  await running.listening();
  return running;
}

test("it starts from the folder alone, answers a look at once, and knows its own paths", async (t) => {
  const running = await started(t, { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: CONFIG });
  const answer = await running.post("/asset.somebody.else", {});
  assert.equal(answer.status, 404);
  assert.match(
    await answer.text(),
    /nothing in asset gitcoin\/passport_scores takes messages of asset\.somebody\.else/,
  );
  const [line] = running.log();
  assert.deepEqual(Object.keys(line ?? {}).sort(), ["message", "severity"]);
  assert.equal(line?.["severity"], "ERROR");
});

for (const [what, env, line] of [
  ["without a config", { SLUICE_FUNCTION: FUNCTION }, /SLUICE_CONFIG is not set: deploy/],
  [
    "as a function that was not built",
    { SLUICE_FUNCTION: "asset-x", SLUICE_CONFIG: CONFIG },
    /asset-x cannot be loaded/,
  ],
  ["as nobody", { SLUICE_CONFIG: CONFIG }, /is no function's name: set SLUICE_FUNCTION/],
] as const) {
  test(`started ${what}, it takes no message, and says why in one line`, async (t) => {
    const running = await started(t, env);
    const answer = await running.post("/", pushOf({}));
    assert.equal(answer.status, 500);
    assert.doesNotMatch(await answer.text(), /SLUICE_|asset-x/, "whoever calls learns nothing of the inside");
    const errors = running.log().filter(({ severity }) => severity === "ERROR");
    assert.ok(errors.length > 0 && errors.every(({ message }) => line.test(String(message))), running.output());
  });
}

test("asked to end with nothing in hand, it ends at once and as it should", async (t) => {
  for (const messages of [0, 1]) {
    const running = await started(t, { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: CONFIG });
    for (let sent = 0; sent < messages; sent++) await (await running.post("/nobody", pushOf({}))).body?.cancel();
    running.kill("SIGTERM");
    assert.deepEqual(await running.ended, { code: 0, signal: null });
    assert.doesNotMatch(running.output(), /SIGTERM/);
  }
});

test("what the cloud's build compiled ahead is found by the entry, and what does not fit is passed over", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-compiled-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(dist, folder, { recursive: true });
  // The path counts: it is run where the function will be.
  const { scripts } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    readonly scripts: { readonly "gcp-build": string };
  };
  const [node, ...args] = scripts["gcp-build"].split(" ");
  assert.equal(node, "node");
  assert.equal(execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" }), "");
  const cache = join(folder, "compile-cache");
  const files = readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((file) => file.includes("/"));
  assert.ok(files.length >= readdirSync(join(folder, "platform")).length, "every file of the bundle is compiled");

  const served = async (): Promise<string> => {
    const env = { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: CONFIG, NODE_DEBUG_NATIVE: "COMPILE_CACHE" };
    const running = startFunction(await freePort(), { source: folder, env });
    const answer = await running.post("/asset.somebody.else", {});
    assert.equal(answer.status, 404);
    running.kill();
    await running.ended;
    return running.output();
  };
  assert.match(await served(), /cache for ESM file:\/\/\S+\/platform\/serve-\S+ was accepted/);
  for (const file of files) writeFileSync(join(cache, file), "nonsense".repeat(statSync(join(cache, file)).size / 8));
  assert.doesNotMatch(await served(), /was accepted/);
});
