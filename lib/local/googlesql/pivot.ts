/** PIVOT and UNPIVOT, as the GROUP BY and the UNION ALL that they mean. */
import type { Expression, From } from "./ast.ts";
import { aggregateFunctions, isAggregate } from "./aggregates.ts";
import type { Emit, OutputColumn, Relation } from "./emit.ts";
import type { Joined } from "./from.ts";
import { refuse } from "./lexer.ts";
import { comparison } from "./operators.ts";
import { columnIn, type Scope } from "./scope.ts";
import { isGroupable, isScalar, sameType, STRING, typeText } from "./type.ts";
import { literalText, type Value } from "./value.ts";

type Pivot = Extract<From, { readonly kind: "pivot" }>;
type Unpivot = Extract<From, { readonly kind: "unpivot" }>;

export function pivoted(node: Pivot, of: Joined, outer: Scope, emit: Emit): Relation {
  const scope: Scope = { ...outer, sources: of.sources, columns: of.columns, parent: outer, aggregates: true };
  const input = emit.value(node.input, { ...scope, aggregates: false });
  const used = new Set<string>([input.sql]);
  // A column that an aggregate reads is no key.
  const watching: Emit = { ...emit, value: (inner, place) => watch(emit.value(inner, place)) };
  const watch = (value: Value): Value => {
    used.add(value.sql);
    return value;
  };
  const cells = node.values.flatMap((one) => {
    const constant = emit.value(one.value, scope);
    if (constant.constant === undefined && !isScalar(constant.type, "BOOL", "DATE"))
      refuse("a PIVOT value that is not written out", constant.at);
    const condition = comparison("=", input, constant, constant.at).sql;
    return node.aggregates.map((aggregate) => {
      const value = conditional(aggregate.value, condition, scope, watching);
      const label = one.alias?.text ?? labelOf(constant);
      return { name: aggregate.alias === undefined ? label : `${aggregate.alias.text}_${label}`, value };
    });
  });
  if (node.aggregates.length > 1 && node.aggregates.some(({ alias }) => alias === undefined))
    refuse("PIVOT with several aggregates and no alias for each", node.at);
  const keys = of.columns.filter((column) => !used.has(column.sql));
  for (const key of keys)
    if (!isGroupable(key.type)) refuse(`PIVOT beside a column of type ${typeText(key.type)}`, node.at);
  const outputs = [
    ...keys.map((key) => ({ name: key.name, type: key.type, sql: key.sql })),
    ...cells.map(({ name, value }) => ({ name, type: value.type, sql: value.sql })),
  ];
  const columns = outputs.map(({ name, type }, index): OutputColumn => ({ name, type, id: `_c${index}` }));
  const items = outputs.map(({ sql }, index) => `${sql} AS _c${index}`).join(", ");
  const group = keys.length === 0 ? "" : ` GROUP BY ${keys.map(({ sql }) => sql).join(", ")}`;
  return { sql: `SELECT ${items} FROM ${of.sql}${group}`, columns, order: [], isValue: false };
}

/** The aggregate of the rows in which the condition holds. */
function conditional(node: Expression, condition: string, scope: Scope, emit: Emit): Value {
  if (node.kind !== "call" || !isAggregate(node.name))
    return refuse("a PIVOT of something other than an aggregate function", node.at);
  if (!["SUM", "COUNT", "AVG", "MIN", "MAX", "ANY_VALUE", "COUNTIF"].includes(node.name) || node.having !== undefined)
    refuse(`PIVOT with ${node.name}`, node.at);
  const inner = { ...scope, aggregates: false };
  const only = (value: Value): Value => ({
    ...value,
    sql: `CASE WHEN ${condition} THEN ${value.sql} END`,
    atomic: true,
  });
  const star = node.arguments[0]?.value.kind === "star";
  const site = {
    at: node.at,
    node: star ? { ...node, arguments: [{ value: { kind: "boolean", at: node.at, value: true } as const }] } : node,
    name: node.name,
    scope: inner,
    emit,
    count: node.arguments.length,
    argument: (index: number) =>
      star
        ? { value: { kind: "boolean", at: node.at, value: true } as const }
        : (node.arguments[index] ?? refuse(node.name, node.at)),
    value: (index: number) => only(emit.value(site.argument(index).value, inner)),
  };
  return aggregateFunctions[node.name]?.(site, "") ?? refuse(`PIVOT with ${node.name}`, node.at);
}

function labelOf(value: Value): string {
  const text =
    literalText(value) ??
    (value.constant?.kind === "integer" ? `_${value.constant.text.replace("-", "minus_")}` : undefined);
  if (text === undefined) return refuse("a PIVOT value without an alias", value.at);
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(text)
    ? text
    : refuse(`the PIVOT value ${JSON.stringify(text)} without an alias`, value.at);
}

export function unpivoted(node: Unpivot, of: Joined, outer: Scope, emit: Emit): Relation {
  const source = { alias: undefined, columns: of.columns };
  const chosen = node.columns.map(({ column, label }) => {
    const found = columnIn(source, column.text, column.at) ?? refuse(`the unknown column ${column.text}`, column.at);
    const shown = label === undefined ? column.text : literalText(emit.value(label, outer));
    return { column: found, label: shown ?? refuse("an UNPIVOT label that is no text", column.at), at: column.at };
  });
  const [first] = chosen;
  if (first === undefined) return refuse("UNPIVOT of no columns", node.at);
  const { type } = first.column;
  for (const { column, at } of chosen)
    if (!sameType(column.type, type)) refuse("UNPIVOT of columns of different types", at);
  const kept = of.columns.filter((column) => !chosen.some((one) => one.column === column));
  const columns: OutputColumn[] = [
    ...kept.map(({ name, type: own }) => ({ name, type: own })),
    { name: node.value.text, type },
    { name: node.name.text, type: STRING },
  ].map((column, index) => ({ ...column, id: `_c${index}` }));
  const list = chosen.map(({ column, label }) => `{v: ${column.sql}, n: '${label.replaceAll("'", "''")}'}`).join(", ");
  const items = [
    ...kept.map(({ sql }, index) => `${sql} AS _c${index}`),
    `_u._x.v AS _c${kept.length}`,
    `_u._x.n AS _c${kept.length + 1}`,
  ];
  const where = node.includeNulls ? "" : " WHERE _u._x.v IS NOT NULL";
  return {
    sql: `SELECT ${items.join(", ")} FROM ${of.sql} CROSS JOIN LATERAL (SELECT unnest([${list}]) AS _x) AS _u${where}`,
    columns,
    order: [],
    isValue: false,
  };
}
