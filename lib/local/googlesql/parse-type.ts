/** GoogleSQL's types as they are written: `ARRAY<STRUCT<a INT64, NUMERIC(10, 2)>>`. */
import type { TypeNode } from "./ast.ts";
import type { Cursor } from "./cursor.ts";
import { refuse } from "./lexer.ts";

export function typeParser(cursor: Cursor): () => TypeNode {
  function type(): TypeNode {
    const pending = { closed: 0 };
    const node = typeNode(pending);
    return pending.closed > 0 ? cursor.unexpected() : node;
  }

  /** `ARRAY<STRUCT<a INT64>>` ends in one token `>>`, which closes two. */
  function close(pending: { closed: number }): void {
    if (pending.closed > 0) pending.closed--;
    else if (cursor.acceptSymbol(">>")) pending.closed++;
    else cursor.expectSymbol(">");
  }

  function typeNode(pending: { closed: number }): TypeNode {
    const at = cursor.at();
    if (cursor.accept("ARRAY")) {
      cursor.expectSymbol("<");
      const element = typeNode(pending);
      close(pending);
      return { kind: "array", at, element };
    }
    if (cursor.accept("STRUCT")) {
      cursor.expectSymbol("<");
      const fields: { name: string | undefined; type: TypeNode }[] = [];
      do {
        const token = cursor.peek(1);
        const named = token.kind === "word" || token.kind === "quoted";
        const name = named ? cursor.expectName().text : undefined;
        fields.push({ name, type: typeNode(pending) });
      } while (pending.closed === 0 && cursor.acceptSymbol(","));
      close(pending);
      return { kind: "struct", at, fields };
    }
    if (cursor.isNext("RANGE") || cursor.isNext("INTERVAL"))
      refuse(`the type ${cursor.isNext("RANGE") ? "RANGE" : "INTERVAL"}`, at);
    const name = cursor.expectName().text.toUpperCase();
    const found: string[] = [];
    if (cursor.acceptSymbol("(")) {
      found.push(
        ...cursor.list(() => {
          const token = cursor.take();
          return token.kind === "integer" ? token.text : refuse("a type with such a parameter", token.at);
        }),
      );
      cursor.expectSymbol(")");
    }
    return { kind: "scalar", at, name, arguments: found };
  }

  return type;
}
