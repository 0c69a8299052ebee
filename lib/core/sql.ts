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

/** A value that is known only when a run starts. */
export interface SqlPlaceholder {
  readonly kind: "placeholder";
  readonly of: "partition" | "config";
  readonly name: string;
}

/** A value in the form that a manifest can hold. */
export interface SqlParameter {
  readonly kind: "parameter";
  readonly parameter: QueryParameter;
}

export type SqlScalar = string | number | boolean | bigint | Date | null;
export type SqlValue =
  | SqlScalar
  | readonly SqlScalar[]
  | AssetReference
  | SqlIdentifier
  | SqlTable
  | SqlPlaceholder
  | SqlParameter
  | SqlTemplate;

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

/** `undefined` is accepted only as a table that may be missing, which is the type of `context.target`. */
type Known<V> = undefined extends V ? (TableRef extends V ? V : never) : V;

function template<const V extends readonly (SqlValue | TableRef | undefined)[]>(
  strings: TemplateStringsArray,
  ...values: { readonly [I in keyof V]: Known<V[I]> }
): SqlTemplate {
  return { kind: "sql", strings: [...strings], values: values.map((value, i) => valueOf(value, strings[i] ?? "")) };
}

/** A table by itself, such as `context.target`, is a table; `undefined` would silently become something else. */
function valueOf(value: SqlValue | TableRef | undefined, before: string): SqlValue {
  if (value === undefined) {
    throw new DefinitionError(`the value after ${JSON.stringify(before.trimStart().slice(-40))} is undefined`, {
      remedy: "give a value, or null; context.target is there when the asset has a target and no I/O manager",
    });
  }
  return isTable(value) ? { kind: "table", table: value } : value;
}

function isTable(value: SqlValue | TableRef): value is TableRef {
  return value !== null && typeof value === "object" && "dataset" in value && "table" in value && !("kind" in value);
}

/** The tag for GoogleSQL: `` sql`SELECT * FROM ${asset} WHERE day = ${day}` ``. Throws `DefinitionError` for `undefined`. */
export const sql = Object.freeze(
  Object.assign(template, {
    /** A column or table name chosen by code; letters, digits and underscores only. */
    id: (name: string): SqlIdentifier => ({ kind: "identifier", name: checkIdentifier(name, "identifier") }),
    /** A table that is no asset. */
    table: (table: TableRef): SqlTable => ({ kind: "table", table }),
    /** A field of the request's config, for SQL that stands in a definition. */
    config: (name: string): SqlPlaceholder => ({ kind: "placeholder", of: "config", name }),
  }),
);

/**
 * The statement with `@p0`, `@p1`, … for its values. `tableOf` says where an asset's rows are, and `valueOf` what a placeholder
 * stands for; each throws for what was not declared.
 */
export function renderSql(
  statement: SqlTemplate,
  tableOf: (asset: AssetKey) => TableRef,
  valueOf: (placeholder: SqlPlaceholder) => SqlScalar | readonly SqlScalar[] = noValue,
): RenderedSql {
  const parameters: Record<string, QueryParameter> = {};
  const assets = new Set<AssetKey>();
  const render = (part: SqlTemplate): string =>
    part.strings.map((text, i) => text + (i < part.values.length ? renderValue(part.values[i] ?? null) : "")).join("");
  const named = (parameter: QueryParameter): string => {
    const name = `p${Object.keys(parameters).length}`;
    parameters[name] = parameter;
    return `@${name}`;
  };
  const renderValue = (value: SqlValue): string => {
    if (value !== null && typeof value === "object" && "kind" in value) {
      switch (value.kind) {
        case "sql":
          return render(value);
        case "identifier":
          return `\`${checkIdentifier(value.name, "identifier")}\``;
        case "table":
          return quoteTable(value.table);
        case "asset":
          assets.add(value.key);
          return quoteTable(tableOf(value.key));
        case "placeholder":
          return renderValue(valueOf(value));
        case "parameter":
          return named(value.parameter);
        default:
          throw new DefinitionError("an object cannot be a query parameter", {
            remedy: "pass a text, a number, a boolean, a date, or an array of one of these",
          });
      }
    }
    return named(parameterOf(value));
  };
  const text = render(statement);
  return { text, parameters, assets: [...assets] };
}

