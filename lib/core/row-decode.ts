/** From the warehouse's plain JSON values back into the types of a schema. */
import { MAX_INT64, MIN_INT64, isDecimal, isInstant, isJson, isTimestamp } from "./row-values.ts";
import { problem, storable, type Problem } from "./row-fits.ts";
import type { Field, Shape } from "./row-shape.ts";

export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };
type Row = Readonly<Record<string, unknown>>;
type Decode = (value: unknown) => Decoded<unknown>;

/** Reads rows with these fields. What the row has beyond them is left out. */
export function rowDecoder(fields: readonly Field[]): (row: Row) => Decoded<Row> {
  const decoders = fields.map(({ name, shape }) => ({ name, lower: name.toLowerCase(), decode: decoderOf(shape) }));
  return (row) => {
    const value: Record<string, unknown> = {};
    for (const { name, lower, decode } of decoders) {
      const result = decode(name in row ? row[name] : find(row, lower));
      if (!result.ok) return failed(result.problem, name);
      if (result.value !== undefined) value[name] = result.value;
    }
    return { ok: true, value };
  };
}

/** Column names differ in more than letter case. */
function find(row: Row, lower: string): unknown {
  for (const name in row) if (name.toLowerCase() === lower) return row[name];
  return undefined;
}

function failed(inner: Problem, key: PropertyKey): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem: { path: [key, ...inner.path], message: inner.message } };
}

function decoderOf(shape: Shape): Decode {
  const one = decodeOne(shape);
  const present = shape.repeated ? decodeEach(one) : one;
  return (value) => (value === null || value === undefined ? decodeNull(shape) : present(value));
}

/** NULL is null where the type has it, else the default, else a missing property; a missing array is empty. */
function decodeNull(shape: Shape): Decoded<unknown> {
  if (shape.nullable && !shape.repeated) return { ok: true, value: null };
  if (shape.form === "json" && !shape.repeated && !shape.optional) return { ok: true, value: null };
  if (shape.repeated) return { ok: true, value: [] };
  if (shape.fill !== undefined) return { ok: true, value: shape.fill() };
  if (shape.optional) return { ok: true, value: undefined };
  return {
    ok: false,
    problem: { path: [], message: "is NULL, and the schema has neither .nullable() nor .optional()" },
  };
}

function decodeEach(one: Decode): Decode {
  return (value) => {
    if (!Array.isArray(value)) return { ok: false, problem: problem(value, "is not an array") };
    const items: unknown[] = [];
    for (const [index, item] of value.entries()) {
      const result = one(item);
      if (!result.ok) return failed(result.problem, index);
      items.push(result.value);
    }
    return { ok: true, value: items };
  };
}

function decodeOne(shape: Shape): Decode {
  const { values } = shape;
  const convert = converterOf(shape);
  if (values === undefined) return convert;
  return (value) => {
    const result = convert(value);
    return !result.ok || values.has(result.value) ? result : no(value, "is none of the schema's values");
  };
}

function converterOf(shape: Shape): Decode {
  switch (shape.form) {
    case "struct": {
      const decode = rowDecoder(shape.fields ?? []);
      // A plain JSON value that is an object has texts for keys.
      return (value) => (isObject(value) ? decode(value as Row) : no(value, "is not a STRUCT"));
    }
    case "string":
      return textDecoder(shape);
    case "integer":
      return (value) => {
        const number = isIntegerText(value) ? Number(value) : value;
        return Number.isSafeInteger(number)
          ? yes(number)
          : no(value, "is no safe integer (z.bigint() reads all of INT64)");
      };
    case "bigint":
      return (value) => {
        const wide = Number.isSafeInteger(value) || isIntegerText(value) ? BigInt(value as number | string) : undefined;
        return wide !== undefined && wide >= MIN_INT64 && wide <= MAX_INT64 ? yes(wide) : no(value, "is not an INT64");
      };
    case "float":
      return (value) => {
        const number = typeof value === "string" && /^(?:NaN|-?Infinity)$/.test(value) ? Number(value) : value;
        return typeof number === "number" ? yes(number) : no(value, "is not a FLOAT64");
      };
    case "boolean":
      return (value) => (typeof value === "boolean" ? yes(value) : no(value, "is not a BOOL"));
    case "date":
      return (value) => {
        const date = typeof value === "string" && isTimestamp(value) ? new Date(value) : undefined;
        return date !== undefined && isInstant(date.getTime()) ? yes(date) : no(value, "is not a TIMESTAMP");
      };
    case "bytes":
      return (value) => (typeof value === "string" ? decodeBytes(value) : no(value, "is not BYTES in base64"));
    case "json":
      return (value) => (isJson(value) ? yes(value) : no(value, "is not JSON"));
  }
}

function textDecoder(shape: Shape): Decode {
  const { type } = shape;
  if (type === "NUMERIC" || type === "BIGNUMERIC") {
    return (value) => {
      const text = Number.isSafeInteger(value) ? String(value) : value;
      // A table made elsewhere may be wider than what is written here.
      return typeof text === "string" && isDecimal(text, 76, 38) ? yes(text) : no(value, `is not a ${type}`);
    };
  }
  const holds = storable(shape);
  return (value) => (holds(value) ? yes(value) : no(value, `is not a ${type}`));
}

function decodeBytes(text: string): Decoded<unknown> {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return no(text, "is not base64");
  return yes(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
}

function isIntegerText(value: unknown): value is string {
  return typeof value === "string" && /^-?\d{1,19}$/.test(value);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function yes(value: unknown): Decoded<unknown> {
  return { ok: true, value };
}

function no(value: unknown, message: string): Decoded<unknown> {
  return { ok: false, problem: problem(value, message) };
}
