/** Messages under way: published to a topic, they wait for each of its consumers until a step delivers them. */
import { PermanentError } from "../../lib/core/errors.ts";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import { envelopeOf, jsonPayload } from "../../lib/local/bus-envelope.ts";
import type { Attributes, Payload, PushEnvelope } from "../../lib/local/bus-envelope.ts";

export interface Message {
  /** The same for each consumer. */
  readonly id: string;
  readonly consumer: Consumer;
  readonly data: unknown;
  /** What arrives, also where the data has changed since. */
  readonly payload: Payload;
  readonly publishedAt: number;
  /** How often it was delivered. */
  attempts: number;
  /** It is not delivered before. */
  at: number;
  /** The instances that are at work on it. */
  readonly held: object[];
}

export interface Transport {
  /** Those that nobody has acknowledged. */
  readonly messages: readonly Message[];
  /** The message's id. `at`: when it was published, if not now. Throws `PermanentError` where it is too large. */
  publish(topic: string, data: unknown, attributes?: Attributes, at?: number): string;
  /** As the port's. */
  schedule(task: string, topic: string, data: unknown, at: number, attributes?: Attributes): void;
  /** `holder` is at work on it until `receive` has ended: then it is gone, or, where that has failed, comes again. */
  deliver(message: Message, holder: object, receive: (envelope: PushEnvelope) => Promise<unknown>): Promise<void>;
  /** It is never delivered again. */
  remove(message: Message): void;
  isDeliverable(message: Message): boolean;
  /** When the next message may be delivered; `Infinity` where there is none. */
  nextDelivery(): number;
}

export interface TransportOptions {
  now(): number;
  /** The next number of the world: the same is never given twice. */
  number(): number;
  consumersOf(topic: string): readonly Consumer[];
}

const AGAIN_MS = 10_000;
const HOUR_MS = 3_600_000;

export function transport({ now, number, consumersOf }: TransportOptions): Transport {
  const messages: Message[] = [];
  /** When a name may be used again. */
  const tasks = new Map<string, number>();
  const send = (topic: string, data: unknown, attributes: Attributes, at: number): string => {
    const id = String(number());
    const payload = jsonPayload(topic, data, attributes);
    for (const consumer of consumersOf(topic))
      messages.push({ id, consumer, data, payload, publishedAt: at, attempts: 0, at, held: [] });
    return id;
  };
  const remove = (message: Message): void => take(messages, message);
  return {
    messages,
    remove,
    publish: (topic, data, attributes = {}, at = now()) => send(topic, data, attributes, at),
    schedule: (task, topic, data, wanted, attributes = {}) => {
      if (!/^[A-Za-z0-9_-]{1,500}$/.test(task)) throw new PermanentError(`${task} cannot name a message`);
      if (Number.isNaN(wanted)) throw new PermanentError(`the message ${task} has no time`);
      if ((tasks.get(task) ?? -Infinity) > now()) return;
      const at = Math.max(wanted, now());
      tasks.set(task, at + HOUR_MS);
      send(topic, data, attributes, at);
    },
    deliver: (message, holder, receive) => {
      const { id: messageId, consumer, payload, publishedAt, held } = message;
      held.push(holder);
      message.attempts += 1;
      const subscription = nameOf(consumer);
      return receive(envelopeOf({ subscription, messageId, publishedAt, attempt: message.attempts, payload })).then(
        () => {
          take(held, holder);
          remove(message);
        },
        (error: unknown) => {
          take(held, holder);
          message.at = now() + AGAIN_MS;
          throw error;
        },
      );
    },
    isDeliverable: ({ at, held }) => at <= now() && held.length === 0,
    nextDelivery: () => {
      let next = Infinity;
      for (const { at, held } of messages) if (held.length === 0 && at < next) next = at;
      return next;
    },
  };
}

/** What reconciling finds again, or nobody has to miss. A person's request is left to the transport, which keeps it for days. */
export function isDroppable({ consumer, data }: Message): boolean {
  if (consumer.kind !== "asset") return true;
  if (typeof data !== "object" || data === null) return false;
  if ("wake" in data) return true;
  if ("backfill" in data) return (data.backfill as { action: unknown }).action === "wake";
  const cause = "cause" in data ? data.cause : undefined;
  if (typeof cause !== "object" || cause === null || !("kind" in cause)) return false;
  // A tick is made up for once.
  return FOUND_AGAIN.has(cause.kind) && !("at" in cause);
}

const FOUND_AGAIN: ReadonlySet<unknown> = new Set(["object", "materialization", "reconcile", "backfill", "schedule"]);

export function nameOf(consumer: Consumer): string {
  if ("key" in consumer) return `${consumer.kind} ${consumer.key}`;
  if ("name" in consumer) return `${consumer.kind} ${consumer.name}`;
  return `${consumer.kind} ${"bucket" in consumer ? consumer.bucket : ""}`;
}

function take<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
