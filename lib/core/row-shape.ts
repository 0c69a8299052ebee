/**
 * What a zod schema says about a row that has passed it: the output of every pipe, default and transform decides, since
 * that is what is stored. `columns.ts` makes columns of it, `row-codec.ts` checks and reads rows by it.
 */
import type { z } from "zod";
import { markOf, type Mark } from "./column-schemas.ts";
import { DefinitionError } from "./errors.ts";
import { checkColumnNames } from "./column-names.ts";
import type { ColumnType } from "./table.ts";

/** How JavaScript holds the value. INT64 is a number (`integer`) or a `bigint`, TIMESTAMP a `string` or a `date`. */
export type Form = "string" | "integer" | "bigint" | "float" | "boolean" | "date" | "bytes" | "json" | "struct";

export interface Shape {
  readonly type: ColumnType;
  readonly form: Form;
  readonly repeated: boolean;
  /** `undefined`, or no property at all, is a value. */
  readonly optional: boolean;
  readonly nullable: boolean;
  /** What zod puts in the place of a missing value. */
  readonly fill?: () => unknown;
  /** The only values there are, of an enum or of literals. */
  readonly values?: ReadonlySet<unknown>;
  readonly fields?: readonly Field[];
  /** Of a decimal. */
  readonly limits?: { readonly precision: number; readonly scale: number };
  /** Text with an offset from UTC is a value too. */
  readonly offset?: boolean;
  /**
   * The shape says all that the schema does: zod would let every value of this shape through, unchanged. `undefined`
   * in the place of a default is no such value.
   */
  readonly exact: boolean;
}

export interface Struct extends Shape {
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  readonly shape: Shape;
}

type Schema = z.core.$ZodType;

/** BigQuery nests STRUCTs at most so deep. */
const MAX_DEPTH = 15;
const MAX_COLUMNS = 10_000;

/** What a row is. Throws `DefinitionError` that names the field's path and the remedy. */
export function rowShape(schema: z.ZodObject): Struct {
  const shape = structOf(schema, []);
  const count = countLeaves(shape.fields);
  if (count > MAX_COLUMNS)
    throw refuse([], `there are ${count} columns, and a table has at most ${MAX_COLUMNS}`, "split it, or use json()");
  return shape;
}

interface Step {
  readonly name: string;
  readonly schema: Schema;
}
/** From the row to the field at hand, with the schemas on the way, by which a circle is seen. */
type Path = readonly Step[];

function shapeOf(schema: Schema, path: Path): Shape {
  const mark = markOf(schema);
  if (mark !== undefined) return ofMark(mark, (schema._zod.def.checks ?? []).length === 1);
  // Every schema is one of zod's own kinds; the union of them is what the type of a definition is told by.
  const { def, bag } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "string":
      return ofText(def, path);
    case "template_literal":
      return loose("STRING", "string");
    case "boolean":
      return { ...loose("BOOL", "boolean"), exact: isBare(def) };
    case "success":
      return loose("BOOL", "boolean");
    case "number":
      return ofNumber(def);
    case "nan":
      return loose("FLOAT64", "float");
    case "bigint":
      return { ...loose("INT64", "bigint"), exact: isBare(def) && (!("format" in def) || def.format === "int64") };
    case "date":
      return { ...loose("TIMESTAMP", "date"), exact: isBare(def) };
    case "enum":
      return ofValues(Object.values(def.entries).filter(isEntry(def.entries)), isBare(def), path);
    case "literal":
      return ofValues(def.values, isBare(def), path);
    case "custom":
      if (bag["Class"] === Uint8Array) return { ...loose("BYTES", "bytes"), exact: isBare(def) };
      throw refuse(
        path,
        "a custom schema has no column type",
        "bytes() for bytes, json() for JSON, or one of zod's own types",
      );
    case "object":
      return structOf(schema, path);
    case "array":
      return repeated(def, schema, path);
    case "union":
      return ofUnion(def.options, path);
    case "optional":
      return wrapped(def, path, (inner) => ({
        ...inner,
        optional: true,
        exact: inner.exact && isPlainOptional(schema, inner),
      }));
    case "nullable":
      return wrapped(def, path, (inner) => ({ ...inner, nullable: true }));
    case "nonoptional":
      return wrapped(def, path, (inner) => ({ ...inner, optional: false }));
    case "default":
    case "prefault":
      return wrapped(def, path, (inner) => ({ ...inner, optional: false, fill: filler(schema) }));
    case "catch":
      return wrapped(def, path, (inner) => inner);
    case "readonly":
      // zod freezes objects and arrays.
      return wrapped(def, path, (inner) => ({
        ...inner,
        exact: inner.exact && !inner.repeated && inner.form !== "struct",
      }));
    case "lazy":
      return shapeOf(lazyInner(def, schema, path), [...path, { name: "", schema }]);
    case "pipe":
      if (def.out._zod.def.type !== "transform") return { ...shapeOf(def.out, path), exact: false };
      throw refuse(path, "the type of a transform's result is not known", "add .pipe(…) with the schema of the result");
    default:
      throw refuse(
        path,
        `z.${def.type}() has no column type`,
        REMEDIES[def.type] ?? "use one of the types of docs/types.md",
      );
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  any: "json() for JSON, or the type itself",
  unknown: "json() for JSON, or the type itself",
  record: "json(), or an array of objects with a key and a value",
  map: "an array of objects with a key and a value",
  set: "z.array()",
  tuple: "z.object() with a name for each value",
  intersection: "z.object() with .extend()",
  null: "the type that the column has, with .nullable()",
  undefined: "the type that the column has, with .optional()",
  transform: "z.pipe() with the schema of the result",
  file: "bytes()",
};

