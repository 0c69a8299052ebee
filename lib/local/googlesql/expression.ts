/** GoogleSQL's expressions as DuckDB SQL. */
import type { Expression } from "./ast.ts";
import { castTo, jsonLiteral } from "./cast.ts";
import { orderTerms, type Emit, type Relation } from "./emit.ts";
import { extracted } from "./extract.ts";
import { intervalSum } from "./time.ts";
import { refuse, type Place } from "./lexer.ts";
import { arithmetic, bitwise, comparison, concatenated, logic } from "./operators.ts";
import { columnIn, lookUp, type Scope } from "./scope.ts";
import {
  arrayOf,
  BOOL,
  BYTES,
  checkedStruct,
  FLOAT64,
  INT64,
  isGroupable,
  isScalar,
  JSON_TYPE,
  quoteField,
  STRING,
  typeOf,
  typeText,
} from "./type.ts";
import { bind, fail } from "./bind.ts";
import { coerce, literalText, nullOf, typed, unify, type Value } from "./value.ts";
import { quoteText } from "../duckdb/sql.ts";

type Node<K extends Expression["kind"]> = Extract<Expression, { readonly kind: K }>;

export function emitExpression(node: Expression, scope: Scope, emit: Emit): Value {
  const value = (inner: Expression): Value => emit.value(inner, scope);
  const { at } = node;
  switch (node.kind) {
    case "null":
      return nullOf(INT64, at);
    case "boolean":
      return { at, type: BOOL, sql: node.value ? "true" : "false", atomic: true };
    case "integer":
      return integer(node.text, at);
    case "float":
      return {
        at,
        type: FLOAT64,
        sql: `CAST('${node.text}' AS DOUBLE)`,
        constant: { kind: "float", text: node.text },
        atomic: true,
      };
    case "string":
      return text(node.text, at);
    case "bytes":
      return { at, type: BYTES, sql: `unhex('${Buffer.from(node.bytes).toString("hex")}')`, atomic: true };
    case "typed":
      if (node.type === "JSON") return jsonLiteral(node.text, at);
      return castTo(text(node.text, at), typeOf({ kind: "scalar", at, name: node.type, arguments: [] }), {
        safe: false,
        at,
      });
    case "interval":
      return refuse("an INTERVAL at this place", at, "use it in DATE_ADD and its like, or after + and -");
    case "parameter":
      return emit.parameter(node.name, at);
    case "name":
    case "field":
      return path(node, scope, emit);
    case "index":
      return element(node, value(node.of), value(node.index));
    case "unary":
      return unary(node, value);
    case "binary":
      return binary(node, value, scope, emit);
    case "is":
      return is(node, value(node.of));
    case "distinct":
      return distinctFrom(node, value(node.left), value(node.right));
    case "like": {
      const [of, pattern] = [coerce(value(node.of), STRING, "LIKE"), coerce(value(node.pattern), STRING, "LIKE")];
      return { at, type: BOOL, sql: `(${of.sql} ${node.not ? "NOT LIKE" : "LIKE"} ${pattern.sql} ESCAPE '\\')` };
    }
    case "between": {
      const { values } = unify([value(node.of), value(node.low), value(node.high)], "BETWEEN");
      const [of, low, high] = values;
      if (of === undefined || low === undefined || high === undefined) throw new Error("BETWEEN has three values");
      const sql = bind(values, (x = "", l = "", h = "") => {
        const named = (value: Value, name: string): Value => ({ ...value, sql: name, atomic: true });
        const one = named(of, x);
        return `(${comparison(">=", one, named(low, l), at).sql} AND ${comparison("<=", one, named(high, h), at).sql})`;
      });
      return { at, type: BOOL, sql: node.not ? `(NOT ${sql})` : sql };
    }
    case "in":
      return within(node, value, scope, emit);
    case "case":
      return caseOf(node, value);
    case "cast":
      if (node.format !== undefined) refuse("CAST with FORMAT", at);
      return castTo(value(node.of), typeOf(node.type), { safe: node.safe, at });
    case "extract":
      return extracted(node, scope, emit);
    case "array":
      return array(node, value);
    case "struct":
      return struct(node, value);
    case "subquery":
      return subquery(node, scope, emit);
    case "star":
      return refuse("a star at this place", at);
    case "call":
      return emit.call(node, scope);
  }
}

