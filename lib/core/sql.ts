/**
 * GoogleSQL as a template: assets become tables, values become query parameters, identifiers are validated. No text of a
 * value ever becomes part of the statement.
 */
import type { AssetKey } from "./asset-key.ts";
import { DefinitionError } from "./errors.ts";
import type { TableRef } from "./table.ts";
import { checkIdentifier } from "./table.ts";

/** Anything with a key: an asset definition, without pulling its type in here. */
export interface AssetReference {
  readonly kind: "asset";
  readonly key: AssetKey;
}

export interface SqlIdentifier {
  readonly kind: "identifier";
  readonly name: string;
}

export interface SqlTable {
  readonly kind: "table";
  readonly table: TableRef;
}

export type SqlScalar = string | number | boolean | bigint | Date | null;
export type SqlValue = SqlScalar | readonly SqlScalar[] | AssetReference | SqlIdentifier | SqlTable | SqlTemplate;

export interface SqlTemplate {
  readonly kind: "sql";
  readonly strings: readonly string[];
  readonly values: readonly SqlValue[];
}

/** A value for a named query parameter (`@name`). `type` says what `null` and an empty array are of. */
export interface QueryParameter {
  readonly type:
    "STRING" | "INT64" | "FLOAT64" | "NUMERIC" | "BOOL" | "DATE" | "DATETIME" | "TIME" | "TIMESTAMP" | "BYTES" | "JSON";
  readonly array?: boolean;
  readonly value: unknown;
}

export interface RenderedSql {
  readonly text: string;
  readonly parameters: Readonly<Record<string, QueryParameter>>;
  readonly assets: readonly AssetKey[];
}

function template(strings: TemplateStringsArray, ...values: readonly SqlValue[]): SqlTemplate {
  return { kind: "sql", strings: [...strings], values };
}

/** The tag for GoogleSQL: `` sql`SELECT * FROM ${asset} WHERE day = ${day}` ``. */
export const sql = Object.freeze(
  Object.assign(template, {
    /** A column or table name chosen by code; letters, digits and underscores only. */
    id: (name: string): SqlIdentifier => ({ kind: "identifier", name: checkIdentifier(name, "identifier") }),
    /** A table that is no asset. */
    table: (table: TableRef): SqlTable => ({ kind: "table", table }),
  }),
);

/** The statement with `@p0`, `@p1`, … for its values. `tableOf` says where an asset's rows are; it throws for an undeclared one. */
export function renderSql(statement: SqlTemplate, tableOf: (asset: AssetKey) => TableRef): RenderedSql {
  const parameters: Record<string, QueryParameter> = {};
  const assets = new Set<AssetKey>();
  const render = (part: SqlTemplate): string =>
    part.strings.map((text, i) => text + (i < part.values.length ? renderValue(part.values[i] ?? null) : "")).join("");
  const renderValue = (value: SqlValue): string => {
    if (value !== null && typeof value === "object" && "kind" in value) {
      if (value.kind === "sql") return render(value);
      if (value.kind === "identifier") return `\`${value.name}\``;
      if (value.kind === "table") return quoteTable(value.table);
      assets.add(value.key);
      return quoteTable(tableOf(value.key));
    }
    const name = `p${Object.keys(parameters).length}`;
    parameters[name] = parameterOf(value);
    return `@${name}`;
  };
  const text = render(statement);
  return { text, parameters, assets: [...assets] };
}

/** A table's name as GoogleSQL writes it. */
export function quoteTable(table: TableRef): string {
  const parts = [...(table.project === undefined ? [] : [table.project]), table.dataset, table.table];
  return `\`${parts.join(".")}\``;
}

function parameterOf(value: SqlScalar | readonly SqlScalar[]): QueryParameter {
  if (Array.isArray(value)) {
    const first = (value as readonly SqlScalar[]).find((item) => item !== null);
    return { type: scalarType(first ?? null), array: true, value: (value as readonly SqlScalar[]).map(plain) };
  }
  // Array.isArray does not narrow readonly arrays away.
  const scalar = value as SqlScalar;
  return { type: scalarType(scalar), value: plain(scalar) };
}

function scalarType(value: SqlScalar): QueryParameter["type"] {
  if (value === null || typeof value === "string") return "STRING";
  if (typeof value === "boolean") return "BOOL";
  if (typeof value === "bigint") return "INT64";
  if (value instanceof Date) return "TIMESTAMP";
  if (!Number.isFinite(value))
    throw new DefinitionError(`${value} cannot be a query parameter`, { remedy: "pass a finite number" });
  return Number.isSafeInteger(value) ? "INT64" : "FLOAT64";
}

function plain(value: SqlScalar): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Date ? value.toISOString() : value;
}
