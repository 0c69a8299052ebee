/** ORDER BY: by number, by the output's columns, by any value. */
import type { Expression, Query } from "./ast.ts";
import type { Emit, OutputColumn, SortKey } from "./emit.ts";
import { refuse } from "./lexer.ts";
import type { Scope } from "./scope.ts";
import { isGroupable, typeText } from "./type.ts";
import type { Value } from "./value.ts";

/** ORDER BY over the columns that a set operation gives. */
export function outputOrder(
  columns: readonly OutputColumn[],
  orderBy: Query["orderBy"],
  scope: Scope,
  emit: Emit,
): readonly SortKey[] {
  const visible = columns.map(({ name, type, id }) => ({ name, type, sql: id }));
  const inner: Scope = { ...scope, sources: [{ alias: undefined, columns: visible }], columns: visible, parent: scope };
  return orderBy.map(({ value, descending, nulls }) => {
    const found = ordinal(value, columns) ?? emit.value(value, inner);
    return sortKey(found, descending, nulls);
  });
}

export function sortKey(value: Value, descending: boolean, nulls: "first" | "last" | undefined): SortKey {
  if (!isGroupable(value.type)) refuse(`ORDER BY of ${typeText(value.type)}`, value.at);
  return { sql: value.sql, type: value.type, descending, nulls: nulls ?? (descending ? "last" : "first") };
}

/** `ORDER BY 2`: the second column. */
export function ordinal(node: Expression, columns: readonly OutputColumn[]): Value | undefined {
  if (node.kind !== "integer") return undefined;
  const column = columns[Number(node.text) - 1] ?? refuse(`the column number ${node.text}`, node.at);
  return { at: node.at, type: column.type, sql: column.id };
}
