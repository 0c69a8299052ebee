/** `objects.list`: prefix, offsets, delimiter and pages. */
import { ApiError } from "../http-fake.ts";
import type { ObjectFiles } from "./object-files.ts";
import { objectResource } from "./resources.ts";

export function listObjects(
  store: ObjectFiles,
  bucket: string,
  query: URLSearchParams,
  base: string,
): Record<string, unknown> {
  if (query.get("softDeleted") === "true") throw new ApiError(501, "notImplemented", "This fake deletes for good.");
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const startOffset = Buffer.from(query.get("startOffset") ?? "");
  const endOffset = query.get("endOffset");
  const end = endOffset === null || endOffset === "" ? undefined : Buffer.from(endOffset);
  const limit = Math.min(pageSizeOf(query.get("maxResults")), 1000);
  const after = afterOf(query.get("pageToken"));

  const items: unknown[] = [];
  const prefixes: string[] = [];
  let last: string | undefined;
  let more = false;
  for (const name of store.namesIn(bucket)) {
    if (!name.startsWith(prefix)) continue;
    const bytes = Buffer.from(name);
    if (bytes.compare(startOffset) < 0 || (end !== undefined && bytes.compare(end) >= 0)) continue;
    const cut = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
    const entry = cut < 0 ? name : name.slice(0, cut + delimiter.length);
    if (after !== undefined && Buffer.from(entry).compare(after) <= 0) continue;
    if (cut >= 0 && prefixes.at(-1) === entry) continue;
    if (items.length + prefixes.length === limit) {
      more = true;
      break;
    }
    if (cut >= 0) prefixes.push(entry);
    else items.push(objectResource(store.get(bucket, name), base));
    last = entry;
  }
  return {
    kind: "storage#objects",
    ...(more && last !== undefined && { nextPageToken: tokenOf(last) }),
    ...(prefixes.length > 0 && { prefixes }),
    ...(items.length > 0 && { items }),
  };
}

function pageSizeOf(value: string | null): number {
  if (value === null || value === "") return 1000;
  if (!/^\d{1,9}$/.test(value)) throw new ApiError(400, "invalid", `Invalid value for maxResults: ${value}`);
  const size = Number(value);
  return size === 0 ? 1000 : size;
}

const MARK = "after:";

function tokenOf(name: string): string {
  return Buffer.from(MARK + name).toString("base64");
}

function afterOf(token: string | null): Buffer | undefined {
  if (token === null || token === "") return undefined;
  const bytes = Buffer.from(token, "base64");
  if (!bytes.toString("latin1").startsWith(MARK)) throw new ApiError(400, "invalid", "Invalid page token.");
  return bytes.subarray(MARK.length);
}

/** A partial response: `fields=items(name,size),nextPageToken` keeps just these. `*` keeps all. */
export function select(value: unknown, fields: string): unknown {
  const wanted = parseFields(fields);
  return wanted === undefined ? value : project(value, wanted);
}

/** What is wanted of each field: `undefined` stands for all of it. */
type Fields = Map<string, Fields | undefined>;

/** `a,b/c,b(d,e)`; `undefined` when everything is wanted. */
function parseFields(text: string): Fields | undefined {
  let at = 0;
  const refuse = (): never => {
    throw new ApiError(400, "invalidParameter", `Invalid field selection ${text}`);
  };
  function one(into: Fields): void {
    const name = /^[A-Za-z0-9_*]+/.exec(text.slice(at))?.[0] ?? refuse();
    at += name.length;
    const next = text[at];
    if (next !== "/" && next !== "(") {
      into.set(name, undefined);
      return;
    }
    at += 1;
    const inner: Fields = into.get(name) ?? new Map();
    if (next === "/") one(inner);
    else {
      list(inner);
      if (text[at++] !== ")") refuse();
    }
    if (!(into.has(name) && into.get(name) === undefined)) into.set(name, inner);
  }
  function list(into: Fields): void {
    one(into);
    while (text[at] === ",") {
      at += 1;
      one(into);
    }
  }
  const all: Fields = new Map();
  list(all);
  if (at < text.length) refuse();
  return all.has("*") ? undefined : all;
}

function project(value: unknown, wanted: Fields): unknown {
  if (Array.isArray(value)) return value.map((inner) => project(inner, wanted));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => {
      if (!wanted.has(key) && !wanted.has("*")) return [];
      const deeper = wanted.get(key);
      return [[key, deeper === undefined || deeper.has("*") ? inner : project(inner, deeper)]];
    }),
  );
}
