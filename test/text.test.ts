/** The repository's texts: nothing unfinished, nothing of one machine, and a lock file that serves every platform. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import { textViolations } from "./support/text.ts";
import { filesBelow, ROOT, textOf } from "./support/tree.ts";

const SOURCES = /^(?:lib|infra|functions|test|bench)\//;
const exactVersion = z.string().regex(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/, "not an exact version");
const Manifest = z.object({
  dependencies: z.record(z.string(), exactVersion),
  devDependencies: z.record(z.string(), exactVersion),
});
const dependencyNames = z.record(z.string(), z.string()).default({});
const Lock = z.object({
  packages: z.record(z.string(), z.object({ dependencies: dependencyNames, optionalDependencies: dependencyNames })),
});

describe("the repository's texts", () => {
  test("leave nothing for later, name no machine and no registry, and have no `any`", () => {
    const texts = filesBelow(".").filter((file) => !readFileSync(join(ROOT, file)).includes(0));
    assert.ok(texts.includes("package.json"));
    const found = texts.flatMap((file) => textViolations(file, textOf(file)));
    assert.ok(
      found.length === 0,
      `\n${found.map(({ file, line, rule, remedy }) => `${file}:${line}: ${rule}. ${remedy}`).join("\n")}\n`,
    );
  });

  test("have no stray files among the sources", () => {
    // Python for what asks gcloud's own code.
    const allowed = /\.(?:ts|json|sql|html|css|svg|md|txt|parquet|csv|ndjson)$|^test\/support\/.*\.py$/;
    assert.deepEqual(
      filesBelow(".").filter((file) => SOURCES.test(file) && !allowed.test(file)),
      [],
    );
  });

  test("pin every package to an exact version", () => {
    Manifest.parse(JSON.parse(textOf("package.json")));
  });

  test("lock the packages of every platform", () => {
    const { packages } = Lock.parse(JSON.parse(textOf("package-lock.json")));
    const locked = new Set(
      Object.keys(packages).map((path) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)),
    );
    const missing = Object.values(packages)
      .flatMap((entry) => Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }))
      .filter((name) => !locked.has(name));
    const remedy =
      "`npm ci` fails elsewhere. Take versions whose packages exist for all platforms, and lock them afresh";
    assert.deepEqual(missing, [], remedy);
  });
});

describe("the checker of texts", () => {
  for (const [file, text, expected] of [
    ["a.md", "x\n// TO" + "DO: later", "2: a note to do something later"],
    ["a.sh", "# FIX" + "ME", "1: a note to do something later"],
    ["a.ts", "const a = '/wo" + "rk/main';", "1: a path of one machine"],
    ["a.md", "see `/ho" + "me/someone`", "1: a path of one machine"],
    ["a.md", "https://registry.npm" + "js.org/zod", "1: the host of a package registry"],
    [".npmrc", "registry" + "=https://example.org", "1: the host of a package registry"],
    ["package-lock.json", '  "resolved": "https://example.org/a.tgz",', "1: the host of a package registry"],
    ["a.ts", "\nfunction f(x: any): void {}", "2: the type `any`"],
    ["a.ts", "const x = y as any;", "1: the type `any`"],
    ["a.ts", "const x: Array<any> = [];", "1: the type `any`"],
  ] as const) {
    test(`finds ${expected} in ${JSON.stringify(text)}`, () => {
      assert.deepEqual(
        textViolations(file, text).map(({ line, rule }) => `${line}: ${rule}`),
        [expected],
      );
    });
  }

  test("leaves ordinary text alone", () => {
    const text = "z.any(); // any word, https://x.org/home, lib/work, 'any', /workflows, $HOME/work, to do";
    assert.deepEqual(textViolations("a.ts", text), []);
  });
});
