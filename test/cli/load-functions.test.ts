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
    const { definitions, problems, broken } = await load();
    assert.equal(definitions.assets.size, 1);
    assert.deepEqual(problems, broken);
    assert.deepEqual(problems.map(messageOf), [
      "functions/bad.ts:1:7: nothing works today",
      "functions/worse.ts:1:14: Unexpected token `=`. Expected yield, an identifier, [ or {",
    ]);
    for (const file of ["bad", "worse"]) project.write(`functions/${file}.ts`, "export {};");
    assert.deepEqual((await load()).problems, []);
  });

  test("what is wrong in a module is told with its line and column, and the export that it is in", async (t) => {
    // Of its own: a loader has the modules of one before it under the same addresses.
    const placed = temporaryProject({
      "_names.ts": "export const name = 1;",
      "one.ts": 'import { asset } from "sluice"; export const one = asset({ key: "a/first", async materialize() {} });',
    });
    t.after(() => placed.remove());
    const { load } = functionsLoader(placed.root);
    const before = Error.stackTraceLimit;
    for (const [lines, expected] of [
      // The parser of types, the engine's own, and the linker.
      [["export const a = 1;", "export const b = [1, 2;"], /^functions\/place\.ts:2:23: Expected/],
      [
        ["const b = 1;", "const a = 2,", "  b = 3;"],
        /^functions\/place\.ts:3:3: Identifier 'b' has already been declared$/,
      ],
      [["export enum A { B }"], /^functions\/place\.ts:1:8: TypeScript enum is not supported/],
      [['import { none } from "./_names.ts";', "none();"], /^functions\/place\.ts:1:10: .* export named 'none'$/],
      [['import { none } from "./nowhere.ts";', "none();"], /^functions\/place\.ts: Cannot find module /],
      // In a file that it imports, in its own words and called from here.
      [['import "./_place_worse.ts";'], /^functions\/place\.ts \(functions\/_place_worse\.ts:2:14\): Unexpected token/],
      [
        ['import { fail } from "./_place_fail.ts";', "", "export const a = fail();"],
        /^functions\/place\.ts:3:18 a: failed$/,
      ],
      // What constructors refuse, with the key as soon as there is one.
      [
        ['import { onCron } from "sluice";', "export const nightly = {", '  when: onCron("0 99 * * *"),', "};"],
        /^functions\/place\.ts:3:9 nightly: the cron line "0 99 \* \* \*" cannot be read/,
      ],
      [
        [
          'import { asset } from "sluice";',
          'export const late = asset({ key: "a/late", freshness: { within: "6 hours" }, materialize: async () => {} });',
        ],
        /^functions\/place\.ts:2:21 late a\/late: "6 hours" is not a duration \(/,
      ],
      [
        [
          'import { asset } from "sluice";',
          'const key = "a/b";',
          "const made = [",
          "  asset({ key, owners: 1, tgas: {} }),",
          "];",
        ],
        /^functions\/place\.ts:4:3 a\/b\.tgas: unknown option "tgas" \(did you mean "tags"\?\)$/,
      ],
    ] as const) {
      placed.write("functions/_place_worse.ts", "export const a = 1;\nexport const = 3;");
      placed.write(
        "functions/_place_fail.ts",
        'export const fail = (): never => {\n  throw new TypeError("failed");\n};',
      );
      placed.write("functions/place.ts", lines.join("\n"));
      const { definitions, problems } = await load();
      assert.match(messageOf(problems[0]), expected);
      assert.equal(definitions.assets.size, 1, "the others are there");
    }
    const { problems } = await load();
    assert.deepEqual(
      problems.map(messageOf).slice(1),
      [
        "functions/place.ts:4:3 a/b.owners: expected a list of texts, got 1 (write […])",
        "functions/place.ts:4:3 a/b.materialize: expected a function, but there is none",
      ],
      "all that is wrong with one definition",
    );
    assert.equal(Error.stackTraceLimit, before);
  });

  test("a project without functions/ has no definitions", async () => {
    const { definitions, problems } = await functionsLoader(`${project.root}/node_modules`).load();
    assert.deepEqual([definitions.assets.size, problems.length], [0, 0]);
  });
});
