/** The door of a running `sluice dev`, on the loopback interface only: commands with the secret token, and Pub/Sub's publish. */
import { timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import type { Context } from "hono";
import { createAdaptorServer } from "@hono/node-server";
import { DefinitionError, PermanentError, messageOf } from "../core/errors.ts";
import { newToken, PING_PATH } from "./dev-file.ts";
import type { DevAddress } from "./dev-file.ts";
import { pubsubRoutes } from "./pubsub-rest.ts";
import type { PublishTarget } from "./pubsub-rest.ts";
import { requests } from "./wire.ts";
import type { AnswerOf, Operation, RequestOf } from "./wire.ts";
import type { QueryResult } from "./workbench.ts";
import type { ObjectInfo } from "../ports/object-store.ts";

export type Handlers = { readonly [O in Operation]: (request: RequestOf<O>) => Promise<AnswerOf<O>> };

export interface ControlOptions extends PublishTarget {
  readonly handlers: Handlers;
  put(uri: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<ObjectInfo>;
  query(sql: string, signal: AbortSignal): Promise<QueryResult>;
  /** 0, or left out: any free one. */
  readonly port?: number;
}

export interface ControlServer {
  readonly address: DevAddress;
  close(): Promise<void>;
}

/** Listens on 127.0.0.1. Throws `PermanentError` (`port-taken`) when another program has the port. */
export async function openControlServer(options: ControlOptions): Promise<ControlServer> {
  const token = newToken();
  const app = controlApp(options, token);
  const server = createAdaptorServer({ fetch: app.fetch, hostname: "127.0.0.1" });
  const { port = 0 } = options;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: Error) => reject(explainPort(error, port)));
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the control server has no port");
  return {
    address: { pid: process.pid, url: `http://127.0.0.1:${address.port}`, token },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  };
}

/** The routes, apart from any socket. */
export function controlApp(options: ControlOptions, token: string): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    // A web page cannot be told from a person by its address: a name that leads here, or a page's origin, gives it away.
    if (!isLoopback(c.req.header("host")) || c.req.header("origin") !== undefined) {
      return c.json(failed("this server answers programs on this machine only", "forbidden"), 403);
    }
    return await next();
  });
  app.route("/", pubsubRoutes(options));

  app.use("/api/*", async (c, next) => {
    if (!isEqual(c.req.header("authorization") ?? "", `Bearer ${token}`)) {
      return c.json(failed("the token of the home's dev.json is missing or wrong", "unauthorized"), 401);
    }
    return await next();
  });
  app.get(PING_PATH, (c) => c.json({ pid: process.pid }));
  app.put("/api/object", async (c) => {
    const { body, signal } = c.req.raw;
    const uri = c.req.query("uri") ?? "";
    return c.json(await options.put(uri, body ?? empty(), signal));
  });
  app.post("/api/query", async (c) => {
    const sql = await c.req.text();
    return new Response(ReadableStream.from(queryLines(options, sql, c.req.raw.signal)), {
      headers: { "content-type": "application/x-ndjson" },
    });
  });
  // The keys of the table are the operations.
  for (const operation of Object.keys(requests) as Operation[]) {
    app.post(`/api/${operation}`, (c) => answer(c, operation, options.handlers));
  }
  app.notFound((c) => c.json(failed(`there is no ${c.req.method} ${c.req.path}`, "not-found"), 404));
  app.onError((error, c) => c.json(failureOf(error), error instanceof SyntaxError ? 400 : 422));
  return app;
}

async function answer<O extends Operation>(c: Context, operation: O, handlers: Handlers): Promise<Response> {
  const parsed = requests[operation].safeParse(await c.req.json());
  if (!parsed.success)
    return c.json(failed(`${operation}: ${parsed.error.issues[0]?.message ?? ""}`, "bad-input"), 400);
  // The schema and the handler are those of one operation; the compiler does not follow the pair through the tables.
  const handler = handlers[operation] as (request: unknown) => Promise<AnswerOf<O>>;
  return c.json(await handler(parsed.data));
}

async function* queryLines(
  { query }: ControlOptions,
  sql: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new TextEncoder();
  const line = (value: unknown): Uint8Array => encoder.encode(`${JSON.stringify(value)}\n`);
  try {
    const { columns, rows } = await query(sql, signal);
    yield line({ columns });
    for await (const row of rows) yield line({ row });
    yield line({ end: true });
  } catch (error) {
    yield line(failureOf(error));
  }
}

async function* empty(): AsyncGenerator<Uint8Array> {}

function failureOf(error: unknown): { error: { message: string; code?: string } } {
  if (error instanceof PermanentError) return failed(messageOf(error), error.code);
  if (error instanceof DefinitionError) return failed(messageOf(error), "bad-definition");
  return failed(messageOf(error));
}

function failed(message: string, code?: string): { error: { message: string; code?: string } } {
  return { error: { message, ...(code === undefined ? {} : { code }) } };
}

export function isLoopback(host: string | undefined): boolean {
  return /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i.test(host ?? "");
}

function isEqual(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function explainPort(error: Error, port: number): Error {
  if (!("code" in error) || error.code !== "EADDRINUSE") return error;
  return new PermanentError(`another program listens on port ${port}; choose another with --port, or leave it out`, {
    code: "port-taken",
    cause: error,
  });
}
