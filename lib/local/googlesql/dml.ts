/** Statements that change a table: each becomes the rows to add, or all the rows that the table has afterwards. */
import { formatTable, type Column, type TableRef } from "../../core/table.ts";
import type { Assignment, Expression, From, MergeClause, Name, Statement } from "./ast.ts";
import type { Emit, Relation, TableShape } from "./emit.ts";
import { rows } from "./expression.ts";
import { emitFrom, within, type Joined } from "./from.ts";
import { refuse, type Place } from "./lexer.ts";
import { emptyScope, type Scope, type Source } from "./scope.ts";
import type { Effect } from "./translate.ts";
import { BOOL, columnFor, quoteField, typeOf, type Type } from "./type.ts";
import { fail } from "./bind.ts";
import { coerce, nullOf, typed, type Value } from "./value.ts";

type Definition = Extract<Statement, { readonly kind: "create-table" | "drop" }>;
type Dml = Exclude<Statement, Definition | { readonly kind: "query" }>;

export function emitDefinition(
  statement: Definition,
  emit: Emit,
): { readonly effect: Effect; readonly relation?: Relation } {
  const target = emit.ref(statement.target);
  if (statement.kind === "drop")
    return { effect: { kind: "drop", what: statement.what, target, ifExists: statement.ifExists } };
  const { at, replace, ifNotExists, what, columns, query } = statement;
  const rest = {
    target,
    replace,
    ifNotExists,
    clusterBy: statement.clusterBy.map(({ text }) => text),
    ...(statement.partitionBy === undefined ? {} : { partitionBy: partitionText(statement.partitionBy) }),
  };
  if (query === undefined) {
    const schema = (columns ?? []).map(({ name, type, required }): Column => {
      const column = columnFor(name.text, typeOf(type));
      return required && column.mode === "NULLABLE" ? { ...column, mode: "REQUIRED" } : column;
    });
    return { effect: { kind: "create-table", ...rest, schema } };
  }
  if (columns !== undefined)
    return refuse("CREATE TABLE with both columns and a query", at, "give the columns their names in the query");
  const relation = emit.relation(query, emptyScope);
  const found =
    relation.isValue && relation.columns[0]?.type.kind === "struct"
      ? relation.columns[0].type.fields
      : relation.columns;
  const names = statement.names?.map(({ text }) => text);
  if (names !== undefined && names.length !== found.length)
    refuse(`${names.length} names for the ${found.length} columns of a view`, at);
  const schema = found.map((column, index) =>
    columnFor(
      names?.[index] ?? column.name ?? refuse(`the column ${index + 1} without a name`, query.at, "give it an alias"),
      column.type,
    ),
  );
  if (what === "table") return { effect: { kind: "create-table-as", ...rest, schema }, relation };
  const view = { sql: statement.text ?? "", ...(names === undefined ? {} : { names }) };
  return { effect: { kind: "create-view", target, replace, ifNotExists, schema, view } };
}

function partitionText(node: Expression): string {
  if (node.kind === "name") return node.name;
  if (node.kind === "call" && (node.name === "DATE" || node.name.endsWith("_TRUNC"))) {
    const [column, part] = node.arguments.map(({ value }) => value);
    if (column?.kind === "name" && (part === undefined || part.kind === "name"))
      return `${node.name}(${column.name}${part === undefined ? "" : `, ${part.name.toUpperCase()}`})`;
  }
  return refuse("PARTITION BY of such an expression", node.at, "use a DATE column or DATE(column)");
}

interface Target {
  readonly shape: TableShape;
  readonly ref: TableRef;
  readonly id: string;
  readonly joined: Joined;
}

/** A table whose rows a statement may change. */
function changeable(ref: TableRef, at: Place, emit: Emit): TableShape {
  const shape = emit.table(ref, at);
  const shown = formatTable(ref);
  if (shape.view !== undefined) refuse(`a change to ${shown}, which is a view`, at, "change the tables that it reads");
  if (shape.ingestionTime) refuse(`a change to ${shown}, which is partitioned by ingestion time`, at);
  return shape;
}

function targetOf(path: readonly Name[], name: Name | undefined, emit: Emit): Target {
  const ref = emit.ref(path);
  const at = path[0]?.at ?? 0;
  const shape = changeable(ref, at, emit);
  const joined = emitFrom({ kind: "table", at, path, alias: name, quoted: true }, emptyScope, emit);
  return { shape, ref, id: joined.sql.slice(joined.sql.lastIndexOf(" ") + 1), joined };
}

