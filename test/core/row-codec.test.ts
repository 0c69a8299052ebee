import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { z } from "zod";
import { bytes, decimal, json } from "../../lib/core/column-schemas.ts";
import { rowCodec } from "../../lib/core/row-codec.ts";
import { rowFast } from "../../lib/core/row-fast.ts";
import { rowShape } from "../../lib/core/row-shape.ts";
import { clockAt, dateDays, isDecimal, isTimestamp, unscaled } from "../../lib/core/row-values.ts";

const reasonOf = (schema: z.ZodObject, row: unknown): string => {
  const result = rowCodec(schema).check(row);
  return result.ok ? "" : result.reason;
};
const accepts = (schema: z.ZodType, value: unknown): boolean =>
  rowCodec(z.object({ x: schema })).check({ x: value }).ok;

describe("values", () => {
  test("a date is what the calendar says, for every day of 400 years and around the ends", () => {
    const start = Date.UTC(1900, 0, 1);
    for (let day = 0; day < 146_097; day++) {
      const at = new Date(start + day * 86_400_000);
      const text = at.toISOString().slice(0, 10);
      if (dateDays(text) !== at.getTime() / 86_400_000) assert.fail(`${text} is ${dateDays(text)}`);
    }
    assert.equal(dateDays("0001-01-01"), -719_162);
    assert.equal(dateDays("9999-12-31"), 2_932_896);
    for (const text of [
      "2024-02-30",
      "2023-02-29",
      "1900-02-29",
      "0000-01-01",
      "2024-13-01",
      "2024-00-10",
      "2024-01-00",
      "2024-1-01",
      "2024-01-1",
      "24-01-01",
      "2024/01/01",
      "2024-01-01 ",
      "",
      "２０２４-01-01",
      "2024-01-01T",
      "-024-01-01",
    ])
      assert.ok(Number.isNaN(dateDays(text)), text);
  });

  test("a time of day is exact to the microsecond", () => {
    assert.equal(clockAt("00:00", 0, false), 0);
    assert.equal(clockAt("23:59:59.999999", 0, false), 86_399_999_999);
    assert.equal(clockAt("00:00:00.000001000", 0, false), 1);
    assert.equal(clockAt("00:30:00+01:00", 0, true), -1_800_000_000);
    for (const text of [
      "24:00",
      "12:60",
      "12:00:60",
      "12:00:00.",
      "12:00:00.0000001",
      "1:00",
      "12:0",
      "12-00",
      "12:00Z",
      "12:00:00 ",
    ])
      assert.ok(Number.isNaN(clockAt(text, 0, false)), text);
    for (const text of [
      "12:00Z",
      "12:00:00",
      "12:00:00z",
      "12:00:00+1:00",
      "12:00:00+24:00",
      "12:00:00+01:60",
      "12:00:00+0100",
      "12:00:00Z ",
    ])
      assert.ok(Number.isNaN(clockAt(text, 0, true)), text);
  });

  test("a timestamp lies in the years 1 to 9999 in UTC, whatever its offset", () => {
    assert.ok(isTimestamp("0001-01-01T00:00:00Z"));
    assert.ok(isTimestamp("0001-01-01T01:00:00+01:00"));
    assert.ok(!isTimestamp("0001-01-01T00:59:59.999999+01:00"));
    assert.ok(isTimestamp("9999-12-31T22:59:59.999999-01:00"));
    assert.ok(!isTimestamp("9999-12-31T23:00:00-01:00"));
    assert.ok(!isTimestamp("2024-01-01 00:00:00Z"));
  });

  test("a decimal becomes the integer that it is in the smallest unit", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }), fc.boolean(), (value, padded) => {
        const digits = (value < 0n ? -value : value).toString().padStart(padded ? 39 : 10, "0");
        const text = `${value < 0n ? "-" : ""}${digits.slice(0, -9)}.${digits.slice(-9)}`;
        assert.ok(isDecimal(text, 38, 9));
        assert.equal(BigInt(unscaled(text, 9)), value);
      }),
    );
    assert.equal(BigInt(unscaled("0.1", 9)), 100_000_000n);
    assert.equal(BigInt(unscaled("-7", 9)), -7_000_000_000n);
    assert.ok(isDecimal("000123.45", 5, 2));
    for (const text of ["1234.5", "1.234", "1.", ".5", "-", "", "+1", "1e3", "1.2.3", "--1", " 1", "1_0", "NaN", "１"])
      assert.ok(!isDecimal(text, 5, 2), text);
  });
});

