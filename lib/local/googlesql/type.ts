/** GoogleSQL's types: how they are written, what they are stored as, and which may stand for which. */
import type { Column, ColumnType } from "../../core/table.ts";
import type { TypeNode } from "./ast.ts";
import { refuse, type Place } from "./lexer.ts";

export type ScalarName = Exclude<ColumnType, "STRUCT">;

export interface Field {
  /** What it is stored under: its name, or `_field_1` for the first without one. */
  readonly name: string;
  readonly anonymous: boolean;
  readonly type: Type;
}

export type Type =
  | { readonly kind: "scalar"; readonly name: ScalarName }
  | { readonly kind: "array"; readonly element: Type }
  | { readonly kind: "struct"; readonly fields: readonly Field[] };

export function scalar(name: ScalarName): Type {
  return { kind: "scalar", name };
}

export const BOOL = scalar("BOOL");
export const INT64 = scalar("INT64");
export const FLOAT64 = scalar("FLOAT64");
export const NUMERIC = scalar("NUMERIC");
export const STRING = scalar("STRING");
export const BYTES = scalar("BYTES");
export const DATE = scalar("DATE");
export const DATETIME = scalar("DATETIME");
export const TIME = scalar("TIME");
export const TIMESTAMP = scalar("TIMESTAMP");
export const JSON_TYPE = scalar("JSON");

export function arrayOf(element: Type): Type {
  return { kind: "array", element };
}

export function structOf(fields: readonly { readonly name: string | undefined; readonly type: Type }[]): Type {
  return {
    kind: "struct",
    fields: fields.map(({ name, type }, index) => ({
      name: name ?? `_field_${index + 1}`,
      anonymous: name === undefined,
      type,
    })),
  };
}

export function isScalar(type: Type, ...names: readonly ScalarName[]): boolean {
  return type.kind === "scalar" && names.includes(type.name);
}

/** As GoogleSQL writes it: `ARRAY<STRUCT<a INT64, STRING>>`. */
export function typeText(type: Type): string {
  if (type.kind === "scalar") return type.name;
  if (type.kind === "array") return `ARRAY<${typeText(type.element)}>`;
  const fields = type.fields.map((field) => (field.anonymous ? "" : `${field.name} `) + typeText(field.type));
  return `STRUCT<${fields.join(", ")}>`;
}

/** What a scalar is stored as. BIGNUMERIC has 20 digits before the point and 18 after it here; BigQuery has 38 and 38. */
export const storedScalars: Readonly<Record<ScalarName, string>> = {
  BOOL: "BOOLEAN",
  INT64: "BIGINT",
  FLOAT64: "DOUBLE",
  NUMERIC: "DECIMAL(38,9)",
  BIGNUMERIC: "DECIMAL(38,18)",
  STRING: "VARCHAR",
  BYTES: "BLOB",
  DATE: "DATE",
  DATETIME: "TIMESTAMP",
  TIME: "TIME",
  TIMESTAMP: "TIMESTAMPTZ",
  JSON: "JSON",
  GEOGRAPHY: "VARCHAR",
  INTERVAL: "INTERVAL",
};

/** The type's name in DuckDB. */
export function storedAs(type: Type): string {
  if (type.kind === "scalar") return storedScalars[type.name];
  if (type.kind === "array") return `${storedAs(type.element)}[]`;
  return `STRUCT(${type.fields.map((field) => `${quoteField(field.name)} ${storedAs(field.type)}`).join(", ")})`;
}

