/**
 * GoogleSQL to DuckDB's SQL, by an allow-list: what is translated gives the value and the type that BigQuery gives; anything
 * else is refused with its name and its place. Pure: it needs the tables' columns and the parameters' types, and runs nothing.
 */
import type { QueryParameter } from "../../core/sql.ts";
import type { Column, TableRef } from "../../core/table.ts";
import { quoteName } from "../duckdb/sql.ts";
import { emitDefinition, emitDml } from "./dml.ts";
import { orderTerms, type Emit, type Relation, type TableShape } from "./emit.ts";
import { emitExpression } from "./expression.ts";
import { emitCall } from "./functions.ts";
import { lineAndColumn, Refusal, refuse, type Place } from "./lexer.ts";
import { parse } from "./parse.ts";
import { collectTables } from "./tables.ts";
import { tableRef } from "./from.ts";
import { emitQuery } from "./query.ts";
import { emptyScope } from "./scope.ts";
import { arrayOf, columnType, scalar, storedAs, typeText, type Type } from "./type.ts";
import { bindSql, fail, finished } from "./bind.ts";
import type { Value } from "./value.ts";

export interface TranslateOptions {
  /** The columns of a table, and whether it is partitioned by ingestion time; `undefined` when there is none. */
  readonly table: (
    table: TableRef,
  ) => { readonly columns: readonly Column[]; readonly ingestionTime?: boolean } | undefined;
  /** The types of the named parameters. */
  readonly parameters?: Readonly<Record<string, Pick<QueryParameter, "type" | "array">>>;
}

/** What a statement does to its target, once `sql` has been run. */
export type Effect =
  | { readonly kind: "select" }
  /** `sql` gives the rows of a new table or view. */
  | {
      readonly kind: "create-table-as" | "create-table" | "create-view";
      readonly target: TableRef;
      readonly replace: boolean;
      readonly ifNotExists: boolean;
      readonly schema: readonly Column[];
      readonly partitionBy?: string;
      readonly clusterBy: readonly string[];
    }
  /** `sql` gives rows to add to the target. */
  | { readonly kind: "insert"; readonly target: TableRef }
  /** `sql` gives all the rows that the target has afterwards. */
  | { readonly kind: "merge" | "update" | "delete" | "truncate"; readonly target: TableRef }
  | { readonly kind: "drop"; readonly target: TableRef; readonly ifExists: boolean };

export type Translation =
  | {
      readonly kind: "ok";
      readonly effect: Effect;
      /** DuckDB's SQL; empty for `drop`, and for `create-table` without a query. */
      readonly sql: string;
      /** The result's columns, under the names that GoogleSQL gives them. */
      readonly columns: readonly { readonly name: string; readonly type: string }[];
      /** The named parameters that the statement uses, in lower case. `sql` has each as `$name`, a text. */
      readonly parameters: readonly string[];
      /** The tables that it reads. */
      readonly reads: readonly TableRef[];
    }
  | {
      readonly kind: "refused";
      readonly construct: string;
      readonly line: number;
      readonly column: number;
      readonly remedy?: string;
    };

/** Translates one statement. It never throws for what a statement says. */
export function translateGoogleSql(sql: string, options: TranslateOptions): Translation {
  const parameters = new Map<string, string>();
  const reads = new Map<string, TableRef>();
  try {
    const statement = parse(sql);
    const emit = emitter(options, parameters, reads);
    const done = (effect: Effect, text: string, columns: Relation["columns"] = []): Translation => ({
      kind: "ok",
      effect,
      sql: finished(text),
      columns: columns.map(({ name, type }, index) => ({ name: name ?? `f${index}_`, type: typeText(type) })),
      parameters: [...parameters.keys()],
      reads: [...reads.values()],
    });
    if (statement.kind === "query") {
      const relation = emit.relation(statement.query, emptyScope);
      return done({ kind: "select" }, result(relation), named(relation));
    }
    if (statement.kind === "create-table" || statement.kind === "drop") {
      const { effect, relation, sql: text } = emitDefinition(statement, emit);
      return done(
        effect,
        relation === undefined ? (text ?? "") : result(relation),
        relation === undefined ? [] : named(relation),
      );
    }
    const { effect, sql: text } = emitDml(statement, emit);
    return done(effect, text);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { construct, remedy } = error;
    return { kind: "refused", construct, ...lineAndColumn(sql, error.at), ...(remedy === undefined ? {} : { remedy }) };
  }
}

