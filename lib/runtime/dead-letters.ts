/** Messages that were delivered in vain become events, whole; after a fix they are published again. */
import { deadLetterEvent, replayProblem } from "../core/dead-letter.ts";
import type { DeadLetterMessage, DeadLettered } from "../core/dead-letter.ts";
import type { EventType, StoredEvent } from "../core/events.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { DEAD_LETTERS, previousSubscriptions, subscriptionsOf } from "../core/subscriptions.ts";
import { REPLAYED, readRaw } from "./envelope.ts";
import type { Incoming } from "./envelope.ts";
import type { OperationServices } from "./operations.ts";
import type { Services } from "./services.ts";

/** A push of the dead-letter topic. */
export async function receiveDeadLetter(
  services: Services,
  incoming: Incoming,
  prefix: string | undefined,
): Promise<void> {
  const now = services.clock.now();
  const message = readRaw(incoming, now);
  if (message !== undefined) return await recordDeadLetter(services, message, prefix);
  const reason = "the body is no Pub/Sub message, and so no dead letter";
  const id = `refused-${DEAD_LETTERS}-${now}`;
  const refused = { type: "message.refused", topic: DEAD_LETTERS, messageId: "", reason } as const;
  await services.events.append([{ v: EVENT_VERSION, id, at: now, ...refused }]);
}

/** Records it once. What is too large for an event is stored before, so that no event speaks of bytes that are not there. */
export async function recordDeadLetter(
  { definitions, clock, events, objects, settings }: OperationServices,
  message: DeadLetterMessage,
  prefix?: string,
): Promise<void> {
  const known = definitions();
  const plans = [...subscriptionsOf(known), ...previousSubscriptions(known)];
  const where = { plans, bucket: settings.stagingBucket, prefix, now: clock.now() };
  const { event, bytes } = deadLetterEvent(message, where);
  if (bytes !== undefined && event.object !== undefined)
    await objects.write(event.object.bucket, event.object.name, [bytes]);
  await events.append([event]);
}

export type ReplayAnswer =
  | { readonly kind: "replayed"; readonly topic: string; readonly messageId: string }
  /** Done before: nothing was published. */
  | { readonly kind: "replayed-before"; readonly topic: string; readonly messageId: string }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Publishes a dead letter again, to stand for the message that it was: whatever that message has begun is the same run. Dying
 * between the two steps costs a second message, which takes effect no second time.
 */
export async function replayDeadLetter(services: OperationServices, deadLetter: string): Promise<ReplayAnswer> {
  const { events, bus, clock, definitions } = services;
  const before = await find(services, "message.replayed", deadLetter);
  if (before?.type === "message.replayed")
    return { kind: "replayed-before", topic: before.topic, messageId: before.messageId };
  const event = await find(services, "message.dead-lettered", deadLetter);
  if (event?.type !== "message.dead-lettered")
    return { kind: "refused", reason: "there is no such dead letter: see `sluice dead-letters`" };
  const { topic, attributes, messageId: original, publishedAt } = event;
  const problem = replayProblem(event, new Set(subscriptionsOf(definitions()).map((plan) => plan.topic)));
  if (problem !== undefined || topic === undefined) return { kind: "refused", reason: problem ?? "" };
  const text = await textOf(services, event);
  const data = text.trim() === "" ? undefined : parsed(text);
  if (data === null) return { kind: "refused", reason: "its data is not JSON, and nothing would take it" };
  const messageId = await bus.publish(topic, {
    data,
    attributes: {
      // A replay that died again stands for the first message still.
      [REPLAYED.messageId]: original,
      [REPLAYED.publishedAt]: new Date(publishedAt).toISOString(),
      ...attributes,
    },
  });
  const asset = event.asset === undefined ? {} : { asset: event.asset };
  const said = { type: "message.replayed", deadLetter, topic, messageId } as const;
  await events.append([{ v: EVENT_VERSION, id: `replayed-${deadLetter}`, at: clock.now(), ...asset, ...said }]);
  return { kind: "replayed", topic, messageId };
}

async function find(
  { events }: OperationServices,
  type: EventType,
  deadLetter: string,
): Promise<StoredEvent | undefined> {
  let after: string | undefined;
  do {
    const page = await events.history({ types: [type], limit: 1_000, ...(after === undefined ? {} : { after }) });
    const found = page.items.find((event) => "deadLetter" in event && event.deadLetter === deadLetter);
    if (found !== undefined) return found;
    after = page.next;
  } while (after !== undefined);
  return undefined;
}

async function textOf({ objects }: OperationServices, { data = "", object }: DeadLettered): Promise<string> {
  const decoder = new TextDecoder();
  if (object === undefined) {
    try {
      const binary = atob(data.replaceAll("-", "+").replaceAll("_", "/"));
      return decoder.decode(Uint8Array.from(binary, (byte) => byte.charCodeAt(0)));
    } catch {
      return data;
    }
  }
  let text = "";
  for await (const chunk of objects.read(object.bucket, object.name)) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** `null` for what is no JSON; JSON's own null is of no use to anybody either. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
