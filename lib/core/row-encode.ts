/** From the types of a schema into plain JSON values: what `row-decode.ts` reads back, and what the warehouse would give. */
import {
  base64Text,
  dateText,
  datetimeText,
  decimalText,
  floatValue,
  instantText,
  integerValue,
  timeText,
} from "./row-texts.ts";
import { clockAt, dateDays, daysAt, DECIMALS, unscaled } from "./row-values.ts";
import type { JsonValue } from "./row-values.ts";
import type { Field, Shape } from "./row-shape.ts";

/**
 * A row as plain JSON values, one for each column: INT64 beyond 2^53, decimals, dates and times as text, TIMESTAMP as ISO 8601
 * in UTC, BYTES in base64, NaN and infinities as text, NULL as `null`.
 */
export type PlainRow = Readonly<Record<string, JsonValue>>;

type Encode = (value: unknown) => JsonValue;

/** Encodes rows that the codec has let pass; anything else gives values of no meaning. */
export function rowEncoder(fields: readonly Field[]): (row: Readonly<Record<string, unknown>>) => PlainRow {
  const encoders = fields.map(({ name, shape }) => ({ name, encode: encoderOf(shape) }));
  return (row) => {
    const plain: Record<string, JsonValue> = {};
    for (const { name, encode } of encoders) plain[name] = encode(row[name]);
    return plain;
  };
}

function encoderOf(shape: Shape): Encode {
  const one = encodeOne(shape);
  // The codec has seen to it that what is repeated is an array.
  if (shape.repeated) return (value) => ((value ?? []) as readonly unknown[]).map(one);
  return (value) => (value === null || value === undefined ? null : one(value));
}

// Each cast below names what the codec has checked a value of this form to be.
function encodeOne(shape: Shape): Encode {
  switch (shape.form) {
    case "boolean":
      return (value) => value as boolean;
    case "integer":
      // Minus zero is no integer of its own.
      return (value) => (value as number) + 0;
    case "bigint":
      return (value) => integerValue(value as bigint);
    case "float":
      return (value) => floatValue(value as number);
    case "date":
      return (value) => `${instantText(BigInt((value as Date).getTime()) * 1000n)}Z`;
    case "bytes":
      return (value) => base64Text(value as Uint8Array);
    case "json":
      // A copy, as whoever stores the text gives it back.
      return (value) => JSON.parse(JSON.stringify(value)) as JsonValue;
    case "struct": {
      const encode = rowEncoder(shape.fields ?? []);
      return (value) => encode(value as Readonly<Record<string, unknown>>);
    }
    case "string": {
      const text = textEncoder(shape);
      return (value) => text(value as string);
    }
  }
}

function textEncoder({ type }: Shape): (text: string) => string {
  switch (type) {
    case "NUMERIC":
    case "BIGNUMERIC": {
      const { scale } = DECIMALS[type];
      return (text) => decimalText(BigInt(unscaled(text, scale)), scale);
    }
    case "DATE":
      return (text) => dateText(dateDays(text));
    case "TIME":
      return (text) => timeText(clockAt(text, 0, false));
    case "DATETIME":
      return (text) => datetimeText(daysAt(text), clockAt(text, 11, false));
    case "TIMESTAMP":
      return (text) => `${datetimeText(daysAt(text), clockAt(text, 11, true))}Z`;
    default:
      return (text) => text;
  }
}
