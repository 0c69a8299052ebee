/** GoogleSQL's expressions, by its own table of precedence. */
import type { Expression, OrderItem, Query, TypeNode, WindowSpec } from "./ast.ts";
import { isReserved, type Cursor } from "./cursor.ts";
import { refuse, type Place } from "./lexer.ts";
import { callParser } from "./parse-call.ts";
import { typeParser } from "./parse-type.ts";

export interface ExpressionParser {
  readonly expression: () => Expression;
  readonly orderBy: () => OrderItem[];
  readonly window: () => WindowSpec;
  readonly type: () => TypeNode;
}

const comparisons: ReadonlySet<string> = new Set(["=", "<", ">", "<=", ">=", "!=", "<>"]);
const typedLiterals: ReadonlySet<string> = new Set([
  "DATE",
  "TIMESTAMP",
  "DATETIME",
  "TIME",
  "NUMERIC",
  "BIGNUMERIC",
  "DECIMAL",
  "BIGDECIMAL",
  "JSON",
]);
/** Left-associative binary operators, the loosest first. */
const levels: readonly (readonly string[])[] = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "||"]];

export function expressionParser(cursor: Cursor, query: () => Query): ExpressionParser {
  const type = typeParser(cursor);
  const { call, orderBy, window } = callParser(cursor, () => expression(), startsQuery);
  const expression = (): Expression => or();

  function or(): Expression {
    let left = and();
    for (let at = cursor.at(); cursor.accept("OR"); at = cursor.at())
      left = { kind: "binary", at, operator: "OR", left, right: and() };
    return left;
  }

  function and(): Expression {
    let left = not();
    for (let at = cursor.at(); cursor.accept("AND"); at = cursor.at())
      left = { kind: "binary", at, operator: "AND", left, right: not() };
    return left;
  }

  function not(): Expression {
    const at = cursor.at();
    return cursor.accept("NOT") ? { kind: "unary", at, operator: "NOT", of: not() } : comparison();
  }

  /** Comparisons do not associate: neither `a = b = c` nor `a > b IS TRUE` is GoogleSQL. */
  function comparison(): Expression {
    const left = binary(0);
    const found = compared(left);
    if (found === undefined) return left;
    if (isComparison()) cursor.unexpected();
    return found;
  }

  function isComparison(): boolean {
    const token = cursor.peek();
    if (token.kind === "symbol") return comparisons.has(token.text);
    return ["IS", "NOT", "LIKE", "IN", "BETWEEN"].some((word) => cursor.isNext(word));
  }

  function compared(left: Expression): Expression | undefined {
    const at = cursor.at();
    const token = cursor.peek();
    if (token.kind === "symbol" && comparisons.has(token.text)) {
      cursor.take();
      return { kind: "binary", at, operator: token.text === "<>" ? "!=" : token.text, left, right: binary(0) };
    }
    if (cursor.accept("IS")) return is(at, left);
    const negated = cursor.isNext("NOT");
    const ahead = cursor.peek(negated ? 1 : 0);
    const word = ahead.kind === "word" ? ahead.upper : "";
    if (word !== "LIKE" && word !== "IN" && word !== "BETWEEN") return undefined;
    if (negated) cursor.take();
    cursor.take();
    if (word === "LIKE") return like(at, left, negated);
    if (word === "IN") return among(at, left, negated);
    const low = binary(0);
    cursor.expect("AND");
    return { kind: "between", at, of: left, low, high: binary(0), not: negated };
  }

  function like(at: Place, of: Expression, negated: boolean): Expression {
    if (cursor.isNext("ANY") || cursor.isNext("SOME") || cursor.isNext("ALL")) refuse("LIKE with a quantifier", at);
    return { kind: "like", at, of, pattern: binary(0), not: negated };
  }

  function is(at: Place, of: Expression): Expression {
    const negated = cursor.accept("NOT");
    if (cursor.accept("DISTINCT", "FROM")) return { kind: "distinct", at, left: of, right: binary(0), not: negated };
    for (const what of ["NULL", "TRUE", "FALSE"] as const)
      if (cursor.accept(what)) return { kind: "is", at, of, what, not: negated };
    return refuse("IS with something other than NULL, TRUE, FALSE or DISTINCT FROM", at);
  }

  function among(at: Place, of: Expression, negated: boolean): Expression {
    if (cursor.accept("UNNEST")) {
      cursor.expectSymbol("(");
      const unnest = expression();
      cursor.expectSymbol(")");
      return { kind: "in", at, of, not: negated, among: { unnest } };
    }
    cursor.expectSymbol("(");
    const inner = queryInParentheses();
    if (inner !== undefined) return { kind: "in", at, of, not: negated, among: { query: inner } };
    const items = cursor.list(expression);
    cursor.expectSymbol(")");
    return { kind: "in", at, of, not: negated, among: items };
  }

  function binary(level: number): Expression {
    const operators = levels[level];
    if (operators === undefined) return unary();
    let left = binary(level + 1);
    for (;;) {
      const token = cursor.peek();
      if (token.kind !== "symbol" || !operators.includes(token.text)) return left;
      cursor.take();
      left = { kind: "binary", at: token.at, operator: token.text, left, right: binary(level + 1) };
    }
  }

  function unary(): Expression {
    const at = cursor.at();
    for (const operator of ["-", "+", "~"] as const)
      if (cursor.acceptSymbol(operator)) return { kind: "unary", at, operator, of: unary() };
    return postfix(primary());
  }

  function postfix(start: Expression): Expression {
    let value = start;
    for (;;) {
      const at = cursor.at();
      // `t.*` belongs to the select list.
      const star = cursor.peek(1);
      if (cursor.isSymbol(".") && star.kind === "symbol" && star.text === "*") return value;
      if (cursor.acceptSymbol(".")) {
        // After a dot every word is a name.
        const token = cursor.take();
        if (token.kind !== "word" && token.kind !== "quoted") return refuse("a field without a name", at);
        if (cursor.isSymbol("(")) {
          const prefix = dotted(value);
          if (prefix === undefined) refuse("a chained function call", at);
          value = call(prefix.at, [...prefix.parts, token.text]);
        } else value = { kind: "field", at: token.at, of: value, name: token.text };
      } else if (cursor.acceptSymbol("[")) {
        value = index(at, value);
      } else return value;
    }
  }

  function dotted(value: Expression): { readonly at: Place; readonly parts: string[] } | undefined {
    if (value.kind === "name") return { at: value.at, parts: [value.name] };
    if (value.kind !== "field") return undefined;
    const before = dotted(value.of);
    return before === undefined ? undefined : { at: before.at, parts: [...before.parts, value.name] };
  }

  function index(at: Place, of: Expression): Expression {
    for (const mode of ["SAFE_OFFSET", "SAFE_ORDINAL", "OFFSET", "ORDINAL"]) {
      const open = cursor.peek(1);
      if (!cursor.isNext(mode) || open.kind !== "symbol" || open.text !== "(") continue;
      cursor.take();
      cursor.take();
      const position = expression();
      cursor.expectSymbol(")");
      cursor.expectSymbol("]");
      return { kind: "index", at, of, index: position, mode };
    }
    const position = expression();
    cursor.expectSymbol("]");
    return { kind: "index", at, of, index: position, mode: "plain" };
  }

  /** A query and the parenthesis behind it. `((SELECT 1) + 2)` starts like one and is none. */
  function queryInParentheses(): Query | undefined {
    if (!startsQuery()) return undefined;
    const read = (): Query => {
      const inner = query();
      cursor.expectSymbol(")");
      return inner;
    };
    return cursor.isSymbol("(") ? cursor.attempt(read) : read();
  }

  function startsQuery(): boolean {
    let ahead = 0;
    for (let token = cursor.peek(); token.kind === "symbol" && token.text === "("; token = cursor.peek(++ahead));
    const token = cursor.peek(ahead);
    return token.kind === "word" && (token.upper === "SELECT" || token.upper === "WITH");
  }

  function primary(): Expression {
    const token = cursor.peek();
    const { at } = token;
    switch (token.kind) {
      case "integer":
      case "float":
      case "string":
        cursor.take();
        if (token.kind === "string" && cursor.peek().kind === "string") refuse("two texts side by side", cursor.at());
        return { kind: token.kind, at, text: token.text };
      case "bytes":
        cursor.take();
        return { kind: "bytes", at, bytes: token.bytes };
      case "parameter":
        cursor.take();
        return { kind: "parameter", at, name: token.text };
      case "quoted":
        cursor.take();
        return cursor.isSymbol("(")
          ? refuse("a function's name in backticks", at)
          : { kind: "name", at, name: token.text, quoted: true };
      case "symbol":
        return bracketed(at);
      case "word":
        return worded(at, token.upper, token.text);
      case "end":
        return cursor.unexpected();
    }
  }

  function bracketed(at: Place): Expression {
    if (cursor.acceptSymbol("[")) return arrayItems(at, undefined);
    if (cursor.acceptSymbol("?")) refuse("a positional parameter (?)", at, "use named parameters");
    if (!cursor.acceptSymbol("(")) return cursor.unexpected();
    const inner = queryInParentheses();
    if (inner !== undefined) return { kind: "subquery", at, form: "scalar", query: inner };
    const items = cursor.list(expression);
    cursor.expectSymbol(")");
    const [first] = items;
    return items.length === 1 && first !== undefined
      ? first
      : { kind: "struct", at, fields: items.map((value) => ({ name: undefined, value })) };
  }

  function arrayItems(at: Place, element: TypeNode | undefined): Expression {
    const items = cursor.isSymbol("]") ? [] : cursor.list(expression);
    cursor.expectSymbol("]");
    return element === undefined ? { kind: "array", at, items } : { kind: "array", at, element, items };
  }

  function worded(at: Place, upper: string, text: string): Expression {
    const after = cursor.peek(1);
    if (typedLiterals.has(upper) && after.kind === "string") {
      cursor.take();
      cursor.take();
      return { kind: "typed", at, type: upper, text: after.text };
    }
    switch (upper) {
      case "NULL":
        cursor.take();
        return { kind: "null", at };
      case "TRUE":
      case "FALSE":
        cursor.take();
        return { kind: "boolean", at, value: upper === "TRUE" };
      case "CASE":
        return caseOf(at);
      case "INTERVAL":
        return interval(at);
      case "ARRAY":
        return arrayOf(at);
      case "STRUCT":
        return structOf(at);
      case "EXISTS":
        return subquery(at, "exists");
      case "CAST":
      case "SAFE_CAST":
        if (after.kind === "symbol" && after.text === "(") return cast(at, upper === "SAFE_CAST");
        break;
      case "EXTRACT":
        return extract(at);
    }
    const open = after.kind === "symbol" && after.text === "(";
    const callable = open && (!isReserved(upper) || ["IF", "LEFT", "RIGHT", "GROUPING", "RANGE"].includes(upper));
    if (!callable && isReserved(upper)) return cursor.unexpected();
    cursor.take();
    return callable ? call(at, [text]) : { kind: "name", at, name: text, quoted: false };
  }

  function subquery(at: Place, form: "exists" | "array"): Expression {
    cursor.take();
    cursor.expectSymbol("(");
    const inner = query();
    cursor.expectSymbol(")");
    return { kind: "subquery", at, form, query: inner };
  }

  function arrayOf(at: Place): Expression {
    const open = cursor.peek(1);
    if (open.kind === "symbol" && open.text === "(") return subquery(at, "array");
    if (open.kind === "symbol" && open.text === "<") {
      const node = type();
      cursor.expectSymbol("[");
      return node.kind === "array" ? arrayItems(at, node.element) : cursor.unexpected();
    }
    cursor.take();
    cursor.expectSymbol("[");
    return arrayItems(at, undefined);
  }

  function structOf(at: Place): Expression {
    const open = cursor.peek(1);
    const typed = open.kind === "symbol" && open.text.startsWith("<");
    const node = typed ? type() : (cursor.take(), undefined);
    cursor.expectSymbol("(");
    const fields = cursor.isSymbol(")")
      ? []
      : cursor.list(() => ({ value: expression(), name: cursor.accept("AS") ? cursor.expectName().text : undefined }));
    cursor.expectSymbol(")");
    return node === undefined ? { kind: "struct", at, fields } : { kind: "struct", at, type: node, fields };
  }

  function caseOf(at: Place): Expression {
    cursor.take();
    const of = cursor.isNext("WHEN") ? undefined : expression();
    const arms: { when: Expression; result: Expression }[] = [];
    while (cursor.accept("WHEN")) {
      const when = expression();
      cursor.expect("THEN");
      arms.push({ when, result: expression() });
    }
    const otherwise = cursor.accept("ELSE") ? expression() : undefined;
    cursor.expect("END");
    if (arms.length === 0) refuse("CASE without WHEN", at);
    return {
      kind: "case",
      at,
      arms,
      ...(of === undefined ? {} : { of }),
      ...(otherwise === undefined ? {} : { otherwise }),
    };
  }

  function interval(at: Place): Expression {
    cursor.take();
    const value = binary(0);
    const part = cursor.expectName().text.toUpperCase();
    return cursor.accept("TO")
      ? { kind: "interval", at, value, part, to: cursor.expectName().text.toUpperCase() }
      : { kind: "interval", at, value, part };
  }

  function cast(at: Place, safe: boolean): Expression {
    cursor.take();
    cursor.expectSymbol("(");
    const of = expression();
    cursor.expect("AS");
    const target = type();
    const format = cursor.accept("FORMAT") ? expression() : undefined;
    cursor.expectSymbol(")");
    return { kind: "cast", at, safe, of, type: target, ...(format === undefined ? {} : { format }) };
  }

  function extract(at: Place): Expression {
    cursor.take();
    cursor.expectSymbol("(");
    const part = primary();
    cursor.expect("FROM");
    const of = expression();
    const zone = cursor.accept("AT", "TIME", "ZONE") ? expression() : undefined;
    cursor.expectSymbol(")");
    return { kind: "extract", at, part, of, ...(zone === undefined ? {} : { zone }) };
  }

  return { expression, orderBy, window, type };
}