/** Each kind of leaf, with values that suit it, that nearly do, and that do not at all. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    Number.NaN,
    Infinity,
    -0,
    2 ** 53,
    1.5,
    "",
    "x",
    "\ud800",
    "2024-02-30",
    "0000-05-05",
    2n ** 63n,
    -(2n ** 63n),
    [],
    {},
    [null],
    new Date(Number.NaN),
    new Date(8.64e15),
    new Uint8Array(2),
    true,
    () => 1,
    Symbol("s"),
    "9999-12-31T23:59:59.9999999Z",
    "2024-05-01T10:00Z",
    "2024-05-01T10:00",
    "10:00:00.1234567",
    "12",
    "1.23456",
    new Map(),
  ),
  fc.anything(),
);
const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }));
const two = (max: number): fc.Arbitrary<string> => fc.integer({ min: 0, max }).map((n) => String(n).padStart(2, "0"));
const date = fc
  .tuple(fc.constantFrom("0000", "0001", "1900", "2000", "2023", "2024", "9999"), two(13), two(32))
  .map((parts) => parts.join("-"));
const fraction = fc.constantFrom("", ".5", ".123456", ".1234567", ".1234560");
const clock = fc
  .tuple(two(24), two(60), two(60), fraction, fc.boolean())
  .map(([h, m, s, f, short]) => (short ? `${h}:${m}` : `${h}:${m}:${s}${f}`));
const zone = fc.constantFrom("", "Z", "z", "+01:00", "-23:59", "+24:00", "+0100");
const instant = fc.tuple(date, fc.constantFrom("T", " "), clock, zone).map((parts) => parts.join(""));
const leaves: readonly (readonly [z.ZodType, fc.Arbitrary<unknown>])[] = [
  [z.string(), text],
  [z.string().min(2), text],
  [z.string().trim(), text],
  [z.email(), text],
  [z.enum(["low", "high", "\ud800"]), fc.constantFrom("low", "high", "\ud800")],
  [z.literal([1, 2, null]), fc.constantFrom(1, 2, null, 3)],
  [z.boolean(), fc.boolean()],
  [z.int(), fc.oneof(fc.integer(), fc.maxSafeInteger())],
  [z.int32(), fc.oneof(fc.integer(), fc.maxSafeInteger())],
  [z.number(), fc.double()],
  [z.number().min(0), fc.double()],
  [z.coerce.number(), fc.oneof(fc.double(), fc.string())],
  [z.bigint(), fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n })],
  [z.uint64(), fc.bigInt({ min: -1n, max: 2n ** 64n })],
  [z.iso.date(), date],
  [z.iso.time(), clock],
  [z.iso.time({ precision: 3 }), clock],
  [z.iso.datetime(), instant],
  [z.iso.datetime({ offset: true }), instant],
  [z.iso.datetime({ local: true }), instant],
  [z.iso.datetime({ precision: 0 }), instant],
  [z.date(), fc.date({ noInvalidDate: false })],
  [bytes(), fc.uint8Array()],
  [json(), fc.oneof(fc.jsonValue(), fc.anything())],
  [decimal({ precision: 5, scale: 2 }), fc.constantFrom("1.5", "-999.99", "1000", "0.001", "x")],
  [decimal({ precision: 5, scale: 2 }).max(3), fc.constantFrom("1.5", "-999.99", "1000")],
  [z.string().default("d"), text],
  [z.string().prefault("d"), text],
  [z.string().catch("c"), text],
  [z.string().exactOptional(), text],
  [z.string().default("d").optional(), text],
  [z.string().transform(Number).pipe(z.number()), fc.constantFrom("1", "x")],
  [z.number().or(z.nan()), fc.double()],
  [z.array(z.int()).readonly(), fc.array(fc.integer())],
];
const wrappers: readonly ((schema: z.ZodType) => z.ZodType)[] = [
  (x) => x,
  (x) => x.optional(),
  (x) => x.nullable(),
  (x) => x.nullish(),
];
const objects: readonly ((shape: z.ZodRawShape) => z.ZodObject)[] = [
  (shape) => z.object(shape),
  (shape) => z.strictObject(shape),
  (shape) => z.object(shape).refine((row) => row["a"] !== 7),
];

type Leaf = (typeof leaves)[number];

/** Schemas of a few such leaves, alone, in lists and in objects, each with a row that may suit it. */
const casesOf = (some: readonly Leaf[]): fc.Arbitrary<[z.ZodObject, unknown]> =>
  fc
    .tuple(
      fc.constantFrom(...objects),
      fc.array(
        fc.tuple(fc.constantFrom(...some), fc.constantFrom(...wrappers), fc.constantFrom("one", "list", "struct")),
        { minLength: 1, maxLength: 4 },
      ),
    )
    .chain(([object, parts]) => {
      const shape: Record<string, z.ZodType> = {};
      const row: Record<string, fc.Arbitrary<unknown>> = {};
      for (const [index, [[leaf, good], wrap, how]] of parts.entries()) {
        const name = "abcd"[index] ?? "z";
        const value = fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: odd });
        const isGap = leaf.def.type === "optional" || leaf.safeParse(null).success || leaf.safeParse(undefined).success;
        if (how === "list" && !isGap && !(leaf instanceof z.ZodReadonly)) {
          shape[name] = wrap(z.array(leaf));
          row[name] = fc.array(value, { maxLength: 3 });
        } else if (how === "struct") {
          shape[name] = wrap(z.object({ inner: leaf }));
          row[name] = fc.record(
            { inner: value, ...(index === 3 ? { extra: fc.integer() } : {}) },
            { requiredKeys: ["inner"], noNullPrototype: true },
          );
        } else {
          shape[name] = wrap(leaf);
          row[name] = value;
        }
      }
      const rows = fc.record(row, { requiredKeys: [], noNullPrototype: true });
      return fc.tuple(
        fc.constant(object(shape)),
        fc.oneof({ weight: 20, arbitrary: rows }, { weight: 1, arbitrary: odd }),
      );
    });

