/** GoogleSQL as words, names and signs: just enough to see what the head of a statement names. Nothing in a text or a comment counts. */

export interface Token {
  /** A `name` stood in backquotes; a `literal` is a text, a number or bytes, whatever it holds. */
  readonly kind: "word" | "name" | "literal" | "sign";
  /** A word in capitals, a name without its quotes, a sign. */
  readonly text: string;
  /** As it was written. */
  readonly source: string;
  readonly line: number;
  readonly column: number;
  /** Where it begins in the text. */
  readonly at: number;
}

const blank = /(?:\s+|--[^\n]*|#[^\n]*|\/\*[^]*?\*\/)+/y;
const literal =
  /(?:r|b|rb|br)?(?:"""(?:[^\\]|\\[^])*?"""|'''(?:[^\\]|\\[^])*?'''|"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*')/iy;
const name = /`((?:[^`\\\n]|\\[^])*)`/y;
const word = /@{0,2}[A-Za-z_]\w*/y;
const number = /\d[\w.]*/y;
const sign = /\|>|[^]/y;

/** The statements of a text, without the `;` between them and without empty ones. Where a quote stays open, the rest is one sign. */
export function statementsOf(sql: string): readonly (readonly Token[])[] {
  const statements: Token[][] = [[]];
  let at = 0;
  let line = 1;
  let lineStart = 0;

  function take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    return pattern.exec(sql) ?? undefined;
  }

  function advance(text: string): void {
    for (let newline = text.indexOf("\n"); newline >= 0; newline = text.indexOf("\n", newline + 1)) {
      line += 1;
      lineStart = at + newline + 1;
    }
    at += text.length;
  }

  function next(): Omit<Token, "line" | "column" | "at"> {
    const [text] = take(literal) ?? [];
    if (text !== undefined) return { kind: "literal", text: "", source: text };
    const [quoted, inner] = take(name) ?? [];
    if (quoted !== undefined) return { kind: "name", text: inner ?? "", source: quoted };
    const [found] = take(word) ?? [];
    if (found !== undefined) return { kind: "word", text: found.toUpperCase(), source: found };
    const [digits] = take(number) ?? [];
    if (digits !== undefined) return { kind: "literal", text: "", source: digits };
    const open = /["'`]/.test(sql[at] ?? "") || sql.startsWith("/*", at);
    const [character = ""] = open ? [sql.slice(at)] : (take(sign) ?? []);
    return { kind: "sign", text: character, source: character };
  }

  for (;;) {
    const [space = ""] = take(blank) ?? [];
    advance(space);
    if (at >= sql.length) break;
    const token = { ...next(), line, column: at - lineStart + 1, at };
    advance(token.source);
    if (token.text === ";" && token.kind === "sign") statements.push([]);
    else statements.at(-1)?.push(token);
  }
  return statements.filter((statement) => statement.length > 0);
}
