/** FROM: tables, subqueries, UNNEST, joins, PIVOT and UNPIVOT. */
import type { TableRef } from "../../core/table.ts";
import type { From, Name } from "./ast.ts";
import { quoteName } from "../duckdb/sql.ts";
import type { Emit, OutputColumn, Relation } from "./emit.ts";
import { rows } from "./expression.ts";
import { refuse } from "./lexer.ts";
import { comparison } from "./operators.ts";
import { pivoted, unpivoted } from "./pivot.ts";
import { columnIn, lookUp, type Scope, type ScopeColumn, type Source } from "./scope.ts";
import { BOOL, DATE, INT64, isGroupable, quoteField, TIMESTAMP, typeText } from "./type.ts";
import { coerce, unify, type Value } from "./value.ts";

/** What FROM gives: its SQL, and what its names mean. */
export interface Joined {
  readonly sql: string;
  readonly sources: readonly Source[];
  readonly columns: readonly ScopeColumn[];
}

/** A place for a new source, under a name that nothing else has. */
export function alias(emit: Emit): string {
  return `_t${emit.fresh()}`;
}

export function emitFrom(node: From, scope: Scope, emit: Emit): Joined {
  switch (node.kind) {
    case "table":
      return table(node, scope, emit);
    case "unnest":
      return unnest(node, scope, emit);
    case "subquery":
      return sourceOf(emit.relation(node.query, scope), node.alias?.text, emit);
    case "join":
      return join(node, scope, emit);
    case "pivot":
      return sourceOf(pivoted(node, emitFrom(node.of, scope, emit), scope, emit), node.alias?.text, emit);
    case "unpivot":
      return sourceOf(unpivoted(node, emitFrom(node.of, scope, emit), scope, emit), node.alias?.text, emit);
  }
}

/** A relation under a name. */
export function sourceOf(relation: Relation, name: string | undefined, emit: Emit): Joined {
  return named(`(${rows(relation)})`, relation.columns, relation.isValue, name, emit);
}

function named(
  sql: string,
  outputs: readonly OutputColumn[],
  isValue: boolean,
  name: string | undefined,
  emit: Emit,
): Joined {
  const id = alias(emit);
  const columns = outputs.map((column): ScopeColumn => ({
    name: column.name,
    type: column.type,
    sql: `${id}.${column.id}`,
  }));
  const [only] = columns;
  if (isValue && only !== undefined) {
    const source = valueSource(only, name);
    return { sql: `${sql} AS ${id}`, sources: [source], columns: source.columns };
  }
  return { sql: `${sql} AS ${id}`, sources: [{ alias: name, columns }], columns };
}

/** Rows that are values: a struct's fields are columns, and the alias alone is the whole. */
function valueSource(value: ScopeColumn, name: string | undefined): Source {
  const columns =
    value.type.kind === "struct"
      ? value.type.fields.map((field): ScopeColumn => ({
          name: field.anonymous ? undefined : field.name,
          type: field.type,
          sql: `struct_extract(${value.sql}, '${field.name.replaceAll("'", "''")}')`,
        }))
      : [{ name, type: value.type, sql: value.sql }];
  return { alias: name, columns, value: { type: value.type, sql: value.sql } };
}

function table(node: Extract<From, { readonly kind: "table" }>, scope: Scope, emit: Emit): Joined {
  const { path, at } = node;
  const [first] = path;
  if (first === undefined) return refuse("a table without a name", at);
  const cte = path.length === 1 ? scope.ctes.get(first.text.toLowerCase()) : undefined;
  if (cte !== undefined) return named(cte.sql, cte.columns, cte.isValue, node.alias?.text ?? first.text, emit);
  if (path.length > 1 && !node.quoted) {
    const head = lookUp(scope, first.text, at);
    if (head !== undefined)
      return refuse("a path to an array in FROM", at, `write UNNEST(${path.map(({ text }) => text).join(".")})`);
  }
  const ref = emit.ref(path);
  const shape = emit.table(ref, at);
  if (shape.view !== undefined) return sourceOf(shape.view, node.alias?.text ?? ref.table, emit);
  const id = alias(emit);
  emit.scan(id, ref);
  const columns = shape.columns.map((column): ScopeColumn => ({
    name: column.name,
    type: column.type,
    sql: `${id}.${quoteField(column.name)}`,
  }));
  const pseudo: readonly ScopeColumn[] = shape.ingestionTime
    ? [
        { name: "_PARTITIONTIME", type: TIMESTAMP, sql: `${id}."_PARTITIONTIME"`, hidden: true },
        {
          name: "_PARTITIONDATE",
          type: DATE,
          sql: `CAST(timezone('UTC', ${id}."_PARTITIONTIME") AS DATE)`,
          hidden: true,
        },
      ]
    : [];
  const sql = `${quoteName(ref.dataset, ref.table)} AS ${id}`;
  return { sql, sources: [{ alias: node.alias?.text ?? ref.table, columns: [...columns, ...pseudo] }], columns };
}

