/** One SELECT. */
import type { Expression, Grouping, Query, Select, SelectItem } from "./ast.ts";
import type { Emit, OutputColumn, Relation, SortKey } from "./emit.ts";
import { emitFrom, within, type Joined } from "./from.ts";
import { refuse, type Place } from "./lexer.ts";
import { ordinal, sortKey } from "./order.ts";
import { lookUp, type Scope, type ScopeColumn } from "./scope.ts";
import { BOOL, checkedStruct, isGroupable, quoteField, typeText } from "./type.ts";
import { coerce, type Value } from "./value.ts";

interface Item {
  readonly name: string | undefined;
  readonly value: Value;
}

const nothing: Joined = { sql: "", sources: [], columns: [] };

export function emitSelect(select: Select, orderBy: Query["orderBy"], outer: Scope, emit: Emit): Relation {
  const { at } = select;
  const from =
    select.from === undefined
      ? nothing
      : emitFrom(select.from, { ...outer, aggregates: false, analytics: false }, emit);
  const rowScope = within(from, outer);
  const windows = new Map(select.windows.map(({ name, spec }) => [name.text.toLowerCase(), spec] as const));
  const listScope: Scope = { ...rowScope, windows, aggregates: true, analytics: true };
  const items = select.items.flatMap((item) => selected(item, from, listScope, emit));
  if (items.length === 0) refuse("SELECT of no columns", at);
  const aliases = aliasesOf(items);
  const where = select.where === undefined ? "" : ` WHERE ${condition(select.where, rowScope, emit, "WHERE")}`;
  const group =
    select.groupBy === undefined ? "" : ` GROUP BY ${grouped(select.groupBy, items, rowScope, aliases, emit)}`;
  const late: Scope = { ...listScope, aliases: visible(aliases, rowScope, select) };
  const having =
    select.having === undefined
      ? ""
      : ` HAVING ${condition(select.having, { ...late, analytics: false }, emit, "HAVING")}`;
  const qualify = select.qualify === undefined ? "" : ` QUALIFY ${condition(select.qualify, late, emit, "QUALIFY")}`;

  const outputs = shaped(select, items);
  if (select.distinct)
    for (const { value } of outputs)
      if (!isGroupable(value.type)) refuse(`SELECT DISTINCT of ${typeText(value.type)}`, value.at);
  const columns = outputs.map(({ name, value }, index): OutputColumn => ({
    name,
    type: value.type,
    id: `_c${index}`,
    ...(value.constant === undefined ? {} : { constant: value.constant }),
  }));
  const keys = orderKeys(select, orderBy, { outputs, columns }, late, emit);
  const hidden = keys.flatMap(({ hidden: sql, key }) => (sql === undefined ? [] : [`${sql} AS ${key.sql}`]));
  const list = [...outputs.map(({ value }, index) => `${value.sql} AS _c${index}`), ...hidden].join(", ");
  const source = from.sql === "" ? "" : ` FROM ${from.sql}`;
  return {
    sql: `SELECT ${select.distinct ? "DISTINCT " : ""}${list}${source}${where}${group}${having}${qualify}`,
    columns,
    order: keys.map(({ key }) => key),
    isValue: select.as !== undefined,
  };
}

function condition(node: Expression, scope: Scope, emit: Emit, clause: string): string {
  return coerce(emit.value(node, scope), BOOL, clause).sql;
}

/** SELECT AS STRUCT makes one column of all; SELECT AS VALUE has only one. */
function shaped(select: Select, items: readonly Item[]): readonly Item[] {
  const { at } = select;
  if (select.as === "VALUE" && items.length !== 1) refuse("SELECT AS VALUE of several columns", at);
  if (select.as !== "STRUCT") return items;
  const type = checkedStruct(
    items.map(({ name, value }) => ({ name, type: value.type })),
    at,
  );
  const fields = type.kind === "struct" ? type.fields : [];
  const parts = fields.map((field, index) => `${quoteField(field.name)} := ${items[index]?.value.sql}`);
  return [{ name: undefined, value: { at, type, sql: `struct_pack(${parts.join(", ")})` } }];
}

function selected(item: SelectItem, from: Joined, scope: Scope, emit: Emit): readonly Item[] {
  if (item.kind === "expression") {
    const value = emit.value(item.value, scope);
    const implied = item.value.kind === "name" || item.value.kind === "field" ? item.value.name : undefined;
    return [{ name: item.alias?.text ?? implied, value }];
  }
  const columns = starColumns(item, from, scope, emit);
  const used = new Set<string>();
  const except = new Set(item.except.map(({ text }) => text.toLowerCase()));
  const replace = new Map(item.replace.map(({ alias, value }) => [alias.text.toLowerCase(), value] as const));
  const items = columns.flatMap((column): readonly Item[] => {
    const key = column.name?.toLowerCase() ?? "";
    used.add(key);
    if (except.has(key)) return [];
    const instead = replace.get(key);
    const value: Value =
      instead === undefined
        ? { at: item.at, type: column.type, sql: column.sql, atomic: true }
        : emit.value(instead, scope);
    return [{ name: column.name, value }];
  });
  for (const { text, at } of [...item.except, ...item.replace.map(({ alias }) => alias)])
    if (!used.has(text.toLowerCase())) refuse(`the unknown column ${text} after a star`, at);
  return items;
}