function loose(type: ColumnType, form: Form): Shape {
  return { type, form, repeated: false, optional: false, nullable: false, exact: false };
}

/** Nothing but the type: no checks of the author's, no conversion. */
function isBare(def: z.core.$ZodTypeDef): boolean {
  return (def.checks ?? []).length === 0 && !("coerce" in def && def.coerce === true);
}

function wrapped(
  def: z.core.$ZodTypeDef & { readonly innerType: Schema },
  path: Path,
  wrap: (inner: Shape) => Shape,
): Shape {
  const shape = wrap(shapeOf(def.innerType, path));
  return { ...shape, exact: shape.exact && isBare(def) };
}

/** A default below an optional is still filled in, and an exact optional takes no `undefined`. */
function isPlainOptional(schema: Schema, inner: Shape): boolean {
  return inner.fill === undefined && !schema._zod.traits.has("$ZodExactOptional");
}

function ofMark(mark: Mark, exact: boolean): Shape {
  if (mark.type === "JSON") return { ...loose("JSON", "json"), exact };
  return { ...loose(mark.type, "string"), exact, limits: mark };
}

function structOf(schema: Schema, path: Path): Struct {
  // Only called for objects.
  const def = schema._zod.def as z.core.$ZodObjectDef;
  if (path.some((step) => step.schema === schema)) throw recursive(path);
  if (path.filter((step) => step.schema._zod.def.type === "object").length > MAX_DEPTH)
    throw refuse(path, `objects are nested more than ${MAX_DEPTH} deep`, "use json() for the inner ones");
  const rest = def.catchall?._zod.def.type;
  if (rest !== undefined && rest !== "never")
    throw refuse(path, "an object with unknown properties has no columns for them", "z.object() or z.strictObject()");
  const entries = Object.entries(def.shape);
  const names = entries.map(([name]) => name);
  checkColumnNames(names, whereOf(path));
  if (entries.length === 0) throw refuse(path, "an object without properties has no columns", "add one, or use json()");
  const fields = entries.map(([name, inner]) => ({ name, shape: shapeOf(inner, [...path, { name, schema }]) }));
  return {
    ...loose("STRUCT", "struct"),
    fields,
    exact: isBare(def) && fields.every(({ shape }) => shape.exact),
  };
}

function repeated(def: z.core.$ZodArrayDef, array: Schema, path: Path): Shape {
  if (path.some((step) => step.schema === array)) throw recursive(path);
  const shape = shapeOf(def.element, [...path, { name: "[]", schema: array }]);
  if (shape.repeated)
    throw refuse(path, "an array of arrays has no column type", "an array of objects that have an array");
  if (shape.optional || shape.nullable)
    throw refuse(path, "an array's elements cannot be missing or null", "leave such elements out, or use json()");
  return { ...shape, repeated: true, exact: shape.exact && isBare(def) && shape.fill === undefined };
}

/** A bare string format is told by its definition; `z.string().date()` and the like by their checks. */
function ofText(def: z.core.$ZodStringDef, path: Path): Shape {
  const formats = [def, ...(def.checks ?? []).map((check) => check._zod.def)].filter((one) => "format" in one);
  const exact = isBare(def) && !("precision" in def && typeof def.precision === "number");
  for (const format of formats) {
    if (format.format === "date") return { ...loose("DATE", "string"), exact };
    if (format.format === "time") return { ...loose("TIME", "string"), exact };
    if (format.format !== "datetime") continue;
    const local = "local" in format && format.local === true;
    const offset = "offset" in format && format.offset === true;
    if (local && offset)
      throw refuse(
        path,
        "a time with and without a zone has no column type",
        "either local (DATETIME) or offset (TIMESTAMP)",
      );
    return local ? { ...loose("DATETIME", "string"), exact } : { ...loose("TIMESTAMP", "string"), exact, offset };
  }
  return { ...loose("STRING", "string"), exact: exact && formats.length === 0 };
}

