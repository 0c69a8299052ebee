/** The code in docs/ is code that tests run: each block names its file, and stands in one of these. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { filesBelow, textOf } from "./support/tree.ts";

/** Where the code of a block is, by the name in its first line. */
const SOURCES: Readonly<Record<string, string>> = {
  "functions/day-summary.ts": "test/e2e/sql-asset.test.ts",
  "functions/forum.ts": "test/support/forum.ts",
  "functions/gitcoin.ts": "functions/gitcoin.ts",
  "functions/growth.ts": "test/support/shop.ts",
  "functions/morning.ts": "test/support/shop.ts",
  "functions/orders.ts": "test/support/shop.ts",
  "functions/passing.ts": "test/e2e/sql-asset.test.ts",
  "functions/posts.ts": "test/support/posts.ts",
  "functions/report-asked.ts": "test/support/shop.ts",
  "functions/reports.ts": "test/support/shop.ts",
  "functions/revenue.ts": "test/support/shop.ts",
  "functions/_copied-table.ts": "test/support/copied-tables.ts",
  "functions/crm-copies.ts": "test/support/copied-tables.ts",
  "functions/_json-lines.ts": "test/support/json-lines.ts",
  "functions/profiles.ts": "test/support/profiles.ts",
  "test/profiles.test.ts": "test/testing/materialize-in-memory.test.ts",
  "functions/rates.ts": "test/support/rates.ts",
  "functions/visits.ts": "test/support/visits.ts",
  "test/visits.test.ts": "test/testing/run-in-memory.test.ts",
  "functions/crm.ts": "test/e2e/external.test.ts",
  "functions/policies.ts": "test/support/policies.ts",
  "functions/releases.ts": "test/e2e/observable.test.ts",
  "functions/renamed.ts": "test/e2e/previous-keys.test.ts",
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

test("every block of code in docs/ is short", () => {
  const long = blocks
    .filter(({ code }) => code.trim().split("\n").length >= 20)
    .map(({ file, name }) => `${file} ${name}`);
  assert.deepEqual(long, []);
});

test("every function of the authors' API tells its contract", () => {
  const index = textOf("lib/index.ts");
  const exported = [...index.matchAll(/^export \{([^}]*)\} from "\.\/([^"]*)"/gm)].flatMap(
    ([, names = "", file = ""]) =>
      names
        .split(",")
        .map((name) => ({ name: name.trim(), file }))
        .filter(({ name }) => name !== ""),
  );
  assert.ok(exported.length > 30);
  const silent = exported.filter(({ name, file }) => {
    const text = textOf(`lib/${file}`);
    const at = text.search(new RegExp(`^export (?:async )?(?:function|const|class) ${name}\\b`, "m"));
    // What a file only passes on is told where it is written.
    return at >= 0 && !text.slice(0, at).trimEnd().endsWith("*/");
  });
  assert.deepEqual(silent, []);
});

test("each promise has its limit, its mechanism, and tests that are there under the names it gives", () => {
  const [, table = ""] = /\| promise [^\n]*\n\|[-| ]+\n([^]*?)\n\n/.exec(textOf("docs/reliability.md")) ?? [];
  const promises = table.split("\n").map((line) => line.split("|").slice(1, -1));
  assert.ok(promises.length > 20);
  const files = filesBelow("test");
  for (const cells of promises) {
    const promise = cells[0]?.trim();
    assert.deepEqual([cells.length, cells.every((cell) => cell.trim() !== "")], [4, true], promise);
    const names = [...(cells[3] ?? "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
    const own = files.filter((file) => names.some((name) => file === name || file.startsWith(`${name}/`)));
    assert.ok(own.length > 0, `${promise} names no test`);
    for (const name of names) {
      // Otherwise it is what the test, a guard, a fault or a project is called.
      const called = name.replace(/ ?…$|: .*$/, "");
      const found = name.startsWith("test/")
        ? own.some((file) => file.startsWith(name))
        : own.some((file) => textOf(file).includes(called));
      assert.ok(found, `${promise}: there is no ${name}`);
    }
  }
});
