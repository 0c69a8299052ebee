/**
 * The address to which subscriptions push, as the cloud's own front end is for its functions: it starts the function that a
 * message is for, passes the message on, and answers 503 when the function dies over it. It keeps account of what was delivered.
 */
import { createServer, request } from "node:http";
import type { IncomingMessage } from "node:http";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import type { Supervisor } from "./supervisor.ts";

export interface FrontDoor {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Every answer so far, oldest first. */
  readonly deliveries: readonly Delivery[];
  /** No message is being handled, and none was refused that has not been taken since. */
  isIdle(): boolean;
  /** Whether a function has taken the message. */
  hasTaken(messageId: string): boolean;
  /** When the last message came or was answered (ms). */
  lastAt(): number;
  close(): Promise<void>;
}

export interface Delivery {
  readonly path: string;
  readonly messageId: string;
  readonly status: number;
  /** When it came and when it was answered (ms). */
  readonly from: number;
  readonly to: number;
}

/** Messages to this path are for nobody: they show only that Pub/Sub has come to them. */
export const PROBE = "door-probe";

/** `find` says which function a path belongs to. */
export async function openFrontDoor(find: (path: string) => Supervisor | undefined): Promise<FrontDoor> {
  const deliveries: Delivery[] = [];
  const owed = new Set<string>();
  const taken = new Set<string>();
  let inFlight = 0;
  let lastAt = 0;

  async function handle(incoming: IncomingMessage): Promise<number> {
    const from = Date.now();
    const path = incoming.url ?? "/";
    const body = await buffer(incoming);
    if (path === `/${PROBE}`) {
      taken.add(messageIdOf(body));
      return 204;
    }
    const target = find(path);
    const status = target === undefined ? 404 : await passOn(target, incoming, body).catch(() => 503);
    const messageId = messageIdOf(body);
    deliveries.push({ path, messageId, status, from, to: Date.now() });
    // What comes without an id was not sent by Pub/Sub, and does not come again by itself.
    if (status >= 300 && messageId !== "") owed.add(`${path} ${messageId}`);
    if (status < 300) {
      owed.delete(`${path} ${messageId}`);
      taken.add(messageId);
    }
    return status;
  }

  const server = createServer((incoming, response) => {
    inFlight += 1;
    lastAt = Date.now();
    void handle(incoming)
      .catch(() => 500)
      .then((status) => {
        inFlight -= 1;
        lastAt = Date.now();
        response.writeHead(status).end();
      });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");

  return {
    url: `http://127.0.0.1:${address.port}`,
    deliveries,
    isIdle: () => inFlight === 0 && owed.size === 0,
    hasTaken: (messageId) => taken.has(messageId),
    lastAt: () => lastAt,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function passOn(target: Supervisor, incoming: IncomingMessage, body: Buffer): Promise<number> {
  const port = await target.port();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const { host, connection, "transfer-encoding": chunked, ...headers } = incoming.headers;
  const outgoing = request(
    {
      host: "127.0.0.1",
      port,
      method: incoming.method,
      path: incoming.url,
      headers: { ...headers, "content-length": body.length },
      // A connection of its own, so that none is kept to a process that has died.
      agent: false,
    },
    (answer) => {
      answer.resume();
      answer.once("close", () => (answer.complete ? resolve(answer.statusCode ?? 500) : reject(new Error("cut off"))));
    },
  );
  outgoing.once("error", reject);
  outgoing.end(body);
  return await promise;
}

function messageIdOf(body: Buffer): string {
  try {
    const { message } = JSON.parse(body.toString()) as { readonly message?: { readonly messageId?: unknown } };
    return typeof message?.messageId === "string" ? message.messageId : "";
  } catch {
    return "";
  }
}