const BOUNDS =
  /is not a (?:date|time of day|point in time)|without a zone|lone surrogate|is not an INT64|whole microseconds/;

/** What zod makes of the row; `undefined` when it refuses it, or throws, as it does when it cannot freeze what it is given. */
function parsed(schema: z.ZodObject, row: unknown): unknown {
  try {
    return schema.safeParse(row).data;
  } catch {
    return undefined;
  }
}

describe("check", () => {
  for (const [what, some, leastFast] of [
    ["of all kinds", leaves, 5],
    ["that say no more than their columns", leaves.filter(([leaf]) => rowShape(z.object({ x: leaf })).exact), 250],
  ] as const)
    test(`in schemas ${what}, accepts what zod accepts and a column can hold, as zod gives it, and nothing else`, () => {
      let [accepted, refused, fast] = [0, 0, 0];
      fc.assert(
        fc.property(casesOf(some), ([schema, row]) => {
          const expected = parsed(schema, row);
          const result = rowCodec(schema).check(row);
          if (rowFast(rowShape(schema))(row)) {
            fast++;
            assert.ok(expected !== undefined, "right at first sight, but not to zod");
          }
          if (result.ok) {
            accepted++;
            assert.ok(expected !== undefined, "accepted, but not by zod");
            assert.deepEqual(result.value, expected);
          } else {
            refused++;
            if (expected !== undefined) assert.match(result.reason, BOUNDS);
            assert.doesNotMatch(result.reason, /\n/);
          }
        }),
        { numRuns: 1500 },
      );
      const counts = `${accepted} accepted, ${refused} refused, ${fast} fast`;
      assert.ok(accepted > 150 && refused > 150 && fast > leastFast, counts);
    });

  test("refuses a row on which a check or transform throws", () => {
    const schema = z.object({ a: z.preprocess((): unknown => JSON.parse("{"), z.string()) });
    assert.match(reasonOf(schema, { a: 1 }), /^the row: the schema throws: .*JSON/);
  });

  test("takes the short way for a plain schema, and zod's for the rest", () => {
    const isFast = (schema: z.ZodObject, row: unknown): boolean => rowFast(rowShape(schema))(row);
    const plain = z.object({
      a: z.string(),
      b: z.iso.date().nullable(),
      c: z.array(z.object({ d: z.int().optional() })),
    });
    assert.ok(isFast(plain, { a: "x", b: "2024-05-01", c: [{ d: 1 }, {}] }));
    assert.ok(!isFast(plain, { a: "x", b: null, c: [], extra: 1 }), "zod leaves the extra property out");
    assert.ok(!isFast(plain, Object.create({ a: "x", b: null, c: [] })));
    assert.ok(
      !isFast(
        plain,
        new (class {
          a = "x";
          b = null;
          c = [];
        })(),
      ),
    );
    assert.ok(
      !isFast(
        plain.refine(() => true),
        { a: "x", b: null, c: [] },
      ),
    );
    assert.ok(!isFast(z.object({ a: z.string().min(1) }), { a: "x" }));
  });

  for (const [what, schema, good, bad] of [
    ["text", z.string(), ["", "ü😀", "x".repeat(100_000), "\0"], ["\ud83d", "\ude00x", 1, null, undefined]],
    [
      "an integer",
      z.int(),
      [0, -0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
      [2 ** 53, 0.5, Number.NaN, 1n, "1"],
    ],
    ["a wide integer", z.bigint(), [2n ** 63n - 1n, -(2n ** 63n)], [2n ** 63n, -(2n ** 63n) - 1n, 1]],
    ["an unsigned integer", z.uint64(), [0n, 2n ** 63n - 1n], [-1n, 2n ** 64n - 1n]],
    ["a number", z.number(), [1.7976931348623157e308, 5e-324, -0], [Number.NaN, Infinity, -Infinity, "1"]],
    ["a number or NaN", z.number().or(z.nan()), [Number.NaN, 1], [Infinity]],
    [
      "a date",
      z.iso.date(),
      ["0001-01-01", "9999-12-31", "2024-02-29"],
      ["0000-01-01", "2023-02-29", "2024-02-30", "10000-01-01", "2024-05-01T00:00:00Z"],
    ],
    [
      "a time",
      z.iso.time(),
      ["00:00", "23:59:59.999999", "00:00:00.0000000"],
      ["24:00:00", "23:59:60", "00:00:00.0000001"],
    ],
    [
      "a local time",
      z.iso.datetime({ local: true }),
      ["2024-05-01T10:00", "0001-01-01T00:00:00"],
      ["2024-05-01T10:00:00Z", "0000-01-01T00:00:00", "2024-05-01 10:00:00"],
    ],
    [
      "a point in time",
      z.iso.datetime(),
      ["2024-05-01T10:00:00Z", "2024-05-01T10:00:00.123456Z"],
      ["2024-05-01T10:00:00+02:00", "2024-05-01T10:00Z", "2024-05-01T10:00:00", "2024-05-01T10:00:00.1234567Z"],
    ],
    [
      "one with an offset",
      z.iso.datetime({ offset: true }),
      ["0001-01-01T05:00:00+05:00"],
      ["0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"],
    ],
    [
      "a Date",
      z.date(),
      [new Date(0), new Date("0001-01-01T00:00:00Z"), new Date("9999-12-31T23:59:59.999Z")],
      [new Date(Number.NaN), new Date("0000-12-31T23:59:59.999Z"), new Date("+010000-01-01T00:00:00Z"), 0],
    ],
    [
      "a decimal",
      decimal({ precision: 38, scale: 9 }),
      ["0", "-99999999999999999999999999999.999999999", "0.000000001"],
      ["1e5", "100000000000000000000000000000", "0.0000000001", 1, "", "-"],
    ],
    ["bytes", bytes(), [new Uint8Array(), Buffer.from("x")], [[1], "x", new ArrayBuffer(1), new Uint16Array(1)]],
    [
      "JSON",
      json(),
      [null, {}, [], [{ a: [null, "x", 1.5, true] }]],
      [
        undefined,
        Number.NaN,
        { a: undefined },
        [() => 1],
        new Date(0),
        { a: "\ud800" },
        { "\ud800": 1 },
        1n,
        new Map(),
      ],
    ],
    ["a list", z.array(z.int()), [[], [1]], [[1, null], "x", { length: 0 }, Object.assign([], { length: 2 })]],
  ] as const)
    test(`knows ${what} in its bounds`, () => {
      for (const value of good) assert.ok(accepts(schema, value), `refused ${inspect(value).slice(0, 50)}`);
      for (const value of bad) assert.ok(!accepts(schema, value), `accepted ${inspect(value)}`);
      for (const value of bad)
        assert.notEqual(reasonOf(z.object({ x: z.array(z.object({ y: schema })) }), { x: [{ y: value }] }), "");
    });

  test("JSON that contains itself, or is nested beyond BigQuery's 500 levels, is refused", () => {
    const circle: unknown[] = [];
    circle.push(circle);
    assert.ok(!accepts(json(), circle));
    const deep = (levels: number): unknown => Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 1);
    assert.ok(accepts(json(), deep(500)));
    assert.ok(!accepts(json(), deep(501)));
  });

  test("says in one line which field is wrong", () => {
    const schema = z.object({ a: z.string(), b: z.array(z.object({ day: z.iso.date() })) });
    assert.equal(
      reasonOf(schema, { a: "x", b: [{ day: "2024-01-01" }, { day: "0000-01-01" }] }),
      'b[1].day: "0000-01-01" is not a date from 0001-01-01 to 9999-12-31',
    );
    assert.match(reasonOf(schema, { a: 1, b: [] }), /^a: .*expected string/);
    assert.match(reasonOf(schema, null), /^the row: .*expected object/);
    const wide = z.object(Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`c${index}`, z.string()])));
    assert.match(reasonOf(wide, {}), /^c0: .*; c1: .*; c2: .*; and 6 more$/);
    assert.ok(reasonOf(z.object({ a: z.string() }), { a: `${"x".repeat(5000)}\ud800` }).length < 200);
  });

  test("fills in defaults and leaves out what has no column", () => {
    const result = rowCodec(z.object({ a: z.int().default(7), b: z.string() })).check({ b: "x", c: 1 });
    assert.deepEqual(result, { ok: true, value: { a: 7, b: "x" } });
  });

  test("does not trust a default that zod does not look at", () => {
    const wrong = "1e9" as const;
    assert.match(
      reasonOf(z.object({ a: decimal({ precision: 5, scale: 2 }).default(wrong) }), {}),
      /^a: "1e9" is not a value of NUMERIC/,
    );
    assert.match(reasonOf(z.object({ a: z.int().catch(1.5) }), { a: "x" }), /^a: 1.5 is not an INT64/);
    assert.match(reasonOf(z.object({ a: z.iso.date().default("2024-02-30") }), {}), /^a: "2024-02-30" is not a date/);
  });

  test("does not wait for an asynchronous check, and says so", () => {
    const codec = rowCodec(z.object({ a: z.string().refine(() => Promise.resolve(true)) }));
    assert.throws(() => codec.check({ a: "x" }), /asynchronous check/);
  });
});