function integer(text: string, at: Place): Value {
  const number = BigInt(text);
  if (number > 2n ** 63n) refuse("an integer out of range", at);
  // 2^63 stands only behind a minus, which reads it before this is used.
  const sql = number === 2n ** 63n ? refuse("an integer out of range", at) : `CAST(${number} AS BIGINT)`;
  return { at, type: INT64, sql, constant: { kind: "integer", text: String(number) }, atomic: true };
}

function text(value: string, at: Place): Value {
  if (value.includes("\0")) refuse("a NUL character in a text", at);
  return { at, type: STRING, sql: quoteText(value), constant: { kind: "string", text: value }, atomic: true };
}

function path(node: Node<"name"> | Node<"field">, scope: Scope, emit: Emit): Value {
  const { at } = node;
  if (node.kind === "name") {
    const found = lookUp(scope, node.name, at);
    // A column goes before a variable of its name.
    if (found === undefined) return emit.variable(node.name, at) ?? refuse(`the unknown name ${node.name}`, at);
    if (found.kind === "value") return found.value ?? { at, type: found.type, sql: found.sql, atomic: true };
    return refuse(`the table ${node.name} as a value`, at, "name its columns");
  }
  if (node.of.kind === "name") {
    const head = lookUp(scope, node.of.name, node.of.at);
    if (head?.kind === "source") {
      const column =
        columnIn(head.source, node.name, at) ?? refuse(`the unknown column ${node.of.name}.${node.name}`, at);
      return { at, type: column.type, sql: column.sql, atomic: true };
    }
  }
  return fieldOf(emit.value(node.of, scope), node.name, at);
}

function fieldOf(of: Value, name: string, at: Place): Value {
  if (isScalar(of.type, "JSON")) return jsonMember(of, `$."${name.replaceAll('"', '\\"')}"`, at);
  if (of.type.kind !== "struct") return refuse(`the field ${name} of a value of type ${typeText(of.type)}`, at);
  const field = of.type.fields.find((one) => !one.anonymous && one.name.toLowerCase() === name.toLowerCase());
  if (field === undefined) return refuse(`the unknown field ${name}`, at);
  return {
    at,
    type: field.type,
    sql: `struct_extract(${of.sql}, ${quoteText(field.name)})`,
    ...(of.atomic ? { atomic: true } : {}),
  };
}

function jsonMember(of: Value, jsonPath: string, at: Place): Value {
  return { at, type: JSON_TYPE, sql: `json_extract(${of.sql}, ${quoteText(jsonPath)})` };
}

function element(node: Node<"index">, of: Value, index: Value): Value {
  const { at, mode } = node;
  if (isScalar(of.type, "JSON") && mode === "plain") {
    if (index.constant?.kind === "integer") return jsonMember(of, `$[${index.constant.text}]`, at);
    const key = literalText(index) ?? refuse("a JSON subscript that is not written out", at);
    return jsonMember(of, `$."${key.replaceAll('"', '\\"')}"`, at);
  }
  if (of.type.kind !== "array") return refuse(`an index on a value of type ${typeText(of.type)}`, at);
  const position = coerce(index, INT64, "an index");
  const first = mode.endsWith("ORDINAL") ? 1 : 0;
  const sql = bind([of, position], (list, i) => {
    const outside = mode.startsWith("SAFE") ? "NULL" : fail("array index out of bounds");
    return `CASE WHEN ${list} IS NULL OR ${i} IS NULL THEN NULL WHEN ${i} < ${first} OR ${i} >= len(${list}) + ${first} THEN ${outside} ELSE ${list}[${i} + ${1 - first}] END`;
  });
  return { at, type: of.type.element, sql };
}

function unary(node: Node<"unary">, value: (inner: Expression) => Value): Value {
  const { at, operator, of } = node;
  if (operator === "NOT") return { at, type: BOOL, sql: `(NOT ${coerce(value(of), BOOL).sql})` };
  if (operator === "-" && of.kind === "integer") {
    const negative = -BigInt(of.text);
    if (negative < -(2n ** 63n)) refuse("an integer out of range", at);
    return {
      at,
      type: INT64,
      sql: `CAST('${negative}' AS BIGINT)`,
      constant: { kind: "integer", text: String(negative) },
      atomic: true,
    };
  }
  if (operator === "-" && of.kind === "float")
    return {
      at,
      type: FLOAT64,
      sql: `CAST('-${of.text}' AS DOUBLE)`,
      constant: { kind: "float", text: `-${of.text}` },
      atomic: true,
    };
  const inner = value(of);
  const allowed =
    operator === "~" ? isScalar(inner.type, "INT64") : isScalar(inner.type, "INT64", "NUMERIC", "FLOAT64");
  if (!allowed) refuse(`${operator} before a value of type ${typeText(inner.type)}`, at);
  return { at, type: inner.type, sql: operator === "+" ? inner.sql : `(${operator} ${inner.sql})` };
}

