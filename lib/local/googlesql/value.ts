/** A translated expression: DuckDB SQL whose value and type are those of the GoogleSQL expression. */
import { bindSql, depthOf } from "./bind.ts";
import { quoteText } from "../duckdb/sql.ts";
import { refuse, type Place } from "./lexer.ts";
import { commonType, quoteField, sameType, storedAs, typeText, widens, type ScalarName, type Type } from "./type.ts";
import { dateLiteral, dateTimeLiteral, timeLiteral, timestampLiteral } from "./literal.ts";

export interface Value {
  readonly at: Place;
  readonly type: Type;
  readonly sql: string;
  /** Written out in the statement, or a parameter: such a value takes on more types than others do. */
  readonly constant?: Constant;
  /** Cheap and without effects, so that it may be repeated. */
  readonly atomic?: boolean;
}

export type Constant =
  | { readonly kind: "null" | "parameter" }
  | { readonly kind: "integer" | "float" | "string"; readonly text: string }
  | { readonly kind: "array" | "struct"; readonly items: readonly Value[] };

/** The text of a literal, for what must be known before the statement runs: a pattern, a format, a time zone, a path. */
export function literalText(value: Value): string | undefined {
  return value.constant?.kind === "string" ? value.constant.text : undefined;
}

export function typed(type: Type, sql: string): string {
  return `CAST(${sql} AS ${storedAs(type)})`;
}

export function nullOf(type: Type, at: Place): Value {
  return { at, type, sql: typed(type, "NULL"), constant: { kind: "null" }, atomic: true };
}

/** The value as `target`, where GoogleSQL does that by itself; `undefined` where it does not. */
export function coerced(value: Value, target: Type): Value | undefined {
  const { constant, at } = value;
  if (constant?.kind === "null") return nullOf(target, at);
  if (sameType(value.type, target)) return renamed(value, target);
  if (constant?.kind === "array" && target.kind === "array") {
    const items = constant.items.map((item) => coerced(item, target.element));
    const all = items.filter((item) => item !== undefined);
    if (all.length === items.length)
      return {
        at,
        type: target,
        sql: typed(target, `[${all.map(({ sql }) => sql).join(", ")}]`),
        constant: { kind: "array", items: all },
      };
  }
  if (constant?.kind === "struct" && target.kind === "struct" && constant.items.length === target.fields.length) {
    const parts = target.fields.map((field, index) => {
      const item = constant.items[index];
      const part = item === undefined ? undefined : coerced(item, field.type);
      return part === undefined ? undefined : `${quoteField(field.name)} := ${part.sql}`;
    });
    if (!parts.includes(undefined)) return { at, type: target, sql: `struct_pack(${parts.join(", ")})` };
  }
  const fromConstant = target.kind === "scalar" ? constantAs(value, target.name) : undefined;
  if (fromConstant !== undefined) return { at, type: target, sql: fromConstant, atomic: true };
  const isWide = widens(value.type, target) || becomes(value.type, target);
  if (!isWide) return undefined;
  return {
    at,
    type: target,
    sql: converted(value.sql, value.type, target),
    ...(value.atomic === true ? { atomic: true } : {}),
  };
}

/** Whether each field of a struct becomes the one at its place. */
function becomes(from: Type, to: Type): boolean {
  if (from.kind !== "struct" || to.kind !== "struct" || from.fields.length !== to.fields.length) return false;
  return from.fields.every((field, index) => {
    const target = to.fields[index]?.type ?? field.type;
    return widens(field.type, target) || becomes(field.type, target);
  });
}

/** Structs of one shape may differ in the names of their fields. */
function renamed(value: Value, target: Type): Value {
  return storedAs(value.type) === storedAs(target)
    ? { ...value, type: target }
    : { at: value.at, type: target, sql: converted(value.sql, value.type, target) };
}

