import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eachProperty, everyProperty } from "../../lib/core/unrolled.ts";

const names = fc.uniqueArray(fc.string({ unit: "binary" }), { maxLength: 80 });

test("goes through the properties in order, whatever their names and however many there are", () => {
  fc.assert(
    fc.property(names, (all) => {
      const row = Object.fromEntries(all.map((name, at) => [name, at]));
      const seen: unknown[] = [];
      eachProperty(all.map((name) => ({ name, put: (...given) => seen.push([name, ...given]) })))(row);
      assert.deepEqual(
        seen,
        all.map((name) => [name, row[name], 0, 0]),
      );
    }),
  );
});

test("asks until one says no", () => {
  fc.assert(
    fc.property(names, fc.nat(100), (all, last) => {
      const row = Object.fromEntries(all.map((name, at) => [name, at]));
      const asked: unknown[] = [];
      const tests = all.map((name) => ({ name, test: (value: unknown) => asked.push(value) <= last }));
      assert.equal(everyProperty(tests)(row), all.length <= last);
      assert.deepEqual(asked, all.map((name) => row[name]).slice(0, last + 1));
    }),
  );
});

test("a name is a name, and never code", () => {
  const hostile = ['"]); throw new Error("x"); (["', "\u2028", "${f0}", "\\", "constructor", "__proto__"];
  const row = Object.fromEntries(hostile.map((name) => [name, name]));
  const seen: unknown[] = [];
  eachProperty(hostile.map((name) => ({ name, put: (value) => seen.push(value) })))(row);
  assert.deepEqual(seen, hostile);
});
