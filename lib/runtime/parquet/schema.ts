/** BigQuery's columns as Parquet's schema, so that a load gives back the very same types. */
import type { SchemaElement } from "./thrift.ts";
import { DefinitionError } from "../../core/errors.ts";
import { DECIMALS } from "../../core/row-values.ts";
import type { Column, ColumnType } from "../../core/table.ts";

/** A column without fields, at the end of its path. */
export interface Leaf {
  readonly column: Column;
  /** The names of its columns, for people. */
  readonly name: string;
  readonly path: readonly string[];
  readonly element: SchemaElement;
  /** How many of the path's parts may be missing (or be empty lists). */
  readonly maxDefinition: number;
  /** How many of the path's parts are lists. */
  readonly maxRepetition: number;
}

const REPETITIONS = Object.freeze({ NULLABLE: "OPTIONAL", REQUIRED: "REQUIRED" } as const);
const [LIST, ELEMENT] = ["list", "element"] as const;

type Physical = Omit<SchemaElement, "name" | "repetition_type">;

const ELEMENTS: Readonly<Partial<Record<ColumnType, Physical>>> = {
  BOOL: { type: "BOOLEAN" },
  INT64: { type: "INT64" },
  FLOAT64: { type: "DOUBLE" },
  NUMERIC: decimal(DECIMALS.NUMERIC),
  BIGNUMERIC: decimal(DECIMALS.BIGNUMERIC),
  STRING: { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
  BYTES: { type: "BYTE_ARRAY" },
  DATE: { type: "INT32", converted_type: "DATE", logical_type: { type: "DATE" } },
  // Parquet's older annotations mean UTC, which these two are not in.
  DATETIME: { type: "INT64", logical_type: { type: "TIMESTAMP", isAdjustedToUTC: false, unit: "MICROS" } },
  TIME: { type: "INT64", logical_type: { type: "TIME", isAdjustedToUTC: false, unit: "MICROS" } },
  TIMESTAMP: {
    type: "INT64",
    converted_type: "TIMESTAMP_MICROS",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MICROS" },
  },
  JSON: { type: "BYTE_ARRAY", converted_type: "JSON", logical_type: { type: "JSON" } },
};

function decimal({ precision, scale }: { readonly precision: number; readonly scale: number }): Physical {
  return {
    type: "FIXED_LEN_BYTE_ARRAY",
    type_length: 16,
    converted_type: "DECIMAL",
    precision,
    scale,
    logical_type: { type: "DECIMAL", precision, scale },
  };
}

/** The schema's elements, depth first, as the footer lists them. Throws `DefinitionError` for a type that no row has. */
export function schemaElements(columns: readonly Column[]): SchemaElement[] {
  return [{ name: "row", num_children: columns.length }, ...columns.flatMap(elementsOf)];
}

/**
 * A list has the three levels that Parquet recommends, and neither it nor its elements may be missing, as in BigQuery's
 * REPEATED. BigQuery reads it as such with `enableListInference`. (A bare repeated field would need no such option, but
 * DuckDB takes the only field of a repeated group for the element itself.)
 */
function elementsOf(column: Column): SchemaElement[] {
  const { name, mode, type } = column;
  if (mode === "REPEATED") {
    const list: SchemaElement = {
      name,
      repetition_type: "REQUIRED",
      converted_type: "LIST",
      logical_type: { type: "LIST" },
      num_children: 1,
    };
    const items: SchemaElement = { name: LIST, repetition_type: "REPEATED", num_children: 1 };
    return [list, items, ...elementsOf({ ...column, name: ELEMENT, mode: "REQUIRED" })];
  }
  if (type !== "STRUCT") return [elementOf(column)];
  const fields = column.fields ?? [];
  const group = { name, repetition_type: REPETITIONS[mode], num_children: fields.length };
  return [group, ...fields.flatMap(elementsOf)];
}

function elementOf(column: Column): SchemaElement {
  const physical = ELEMENTS[column.type];
  if (physical === undefined)
    throw new DefinitionError(`the column ${column.name} is ${column.type}, which rows cannot be written as`, {
      remedy: "see docs/types.md",
    });
  const mode = column.mode === "NULLABLE" ? "NULLABLE" : "REQUIRED";
  return { name: column.name, repetition_type: REPETITIONS[mode], ...physical };
}

/** The leaf of a scalar column whose enclosing columns are `parents`, outermost first. */
export function leafOf(column: Column, parents: readonly Column[]): Leaf {
  const path = [...parents, column];
  return {
    column,
    name: path.map(({ name }) => name).join("."),
    path: path.flatMap(({ name, mode }) => (mode === "REPEATED" ? [name, LIST, ELEMENT] : [name])),
    element: elementOf(column),
    maxDefinition: path.filter(({ mode }) => mode !== "REQUIRED").length,
    maxRepetition: path.filter(({ mode }) => mode === "REPEATED").length,
  };
}
