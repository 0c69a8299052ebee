/**
 * What a reader must know of rows, as JSON: the fields of a schema without the schema. A function that reads the rows of an
 * asset of another file carries this and none of that file's code.
 */
import type { AssetDefinition } from "./asset.ts";
import { columnsOfFields } from "./columns.ts";
import { PermanentError } from "./errors.ts";
import { rowDecoder } from "./row-decode.ts";
import type { Field, Shape } from "./row-shape.ts";
import { textOfProblem } from "./row-fits.ts";
import { rowCodec } from "./row-codec.ts";
import type { Checked } from "./row-codec.ts";
import type { Column } from "./table.ts";

export type RowPlan = readonly PlannedField[];

export interface PlannedField {
  readonly name: string;
  readonly shape: PlannedShape;
}

/** A shape as JSON: what would be code, or a set, is values. */
export interface PlannedShape extends Omit<Shape, "fill" | "values" | "fields"> {
  readonly fill?: Encoded;
  readonly values?: readonly Encoded[];
  readonly fields?: RowPlan;
}

export interface RowReader {
  readonly columns: readonly Column[];
  /** A row as `Warehouse.rows` gives it, in the schema's types, as `RowCodec.decode` does. */
  decode(row: Readonly<Record<string, unknown>>): Checked<Readonly<Record<string, unknown>>>;
}

/** How an asset's rows are read: by its schema, or by the plan that a stub has in its place; `undefined`: any columns. */
export function readerOf({ schema, rows }: Pick<AssetDefinition, "schema" | "rows">): RowReader | undefined {
  if (schema !== undefined) return rowCodec(schema);
  return rows === undefined ? undefined : rowReader(rows);
}

/** The fields as JSON. What a default puts in place is worked out now, once. */
export function planOfFields(fields: readonly Field[]): RowPlan {
  return fields.map(({ name, shape }) => ({ name, shape: planOfShape(shape) }));
}

/** Reads rows by a plan that `planOfFields` made. */
export function rowReader(plan: RowPlan): RowReader {
  const fields = fieldsOfPlan(plan);
  const decode = rowDecoder(fields);
  return {
    columns: columnsOfFields(fields),
    decode(row) {
      const result = decode(row);
      return result.ok ? result : { ok: false, reason: textOfProblem(result.problem) };
    },
  };
}

function planOfShape({ fill, values, fields, ...plain }: Shape): PlannedShape {
  return {
    ...plain,
    ...(fill === undefined ? {} : { fill: encode(fill()) }),
    ...(values === undefined ? {} : { values: [...values].map(encode) }),
    ...(fields === undefined ? {} : { fields: planOfFields(fields) }),
  };
}

function fieldsOfPlan(plan: RowPlan): Field[] {
  return plan.map(({ name, shape: { fill, values, fields, ...plain } }) => ({
    name,
    shape: {
      ...plain,
      ...(fill === undefined ? {} : { fill: () => decode(fill) }),
      ...(values === undefined ? {} : { values: new Set(values.map(decode)) }),
      ...(fields === undefined ? {} : { fields: fieldsOfPlan(fields) }),
    },
  }));
}

/** JSON has no big integers, dates and bytes, and no infinities: each is an object with a kind and a text or a list. */
type Encoded =
  | string
  | number
  | boolean
  | null
  | readonly Encoded[]
  | { readonly $kind: "undefined" }
  | { readonly $kind: "bigint" | "number" | "date"; readonly text: string }
  | { readonly $kind: "bytes"; readonly bytes: readonly number[] }
  | { readonly $kind: "object"; readonly entries: readonly (readonly [string, Encoded])[] };

function encode(value: unknown): Encoded {
  if (value === undefined) return { $kind: "undefined" };
  if (typeof value === "bigint") return { $kind: "bigint", text: String(value) };
  if (typeof value === "number") return Number.isFinite(value) ? value : { $kind: "number", text: String(value) };
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (value instanceof Date) return { $kind: "date", text: value.toISOString() };
  if (value instanceof Uint8Array) return { $kind: "bytes", bytes: [...value] };
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === "object")
    return { $kind: "object", entries: Object.entries(value).map(([name, inner]) => [name, encode(inner)] as const) };
  throw new PermanentError(`a default of type ${typeof value} cannot be carried to another function`, {
    code: "bad-schema",
  });
}

function decode(value: Encoded): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (!("$kind" in value)) return value.map(decode);
  switch (value.$kind) {
    case "undefined":
      return undefined;
    case "bigint":
      return BigInt(value.text);
    case "number":
      return Number(value.text);
    case "date":
      return new Date(value.text);
    case "bytes":
      return Uint8Array.from(value.bytes);
    case "object":
      return Object.fromEntries(value.entries.map(([name, inner]) => [name, decode(inner)]));
  }
}
