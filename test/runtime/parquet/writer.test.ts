import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { DuckDBInstance, type DuckDBConnection } from "@duckdb/node-api";
import fc from "fast-check";
import { z } from "zod";
import { bytes, decimal, json } from "../../../lib/core/column-schemas.ts";
import { columnsOf } from "../../../lib/core/columns.ts";
import { rowCodec } from "../../../lib/core/row-codec.ts";
import { isJson } from "../../../lib/core/row-values.ts";
import type { Column } from "../../../lib/core/table.ts";
import { columnOf } from "../../../lib/local/duckdb/types.ts";
import { jsonValue } from "../../../lib/local/duckdb/values.ts";
import { parquetRows } from "../../../lib/runtime/parquet/reader.ts";
import { parquetWriter, type ParquetOptions, type Row } from "../../../lib/runtime/parquet/writer.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-parquet-"));
const path = join(folder, "rows.parquet");
let instance: DuckDBInstance;
let link: DuckDBConnection;

before(async () => {
  instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  link = await instance.connect();
  await link.run("SET TimeZone = 'UTC'");
  // One path holds one file after the other, some of them within a tick of the file system's clock.
  await link.run("SET enable_external_file_cache = false");
});
after(() => {
  link.closeSync();
  instance.closeSync();
  rmSync(folder, { recursive: true, force: true });
});

async function write(
  columns: readonly Column[],
  rows: Iterable<Row> | AsyncIterable<Row>,
  options?: ParquetOptions,
): Promise<Buffer> {
  const writer = parquetWriter(columns, options);
  const parts: Uint8Array[] = [];
  for await (const row of rows) {
    writer.write(row);
    if (writer.full()) parts.push(...writer.flush());
  }
  const file = Buffer.concat([...parts, ...writer.finish()]);
  writeFileSync(path, file);
  return file;
}

interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
}

/** What DuckDB finds in the file, as the warehouse would give it. */
async function read(sql = `SELECT * FROM '${path}'`): Promise<Table> {
  const reader = await link.runAndReadAll(sql);
  const [names, types] = [reader.columnNames(), reader.columnTypes()];
  return {
    columns: names.map((name, at) => columnOf(name, types[at] ?? assert.fail("no type"))),
    rows: reader
      .getRows()
      .map((row) =>
        Object.fromEntries(
          row.map((value, at) => [names[at] ?? "", jsonValue(value, types[at] ?? assert.fail("no type"))]),
        ),
      ),
  };
}

/** A file does not tell REQUIRED from NULLABLE to those who load it. */
function withoutModes(columns: readonly Column[]): unknown {
  return columns.map(({ name, type, mode, fields }) => ({
    name,
    type,
    list: mode === "REPEATED",
    fields: fields && withoutModes(fields),
  }));
}

/**
 * Rows through the codec into a file, read by DuckDB, and through the codec back. Our own reader finds the same in the file,
 * value by value, and so do those who get the rows as plain values without any file.
 */
async function roundTrip(
  schema: z.ZodObject,
  rows: readonly unknown[],
  options?: ParquetOptions,
): Promise<readonly unknown[]> {
  const codec = rowCodec(schema);
  const checked = rows.map((row) => {
    const result = codec.check(row);
    return result.ok ? result.value : assert.fail(result.reason);
  });
  const file = await write(codec.columns, checked, options);
  const table = await read();
  assert.deepEqual(await Array.fromAsync(parquetRows(file)), table.rows);
  assert.deepEqual(checked.map(codec.encode), table.rows);
  assert.deepEqual(withoutModes(table.columns), withoutModes(codec.columns));
  return table.rows.map((row) => {
    const result = codec.decode(row);
    return result.ok ? result.value : assert.fail(result.reason);
  });
}

const everything = z.object({
  flag: z.boolean(),
  whole: z.int(),
  wide: z.bigint(),
  real: z.number().or(z.nan()),
  numeric: decimal({ precision: 38, scale: 9 }),
  big: decimal({ precision: 38, scale: 18 }),
  text: z.string(),
  raw: bytes(),
  day: z.iso.date(),
  local: z.iso.datetime({ local: true }),
  time: z.iso.time(),
  at: z.iso.datetime(),
  instant: z.date(),
  any: json(),
});

