/** GoogleSQL's queries: WITH, SELECT, set operations, and what stands in FROM. */
import type { Body, Expression, From, Grouping, Name, Query, Select, SelectItem, WindowSpec } from "./ast.ts";
import type { Cursor } from "./cursor.ts";
import { refuse, type Place } from "./lexer.ts";
import { expressionParser, type ExpressionParser } from "./parse-expression.ts";

export interface QueryParser extends ExpressionParser {
  readonly query: () => Query;
  readonly from: () => From;
  /** One table, subquery or UNNEST with its alias, and no join. */
  readonly fromItem: () => From;
  readonly path: () => readonly Name[];
}

export function queryParser(cursor: Cursor): QueryParser {
  const parser = expressionParser(cursor, query);
  const { expression } = parser;

  function query(): Query {
    const at = cursor.at();
    const ctes: { name: Name; query: Query }[] = [];
    let recursive = false;
    if (cursor.accept("WITH")) {
      recursive = cursor.accept("RECURSIVE");
      do {
        const name = cursor.expectName();
        cursor.expect("AS");
        cursor.expectSymbol("(");
        ctes.push({ name, query: query() });
        cursor.expectSymbol(")");
      } while (cursor.acceptSymbol(",") && !cursor.isNext("SELECT"));
    }
    const body = setOperation();
    const orderBy = cursor.isNext("ORDER") ? parser.orderBy() : [];
    const limit = cursor.accept("LIMIT") ? expression() : undefined;
    const offset = limit !== undefined && cursor.accept("OFFSET") ? expression() : undefined;
    if (cursor.isSymbol("|>")) refuse("pipe syntax (|>)", cursor.at());
    return {
      kind: "query",
      at,
      recursive,
      with: ctes,
      body,
      orderBy,
      ...(limit === undefined ? {} : { limit }),
      ...(offset === undefined ? {} : { offset }),
    };
  }

  /** One operator between all its operands: mixing them needs parentheses, as in GoogleSQL. */
  function setOperation(): Body {
    let left = operand();
    let first: string | undefined;
    for (;;) {
      const at = cursor.at();
      const operator = (["UNION", "INTERSECT", "EXCEPT"] as const).find((word) => cursor.isNext(word));
      if (operator === undefined) return left;
      cursor.take();
      const distinct = cursor.accept("DISTINCT");
      if (!distinct) cursor.expect("ALL");
      if (cursor.isNext("BY") || cursor.isNext("CORRESPONDING") || cursor.isNext("STRICT"))
        refuse("a set operation by name", at);
      const form = `${operator} ${distinct}`;
      if (first !== undefined && first !== form) refuse("different set operations without parentheses", at);
      if (operator === "EXCEPT" && first !== undefined) refuse("EXCEPT after EXCEPT without parentheses", at);
      first = form;
      left = { kind: "set", at, operator, distinct, left, right: operand() };
    }
  }

  function operand(): Body {
    if (cursor.isNext("SELECT")) return select();
    if (cursor.isNext("FROM")) refuse("a query that starts with FROM", cursor.at());
    cursor.expectSymbol("(");
    const inner = query();
    cursor.expectSymbol(")");
    return inner;
  }

  function select(): Select {
    const at = cursor.expect("SELECT");
    if (cursor.isNext("WITH")) refuse("SELECT WITH …", cursor.at());
    const distinct = cursor.accept("DISTINCT");
    if (!distinct) cursor.accept("ALL");
    let form: Select["as"];
    if (cursor.accept("AS"))
      form = cursor.accept("STRUCT") ? "STRUCT" : cursor.accept("VALUE") ? "VALUE" : refuse("SELECT AS a type", at);
    const items = [item()];
    while (cursor.acceptSymbol(",")) {
      if (cursor.isNext("FROM")) break;
      items.push(item());
    }
    const source = cursor.accept("FROM") ? from() : undefined;
    const where = cursor.accept("WHERE") ? expression() : undefined;
    const groupBy = cursor.isNext("GROUP") ? grouping() : undefined;
    const having = cursor.accept("HAVING") ? expression() : undefined;
    const qualify = cursor.accept("QUALIFY") ? expression() : undefined;
    const windows = cursor.accept("WINDOW")
      ? cursor.list((): { name: Name; spec: WindowSpec } => {
          const name = cursor.expectName();
          cursor.expect("AS");
          return { name, spec: parser.window() };
        })
      : [];
    return {
      kind: "select",
      at,
      distinct,
      items,
      windows,
      ...(form === undefined ? {} : { as: form }),
      ...(source === undefined ? {} : { from: source }),
      ...(where === undefined ? {} : { where }),
      ...(groupBy === undefined ? {} : { groupBy }),
      ...(having === undefined ? {} : { having }),
      ...(qualify === undefined ? {} : { qualify }),
    };
  }

  function item(): SelectItem {
    const at = cursor.at();
    if (cursor.acceptSymbol("*")) return star(at, undefined);
    const value = expression();
    if (cursor.isSymbol(".")) {
      cursor.take();
      cursor.expectSymbol("*");
      return star(at, value);
    }
    return { kind: "expression", value, alias: alias() };
  }

  function star(at: Place, of: Expression | undefined): SelectItem {
    const except: Name[] = [];
    const replace: { value: Expression; alias: Name }[] = [];
    if (cursor.isNext("EXCEPT") && isOpen(1)) {
      cursor.take();
      cursor.expectSymbol("(");
      except.push(...cursor.list(cursor.expectName));
      cursor.expectSymbol(")");
    }
    if (cursor.isNext("REPLACE") && isOpen(1)) {
      cursor.take();
      cursor.expectSymbol("(");
      replace.push(
        ...cursor.list(() => {
          const value = expression();
          cursor.accept("AS");
          return { value, alias: cursor.expectName() };
        }),
      );
      cursor.expectSymbol(")");
    }
    return { kind: "star", at, except, replace, ...(of === undefined ? {} : { of }) };
  }

  function isOpen(ahead: number): boolean {
    const token = cursor.peek(ahead);
    return token.kind === "symbol" && token.text === "(";
  }

  function alias(): Name | undefined {
    return cursor.accept("AS") ? cursor.expectName() : cursor.acceptName();
  }

  function grouping(): Grouping {
    const at = cursor.expect("GROUP");
    cursor.expect("BY");
    if (cursor.accept("ALL")) return { kind: "all", at };
    const group = (): Expression[] => {
      if (!cursor.isSymbol("(")) return [expression()];
      const empty = cursor.peek(1);
      if (empty.kind === "symbol" && empty.text === ")") {
        cursor.take();
        cursor.take();
        return [];
      }
      const inner = expression();
      return inner.kind === "struct" && inner.type === undefined ? inner.fields.map(({ value }) => value) : [inner];
    };
    const kind = cursor.accept("ROLLUP")
      ? "rollup"
      : cursor.accept("CUBE")
        ? "cube"
        : cursor.accept("GROUPING", "SETS")
          ? "sets"
          : "plain";
    if (kind === "plain") return { kind, at, keys: cursor.list(expression) };
    cursor.expectSymbol("(");
    const sets = cursor.list(() => {
      if (cursor.isNext("ROLLUP") || cursor.isNext("CUBE")) refuse("nested grouping sets", cursor.at());
      return group();
    });
    cursor.expectSymbol(")");
    if (cursor.isSymbol(",")) refuse("several groupings side by side", cursor.at());
    return { kind, at, sets };
  }

  function from(): From {
    let left = joined();
    for (let at = cursor.at(); cursor.acceptSymbol(","); at = cursor.at())
      left = { kind: "join", at, type: "CROSS", left, right: joined() };
    return left;
  }

  function joined(): From {
    let left = fromItem();
    for (;;) {
      const at = cursor.at();
      const type = joinType();
      if (type === undefined) return left;
      const right = fromItem();
      if (cursor.accept("ON")) left = { kind: "join", at, type, left, right, on: expression() };
      else if (cursor.accept("USING")) {
        cursor.expectSymbol("(");
        left = { kind: "join", at, type, left, right, using: cursor.list(cursor.expectName) };
        cursor.expectSymbol(")");
      } else if (type === "CROSS" || right.kind === "unnest" || (right.kind === "table" && !right.quoted)) {
        // Only a correlated array may be joined without a condition; the translator knows which names are arrays.
        left = { kind: "join", at, type, left, right };
      } else refuse("a join without ON or USING", at);
    }
  }

  function joinType(): "CROSS" | "INNER" | "LEFT" | "RIGHT" | "FULL" | undefined {
    if (cursor.isNext("NATURAL")) refuse("NATURAL JOIN", cursor.at());
    if (cursor.accept("JOIN") || cursor.accept("INNER", "JOIN")) return "INNER";
    if (cursor.accept("CROSS", "JOIN")) return "CROSS";
    for (const type of ["LEFT", "RIGHT", "FULL"] as const)
      if (cursor.accept(type, "JOIN") || cursor.accept(type, "OUTER", "JOIN")) return type;
    return undefined;
  }

  function fromItem(): From {
    let found = primary();
    for (;;) {
      if (cursor.isNext("PIVOT") && isOpen(1)) found = pivot(found);
      else if (cursor.isNext("UNPIVOT")) found = unpivot(found);
      else if (cursor.isNext("TABLESAMPLE")) refuse("TABLESAMPLE", cursor.at());
      else if (cursor.isNext("FOR")) refuse("FOR SYSTEM_TIME AS OF", cursor.at());
      else return found;
    }
  }

  function primary(): From {
    const at = cursor.at();
    if (cursor.isNext("LATERAL")) refuse("LATERAL", at);
    if (cursor.accept("UNNEST")) {
      cursor.expectSymbol("(");
      const value = expression();
      cursor.expectSymbol(")");
      return unnested(at, value);
    }
    if (cursor.acceptSymbol("(")) {
      if (cursor.isNext("SELECT") || cursor.isNext("WITH") || cursor.isSymbol("(")) {
        const inner = query();
        cursor.expectSymbol(")");
        return { kind: "subquery", at, query: inner, alias: sourceAlias() };
      }
      const inner = from();
      cursor.expectSymbol(")");
      return inner;
    }
    const isQuoted = cursor.peek().kind === "quoted";
    const names = path();
    if (cursor.isSymbol("(")) refuse(`the table function ${names.map(({ text }) => text).join(".")}`, at);
    const named = sourceAlias();
    if (cursor.isNext("WITH")) {
      return refuse("WITH OFFSET after a path", cursor.at(), "write UNNEST(path) WITH OFFSET");
    }
    return { kind: "table", at, path: names, alias: named, quoted: isQuoted };
  }

  function unnested(at: Place, value: Expression): From {
    const named = sourceAlias();
    let offset: Name | undefined;
    if (cursor.isNext("WITH")) {
      const place = cursor.expect("WITH");
      cursor.expect("OFFSET");
      offset = alias() ?? { text: "offset", at: place };
    }
    return { kind: "unnest", at, value, alias: named, offset };
  }

  function sourceAlias(): Name | undefined {
    if (cursor.accept("AS")) return cursor.expectName();
    return cursor.isNext("PIVOT") || cursor.isNext("UNPIVOT") ? undefined : cursor.acceptName();
  }

  /** A table's name; a quoted one is split at its dots, and dashes may stand in an unquoted project. */
  function path(): readonly Name[] {
    const names: Name[] = [];
    do {
      const token = cursor.peek();
      if (token.kind === "quoted") {
        cursor.take();
        names.push(...token.text.split(".").map((text) => ({ text, at: token.at })));
        continue;
      }
      const first = names.length === 0 ? cursor.expectName() : anyWord();
      let { text } = first;
      while (cursor.isSymbol("-") && names.length === 0 && cursor.peek().at === first.at + text.length) {
        cursor.take();
        const part = cursor.take();
        if (part.kind !== "word" && part.kind !== "integer") refuse("a table's name with such a dash", part.at);
        text += `-${part.text}`;
      }
      names.push({ text, at: first.at });
    } while (cursor.acceptSymbol("."));
    return names;
  }

  function anyWord(): Name {
    const token = cursor.take();
    return token.kind === "word"
      ? { text: token.text, at: token.at }
      : refuse("a table's name without a part", token.at);
  }

  function pivot(of: From): From {
    const at = cursor.expect("PIVOT");
    cursor.expectSymbol("(");
    const aggregates = cursor.list(() => ({ value: expression(), alias: cursor.isNext("FOR") ? undefined : alias() }));
    cursor.expect("FOR");
    const input = pivotInput();
    cursor.expect("IN");
    cursor.expectSymbol("(");
    const values = cursor.list(() => ({ value: expression(), alias: alias() }));
    cursor.expectSymbol(")");
    cursor.expectSymbol(")");
    return { kind: "pivot", at, of, aggregates, input, values, alias: sourceAlias() };
  }

  /** The input column: a name, so that IN is not read as its comparison. */
  function pivotInput(): Expression {
    const name = cursor.expectName();
    let value: Expression = { kind: "name", at: name.at, name: name.text, quoted: false };
    while (cursor.acceptSymbol(".")) {
      const field = anyWord();
      value = { kind: "field", at: field.at, of: value, name: field.text };
    }
    return value;
  }

  function unpivot(of: From): From {
    const at = cursor.expect("UNPIVOT");
    const includeNulls = cursor.accept("INCLUDE", "NULLS");
    if (!includeNulls) cursor.accept("EXCLUDE", "NULLS");
    cursor.expectSymbol("(");
    if (cursor.isSymbol("(")) refuse("UNPIVOT of several columns at once", cursor.at());
    const value = cursor.expectName();
    cursor.expect("FOR");
    const name = cursor.expectName();
    cursor.expect("IN");
    cursor.expectSymbol("(");
    const columns = cursor.list(() => {
      const column = cursor.expectName();
      return { column, label: cursor.accept("AS") ? expression() : undefined };
    });
    cursor.expectSymbol(")");
    cursor.expectSymbol(")");
    return { kind: "unpivot", at, of, includeNulls, value, name, columns, alias: sourceAlias() };
  }

  return { ...parser, query, from, fromItem, path };
}
