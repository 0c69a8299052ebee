/**
 * Values by an author's zod schema, strictly: a name that the schema does not know is refused, at any depth, although zod would
 * drop it in silence. All that is wrong is told at once, in our own words.
 */
import type { z } from "zod";
import { messageOf } from "./errors.ts";
import { isRecord, joined, problemsOf, shown, unexpected, unknownName } from "./options.ts";
import type { Fault } from "./options.ts";
import { nearest } from "./suggest.ts";

type Schema = z.core.$ZodType;

export type ReadConfig<T> =
  { readonly faults: readonly Fault[]; readonly data?: undefined } | { readonly faults?: undefined; readonly data: T };

/** `what` its entries are called: an option, or a field. */
export function readConfig<S extends z.ZodObject>(schema: S, value: unknown, what = "field"): ReadConfig<z.output<S>> {
  const unknown: Unknown[] = [];
  findUnknown(schema, value, "", unknown);
  const parsed = schema.safeParse(value);
  if (parsed.success && unknown.length === 0) return { data: parsed.data };
  // What a misspelt name stands for is not missing.
  const meant = new Set(unknown.flatMap(({ path, name, known }) => joined(path, nearest(name, known) ?? "")));
  const issues = parsed.error?.issues.filter(({ code }) => code !== "unrecognized_keys") ?? [];
  const others = issues
    .map((issue) => ({ issue, path: pathOf(issue.path), value: valueAt(value, issue.path) }))
    .filter((one) => one.value !== undefined || !meant.has(one.path));
  return {
    faults: [
      ...unknown.map(({ path, name, known }) => unknownName(joined(path, name), name, known, what)),
      ...others.map((one) => ({
        path: one.path,
        message: inWords(one.issue, one.value),
        ...hint(one.issue, one.value),
      })),
    ],
  };
}

/** The same in one line. */
export function faultText(faults: readonly Fault[]): string {
  return faults
    .map((fault) => problemsOf("", [fault]).map((problem) => messageOf(problem).replace(/^[.:]\s*/, "")))
    .join("; ");
}

interface Unknown {
  readonly path: string;
  readonly name: string;
  readonly known: readonly string[];
}

function findUnknown(schema: Schema, value: unknown, path: string, found: Unknown[]): void {
  // Every schema is one of zod's own kinds; the union of them is what the type of a definition is told by.
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "object": {
      if (!isRecord(value)) return;
      const open = def.catchall !== undefined && def.catchall._zod.def.type !== "never";
      const known = Object.keys(def.shape);
      for (const [name, item] of Object.entries(value)) {
        const inner = Object.hasOwn(def.shape, name) ? def.shape[name] : undefined;
        if (inner !== undefined) findUnknown(inner, item, joined(path, name), found);
        else if (!open) found.push({ path, name, known });
      }
      return;
    }
    case "array":
      if (Array.isArray(value))
        value.forEach((item: unknown, index) => findUnknown(def.element, item, `${path}[${index}]`, found));
      return;
    case "record":
      if (isRecord(value))
        for (const [name, item] of Object.entries(value)) findUnknown(def.valueType, item, joined(path, name), found);
      return;
    case "optional":
    case "nullable":
    case "nonoptional":
    case "default":
    case "prefault":
    case "catch":
    case "readonly":
      return findUnknown(def.innerType, value, path, found);
    default:
    // Of unions and pipes nobody can tell which part the value is meant for.
  }
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, step) => (typeof step === "number" ? `${text}[${step}]` : joined(text, String(step))),
    "",
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  // Steps into what zod has just walked through.
  return path.reduce<unknown>(
    (within, step) =>
      typeof within === "object" && within !== null ? (within as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  );
}

/** The word that was meant, where only some are known. */
function hint(issue: z.core.$ZodIssue, value: unknown): { readonly remedy?: string } {
  if (issue.code !== "invalid_value" || typeof value !== "string") return {};
  const meant = nearest(
    value,
    issue.values.filter((one) => typeof one === "string"),
  );
  return meant === undefined ? {} : { remedy: `did you mean ${JSON.stringify(meant)}?` };
}

function inWords(issue: z.core.$ZodIssue, value: unknown): string {
  // A schema's own words.
  if (issue.message.startsWith("expected ")) return unexpected(issue.message.slice("expected ".length), value);
  switch (issue.code) {
    case "invalid_type":
      return unexpected(issue.expected === "int" ? "whole number" : issue.expected, value);
    case "invalid_value":
      return unexpected(
        `${issue.values.length === 1 ? "" : "one of "}${issue.values.map((one) => shown(one)).join(", ")}`,
        value,
      );
    case "too_small":
      if (issue.origin === "number" || issue.origin === "int")
        return unexpected(`number ${issue.inclusive === false ? ">" : "≥"} ${issue.minimum}`, value);
      return issue.message;
    case "too_big":
      if (issue.origin === "number" || issue.origin === "int")
        return unexpected(`number ${issue.inclusive === false ? "<" : "≤"} ${issue.maximum}`, value);
      return issue.message;
    default:
      return value === undefined || typeof value === "object" ? issue.message : `${issue.message}, got ${shown(value)}`;
  }
}
