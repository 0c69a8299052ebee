/**
 * GoogleSQL to DuckDB's SQL, by an allow-list: what is translated gives the value and the type that BigQuery gives; anything
 * else is refused with its name and its place. Pure: it needs the tables' columns and the parameters' types, and runs nothing.
 */
import type { Column, TableRef } from "../../core/table.ts";
import { quoteName } from "../duckdb/sql.ts";
import type { Expression, Statement } from "./ast.ts";
import { emitDefinition, emitDml } from "./dml.ts";
import { orderTerms, type Relation } from "./emit.ts";
import { columnsOf, emitter, noted, viewKey, type Noted, type TranslateOptions, type ViewQuery } from "./emitter.ts";
import { tableRef } from "./from.ts";
import { lineAndColumn, Refusal } from "./lexer.ts";
import { parse } from "./parse.ts";
import { scannedColumns, type Scan } from "./scans.ts";
import { emptyScope } from "./scope.ts";
import { collectTables } from "./tables.ts";
import { columnFor, storedAs, typeText, type Type } from "./type.ts";
import { bindSql, fail, finished } from "./bind.ts";
import { coerce } from "./value.ts";

export type { TranslateOptions, ViewQuery } from "./emitter.ts";
export type { Scan } from "./scans.ts";

/** What a statement does to its target, once `sql` has been run. */
export type Effect =
  | { readonly kind: "select"; readonly schema: readonly Column[] }
  /** `sql` gives the rows of a new table. */
  | {
      readonly kind: "create-table-as" | "create-table";
      readonly target: TableRef;
      readonly replace: boolean;
      readonly ifNotExists: boolean;
      readonly schema: readonly Column[];
      readonly partitionBy?: string;
      readonly clusterBy: readonly string[];
    }
  | {
      readonly kind: "create-view";
      readonly target: TableRef;
      readonly replace: boolean;
      readonly ifNotExists: boolean;
      readonly schema: readonly Column[];
      readonly view: ViewQuery;
    }
  /** `sql` gives rows to add to the target. */
  | { readonly kind: "insert"; readonly target: TableRef }
  /** `sql` gives all the rows that the target has afterwards. */
  | { readonly kind: "merge" | "update" | "delete" | "truncate"; readonly target: TableRef }
  | { readonly kind: "drop"; readonly what: "table" | "view"; readonly target: TableRef; readonly ifExists: boolean };

/** What was found out about a statement's or an expression's SQL. */
interface Done {
  readonly kind: "ok";
  readonly sql: string;
  /** The named parameters that it uses, in lower case. `sql` has each as `$name`, a text. */
  readonly parameters: readonly string[];
  /** The columns that it reads of each table, through views. */
  readonly scans: readonly Scan[];
}

export interface Refused {
  readonly kind: "refused";
  readonly construct: string;
  readonly line: number;
  readonly column: number;
  readonly remedy?: string;
  /** As `Refusal` has it. */
  readonly why?: string;
}

export type Translation =
  | (Done & {
      readonly effect: Effect;
      /** The result's columns, under the names that GoogleSQL gives them. */
      readonly columns: readonly { readonly name: string; readonly type: string }[];
      /** The tables and views that it reads. */
      readonly reads: readonly TableRef[];
    })
  | Refused;

/** Translates one statement. It never throws for what a statement says. `sql` is empty for DROP, CREATE VIEW, and CREATE TABLE without a query. */
export function translateGoogleSql(sql: string, options: TranslateOptions): Translation {
  return guarded(sql, () => translated(parse(sql), options));
}

/** The same for a statement of the script `sql`. */
export function translateStatement(statement: Statement, sql: string, options: TranslateOptions): Translation {
  return guarded(sql, () => translated(statement, options));
}

