/**
 * The package as somebody meets it who has nothing but npm and the Node of the machine: packed, a project started from it and
 * installed, and the Gitcoin asset of that project taken through everything, as it is. The registry is asked for what npm's cache lacks.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { z } from "zod";
import { startGoogleCloud } from "../fakes/fake-google-cloud.ts";
import { startFastGcloud } from "../support/fast-gcloud.ts";
import { withGcloud } from "../support/gcloud.ts";
import { openDuck, scoresSql } from "../support/parquet.ts";
import { ROOT } from "../support/tree.ts";

const BUCKET = "oso-dataset-transfer-bucket";
/** The project that the asset's table is in. */
const CLOUD = "opensource-observer";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Without the repository's own programs, and without what npm and the test runner tell those that they start. */
function outsideEnv(): Env {
  const isTold = (name: string): boolean =>
    /^npm_(?!config_)|^npm_config_local_prefix$|^NODE_|^INIT_CWD$|^SLUICE_/.test(name);
  const own = Object.entries(process.env).filter(([name]) => !isTold(name));
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  return { ...Object.fromEntries(own), PATH: path.join(delimiter), CI: "true", NO_COLOR: "1" };
}

function run(program: string, args: readonly string[], cwd: string, env: Env): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(program, [...args], { cwd, env, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr });
    });
  });
}

function filesIn(folder: string): ReadonlyMap<string, Buffer> {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const names = entries.filter((name) => statSync(join(folder, name)).isFile());
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
}

withGcloud(() => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-packed-"));
  const project = join(folder, "my-scores");
  const env = outsideEnv();
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** In the project; its stdout. */
  async function well(program: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await run(program, args, project, env);
    assert.equal(code, 0, `${program} ${args.join(" ")}:\n${stdout}\n${stderr}`);
    return stdout;
  }
  const sluice = (...args: readonly string[]): Promise<string> => well("npx", "--no-install", "sluice", ...args);
  const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse(await sluice(...args, "--json"));

  before(async () => {
    const repository = [join(ROOT, "lib/cli/package.ts"), "--out", folder];
    const packed = await run(process.execPath, repository, ROOT, env);
    assert.equal(packed.code, 0, packed.stderr);
    const [tarball = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
    const init = [join(ROOT, "lib/cli/main.ts"), "init", project, "--package", join(folder, tarball)];
    const started = await run(process.execPath, init, ROOT, env);
    assert.equal(started.code, 0, started.stderr);
    await well("npm", "install", "--prefer-offline", "--no-audit", "--no-fund");
  });

  test("the project starts another one, with any Node, from the package that is installed, to the byte", async () => {
    const made = filesIn(project);
    const main = join(project, "node_modules/sluice/lib/cli/main.js");
    const again = await run("node", [main, "init", "other", "--name", "my-scores"], folder, env);
    assert.equal(again.code, 0, again.stderr);
    const other = filesIn(join(folder, "other"));
    assert.ok([...other.keys()].some((name) => name.endsWith(".tgz")));
    for (const [name, content] of other) assert.ok(made.get(name)?.equals(content), name);
  });

  test("its test and its types are good", async () => {
    const tested = await well("npm", "test");
    assert.match(tested, /^ℹ pass 1$|^# pass 1$/m);
    await well("npm", "run", "types");
    // The declarations say what they say in the repository: nothing of them is lost, which would let everything pass.
    const wrong = 'import { daily } from "sluice";\nexport const partitions = daily({ start: 5 });\n';
    writeFileSync(join(project, "functions/_wrong.ts"), wrong);
    const { code, stdout } = await run("npm", ["run", "types"], project, env);
    rmSync(join(project, "functions/_wrong.ts"));
    assert.notEqual(code, 0);
    assert.match(stdout, /_wrong\.ts\(2,\d+\): error TS2322: Type 'number' is not assignable to type 'string'/);
  });

  test("the asset is listed, runs on a dropped file, and its table is there", async () => {
    assert.match(await sluice("list"), /^gitcoin\/passport_scores +daily +never +.*functions\/gitcoin\.ts$/m);
    const drop = join(project, ".sluice/buckets", BUCKET, "passport/2024-05-01");
    mkdirSync(drop, { recursive: true });
    const duck = await openDuck();
    try {
      writeFileSync(join(drop, "scores.parquet"), await duck.file(scoresSql("2024-05-01", 3)));
    } finally {
      duck.close();
    }
    await sluice("materialize", "gitcoin/passport_scores", "--partition", "2024-05-01");
    const people = await json("query", "SELECT COUNT(*) AS people FROM gitcoin.passport_scores");
    assert.deepEqual(people, { people: 3 });
  });

  test("it is compiled and built, and all code of the bundle loads", async () => {
    // As a new project has it.
    await sluice("compile", "--check");
    await sluice("compile");
    const manifest = z.looseObject({ functions: z.array(z.looseObject({ name: z.string() })) });
    const { functions } = manifest.parse(JSON.parse(readFileSync(join(project, "infra/manifest.json"), "utf8")));
    assert.ok(functions.some(({ name }) => name === "asset-gitcoin-passport-scores"));
    const report = z.looseObject({ contributors: z.array(z.looseObject({ name: z.string() })) });
    const { contributors } = report.parse(await json("build"));
    for (const { name } of contributors) assert.doesNotMatch(name, /\.\.|node_modules/);
    const load = 'await import("./dist/units/asset-gitcoin-passport-scores.mjs");';
    assert.equal(await well(process.execPath, "--input-type=module", "--eval", load), "");
    assert.equal(await well(process.execPath, "dist/compile.mjs"), "");
  });

  test("deploy.sh deploys it, and the second time finds nothing to do", async () => {
    const fast = await startFastGcloud();
    const cloud = await startGoogleCloud({ project: CLOUD, buckets: { [BUCKET]: "EU" } });
    try {
      const inCloud = { ...env, ...cloud.env, PATH: [fast.bin, env["PATH"]].join(delimiter), TMPDIR: folder };
      const report = z.looseObject({
        outcome: z.string(),
        plan: z.looseObject({ foreign: z.array(z.unknown()) }),
      });
      const deploy = async (): Promise<z.output<typeof report>> => {
        const args = [`--project=${CLOUD}`, "--region=europe-west1", "--yes", "--json"];
        const { code, stdout, stderr } = await run(join(project, "deploy.sh"), args, "/", inCloud);
        assert.equal(code, 0, `${stdout}\n${stderr}`);
        return report.parse(JSON.parse(stdout));
      };
      const first = await deploy();
      assert.deepEqual([first.outcome, first.plan.foreign], ["done", []]);
      assert.ok(Object.keys(cloud.snapshot()).some((name) => name.endsWith("asset-gitcoin-passport-scores")));
      assert.deepEqual([cloud.shortfalls(), cloud.unknown], [[], []]);
      assert.equal((await deploy()).outcome, "unchanged");
    } finally {
      await cloud.close();
      await fast.close();
    }
  });
});
