/** The tree itself is tested: who imports whom, what a file may hold, and where it lies. Each message says what to do. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { habitViolations } from "./support/habits.ts";
import { importViolations, roomOf, type Violation } from "./support/house.ts";
import { importsOf } from "./support/imports.ts";
import { tokensOf } from "./support/tokens.ts";
import { filesBelow, ROOT, textOf } from "./support/tree.ts";

const MAX_LINES = 400;
/** Files of lib/ that may be longer than MAX_LINES, each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {};
/** Folders of test/ that mirror no source folder, each with its reason. */
const OTHER_TESTS: Readonly<Record<string, string>> = {
  ".": "tests of the tree itself",
  e2e: "tests of the whole, through the front door",
  simulation: "the runtime in a world that does its worst, by seeds",
  support: "what the tests share, with its own tests",
};
const KEBAB_PATH = /^(?:_?[a-z0-9]+(?:-[a-z0-9]+)*\/)*_?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)+$/;

const manifest: unknown = JSON.parse(textOf("package.json"));
assert.ok(manifest !== null && typeof manifest === "object" && "dependencies" in manifest);
const dependencies = Object.keys(manifest.dependencies ?? {});

const sources = ["lib", "infra", "functions"].flatMap(filesBelow).filter((file) => file.endsWith(".ts"));

function assertNone(violations: readonly Violation[]): void {
  const lines = violations.map(({ file, line, rule, remedy }) => `${file}:${line}: ${rule}. ${remedy}`);
  assert.ok(lines.length === 0, `\n${lines.join("\n")}\n`);
}

describe("the tree", () => {
  test("has sources to check", () => {
    assert.ok(sources.some((file) => file.startsWith("lib/core/")));
    assert.ok(sources.some((file) => file.startsWith("lib/ports/")));
  });

  test("imports only what the import table allows", () => {
    assertNone(sources.flatMap((file) => importViolations(file, textOf(file), dependencies)));
  });

  test("keeps the habits that a machine can see", () => {
    assertNone(sources.flatMap((file) => habitViolations(file, textOf(file))));
  });

  test("has kebab-case names", () => {
    const files = ["lib", "infra", "functions", "test", "bench"].flatMap(filesBelow);
    const remedy = "Write it in small letters with `-` between the words.";
    assertNone(
      files
        .filter((file) => !KEBAB_PATH.test(file) && !file.endsWith("/README.md"))
        .map((file) => ({ file, line: 1, rule: "the name is not kebab-case", remedy })),
    );
  });

  test(`has no file of more than ${MAX_LINES} lines in lib/`, () => {
    const remedy = "Split it: a file is one idea. If it truly is one, declare it in LONG_FILES with the reason.";
    const long = filesBelow("lib").filter((file) => linesOf(file) > MAX_LINES);
    assertNone(
      long
        .filter((file) => LONG_FILES[file] === undefined)
        .map((file) => ({ file, line: MAX_LINES + 1, rule: `${linesOf(file)} lines`, remedy })),
    );
    assert.deepEqual(
      Object.keys(LONG_FILES).filter((file) => !long.includes(file)),
      [],
      "declared in LONG_FILES, but not long",
    );
  });

  test("has tests where their sources are", () => {
    const remedy =
      "Move it to test/<folder of what it tests> (without `lib/`), or to test/e2e when it tests the whole.";
    const misplaced = filesBelow("test").filter((file) => file.endsWith(".test.ts") && !mirrorsSource(file));
    assertNone(misplaced.map((file) => ({ file, line: 1, rule: "it mirrors no source folder", remedy })));
  });

  test("leads from its own name to the authors' API", () => {
    assert.equal(import.meta.resolve("sluice"), new URL("../lib/index.ts", import.meta.url).href);
  });
});

function linesOf(file: string): number {
  return textOf(file).split("\n").length - 1;
}

function mirrorsSource(file: string): boolean {
  const folder = dirname(file).replace(/^test\/?/, "") || ".";
  const [first = "."] = folder.split("/");
  return first in OTHER_TESTS || ["lib", "."].some((base) => existsSync(join(ROOT, base, folder)));
}