/** One expression of the script `sql`, as a query of one row with the column `v`; as `wanted`, where that is given. */
export function translateExpression(
  node: Expression,
  wanted: Type | undefined,
  sql: string,
  options: TranslateOptions,
): (Done & { readonly type: Type }) | Refused {
  return guarded(sql, () => {
    const notes = noted();
    const found = emitter(options, notes).value(node, emptyScope);
    const { type, sql: text } = wanted === undefined ? found : coerce(found, wanted, "a variable");
    return { ...done(`SELECT ${text} AS v`, notes), type };
  });
}

function translated(statement: Statement, options: TranslateOptions): Extract<Translation, Done> {
  const notes = noted();
  const emit = emitter(options, notes);
  const finish = (effect: Effect, relation: Relation | undefined, text?: string): Extract<Translation, Done> => ({
    ...done(text ?? (relation === undefined ? "" : result(relation)), notes),
    effect,
    columns: (relation === undefined ? [] : namedColumns(relation)).map(({ name, type }) => ({
      name,
      type: typeText(type),
    })),
    reads: [...notes.reads.values()],
  });
  if (statement.kind === "query") {
    const relation = emit.relation(statement.query, emptyScope);
    const schema = namedColumns(relation).map(({ name, type }) => columnFor(name, type));
    return finish({ kind: "select", schema }, relation);
  }
  if (statement.kind === "create-table" || statement.kind === "drop") {
    if (statement.kind === "drop" || statement.what === "table") {
      const { effect, relation } = emitDefinition(statement, emit);
      return finish(effect, relation);
    }
    // A view keeps its query as it is, without what the job alone knows.
    notes.open.push(viewKey(emit.ref(statement.target)));
    const { effect } = emitDefinition(statement, emitter({ table: options.table }, notes));
    return { ...finish(effect, undefined), scans: [] };
  }
  const { effect, sql } = emitDml(statement, emit);
  const found = finish(effect, undefined, sql);
  return effect.kind === "truncate" ? { ...found, scans: [] } : found;
}

function done(text: string, notes: Noted): Done {
  const sql = finished(text);
  return { kind: "ok", sql, parameters: [...notes.parameters], scans: scannedColumns(sql, notes.scans) };
}

function guarded<T>(sql: string, work: () => T): T | Refused {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refused(sql, error);
  }
}

/** A refusal with its place in the text. */
export function refused(sql: string, { construct, at, remedy, why }: Refusal): Refused {
  return {
    kind: "refused",
    construct,
    ...lineAndColumn(sql, at),
    ...(remedy === undefined ? {} : { remedy }),
    ...(why === undefined ? {} : { why }),
  };
}

const DIFFERS = "the embedded engine does not run this as BigQuery does";

/** A refusal in one line: what, where, why, and what to write instead. */
export function refusalText({ construct, line, column, remedy, why = DIFFERS }: Refused): string {
  return `line ${line}, column ${column}: ${construct}: ${why}${remedy === undefined ? "" : `; ${remedy}`}`;
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

export interface Change {
  readonly table: TableRef;
  readonly line: number;
  readonly column: number;
}

/** The table that a statement of `sql` would change, and where it names it; `undefined` for a query. Throws `Refusal`. */
export function changeOf(
  statement: Statement,
  sql: string,
  temporary: (path: Exclude<Statement, { readonly kind: "query" }>["target"]) => TableRef | undefined = () => undefined,
): Change | undefined {
  if (statement.kind === "query") return undefined;
  const { target, at } = statement;
  return { table: temporary(target) ?? tableRef(target), ...lineAndColumn(sql, target[0]?.at ?? at) };
}

/** Columns without a name are called as BigQuery calls them. */
function namedColumns(
  relation: Relation,
): readonly { readonly name: string; readonly type: Type; readonly id: string }[] {
  return columnsOf(relation).map(({ name, type, id }, index) => ({ name: name ?? `f${index}_`, type, id }));
}

/** The statement's own result: its names, its order, and no array that is NULL or has a NULL in it. */
function result(relation: Relation): string {
  const items = namedColumns(relation).map(({ name, type, id }) => `${storable(id, type)} AS ${quoteName(name)}`);
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
