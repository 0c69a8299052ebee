/** Notification configs of buckets, and the messages that they send to Pub/Sub. */
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "../http-fake.ts";
import type { Change } from "./object-files.ts";
import { objectResource } from "./resources.ts";

/** A message as Cloud Storage publishes it. */
export interface Notification {
  /** `projects/P/topics/T`. */
  readonly topic: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The object's resource as JSON; empty for the payload format `NONE`. */
  readonly data: string;
}

export interface NotificationConfig {
  readonly id: string;
  readonly bucket: string;
  /** `//pubsub.googleapis.com/projects/P/topics/T`. */
  readonly topic: string;
  readonly payloadFormat: "JSON_API_V1" | "NONE";
  /** Empty for all. */
  readonly eventTypes: readonly string[];
  readonly prefix: string;
  readonly customAttributes: Readonly<Record<string, string>>;
}

export interface Notifier {
  create(bucket: string, body: Readonly<Record<string, unknown>>): NotificationConfig;
  list(bucket: string): readonly NotificationConfig[];
  get(bucket: string, id: string): NotificationConfig;
  delete(bucket: string, id: string): void;
  changed(change: Change): void;
  settled(): Promise<void>;
  stop(): void;
}

const EVENT_TYPES = ["OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE", "OBJECT_ARCHIVE"];
const TOPIC = /^\/\/pubsub\.googleapis\.com\/(projects\/[^/]+\/topics\/[A-Za-z][\w.~+%-]{2,254})$/;

export function notifier(deliver: (notification: Notification) => Promise<void>): Notifier {
  const configs: NotificationConfig[] = [];
  const underWay = new Set<Promise<void>>();
  let nextId = 1;
  let stopped = false;

  /** At least once: until it is taken. */
  async function send(notification: Notification): Promise<void> {
    for (let pause = 10; !stopped; pause = Math.min(2 * pause, 1000)) {
      try {
        return await deliver(notification);
      } catch {
        await sleep(pause, undefined, { ref: false });
      }
    }
  }

  function get(bucket: string, id: string): NotificationConfig {
    const found = configs.find((config) => config.bucket === bucket && config.id === id);
    if (found === undefined) throw new ApiError(404, "notFound", `Notification not found: ${bucket}/${id}`);
    return found;
  }

  return {
    get,
    create(bucket, body) {
      const { topic, payload_format: payloadFormat, event_types: eventTypes = [] } = body;
      const { object_name_prefix: prefix = "", custom_attributes: customAttributes = {} } = body;
      if (typeof topic !== "string" || !TOPIC.test(topic)) {
        throw new ApiError(400, "invalid", `Invalid Google Cloud Pub/Sub topic: ${JSON.stringify(topic)}`);
      }
      if (payloadFormat !== "JSON_API_V1" && payloadFormat !== "NONE") {
        throw new ApiError(400, "invalid", `Invalid payload format: ${JSON.stringify(payloadFormat)}`);
      }
      const types = Array.isArray(eventTypes) ? eventTypes.map(String) : [];
      const unknown = types.find((type) => !EVENT_TYPES.includes(type));
      if (unknown !== undefined) throw new ApiError(400, "invalid", `Invalid event type: ${unknown}`);
      for (const type of types.length === 0 ? EVENT_TYPES : types) {
        const others = configs.filter((config) => config.bucket === bucket && hears(config, type));
        if (others.length >= 10) {
          throw new ApiError(400, "invalid", `Too many overlapping notifications for bucket ${bucket} and ${type}`);
        }
      }
      const config: NotificationConfig = {
        id: String(nextId++),
        bucket,
        topic,
        payloadFormat,
        eventTypes: types,
        prefix: String(prefix),
        customAttributes: textValues(customAttributes),
      };
      configs.push(config);
      return config;
    },
    list: (bucket) => configs.filter((config) => config.bucket === bucket),
    delete: (bucket, id) => void configs.splice(configs.indexOf(get(bucket, id)), 1),
    changed(change) {
      const { bucket, name } = change.object;
      for (const config of configs) {
        if (config.bucket !== bucket || !name.startsWith(config.prefix) || !hears(config, change.eventType)) continue;
        const sending = send(messageOf(config, change)).finally(() => underWay.delete(sending));
        underWay.add(sending);
      }
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    stop: () => void (stopped = true),
  };
}

function hears(config: NotificationConfig, type: string): boolean {
  return config.eventTypes.length === 0 || config.eventTypes.includes(type);
}

function messageOf(config: NotificationConfig, change: Change): Notification {
  const { object, eventType, overwroteGeneration, overwrittenByGeneration } = change;
  return {
    topic: TOPIC.exec(config.topic)?.[1] ?? config.topic,
    attributes: {
      ...config.customAttributes,
      notificationConfig: `projects/_/buckets/${object.bucket}/notificationConfigs/${config.id}`,
      eventType,
      payloadFormat: config.payloadFormat,
      bucketId: object.bucket,
      objectId: object.name,
      objectGeneration: object.generation,
      eventTime: new Date().toISOString().replace("Z", "000Z"),
      ...(overwroteGeneration === undefined ? {} : { overwroteGeneration }),
      ...(overwrittenByGeneration === undefined ? {} : { overwrittenByGeneration }),
    },
    data:
      config.payloadFormat === "NONE"
        ? ""
        : JSON.stringify(objectResource(object, "https://www.googleapis.com"), null, 2),
  };
}

export function textValues(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, String(inner)]));
}