function starColumns(
  item: Extract<SelectItem, { readonly kind: "star" }>,
  from: Joined,
  scope: Scope,
  emit: Emit,
): readonly ScopeColumn[] {
  const { of, at } = item;
  if (of === undefined) return from.sources.length === 0 ? refuse("a star without FROM", at) : from.columns;
  if (of.kind === "name") {
    const found = lookUp(scope, of.name, of.at);
    if (found?.kind === "source") return found.source.columns.filter(({ hidden }) => hidden !== true);
  }
  const value = emit.value(of, scope);
  if (value.type.kind !== "struct") return refuse(`a star of ${typeText(value.type)}`, at);
  return value.type.fields.map((field) => ({
    name: field.anonymous ? undefined : field.name,
    type: field.type,
    sql: `struct_extract(${value.sql}, '${field.name.replaceAll("'", "''")}')`,
  }));
}

type Aliases = ReadonlyMap<string, readonly Item[]>;

function aliasesOf(items: readonly Item[]): Aliases {
  const map = new Map<string, Item[]>();
  for (const item of items) {
    if (item.name === undefined) continue;
    const key = item.name.toLowerCase();
    map.set(key, [...(map.get(key) ?? []), item]);
  }
  return map;
}

/** Aliases that may be used by name after the list. One that hides a column is seen in ORDER BY, and refused elsewhere. */
function visible(aliases: Aliases, rows: Scope, select: Select): ReadonlyMap<string, Value> {
  const map = new Map<string, Value>();
  for (const [key, items] of aliases) {
    const [item] = items;
    if (item === undefined || new Set(items.map(({ value }) => value.sql)).size > 1) continue;
    const own = rows.columns.filter((column) => column.name?.toLowerCase() === key);
    const hides = own.some((column) => column.sql !== item.value.sql);
    if (hides && (select.having !== undefined || select.qualify !== undefined))
      refuse(
        `the alias ${item.name}, which hides a column, beside HAVING or QUALIFY`,
        item.value.at,
        "choose another alias",
      );
    // A parameter or literal keeps its nature only where it stands.
    map.set(key, { at: item.value.at, type: item.value.type, sql: item.value.sql });
  }
  return map;
}

function grouped(node: Grouping, items: readonly Item[], scope: Scope, aliases: Aliases, emit: Emit): string {
  if (node.kind === "all") return refuse("GROUP BY ALL", node.at);
  const key = (expression: Expression): string => {
    const value = groupKey(expression, items, scope, aliases, emit);
    if (!isGroupable(value.type)) refuse(`GROUP BY of ${typeText(value.type)}`, expression.at);
    return value.sql;
  };
  if (node.kind === "plain") return node.keys.map(key).join(", ");
  const sets = node.sets.map((set) => `(${set.map(key).join(", ")})`);
  if (node.kind === "sets") return `GROUPING SETS (${sets.join(", ")})`;
  return `${node.kind.toUpperCase()} (${sets.join(", ")})`;
}

function groupKey(node: Expression, items: readonly Item[], scope: Scope, aliases: Aliases, emit: Emit): Value {
  if (node.kind === "integer")
    return (items[Number(node.text) - 1] ?? refuse(`the column number ${node.text}`, node.at)).value;
  if (node.kind === "name") {
    const found = aliases.get(node.name.toLowerCase()) ?? [];
    const [item] = found;
    if (new Set(found.map(({ value }) => value.sql)).size > 1)
      refuse(`the ambiguous name ${node.name} in GROUP BY`, node.at);
    // An alias of the list goes before a column of FROM.
    if (item !== undefined) return item.value;
  }
  return emit.value(node, scope);
}

/** A key that is no column of the list is carried beside it. */
function orderKeys(
  select: Select,
  orderBy: Query["orderBy"],
  { outputs, columns }: { readonly outputs: readonly Item[]; readonly columns: readonly OutputColumn[] },
  scope: Scope,
  emit: Emit,
): readonly { readonly key: SortKey; readonly hidden?: string }[] {
  return orderBy.map(({ value: node, descending, nulls }, index) => {
    const at: Place = node.at;
    if (select.as === "STRUCT" && node.kind === "integer") refuse("ORDER BY a number with SELECT AS STRUCT", at);
    const byNumber = ordinal(node, columns);
    if (byNumber !== undefined) return { key: sortKey(byNumber, descending, nulls) };
    const value = emit.value(node, scope);
    const same = outputs.findIndex((item) => item.value.sql === value.sql);
    const column = columns[same];
    if (column !== undefined) return { key: sortKey({ ...value, sql: column.id }, descending, nulls) };
    if (select.distinct) return refuse("ORDER BY of a value that SELECT DISTINCT does not give", at);
    return { key: sortKey({ ...value, sql: `_k${index}` }, descending, nulls), hidden: value.sql };
  });
}
