/** Messages that were delivered in vain: what is kept of one, and what can be done about it. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { parseTopic } from "./asset-key.ts";
import type { EventBody, SluiceEvent } from "./events.ts";
import { EVENT_VERSION } from "./events.ts";
import { shortHash } from "./hash.ts";
import type { SubscriptionPlan } from "./subscriptions.ts";

/** What Pub/Sub writes into a dead letter's attributes, all names beginning like this; and what the local bus adds. */
const SOURCE = "CloudPubSubDeadLetterSource";
export const DEAD_LETTER_ATTRIBUTES = Object.freeze({
  attempts: `${SOURCE}DeliveryCount`,
  subscription: `${SOURCE}Subscription`,
  project: `${SOURCE}SubscriptionProject`,
  publishedAt: `${SOURCE}TopicPublishTime`,
  /** Pub/Sub itself does not tell the id of the message that it was. */
  messageId: `${SOURCE}MessageId`,
  reason: `${SOURCE}Reason`,
});

export type DeadLettered = SluiceEvent & Extract<EventBody, { readonly type: "message.dead-lettered" }>;
export type Replayed = SluiceEvent & Extract<EventBody, { readonly type: "message.replayed" }>;

/** So much of a message is kept within the event; more goes into an object. Bytes. */
const INLINE_BYTES = 48 * 1024;
const TEXT_CHARS = 1_000;

export interface DeadLetterMessage {
  /** As it was pushed: of the dead letter, not of the message that it was. */
  readonly messageId: string;
  readonly publishedAt: number;
  readonly attributes: Readonly<Record<string, string>>;
  /** Base64. */
  readonly data: string;
}

export interface DeadLetterOptions {
  /** What the names of subscriptions begin with in this environment. */
  readonly prefix?: string | undefined;
  readonly plans: readonly SubscriptionPlan[];
  readonly bucket: string;
  readonly now: number;
}

/** The event, and the bytes that are too many for it, which are to be stored under `event.object` before. */
export function deadLetterEvent(
  message: DeadLetterMessage,
  { prefix = "", plans, bucket, now }: DeadLetterOptions,
): { readonly event: DeadLettered; readonly bytes: Uint8Array | undefined } {
  const said = (name: keyof typeof DEAD_LETTER_ATTRIBUTES): string | undefined =>
    message.attributes[DEAD_LETTER_ATTRIBUTES[name]];
  const full = said("subscription") ?? "";
  const subscription = full.startsWith(prefix) ? full.slice(prefix.length) : full;
  const messageId = said("messageId") ?? message.messageId;
  const deadLetter = shortHash(["dead letter", full, messageId]);
  const bytes = bytesOf(message.data);
  const publishedAt = Date.parse(said("publishedAt") ?? "");
  const reason = said("reason");
  const topic = topicOfSubscription(plans, subscription);
  const asset = assetOf(plans, subscription);
  const small = bytes.length <= INLINE_BYTES;
  const event: DeadLettered = {
    v: EVENT_VERSION,
    id: `dead-${deadLetter}`,
    at: now,
    ...(asset === undefined ? {} : { asset }),
    type: "message.dead-lettered",
    deadLetter,
    subscription,
    ...(topic === undefined ? {} : { topic }),
    messageId,
    publishedAt: Number.isNaN(publishedAt) ? message.publishedAt : publishedAt,
    attempts: Number(said("attempts") ?? 0) || 0,
    ...(reason === undefined ? {} : { reason }),
    attributes: Object.fromEntries(Object.entries(message.attributes).filter(([name]) => !name.startsWith(SOURCE))),
    text: new TextDecoder().decode(bytes.subarray(0, 4 * TEXT_CHARS)).slice(0, TEXT_CHARS),
    bytes: bytes.length,
    sha256: bytesToHex(sha256(bytes)),
    ...(small ? { data: message.data } : { object: { bucket, name: `dead-letters/${deadLetter}` } }),
  };
  return { event, bytes: small ? undefined : bytes };
}

/** Either alphabet; what is no base64 is kept as the text that it is. */
function bytesOf(data: string): Uint8Array {
  try {
    return Uint8Array.from(atob(data.replaceAll("-", "+").replaceAll("_", "/")), (byte) => byte.charCodeAt(0));
  } catch {
    return new TextEncoder().encode(data);
  }
}

/** The topic that the subscription is of, also where what it was for has gone; `undefined` where its name does not tell. */
function topicOfSubscription(plans: readonly SubscriptionPlan[], name: string): string | undefined {
  const plan = plans.find((known) => known.name === name);
  if (plan !== undefined) return plan.topic;
  const followed = /\.follows\.(materialized\..+)$/.exec(name)?.[1];
  const topic = followed ?? name;
  return parseTopic(topic) === undefined ? undefined : topic;
}

function assetOf(plans: readonly SubscriptionPlan[], name: string): string | undefined {
  const consumer = plans.find((known) => known.name === name)?.consumer;
  if (consumer !== undefined) return "key" in consumer ? consumer.key : undefined;
  const parsed = parseTopic(name.replace(/\.follows\.materialized\..+$/, ""));
  return parsed !== undefined && "key" in parsed ? parsed.key : undefined;
}

export interface DeadLetterState {
  readonly event: DeadLettered;
  readonly replayed: Replayed | undefined;
  /** Why it cannot be published again, if it cannot. */
  readonly problem: string | undefined;
}

/** Each dead letter with what has become of it, in the order given. `topics`: those that somebody listens to. */
export function deadLetterStates(
  dead: readonly DeadLettered[],
  replayed: readonly Replayed[],
  topics: ReadonlySet<string>,
): readonly DeadLetterState[] {
  const done = new Map(replayed.map((event) => [event.deadLetter, event]));
  return dead.map((event) => ({
    event,
    replayed: done.get(event.deadLetter),
    problem: replayProblem(event, topics),
  }));
}

export function replayProblem(
  { topic, subscription }: Pick<DeadLettered, "topic" | "subscription">,
  topics: ReadonlySet<string>,
): string | undefined {
  if (topic === undefined) return `nobody knows the topic of ${JSON.stringify(subscription)}: publish it by hand`;
  if (!topics.has(topic)) return `nothing listens to ${topic} any more: define and deploy it again first`;
  return undefined;
}
