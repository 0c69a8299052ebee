import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { bytes, decimal, json } from "../../lib/core/column-schemas.ts";
import { rowCodec } from "../../lib/core/row-codec.ts";
import { planOfFields, rowReader } from "../../lib/core/row-plan.ts";
import { rowShape } from "../../lib/core/row-shape.ts";

const schema = z.object({
  text: z.string(),
  tier: z.enum(["low", "high"]),
  big: z.bigint().default(2n ** 60n),
  score: z.number().default(Infinity),
  at: z.date().default(new Date("2024-05-01T00:00:00Z")),
  raw: bytes().default(new Uint8Array([1, 2])),
  amount: decimal({ precision: 10, scale: 2 }),
  anything: json(),
  day: z.iso.date().nullable(),
  maybe: z.string().optional(),
  tags: z.array(z.string()),
  inner: z.object({ n: z.int(), deep: z.array(z.object({ x: z.literal([1, 2]) })) }),
});

const row = {
  text: "a",
  tier: "low",
  big: "9007199254740993",
  score: 1.5,
  at: "2024-05-02T10:00:00.000Z",
  raw: "AQI=",
  amount: "12.5",
  anything: { $date: "no", list: [null, 1] },
  day: "2024-05-01",
  maybe: null,
  tags: ["x"],
  inner: { n: 1, deep: [{ x: 2 }] },
};

describe("a row plan", () => {
  const plan = JSON.parse(JSON.stringify(planOfFields(rowShape(schema).fields))) as ReturnType<typeof planOfFields>;
  const reader = rowReader(plan);
  const codec = rowCodec(schema);

  test("has the schema's columns", () => assert.deepEqual(reader.columns, codec.columns));

  for (const [what, given] of Object.entries({
    "a whole row": row,
    "names in other letters": { ...row, text: undefined, TEXT: "b" },
    "defaults in the place of NULL": { ...row, big: null, score: null, at: null, raw: null },
    "a value that no enum has": { ...row, tier: "none" },
    "a literal that is none": { ...row, inner: { n: 1, deep: [{ x: 3 }] } },
    "NULL where there must be a value": { ...row, text: null },
    "a fraction for a whole number": { ...row, inner: { n: 1.5, deep: [] } },
    "a text that is no decimal": { ...row, amount: "1e5" },
    "an array that is none": { ...row, tags: "x" },
  })) {
    test(`reads as the schema does: ${what}`, () => assert.deepEqual(reader.decode(given), codec.decode(given)));
  }

  test("a default that JSON cannot carry is refused, not lost", () => {
    const odd = z.object({ inner: z.object({ f: z.string() }).default(() => ({ f: Symbol("x") }) as never) });
    assert.throws(() => planOfFields(rowShape(odd).fields), /a default of type symbol cannot be carried/);
  });
});
