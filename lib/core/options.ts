/**
 * The options of what authors define, checked when they define it: code without types may say anything, and a typo must not be
 * passed over. Tables of names and tests, which cost a cold start next to nothing.
 */
import { DefinitionError, throwAll } from "./errors.ts";
import { didYouMean, nearest } from "./suggest.ts";

/** One thing that is wrong with a value, at `path` within it: `retention.days`, `deps[1]`; empty for the value itself. */
export interface Fault {
  readonly path: string;
  readonly message: string;
  readonly remedy?: string | undefined;
}

/** Adds what is wrong with the value at `path` to `faults`. */
export type Rule = (value: unknown, path: string, faults: Fault[]) => void;

/** A rule for each of the names, and no other name is known. */
export type Shape<Name extends string = string> = Readonly<Record<Name, Rule>>;

/** Throws one `DefinitionError` for all that is wrong with the options of `who`. */
export function checkOptions(who: string, options: unknown, shape: Shape): void {
  const faults: Fault[] = [];
  fields(shape)(options, "", faults);
  throwAll(problemsOf(who, faults));
}

/** The same faults as problems, each with its place: `gitcoin/scores.retention.days`. */
export function problemsOf(who: string, faults: readonly Fault[]): readonly DefinitionError[] {
  return faults.map(
    ({ path, message, remedy }) =>
      new DefinitionError(message, {
        where: path === "" ? who : `${who}.${path}`,
        ...(remedy === undefined ? {} : { remedy }),
      }),
  );
}

/** The place of what is called `name` at `path`. */
export function joined(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

export function is(expected: string, test: (value: unknown) => boolean, remedy?: string): Rule {
  return (value, path, faults) => {
    if (!test(value)) faults.push({ path, message: unexpected(expected, value), remedy });
  };
}

export function optional(rule: Rule): Rule {
  return (value, path, faults) => {
    if (value !== undefined) rule(value, path, faults);
  };
}

export function oneOf(words: readonly string[]): Rule {
  return (value, path, faults) => {
    if (typeof value === "string" && words.includes(value)) return;
    const remedy = typeof value === "string" ? nearest(value, words) : undefined;
    faults.push({
      path,
      message: unexpected(`one of ${words.map((word) => JSON.stringify(word)).join(", ")}`, value),
      remedy: remedy === undefined ? undefined : `did you mean ${JSON.stringify(remedy)}?`,
    });
  };
}

export function list(rule: Rule, of: string): Rule {
  return (value, path, faults) => {
    if (!Array.isArray(value))
      faults.push({ path, message: unexpected(`a list of ${of}`, value), remedy: "write […]" });
    else value.forEach((item: unknown, index) => rule(item, `${path}[${index}]`, faults));
  };
}

/** Any names, each with such a value. */
export function record(rule: Rule, of: string): Rule {
  return (value, path, faults) => {
    if (!isRecord(value))
      faults.push({ path, message: unexpected(`an object of ${of}`, value), remedy: "write { … }" });
    else for (const [name, item] of Object.entries(value)) rule(item, joined(path, name), faults);
  };
}

export function fields(shape: Shape): Rule {
  return (value, path, faults) => {
    if (!isRecord(value)) return void faults.push({ path, message: unexpected("an object", value) });
    /** What a misspelt name stands for is not missing. */
    const meant = new Set<string>();
    for (const name of Object.keys(value)) {
      if (Object.hasOwn(shape, name) || value[name] === undefined) continue;
      faults.push(unknownName(joined(path, name), name, Object.keys(shape)));
      const known = nearest(name, Object.keys(shape));
      if (known !== undefined) meant.add(known);
    }
    for (const [name, rule] of Object.entries(shape)) {
      if (value[name] !== undefined || !meant.has(name)) rule(value[name], joined(path, name), faults);
    }
  };
}

export const text = is("a text", (value) => typeof value === "string");
export const flag = is("true or false", (value) => typeof value === "boolean");
export const code = is("a function", (value) => typeof value === "function");
export const number = is("a number", (value) => typeof value === "number" && !Number.isNaN(value));
export const texts = list(text, "texts");

/** What a name that is not known is told. */
export function unknownName(path: string, name: string, known: readonly string[], what = "option"): Fault {
  return { path, message: `unknown ${what} ${JSON.stringify(name)}`, remedy: didYouMean(name, known) };
}

export function unexpected(expected: string, value: unknown): string {
  return value === undefined ? `expected ${expected}, but there is none` : `expected ${expected}, got ${shown(value)}`;
}

/** A value in a few words. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 59)}…` : value);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
