/** A request to one of Google's APIs, and which of its methods it is. */
import type { IncomingMessage } from "node:http";
import type { Reply } from "../http-fake.ts";
import type { Json } from "./json.ts";

export interface ApiRequest {
  readonly method: string;
  /** `pubsub`: the host's first part, without a region. */
  readonly api: string;
  /** Of a host such as `europe-west1-run`. */
  readonly region: string | undefined;
  /** As it was sent, with its slash. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly bytes: Buffer;
  /** Empty where the body is not a JSON object. */
  readonly body: Json;
}

export interface ApiCall extends ApiRequest {
  /** What stands in the path for `{name}`; throws for a name that the pattern lacks. */
  param(name: string): string;
  /** The parameter `project`, as the project's id. */
  readonly project: string;
}

export interface Route {
  readonly method: string;
  /** `v1/projects/{project}/topics/{topic}:publish`; `{rest=**}` stands for several segments. */
  readonly pattern: string;
  /** What the pattern's names stand for, percent-decoded; `undefined` where the path does not fit. */
  readonly fit: (path: string) => Readonly<Record<string, string>> | undefined;
  /** What the caller needs, `pubsub.topics.publish`; empty for nothing. */
  readonly permission: string;
  readonly handle: (call: ApiCall) => Json | Reply | Promise<Json | Reply>;
}

export interface Api {
  /** The host's first part. */
  readonly host: string;
  /** What has to be enabled; without it, always. */
  readonly service: string | undefined;
  readonly title: string;
  readonly routes: readonly Route[];
}

export function route(method: string, pattern: string, permission: string, handle: Route["handle"]): Route {
  return { method, pattern, permission, handle, fit: fitting(pattern) };
}

function fitting(pattern: string): Route["fit"] {
  const names: string[] = [];
  const parts = pattern.split(/(\{\w+(?:=\*\*)?\})/).map((part) => {
    const [, name, deep] = /^\{(\w+)(=\*\*)?\}$/.exec(part) ?? [];
    if (name === undefined) return RegExp.escape(part);
    names.push(name);
    return deep === undefined ? "([^/:]+)" : "(.+?)";
  });
  const expression = new RegExp(`^/${parts.join("")}$`);
  return (path) => {
    const match = expression.exec(path.replaceAll("%3A", ":"));
    if (match === null) return undefined;
    return Object.fromEntries(names.map((name, index) => [name, decodeURIComponent(match[index + 1] ?? "")]));
  };
}

/** One page of a list, by `pageSize` and `pageToken`. */
export function page(call: ApiCall, key: string, items: readonly Json[], most = 500): Json {
  const size = Math.min(Number(call.query.get("pageSize") ?? call.query.get("maxResults") ?? most) || most, most);
  const from = Number(call.query.get("pageToken") ?? 0);
  const rest = items.length > from + size;
  return {
    ...(items.length > 0 && { [key]: items.slice(from, from + size) }),
    ...(rest && { nextPageToken: String(from + size) }),
  };
}