export function quoteField(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function sameType(a: Type, b: Type): boolean {
  if (a.kind === "scalar") return b.kind === "scalar" && a.name === b.name;
  if (a.kind === "array") return b.kind === "array" && sameType(a.element, b.element);
  return (
    b.kind === "struct" &&
    a.fields.length === b.fields.length &&
    a.fields.every((field, index) => {
      const other = b.fields[index];
      return other !== undefined && sameType(field.type, other.type);
    })
  );
}

/** Every type that a value of this one becomes by itself, the nearest first. */
const widenings: Partial<Record<ScalarName, readonly ScalarName[]>> = {
  INT64: ["NUMERIC", "BIGNUMERIC", "FLOAT64"],
  NUMERIC: ["BIGNUMERIC", "FLOAT64"],
  BIGNUMERIC: ["FLOAT64"],
  DATE: ["DATETIME"],
};

export function widens(from: Type, to: Type): boolean {
  if (sameType(from, to)) return true;
  return from.kind === "scalar" && to.kind === "scalar" && (widenings[from.name] ?? []).includes(to.name);
}

/** The type that both become, if there is one. */
export function commonType(a: Type, b: Type): Type | undefined {
  // The first one's names are kept.
  if (sameType(a, b)) return a;
  if (widens(a, b)) return b;
  if (widens(b, a)) return a;
  if (a.kind === "struct" && b.kind === "struct" && a.fields.length === b.fields.length) {
    const fields = a.fields.map((field, index) => {
      const type = commonType(field.type, b.fields[index]?.type ?? field.type);
      return type === undefined ? undefined : { ...field, type };
    });
    const all = fields.filter((field) => field !== undefined);
    if (all.length === fields.length) return { kind: "struct", fields: all };
  }
  return undefined;
}

const names: Readonly<Record<string, ScalarName>> = {
  BOOL: "BOOL",
  BOOLEAN: "BOOL",
  INT64: "INT64",
  INT: "INT64",
  INTEGER: "INT64",
  BIGINT: "INT64",
  SMALLINT: "INT64",
  TINYINT: "INT64",
  BYTEINT: "INT64",
  FLOAT64: "FLOAT64",
  NUMERIC: "NUMERIC",
  DECIMAL: "NUMERIC",
  BIGNUMERIC: "BIGNUMERIC",
  BIGDECIMAL: "BIGNUMERIC",
  STRING: "STRING",
  BYTES: "BYTES",
  DATE: "DATE",
  DATETIME: "DATETIME",
  TIME: "TIME",
  TIMESTAMP: "TIMESTAMP",
  JSON: "JSON",
};

/** The type that a statement writes. Refuses what is not on the list, and lengths and precisions. */
export function typeOf(node: TypeNode): Type {
  if (node.kind === "array") {
    const element = typeOf(node.element);
    if (element.kind === "array") refuse("an array of arrays", node.at);
    return arrayOf(element);
  }
  if (node.kind === "struct") {
    const fields = node.fields.map(({ name, type }) => ({ name, type: typeOf(type) }));
    return checkedStruct(fields, node.at);
  }
  const name = Object.hasOwn(names, node.name) ? names[node.name] : undefined;
  if (name === undefined) return refuse(`the type ${node.name}`, node.at);
  if (node.arguments.length > 0)
    refuse(`the type ${node.name}(${node.arguments.join(", ")})`, node.at, `use ${name} and round`);
  return scalar(name);
}

/** A struct type whose fields the engine tells apart. */
export function checkedStruct(
  fields: readonly { readonly name: string | undefined; readonly type: Type }[],
  at: Place,
): Type {
  if (fields.length === 0) refuse("a struct without fields", at);
  const type = structOf(fields);
  const seen = new Set<string>();
  for (const { name } of type.kind === "struct" ? type.fields : []) {
    if (seen.has(name.toLowerCase())) refuse(`a struct with two fields ${name}`, at);
    seen.add(name.toLowerCase());
  }
  return type;
}

/** The type of a table's column. */
export function columnType(column: Column): Type {
  const one: Type =
    column.type === "STRUCT"
      ? structOf((column.fields ?? []).map((field) => ({ name: field.name, type: columnType(field) })))
      : scalar(column.type);
  return column.mode === "REPEATED" ? arrayOf(one) : one;
}

/** The column that a value of this type is stored in. */
export function columnFor(name: string, type: Type): Column {
  if (type.kind === "array") return { ...columnFor(name, type.element), mode: "REPEATED" };
  if (type.kind === "scalar") return { name, type: type.name, mode: "NULLABLE" };
  return {
    name,
    type: "STRUCT",
    mode: "NULLABLE",
    fields: type.fields.map((field) => columnFor(field.name, field.type)),
  };
}

/** Whether `=`, GROUP BY, DISTINCT and PARTITION BY take values of this type. */
export function isGroupable(type: Type): boolean {
  return type.kind === "scalar" && !["JSON", "GEOGRAPHY", "INTERVAL"].includes(type.name);
}
