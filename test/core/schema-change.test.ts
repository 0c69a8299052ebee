import { describe, test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { compareSchemas } from "../../lib/core/schema-change.ts";
import type { Column, ColumnType } from "../../lib/core/table.ts";

const MODES = { "!": "REQUIRED", "*": "REPEATED" } as const;
/** `id:INT64!` is required, `tags:STRING*` repeated, and `s:STRUCT{a:STRING;b:DATE}` has fields. */
function columns(text: string, separator = " "): Column[] {
  if (text === "") return [];
  return text.split(separator).map((part) => {
    const [, name = "", type = "", fields, sign = ""] = /^(.+?):([A-Z0-9]+)(?:\{(.*)\})?([!*]?)$/.exec(part) ?? [];
    return {
      name,
      // The texts of this file name column types only.
      type: type as ColumnType,
      mode: sign === "!" || sign === "*" ? MODES[sign] : "NULLABLE",
      ...(fields === undefined ? {} : { fields: columns(fields, ";") }),
    };
  });
}

const BASE = "id:INT64! name:STRING tags:STRING* s:STRUCT{a:STRING;b:DATE}";
const both = ["extend", "fail"] as const;

describe("the same in both modes", () => {
  for (const incoming of [
    BASE,
    "S:STRUCT{B:DATE;A:STRING} TAGS:STRING* Name:STRING ID:INT64!",
    "id:INT64! name:STRING! tags:STRING* s:STRUCT{a:STRING!;b:DATE}!",
  ]) {
    for (const mode of both) {
      test(`${incoming} (${mode})`, () =>
        assert.deepEqual(compareSchemas(columns(BASE), columns(incoming), mode), { kind: "same" }));
    }
  }
});

describe("refused in both modes", () => {
  const table: [string, RegExp][] = [
    ["id:STRING! name:STRING tags:STRING* s:STRUCT{a:STRING;b:DATE}", /^the column id changes from INT64 to STRING$/],
    ["id:INT64 name:STRING tags:STRING* s:STRUCT{a:STRING;b:DATE}", /id changes from REQUIRED INT64 to NULLABLE INT64/],
    [
      "id:INT64! name:STRING* tags:STRING* s:STRUCT{a:STRING;b:DATE}",
      /name changes from NULLABLE STRING to REPEATED STRING/,
    ],
    [
      "id:INT64! name:STRING tags:STRING s:STRUCT{a:STRING;b:DATE}",
      /tags changes from REPEATED STRING to NULLABLE STRING/,
    ],
    [
      "id:INT64! name:STRING tags:STRING! s:STRUCT{a:STRING;b:DATE}",
      /tags changes from REPEATED STRING to REQUIRED STRING/,
    ],
    ["id:INT64! name:STRING tags:STRING* s:STRING", /s changes from STRUCT to STRING/],
    ["id:INT64! name:STRING tags:STRING* s:STRUCT{a:INT64;b:DATE}", /s\.a changes from STRING to INT64/],
    ["id:INT64! name:STRING tags:STRING* s:STRUCT{a:STRING;b:DATE;c:DATE}", /s\.c is new \(the fields of a STRUCT/],
    ["id:INT64! name:STRING tags:STRING* s:STRUCT{a:STRING}", /s\.b is missing \(the fields of a STRUCT/],
    ["name:STRING tags:STRING* s:STRUCT{a:STRING;b:DATE}", /id is missing/],
    [`${BASE} NAME:STRING`, /the column NAME is there twice/],
    ["id:STRING! name:DATE tags:STRING* s:STRUCT{a:STRING;b:DATE}", /id changes .*; the column name changes/],
    ["", /id is missing/],
  ];
  for (const [incoming, message] of table) {
    for (const mode of both) {
      test(`${incoming} (${mode})`, () => {
        const change = compareSchemas(columns(BASE), columns(incoming), mode);
        assert.equal(change.kind, "refused");
        assert.match(change.kind === "refused" ? change.reason : "", message);
      });
    }
  }
});

test("new columns come in as nullable", () => {
  const incoming = columns(`${BASE} day:DATE! more:STRING* t:STRUCT{x:INT64!}`);
  const change = compareSchemas(columns(BASE), incoming, "extend");
  assert.deepEqual(change, { kind: "extend", add: columns("day:DATE more:STRING* t:STRUCT{x:INT64!}") });
  const failed = compareSchemas(columns(BASE), incoming, "fail");
  assert.match(failed.kind === "refused" ? failed.reason : "", /day is new .*extend.*more is new/);
});

test("missing columns are NULL with extend, and refused with fail", () => {
  const incoming = columns("id:INT64!");
  assert.deepEqual(compareSchemas(columns(BASE), incoming, "extend"), { kind: "same" });
  const failed = compareSchemas(columns(BASE), incoming, "fail");
  assert.match(failed.kind === "refused" ? failed.reason : "", /name is missing .*extend/);
});

const column = fc.record({
  name: fc.constantFrom("a", "B", "c", "D", "e"),
  type: fc.constantFrom<ColumnType>("INT64", "STRING", "DATE"),
  mode: fc.constantFrom<Column["mode"]>("NULLABLE", "REQUIRED", "REPEATED"),
});
const schema = fc.uniqueArray(column, { maxLength: 5, selector: ({ name }) => name });

test("once the table is extended, the same data fits, and so does the old", () => {
  fc.assert(
    fc.property(schema, schema, (current, incoming) => {
      const change = compareSchemas(current, incoming, "extend");
      if (change.kind !== "extend") return;
      const extended = [...current, ...change.add];
      assert.deepEqual(compareSchemas(extended, incoming, "extend"), { kind: "same" });
      assert.deepEqual(compareSchemas(extended, current, "extend"), { kind: "same" });
    }),
    { numRuns: 1000 },
  );
});

test("neither order nor letter case matters, and fail is never laxer than extend", () => {
  fc.assert(
    fc.property(schema, schema, fc.constantFrom(...both), (current, incoming, mode) => {
      const shouted = incoming.toReversed().map((one) => ({ ...one, name: one.name.toUpperCase() }));
      const change = compareSchemas(current, incoming, mode);
      assert.equal(compareSchemas(current.toReversed(), shouted, mode).kind, change.kind);
      if (mode === "fail" && change.kind === "same") {
        assert.equal(compareSchemas(current, incoming, "extend").kind, "same");
      }
      assert.ok(mode === "extend" || change.kind !== "extend");
    }),
    { numRuns: 500 },
  );
});