/** The table that a path names. Wildcards, decorators and INFORMATION_SCHEMA are refused. */
export function tableRef(path: readonly Name[]): TableRef {
  const parts = path.map(({ text }) => text);
  const at = path[0]?.at ?? 0;
  const shown = parts.join(".");
  if (parts.some((part) => part.toUpperCase() === "INFORMATION_SCHEMA")) refuse(`INFORMATION_SCHEMA (${shown})`, at);
  if (shown.includes("*")) refuse(`the wildcard table ${shown}`, at, "name one table");
  if (shown.includes("$"))
    refuse(`the partition decorator in ${shown}`, at, "filter by the partition's column or _PARTITIONTIME");
  const [table, dataset, project, more] = parts.toReversed();
  if (table === undefined || dataset === undefined || more !== undefined)
    return refuse(`the table name ${shown}`, at, "write dataset.table or project.dataset.table");
  return { dataset, table, ...(project === undefined ? {} : { project }) };
}

function unnest(node: Extract<From, { readonly kind: "unnest" }>, scope: Scope, emit: Emit): Joined {
  const value = emit.value(node.value, scope);
  if (value.type.kind !== "array") return refuse(`UNNEST of ${typeText(value.type)}`, node.at);
  const id = alias(emit);
  const offset = node.offset === undefined ? "" : `, unnest(range(len(${value.sql}))) AS _o`;
  const column: ScopeColumn = { name: node.alias?.text, type: value.type.element, sql: `${id}._v` };
  const source = valueSource(column, node.alias?.text);
  const offsets = node.offset === undefined ? [] : [{ name: node.offset.text, type: INT64, sql: `${id}._o` }];
  const sources = offsets.length === 0 ? [source] : [source, { alias: undefined, columns: offsets }];
  return {
    sql: `LATERAL (SELECT unnest(${value.sql}) AS _v${offset}) AS ${id}`,
    sources,
    columns: [...source.columns, ...offsets],
  };
}

function join(node: Extract<From, { readonly kind: "join" }>, scope: Scope, emit: Emit): Joined {
  const { at } = node;
  const left = emitFrom(node.left, scope, emit);
  // What is on the right may use arrays of what is on the left.
  const right = emitFrom(node.right, node.right.kind === "unnest" ? within(left, scope) : scope, emit);
  const sources = [...left.sources, ...right.sources];
  const aliases = sources.flatMap((source) => (source.alias === undefined ? [] : [source.alias.toLowerCase()]));
  if (new Set(aliases).size < aliases.length) refuse("two tables of one name in FROM", at, "give one an alias");
  const both: Joined = { sql: "", sources, columns: [...left.columns, ...right.columns] };
  if (node.using !== undefined) return joinUsing(node, node.using, left, right, both);
  if (node.on === undefined && node.type !== "CROSS" && node.right.kind !== "unnest")
    return refuse("a join without ON or USING", at);
  if (node.right.kind === "unnest" && (node.type === "RIGHT" || node.type === "FULL"))
    refuse(`${node.type} JOIN UNNEST`, at);
  if (node.type === "CROSS") {
    if (node.on !== undefined) refuse("CROSS JOIN with ON", at);
    return { ...both, sql: `${left.sql} CROSS JOIN ${right.sql}` };
  }
  const on =
    node.on === undefined ? "true" : coerce(emit.value(node.on, within(both, scope)), BOOL, "a join's condition").sql;
  return { ...both, sql: `${left.sql} ${node.type} JOIN ${right.sql} ON ${on}` };
}

/** The scope inside of FROM, where what was joined so far is seen. */
export function within(joined: Joined, scope: Scope): Scope {
  return {
    ...scope,
    sources: joined.sources,
    columns: joined.columns,
    parent: scope,
    aggregates: false,
    analytics: false,
  };
}

/** Columns of USING come once and first; their value is that of the side that has the row. */
function joinUsing(
  node: Extract<From, { readonly kind: "join" }>,
  using: readonly Name[],
  left: Joined,
  right: Joined,
  both: Joined,
): Joined {
  const merged: ScopeColumn[] = [];
  const conditions: string[] = [];
  for (const { text, at } of using) {
    const sides = [left, right].map((side): Value => {
      const column =
        columnIn({ alias: undefined, columns: side.columns }, text, at) ??
        refuse(`the unknown column ${text} in USING`, at);
      return { at, type: column.type, sql: column.sql, atomic: true };
    });
    const { type, values } = unify(sides, "USING");
    if (!isGroupable(type)) refuse(`USING of a column of type ${typeText(type)}`, at);
    const [a, b] = values;
    if (a === undefined || b === undefined) throw new Error("a join has two sides");
    conditions.push(comparison("=", a, b, at).sql);
    const sql = node.type === "RIGHT" ? b.sql : node.type === "FULL" ? `coalesce(${a.sql}, ${b.sql})` : a.sql;
    merged.push({ name: text, type, sql });
  }
  const names = new Set(using.map(({ text }) => text.toLowerCase()));
  const rest = both.columns.filter(({ name }) => name === undefined || !names.has(name.toLowerCase()));
  const kind = node.type === "CROSS" ? refuse("CROSS JOIN with USING", node.at) : node.type;
  return {
    sql: `${left.sql} ${kind} JOIN ${right.sql} ON ${conditions.join(" AND ")}`,
    sources: both.sources,
    columns: [...merged, ...rest],
  };
}