function binary(node: Node<"binary">, value: (inner: Expression) => Value, scope: Scope, emit: Emit): Value {
  const { at, operator, left, right } = node;
  if ((operator === "+" || operator === "-") && right.kind === "interval")
    return intervalSum(value(left), operator, right, { scope, emit, at });
  if (operator === "+" && left.kind === "interval")
    return intervalSum(value(right), operator, left, { scope, emit, at });
  const [a, b] = [value(left), value(right)];
  switch (operator) {
    case "AND":
    case "OR":
      return logic(operator, a, b, at);
    case "+":
    case "-":
    case "*":
    case "/":
      return arithmetic(operator, a, b, at);
    case "||":
      return concatenated(a, b, at);
    case "&":
    case "|":
    case "^":
    case "<<":
    case ">>":
      return bitwise(operator, a, b, at);
    default:
      return comparison(operator, a, b, at);
  }
}

function is({ at, what, not }: Node<"is">, of: Value): Value {
  if (what === "NULL") return { at, type: BOOL, sql: `(${of.sql} IS ${not ? "NOT " : ""}NULL)` };
  const flag = coerce(of, BOOL).sql;
  const sql = `coalesce(${what === "TRUE" ? flag : `NOT ${flag}`}, false)`;
  return { at, type: BOOL, sql: not ? `(NOT ${sql})` : sql };
}

function distinctFrom({ at, not }: Node<"distinct">, left: Value, right: Value): Value {
  const { type, values } = unify([left, right], "IS DISTINCT FROM");
  if (!isGroupable(type)) refuse(`IS DISTINCT FROM between values of type ${typeText(type)}`, at);
  return { at, type: BOOL, sql: `(${values.map(({ sql }) => sql).join(` IS ${not ? "NOT " : ""}DISTINCT FROM `)})` };
}

function within(node: Node<"in">, value: (inner: Expression) => Value, scope: Scope, emit: Emit): Value {
  const { at, among } = node;
  const of = value(node.of);
  const result = (sql: string): Value => ({ at, type: BOOL, sql: node.not ? `(NOT ${sql})` : sql });
  if ("query" in among) {
    const relation = emit.relation(among.query, scope);
    const [column, second] = relation.columns;
    if (column === undefined || second !== undefined) return refuse("IN with a query of several columns", at);
    const { values, type } = unify([of, { at, type: column.type, sql: column.id }], "IN");
    if (!isGroupable(type) || isScalar(type, "FLOAT64")) refuse(`IN with a query of type ${typeText(type)}`, at);
    const [a, b] = values;
    return result(`(${a?.sql} IN (SELECT ${b?.sql} FROM (${rows(relation)})))`);
  }
  if ("unnest" in among) {
    const list = value(among.unnest);
    if (list.type.kind !== "array") return refuse("UNNEST of something that is no array", at);
    const { type } = unify([of, { at, type: list.type.element, sql: "" }], "IN UNNEST");
    if (!isGroupable(type)) refuse(`IN UNNEST of ${typeText(list.type)}`, at);
    const isNaN = isScalar(type, "FLOAT64");
    return result(
      bind([coerce(of, type), coerce(list, arrayOf(type))], (x, l) =>
        [
          `CASE WHEN ${l} IS NULL OR len(${l}) = 0 THEN false WHEN ${x} IS NULL THEN NULL`,
          `WHEN list_contains(${l}, ${x})${isNaN ? ` AND NOT isnan(${x})` : ""} THEN true`,
          `WHEN list_count(${l}) < len(${l}) THEN NULL ELSE false END`,
        ].join(" "),
      ),
    );
  }
  const { values } = unify([of, ...among.map(value)], "IN");
  return result(
    bind(values, (...names) => {
      const [one, ...items] = values.map((item, index): Value => ({ ...item, sql: names[index] ?? "", atomic: true }));
      if (one === undefined) throw new Error("IN has a value");
      return `(${items.map((item) => comparison("=", one, item, at).sql).join(" OR ")})`;
    }),
  );
}

