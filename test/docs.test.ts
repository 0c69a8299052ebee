/** The code in docs/ is code that tests run: each block names its file, and stands in one of these. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { filesBelow, textOf } from "./support/tree.ts";

/** Where the code of a block is, by the name in its first line. */
const SOURCES: Readonly<Record<string, string>> = {
  "functions/passing.ts": "test/e2e/bigquery-run.test.ts",
  "functions/profiles.ts": "test/support/profiles.ts",
  "test/profiles.test.ts": "test/testing/materialize-in-memory.test.ts",
};

const blocks = filesBelow("docs")
  .filter((file) => file.endsWith(".md"))
  .flatMap((file) =>
    [...textOf(file).matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, text = ""]) => {
      const [first = "", ...rest] = text.split("\n");
      return { file, name: first.replace(/^\/\/ /, ""), code: rest.join("\n") };
    }),
  );

test("every block of code in docs/ is run by a test", () => {
  for (const { file, name, code } of blocks) {
    const source = SOURCES[name];
    assert.ok(source !== undefined, `${file}: begin the block with // and the name of its file in test/docs.test.ts`);
    // In a project, a sibling is beside it.
    const text = textOf(source).replaceAll("../../functions/", "./");
    assert.ok(code.length > 0 && text.includes(code), `${file}: the code of ${name} is not that of ${source}`);
  }
});

test("no source is named for nothing", () => {
  const names = blocks.map(({ name }) => name);
  assert.deepEqual(
    Object.keys(SOURCES).filter((name) => !names.includes(name)),
    [],
  );
});
