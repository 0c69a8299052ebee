import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { faultText, readConfig } from "../../lib/core/read-config.ts";

const schema = z.object({
  archive: z.url().default("https://example.org/a.tgz"),
  limit: z.int().min(1).max(100).optional(),
  mode: z.enum(["fast", "slow"]).default("slow"),
  nested: z.object({ deep: z.object({ on: z.boolean() }).optional() }).optional(),
  list: z.array(z.object({ name: z.string() })).optional(),
  by: z.record(z.string(), z.object({ n: z.number() })).optional(),
});

describe("a config is read strictly", () => {
  for (const [value, expected] of [
    [{ arhive: "https://example.org/b.tgz" }, 'arhive: unknown field "arhive" (did you mean "archive"?)'],
    [{ nested: { deep: { on: true, off: false } } }, 'nested.deep.off: unknown field "off" (did you mean "on"?)'],
    [{ nested: { deeep: {} } }, 'nested.deeep: unknown field "deeep" (did you mean "deep"?)'],
    [{ list: [{ name: "a" }, { name: "b", nam: "c" }] }, 'list[1].nam: unknown field "nam" (did you mean "name"?)'],
    [{ list: [{ nmae: "b" }] }, 'list[0].nmae: unknown field "nmae" (did you mean "name"?)'],
    [{ by: { x: { n: 1, m: 2 } } }, 'by.x.m: unknown field "m" (known: "n")'],
    [{ limit: "5" }, 'limit: expected number, got "5"'],
    [{ limit: 1.5 }, "limit: expected whole number, got 1.5"],
    [{ limit: 0 }, "limit: expected number ≥ 1, got 0"],
    [{ limit: 101 }, "limit: expected number ≤ 100, got 101"],
    [{ mode: "fsat" }, 'mode: expected one of "fast", "slow", got "fsat" (did you mean "fast"?)'],
    [{ archive: "no" }, 'archive: Invalid URL, got "no"'],
    [{ by: { x: {} } }, "by.x.n: expected number, but there is none"],
    [
      { limt: 1, mode: 5, nested: [] },
      'limt: unknown field "limt" (did you mean "limit"?); mode: expected one of "fast", "slow", got 5; nested: expected object, got a list',
    ],
    ["text", 'expected object, got "text"'],
  ] as const) {
    test(expected, () => {
      const { faults } = readConfig(schema, value);
      assert.equal(faultText(faults ?? []), expected);
    });
  }

  test("what fits is as the schema reads it", () => {
    assert.deepEqual(readConfig(schema, { limit: 5, by: { x: { n: 1 } } }), {
      data: { archive: "https://example.org/a.tgz", mode: "slow", limit: 5, by: { x: { n: 1 } } },
    });
  });

  test("a schema that takes more says so itself, and zod's own strictness is told once", () => {
    assert.deepEqual(readConfig(z.looseObject({ a: z.string() }), { a: "x", b: 1 }).data, { a: "x", b: 1 });
    assert.deepEqual(readConfig(z.object({}).catchall(z.number()), { b: 1 }).data, { b: 1 });
    assert.equal(
      faultText(readConfig(z.strictObject({ a: z.string() }), { a: "x", aa: 1 }).faults ?? []),
      'aa: unknown field "aa" (did you mean "a"?)',
    );
    assert.equal(
      readConfig(z.object({ to: z.string() }), { too: "x" }).faults?.length,
      1,
      "what was meant is not missing",
    );
  });

  test("which part of a union is meant, only zod knows", () => {
    const either = z.object({
      when: z.union([z.strictObject({ day: z.string() }), z.strictObject({ hour: z.int() })]),
    });
    assert.deepEqual(readConfig(either, { when: { day: "x" } }).data, { when: { day: "x" } });
    assert.equal(faultText(readConfig(either, { when: { dya: "x" } }).faults ?? []), "when: Invalid input");
  });
});