describe("decode", () => {
  const schema = z.object({
    whole: z.int(),
    wide: z.bigint(),
    real: z.number(),
    price: decimal({ precision: 10, scale: 2 }),
    day: z.iso.date(),
    at: z.date(),
    raw: bytes(),
    any: json(),
    tier: z.enum(["low", "high"]),
    tags: z.array(z.string()),
    home: z.object({ n: z.bigint().optional() }).nullable(),
    note: z.string().optional(),
    level: z.int().default(3),
    trimmed: z
      .string()
      .transform((value) => value.length)
      .pipe(z.int()),
  });
  const { decode } = rowCodec(schema);
  const stored = {
    whole: 5,
    wide: "9223372036854775807",
    real: "NaN",
    price: "1.5",
    day: "2024-05-01",
    at: "2024-05-01T10:00:00.123456Z",
    raw: "AQL/",
    any: { a: null },
    tier: "low",
    tags: ["x"],
    home: { n: 4 },
    note: null,
    level: null,
    trimmed: 3,
    beyond: "left out",
  };

  test("gives back the schema's own types", () => {
    assert.deepEqual(decode(stored), {
      ok: true,
      value: {
        whole: 5,
        wide: 9223372036854775807n,
        real: Number.NaN,
        price: "1.5",
        day: "2024-05-01",
        at: new Date("2024-05-01T10:00:00.123Z"),
        raw: Uint8Array.of(1, 2, 255),
        any: { a: null },
        tier: "low",
        tags: ["x"],
        home: { n: 4n },
        level: 3,
        trimmed: 3,
      },
    });
  });

  test("finds columns in whatever letter case, and takes a missing list for an empty one", () => {
    const { tags: _tags, whole: _whole, ...rest } = stored;
    const result = decode({ ...rest, Whole: "6", home: null });
    assert.ok(result.ok);
    assert.equal(result.value.whole, 6);
    assert.deepEqual(result.value.tags, []);
    assert.equal(result.value.home, null);
  });

  for (const [column, value, reason] of [
    ["whole", null, /^whole: is NULL/],
    ["whole", "9007199254740993", /^whole: .*no safe integer \(z.bigint\(\)/],
    ["whole", 1.5, /^whole: 1.5 is no safe integer/],
    ["wide", "9223372036854775808", /^wide: .*not an INT64/],
    ["wide", 2 ** 60, /^wide: .*not an INT64/],
    ["real", "1", /^real: "1" is not a FLOAT64/],
    ["price", "abc", /^price: "abc" is not a NUMERIC/],
    ["day", "2024-02-30", /^day: "2024-02-30" is not a DATE/],
    ["at", "2024-05-01", /^at: "2024-05-01" is not a TIMESTAMP/],
    ["raw", "A", /^raw: "A" is not base64/],
    ["tier", "middle", /^tier: "middle" is none of the schema's values/],
    ["tags", [1], /^tags\[0\]: 1 is not a STRING/],
    ["tags", [null], /^tags\[0\]: null is not a STRING/],
    ["home", { n: "x" }, /^home.n: "x" is not an INT64/],
    ["home", [], /^home: an array is not a STRUCT/],
  ] as const)
    test(`refuses ${JSON.stringify(value)} as ${column}`, () => {
      const result = decode({ ...stored, [column]: value });
      assert.ok(!result.ok);
      assert.match(result.reason, reason);
    });
});
