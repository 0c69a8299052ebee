/**
 * The front end of deployed functions: subscriptions push to it, and it does what the cloud does between them and a function. It looks
 * whether the push is allowed, makes a CloudEvent of it for a trigger, starts the function, and answers what that answers.
 */
import { once } from "node:events";
import { createServer, request, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Supervisor } from "../../../support/local-cloud/supervisor.ts";
import { jsonAt, textAt, type Json } from "../json.ts";
import { callRefusal, pushRefusal, serviceAt } from "../shortfalls.ts";
import type { World } from "../world.ts";

export interface Door {
  /** `http://127.0.0.1:PORT`; `/push/SUBSCRIPTION` is where a subscription pushes to. */
  readonly url: string;
  readonly deliveries: readonly Delivery[];
  /** Nothing is being handled. */
  isIdle(): boolean;
  /** Calls a function at its own address, as Cloud Scheduler does. The result is the status. */
  call(target: Json): Promise<number>;
  close(): Promise<void>;
}

export interface Delivery {
  /** The function's name; empty where there was none. */
  readonly function: string;
  readonly path: string;
  readonly status: number;
  /** Why it was refused here, before it came to the function. */
  readonly refusal: string | undefined;
}

export async function openDoor(
  world: World,
  project: string,
  find: (service: string) => Supervisor | undefined,
): Promise<Door> {
  const deliveries: Delivery[] = [];
  let inFlight = 0;

  async function deliver(
    uri: string,
    refusal: string | undefined,
    headers: Headers,
    body: Buffer,
    method = "POST",
  ): Promise<number> {
    const { pathname: path } = new URL(uri);
    const found = serviceAt(world, uri);
    const name = found === undefined ? "" : textAt(found.service, "name");
    const target = refusal === undefined && found !== undefined ? find(found.name) : undefined;
    const status =
      refusal !== undefined
        ? 403
        : target === undefined
          ? 404
          : await passOn(target, path, headers, body, method).catch(() => 503);
    deliveries.push({ function: name, path, status, refusal });
    return status;
  }

  async function pushed(incoming: IncomingMessage): Promise<number> {
    const body = await buffer(incoming);
    const name = /^\/push\/(.+)$/.exec(incoming.url ?? "")?.[1] ?? "";
    const subscription = world.state.resources.subscription.get(
      `projects/${project}/subscriptions/${decodeURIComponent(name)}`,
    );
    const config = jsonAt(subscription, "pushConfig");
    const endpoint = textAt(config, "pushEndpoint");
    if (endpoint === "") return 404;
    const mode = new URL(endpoint).searchParams.get("__GCP_CloudEventsMode");
    const event = mode === null ? { headers: { "content-type": "application/json" }, body } : asEvent(mode, body);
    return await deliver(endpoint, pushRefusal(world, project, config), event.headers, event.body);
  }

  const server = createServer((incoming, response) => {
    inFlight += 1;
    void pushed(incoming)
      .catch(() => 500)
      .then((status) => {
        inFlight -= 1;
        response.writeHead(status).end();
      });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");

  return {
    url: `http://127.0.0.1:${address.port}`,
    deliveries,
    isIdle: () => inFlight === 0,
    call: (target) =>
      deliver(
        textAt(target, "uri"),
        callRefusal(world, target),
        {},
        Buffer.from(textAt(target, "body"), "base64"),
        textAt(target, "httpMethod") || "POST",
      ),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

type Headers = Readonly<Record<string, string>>;

/** What Eventarc makes of a push: a CloudEvent in binary form. */
function asEvent(mode: string, body: Buffer): { readonly headers: Headers; readonly body: Buffer } {
  const push: unknown = JSON.parse(body.toString());
  const message = jsonAt(push, "message");
  const common = {
    "content-type": "application/json",
    "ce-id": textAt(message, "messageId"),
    "ce-specversion": "1.0",
    "ce-time": textAt(message, "publishTime"),
  };
  if (mode !== "GCS_NOTIFICATION") {
    const source = `//pubsub.googleapis.com/${mode.replace("CUSTOM_PUBSUB_", "")}`;
    return {
      headers: { ...common, "ce-type": "google.cloud.pubsub.topic.v1.messagePublished", "ce-source": source },
      body,
    };
  }
  const { bucketId, objectId } = jsonAt(message, "attributes");
  const headers = {
    ...common,
    "ce-type": "google.cloud.storage.object.v1.finalized",
    "ce-source": `//storage.googleapis.com/projects/_/buckets/${String(bucketId)}`,
    // Headers are ASCII.
    "ce-subject": `objects/${encodeURI(String(objectId))}`,
    "ce-bucket": String(bucketId),
  };
  return { headers, body: Buffer.from(textAt(message, "data"), "base64") };
}

async function passOn(
  target: Supervisor,
  path: string,
  headers: Headers,
  body: Buffer,
  method: string,
): Promise<number> {
  const port = await target.port();
  const outgoing = request({
    host: "127.0.0.1",
    port,
    method,
    path,
    headers: { ...headers, "content-length": body.length },
    // A connection of its own, so that none is kept to a process that has died.
    agent: false,
  });
  outgoing.end(body);
  // The first argument of this event is the answer.
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  await buffer(answer);
  return answer.statusCode ?? 500;
}
