/** GoogleSQL as tokens, each with its place, and the one error that everything here throws: a refusal. */

/** A place in the statement: the offset of its first character. */
export type Place = number;

export type Token =
  | { readonly kind: "word"; readonly at: Place; readonly end: Place; readonly text: string; readonly upper: string }
  /** A name in backticks, without them. */
  | { readonly kind: "quoted"; readonly at: Place; readonly end: Place; readonly text: string }
  | { readonly kind: "string"; readonly at: Place; readonly end: Place; readonly text: string }
  | { readonly kind: "bytes"; readonly at: Place; readonly end: Place; readonly bytes: Uint8Array }
  | { readonly kind: "integer" | "float"; readonly at: Place; readonly end: Place; readonly text: string }
  | { readonly kind: "parameter"; readonly at: Place; readonly end: Place; readonly text: string }
  | { readonly kind: "symbol"; readonly at: Place; readonly end: Place; readonly text: string }
  | { readonly kind: "end"; readonly at: Place; readonly end: Place };

/** A construct that is not on the list, or a statement that BigQuery would refuse, with its place. */
export class Refusal extends Error {
  readonly construct: string;
  readonly at: Place;
  readonly remedy: string | undefined;
  /** Why it is refused, where it is not that the engine differs from BigQuery. */
  readonly why: string | undefined;
  constructor(construct: string, at: Place, remedy?: string, why?: string) {
    super(construct);
    this.construct = construct;
    this.at = at;
    this.remedy = remedy;
    this.why = why;
  }
}

/** Refuses `construct` at its place. The text ends up in `<construct>: the embedded engine does not run this as BigQuery does`. */
export function refuse(construct: string, at: Place, remedy?: string): never {
  throw new Refusal(construct, at, remedy);
}

/** Refuses what BigQuery refuses as well, whatever else is in the statement. */
export function refuseSyntax(construct: string, at: Place): never {
  throw new Refusal(construct, at, undefined, "a syntax error");
}

export function lineAndColumn(sql: string, at: Place): { readonly line: number; readonly column: number } {
  const before = sql.slice(0, at);
  const newline = before.lastIndexOf("\n");
  return { line: before.split("\n").length, column: at - newline };
}

const space = /(?:\s|(?:--|#)[^\n]*|\/\*[^]*?\*\/)+/y;
const text =
  /([rRbB]{0,2})('''(?:\\[^]|[^\\])*?'''|"""(?:\\[^]|[^\\])*?"""|'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*")/y;
const quoted = /`((?:\\[^]|[^`\\\n])+)`/y;
const word = /[A-Za-z_][A-Za-z0-9_]*/y;
const float = /(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+/y;
const integer = /0[xX][0-9a-fA-F]+|\d+/y;
const parameter = /@([A-Za-z_][A-Za-z0-9_]*|`[^`\\\n]+`)/y;
const symbol = /<=|>=|<>|!=|<<|>>|\|\||=>|\|>|[-+*/%(),.;:=<>[\]{}&|^~?@$!]/y;

/** All tokens, the last of kind `end`. Throws `Refusal` where the text is not GoogleSQL. */
export function tokenize(sql: string): readonly Token[] {
  const tokens: Token[] = [];
  const reserved = /[\ufdd0-\ufdef]/.exec(sql);
  if (reserved !== null) refuse(`the character ${shownAt(sql, reserved.index)}`, reserved.index);
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(sql) ?? undefined;
  };
  for (;;) {
    at += match(space)?.[0].length ?? 0;
    if (at >= sql.length) break;
    const token = next(sql, at, match, tokens.at(-1));
    tokens.push(token);
    at = token.end;
  }
  tokens.push({ kind: "end", at: sql.length, end: sql.length });
  return tokens;
}

type Match = (pattern: RegExp) => RegExpExecArray | undefined;