function caseOf(node: Node<"case">, value: (inner: Expression) => Value): Value {
  const { at, arms } = node;
  const results = unify(
    [
      ...arms.map(({ result }) => value(result)),
      node.otherwise === undefined ? nullOf(INT64, at) : value(node.otherwise),
    ],
    "CASE",
  );
  const of = node.of === undefined ? undefined : value(node.of);
  const whens = arms.map(({ when }) => value(when));
  const body = (subject: Value | undefined): string => {
    const parts = whens.map((when, index) => {
      const condition = subject === undefined ? coerce(when, BOOL).sql : comparison("=", subject, when, when.at).sql;
      return `WHEN ${condition} THEN ${results.values[index]?.sql}`;
    });
    return `CASE ${parts.join(" ")} ELSE ${results.values.at(-1)?.sql} END`;
  };
  // A subquery or an aggregate may not stand in a lambda, so the subject is repeated instead of bound.
  return { at, type: results.type, sql: body(of) };
}

function array(node: Node<"array">, value: (inner: Expression) => Value): Value {
  const { at } = node;
  const items = node.items.map(value);
  const typedItems =
    node.element === undefined
      ? items.length === 0
        ? { type: INT64, values: [] }
        : unify(items, "an array")
      : {
          type: typeOf(node.element),
          values: items.map((item) => coerce(item, typeOf(node.element ?? refuse("", at)), "an element")),
        };
  if (typedItems.type.kind === "array") refuse("an array of arrays", at);
  const type = arrayOf(typedItems.type);
  const sql = typed(type, `[${typedItems.values.map(({ sql: item }) => item).join(", ")}]`);
  const isConstant =
    node.element === undefined &&
    items.every(({ constant }) => constant !== undefined && constant.kind !== "parameter");
  return { at, type, sql, ...(isConstant ? { constant: { kind: "array" as const, items } } : {}) };
}

function struct(node: Node<"struct">, value: (inner: Expression) => Value): Value {
  const { at } = node;
  const declared = node.type === undefined ? undefined : typeOf(node.type);
  const wanted = declared?.kind === "struct" ? declared.fields : undefined;
  if (wanted !== undefined && wanted.length !== node.fields.length)
    refuse("a STRUCT with another number of values than fields", at);
  const fields = node.fields.map((field, index) => {
    const found = value(field.value);
    const target = wanted?.[index];
    const fromPath = field.value.kind === "name" || field.value.kind === "field" ? field.value.name : undefined;
    // `STRUCT(a, t.b)` takes the names of its paths; `(a, t.b)` does not, but nothing can tell.
    return target === undefined
      ? { name: field.name ?? fromPath, value: found }
      : { name: target.anonymous ? undefined : target.name, value: coerce(found, target.type, "a field") };
  });
  const type =
    declared ??
    checkedStruct(
      fields.map((field) => ({ name: field.name, type: field.value.type })),
      at,
    );
  if (type.kind !== "struct") throw new Error("a struct has fields");
  const parts = type.fields.map((field, index) => `${quoteField(field.name)} := ${fields[index]?.value.sql}`);
  const items = fields.map((field) => field.value);
  return { at, type, sql: `struct_pack(${parts.join(", ")})`, constant: { kind: "struct", items } };
}

/** A relation's rows where their order does not matter. */
export function rows(relation: Relation): string {
  if (relation.limit === undefined) return relation.sql;
  const order = relation.order.length === 0 ? "" : ` ORDER BY ${orderTerms(relation.order)}`;
  return `SELECT * FROM (${relation.sql})${order} ${relation.limit}`;
}

function subquery({ at, form, query }: Node<"subquery">, scope: Scope, emit: Emit): Value {
  const relation = emit.relation(query, scope);
  if (form === "exists") return { at, type: BOOL, sql: `EXISTS (SELECT 1 FROM (${rows(relation)}))` };
  const [column, second] = relation.columns;
  if (column === undefined || second !== undefined)
    return refuse("a subquery of several columns as a value", at, "use SELECT AS STRUCT");
  if (form === "scalar") {
    // The engine raises its own error for a second row.
    return { at, type: column.type, sql: `(SELECT ${column.id} FROM (${rows(relation)}))` };
  }
  if (column.type.kind === "array") refuse("an array of arrays", at);
  const type = arrayOf(column.type);
  const order = relation.order.length === 0 ? "" : ` ORDER BY ${orderTerms(relation.order)}`;
  return {
    at,
    type,
    sql: `(SELECT coalesce(list(${column.id}${order}), ${typed(type, "[]")}) FROM (${rows(relation)}))`,
  };
}
