/** Function calls with all that may stand in their parentheses, and windows. */
import type { Argument, Call, Expression, FrameBound, OrderItem, WindowSpec } from "./ast.ts";
import type { Cursor } from "./cursor.ts";
import { refuse, type Place } from "./lexer.ts";

export interface CallParser {
  /** The call of the function of these dotted names; the cursor is at its parenthesis. */
  readonly call: (at: Place, parts: readonly string[]) => Call;
  readonly orderBy: () => OrderItem[];
  readonly window: () => WindowSpec;
}

export function callParser(cursor: Cursor, expression: () => Expression, startsQuery: () => boolean): CallParser {
  function call(at: Place, parts: readonly string[]): Call {
    cursor.expectSymbol("(");
    const upper = parts.map((part) => part.toUpperCase());
    const safe = upper.length > 1 && upper[0] === "SAFE";
    const name = (safe ? upper.slice(1) : upper).join(".");
    const distinct = cursor.accept("DISTINCT");
    const found = cursor.isSymbol(")") ? [] : cursor.list(argument);
    const nulls = cursor.accept("IGNORE", "NULLS")
      ? ("IGNORE" as const)
      : cursor.accept("RESPECT", "NULLS")
        ? ("RESPECT" as const)
        : undefined;
    let having: Call["having"];
    if (cursor.accept("HAVING")) {
      const kind = cursor.accept("MAX") ? ("MAX" as const) : (cursor.expect("MIN"), "MIN" as const);
      having = { kind, value: expression() };
    }
    const order = cursor.isNext("ORDER") ? orderBy() : [];
    const limit = cursor.accept("LIMIT") ? expression() : undefined;
    cursor.expectSymbol(")");
    const over = cursor.accept("OVER") ? window() : undefined;
    return {
      kind: "call",
      at,
      name,
      safe,
      arguments: found,
      distinct,
      orderBy: order,
      ...(nulls === undefined ? {} : { nulls }),
      ...(having === undefined ? {} : { having }),
      ...(limit === undefined ? {} : { limit }),
      ...(over === undefined ? {} : { over }),
    };
  }

  function argument(): Argument {
    const at = cursor.at();
    if (cursor.acceptSymbol("*")) return { value: { kind: "star", at } };
    const token = cursor.peek();
    const arrow = cursor.peek(1);
    if (token.kind === "word" && arrow.kind === "symbol" && arrow.text === "=>") {
      cursor.take();
      cursor.take();
      return { name: token.text.toLowerCase(), value: expression() };
    }
    const value = startsQuery() && cursor.peek().kind === "word" ? refuse("a query as an argument", at) : expression();
    return cursor.accept("AS") ? { value, alias: cursor.expectName().text } : { value };
  }

  function orderBy(): OrderItem[] {
    cursor.expect("ORDER", "BY");
    return cursor.list(() => {
      const value = expression();
      if (cursor.isNext("COLLATE")) refuse("COLLATE", cursor.at());
      const descending = cursor.accept("DESC") || (cursor.accept("ASC"), false);
      const nulls = cursor.accept("NULLS", "FIRST") ? "first" : cursor.accept("NULLS", "LAST") ? "last" : undefined;
      return { value, descending, nulls };
    });
  }

  function window(): WindowSpec {
    const at = cursor.at();
    if (!cursor.acceptSymbol("(")) return { at, base: cursor.expectName(), partitionBy: [], orderBy: [] };
    const base = cursor.isNext("PARTITION") ? undefined : cursor.acceptName();
    const partitionBy = cursor.accept("PARTITION", "BY") ? cursor.list(expression) : [];
    const order = cursor.isNext("ORDER") ? orderBy() : [];
    const unit = cursor.accept("ROWS") ? ("ROWS" as const) : cursor.accept("RANGE") ? ("RANGE" as const) : undefined;
    let frame: WindowSpec["frame"];
    if (unit !== undefined) {
      const between = cursor.accept("BETWEEN");
      const start = bound();
      if (between) cursor.expect("AND");
      frame = { unit, start, end: between ? bound() : { at: cursor.at(), edge: "current row" } };
    }
    cursor.expectSymbol(")");
    return {
      at,
      partitionBy,
      orderBy: order,
      ...(base === undefined ? {} : { base }),
      ...(frame === undefined ? {} : { frame }),
    };
  }

  function bound(): FrameBound {
    const at = cursor.at();
    if (cursor.accept("CURRENT", "ROW")) return { at, edge: "current row" };
    const unbounded = cursor.accept("UNBOUNDED");
    const offset = unbounded ? undefined : expression();
    const side = cursor.accept("PRECEDING") ? "preceding" : (cursor.expect("FOLLOWING"), "following");
    return offset === undefined ? { at, edge: `unbounded ${side}` } : { at, edge: side, offset };
  }

  return { call, orderBy, window };
}