export function emitDml(statement: Dml, emit: Emit): { readonly effect: Effect; readonly sql: string } {
  switch (statement.kind) {
    case "insert":
      return insert(statement, emit);
    case "delete": {
      const target = targetOf(statement.target, statement.alias, emit);
      const where = coerce(emit.value(statement.where, within(target.joined, emptyScope)), BOOL, "WHERE");
      return {
        effect: { kind: "delete", target: target.ref },
        sql: `SELECT ${own(target)} FROM ${target.joined.sql} WHERE NOT coalesce(${where.sql}, false)`,
      };
    }
    case "truncate": {
      const target = targetOf(statement.target, undefined, emit);
      return {
        effect: { kind: "truncate", target: target.ref },
        sql: `SELECT ${own(target)} FROM ${target.joined.sql} WHERE false`,
      };
    }
    case "update":
      return update(statement, emit);
    case "merge":
      return merge(statement, emit);
  }
}

function own({ shape, id }: Target): string {
  return shape.columns.map(({ name }) => `${id}.${quoteField(name)}`).join(", ");
}

/** A value as a column takes it. A FLOAT64 does not become an INT64 by itself. */
function assigned(value: Value, type: Type, column: string): Value {
  return coerce(value, type, `the column ${column}`);
}

function columnsNamed(shape: TableShape, names: readonly Name[] | undefined): readonly TableShape["columns"][number][] {
  if (names === undefined) return shape.columns;
  const seen = new Set<string>();
  return names.map(({ text, at }) => {
    const column = shape.columns.find(({ name }) => name.toLowerCase() === text.toLowerCase());
    if (column === undefined || seen.has(column.name))
      return refuse(`the column ${text}, which is unknown or there twice`, at);
    seen.add(column.name);
    return column;
  });
}

function emptyColumn(type: Type, at: Place): string {
  return type.kind === "array" ? typed(type, "[]") : nullOf(type, at).sql;
}

function insert(
  statement: Extract<Dml, { readonly kind: "insert" }>,
  emit: Emit,
): { readonly effect: Effect; readonly sql: string } {
  const { at, source } = statement;
  const ref = emit.ref(statement.target);
  const shape = changeable(ref, at, emit);
  const columns = columnsNamed(shape, statement.columns);
  const effect: Effect = { kind: "insert", target: ref };
  const whole = (values: readonly string[]): string =>
    shape.columns
      .map((column) => {
        const index = columns.indexOf(column);
        return `${index < 0 ? emptyColumn(column.type, at) : (values[index] ?? "")} AS ${quoteField(column.name)}`;
      })
      .join(", ");
  if ("rows" in source) {
    const selects = source.rows.map((row) => {
      if (row.length !== columns.length) refuse(`a row of ${row.length} values for ${columns.length} columns`, at);
      const values = row.map((item, index) => {
        const column = columns[index];
        if (column === undefined) throw new Error("a row has as many values as columns");
        return item === "default"
          ? emptyColumn(column.type, at)
          : assigned(emit.value(item, emptyScope), column.type, column.name).sql;
      });
      return `SELECT ${whole(values)}`;
    });
    return { effect, sql: selects.join(" UNION ALL ") };
  }
  const relation = emit.relation(source.query, emptyScope);
  if (relation.columns.length !== columns.length)
    refuse(`a query of ${relation.columns.length} columns for ${columns.length}`, at);
  const values = relation.columns.map((found, index) => {
    const column = columns[index];
    if (column === undefined) throw new Error("the query has as many columns as the table");
    const isNull = found.constant?.kind === "null";
    return assigned(
      { at, type: found.type, sql: found.id, ...(isNull ? { constant: { kind: "null" as const } } : {}) },
      column.type,
      column.name,
    ).sql;
  });
  return { effect, sql: `SELECT ${whole(values)} FROM (${rows(relation)})` };
}

