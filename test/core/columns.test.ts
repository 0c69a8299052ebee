import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { bytes, decimal, json } from "../../lib/core/column-schemas.ts";
import { columnsOf } from "../../lib/core/columns.ts";
import { DefinitionError, messageOf } from "../../lib/core/errors.ts";

/** `type`, with `?` where it is NULLABLE, `[]` where it is REPEATED, and a STRUCT's fields in braces. */
function brief(schema: z.ZodObject): Record<string, unknown> {
  const show = (columns: ReturnType<typeof columnsOf>): Record<string, unknown> =>
    Object.fromEntries(
      columns.map(({ name, type, mode, fields }) => [
        name,
        fields === undefined ? type + { NULLABLE: "?", REQUIRED: "", REPEATED: "[]" }[mode] : { [mode]: show(fields) },
      ]),
    );
  return show(columnsOf(schema));
}

function refusal(schema: () => z.ZodObject): string {
  try {
    columnsOf(schema());
  } catch (error) {
    assert.ok(error instanceof DefinitionError, String(error));
    assert.ok(error.remedy !== undefined, "an error has a remedy");
    const line = messageOf(error);
    assert.doesNotMatch(line, /\n/);
    return line;
  }
  return assert.fail("nothing was refused");
}

describe("columnsOf", () => {
  test("gives each type of zod its column", () => {
    // What TypeScript makes of `enum Level { Low, High }`.
    const level = { Low: 0, High: 1, 0: "Low", 1: "High" } as const;
    assert.deepEqual(
      brief(
        z.object({
          text: z.string(),
          email: z.email(),
          template: z.templateLiteral(["a", z.number()]),
          tier: z.enum(["low", "high"]),
          level: z.enum(level),
          one: z.literal("x"),
          count: z.literal([1, 2]),
          part: z.literal([1, 2.5]),
          flag: z.boolean(),
          whole: z.int(),
          checked: z.number().int(),
          small: z.int32(),
          wide: z.bigint(),
          int64: z.int64(),
          real: z.number(),
          numeric: decimal({ precision: 38, scale: 9 }),
          big: decimal({ precision: 38, scale: 18 }),
          json: json(),
          bytes: bytes(),
          array8: z.instanceof(Uint8Array),
          date: z.iso.date(),
          checkedDate: z.string().min(1).check(z.iso.date()),
          time: z.iso.time(),
          local: z.iso.datetime({ local: true }),
          zoned: z.iso.datetime({ offset: true }),
          utc: z.iso.datetime(),
          instant: z.date(),
        }),
      ),
      {
        text: "STRING",
        email: "STRING",
        template: "STRING",
        tier: "STRING",
        level: "INT64",
        one: "STRING",
        count: "INT64",
        part: "FLOAT64",
        flag: "BOOL",
        whole: "INT64",
        checked: "INT64",
        small: "INT64",
        wide: "INT64",
        int64: "INT64",
        real: "FLOAT64",
        numeric: "NUMERIC",
        big: "BIGNUMERIC",
        json: "JSON",
        bytes: "BYTES",
        array8: "BYTES",
        date: "DATE",
        checkedDate: "DATE",
        time: "TIME",
        local: "DATETIME",
        zoned: "TIMESTAMP",
        utc: "TIMESTAMP",
        instant: "TIMESTAMP",
      },
    );
  });

  test("tells what may be missing from what may not", () => {
    assert.deepEqual(
      brief(
        z.object({
          optional: z.string().optional(),
          nullable: z.string().nullable(),
          both: z.string().nullish(),
          default: z.int().default(1),
          prefault: z.int().prefault(1),
          nonoptional: z.string().optional().nonoptional(),
          caught: z.string().catch(""),
          orNull: z.union([z.string(), z.null()]),
          literalOrNull: z.literal(["a", null]),
          list: z.array(z.string()),
          listOrNot: z.array(z.string()).optional(),
          json: json().nullable(),
        }),
      ),
      {
        optional: "STRING?",
        nullable: "STRING?",
        both: "STRING?",
        default: "INT64?",
        prefault: "INT64?",
        nonoptional: "STRING",
        caught: "STRING",
        orNull: "STRING?",
        literalOrNull: "STRING?",
        list: "STRING[]",
        listOrNot: "STRING[]",
        json: "JSON?",
      },
    );
  });

  test("lets the output decide", () => {
    assert.deepEqual(
      brief(
        z.object({
          parsed: z.string().transform(Number).pipe(z.number()),
          coerced: z.coerce.date(),
          preprocessed: z.preprocess((value) => value, z.boolean()),
          codec: z.codec(z.string(), z.date(), {
            decode: (text) => new Date(text),
            encode: (date) => date.toISOString(),
          }),
          bool: z.stringbool(),
          branded: z.string().brand("Address"),
          readonly: z.iso.date().readonly(),
          lazy: z.lazy(() => z.int()),
          refined: decimal({ precision: 5, scale: 2 })
            .refine((text) => text !== "0")
            .meta({ title: "price" }),
          sameType: z.union([z.literal("a"), z.enum(["b", "c"])]),
          orNaN: z.number().or(z.nan()),
        }),
      ),
      {
        parsed: "FLOAT64",
        coerced: "TIMESTAMP",
        preprocessed: "BOOL",
        codec: "TIMESTAMP",
        bool: "BOOL",
        branded: "STRING",
        readonly: "DATE",
        lazy: "INT64",
        refined: "NUMERIC",
        sameType: "STRING",
        orNaN: "FLOAT64",
      },
    );
  });

  test("nests", () => {
    const place = z.strictObject({
      city: z.string(),
      tags: z.array(z.string()),
      at: z.object({ lat: z.number() }).nullable(),
    });
    assert.deepEqual(brief(z.object({ home: place, others: z.array(place), maybe: place.optional() })), {
      home: { REQUIRED: { city: "STRING", tags: "STRING[]", at: { NULLABLE: { lat: "FLOAT64" } } } },
      others: { REPEATED: { city: "STRING", tags: "STRING[]", at: { NULLABLE: { lat: "FLOAT64" } } } },
      maybe: { NULLABLE: { city: "STRING", tags: "STRING[]", at: { NULLABLE: { lat: "FLOAT64" } } } },
    });
  });

  for (const [what, schema, expected] of [
    ["any", z.any(), /schema, field deep.x: z.any\(\) .* \(json\(\)/],
    ["unknown", z.unknown(), /deep.x: z.unknown\(\).*json\(\)/],
    ["a record", z.record(z.string(), z.string()), /deep.x: z.record\(\).*json\(\), or an array of objects/],
    ["a map", z.map(z.string(), z.string()), /z.map\(\).*array of objects/],
    ["a set", z.set(z.string()), /z.set\(\).*z.array\(\)/],
    ["a tuple", z.tuple([z.string()]), /z.tuple\(\).*z.object\(\)/],
    ["an intersection", z.intersection(z.object({ a: z.string() }), z.object({ b: z.string() })), /extend/],
    ["null alone", z.null(), /nullable/],
    ["a symbol", z.symbol(), /docs\/types.md/],
    ["a transform", z.string().transform((text) => text.length), /add .pipe/],
    ["a custom schema", z.custom<string>(), /bytes\(\)/],
    ["another class", z.instanceof(Map), /bytes\(\)/],
    ["zod's own recursive JSON", z.json(), /contains itself.*json\(\)/],
    ["an array of arrays", z.array(z.array(z.string())), /array of arrays/],
    ["nullable elements", z.array(z.string().nullable()), /elements cannot be missing or null/],
    ["optional elements", z.array(z.string().optional()), /elements cannot be missing or null/],
    ["a loose object", z.looseObject({ a: z.string() }), /unknown properties/],
    ["a catchall", z.object({ a: z.string() }).catchall(z.string()), /unknown properties/],
    ["an empty object", z.object({}), /without properties/],
    ["a union of types", z.union([z.string(), z.int()]), /union of several types/],
    ["a union of INT64 and FLOAT64", z.union([z.int(), z.number()]), /union of several types/],
    [
      "a union of objects",
      z.discriminatedUnion("t", [z.object({ t: z.literal(1) }), z.object({ t: z.literal(2) })]),
      /union of several types/,
    ],
    ["mixed literals", z.literal(["a", 1]), /values of several types/],
    ["a time with and without a zone", z.iso.datetime({ local: true, offset: true }), /either local .* or offset/],
  ] as const)
    test(`refuses ${what}, with its path and the remedy`, () => {
      assert.match(
        refusal(() => z.object({ deep: z.object({ x: schema }) })),
        expected,
      );
    });

  test("refuses a schema that contains itself, whichever way", () => {
    const tree = z.object({
      name: z.string(),
      get children() {
        return z.array(tree);
      },
    });
    assert.match(
      refusal(() => tree),
      /children\[\]: a schema that contains itself/,
    );
    const lazy: z.ZodType = z.lazy(() => lazy.optional());
    assert.match(
      refusal(() => z.object({ lazy })),
      /contains itself/,
    );
    const list: z.ZodType = z.lazy(() => z.array(list));
    assert.match(
      refusal(() => z.object({ list })),
      /contains itself/,
    );
  });

  test("takes the same schema twice, side by side", () => {
    const point = z.object({ x: z.number() });
    assert.equal(columnsOf(z.object({ from: point, to: point })).length, 2);
  });

  test("nests 15 deep and no deeper", () => {
    const nested = (depth: number): z.ZodObject => {
      let schema: z.ZodObject = z.object({ x: z.string() });
      for (let at = 0; at < depth; at++) schema = z.object({ x: schema });
      return schema;
    };
    assert.equal(columnsOf(nested(15)).length, 1);
    assert.match(
      refusal(() => nested(16)),
      /more than 15 deep/,
    );
  });

  for (const [name, expected] of [
    ["with space", /not a legal name/],
    ["1st", /not a legal name/],
    ["", /not a legal name/],
    ["ä", /not a legal name/],
    ["_PARTITIONTIME", /begins with _PARTITION/],
    ["_table_suffix", /begins with _TABLE_/],
    ["_File_name", /begins with _FILE_/],
    ["__root__x", /begins with __ROOT__/],
    ["x".repeat(301), /more than 300/],
  ] as const)
    test(`refuses the name ${JSON.stringify(name.slice(0, 20))}`, () => {
      assert.match(
        refusal(() => z.object({ [name]: z.string() })),
        expected,
      );
      assert.match(
        refusal(() => z.object({ inner: z.object({ [name]: z.string() }) })),
        expected,
      );
    });

  test("refuses __proto__ as a name, and a name twice in other letters", () => {
    assert.match(
      refusal(() =>
        z.object(Object.defineProperty({ a: z.string() }, "__proto__", { value: z.string(), enumerable: true })),
      ),
      /__proto__/,
    );
    assert.match(
      refusal(() => z.object({ Day: z.string(), day: z.string() })),
      /Day and day differ in letter case only/,
    );
  });
});

describe("decimal", () => {
  test("is NUMERIC where that holds it, and BIGNUMERIC otherwise", () => {
    const type = (precision: number, scale: number): string =>
      brief(z.object({ x: decimal({ precision, scale }) }))["x"] as string;
    assert.equal(type(29, 0), "NUMERIC");
    assert.equal(type(38, 9), "NUMERIC");
    assert.equal(type(1, 1), "NUMERIC");
    assert.equal(type(30, 10), "BIGNUMERIC");
    assert.equal(type(18, 18), "BIGNUMERIC");
  });
  for (const [precision, scale] of [
    [30, 0],
    [38, 19],
    [31, 10],
    [0, 0],
    [5, 6],
    [5, -1],
    [5.5, 1],
    [Number.NaN, 0],
  ] as const)
    test(`refuses precision ${precision} and scale ${scale}`, () => {
      assert.throws(() => decimal({ precision, scale }), DefinitionError);
    });
});