/** A checker that lets everything pass would be green for ever: each rule is shown a source that breaks it. */
describe("the checker", () => {
  const imports = (file: string, source: string): string[] =>
    importViolations(file, source, [
      "zod",
      "luxon",
      "hono",
      "@duckdb/node-api",
      "@noble/hashes",
      "@google-cloud/storage",
    ]).map(({ line, rule }) => `${line}: ${rule}`);

  for (const [file, source, expected] of [
    ["lib/core/a.ts", 'import fs from "node:fs";', '1: lib/core may not import "node:fs"'],
    ["lib/core/a.ts", '\nimport { x } from "../ports/clock.ts";', "2: lib/core may not import lib/ports"],
    ["lib/core/a.ts", 'import type { x } from "../ports/clock.ts";', "1: lib/core may not import lib/ports"],
    ["lib/core/a.ts", 'let x: import("../runtime/a.ts").T;', "1: lib/core may not import lib/runtime"],
    ["lib/core/a.ts", 'export * from "../cli/a.ts";', "1: lib/core may not import lib/cli"],
    ["lib/core/a.ts", 'export type { T } from "../cli/a.ts";', "1: lib/core may not import lib/cli"],
    ["lib/core/a.ts", 'import "hono";', '1: lib/core may not import the package "hono"'],
    ["lib/core/a.ts", "await import(`node:fs`);", '1: lib/core may not import "node:fs"'],
    ["lib/core/a.ts", "await import(name);", "1: lib/core may not import a computed path"],
    [
      "lib/core/a.ts",
      'import { x } from "../../test/support/tree.ts";',
      '1: lib/core may not import "../../test/support/tree.ts", which is outside of the house',
    ],
    ["lib/core/a.ts", 'import { x } from "sluice";', "1: lib/core may not import Sluice by its own name"],
    ["lib/core/a.ts", 'import { R } from "re2js";', '1: "re2js" is not among the dependencies of package.json'],
    [
      "lib/ports/a.ts",
      'import { x } from "../core/a.ts";',
      '1: lib/ports may only `import type`, not load "../core/a.ts"',
    ],
    [
      "lib/ports/a.ts",
      'import { type X } from "../core/a.ts";',
      '1: lib/ports may only `import type`, not load "../core/a.ts"',
    ],
    ["lib/ports/a.ts", 'import type { z } from "zod";', '1: lib/ports may not import the package "zod"'],
    ["lib/runtime/a.ts", 'import { x } from "../local/a.ts";', "1: lib/runtime may not import lib/local"],
    ["lib/runtime/a.ts", 'import { x } from "../factories/a.ts";', "1: lib/runtime may not import lib/factories"],
    ["lib/runtime/a.ts", 'import { x } from "luxon";', '1: lib/runtime may not import the package "luxon"'],
    ["lib/factories/a.ts", 'import { x } from "node:crypto";', '1: lib/factories may not import "node:crypto"'],
    ["lib/factories/a.ts", 'import { x } from "../runtime/a.ts";', "1: lib/factories may not import lib/runtime"],
    ["lib/local/a.ts", 'import { x } from "../gcp/a.ts";', "1: lib/local may not import lib/gcp"],
    [
      "lib/local/a.ts",
      'import { x } from "@google-cloud/storage";',
      '1: lib/local may not import the package "@google-cloud/storage"',
    ],
    ["lib/gcp/a.ts", 'import { x } from "../local/a.ts";', "1: lib/gcp may not import lib/local"],
    ["lib/console/a.ts", 'import { x } from "../local/a.ts";', "1: lib/console may not import lib/local"],
    [
      "lib/cli/a.ts",
      'import { x } from "../gcp/a.ts";',
      '1: lib/cli may load lib/gcp only by `await import("../gcp/a.ts")`',
    ],
    [
      "lib/cli/a.ts",
      'import { x } from "@google-cloud/storage";',
      "1: lib/cli may load @google-cloud/storage only by `await import(…)`",
    ],
    ["lib/index.ts", 'export { x } from "./runtime/a.ts";', "1: lib/index.ts may not import lib/runtime"],
    ["lib/index.ts", 'export { x } from "./local/a.ts";', "1: lib/index.ts may not import lib/local"],
    ["infra/compile.ts", 'import fs from "node:fs";', '1: infra/compile may not import "node:fs"'],
    ["infra/plan.ts", 'import { x } from "./gcloud.ts";', "1: infra/plan may not import infra"],
    ["infra/deploy.ts", 'import { x } from "node:child_process";', "1: only infra/gcloud.ts may start other programs"],
    ["infra/deploy.ts", 'import { x } from "../lib/local/a.ts";', "1: infra may not import lib/local"],
    ["functions/a.ts", 'import { x } from "../lib/index.ts";', "1: functions may not import lib/index.ts"],
    ["functions/a.ts", 'import fs from "node:fs";', '1: functions may not import "node:fs"'],
    ["lib/elsewhere/a.ts", "", "1: the file is in no room of the house"],
  ] as const) {
    test(`refuses ${JSON.stringify(source)} in ${file}`, () => {
      assert.deepEqual(imports(file, source), [expected]);
    });
  }

  for (const [file, source] of [
    [
      "lib/core/a.ts",
      'import { z } from "zod";\nimport { sha256 } from "@noble/hashes/sha2.js";\nimport { x } from "./b.ts";',
    ],
    ["lib/core/a.ts", '// import "hono"\nconst a = "import \'hono\'"; /* import "hono" */ const b = /import "hono"/;'],
    ["lib/core/a.ts", 'const a = `import "hono" ${b(`${c}` + { d: 1 }.d)} import "node:fs"`;'],
    ["lib/ports/a.ts", 'import type { x } from "../core/a.ts";\nexport type { y } from "../core/b.ts";'],
    [
      "lib/cli/a.ts",
      'import type { x } from "../gcp/a.ts";\nconst { y } = await import("../gcp/a.ts");\nawait import(path);',
    ],
    [
      "lib/index.ts",
      'export * from "./core/a.ts";\nexport { f } from "./factories/a.ts";\nexport { t } from "./testing/a.ts";',
    ],
    ["infra/plan.ts", 'import { x } from "./names.ts";\nimport { y } from "../lib/core/a.ts";'],
    ["infra/gcloud.ts", 'import { spawn } from "node:child_process";\nimport { x } from "./plan.ts";'],
    ["functions/a.ts", 'import { asset } from "sluice";\nimport { z } from "zod";\nimport { b } from "./_b.ts";'],
  ] as const) {
    test(`allows ${JSON.stringify(source)} in ${file}`, () => {
      assert.deepEqual(imports(file, source), []);
    });
  }

  for (const [source, expected] of [
    ["export default 1;", ["no default exports"]],
    ["const a = 1; export { a as default };", ["no default exports"]],
    ["class A {}", ["no classes except errors"]],
    ["const a = class extends B {};", ["no classes except errors"]],
    ["class A extends Error {} class B extends PermanentError<X> {}", []],
    ["export enum A { B }", ["no enums"]],
    ["namespace A { }", ["no namespaces"]],
    ["class E extends Error { constructor(a: string, readonly b: string) { super(a); } }", ["no parameter properties"]],
    ["export let a = 1;", ["no mutable state of a module"]],
    ["function f() { let a = 1; const b = new Map(); const c = []; }", []],
    ["const registry = new Map<string, number>();", ["no mutable state of a module"]],
    ["const seen = new WeakSet();", ["no mutable state of a module"]],
    ["export const list: string[] = [];", ["no mutable state of a module"]],
    ["const cache: Record<string, string> = {};", ["no mutable state of a module"]],
    [
      "const a: ReadonlyMap<string, number> = new Map(); const b = [1] as const; const c: readonly string[] = ['a'];",
      [],
    ],
    ["const [a, b] = f(); const c = [1].length; const d = { e: [] };", []],
    ["const t = Date.now();", ["no hidden clock, chance or outside world: Date.now()"]],
    ["const t = new Date();", ["no hidden clock, chance or outside world: new Date()"]],
    ["const r = Math.random();", ["no hidden clock, chance or outside world: Math.random()"]],
    ["const t = DateTime.utc();", ["no hidden clock, chance or outside world: DateTime.utc()"]],
    ["const e = process.env;", ["no hidden clock, chance or outside world: process"]],
    ["setTimeout(f, 1);", ["no hidden clock, chance or outside world: setTimeout"]],
    ["const p = await fetch(u);", ["no hidden clock, chance or outside world: fetch()"]],
    ["const t = new Date(ms); const u = DateTime.utc(2024); a.process(x); const o = { process: 1 };", []],
    ["// export default\nconst a = 'class A {}' + `enum ${b} { let c }`;", []],
  ] as const) {
    test(`finds ${expected.length === 0 ? "nothing" : expected.join(", ")} in ${JSON.stringify(source)}`, () => {
      assert.deepEqual(
        habitViolations("lib/core/a.ts", source).map(({ rule }) => rule),
        expected,
      );
    });
  }

  test("lets the roots of composition have a clock", () => {
    assert.deepEqual(habitViolations("lib/local/clock.ts", "export const now = () => Date.now();"), []);
  });

  test("sees every form of an import, with its line", () => {
    const source = [
      'import a, { type b } from "1";',
      'import type c from "2";',
      'import * as d from "3";',
      'import "4";',
      'export { e } from "5";',
      'export type * from "6";',
      "export { f };",
      'const g = await import("7");',
      'import h = require("8");',
      'import i from "9" with { type: "json" };',
      'x.import("no"); const from = "no"; import.meta.url;',
      "export const j = { from: `no` };",
      "import {",
      "  k,",
      '} from "10";',
    ].join("\n");
    assert.deepEqual(
      importsOf(source).map(({ specifier, kind, line }) => [specifier, kind, line]),
      [
        ["1", "static", 1],
        ["2", "type", 2],
        ["3", "static", 3],
        ["4", "static", 4],
        ["5", "static", 5],
        ["6", "type", 6],
        ["7", "dynamic", 8],
        ["8", "static", 9],
        ["9", "static", 10],
        ["10", "static", 13],
      ],
    );
  });

  test("tells a division from a regular expression", () => {
    const kinds = tokensOf("a = b / c / d; e = /[/\"'`]/g; f(/'/); return /`/;").filter(({ kind }) => kind === "regex");
    assert.deepEqual(
      kinds.map(({ text }) => text),
      ["/[/\"'`]/g", "/'/", "/`/"],
    );
  });

  test("refuses a source that it cannot read, instead of finding nothing in it", () => {
    for (const source of ["const a = `b", 'const a = "b', "f(", "}"]) assert.throws(() => tokensOf(source), /line 1/);
  });

  test("knows the room of every kind of file", () => {
    assert.deepEqual(
      ["lib/core/x/y.ts", "lib/index.ts", "infra/plan.ts", "infra/plan/diff.ts", "infra/planner.ts", "lib/main.ts"].map(
        roomOf,
      ),
      ["lib/core", "lib/index.ts", "infra/plan", "infra/plan", "infra", undefined],
    );
  });
});
