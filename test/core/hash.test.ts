import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { canonicalJson, hash, shortHash } from "../../lib/core/hash.ts";

describe("hash", () => {
  test("is the SHA-256 of the parts, each behind its length", () => {
    const letters = fc.constantFrom("a", " ", "é", "€", "😀", "\ud800", "z".repeat(100));
    const text = fc.array(letters).map((some) => some.join(""));
    fc.assert(
      fc.property(fc.array(text, { maxLength: 3 }), (parts) => {
        const whole = parts.map((part) => `${part.length}:${part}`).join("");
        assert.equal(hash(...parts), createHash("sha256").update(whole, "utf8").digest("hex"));
      }),
    );
  });

  test("is cut to the length that is asked for", () => {
    assert.equal(shortHash(["a", "b"]), hash("a", "b").slice(0, 16));
    assert.equal(shortHash(["a"], 3), hash("a").slice(0, 3));
  });
});

describe("canonicalJson", () => {
  test("is the same for equal values, whatever the order of their keys, and says all that JSON says", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
        assert.equal(canonicalJson(reversed(value)), text);
      }),
    );
  });

  test("sorts keys at every level", () => {
    assert.equal(canonicalJson({ b: [{ d: 1, c: null }], a: "x" }), '{"a":"x","b":[{"c":null,"d":1}]}');
  });

  test("leaves out what JSON has no word for, and asks a value what it says of itself", () => {
    assert.equal(canonicalJson({ b: undefined, a: new Date(0) }), '{"a":"1970-01-01T00:00:00.000Z"}');
  });

  test("a key that is called __proto__ counts as any other", () => {
    const value: unknown = JSON.parse('{"b":1,"__proto__":{"x":1},"a":2}');
    assert.equal(canonicalJson(value), '{"__proto__":{"x":1},"a":2,"b":1}');
    assert.notEqual(canonicalJson(value), canonicalJson({ a: 2, b: 1 }));
  });
});

/** The same value, its keys in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] => [name, reversed(inner)]);
  return Object.fromEntries(entries.reverse());
}