/** The value that each assigned column gets. */
function assignments(
  set: readonly Assignment[],
  target: Target,
  scope: Scope,
  emit: Emit,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const alias = target.joined.sources[0]?.alias?.toLowerCase();
  for (const { column, value, qualifier } of set) {
    if (qualifier !== undefined && qualifier.text.toLowerCase() !== alias)
      refuse(`an assignment to the field ${qualifier.text}.${column.text}`, column.at);
    const [known] = columnsNamed(target.shape, [column]);
    if (known === undefined || found.has(known.name)) return refuse(`two assignments to ${column.text}`, column.at);
    found.set(known.name, assigned(emit.value(value, scope), known.type, known.name).sql);
  }
  return found;
}

function rowNumbers(target: Target): string {
  return `(SELECT *, row_number() OVER () AS _row FROM ${target.joined.sql.slice(0, target.joined.sql.lastIndexOf(" AS "))}) AS ${target.id}`;
}

function update(
  statement: Extract<Dml, { readonly kind: "update" }>,
  emit: Emit,
): { readonly effect: Effect; readonly sql: string } {
  const target = targetOf(statement.target, statement.alias, emit);
  const effect: Effect = { kind: "update", target: target.ref };
  if (statement.from === undefined) {
    const scope = within(target.joined, emptyScope);
    const where = `coalesce(${coerce(emit.value(statement.where, scope), BOOL, "WHERE").sql}, false)`;
    const values = assignments(statement.set, target, scope, emit);
    const items = target.shape.columns.map(({ name }) => {
      const value = values.get(name);
      const old = `${target.id}.${quoteField(name)}`;
      return `${value === undefined ? old : `CASE WHEN ${where} THEN ${value} ELSE ${old} END`} AS ${quoteField(name)}`;
    });
    return { effect, sql: `SELECT ${items.join(", ")} FROM ${target.joined.sql}` };
  }
  const both = withSource(target, statement.from, emit);
  const scope = within(both, emptyScope);
  const where = coerce(emit.value(statement.where, scope), BOOL, "WHERE").sql;
  const values = assignments(statement.set, target, scope, emit);
  const changed = `SELECT ${target.id}._row AS _row, ${[...values].map(([name, sql]) => `${sql} AS ${quoteField(name)}`).join(", ")} FROM ${both.sql} WHERE ${where}`;
  const message = fail("UPDATE/MERGE must match at most one source row for each target row");
  const once = `SELECT *, CASE WHEN count(*) OVER (PARTITION BY _row) > 1 THEN ${message} ELSE true END AS _one FROM (${changed})`;
  const items = target.shape.columns.map(({ name }) => {
    const old = `${target.id}.${quoteField(name)}`;
    return `${values.has(name) ? `CASE WHEN _n._one THEN _n.${quoteField(name)} ELSE ${old} END` : old} AS ${quoteField(name)}`;
  });
  return {
    effect,
    sql: `SELECT ${items.join(", ")} FROM ${rowNumbers(target)} LEFT JOIN (${once}) AS _n ON _n._row = ${target.id}._row`,
  };
}

function withSource(target: Target, source: From, emit: Emit): Joined {
  const joined = emitFrom(source, emptyScope, emit);
  const sources: readonly Source[] = [...target.joined.sources, ...joined.sources];
  return {
    sql: `${rowNumbers(target)} CROSS JOIN ${joined.sql}`,
    sources,
    columns: [...target.joined.columns, ...joined.columns],
  };
}

/**
 * MERGE as a query: pairs of target and source rows, then target rows without a partner, then source rows without one. The
 * first clause that fits a row decides about it.
 */
