/** Queries: WITH, SELECT with all its clauses, set operations, ORDER BY and LIMIT. */
import type { Body, Expression, Query } from "./ast.ts";
import type { Emit, OutputColumn, Relation } from "./emit.ts";
import { rows } from "./expression.ts";
import { outputOrder } from "./order.ts";
import { refuse } from "./lexer.ts";
import type { Cte, Scope } from "./scope.ts";
import { emitSelect } from "./select.ts";
import { commonType, INT64, isGroupable, storedAs, typeText, type Type } from "./type.ts";
import { coerce, coerced, type Value } from "./value.ts";

/** The query as a relation. Its order and limit are left to whoever uses it. */
export function emitQuery(query: Query, outer: Scope, emit: Emit): Relation {
  if (query.recursive) refuse("WITH RECURSIVE", query.at);
  const ctes = new Map<string, Cte>(outer.ctes);
  const defined = new Set<string>();
  for (const { name, query: inner } of query.with) {
    const key = name.text.toLowerCase();
    if (defined.has(key)) refuse(`two queries ${name.text} in WITH`, name.at);
    defined.add(key);
    const relation = emitQuery(inner, { ...outer, ctes: new Map(ctes) }, emit);
    ctes.set(key, { sql: `(${rows(relation)})`, columns: relation.columns, isValue: relation.isValue });
  }
  const scope: Scope = { ...outer, ctes };
  const limit = limitOf(query, scope, emit);
  const body = emitBody(query.body, query.orderBy, scope, emit);
  return limit === undefined ? body : { ...body, limit };
}

function emitBody(body: Body, orderBy: Query["orderBy"], scope: Scope, emit: Emit): Relation {
  if (body.kind === "select") return emitSelect(body, orderBy, scope, emit);
  const relation = body.kind === "query" ? flat(emitQuery(body, scope, emit)) : setOperation(body, scope, emit);
  return orderBy.length === 0 ? relation : { ...relation, order: outputOrder(relation.columns, orderBy, scope, emit) };
}

/** A query in parentheses: its own order holds only with its own limit. */
function flat(relation: Relation): Relation {
  return {
    sql: rows(relation),
    columns: relation.columns,
    order: relation.limit === undefined ? relation.order : [],
    isValue: relation.isValue,
  };
}

function setOperation(body: Extract<Body, { readonly kind: "set" }>, scope: Scope, emit: Emit): Relation {
  const { at, operator, distinct } = body;
  if (!distinct && operator !== "UNION") refuse(`${operator} ALL`, at, `write ${operator} DISTINCT`);
  const sides = [body.left, body.right].map((side) => flat(emitBody(side, [], scope, emit)));
  const [left, right] = sides;
  if (left === undefined || right === undefined) throw new Error("a set operation has two sides");
  if (left.columns.length !== right.columns.length)
    refuse(`${operator} of queries with different numbers of columns`, at);
  const types = left.columns.map((column, index) => {
    const other = right.columns[index];
    const type = other === undefined ? undefined : columnPair(column, other);
    if (type === undefined)
      return refuse(
        `${operator} of ${typeText(column.type)} and ${other === undefined ? "" : typeText(other.type)}`,
        at,
        "write a CAST",
      );
    if (distinct && !isGroupable(type)) refuse(`${operator} DISTINCT of ${typeText(type)}`, at);
    return type;
  });
  const cast = (relation: Relation): string => {
    if (relation.columns.every((column, index) => storedAs(column.type) === storedAs(types[index] ?? column.type)))
      return relation.sql;
    const items = relation.columns.map(
      (column, index) => `${coerce(valueOf(column), types[index] ?? column.type).sql} AS ${column.id}`,
    );
    return `SELECT ${items.join(", ")} FROM (${relation.sql})`;
  };
  const columns = left.columns.map((column, index): OutputColumn => ({
    name: column.name,
    type: types[index] ?? column.type,
    id: column.id,
  }));
  const renamed = `SELECT ${right.columns.map((column, index) => `${column.id} AS ${columns[index]?.id}`).join(", ")} FROM (${cast(right)})`;
  return {
    sql: `SELECT * FROM (${cast(left)}) ${operator} ${distinct ? "" : "ALL"} ${renamed}`,
    columns,
    order: [],
    isValue: left.isValue && right.isValue,
  };
}

function columnPair(a: OutputColumn, b: OutputColumn): Type | undefined {
  if (a.constant?.kind === "null") return b.type;
  if (b.constant?.kind === "null") return a.type;
  const common = commonType(a.type, b.type);
  return common;
}

function valueOf(column: OutputColumn): Value {
  const isNull = column.constant?.kind === "null";
  return { at: 0, type: column.type, sql: column.id, ...(isNull ? { constant: { kind: "null" as const } } : {}) };
}

function limitOf(query: Query, scope: Scope, emit: Emit): string | undefined {
  if (query.limit === undefined) return undefined;
  const part = (node: Expression): string => {
    const value = coerced(emit.value(node, { ...scope, sources: [], columns: [] }), INT64);
    if (value?.constant === undefined || value.constant.kind === "null")
      return refuse("a LIMIT that is neither a number nor a parameter", node.at);
    return value.sql;
  };
  return `LIMIT ${part(query.limit)}${query.offset === undefined ? "" : ` OFFSET ${part(query.offset)}`}`;
}