function next(sql: string, at: Place, match: Match, before: Token | undefined): Token {
  let found = match(text);
  if (found !== undefined) return textToken(found, at);
  found = match(quoted);
  if (found !== undefined) return { kind: "quoted", at, end: at + found[0].length, text: unescape(found[1] ?? "", at) };
  // After a dot, digits are a name (`t.1` is none of ours); before one they are a number.
  found = match(float) ?? match(integer);
  if (found !== undefined) {
    const end = at + found[0].length;
    if (/[A-Za-z0-9_]/.test(sql.charAt(end)) || (found[0].startsWith(".") && before?.end === at && isName(before))) {
      refuse("a name that starts with a digit", at, "put it in backticks");
    }
    return { kind: /^0[xX]|^\d+$/.test(found[0]) ? "integer" : "float", at, end, text: found[0] };
  }
  found = match(word);
  if (found !== undefined)
    return { kind: "word", at, end: at + found[0].length, text: found[0], upper: found[0].toUpperCase() };
  found = match(parameter);
  if (found !== undefined)
    return { kind: "parameter", at, end: at + found[0].length, text: (found[1] ?? "").replaceAll("`", "") };
  if (sql.startsWith("@@", at)) refuse("a system variable (@@…)", at);
  if (sql.startsWith("/*", at)) refuseSyntax("a comment that does not end", at);
  found = match(symbol);
  if (found !== undefined) return { kind: "symbol", at, end: at + found[0].length, text: found[0] };
  return /['"`]/.test(sql.charAt(at))
    ? refuseSyntax("a literal or name that does not end", at)
    : refuse(`the character ${shownAt(sql, at)}`, at);
}

function shownAt(sql: string, at: Place): string {
  return JSON.stringify(String.fromCodePoint(sql.codePointAt(at) ?? 0xfffd));
}

function isName(token: Token): boolean {
  return token.kind === "word" || token.kind === "quoted" || (token.kind === "symbol" && /[)\]]/.test(token.text));
}

function textToken(found: RegExpExecArray, at: Place): Token {
  const [whole, prefix = "", rest = ""] = found;
  const end = at + whole.length;
  const lower = prefix.toLowerCase();
  if (lower === "rr" || lower === "bb") refuse(`the literal prefix ${prefix}`, at);
  const width = rest.startsWith("'''") || rest.startsWith('"""') ? 3 : 1;
  // Line ends inside of a literal are read as \n, whatever the file has.
  const body = rest.slice(width, -width).replaceAll(/\r\n?/g, "\n");
  const bytes = lower.includes("b");
  const raw = lower.includes("r");
  if (!bytes) return { kind: "string", at, end, text: raw ? body : unescape(body, at) };
  return { kind: "bytes", at, end, bytes: raw ? Buffer.from(body, "utf8") : unescapeBytes(body, at) };
}

const simple: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "?": "?",
  '"': '"',
  "'": "'",
  "`": "`",
};

const escape = /\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([^]))/g;

function unescape(body: string, at: Place): string {
  return body.replaceAll(
    escape,
    (whole: string, hex?: string, short?: string, long?: string, octal?: string, letter?: string) => {
      const code = hex ?? short ?? long;
      const point = octal === undefined ? Number.parseInt(code ?? "", 16) : Number.parseInt(octal, 8);
      const isText = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) && (point < 0xfdd0 || point > 0xfdef);
      if (isText) return String.fromCodePoint(point);
      const known = Number.isNaN(point) ? simple[letter ?? ""] : undefined;
      return known ?? refuse(`the escape ${whole}`, at);
    },
  );
}

/** In bytes, an escape is one byte, and other characters are their UTF-8. */
function unescapeBytes(body: string, at: Place): Uint8Array {
  const parts: Buffer[] = [];
  let end = 0;
  for (const found of body.matchAll(escape)) {
    const [whole, hex, short, long, octal, letter] = found;
    parts.push(Buffer.from(body.slice(end, found.index), "utf8"));
    const byte = octal === undefined ? Number.parseInt(hex ?? "", 16) : Number.parseInt(octal, 8);
    const known = short === undefined && long === undefined ? simple[letter ?? ""] : undefined;
    if (!Number.isNaN(byte)) parts.push(Buffer.from([byte]));
    else parts.push(Buffer.from(known ?? refuse(`the escape ${whole}`, at), "utf8"));
    end = found.index + whole.length;
  }
  return Buffer.concat([...parts, Buffer.from(body.slice(end), "utf8")]);
}
