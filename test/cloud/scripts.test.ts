import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { asScript } from "../../infra/scripts.ts";
import { scriptsIn } from "../../lib/cloud/scripts.ts";
import type { Scripts } from "../../lib/cloud/scripts.ts";

async function folderOf(t: TestContext, modules: Readonly<Record<string, string>>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-scripts-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(modules))
    writeFileSync(join(folder, `${name}.cjs`), await asScript(text, { platform: "node", minifyWhitespace: true }));
  return folder;
}

/** What the script exports, as its module says it. */
function loaded<T>(scripts: Scripts, file: string): T {
  return scripts.load(file) as T;
}

test("modules that need each other, at once and later, are the same as scripts, and run once", async (t) => {
  const folder = await folderOf(t, {
    counter: `
      import { basename } from "node:path";
      export let count = 0;
      export const next = () => ++count;
      export const base = basename("a/b");`,
    reader: `
      import { count, next } from "./counter.mjs";
      next();
      export const seen = () => count;
      export const later = () => import("./counter.mjs");
      export const node = () => import("node:os");`,
  });
  interface Reader {
    seen(): number;
    later(): Promise<{ next(): number; readonly base: string }>;
    node(): Promise<{ readonly EOL: string }>;
  }
  const scripts = scriptsIn(folder);
  const reader = loaded<Reader>(scripts, "reader.cjs");
  assert.equal(reader.seen(), 1);
  const counter = await reader.later();
  assert.equal(counter.next(), 2);
  assert.equal(counter.base, "b");
  assert.equal(reader.seen(), 2, "what is exported stays bound to its name");
  assert.equal(loaded<Reader>(scripts, "reader.cjs"), reader);
  assert.equal((await reader.node()).EOL, "\n");
});

test("a script that failed runs again, and one that is not there is an error", async (t) => {
  const folder = await folderOf(t, {
    picky: `if (globalThis.sluiceTestReady !== true) throw new Error("not yet"); export const done = true;`,
  });
  t.after(() => Reflect.deleteProperty(globalThis, "sluiceTestReady"));
  const scripts = scriptsIn(folder);
  assert.throws(() => scripts.load("picky.cjs"), /not yet/);
  Reflect.set(globalThis, "sluiceTestReady", true);
  assert.equal(loaded<{ readonly done: boolean }>(scripts, "picky.cjs").done, true);
  assert.throws(() => scripts.load("absent.cjs"), { code: "ENOENT" });
});

test("what is compiled is kept beside every script that was loaded, and used by who loads it next", async (t) => {
  const folder = await folderOf(t, { one: "export const one = () => 1;", two: "export const two = () => 2;" });
  const first = scriptsIn(folder);
  first.load("one.cjs");
  first.keep();
  assert.deepEqual(
    ["one", "two"].map((name) => existsSync(join(folder, `${name}.cjs.compiled`))),
    [true, false],
  );
  assert.equal(loaded<{ one(): number }>(scriptsIn(folder), "one.cjs").one(), 1);
  writeFileSync(join(folder, "one.cjs.compiled"), "");
  assert.equal(loaded<{ one(): number }>(scriptsIn(folder), "one.cjs").one(), 1);
});

test("text beyond ASCII is what it was", async (t) => {
  const folder = await folderOf(t, { words: 'export const word = "Größe – 表 😀";' });
  assert.equal(loaded<{ readonly word: string }>(scriptsIn(folder), "words.cjs").word, "Größe – 表 😀");
});

test("what cannot be a script fails the build", async () => {
  await assert.rejects(asScript("export const here = import.meta.url;", {}), /cannot be a script/);
});
