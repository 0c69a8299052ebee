/** Reading JSON of unknown shape, and writing parts of it as field masks say. */

export type Json = Readonly<Record<string, unknown>>;

/** What lies at the path; `undefined` where there is nothing. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const key of path) found = isJson(found) ? found[key] : undefined;
  return found;
}

export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text at the path; empty where there is none. */
export function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path);
  return typeof found === "string" ? found : typeof found === "number" ? String(found) : "";
}

export function jsonAt(value: unknown, ...path: readonly string[]): Json {
  const found = at(value, ...path);
  return isJson(found) ? found : {};
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

/** Without what is `undefined`, at any depth: as JSON has it. */
export function plain(value: Json): Json {
  // What was JSON before is JSON after.
  return JSON.parse(JSON.stringify(value)) as Json;
}

/** `before` with the fields of the mask taken from `patch`; fields that are not in it go. Masks may be in snake or camel case. */
export function masked(before: Json, patch: Json, mask: readonly string[]): Json {
  return mask.reduce((value, field) => replaced(value, patch, field.split(".").map(camel)), before);
}

function replaced(before: Json, patch: Json, [first = "", ...rest]: readonly string[]): Json {
  if (rest.length > 0) return { ...before, [first]: replaced(jsonAt(before, first), jsonAt(patch, first), rest) };
  const { [first]: _, ...others } = before;
  return first in patch ? { ...others, [first]: patch[first] } : others;
}

const camel = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

export function maskOf(query: URLSearchParams): readonly string[] | undefined {
  const text = query.get("updateMask");
  return text === null || text === "" ? undefined : text.split(",");
}

/** `604800s` → 604800. */
export function secondsOf(value: unknown): number | undefined {
  return typeof value === "string" && /^\d+(\.\d+)?s$/.test(value) ? Number.parseFloat(value) : undefined;
}
