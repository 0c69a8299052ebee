import assert from "node:assert/strict";
import { rmSync, symlinkSync } from "node:fs";
import { after, describe, test } from "node:test";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { messageOf } from "../../lib/core/errors.ts";
import { temporaryProject } from "../support/sluice-command.ts";

describe("the loader of functions/", () => {
  const project = temporaryProject({
    "_names.ts": 'export const name = "a/first";',
    "deep/one.ts":
      'import { asset } from "sluice"; import { name } from "../_names.ts"; export const one = asset({ key: name, async materialize() {} });',
    "one.test.ts": 'throw new Error("a test is no definition");',
    "types.d.ts": "export type X = 1;",
  });
  const link = `${project.root}-link`;
  symlinkSync(project.root, link);
  after(async () => {
    rmSync(link);
    await project.remove();
  });

  for (const [where, root] of [
    ["in its place", project.root],
    ["behind a link", link],
  ] as const) {
    test(`loads what is there, ${where}, and again what has changed in a shared file`, async () => {
      const { load } = functionsLoader(root);
      project.write("functions/_names.ts", 'export const name = "a/first";');
      const first = await load();
      assert.deepEqual(first.problems, []);
      assert.deepEqual([...first.definitions.assets.keys()], ["a/first"]);
      assert.equal(first.definitions.places.get("asset a/first"), "functions/deep/one.ts one");

      project.write("functions/_names.ts", 'export const name = "a/second";');
      assert.deepEqual([...(await load()).definitions.assets.keys()], ["a/second"]);
      assert.deepEqual([...first.definitions.assets.keys()], ["a/first"], "what was loaded before stays as it was");
    });
  }

  test("a module that fails hides nothing about the others, and is well again once it is mended", async () => {
    const { load } = functionsLoader(project.root);
    project.write("functions/bad.ts", 'throw new Error("nothing works\\n today");');
    project.write("functions/worse.ts", "export const = 1;");
    const { definitions, problems } = await load();
    assert.equal(definitions.assets.size, 1);
    assert.equal(problems.length, 2);
    assert.equal(problems.map(messageOf)[0], "functions/bad.ts: nothing works today");
    assert.match(problems.map(messageOf)[1] ?? "", /^functions\/worse\.ts: /);
    for (const file of ["bad", "worse"]) project.write(`functions/${file}.ts`, "export {};");
    assert.deepEqual((await load()).problems, []);
  });

  test("a project without functions/ has no definitions", async () => {
    const { definitions, problems } = await functionsLoader(`${project.root}/node_modules`).load();
    assert.deepEqual([definitions.assets.size, problems.length], [0, 0]);
  });
});
