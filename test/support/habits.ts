/** The habits that a machine can see in one file: no classes, no enums, no mutable state of a module, no hidden clock. */
import { isMember } from "./imports.ts";
import { codeOf, tokensOf, type Token } from "./tokens.ts";
import type { Violation } from "./house.ts";

/** Rooms in which time, chance and the outside world come in as arguments, so that a run can be replayed from a seed. */
const REPLAYABLE = /^lib\/(?:core|ports|runtime|factories)\//;
const HIDDEN_INPUTS = ["process", "performance", "crypto", "globalThis", "setTimeout", "setInterval", "setImmediate"];
const MODIFIERS = ["public", "private", "protected", "readonly", "override"];
const COLLECTIONS = ["Map", "Set", "WeakMap", "WeakSet", "Array"];

/** Where one source file breaks a habit. */
export function habitViolations(file: string, source: string): Violation[] {
  const tokens = tokensOf(source);
  const found: Violation[] = [];
  const report = (index: number, rule: string, remedy: string): void => {
    found.push({ file, line: tokens[index]?.line ?? 0, rule, remedy });
  };
  const code = (index: number): string | undefined => codeOf(tokens[index]);

  for (const [index, token] of tokens.entries()) {
    if (token.kind !== "word" || isMember(tokens, index)) continue;
    const next = tokens[index + 1];
    const named = next?.kind === "word";
    if (token.text === "export" && (code(index + 1) === "default" || exportsDefault(tokens, index)))
      report(index, "no default exports", "Export it by a name.");
    if (token.text === "class" && (named || code(index + 1) === "{") && !isError(tokens, index))
      report(index, "no classes except errors", "Write a function that returns an object literal, or extend an Error.");
    if (token.text === "enum" && named && code(index + 2) === "{")
      report(index, "no enums", "Write a frozen object with a type of the same name.");
    if (
      ["namespace", "module"].includes(token.text) &&
      (named || next?.kind === "string") &&
      ["{", "."].includes(code(index + 2) ?? "")
    )
      report(index, "no namespaces", "A file is a namespace already: export from it.");
    if (token.text === "constructor" && code(index + 1) === "(" && hasParameterProperty(tokens, index + 1))
      report(index, "no parameter properties", "Declare the field and assign it in the constructor.");
    if (["let", "var"].includes(token.text) && token.depth === 0 && named)
      report(index, "no mutable state of a module", "Let the function that needs it hold it, or hand it in.");
    if (token.text === "const" && token.depth === 0 && isMutable(tokens, index))
      report(
        index,
        "no mutable state of a module",
        "Write `as const`, or give it a readonly type such as ReadonlyMap.",
      );
    if (REPLAYABLE.test(file)) {
      const input = hiddenInput(tokens, index);
      if (input !== undefined)
        report(
          index,
          `no hidden clock, chance or outside world: ${input}`,
          "Take it as an argument, or from lib/ports (Clock, Random, …).",
        );
    }
  }
  return found;
}

/** `export { x as default }` */
function exportsDefault(tokens: readonly Token[], index: number): boolean {
  const rest = tokens.slice(index + 1);
  if (codeOf(rest[0]) !== "{") return false;
  const names = rest.slice(
    0,
    rest.findIndex((token) => codeOf(token) === "}"),
  );
  return names.some((token, at) => codeOf(token) === "default" && codeOf(names[at - 1]) === "as");
}

function isError(tokens: readonly Token[], index: number): boolean {
  const body = tokens.findIndex((token, at) => at > index && codeOf(token) === "{");
  const head = tokens.slice(index, body);
  const parent = head[head.findIndex((token) => codeOf(token) === "extends") + 1];
  return parent !== undefined && head.some((token) => codeOf(token) === "extends") && parent.text.endsWith("Error");
}

function hasParameterProperty(tokens: readonly Token[], open: number): boolean {
  const depth = (tokens[open]?.depth ?? 0) + 1;
  for (let index = open + 1; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token === undefined || token.depth < depth) return false;
    const begins = index === open + 1 || codeOf(tokens[index - 1]) === ",";
    if (begins && token.depth === depth && MODIFIERS.includes(token.text) && tokens[index + 1]?.kind === "word")
      return true;
  }
  return false;
}

/** Whether a top-level `const` holds a collection that others could change. */
function isMutable(tokens: readonly Token[], index: number): boolean {
  const end = tokens.findIndex((token, at) => at > index && token.depth === 0 && codeOf(token) === ";");
  const statement = tokens.slice(index, end === -1 ? undefined : end);
  const equals = statement.findIndex((token) => token.depth === 0 && codeOf(token) === "=");
  if (equals === -1) return false;
  const typed = statement.slice(0, equals).some((token) => /^readonly$|^Readonly/.test(token.text));
  const [first, second, third] = statement.slice(equals + 1);
  const frozen = statement.some((token, at) => codeOf(token) === "as" && codeOf(statement[at + 1]) === "const");
  if (typed || frozen) return false;
  if (codeOf(first) === "new") return COLLECTIONS.includes(second?.text ?? "") && third !== undefined;
  const isArray = codeOf(first) === "[" && codeOf(statement.at(-1)) === "]";
  return isArray || (codeOf(first) === "{" && codeOf(second) === "}");
}

/** What the word at `index` reads from outside of the program, or undefined. */
function hiddenInput(tokens: readonly Token[], index: number): string | undefined {
  const code = (offset: number): string | undefined => codeOf(tokens[index + offset]);
  const word = code(0) ?? "";
  const calls = code(1) === "." && code(3) === "(";
  if (word === "Date" && calls && code(2) === "now") return "Date.now()";
  if (word === "Date" && code(-1) === "new" && (code(1) !== "(" || code(2) === ")")) return "new Date()";
  if (word === "Math" && code(1) === "." && code(2) === "random") return "Math.random()";
  if (word === "DateTime" && calls && code(2) === "now") return "DateTime.now()";
  if (word === "DateTime" && calls && ["utc", "local"].includes(code(2) ?? "") && code(4) === ")")
    return `DateTime.${code(2)}()`;
  if (word === "AbortSignal" && calls && code(2) === "timeout") return "AbortSignal.timeout()";
  if (word === "fetch" && code(1) === "(" && ["await", "return", "=", "(", "=>", "void"].includes(code(-1) ?? ""))
    return "fetch()";
  const used = code(1) === "." || code(1) === "?." || code(1) === "(";
  return HIDDEN_INPUTS.includes(word) && used && code(-1) !== "function" ? word : undefined;
}
