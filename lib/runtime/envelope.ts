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
  /** The message's JSON; `{}` where it has no data. */
  readonly data: unknown;
  readonly attributes: Readonly<Record<string, string>>;
}

export type Envelope =
  | { readonly kind: "delivery"; readonly delivery: Delivery }
  | { readonly kind: "refused"; readonly messageId: string; readonly reason: string };

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
  const messageId = message.messageId ?? message.message_id ?? event?.id ?? unnamed(message, now);
  const publishedAt = timeOf(message.publishTime ?? message.publish_time ?? event?.time, now);
  const data = decode(message.data ?? "");
  if (data.kind === "bad") return { kind: "refused", messageId, reason: data.reason };
  return {
    kind: "delivery",
    delivery: { messageId, publishedAt, data: data.value, attributes: message.attributes ?? {} },
  };
}

type Decoded = { readonly kind: "ok"; readonly value: unknown } | { readonly kind: "bad"; readonly reason: string };

function decode(base64: string): Decoded {
  if (base64 === "") return { kind: "ok", value: {} };
  const bytes = bytesOf(base64);
  if (bytes === undefined) return { kind: "bad", reason: "the message's data is not base64" };
  let json: string;
  try {
    json = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { kind: "bad", reason: "the message's data is not UTF-8 text" };
  }
  if (json.trim() === "") return { kind: "ok", value: {} };
  try {
    return { kind: "ok", value: JSON.parse(json) as unknown };
  } catch {
    return { kind: "bad", reason: `the message's data is not JSON: ${JSON.stringify(json.slice(0, 60))}` };
  }
}

/** Both alphabets, with or without padding; `undefined` for anything else. */
function bytesOf(base64: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) return undefined;
  try {
    const binary = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = new Uint8Array(binary.length);
    for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
    return bytes;
  } catch {
    return undefined; // the length fits no number of bytes
  }
}

/** No message was published outside of these years; windows are counted from this time, so nonsense must not get through. */
const EARLIEST = Date.UTC(2000, 0, 1);
const LATEST = Date.UTC(3000, 0, 1);

function timeOf(value: string | undefined, now: number): number {
  const parsed = value === undefined ? Number.NaN : Date.parse(value);
  return parsed >= EARLIEST && parsed < LATEST ? parsed : now;
}
