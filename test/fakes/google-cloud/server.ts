/**
 * One HTTP server for all APIs. Clients reach it as their proxy, by hosts that are nowhere (`http://pubsub.fake/…`). What they ask of
 * any other host over TLS is refused, so that nothing escapes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, errorReply as oldErrorReply, jsonReply, type Reply } from "../http-fake.ts";
import { CloudError, errorInfo, errorReply, statusOf } from "./errors.ts";
import type { Faults } from "./faults.ts";
import { isJson } from "./json.ts";
import { type Api, type ApiCall, type ApiRequest } from "./routing.ts";
import { checkMay, projectOf, type World } from "./world.ts";

export interface SeenRequest {
  readonly method: string;
  readonly api: string;
  /** With its query. */
  readonly path: string;
  readonly body: unknown;
  /** 0 until it is answered, and for a broken connection. */
  status: number;
}

export interface ControlServer {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** What no API of the fake knows, and hosts that were asked for over TLS. */
  readonly unknown: readonly string[];
  close(): Promise<void>;
}

export async function startControlServer(options: {
  readonly world: World;
  readonly apis: readonly Api[];
  readonly faults: Faults;
  /** Whose project it is where a path says none. */
  readonly defaultProject: string;
}): Promise<ControlServer> {
  const { world, apis, faults, defaultProject } = options;
  const byHost = new Map(apis.map((api) => [api.host, api]));
  const requests: SeenRequest[] = [];
  const unknown: string[] = [];

  function found(request: ApiRequest): Promise<Reply> | Reply {
    // Whoever knows a signed address may use it.
    const isSigned = request.path.startsWith("/signed/");
    if (!isSigned && !/^Bearer \S+$/.test(request.headers.authorization ?? "")) {
      throw new CloudError("UNAUTHENTICATED", "Request is missing required authentication credential.");
    }
    const api = byHost.get(request.api);
    for (const { method, pattern, permission, fit, handle } of api?.routes ?? []) {
      const params = method === request.method ? fit(request.path) : undefined;
      if (api === undefined || params === undefined) continue;
      const named = params["project"];
      const project = named === undefined || named === "-" ? defaultProject : projectOf(world, named).id;
      if (api.service !== undefined) checkEnabled(world, api, project);
      checkMay(world, permission, request.path.slice(1).replace(/:\w+$/, ""));
      const call: ApiCall = {
        ...request,
        project,
        param(name) {
          const value = params[name];
          if (value === undefined) throw new Error(`the route ${pattern} has no {${name}}`);
          return value;
        },
      };
      return answered(handle(call));
    }
    const what = `${request.method} ${request.api} ${request.path}`;
    unknown.push(what);
    throw new CloudError("NOT_FOUND", `The fake does not know ${what}`);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const bytes = await buffer(request);
    const call = requestOf(request, bytes);
    const { search } = new URL(request.url ?? "/", "http://127.0.0.1");
    const line = `${call.method} ${call.api} ${call.path}${search}`;
    const seen: SeenRequest = {
      method: call.method,
      api: call.api,
      path: `${call.path}${search}`,
      body: call.body,
      status: 0,
    };
    requests.push(seen);
    const fault = faults.of(line);
    if (fault === "reset-before") return void request.socket.resetAndDestroy();
    if (typeof fault === "object") await sleep(fault.slowMs, undefined, { ref: false });
    const reply =
      typeof fault === "number"
        ? errorReply(new CloudError(statusOf(fault), `A fault on demand: ${fault}`))
        : await replyOf(async () => await found(call));
    if (fault === "reset-after") return void request.socket.resetAndDestroy();
    seen.status = reply.status;
    const { status, headers = {}, body = "" } = reply;
    const content = body instanceof Readable ? await buffer(body) : Buffer.from(body);
    const length = { "content-length": String(content.length) };
    response.writeHead(status, status === 204 ? headers : { ...headers, ...length }).end(content);
  }

  const server = createServer((request, response) => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    serve(request, response).catch(() => request.socket.destroy());
  });
  server.keepAliveTimeout = 60_000;
  server.on("connect", (request, socket) => {
    unknown.push(`CONNECT ${request.url}`);
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the fake listens on no port");

  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    unknown,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answered(value: ReturnType<Api["routes"][number]["handle"]>): Promise<Reply> {
  const answer = await value;
  // A reply has a numeric status; resources of Google's have none, or a text.
  return typeof answer["status"] === "number" ? (answer as Reply) : jsonReply(200, answer);
}

async function replyOf(work: () => Promise<Reply>): Promise<Reply> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CloudError) return errorReply(error);
    if (error instanceof ApiError) return oldErrorReply(error);
    return errorReply(
      new CloudError("INTERNAL", error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  }
}

/** `europe-west1-run.fake` is the API `run` in a region; what comes to the server's own address says its API in its path. */
function requestOf(request: IncomingMessage, bytes: Buffer): ApiRequest {
  const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "127.0.0.1"}`);
  const [, region, name = ""] = /^(?:([a-z]+-[a-z]+\d+)-)?([a-z]+)\.fake$/.exec(url.hostname) ?? [];
  const api =
    name !== "" ? name : /^\/(?:upload\/|resumable\/|download\/)*(storage|bigquery)\//.exec(url.pathname)?.[1];
  return {
    method: request.method ?? "GET",
    api: api ?? url.hostname,
    region,
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    bytes,
    body: bodyOf(request, bytes),
  };
}

function bodyOf(request: IncomingMessage, bytes: Buffer): ApiRequest["body"] {
  if (!/\bjson\b/.test(request.headers["content-type"] ?? "json")) return {};
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isJson(value) ? value : {};
  } catch {
    return {};
  }
}

function checkEnabled(world: World, { service = "", title }: Api, project: string): void {
  const { id, number, apis } = projectOf(world, project);
  const since = apis.get(service);
  if (since !== undefined && since <= world.now()) return;
  const url = `https://console.developers.google.com/apis/api/${service}/overview?project=${id}`;
  const message = `${title} has not been used in project ${id} before or it is disabled. Enable it by visiting ${url} then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry.`;
  const metadata = {
    service,
    consumer: `projects/${number}`,
    serviceTitle: title,
    activationUrl: url,
    containerInfo: number,
  };
  throw new CloudError("PERMISSION_DENIED", message, {
    reason: "accessNotConfigured",
    details: [
      errorInfo("SERVICE_DISABLED", "googleapis.com", metadata),
      {
        "@type": "type.googleapis.com/google.rpc.Help",
        links: [{ description: "Google developers console API activation", url }],
      },
    ],
  });
}