function noValue(placeholder: SqlPlaceholder): never {
  throw new DefinitionError(`${placeholderName(placeholder)} has no value here`, {
    remedy: "use placeholders in the SQL of assets and checks",
  });
}

/** As an author would call it. */
export function placeholderName({ of, name }: SqlPlaceholder): string {
  return of === "partition" ? `partition.${name}` : `config ${name}`;
}

/** All values of a statement and of the templates in it, in the order in which they are written. */
export function valuesIn(statement: SqlTemplate): readonly Exclude<SqlValue, SqlTemplate>[] {
  return statement.values.flatMap((value) => (isTemplate(value) ? valuesIn(value) : [value]));
}

function isTemplate(value: SqlValue): value is SqlTemplate {
  return isKind(value) && value.kind === "sql";
}

function isKind(value: SqlValue): value is Extract<SqlValue, { readonly kind: string }> {
  return value !== null && typeof value === "object" && "kind" in value;
}

/** The assets that a statement reads, each once. */
export function assetsIn(statement: SqlTemplate): readonly AssetKey[] {
  const keys = valuesIn(statement).flatMap((value) => (isKind(value) && value.kind === "asset" ? [value.key] : []));
  return [...new Set(keys)];
}

/** The same statement as JSON: of an asset that it refers to only the key, and of a value its parameter. */
export function plainSql(statement: SqlTemplate): SqlTemplate {
  const values = statement.values.map((value): SqlValue => {
    if (!isKind(value)) return { kind: "parameter", parameter: parameterOf(value) };
    if (value.kind === "asset") return { kind: value.kind, key: value.key };
    return value.kind === "sql" ? plainSql(value) : value;
  });
  return { kind: "sql", strings: statement.strings, values };
}

/** A table's name as GoogleSQL writes it. Throws `DefinitionError` for a name that would need more than these quotes. */
export function quoteTable({ project, dataset, table }: TableRef): string {
  if (project !== undefined && !/^[A-Za-z0-9][A-Za-z0-9.:_-]*$/.test(project)) {
    throw new DefinitionError(`project ${JSON.stringify(project)} is not a legal name`, {
      remedy: "use a Google Cloud project id",
    });
  }
  const parts = [checkIdentifier(dataset, "dataset"), checkIdentifier(table, "table")];
  return `\`${[...(project === undefined ? [] : [project]), ...parts].join(".")}\``;
}

function parameterOf(value: SqlScalar | readonly SqlScalar[]): QueryParameter {
  if (Array.isArray(value)) {
    const items: readonly SqlScalar[] = value;
    return { type: itemType(items), array: true, value: items.map(plain) };
  }
  // Array.isArray does not narrow readonly arrays away.
  const scalar = value as SqlScalar;
  return { type: scalarType(scalar), value: plain(scalar) };
}

/** An array has one type; whole numbers among fractions are fractions. */
function itemType(items: readonly SqlScalar[]): QueryParameter["type"] {
  const types = new Set(items.filter((item) => item !== null).map(scalarType));
  if (types.has("FLOAT64") && !items.some((item) => typeof item === "bigint")) types.delete("INT64");
  const [type = "STRING", ...others] = types;
  if (others.length === 0) return type;
  throw new DefinitionError(`an array of ${[...types].join(" and ")} cannot be a query parameter`, {
    remedy: "pass items of one type",
  });
}

function scalarType(value: SqlScalar): QueryParameter["type"] {
  if (value === null || typeof value === "string") return "STRING";
  if (typeof value === "boolean") return "BOOL";
  if (typeof value === "bigint") return "INT64";
  if (!Number.isFinite(value instanceof Date ? value.getTime() : value))
    throw new DefinitionError(`${String(value)} cannot be a query parameter`, {
      remedy: "pass a finite number or a valid date",
    });
  if (value instanceof Date) return "TIMESTAMP";
  return Number.isSafeInteger(value) ? "INT64" : "FLOAT64";
}

function plain(value: SqlScalar): unknown {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Date ? value.toISOString() : value;
}
