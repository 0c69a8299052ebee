/** A receiver of webhooks on loopback: it keeps what it gets, and answers as it is told. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingHttpHeaders } from "node:http";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** JSON. */
  readonly body: unknown;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** `answer`: `undefined` for none at all. */
export async function receiver(
  answer: (request: Received) => Reply | undefined = () => ({ status: 200 }),
): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { url = "", headers } = request;
      const got = { path: url, headers, body: JSON.parse(Buffer.concat(parts).toString("utf8")) as unknown };
      const reply = answer(got);
      if (reply === undefined) return;
      received.push(got);
      response.writeHead(reply.status, reply.headers).end("thank you");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the receiver has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
