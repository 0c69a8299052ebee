/** Messages under way: published to a topic, they wait for each of its consumers until a step delivers them. */
import type { Consumer } from "../../lib/core/subscriptions.ts";

export interface Message {
  readonly id: string;
  readonly consumer: Consumer;
  readonly data: unknown;
  /** As ISO 8601. */
  readonly publishTime: string;
  /** It is not delivered before. */
  at: number;
  /** The instances that are at work on it. */
  readonly held: object[];
}

export interface Transport {
  /** Those that nobody has acknowledged. */
  readonly messages: readonly Message[];
  /** The message's id. */
  publish(topic: string, data: unknown, at?: number): string;
  /** As the port's: a task's name is taken once. */
  schedule(task: string, topic: string, data: unknown, at: number): void;
  /** It is never delivered again. */
  remove(message: Message): void;
  isDeliverable(message: Message): boolean;
  /** When the next message may be delivered; `Infinity` where there is none. */
  nextDelivery(): number;
}

export interface TransportOptions {
  now(): number;
  /** The same, as ISO 8601. */
  text(): string;
  /** The next number of the world: the same is never given twice. */
  number(): number;
  consumersOf(topic: string): readonly Consumer[];
}

export function transport({ now, text, number, consumersOf }: TransportOptions): Transport {
  const messages: Message[] = [];
  const tasks = new Set<string>();
  const publish = (topic: string, data: unknown, at = now()): string => {
    const id = `m${number()}`;
    for (const consumer of consumersOf(topic))
      messages.push({ id: `m${number()}`, consumer, data, publishTime: text(), at, held: [] });
    return id;
  };
  return {
    messages,
    publish,
    schedule: (task, topic, data, at) => {
      if (tasks.has(task)) return;
      tasks.add(task);
      publish(topic, data, at);
    },
    remove: (message) => {
      const at = messages.indexOf(message);
      if (at >= 0) messages.splice(at, 1);
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
  const kind = "cause" in data && typeof data.cause === "object" && data.cause !== null && "kind" in data.cause;
  return kind && FOUND_AGAIN.has((data.cause as { kind: unknown }).kind);
}

const FOUND_AGAIN: ReadonlySet<unknown> = new Set(["object", "materialization", "reconcile", "backfill"]);

export function nameOf(consumer: Consumer): string {
  if ("key" in consumer) return `${consumer.kind} ${consumer.key}`;
  if ("name" in consumer) return `${consumer.kind} ${consumer.name}`;
  return `${consumer.kind} ${"bucket" in consumer ? consumer.bucket : ""}`;
}
