/** A new project: what `sluice init` writes, where it refuses to, and that its parts are what this repository itself is tested with. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { compile } from "../../infra/compile.ts";
import { parseEnvironments } from "../../infra/environments.ts";
import { manifestText } from "../../infra/manifest.ts";
import * as gitcoin from "../../functions/gitcoin.ts";
import { inTheWay, projectFiles, writeProject } from "../../lib/cli/project-template.ts";
import { importsOf } from "../support/imports.ts";
import { definitionsOf, FIRESTORE } from "../support/infra.ts";
import { temporaryProject } from "../support/sluice-command.ts";
import { ROOT, textOf } from "../support/tree.ts";

const versions = z.record(z.string(), z.string());
const manifestSchema = z.looseObject({
  name: z.string(),
  dependencies: versions,
  devDependencies: versions,
  engines: versions,
  allowScripts: z.record(z.string(), z.boolean()),
});
const optionsSchema = z.looseObject({ compilerOptions: z.record(z.string(), z.unknown()) });

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-init-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe("sluice init", () => {
  const project = temporaryProject({});
  const init = (...args: readonly string[]) => project.sluice("init", ...args, "--package", "0.1.0");

  test("writes a project, says what to do next, and is done when it is asked again", async (t) => {
    t.after(() => project.remove());
    const { code, stdout, stderr } = await init("My Scores");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(
      stdout,
      /^my-scores is in .*\n(?: {2}.+\n)+next:\n {2}cd 'My Scores' && npm install\n {2}npm test\n {2}npm start\n$/,
    );
    const root = join(project.root, "My Scores");
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));
    assert.deepEqual([manifest.name, manifest.dependencies["sluice"]], ["my-scores", "0.1.0"]);
    assert.match(readFileSync(join(root, "README.md"), "utf8"), /^# my-scores\n/);
    for (const name of ["deploy.sh", "functions/gitcoin.ts", "test/functions/gitcoin.test.ts"])
      assert.equal(readFileSync(join(root, name), "utf8"), textOf(name));
    assert.notEqual(statSync(join(root, "deploy.sh")).mode & 0o100, 0);
    assert.equal((await init("My Scores")).code, 0);

    writeFileSync(join(root, "functions/own.ts"), "export {};\n");
    writeFileSync(join(root, "README.md"), "mine\n");
    const refused = await init("My Scores");
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /^error: .*My Scores is not empty \(README\.md, functions\/own\.ts\): name a new folder/,
    );
    assert.equal(readFileSync(join(root, "README.md"), "utf8"), "mine\n");
  });

  test("names what is in the way, but for a repository that has just begun", async (t) => {
    const folder = temporaryFolder(t);
    const files = await projectFiles({ name: "scores", package: "0.1.0" });
    assert.deepEqual(await inTheWay(join(folder, "new"), files), []);
    for (const name of [".git", "src", "functions/crm", "infra"]) mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, "tsconfig.json"), "{}");
    assert.deepEqual(await inTheWay(folder, files), ["functions/crm/", "src/", "tsconfig.json"]);
    await assert.rejects(inTheWay(join(folder, "tsconfig.json"), files), /tsconfig\.json is no folder/);
  });

  test("that was cut off goes on where it was", async (t) => {
    const folder = temporaryFolder(t);
    const files = await projectFiles({ name: "scores", package: "0.1.0" });
    await writeProject(folder, files.slice(0, 4));
    assert.deepEqual(await inTheWay(folder, files), []);
    await writeProject(folder, files);
    for (const { path, content } of files)
      assert.deepEqual(new Uint8Array(readFileSync(join(folder, path))), new Uint8Array(content));
  });

  test("takes a tarball along, and says when there is none", async (t) => {
    const folder = temporaryFolder(t);
    const tarball = join(folder, "sluice-9.9.9.tgz");
    await assert.rejects(
      projectFiles({ name: "scores", package: tarball }),
      /--package .*sluice-9\.9\.9\.tgz cannot be read/,
    );
    writeFileSync(tarball, "packed");
    const files = await projectFiles({ name: "scores", package: tarball });
    const textIn = (path: string): string =>
      Buffer.from(files.find((file) => file.path === path)?.content ?? []).toString();
    assert.equal(textIn("vendor/sluice-9.9.9.tgz"), "packed");
    assert.match(textIn("package.json"), /"sluice": "file:vendor\/sluice-9\.9\.9\.tgz"/);
  });

  test("refuses a name that npm would refuse", async (t) => {
    const folder = temporaryFolder(t);
    const other = temporaryProject({});
    t.after(() => other.remove());
    for (const name of ["Scores", "a b", "", ".scores"]) {
      const { code, stderr } = await other.sluice("init", folder, "--name", name, "--package", "0.1.0");
      assert.equal(code, 2);
      assert.match(stderr, /is no name of a package: give one with --name/);
    }
    assert.equal(existsSync(join(folder, "package.json")), false);
  });
});

describe("the template", () => {
  const own = manifestSchema.parse(JSON.parse(textOf("package.json")));
  const template = manifestSchema.parse(JSON.parse(textOf("template/package.json")));

  test("has the versions that Sluice is tested with", () => {
    const tested = { ...own.dependencies, ...own.devDependencies };
    for (const [name, version] of Object.entries({ ...template.dependencies, ...template.devDependencies }))
      assert.equal(version, tested[name], name);
    assert.deepEqual([template.engines, template.allowScripts], [own.engines, own.allowScripts]);
  });

  test("checks types as this repository does", () => {
    const [a, b] = ["tsconfig.json", "template/tsconfig.json"].map((file) =>
      optionsSchema.parse(JSON.parse(textOf(file))),
    );
    assert.deepEqual(b?.compilerOptions, a?.compilerOptions);
  });

  test("has environments that can be read", () => {
    const environments = parseEnvironments(
      JSON.parse(textOf("template/environments.json")),
      "template/environments.json",
    );
    assert.equal(environments.find("prod").project, "your-project-id");
    assert.equal(environments.find("pr-42").datasetSuffix, "_pr_42");
  });

  test("has the manifest that a first compile would write, and a workflow that looks whether it is still the one", async () => {
    const file = "template/manifest.json";
    const environments = parseEnvironments(JSON.parse(textOf("template/environments.json")), "infra/environments.json");
    const definitions = definitionsOf({ "gitcoin.ts": { ...gitcoin } });
    const others = environments.named;
    const { manifest, problems } = compile({
      definitions,
      environment: environments.find("prod"),
      firestore: FIRESTORE,
      others,
    });
    assert.deepEqual(problems, []);
    if (process.env["GOLDEN"] === "write") writeFileSync(join(ROOT, file), manifestText(manifest));
    const remedy = `${file} is out of date: run GOLDEN=write node --test test/cli/init.test.ts, and review it`;
    assert.ok(readFileSync(join(ROOT, file), "utf8") === manifestText(manifest), remedy);
    const { jobs } = workflow.parse(parse(textOf("template/deploy.yml")));
    assert.ok(jobs["test"]?.steps.some(({ run }) => run === "npx sluice compile --check"));
  });

  const step = z.looseObject({ uses: z.string().optional(), run: z.string().optional() });
  const job = z.looseObject({ steps: z.array(step), permissions: versions.optional(), if: z.string().optional() });
  const workflow = z.looseObject({ permissions: versions, jobs: z.record(z.string(), job) });

  test("has a workflow that may do no more than it must", () => {
    const { permissions, jobs } = workflow.parse(parse(textOf("template/deploy.yml")));
    assert.deepEqual(permissions, { contents: "read" });
    assert.deepEqual(
      Object.entries(jobs).map(([name, { permissions: own }]) => [name, own]),
      [
        ["test", undefined],
        ["plan", { contents: "read", "id-token": "write", "pull-requests": "write" }],
        ["deploy", { contents: "read", "id-token": "write" }],
      ],
    );
    assert.match(jobs["plan"]?.if ?? "", /pull_request.*head\.repo\.full_name == github\.repository/);
    assert.equal(jobs["deploy"]?.if, "github.event_name == 'push'");
    const steps = Object.values(jobs).flatMap((one) => one.steps);
    for (const { uses } of steps) if (uses !== undefined) assert.match(uses, /^[\w-]+\/[\w-]+@v\d+$/);
    // What a pull request says of itself is never part of a script.
    for (const { run } of steps) assert.doesNotMatch(run ?? "", /\$\{\{/);
    const commands = steps.flatMap(({ run }) => run ?? []).join("\n");
    assert.match(commands, /npx sluice deploy --env prod --dry-run/);
    assert.match(commands, /^\.\/deploy\.sh --env prod --yes --wait$/m);
  });
});

test("what an older Node loads to start a project has nothing that it lacks", () => {
  const TOO_NEW = ["node:sqlite", "node:module"];
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { specifier = "", kind } of importsOf(textOf(file))) {
      if (kind !== "static") continue;
      assert.ok(!TOO_NEW.includes(specifier), `${file} imports ${specifier}: load it where it is used`);
      if (specifier.startsWith(".")) visit(posix.join(posix.dirname(file), specifier));
    }
  };
  visit("lib/cli/first-start.ts");
  assert.ok(seen.has("lib/cli/commands/init.ts") && existsSync(join(ROOT, "lib/cli/first-start.ts")));
  assert.deepEqual(
    importsOf(textOf("lib/cli/main.ts"))
      .filter(({ kind }) => kind === "static")
      .map(({ specifier }) => specifier),
    ["node:process"],
  );
});
