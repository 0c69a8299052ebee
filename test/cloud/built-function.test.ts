/** A built function as a process: what needs no service of Google's. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
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

test("a body that is no JSON is refused without a word of the inside, and is one line of the log", async (t) => {
  const running = await started(t, { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: CONFIG, NODE_ENV: "" });
  const answer = await running.post("/", "{ no JSON: hush");
  assert.equal(answer.status, 400);
  assert.doesNotMatch(await answer.text(), /node_modules|\.js|hush/);
  for (const until = Date.now() + 60_000; running.output() === "" && Date.now() < until;) await sleep(5);
  const lines = running.output().trim().split("\n");
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { readonly severity: string }).severity),
    ["ERROR"],
  );
  assert.match(lines[0] ?? "", /^\{"severity":"ERROR","message":"SyntaxError: /);
});

test("asked to end with nothing in hand, it ends at once and as it should", async (t) => {
  for (const messages of [0, 1]) {
    const running = await started(t, { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: CONFIG });
    for (let sent = 0; sent < messages; sent++) await (await running.post("/nobody", pushOf({}))).body?.cancel();
    running.kill("SIGTERM");
    assert.deepEqual(await running.ended, { code: 0, signal: null });
    assert.doesNotMatch(running.output(), /SIGTERM/);
  }
});

test("what the cloud's build compiled ahead is run with, and what does not fit is passed over", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-compiled-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(dist, folder, { recursive: true });
  const { scripts } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    readonly scripts: { readonly "gcp-build": string };
  };
  const [node, ...args] = scripts["gcp-build"].split(" ");
  assert.equal(node, "node");
  assert.equal(execFileSync(process.execPath, args, { cwd: folder, encoding: "utf8" }), "", "the rehearsal succeeds");
  const platform = join(folder, "platform");
  const all = readdirSync(platform);
  const files = all.filter((file) => file.endsWith(".cjs"));
  assert.deepEqual(all.filter((file) => !files.includes(file)).sort(), files.map((file) => `${file}.compiled`).sort());

  // In a process of its own: one that has compiled a script before compares no more.
  const REJECTED = `for (const file of process.argv.slice(1)) {
    const { readFileSync } = require("node:fs");
    const cachedData = readFileSync(file + ".compiled");
    const { cachedDataRejected } = new (require("node:vm").Script)(readFileSync(file, "latin1"), { cachedData });
    console.log(cachedDataRejected);
  }`;
  const rejected = (): ReadonlySet<string> => {
    const paths = files.map((file) => join(platform, file));
    const output = execFileSync(process.execPath, ["--eval", REJECTED, ...paths], { encoding: "utf8" });
    return new Set(output.trim().split("\n"));
  };
  assert.deepEqual([...rejected()], ["false"], "each is of its script");
  const bytesOf = (ending: string): number =>
    all.filter((file) => file.endsWith(ending)).reduce((sum, file) => sum + statSync(join(platform, file)).size, 0);
  // What is only parsed leaves a few hundred bytes of each script.
  assert.ok(bytesOf(".compiled") > bytesOf(".cjs") / 2, "what a run calls is in it");

  const served = async (): Promise<void> => {
    const running = startFunction(await freePort(), {
      source: folder,
      env: { SLUICE_FUNCTION: FUNCTION, SLUICE_CONFIG: CONFIG },
    });
    const answer = await running.post("/asset.somebody.else", {});
    assert.equal(answer.status, 404);
    running.kill();
    await running.ended;
  };
  await served();
  for (const file of files) writeFileSync(join(platform, `${file}.compiled`), "nonsense");
  assert.deepEqual([...rejected()], ["true"]);
  await served();
});