const extremes = [
  {
    flag: true,
    whole: Number.MAX_SAFE_INTEGER,
    wide: 2n ** 63n - 1n,
    real: Number.NaN,
    numeric: "99999999999999999999999999999.999999999",
    big: "99999999999999999999.999999999999999999",
    text: "ü😀\0\u{10ffff}",
    raw: Uint8Array.of(0, 255),
    day: "9999-12-31",
    local: "9999-12-31T23:59:59.999999",
    time: "23:59:59.999999",
    at: "9999-12-31T23:59:59.999999Z",
    instant: new Date("9999-12-31T23:59:59.999Z"),
    any: { a: [null, { b: "\u2028" }], c: 1e21 },
  },
  {
    flag: false,
    whole: Number.MIN_SAFE_INTEGER,
    wide: -(2n ** 63n),
    real: -1.7976931348623157e308,
    numeric: "-99999999999999999999999999999.999999999",
    big: "-99999999999999999999.999999999999999999",
    text: "",
    raw: new Uint8Array(),
    day: "0001-01-01",
    local: "0001-01-01T00:00:00",
    time: "00:00:00",
    at: "0001-01-01T00:00:00Z",
    instant: new Date("0001-01-01T00:00:00Z"),
    any: null,
  },
  {
    flag: false,
    whole: -1,
    wide: -1n,
    real: 5e-324,
    numeric: "-0.000000001",
    big: "0.000000000000000001",
    text: "x".repeat(3_000_000),
    raw: new Uint8Array(100_000).fill(7),
    day: "1969-12-31",
    local: "1969-12-31T23:59:59.999999",
    time: "12:00:00.000001",
    at: "1969-12-31T23:59:59.999999Z",
    instant: new Date(-1),
    any: [],
  },
];

