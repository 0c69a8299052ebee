/** SQL text for DuckDB: quoting, and the little of GoogleSQL that differs on the surface. */
import { PermanentError } from "../core/errors.ts";

/** The name under which the warehouse's file is attached. It starts every name, so that a dataset may have any other. */
export const catalog = "_sluice_warehouse";

export function quoteName(...parts: readonly string[]): string {
  return parts.map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
}

export function quoteText(text: string): string {
  if (text.includes("\0")) throw invalidQuery("a NUL character in a text is not supported by the embedded engine");
  return `'${text.replaceAll("'", "''")}'`;
}

export interface Translated {
  readonly sql: string;
  /** The named parameters that the statement uses, in its own spelling, each once. */
  readonly parameters: readonly string[];
  /** The statement's first word in capitals, `(` for one in parentheses, or an empty text. */
  readonly kind: string;
}

/**
 * Rewrites one GoogleSQL statement, token by token: names in backticks, texts (GoogleSQL's have escapes, and may stand
 * in double quotes), comments, and `@name`, which `parameter` spells. Functions are left as they are.
 * Throws `PermanentError` (`invalidQuery`) for text that is no single statement.
 */
export function translate(sql: string, parameter: (name: string) => string): Translated {
  const parameters = new Set<string>();
  let out = "";
  let kind: string | undefined;
  let ended = false;
  for (const token of tokens(sql)) {
    if (token.kind === "comment") {
      out += " ";
      continue;
    }
    if (token.kind === "space") {
      out += token.text;
      continue;
    }
    if (ended) throw invalidQuery("more than one statement; send them one at a time");
    if (token.text === ";") {
      ended = true;
      continue;
    }
    kind ??= token.kind === "word" || token.text === "(" ? token.text.toUpperCase() : "";
    if (token.kind === "name") out += quotePath(token.text);
    else if (token.kind === "text") out += textLiteral(token.text);
    else if (token.kind === "parameter") {
      parameters.add(token.text);
      out += parameter(token.text);
    } else out += token.text;
  }
  return { sql: out.trim(), parameters: [...parameters], kind: kind ?? "" };
}

export function invalidQuery(message: string): PermanentError {
  return new PermanentError(message, { code: "invalidQuery" });
}

type Token = {
  readonly kind: "space" | "comment" | "word" | "name" | "text" | "parameter" | "other";
  readonly text: string;
};

const lexicon: readonly (readonly [Token["kind"], RegExp])[] = [
  ["space", /\s+/y],
  ["comment", /(?:--|#)[^\n]*|\/\*[^]*?\*\//y],
  [
    "text",
    /(?:[rR][bB]?|[bB][rR]?)?(?:'''(?:\\[^]|[^\\])*?'''|"""(?:\\[^]|[^\\])*?"""|'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*")/y,
  ],
  ["name", /`(?:\\[^]|[^`\\\n])+`/y],
  ["parameter", /@[A-Za-z_]\w*/y],
  ["word", /[A-Za-z_]\w*/y],
  ["other", /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[^'"`@$]/y],
];

function* tokens(sql: string): Generator<Token> {
  let at = 0;
  scan: while (at < sql.length) {
    for (const [kind, pattern] of lexicon) {
      pattern.lastIndex = at;
      const text = pattern.exec(sql)?.[0];
      if (text === undefined) continue;
      if (text === "/" && sql[at + 1] === "*") break;
      at += text.length;
      yield { kind, text: kind === "parameter" ? text.slice(1) : kind === "name" ? text.slice(1, -1) : text };
      continue scan;
    }
    throw invalidQuery(`the statement cannot be read from ${JSON.stringify(sql.slice(at, at + 20))} on`);
  }
}

/** `p.d.t` and `d.t` become a dataset and a table: this engine has one project. */
function quotePath(path: string): string {
  return quoteName(...path.split(".").slice(-2));
}

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function textLiteral(token: string): string {
  const [, prefix = "", rest = ""] = /^([rRbB]*)([^]*)$/.exec(token) ?? [];
  const width = rest.startsWith("'''") || rest.startsWith('"""') ? 3 : 1;
  const body = rest.slice(width, -width);
  const raw = /r/i.test(prefix) ? body : unescape(body);
  if (!/b/i.test(prefix)) return quoteText(raw);
  return `unhex('${Buffer.from(raw, /[^\0-\xff]/.test(raw) ? "utf8" : "latin1").toString("hex")}')`;
}

function unescape(body: string): string {
  return body.replaceAll(
    /\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([^]))/g,
    (whole, hex?: string, short?: string, long?: string, octal?: string, letter?: string) => {
      const code = hex ?? short ?? long;
      if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const known = escapes[letter ?? ""];
      if (known !== undefined) return known;
      if (letter !== undefined && "\\?\"'`\n".includes(letter)) return letter;
      throw invalidQuery(`${whole} is no escape of GoogleSQL`);
    },
  );
}
