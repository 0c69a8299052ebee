import { codeOf, tokensOf, type Token } from "./tokens.ts";

export interface Import {
  /** Undefined for an `import(…)` whose argument is not a literal. */
  readonly specifier: string | undefined;
  /** `type`: erased before it runs; `dynamic`: loaded when it is reached; `static`: loaded with the module. */
  readonly kind: "type" | "static" | "dynamic";
  readonly line: number;
}

/** Everything that a module imports or exports from elsewhere, `import("…")` and `import x = require(…)` included. */
export function importsOf(source: string | readonly Token[]): Import[] {
  const tokens = typeof source === "string" ? tokensOf(source) : source;
  return tokens.flatMap((token, index) => {
    if (token.kind !== "word" || isMember(tokens, index)) return [];
    if (token.text === "import") return importAt(tokens, index);
    return token.text === "export" ? exportAt(tokens, index) : [];
  });
}

/** Whether the word at `index` is a property's name (`x.import`, `import: …`) and not a word of the language. */
export function isMember(tokens: readonly Token[], index: number): boolean {
  const before = codeOf(tokens[index - 1]);
  return before === "." || before === "?." || codeOf(tokens[index + 1]) === ":";
}

function importAt(tokens: readonly Token[], index: number): Import[] {
  const line = tokens[index]?.line ?? 0;
  const next = tokens[index + 1];
  if (codeOf(next) === ".") return []; // import.meta
  if (next?.kind === "string") return [{ specifier: next.text, kind: "static", line }];
  if (codeOf(next) !== "(") return fromClause(tokens, index + 1, line);
  const argument = tokens[index + 2];
  const literal = argument?.kind === "string" && [")", ","].includes(codeOf(tokens[index + 3]) ?? "");
  return [{ specifier: literal ? argument.text : undefined, kind: "dynamic", line }];
}

function exportAt(tokens: readonly Token[], index: number): Import[] {
  const first = codeOf(tokens[index + 1]) === "type" ? tokens[index + 2] : tokens[index + 1];
  return ["{", "*"].includes(codeOf(first) ?? "") ? fromClause(tokens, index + 1, tokens[index]?.line ?? 0) : [];
}

/** From the token after `import` or `export` to the specifier, when the statement has one. */
function fromClause(tokens: readonly Token[], start: number, line: number): Import[] {
  const depth = tokens[start]?.depth ?? 0;
  const typed = codeOf(tokens[start]) === "type" && ![",", "from"].includes(codeOf(tokens[start + 1]) ?? "");
  const kind = typed ? "type" : "static";
  for (let index = start; index < tokens.length; index += 1) {
    const code = codeOf(tokens[index]);
    const next = tokens[index + 1];
    if (code === ";" || (tokens[index]?.depth ?? 0) < depth) return [];
    if (code === "require" && codeOf(next) === "(") return [{ specifier: tokens[index + 2]?.text, kind, line }];
    if (code === "from" && next?.kind === "string") return [{ specifier: next.text, kind, line }];
    // `export { a }` without a source ends with its bracket.
    if (code === "}" && tokens[index]?.depth === depth && codeOf(next) !== "from") return [];
  }
  return [];
}
