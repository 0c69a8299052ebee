import { z } from "zod";
import { PermanentError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { MessageBus, OutgoingMessage } from "../ports/message-bus.ts";
import { Code, googleError } from "./grpc-errors.ts";
import { restCalls } from "./rest-calls.ts";
import { cloudTasks } from "./tasks.ts";
import type { CloudTasksOptions } from "./tasks.ts";

export interface PubsubBusOptions {
  readonly projectId: string;
  /** Before every topic's name, and in every task's. Default none. */
  readonly topicPrefix?: string;
  /** Where delayed messages wait. */
  readonly tasks: Omit<CloudTasksOptions, "projectId">;
  /** `host:port` of the Pub/Sub emulator, spoken to without encryption and without credentials. */
  readonly emulatorHost?: string;
  /** Sleeps between the tries of a call. Default: real time. */
  readonly clock?: Pick<Clock, "sleep">;
}

export interface PubsubBus extends MessageBus {
  /** Publishes bytes as they are, in base64, JSON or not. Rejects as `publish`. */
  publishRaw(topic: string, data: string, attributes: Readonly<Record<string, string>>): Promise<string>;
  /** Ends all connections; may be called twice. */
  close(): Promise<void>;
}

const API = "https://pubsub.googleapis.com";
const SCOPE = "https://www.googleapis.com/auth/pubsub";

/** Pub/Sub's own limit on data and attributes of a message. */
const LARGEST_MESSAGE = 10_000_000;

/**
 * Publishes on Pub/Sub. A topic that does not exist is a mistake of the deployment and rejects with `PermanentError`
 * (`not-found`): the message stays in its outbox, which is looked at again, and nothing is lost.
 *
 * A delayed message is a named task that calls Pub/Sub's own publish method. So it comes over the same subscription as
 * every other message, with its retention and dead letters, and needs neither the address of a function nor a second way in.
 */
export function pubsubBus(options: PubsubBusOptions): PubsubBus {
  const { projectId, topicPrefix = "", emulatorHost } = options;
  const pauses = options.clock === undefined ? {} : { clock: options.clock };
  const rest = restCalls({ api: API, ...(emulatorHost === undefined ? {} : { emulatorHost }), ...pauses });
  const tasks = cloudTasks({ projectId, ...pauses, ...options.tasks });
  const api = emulatorHost === undefined ? API : `http://${emulatorHost}`;
  const publishing = (name: string): string =>
    `/v1/projects/${projectId}/topics/${encodeURIComponent(`${topicPrefix}${name}`)}:publish`;
  const bodyOf = (data: string, { attributes = {} }: Pick<OutgoingMessage, "attributes">) => {
    return { messages: [{ data, attributes: { ...attributes } }] };
  };
  const send = async (name: string, body: ReturnType<typeof bodyOf>): Promise<string> => {
    try {
      const answer = await rest.call({ method: "POST", path: publishing(name), body });
      return publishedSchema.parse(answer).messageIds[0];
    } catch (error) {
      throw googleError(error, {
        what: `Pub/Sub topic ${topicPrefix}${name} of project ${projectId}`,
        remedies: REMEDIES,
      });
    }
  };

  return {
    publish: async (name, message) => await send(name, bodyOf(dataOf(name, message), message)),
    publishRaw: (name, data, attributes) => send(name, bodyOf(data, { attributes })),

    async schedule(name, topic, message, at) {
      if (!/^[A-Za-z0-9_-]{1,500}$/.test(name) || !Number.isFinite(at)) {
        const shown = JSON.stringify(name.slice(0, 80));
        throw new PermanentError(
          `a delayed message needs a time and a name of 1 to 500 letters, digits, - and _, got ${shown} at ${at}`,
          { code: "bad-input" },
        );
      }
      const data = dataOf(topic, message);
      // Environments that share a queue have names of their own.
      await tasks.create(
        `${topicPrefix.replaceAll(/[^A-Za-z0-9_-]/g, "_")}${name}`,
        { url: `${api}${publishing(topic)}`, body: bodyOf(data, message), scope: SCOPE },
        at,
      );
    },

    async close() {
      await Promise.all([rest.close(), tasks.close()]);
    },
  };
}

const REMEDIES: Readonly<Record<number, string>> = {
  [Code.notFound]: "the topic is not deployed: deploy",
  [Code.permissionDenied]: "grant the account that runs this roles/pubsub.publisher on the topic",
  [Code.unauthenticated]: "log in: gcloud auth application-default login",
};

const publishedSchema = z.object({ messageIds: z.tuple([z.string()]) });

/** In base64. */
function dataOf(topic: string, { data, attributes = {} }: OutgoingMessage): string {
  // JSON.stringify gives undefined for undefined, whatever its type says.
  const json: string | undefined = JSON.stringify(data);
  const bytes = Buffer.from(json ?? "");
  const size = bytes.length + Buffer.byteLength(JSON.stringify(attributes));
  if (size <= LARGEST_MESSAGE) return bytes.toString("base64");
  throw new PermanentError(
    `topic ${topic}: a message of ${size} bytes is over Pub/Sub's limit of ${LARGEST_MESSAGE}; send a reference`,
    { code: "bad-input" },
  );
}
