/** Cells as BigQuery sends them, and the plain values that they are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rowOf } from "../../lib/gcp/bigquery-values.ts";

function value(type: string, v: unknown, more: object = {}): unknown {
  return rowOf([{ name: "c", type, mode: "NULLABLE", ...more }], [{ v }])["c"];
}

test("scalars", () => {
  for (const [type, sent, expected] of [
    ["INTEGER", "9007199254740991", 9007199254740991],
    ["INT64", "-9223372036854775808", "-9223372036854775808"],
    ["FLOAT", "1.0E10", 1e10],
    ["FLOAT64", "NaN", "NaN"],
    ["FLOAT", "-Infinity", "-Infinity"],
    ["BOOLEAN", "true", true],
    ["BOOL", "false", false],
    ["NUMERIC", "12.3400", "12.34"],
    ["NUMERIC", "1200", "1200"],
    ["BIGNUMERIC", "5.0", "5"],
    ["STRING", "", ""],
    ["BYTES", "/wA=", "/wA="],
    ["DATE", "0001-01-01", "0001-01-01"],
    ["TIME", "10:20:30.500000", "10:20:30.5"],
    ["TIME", "10:20:30", "10:20:30"],
    ["TIME", "00:00:00.000001", "00:00:00.000001"],
    ["DATETIME", "2024-05-01T10:00:00.500000", "2024-05-01T10:00:00.500"],
    ["DATETIME", "2024-05-01T10:00:00", "2024-05-01T10:00:00"],
    ["TIMESTAMP", "0", "1970-01-01T00:00:00Z"],
    ["TIMESTAMP", "-1", "1969-12-31T23:59:59.999999Z"],
    ["TIMESTAMP", "1714557600123000", "2024-05-01T10:00:00.123Z"],
    ["TIMESTAMP", "-62135596800000000", "0001-01-01T00:00:00Z"],
    ["JSON", '{"a":[1,null]}', { a: [1, null] }],
    ["JSON", "null", null],
    ["GEOGRAPHY", "POINT(1 2)", "POINT(1 2)"],
    ["INTERVAL", "1-2 3 4:5:6.5", "1-2 3 4:5:6.5"],
    ["INTEGER", null, null],
  ] as const)
    assert.deepEqual(value(type, sent), expected, `${type} ${String(sent)}`);
});

test("records and lists", () => {
  const inner = [
    { name: "a", type: "INTEGER" },
    { name: "b", type: "TIMESTAMP", mode: "REPEATED" },
  ];
  const record = { f: [{ v: "1" }, { v: [{ v: "0" }] }] };
  const expected = { a: 1, b: ["1970-01-01T00:00:00Z"] };
  assert.deepEqual(value("RECORD", record, { fields: inner }), expected);
  assert.deepEqual(value("RECORD", [{ v: record }, { v: record }], { mode: "REPEATED", fields: inner }), [
    expected,
    expected,
  ]);
  assert.deepEqual(value("RECORD", null, { fields: inner }), null);
  assert.deepEqual(value("STRING", [], { mode: "REPEATED" }), []);
});