describe("a Parquet file", () => {
  test("has every type with its extreme values", async () => {
    assert.deepEqual(await roundTrip(everything, extremes), extremes);
  });

  test("keeps every type when it may be missing, is nested, or is a list", async () => {
    const gaps = z.object(
      Object.fromEntries(Object.entries(everything.shape).map(([name, shape]) => [name, shape.nullable()])),
    );
    const schema = z.object({
      one: gaps.nullable(),
      lists: z.object(
        Object.fromEntries(Object.entries(everything.shape).map(([name, shape]) => [name, z.array(shape)])),
      ),
      deep: z.array(z.object({ inner: z.array(everything), maybe: everything.optional() })),
    });
    const none = Object.fromEntries(Object.keys(everything.shape).map((name) => [name, null]));
    const lists = (rows: typeof extremes): Record<string, unknown> =>
      Object.fromEntries(
        Object.keys(everything.shape).map((name) => [name, rows.map((row) => row[name as keyof typeof row])]),
      );
    const rows = [
      { one: null, lists: lists([]), deep: [] },
      { one: none, lists: lists(extremes), deep: [{ inner: [] }, { inner: extremes, maybe: extremes[1] }] },
      // The JSON null of `any` is SQL's NULL where the column takes one.
      { one: extremes[2], lists: lists(extremes.slice(1)), deep: [{ inner: extremes.slice(0, 1) }] },
    ];
    assert.deepEqual(await roundTrip(schema, rows), rows);
    assert.deepEqual(await roundTrip(schema, rows, { pageBytes: 1, rowGroupRows: 1 }), rows);
  });

  test("is read the same by DuckDB's own conversions", async () => {
    await write(columnsOf(everything), extremes.slice(0, 2));
    const { rows } =
      await read(`SELECT flag, whole::VARCHAR AS whole, wide::VARCHAR AS wide, isnan(real) AS nan, numeric::VARCHAR AS numeric,
      big::VARCHAR AS big, length(text) AS letters, hex(raw) AS raw, day::VARCHAR AS day, local::VARCHAR AS local, time::VARCHAR AS time,
      epoch_us("at")::VARCHAR AS "at", epoch_ms(instant)::VARCHAR AS instant, "any" ->> '$.c' AS "any" FROM '${path}'`);
    assert.deepEqual(rows[0], {
      flag: true,
      whole: "9007199254740991",
      wide: "9223372036854775807",
      nan: true,
      numeric: "99999999999999999999999999999.999999999",
      big: "99999999999999999999.999999999999999999",
      letters: 4,
      raw: "00FF",
      day: "9999-12-31",
      local: "9999-12-31 23:59:59.999999",
      time: "23:59:59.999999",
      at: "253402300799999999",
      instant: "253402300799999",
      any: "1e21",
    });
    assert.equal(rows[1]?.["at"], "-62135596800000000");
  });

  test("may have no rows at all", async () => {
    const schema = z.object({
      a: z.string(),
      b: z.array(z.object({ c: z.int() })),
      d: z.object({ e: z.date() }).optional(),
    });
    assert.deepEqual(await roundTrip(schema, []), []);
  });

  test("keeps its rows in order over many row groups and pages", async () => {
    const schema = z.object({
      id: z.int(),
      text: z.string(),
      tier: z.enum(["low", "high"]).nullable(),
      list: z.array(z.int()),
    });
    const rows = Array.from({ length: 20_000 }, (_, id) => ({
      id,
      text: `t${id % 7 === 0 ? id : id % 50}`,
      tier: id % 5 === 0 ? null : id % 2 === 0 ? "low" : "high",
      list: Array.from({ length: id % 4 }, (_item, at) => id + at),
    }));
    for (const options of [
      { rowGroupRows: 999, pageBytes: 500 },
      { rowGroupBytes: 5000, pageBytes: 1000 },
      { pageBytes: 3000 },
      {},
    ]) {
      assert.deepEqual(await roundTrip(schema, rows, options), rows);
      const groups = await read(`SELECT count(DISTINCT row_group_id) AS n FROM parquet_metadata('${path}')`);
      assert.equal(Number(groups.rows[0]?.["n"]) > 1, "rowGroupRows" in options || "rowGroupBytes" in options);
    }
  });

  for (const [what, text] of [
    ["are all different", (id: number) => `text ${id}`],
    ["are all the same", () => "same"],
    ["stop to repeat", (id: number) => (id < 9000 ? `t${id % 3}` : `${"long".repeat(20)}${id}`)],
    ["begin to repeat", (id: number) => (id < 9000 ? `u${id}` : `t${id % 3}`)],
    ["repeat only within 70,000", (id: number) => `v${id % 70_000}`],
    ["repeat, but are long", (id: number) => "w".repeat(257 + (id % 3))],
  ] as const)
    test(`holds texts that ${what}`, async () => {
      const columns = columnsOf(
        z.object({ id: z.int(), text: z.string(), maybe: z.string().nullable(), list: z.array(z.string()) }),
      );
      const rows = function* (): Generator<Row> {
        for (let id = 0; id < 30_000; id++) {
          const value = text(id);
          yield {
            id,
            text: value,
            maybe: id % 3 === 0 ? null : value,
            list: id % 2 === 0 ? [] : [value, `${id % 11}`],
          };
        }
      };
      await write(columns, rows(), { pageBytes: 20_000, rowGroupRows: 20_000 });
      const found = await read();
      const expected = [...rows()];
      assert.equal(found.rows.length, expected.length);
      for (const [at, row] of expected.entries()) assert.deepEqual(found.rows[at], row);
    });

  test("has whatever rows come, in whatever pages", async () => {
    const leaf = z.union([z.string(), z.null()]);
    const schema = z.object({
      a: leaf,
      b: z.array(z.object({ c: leaf, d: z.array(z.boolean()), e: z.object({ f: z.array(z.int()) }).nullable() })),
      g: z.object({ h: z.object({ i: z.int().nullable() }).nullable() }).nullable(),
    });
    const text = fc.option(fc.constantFrom("x", "y", "ü😀", ""));
    const row = fc.record(
      {
        a: text,
        b: fc.array(
          fc.record({
            c: text,
            d: fc.array(fc.boolean(), { maxLength: 12 }),
            e: fc.option(fc.record({ f: fc.array(fc.integer(), { maxLength: 3 }) })),
          }),
          { maxLength: 4 },
        ),
        g: fc.option(fc.record({ h: fc.option(fc.record({ i: fc.option(fc.integer()) })) })),
      },
      { noNullPrototype: true },
    );
    const options = fc.record({
      pageBytes: fc.integer({ min: 1, max: 200 }),
      rowGroupRows: fc.integer({ min: 1, max: 30 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 60, size: "max" }), options, async (rows, sizes) => {
        const plain: unknown = JSON.parse(JSON.stringify(rows));
        assert.deepEqual(JSON.parse(JSON.stringify(await roundTrip(schema, rows, sizes))), plain);
      }),
      { numRuns: 60 },
    );
  });

  test("has whatever values there are of every type", async () => {
    const two = (n: number): string => String(n).padStart(2, "0");
    const digits = (most: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^\\d{1,${most}}$`));
    const number = (whole: number, fraction: number): fc.Arbitrary<string> =>
      fc
        .tuple(fc.constantFrom("", "-"), digits(whole), fc.option(digits(fraction)))
        .map(([sign, left, right]) => `${sign}${left}${right === null ? "" : `.${right}`}`);
    const day = fc
      .date({ min: new Date("0001-01-02T00:00:00Z"), max: new Date("9999-12-30T00:00:00Z"), noInvalidDate: true })
      .map((date) => date.toISOString().slice(0, 10));
    const time = fc
      .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fc.option(digits(6)))
      .map(([h, m, s, part]) => `${two(h)}:${two(m)}:${two(s)}${part === null ? "" : `.${part}`}`);
    const local = fc.tuple(day, time).map(([d, t]) => `${d}T${t}`);
    const zone = fc.oneof(
      fc.constant("Z"),
      fc.tuple(fc.constantFrom("+", "-"), fc.nat(23), fc.nat(59)).map(([sign, h, m]) => `${sign}${two(h)}:${two(m)}`),
    );
    const schema = everything.extend({ at: z.iso.datetime({ offset: true }) });
    const row = fc.record(
      {
        flag: fc.boolean(),
        whole: fc.maxSafeInteger(),
        wide: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        real: fc.double({ noNaN: false }).filter((value) => Number.isFinite(value) || Number.isNaN(value)),
        numeric: number(29, 9),
        big: number(20, 18),
        text: fc.string({ unit: "grapheme" }).filter((text) => text.isWellFormed()),
        raw: fc.uint8Array(),
        day,
        local,
        time,
        at: fc.tuple(local, zone).map(([l, z]) => l + z),
        instant: fc.date({
          min: new Date("0001-01-01T00:00:00Z"),
          max: new Date("9999-12-31T00:00:00Z"),
          noInvalidDate: true,
        }),
        any: fc.jsonValue({ stringUnit: "grapheme" }).filter((value) => isJson(value)),
      },
      { noNullPrototype: true },
    );
    // What is written in another way than it is given comes back equal, by `roundTrip`'s own comparisons.
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (rows) => void (await roundTrip(schema, rows))),
      {
        numRuns: 150,
      },
    );
  });

  test("tells its readers what they may skip, and nothing wrong", async () => {
    const schema = z.object({
      n: z.int().nullable(),
      wide: z.bigint(),
      real: z.number().or(z.nan()),
      day: z.iso.date(),
      at: z.iso.datetime(),
    });
    const rows = [5, null, -3].map((n, at) => ({
      n,
      wide: 2n ** 60n,
      real: at === 1 ? Number.NaN : 0,
      day: `2024-05-0${at + 1}`,
      at: `2024-05-01T00:00:0${at}Z`,
    }));
    await write(columnsOf(schema), rows);
    const { rows: found } =
      await read(`SELECT path_in_schema AS name, stats_min_value AS min, stats_max_value AS max, stats_null_count AS nulls
      FROM parquet_metadata('${path}')`);
    assert.deepEqual(
      found,
      [
        { name: "n", min: "-3", max: "5", nulls: 1 },
        { name: "wide", min: null, max: null, nulls: 0 },
        { name: "real", min: null, max: null, nulls: 0 },
        { name: "day", min: "2024-05-01", max: "2024-05-03", nulls: 0 },
        { name: "at", min: "2024-05-01 00:00:00+00", max: "2024-05-01 00:00:02+00", nulls: 0 },
      ].map((row) => (row.name === "wide" ? { ...row, min: null, max: null } : row)),
    );
    const kept = await read(`SELECT count(*) AS n FROM '${path}' WHERE real > 1 OR wide > 5 OR n = -3`);
    assert.equal(kept.rows[0]?.["n"], 3);
  });

  test("may be compressed otherwise, or not at all", async () => {
    const rows = Array.from({ length: 5000 }, (_, id) => ({ id, text: "again and again" }));
    const columns = columnsOf(z.object({ id: z.int(), text: z.string() }));
    const sizes = [];
    for (const compression of [
      "none",
      "snappy",
      { codec: "ZSTD", compress: (page: Uint8Array) => zstdCompressSync(page) },
    ] as const) {
      sizes.push((await write(columns, rows, { compression })).length);
      assert.deepEqual((await read()).rows, rows);
    }
    const [none = 0, snappy = 0, zstd = 0] = sizes;
    assert.ok(none > snappy && snappy > zstd, sizes.join());
  });
});

describe("a row that does not fit", () => {
  const column = (type: Column["type"], mode: Column["mode"] = "REQUIRED"): Column => ({ name: "x", type, mode });
  for (const [type, values] of [
    ["BOOL", [1, "true"]],
    ["INT64", [0.5, 2 ** 53, 2n ** 63n, "1"]],
    ["FLOAT64", ["1", 1n]],
    ["STRING", [1, new Date()]],
    ["BYTES", ["x", [1]]],
    ["NUMERIC", [1, "1e5", "0.0000000001", `1${"0".repeat(29)}`]],
    ["BIGNUMERIC", ["1".repeat(21), "0.0000000000000000001"]],
    ["DATE", ["2024-02-30", 0, "2024-05-01T00:00:00Z", new Date()]],
    ["TIME", ["24:00:00", "10:00:00Z"]],
    ["DATETIME", ["2024-05-01T10:00:00Z", "2024-02-30T10:00:00", new Date()]],
    ["TIMESTAMP", ["2024-05-01T10:00:00", "0001-01-01T00:00:00+01:00", new Date(Number.NaN), 5]],
    ["JSON", [undefined, () => 1]],
  ] as const)
    test(`is refused as ${type}`, () => {
      for (const value of values) {
        assert.throws(() => parquetWriter([column(type)]).write({ x: value }), {
          name: "PermanentError",
          code: "invalid",
          message: /^column x: /,
        });
        assert.throws(() => parquetWriter([column(type, "REPEATED")]).write({ x: [value] }), { code: "invalid" });
      }
    });

  test("is refused when a value is missing that must be there, and names the place", () => {
    const columns = columnsOf(z.object({ a: z.object({ b: z.array(z.object({ c: z.string() })) }) }));
    for (const row of [
      {},
      { a: null },
      { a: { b: [null] } },
      { a: { b: [{}] } },
      { a: { b: [{ c: null }] } },
      { a: { b: "x" } },
      { a: 1 },
    ])
      assert.throws(() => parquetWriter(columns).write(row), {
        name: "PermanentError",
        message: /^column (?:a|b|a\.b\.c): /,
      });
    assert.throws(() => parquetWriter([column("GEOGRAPHY")]), { name: "DefinitionError" });
    assert.throws(() => parquetWriter([]), { name: "DefinitionError" });
  });
});

describe("a whole file", () => {
  const columns = columnsOf(z.object({ id: z.int(), text: z.string() }));

  test("gives the same bytes for the same rows", async () => {
    const rows = (): Row[] => Array.from({ length: 3000 }, (_, id) => ({ id, text: `t${id % 10}` }));
    assert.deepEqual(await write(columns, rows()), await write(columns, rows()));
  });

  test("holds no more than a row group, however many rows there are", async () => {
    const letters = "abcdefghijklmnopqrstuvwxyz";
    function* rows(count: number): Generator<Row> {
      for (let id = 0; id < count; id++) yield { id: id * 7919, text: letters.slice(id % 26) + String(id) };
    }
    let largest = 0;
    let total = 0;
    const writer = parquetWriter(columns, { rowGroupBytes: 200_000, pageBytes: 20_000 });
    for (const row of rows(200_000)) {
      writer.write(row);
      if (!writer.full()) continue;
      const group = writer.flush().reduce((sum, part) => sum + part.length, 0);
      largest = Math.max(largest, group);
      total += group;
    }
    total += writer.finish().reduce((sum, part) => sum + part.length, 0);
    assert.ok(largest < 260_000, String(largest));
    assert.deepEqual(writer.written(), { bytes: total, rows: 200_000 });
  });
});
