/**
 * Whether a table can take rows of another schema. Columns are told apart by name without regard to letter case, as
 * BigQuery does, and their order does not matter.
 *
 * - A type never changes. `REPEATED` never becomes anything else, nor anything else `REPEATED`.
 * - A `REQUIRED` column of the table must stay `REQUIRED`, since rows without a value would be refused;
 *   a `NULLABLE` one takes `REQUIRED` data as it is.
 * - With `extend`, new columns are added, as `NULLABLE` (or `REPEATED`), and columns that the data lacks are left
 *   NULL (or empty), unless the table requires them. With `fail`, both are refused.
 * - The fields of a `STRUCT` follow the same rules, but are never added or left out: a warehouse adds columns at the
 *   end of a table, and not within one.
 */
import type { Column } from "./table.ts";

export type SchemaChange =
  | { readonly kind: "same" }
  | { readonly kind: "extend"; readonly add: readonly Column[] }
  | { readonly kind: "refused"; readonly reason: string };

export type SchemaChangeMode = "extend" | "fail";

/** `current` is the table's schema, `incoming` the one of the data. All reasons of a refusal are in its one line. */
export function compareSchemas(
  current: readonly Column[],
  incoming: readonly Column[],
  mode: SchemaChangeMode,
): SchemaChange {
  const { reasons, add } = compareColumns(current, incoming, mode === "extend", "");
  if (reasons.length > 0) return { kind: "refused", reason: reasons.join("; ") };
  return add.length > 0 ? { kind: "extend", add } : { kind: "same" };
}

interface Comparison {
  readonly reasons: readonly string[];
  readonly add: readonly Column[];
}

function compareColumns(
  current: readonly Column[],
  incoming: readonly Column[],
  extend: boolean,
  parent: string,
): Comparison {
  const reasons = duplicates(incoming).map((name) => `the column ${parent}${name} is there twice`);
  const add: Column[] = [];
  const old = byName(current);
  const now = byName(incoming);
  for (const [name, column] of now) {
    const before = old.get(name);
    if (before !== undefined) reasons.push(...columnReasons(before, column, `${parent}${before.name}`));
    else if (extend && parent === "") add.push(asAddition(column));
    else reasons.push(`the column ${parent}${column.name} is new${advice(parent)}`);
  }
  for (const [name, column] of old) {
    if (now.has(name)) continue;
    if (!extend || parent !== "") reasons.push(`the column ${parent}${column.name} is missing${advice(parent)}`);
    else if (column.mode === "REQUIRED")
      reasons.push(`the column ${column.name} is missing, but the table requires it`);
  }
  return { reasons, add };
}

function advice(parent: string): string {
  return parent === "" ? ' (schemaChange: "extend" would allow it)' : " (the fields of a STRUCT cannot be extended)";
}

function columnReasons(before: Column, now: Column, path: string): readonly string[] {
  if (before.type !== now.type) return [`the column ${path} changes from ${before.type} to ${now.type}`];
  const repeats = before.mode === "REPEATED" || now.mode === "REPEATED";
  const loosened = before.mode === "REQUIRED" && now.mode === "NULLABLE";
  if ((repeats && before.mode !== now.mode) || loosened) {
    return [`the column ${path} changes from ${before.mode} ${before.type} to ${now.mode} ${now.type}`];
  }
  if (before.type !== "STRUCT") return [];
  return compareColumns(before.fields ?? [], now.fields ?? [], false, `${path}.`).reasons;
}

/** Rows that are there already have no value for it. */
function asAddition(column: Column): Column {
  return column.mode === "REQUIRED" ? { ...column, mode: "NULLABLE" } : column;
}

function byName(columns: readonly Column[]): Map<string, Column> {
  return new Map(columns.map((column) => [column.name.toLowerCase(), column]));
}

function duplicates(columns: readonly Column[]): string[] {
  const names = columns.map(({ name }) => name.toLowerCase());
  return columns.filter(({ name }, index) => names.indexOf(name.toLowerCase()) !== index).map(({ name }) => name);
}
