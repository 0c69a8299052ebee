import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as own from "../../lib/core/hash.ts";
import * as quick from "./quick-hash.ts";

test("the quick hash gives what the rules' own gives", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom("", "\ud800", "a\udfffb", "é", "𝒳"),
  );
  fc.assert(
    fc.property(fc.array(text), fc.integer({ min: 1, max: 64 }), (parts, length) => {
      // The second time, it is known.
      for (let times = 0; times < 2; times++) assert.equal(quick.hash(...parts), own.hash(...parts));
      assert.equal(quick.shortHash(parts, length), own.shortHash(parts, length));
      assert.equal(quick.shortHash(parts), own.shortHash(parts));
    }),
  );
});

test("it has all that the rules' own file exports, and is loaded in its place", async () => {
  assert.deepEqual(
    Object.keys(own).filter((name) => !(name in quick)),
    [],
  );
  const end = quick.hashQuickly();
  try {
    const loaded = await import("../../lib/core/hash.ts");
    assert.equal(loaded.hash, quick.hash);
  } finally {
    end();
  }
});
