import { PermanentError } from "../core/errors.ts";

/** What a subscription's endpoint receives: Pub/Sub's push JSON, field by field. */
export interface PushEnvelope {
  readonly message: {
    /** Base64; absent where the message has no data, as in Pub/Sub's own JSON. */
    readonly data?: string;
    /** Absent where there are none. */
    readonly attributes?: Readonly<Record<string, string>>;
    readonly messageId: string;
    readonly message_id: string;
    /** ISO 8601, UTC. */
    readonly publishTime: string;
    readonly publish_time: string;
  };
  /** `projects/local/subscriptions/NAME`. */
  readonly subscription: string;
  /** 1 for the first delivery. */
  readonly deliveryAttempt: number;
}

export type Attributes = Readonly<Record<string, string>>;

/** A message as it travels: its data in base64, and empty where there is none. */
export interface Payload {
  readonly data: string;
  readonly attributes: Attributes;
}

/** Pub/Sub's own limit, so that what works here works there. */
const LARGEST_MESSAGE = 10_000_000;

export function envelopeOf(message: {
  readonly subscription: string;
  readonly messageId: string;
  readonly publishedAt: number;
  readonly attempt: number;
  readonly payload: Payload;
}): PushEnvelope {
  const { messageId, payload } = message;
  const time = new Date(message.publishedAt).toISOString();
  return {
    message: {
      ...(payload.data === "" ? {} : { data: payload.data }),
      ...(Object.keys(payload.attributes).length === 0 ? {} : { attributes: payload.attributes }),
      messageId,
      message_id: messageId,
      publishTime: time,
      publish_time: time,
    },
    subscription: `projects/local/subscriptions/${message.subscription}`,
    deliveryAttempt: message.attempt,
  };
}

/** A JSON value as a payload; `undefined` is a message without data. Throws `PermanentError` where it is too large. */
export function jsonPayload(topic: string, value: unknown, attributes: Attributes): Payload {
  // JSON.stringify gives undefined for undefined, whatever its type says.
  const json: string | undefined = JSON.stringify(value);
  return limited(topic, { data: Buffer.from(json ?? "").toString("base64"), attributes });
}

/** Bytes that somebody else put into base64 (either alphabet). Throws `PermanentError` where that is not what they are. */
export function rawPayload(topic: string, dataBase64: string, attributes: Attributes): Payload {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(dataBase64) || dataBase64.replaceAll("=", "").length % 4 === 1) {
    throw new PermanentError(`topic ${topic}: the message's data is not base64; encode it first`, {
      code: "bad-input",
    });
  }
  return limited(topic, { data: Buffer.from(dataBase64, "base64").toString("base64"), attributes });
}

function limited(topic: string, payload: Payload): Payload {
  const attributes = JSON.stringify(payload.attributes);
  const bytes = Math.ceil((payload.data.length * 3) / 4) + Buffer.byteLength(attributes);
  if (bytes > LARGEST_MESSAGE) {
    throw new PermanentError(
      `topic ${topic}: a message of ${bytes} bytes is over Pub/Sub's limit of ${LARGEST_MESSAGE}; send a reference`,
      {
        code: "bad-input",
      },
    );
  }
  return payload;
}