/** `z.int()` says so in its definition, `z.number().int()` in a check. */
function ofNumber(def: z.core.$ZodNumberDef): Shape {
  const formats = [def, ...(def.checks ?? []).map((check) => check._zod.def)].flatMap((one) =>
    "format" in one ? [String(one.format)] : [],
  );
  if (formats.some((format) => ["safeint", "int32", "uint32"].includes(format)))
    return { ...loose("INT64", "integer"), exact: isBare(def) && formats.every((format) => format === "safeint") };
  return { ...loose("FLOAT64", "float"), exact: isBare(def) && formats.length === 0 };
}

/** A TypeScript enum with numbers also maps its numbers back to names. */
function isEntry(entries: Readonly<Record<string, unknown>>): (value: unknown) => boolean {
  const numbers = Object.values(entries).filter((value) => typeof value === "number");
  const back = new Set<unknown>(numbers.map((value) => entries[value]));
  return (value) => typeof value === "number" || !back.has(value);
}

function ofValues(all: readonly unknown[], bare: boolean, path: Path): Shape {
  const values = all.filter((value) => value !== null && value !== undefined);
  const kinds = new Set(values.map(formOf));
  const form = kinds.size === 2 && kinds.has("integer") && kinds.has("float") ? "float" : [...kinds][0];
  if (form === undefined || (kinds.size > 1 && form !== "float"))
    throw refuse(path, "values of several types have no column type", "texts only, numbers only, or booleans only");
  return {
    ...loose(LITERALS[form], form),
    nullable: all.includes(null),
    optional: all.includes(undefined),
    values: new Set(values),
    exact: bare && values.every((value) => typeof value !== "string" || value.isWellFormed()),
  };
}

const LITERALS = Object.freeze({
  string: "STRING",
  boolean: "BOOL",
  bigint: "INT64",
  integer: "INT64",
  float: "FLOAT64",
} as const);

function formOf(value: unknown): keyof typeof LITERALS {
  if (typeof value === "number") return Number.isSafeInteger(value) ? "integer" : "float";
  return typeof value === "boolean" ? "boolean" : typeof value === "bigint" ? "bigint" : "string";
}

/** Scalars of one and the same type; `null` and `undefined` may be among them. */
function ofUnion(options: readonly Schema[], path: Path): Shape {
  const isGap = (option: Schema): boolean => ["null", "undefined", "void"].includes(option._zod.def.type);
  const shapes = options.filter((option) => !isGap(option)).map((option) => shapeOf(option, path));
  const [first] = shapes;
  const same = shapes.every(
    (one) => one.type === first?.type && one.form === first.form && !one.repeated && one.form !== "struct",
  );
  if (first === undefined || (shapes.length > 1 && !same))
    throw refuse(
      path,
      "a union of several types has no column type",
      "one z.object() with optional properties, or json()",
    );
  const kinds = options.map((option) => option._zod.def.type);
  const values = shapes.flatMap((one) => (one.values === undefined ? [] : [...one.values]));
  const { values: _own, fill: _default, ...base } = first;
  return {
    ...base,
    exact: false,
    nullable: kinds.includes("null") || shapes.some((one) => one.nullable),
    optional: kinds.some((kind) => kind === "undefined" || kind === "void") || shapes.some((one) => one.optional),
    ...(shapes.every((one) => one.values !== undefined) ? { values: new Set(values) } : {}),
  };
}

function filler(schema: Schema): () => unknown {
  // The full zod schema that carries the definition has `parse`; a core-only one would have come from zod/mini.
  const whole = schema as z.ZodType;
  return () => whole.parse(undefined);
}

function lazyInner(def: z.core.$ZodLazyDef, schema: Schema, path: Path): Schema {
  if (path.some((step) => step.schema === schema)) throw recursive(path);
  return def.getter();
}

function recursive(path: Path): DefinitionError {
  return refuse(path, "a schema that contains itself has no column type", "json()");
}

function countLeaves(fields: readonly Field[]): number {
  return fields.reduce((sum, { shape }) => sum + (shape.fields === undefined ? 1 : countLeaves(shape.fields)), 0);
}

function whereOf(path: Path): string {
  return path.reduce(
    (text, { name }) => (name === "" || name === "[]" ? text + name : text === "" ? name : `${text}.${name}`),
    "",
  );
}

function refuse(path: Path, message: string, remedy: string): DefinitionError {
  const where = whereOf(path);
  return new DefinitionError(where === "" ? `schema: ${message}` : `schema, field ${where}: ${message}`, { remedy });
}
