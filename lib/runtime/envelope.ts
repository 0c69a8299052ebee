/**
 * What arrives: a Pub/Sub push envelope, or a CloudEvent in binary, structured or already parsed form. All become one
 * `Delivery`. Nothing in it is trusted; a body that makes no sense is refused with a reason, because sending it again
 * would not mend it.
 */
import { z } from "zod";
import { canonicalJson, shortHash } from "../core/hash.ts";

export interface Incoming {
  /** HTTP headers, lower-case names. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** The parsed JSON body, or a CloudEvent as functions-framework hands it over. */
  readonly body: unknown;
}

export interface Delivery {
  readonly messageId: string;
  /** Milliseconds, UTC: when the trigger was published. */
  readonly publishedAt: number;
  /** When this message was sent; later than `publishedAt` where a dead letter was published again. */
  readonly sentAt: number;
  /** The message's JSON; `{}` where it has no data. */
  readonly data: unknown;
  readonly attributes: Readonly<Record<string, string>>;
}

export type Envelope =
  | { readonly kind: "delivery"; readonly delivery: Delivery }
  | { readonly kind: "refused"; readonly messageId: string; readonly reason: string };

/**
 * What a dead letter carries that is published again: it stands for the message that it was, and a run that this message
 * began is the same run.
 */
export const REPLAYED = Object.freeze({ messageId: "sluice-message-id", publishedAt: "sluice-published-at" });

/** What the message of a tick carries that is sent after its time: it asks for what it would have asked for then, as the same run. */
export function tickAttributes(tick: number): Readonly<Record<string, string>> {
  return { [REPLAYED.publishedAt]: new Date(tick).toISOString() };
}

const text = z.string();
const messageSchema = z.object({
  data: text.optional(),
  attributes: z.record(text, text).nullish(),
  messageId: text.optional(),
  message_id: text.optional(),
  publishTime: text.optional(),
  publish_time: text.optional(),
});
const pushSchema = z.object({ message: messageSchema });
const cloudEventSchema = z.object({
  specversion: text,
  id: text.min(1),
  type: text,
  source: text,
  time: text.optional(),
  data: z.unknown().optional(),
});

/** `now` stands in for a publish time that is missing. */
export function readEnvelope(incoming: Incoming, now: number): Envelope {
  const candidate = cloudEventOf(incoming);
  const event = isObject(candidate) && "specversion" in candidate ? cloudEventSchema.safeParse(candidate) : undefined;
  if (event?.success === true) return readCloudEvent(event.data, now);
  const push = pushSchema.safeParse(incoming.body);
  if (push.success) return readMessage(push.data.message, undefined, now);
  const reason = "the body is neither a Pub/Sub push message nor a CloudEvent: send one of them";
  return { kind: "refused", messageId: unnamed(incoming.body, now), reason };
}

export interface RawMessage {
  readonly messageId: string;
  /** Milliseconds, UTC. */
  readonly publishedAt: number;
  readonly attributes: Readonly<Record<string, string>>;
  /** Base64, as it came. */
  readonly data: string;
}

/** The message as it is, whatever its data; `undefined` for what is none. */
export function readRaw(incoming: Incoming, now: number): RawMessage | undefined {
  const candidate = cloudEventOf(incoming);
  const event =
    isObject(candidate) && "specversion" in candidate ? cloudEventSchema.safeParse(candidate).data : undefined;
  const message = pushSchema.safeParse(event?.data ?? incoming.body).data?.message;
  if (message === undefined) return undefined;
  return {
    messageId: message.messageId ?? message.message_id ?? event?.id ?? unnamed(message, now),
    publishedAt: timeOf(message.publishTime ?? message.publish_time ?? event?.time, now),
    attributes: message.attributes ?? {},
    data: message.data ?? "",
  };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** What comes without an id is taken for a message of its own, each time. */
function unnamed(body: unknown, now: number): string {
  return `unnamed-${now}-${shortHash([canonicalJson(body ?? null)])}`;
}

function cloudEventOf({ headers = {}, body }: Incoming): unknown {
  if (headers["ce-specversion"] === undefined) return body;
  const [specversion, id, type, source, time] = ["specversion", "id", "type", "source", "time"].map(
    (name) => headers[`ce-${name}`],
  );
  return { specversion, id, type, source, ...(time === undefined ? {} : { time }), data: body };
}

function readCloudEvent(event: z.infer<typeof cloudEventSchema>, now: number): Envelope {
  if (event.type === "google.cloud.pubsub.topic.v1.messagePublished") {
    const push = pushSchema.safeParse(event.data);
    if (push.success) return readMessage(push.data.message, event, now);
    return { kind: "refused", messageId: event.id, reason: "the CloudEvent holds no Pub/Sub message" };
  }
  const delivery = {
    messageId: event.id,
    publishedAt: timeOf(event.time, now),
    sentAt: timeOf(event.time, now),
    data: event.data ?? {},
    attributes: {},
  };
  if (event.type !== "google.cloud.storage.object.v1.finalized") {
    return { kind: "refused", messageId: event.id, reason: `CloudEvents of type ${event.type} have no receiver here` };
  }
  return { kind: "delivery", delivery };
}

function readMessage(
  message: z.infer<typeof messageSchema>,
  event: { readonly id: string; readonly time?: string | undefined } | undefined,
  now: number,
): Envelope {
  const attributes = message.attributes ?? {};
  const sentAs = message.messageId ?? message.message_id ?? event?.id ?? unnamed(message, now);
  const sentAt = timeOf(message.publishTime ?? message.publish_time ?? event?.time, now);
  const messageId = attributes[REPLAYED.messageId] ?? sentAs;
  const publishedAt = timeOf(attributes[REPLAYED.publishedAt], sentAt);
  const data = decode(message.data ?? "");
  if (data.kind === "bad") return { kind: "refused", messageId, reason: data.reason };
  return {
    kind: "delivery",
    delivery: { messageId, publishedAt, sentAt, data: data.value, attributes },
  };
}

type Decoded = { readonly kind: "ok"; readonly value: unknown } | { readonly kind: "bad"; readonly reason: string };

function decode(base64: string): Decoded {
  if (base64 === "") return { kind: "ok", value: {} };
  const binary = binaryOf(base64);
  if (binary === undefined) return { kind: "bad", reason: "the message's data is not base64" };
  const json = textOf(binary);
  if (json === undefined) return { kind: "bad", reason: "the message's data is not UTF-8 text" };
  if (json.trim() === "") return { kind: "ok", value: {} };
  try {
    return { kind: "ok", value: JSON.parse(json) as unknown };
  } catch {
    return { kind: "bad", reason: `the message's data is not JSON: ${JSON.stringify(json.slice(0, 60))}` };
  }
}

/** One character for each byte; both alphabets, with or without padding; `undefined` for anything else. */
function binaryOf(base64: string): string | undefined {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) return undefined;
  try {
    return atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return undefined; // the length fits no number of bytes
  }
}

/** What the bytes are in UTF-8; most messages are ASCII, which is the same in both. `undefined` where they are no text. */
function textOf(binary: string): string | undefined {
  if (!/[^\0-\x7f]/.test(binary)) return binary;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (byte) => byte.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

/** No message was published outside of these years; windows are counted from this time, so nonsense must not get through. */
const EARLIEST = Date.UTC(2000, 0, 1);
const LATEST = Date.UTC(3000, 0, 1);

function timeOf(value: string | undefined, now: number): number {
  const parsed = value === undefined ? Number.NaN : Date.parse(value);
  return parsed >= EARLIEST && parsed < LATEST ? parsed : now;
}
