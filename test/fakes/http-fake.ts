/**
 * What the HTTP fakes of Google's APIs share: a server on a free loopback port, replies as values, errors in Google's JSON,
 * and faults on demand, before or after a request took effect.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

export interface Call {
  readonly method: string;
  readonly url: URL;
  /** The path as it was sent, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  /** The body's bytes, once. `bytesOf` and `jsonOf` take it whole. */
  readonly body: IncomingMessage;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
}

export interface Fault {
  /** Which calls: a part of `METHOD /path?query`, a pattern for it, or a predicate. Default: every call. */
  readonly match?: string | RegExp | ((call: Call) => boolean);
  /** How many of them fail. Default 1. */
  readonly times?: number;
  /** How many of them pass first. Default 0. */
  readonly skip?: number;
  /**
   * - a status: answered instead of doing what was asked; with `after`, having done it
   * - `reset-before`, `reset-after`: the connection breaks before the effect, or after it and without an answer
   * - `slow`: `ms` pass before anything happens
   * - `cut`: the answer breaks off after `bytes` bytes of its body
   */
  readonly fault: number | "reset-before" | "reset-after" | "slow" | "cut";
  readonly after?: true;
  /** Default 1000. */
  readonly ms?: number;
  /** Default 0. */
  readonly bytes?: number;
  /** The reason in the error's JSON; by default the usual one of its status. */
  readonly reason?: string;
}

export interface HttpFake {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Every call so far as `METHOD /path?query`, in order of arrival. */
  readonly calls: readonly string[];
  /** Faults are tried in the order in which they were given; a call meets the first that matches. */
  fail(fault: Fault): void;
  /** Forgets all faults. */
  heal(): void;
  /** Breaks open connections. */
  close(): Promise<void>;
}

/** Ends a handler with an error that is answered in Google's JSON. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, reason: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.headers = headers;
  }
}

export interface HttpFakeOptions {
  /** `Bearer` is then asked for in the `authorization` of every call, or of those that it says. */
  readonly requireAuth?: boolean | ((call: Call) => boolean);
  /** 0, the default, takes a free one. */
  readonly port?: number;
}

