/** Google's services by plain HTTP, as they answer it: what a client would try again or smooth over is what a probe wants to see. */
import { messageOf } from "../core/errors.ts";

/** The step cannot show anything, and why. */
export class CannotTry extends Error {
  override readonly name = "CannotTry";
}

export interface RestCall {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Below the service's address, e.g. `/storage/v1/b/x`; or a whole URL that the service gave. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** JSON, or text as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent without credentials. */
  readonly anonymous?: true;
}

export interface RestAnswer {
  readonly status: number;
  /** JSON; an empty object for none. */
  readonly body: Json;
  readonly headers: Headers;
  /** What went wrong, in the service's words. */
  readonly text: string;
}

/** JSON as it comes, looked at with `at`. */
export type Json = unknown;

export type Rest = (call: RestCall) => Promise<RestAnswer>;

export interface RestOptions {
  readonly base: string;
  /** A stand-in for the service, which knows no accounts. */
  readonly standIn: boolean;
  /** Ends all calls. */
  readonly signal: AbortSignal;
  readonly token: () => Promise<string>;
}

const PATIENCE_MS = 60_000;
/** An answer may pass that often. */
const TRIES = 4;

/** Answers that pass (429, 502, 503, 504) are asked for again; all others are the result. Throws `CannotTry` out of reach. */
export function restService(options: RestOptions): Rest {
  const { base, standIn, signal, token } = options;
  return async (call) => {
    for (let tried = 1; ; tried++) {
      const answer = await once(call);
      if (![429, 502, 503, 504].includes(answer.status) || tried === TRIES) return answer;
      await pause(500 * 2 ** tried, signal);
    }
  };

  async function once({
    method = "GET",
    path,
    query = {},
    body,
    headers = {},
    anonymous,
  }: RestCall): Promise<RestAnswer> {
    const url = new URL(path.startsWith("http") ? path : `${base}${path}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const auth = anonymous === true ? {} : { authorization: `Bearer ${standIn ? "owner" : await token()}` };
    const isText = typeof body === "string";
    const type = body === undefined || isText ? {} : { "content-type": "application/json" };
    try {
      const response = await fetch(url, {
        method,
        headers: { ...type, ...auth, ...headers },
        ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
      });
      const text = await response.text();
      const json = parsed(text);
      return { status: response.status, body: json, headers: response.headers, text: said(json, text) };
    } catch (error) {
      signal.throwIfAborted();
      const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
      throw new CannotTry(`${url.origin} did not answer: ${cause}`);
    }
  }
}

/** Resolves after `ms`; rejects as soon as the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { setTimeout: sleep } = await import("node:timers/promises");
  await sleep(ms, undefined, { signal });
}

/** The answer of a call that a step needs to begin with; throws `CannotTry`, with the remedy where it is known. */
export function needed(answer: RestAnswer, what: string): RestAnswer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  const remedy =
    answer.status === 403 ? "; enable the API and grant the permission, or leave this to somebody who has it" : "";
  throw new CannotTry(`${what}: ${answer.status} ${answer.text}${remedy}`);
}

/** What is at these names, one in the other: a text, a number as text, or `undefined`. */
export function at(value: Json, ...names: readonly (string | number)[]): string | undefined {
  const found = inside(value, ...names);
  return typeof found === "string" || typeof found === "number" ? String(found) : undefined;
}

export function inside(value: Json, ...names: readonly (string | number)[]): Json {
  let found: unknown = value;
  for (const name of names) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Readonly<Record<string | number, unknown>>)[name]; // of an object or array, anything may be asked
  }
  return found;
}

export function listAt(value: Json, ...names: readonly (string | number)[]): readonly Json[] {
  const found = inside(value, ...names);
  return Array.isArray(found) ? found : [];
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return {};
  }
}

function said(body: Json, text: string): string {
  const message = at(body, "error", "message") ?? at(body, 0, "error", "message") ?? text;
  return message.replaceAll(/\s+/g, " ").trim().slice(0, 300);
}
