/**
 * A scanner for TypeScript, good enough to read imports and declarations by: it knows comments, strings, templates with
 * nested expressions and regular expressions, so that what merely looks like code inside them is never taken for code.
 */
export interface Token {
  /** `string` also stands for a template without expressions; `text` is then what is between the quotes. */
  readonly kind: "word" | "string" | "template" | "regex" | "number" | "punctuator";
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** How many brackets of any kind are open around the token; an opening bracket and its closing one count alike. */
  readonly depth: number;
}

const WORD = /[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /\.?\d[\w.]*/y;
const BLANK = /(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)+/y;
const QUOTED = /"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE_CHUNK = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y;
const PUNCTUATOR = /===|!==|\.\.\.|=>|[=!<>]=|&&|\|\||\?\?|\?\.(?!\d)|[^]/y;
const BEFORE_REGEX: ReadonlySet<string> = new Set(
  "return typeof case in of delete void throw new do else await yield instanceof".split(" "),
);

/** The tokens of a source text. Throws with the line when a string, template or bracket is left open. */
export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  const templates: number[] = []; // the depth at which each open `${` began
  let at = source.startsWith("#!") ? source.indexOf("\n") : 0;
  let line = 1;
  let depth = 0;

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const text = pattern.exec(source)?.[0];
    if (text !== undefined) at += text.length;
    return text;
  };
  const push = (kind: Token["kind"], text: string, raw: string): void => {
    tokens.push({ kind, text, line, depth });
    line += raw.split("\n").length - 1;
  };
  const chunk = (opening: "`" | "}"): void => {
    const text = take(TEMPLATE_CHUNK);
    if (text === undefined) throw new Error(`line ${line}: a template is never closed`);
    const whole = opening === "`" && text.endsWith("`");
    push(whole ? "string" : "template", whole ? text.slice(0, -1) : text, text);
    if (text.endsWith("${")) templates.push(depth);
  };

  while (at < source.length) {
    const blank = take(BLANK);
    if (blank !== undefined) {
      line += blank.split("\n").length - 1;
      continue;
    }
    const quoted = take(QUOTED);
    if (quoted !== undefined) {
      push("string", quoted.slice(1, -1), quoted);
      continue;
    }
    if (source[at] === "/" && mayBeginRegex(tokens.at(-1))) {
      const regex = take(REGEX);
      if (regex !== undefined) {
        push("regex", regex, regex);
        continue;
      }
    }
    const word = take(WORD);
    if (word !== undefined) {
      push("word", word, word);
      continue;
    }
    const number = take(NUMBER);
    if (number !== undefined) {
      push("number", number, number);
      continue;
    }
    const mark = take(PUNCTUATOR) ?? "";
    if (mark === "`") chunk("`");
    else if (mark === "}" && templates.at(-1) === depth) {
      templates.pop();
      chunk("}");
    } else if (mark === '"' || mark === "'") throw new Error(`line ${line}: a string is never closed`);
    else {
      if (")]}".includes(mark)) depth -= 1;
      push("punctuator", mark, mark);
      if ("([{".includes(mark)) depth += 1;
    }
  }
  if (depth !== 0) throw new Error(`line ${line}: ${Math.abs(depth)} bracket(s) left open or closed twice`);
  return tokens;
}

/** A token's text as code: undefined for what only stands between quotes or slashes. */
export function codeOf(token: Token | undefined): string | undefined {
  return token?.kind === "word" || token?.kind === "punctuator" ? token.text : undefined;
}

/** A slash after a value divides; anywhere else it begins a regular expression. */
function mayBeginRegex(previous: Token | undefined): boolean {
  if (previous === undefined) return true;
  if (previous.kind === "word") return BEFORE_REGEX.has(previous.text);
  return previous.kind === "punctuator" && ![")", "]", "}"].includes(previous.text);
}