/** A refusal in one line: what, where, and what to write instead. */
export function refusalText({
  construct,
  line,
  column,
  remedy,
}: Extract<Translation, { readonly kind: "refused" }>): string {
  return `line ${line}, column ${column}: ${construct}: the embedded engine does not run this as BigQuery does${remedy === undefined ? "" : `; ${remedy}`}`;
}

/** The tables that a statement names, found without knowing any of them; none for a statement that cannot be parsed. */
export function tablesOf(sql: string): readonly TableRef[] {
  const found = new Map<string, TableRef>();
  try {
    collectTables(parse(sql), new Set(), (ref) => {
      found.set(JSON.stringify(ref), ref);
    });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
  return [...found.values()];
}

/** The table that a statement would change, and where it names it; `undefined` for a query, and for what cannot be parsed. */
export function changedBy(
  sql: string,
): { readonly table: TableRef; readonly line: number; readonly column: number } | undefined {
  try {
    const statement = parse(sql);
    if (statement.kind === "query") return undefined;
    return { table: tableRef(statement.target), ...lineAndColumn(sql, statement.target[0]?.at ?? statement.at) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return undefined;
  }
}

function emitter(options: TranslateOptions, parameters: Map<string, string>, reads: Map<string, TableRef>): Emit {
  const known = new Map(
    Object.entries(options.parameters ?? {}).map(([name, type]) => [name.toLowerCase(), type] as const),
  );
  let counter = 0;
  const emit: Emit = {
    value: (node, scope) => emitExpression(node, scope, emit),
    relation: (query, scope) => emitQuery(query, scope, emit),
    call: (node, scope) => emitCall(node, scope, emit),
    fresh: () => ++counter,
    parameter(name, at) {
      const key = name.toLowerCase();
      const type = known.get(key) ?? refuse(`the parameter @${name}, which has no value`, at);
      parameters.set(key, name);
      return parameterValue(key, type, at);
    },
    table(table, at): TableShape {
      const found = options.table(table);
      const shown = [table.project, table.dataset, table.table].filter((part) => part !== undefined).join(".");
      if (found === undefined) return refuse(`the table ${shown}, which is not there`, at);
      reads.set(shown, table);
      const columns = found.columns.map((column) => ({ name: column.name, type: columnType(column) }));
      return { columns, ingestionTime: found.ingestionTime ?? false };
    },
  };
  return emit;
}

/** Parameters travel as texts, so that none loses digits; an array as JSON. */
function parameterValue(
  name: string,
  { type, array = false }: Pick<QueryParameter, "type" | "array">,
  at: Place,
): Value {
  const one = scalar(type);
  if (array) {
    const element = type === "BYTES" ? "from_base64(x)" : `CAST(x AS ${storedAs(one)})`;
    const sql = `list_transform(from_json(CAST($${name} AS VARCHAR), '["VARCHAR"]'), lambda x: ${element})`;
    return { at, type: arrayOf(one), sql };
  }
  const sql =
    type === "BYTES" ? `from_base64(CAST($${name} AS VARCHAR))` : `CAST(CAST($${name} AS VARCHAR) AS ${storedAs(one)})`;
  return { at, type: one, sql, constant: { kind: "parameter" }, atomic: true };
}

/** Columns without a name are called as BigQuery calls them. */
function named(relation: Relation): Relation["columns"] {
  const [only] = relation.columns;
  if (relation.isValue && only?.type.kind === "struct")
    return only.type.fields.map((field, index) => ({
      name: field.anonymous ? `f${index}_` : field.name,
      type: field.type,
      id: `struct_extract(${only.id}, '${field.name.replaceAll("'", "''")}')`,
    }));
  return relation.columns;
}

/** The statement's own result: its names, its order, and no array that is NULL or has a NULL in it. */
function result(relation: Relation): string {
  const items = named(relation).map(
    ({ name, type, id }, index) => `${storable(id, type)} AS ${quoteName(name ?? `f${index}_`)}`,
  );
  const order = relation.order.length === 0 ? "" : ` ORDER BY ${orderTerms(relation.order)}`;
  const limit = relation.limit === undefined ? "" : ` ${relation.limit}`;
  return `SELECT ${items.join(", ")} FROM (${relation.sql})${order}${limit}`;
}

/** A NULL array is written as an empty one; an array with a NULL cannot be written. */
export function storable(sql: string, type: Type): string {
  // A NULL alone has a type of its own in the engine.
  if (type.kind !== "array") return `CAST(${sql} AS ${storedAs(type)})`;
  return bindSql(
    `CAST(coalesce(${sql}, []) AS ${storedAs(type)})`,
    (x) =>
      `CASE WHEN list_count(${x}) < len(${x}) THEN ${fail("an array with a NULL element cannot be written")} ELSE ${x} END`,
  );
}