/** A value of one type as another that it widens to. Fields go by their place: the engine's own cast goes by their names. */
export function converted(sql: string, from: Type, to: Type): string {
  if (storedAs(from) === storedAs(to)) return sql;
  if (from.kind === "array" && to.kind === "array") {
    if (from.element.kind !== "struct") return typed(to, sql);
    const name = `_v${depthOf(sql) + 1}`;
    return `list_transform(${sql}, lambda ${name}: ${converted(name, from.element, to.element)})`;
  }
  if (from.kind !== "struct" || to.kind !== "struct") return typed(to, sql);
  return bindSql(sql, (x) => {
    const fields = from.fields.map((field, index) => {
      const target = to.fields[index] ?? field;
      const part = `struct_extract(${x}, ${quoteText(field.name)})`;
      return `${quoteField(target.name)} := ${converted(part, field.type, target.type)}`;
    });
    return `CASE WHEN ${x} IS NULL THEN NULL ELSE struct_pack(${fields.join(", ")}) END`;
  });
}

function constantAs({ constant, sql, at, type }: Value, target: ScalarName): string | undefined {
  if (constant?.kind === "parameter" && type.kind === "scalar" && type.name === "STRING") {
    if (target === "DATE" || target === "TIMESTAMP" || target === "DATETIME" || target === "TIME")
      return `CAST(${sql} AS ${storedAs({ kind: "scalar", name: target })})`;
  }
  if (constant?.kind === "float" && target === "NUMERIC") return numericLiteral(constant.text, at);
  if (constant?.kind !== "string") return undefined;
  switch (target) {
    case "DATE":
      return dateLiteral(constant.text, at);
    case "TIMESTAMP":
      return timestampLiteral(constant.text, at);
    case "DATETIME":
      return dateTimeLiteral(constant.text, at);
    case "TIME":
      return timeLiteral(constant.text, at);
    default:
      return undefined;
  }
}

export function numericLiteral(text: string, at: Place): string {
  const match = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*$/.exec(text);
  if (match === null || ((match[2] ?? "") === "" && (match[3] ?? "") === ""))
    return refuse(`the NUMERIC ${JSON.stringify(text)}`, at);
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  const shift = Number(exponent) + 9;
  const digits = whole + fraction;
  const point = whole.length + shift;
  if (Math.abs(shift) > 400) refuse("a NUMERIC with such an exponent", at);
  const padded = point < 0 ? "0".repeat(-point) + digits : digits.padEnd(point, "0");
  const at9 = Math.max(point, 0);
  let scaled = BigInt(padded.slice(0, at9) || "0");
  // Half goes away from zero.
  if (padded.charAt(at9) >= "5") scaled += 1n;
  const shown = scaled.toString().padStart(10, "0");
  if (shown.length > 38) refuse("a NUMERIC out of range", at);
  return `CAST('${sign}${shown.slice(0, -9)}.${shown.slice(-9)}' AS DECIMAL(38,9))`;
}

/** The value as `target`; refuses what GoogleSQL would not do by itself. */
export function coerce(value: Value, target: Type, what = "a value"): Value {
  return (
    coerced(value, target) ??
    refuse(`${typeText(value.type)} as ${what} of type ${typeText(target)}`, value.at, "write a CAST")
  );
}

/** All values as the one type that GoogleSQL gives them together. */
export function unify(
  values: readonly Value[],
  what: string,
): { readonly type: Type; readonly values: readonly Value[] } {
  const type = unifiedType(values, what);
  return { type, values: values.map((value) => coerce(value, type, what)) };
}

function unifiedType(values: readonly Value[], what: string): Type {
  const real = values.filter(({ constant }) => constant?.kind !== "null");
  const [first] = real.length > 0 ? real : values;
  if (first === undefined) throw new Error("unify needs a value");
  // What is not written out decides; literals follow where they can.
  const fixed = real.filter(
    ({ constant }) => constant === undefined || constant.kind === "array" || constant.kind === "struct",
  );
  const deciding = fixed.length > 0 ? fixed : real.length > 0 ? real : [first];
  let type = deciding[0]?.type ?? first.type;
  for (const value of deciding) {
    if (coerced(value, type) !== undefined) continue;
    type =
      commonType(type, value.type) ??
      refuse(`${what} of ${typeText(type)} and ${typeText(value.type)}`, value.at, "write a CAST");
  }
  for (const value of real) {
    if (coerced(value, type) !== undefined) continue;
    type =
      commonType(type, value.type) ??
      refuse(`${what} of ${typeText(type)} and ${typeText(value.type)}`, value.at, "write a CAST");
  }
  return type;
}