function merge(
  statement: Extract<Dml, { readonly kind: "merge" }>,
  emit: Emit,
): { readonly effect: Effect; readonly sql: string } {
  const target = targetOf(statement.target, statement.alias, emit);
  const source = emitFrom(statement.source, emptyScope, emit);
  const both: Joined = {
    sql: "",
    sources: [...target.joined.sources, ...source.sources],
    columns: [...target.joined.columns, ...source.columns],
  };
  const names = both.sources.flatMap((one) => (one.alias === undefined ? [] : [one.alias.toLowerCase()]));
  if (new Set(names).size < names.length)
    refuse("a MERGE of two tables of one name", statement.at, "give one an alias");
  const pairScope = within(both, emptyScope);
  const on = `coalesce(${coerce(emit.value(statement.on, pairScope), BOOL, "MERGE … ON").sql}, false)`;
  const numbered = rowNumbers(target);
  const columns = target.shape.columns;

  const clausesFor = (when: MergeClause["when"]): readonly MergeClause[] =>
    statement.clauses.filter((clause) => clause.when === when);
  const choice = (clauses: readonly MergeClause[], scope: Scope): string => {
    const arms = clauses.map((clause, index) => {
      const and = clause.and === undefined ? "true" : coerce(emit.value(clause.and, scope), BOOL, "AND").sql;
      return `WHEN ${and} THEN ${index}`;
    });
    return arms.length === 0 ? "-1" : `CASE ${arms.join(" ")} ELSE -1 END`;
  };
  const kept = (clauses: readonly MergeClause[], scope: Scope, act: string): string => {
    const sets = clauses.map(({ action }) =>
      action.kind === "update" ? assignments(action.set, target, scope, emit) : undefined,
    );
    return columns
      .map(({ name }) => {
        const old = `${target.id}.${quoteField(name)}`;
        const arms = sets.flatMap((set, index) => {
          const value = set?.get(name);
          return value === undefined ? [] : [`WHEN ${act} = ${index} THEN ${value}`];
        });
        return `${arms.length === 0 ? old : `CASE ${arms.join(" ")} ELSE ${old} END`} AS ${quoteField(name)}`;
      })
      .join(", ");
  };
  const gone = (clauses: readonly MergeClause[], act: string): string => {
    const list = clauses.flatMap(({ action }, index) => (action.kind === "delete" ? [index] : []));
    return list.length === 0 ? "true" : `${act} NOT IN (${list.join(", ")})`;
  };
  const hasPartner = `EXISTS (SELECT 1 FROM ${source.sql} WHERE ${on})`;

  const matched = clausesFor("matched");
  const act = choice(matched, pairScope);
  const message = fail("UPDATE/MERGE must match at most one source row for each target row");
  const pairs = `SELECT ${kept(matched, pairScope, act)}, ${target.id}._row AS _row, ${act} AS _act FROM ${numbered} INNER JOIN ${source.sql} ON ${on}`;
  const counted = `SELECT *, count(*) FILTER (WHERE _act >= 0) OVER (PARTITION BY _row) AS _hits, row_number() OVER (PARTITION BY _row ORDER BY _act DESC) AS _nth FROM (${pairs})`;
  const list = columns.map(({ name }) => quoteField(name)).join(", ");
  const checked = `CASE WHEN _hits > 1 THEN ${message} ELSE _nth = 1 AND ${gone(matched, "_act")} END`;
  const first = `SELECT ${list} FROM (${counted}) WHERE ${checked}`;

  const alone = clausesFor("not matched by source");
  const targetScope = within(target.joined, emptyScope);
  const aloneAct = choice(alone, targetScope);
  const second = `SELECT ${kept(alone, targetScope, aloneAct)} FROM ${target.joined.sql} WHERE NOT ${hasPartner} AND ${gone(alone, `(${aloneAct})`)}`;

  const fresh = clausesFor("not matched by target");
  const sourceScope = within(source, emptyScope);
  const freshAct = choice(fresh, sourceScope);
  const inserted = fresh.map((clause, index) => {
    const values = insertedRow(clause, target, source, sourceScope, emit);
    return `SELECT ${values} FROM ${source.sql} WHERE (${freshAct}) = ${index} AND NOT EXISTS (SELECT 1 FROM ${target.joined.sql} WHERE ${on})`;
  });
  return { effect: { kind: "merge", target: target.ref }, sql: [first, second, ...inserted].join(" UNION ALL ") };
}

function insertedRow(clause: MergeClause, target: Target, source: Joined, scope: Scope, emit: Emit): string {
  const { action, at } = clause;
  if (action.kind !== "insert") return refuse("an action other than INSERT for rows that are not in the target", at);
  const columns = columnsNamed(target.shape, action.columns);
  const values: readonly Value[] =
    action.values === undefined
      ? source.columns.map((column) => ({ at, type: column.type, sql: column.sql }))
      : action.values.map((node) => emit.value(node, scope));
  if (values.length !== columns.length) refuse(`INSERT of ${values.length} values for ${columns.length} columns`, at);
  return target.shape.columns
    .map((column) => {
      const value = values[columns.indexOf(column)];
      const sql = value === undefined ? emptyColumn(column.type, at) : assigned(value, column.type, column.name).sql;
      return `${sql} AS ${quoteField(column.name)}`;
    })
    .join(", ");
}
