/** One statement's translation under way: what its names, parameters, tables and views stand for. */
import type { QueryParameter } from "../../core/sql.ts";
import { formatTable, type Column, type TableRef } from "../../core/table.ts";
import type { Name } from "./ast.ts";
import type { Emit, Relation, TableShape } from "./emit.ts";
import { emitExpression, rows } from "./expression.ts";
import { tableRef } from "./from.ts";
import { emitCall } from "./functions.ts";
import { Refusal, refuse, type Place } from "./lexer.ts";
import { parse } from "./parse.ts";
import { emitQuery } from "./query.ts";
import { emptyScope } from "./scope.ts";
import { arrayOf, columnType, scalar, storedAs, type Type } from "./type.ts";
import { typed, type Value } from "./value.ts";

/** What a query sees of a table: its columns, and whether it is partitioned by ingestion time. Of a view, its query. */
export type Seen =
  | { readonly columns: readonly Column[]; readonly ingestionTime?: boolean; readonly view?: undefined }
  | { readonly columns: readonly Column[]; readonly view: ViewQuery };

export interface ViewQuery {
  /** GoogleSQL. */
  readonly sql: string;
  /** What the view calls its columns, where it does. */
  readonly names?: readonly string[];
}

export interface TranslateOptions {
  /** `undefined` when there is none. */
  readonly table: (table: TableRef) => Seen | undefined;
  /** The types of the named parameters. */
  readonly parameters?: Readonly<Record<string, Pick<QueryParameter, "type" | "array">>>;
  /** What the script has made so far, where the statement is part of one. */
  readonly script?: ScriptNames;
}

export interface ScriptNames {
  /** The variable of this name, in lower case, and its value in the engine. */
  readonly variable: (name: string) => { readonly type: Type; readonly sql: string } | undefined;
  /** Where its temporary tables are. */
  readonly dataset: string;
  readonly isTemporary: (table: string) => boolean;
}

/** What is found out on the way. */
export interface Noted {
  /** Parameters that are used, in lower case. */
  readonly parameters: Set<string>;
  /** Tables that are read, by their name as it is written. */
  readonly reads: Map<string, TableRef>;
  /** What stands for a table in the SQL: each column that is used is there behind it, with a dot. */
  readonly scans: Map<string, TableRef>;
  /** Views that are being read, the outermost first. */
  readonly open: string[];
  count: number;
}

export function noted(): Noted {
  return { parameters: new Set(), reads: new Map(), scans: new Map(), open: [], count: 0 };
}

/** The number of views that BigQuery lets one stand on the other. */
const deepest = 16;

export function emitter(options: TranslateOptions, notes: Noted): Emit {
  const { script } = options;
  const known = new Map(
    Object.entries(options.parameters ?? {}).map(([name, type]) => [name.toLowerCase(), type] as const),
  );
  const emit: Emit = {
    value: (node, scope) => emitExpression(node, scope, emit),
    relation: (query, scope) => emitQuery(query, scope, emit),
    call: (node, scope) => emitCall(node, scope, emit),
    fresh: () => ++notes.count,
    parameter(name, at) {
      const key = name.toLowerCase();
      const type = known.get(key) ?? refuse(`the parameter @${name}, which has no value`, at);
      notes.parameters.add(key);
      return parameterValue(key, type, at);
    },
    variable(name, at) {
      const found = script?.variable(name.toLowerCase());
      return found && { at, type: found.type, sql: typed(found.type, found.sql), atomic: true };
    },
    ref: (path) => scriptTable(path, script) ?? tableRef(path),
    scan: (id, table) => notes.scans.set(id, table),
    table(table, at): TableShape {
      const found = options.table(table);
      const shown = formatTable(table);
      if (found === undefined) return refuse(`the table ${shown}, which is not there`, at);
      notes.reads.set(shown, table);
      if (found.view !== undefined) {
        const relation = viewed(found.view, table, at);
        const columns = relation.columns.map(({ name, type }) => ({ name: name ?? "", type }));
        return { columns, ingestionTime: false, view: relation };
      }
      const columns = found.columns.map((column) => ({ name: column.name, type: columnType(column) }));
      return { columns, ingestionTime: found.ingestionTime ?? false };
    },
  };

  /** A view's rows, by its own query; nothing of the statement that reads it is seen there. */
  function viewed(view: ViewQuery, table: TableRef, at: Place): Relation {
    const shown = formatTable(table);
    const key = viewKey(table);
    if (notes.open.includes(key)) refuse(`the view ${shown}, which reads itself`, at);
    if (notes.open.length >= deepest) refuse(`the view ${shown} on top of ${deepest} others`, at);
    notes.open.push(key);
    try {
      const statement = parse(view.sql);
      if (statement.kind !== "query") throw new Error("a view is a query");
      const relation = emitQuery(statement.query, emptyScope, emitter({ table: options.table }, notes));
      return called(relation, view.names);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw new Refusal(`the view ${shown}, which has ${error.construct}`, at, error.remedy);
    } finally {
      notes.open.pop();
    }
  }

  return emit;
}

/** Projects are left out of account. */
export function viewKey({ dataset, table }: TableRef): string {
  return `${dataset}.${table}`;
}

/** A temporary table of the script that a path names. */
export function scriptTable(path: readonly Name[], script: ScriptNames | undefined): TableRef | undefined {
  const [name, more] = path;
  if (script === undefined || name === undefined || more !== undefined || !script.isTemporary(name.text))
    return undefined;
  return { dataset: script.dataset, table: name.text };
}

/** A relation whose columns have a place and a name each, as a table's have. */
function called(relation: Relation, names: readonly string[] | undefined): Relation {
  const outputs = columnsOf(relation);
  const items = outputs.map(({ id }, index) => `${id} AS _c${index}`).join(", ");
  const columns = outputs.map(({ name, type }, index) => ({
    name: names?.[index] ?? name,
    type,
    id: `_c${index}`,
  }));
  return { sql: `SELECT ${items} FROM (${rows(relation)})`, columns, order: [], isValue: false };
}

/** The columns of a statement or view: those of the struct, where each row is one. */
export function columnsOf(relation: Relation): Relation["columns"] {
  const [only] = relation.columns;
  if (relation.isValue && only?.type.kind === "struct")
    return only.type.fields.map((field, index) => ({
      name: field.anonymous ? `f${index}_` : field.name,
      type: field.type,
      id: `struct_extract(${only.id}, '${field.name.replaceAll("'", "''")}')`,
    }));
  return relation.columns;
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
