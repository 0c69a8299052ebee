/** What an asset without an I/O manager may return. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset } from "../../lib/core/asset.ts";
import { materializeResult } from "../../lib/core/materialize-result.ts";
import { materializeInMemory } from "../../lib/testing/materialize-in-memory.ts";

for (const [what, rows] of [
  ["an array", [{ a: 1 }]],
  ["an empty array", []],
  ["a set", new Set([1])],
  ["a generator", (function* () {})()],
  ["an async generator", (async function* () {})()],
] as const)
  test(`${what} is rows that nobody would store: refused in one line, for ever`, () => {
    assert.throws(() => materializeResult("demo/x", rows), {
      name: "PermanentError",
      code: "bad-input",
      message: /^demo\/x: materialize returned rows, and it has no ioManager [^\n]*ioManager: bigqueryTable\(\)[^\n]*$/,
    });
  });

test("nothing, metadata and a version are no rows", () => {
  assert.deepEqual(materializeResult("demo/x", undefined), {});
  assert.deepEqual(materializeResult("demo/x", null), {});
  const result = { metadata: { pages: 3 }, dataVersion: "7" };
  assert.equal(materializeResult("demo/x", result), result);
});

test("an author's own test finds it as well", async () => {
  // The types refuse it; JavaScript does not.
  const rows = (async () => [{ a: 1 }]) as unknown as () => Promise<undefined>;
  const lost = asset({ key: "demo/lost", target: "none", materialize: rows });
  await assert.rejects(materializeInMemory(lost, {}), { code: "bad-input" });
});