/** Starts the server. What `handle` throws, other than an `ApiError`, is answered with 500 and its message. */
export async function startHttpFake(
  handle: (call: Call) => Promise<Reply>,
  { requireAuth = false, port = 0 }: HttpFakeOptions = {},
): Promise<HttpFake> {
  const faults: { readonly fault: Fault; skip: number; left: number }[] = [];
  const calls: string[] = [];

  function faultOf(call: Call, line: string): Fault | undefined {
    for (const entry of faults) {
      const { match = "" } = entry.fault;
      const hit =
        typeof match === "string" ? line.includes(match) : match instanceof RegExp ? match.test(line) : match(call);
      if (!hit || entry.left === 0) continue;
      if (entry.skip > 0) {
        entry.skip -= 1;
        continue;
      }
      entry.left -= 1;
      return entry.fault;
    }
    return undefined;
  }

  async function replyTo(call: Call): Promise<Reply> {
    try {
      const asks = typeof requireAuth === "boolean" ? requireAuth : requireAuth(call);
      if (asks && !/^Bearer \S+$/.test(call.headers.authorization ?? "")) {
        throw new ApiError(401, "required", "Anonymous caller does not have access: login required.", {
          "www-authenticate": "Bearer realm=https://accounts.google.com/",
        });
      }
      return await handle(call);
    } catch (error) {
      if (error instanceof ApiError) return errorReply(error);
      return errorReply(new ApiError(500, "backendError", error instanceof Error ? `${error.stack}` : String(error)));
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const url = new URL(path, "http://127.0.0.1");
    const method = request.method ?? "GET";
    const { headers } = request;
    const call = { method, url, path: path.split("?")[0] ?? "/", query: url.searchParams, headers, body: request };
    const line = `${method} ${path}`;
    calls.push(line);
    const fault = faultOf(call, line);
    if (fault?.fault === "reset-before") return void request.socket.resetAndDestroy();
    if (fault?.fault === "slow") await sleep(fault.ms ?? 1000, undefined, { ref: false });
    const failure = typeof fault?.fault === "number" ? faultReply(fault.fault, fault.reason) : undefined;
    if (failure !== undefined && fault?.after === undefined) return await send(response, request, failure);
    const reply = await replyTo(call);
    if (fault?.fault === "reset-after") {
      discard(reply);
      return void request.socket.resetAndDestroy();
    }
    if (failure === undefined)
      return await send(response, request, reply, fault?.fault === "cut" ? (fault.bytes ?? 0) : undefined);
    discard(reply);
    return await send(response, request, failure);
  }

  const server = createServer((request, response) => {
    // Broken connections are a part of what is tested here.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    serve(request, response).catch(() => request.socket.destroy());
  });
  // A client that keeps a connection decides itself when to leave it.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the fake listens on no port");

  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    fail: (fault) => void faults.push({ fault, skip: fault.skip ?? 0, left: fault.times ?? 1 }),
    heal: () => void (faults.length = 0),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function send(
  response: ServerResponse,
  request: IncomingMessage,
  reply: Reply,
  cutAfter?: number,
): Promise<void> {
  // As real servers do, the rest of a body that nobody wants is read and dropped, so that the answer gets through.
  if (!request.complete) request.resume();
  const { status, headers = {}, body = "" } = reply;
  const known = body instanceof Readable ? {} : { "content-length": String(Buffer.byteLength(body)) };
  response.writeHead(status, status === 204 ? headers : { ...known, ...headers });
  if (cutAfter === undefined) {
    if (body instanceof Readable) await pipeline(body, response);
    else response.end(body);
    return;
  }
  let left = cutAfter;
  for await (const chunk of body instanceof Readable ? body : Readable.from([Buffer.from(body)])) {
    const bytes = Buffer.from(chunk as Uint8Array).subarray(0, left);
    left -= bytes.length;
    await new Promise<void>((resolve) => void response.write(bytes, () => resolve()));
    if (left === 0) break;
  }
  // What was written is on its way before the connection breaks.
  await sleep(20);
  response.destroy();
}

function discard(reply: Reply): void {
  if (reply.body instanceof Readable) reply.body.destroy();
}

const REASONS: Readonly<Record<number, string>> = {
  401: "authError",
  403: "forbidden",
  404: "notFound",
  408: "requestTimeout",
  409: "conflict",
  410: "gone",
  412: "conditionNotMet",
  429: "rateLimitExceeded",
  500: "backendError",
  502: "backendError",
  503: "backendError",
  504: "gatewayTimeout",
};

function faultReply(status: number, reason = REASONS[status] ?? "invalid"): Reply {
  return errorReply(new ApiError(status, reason, `A fault on demand: ${status}`));
}

/** An error as Google's JSON APIs answer it. */
export function errorReply({ status, reason, message, headers }: ApiError): Reply {
  const error = { code: status, message, errors: [{ message, domain: "global", reason }] };
  return jsonReply(status, { error }, headers);
}

export function jsonReply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  const type = { "content-type": "application/json; charset=UTF-8" };
  return { status, headers: { ...type, ...headers }, body: JSON.stringify(value) };
}

/** The whole body; an `ApiError` 413 past `limit` bytes (default 16 MB). */
export async function bytesOf(call: Call, limit = 16 * 1024 * 1024): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of call.body) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > limit) throw new ApiError(413, "uploadTooLarge", `The request is larger than ${limit} bytes.`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** The body as a JSON object; `{}` when it is empty, and an `ApiError` 400 for anything else. */
export async function jsonOf(call: Call): Promise<Readonly<Record<string, unknown>>> {
  return parseJson((await bytesOf(call)).toString());
}

export function parseJson(text: string): Readonly<Record<string, unknown>> {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError(400, "parseError", "Parse Error");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiError(400, "parseError", "Parse Error");
  }
  // A JSON object has text keys and values of any kind.
  return value as Readonly<Record<string, unknown>>;
}
