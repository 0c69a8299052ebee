/** A bucket's finalize notification becomes requests of the assets and sensors that watch the object. It loads no asset. */
import { z } from "zod";
import { sensorTopicOf, topicOf } from "../core/asset-key.ts";
import type { Watcher } from "../core/definitions.ts";
import type { EventBody } from "../core/events.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { routeObject } from "../core/object-source.ts";
import type { FinalizedObject } from "../core/sensor.ts";
import type { Delivery } from "./envelope.ts";
import type { Services } from "./services.ts";

/** Google's object resource, as far as it matters; numbers may come as text. */
const objectSchema = z.object({
  bucket: z.string().min(1),
  name: z.string().min(1),
  generation: z.union([z.string(), z.number()]).transform(String),
  size: z.union([z.string(), z.number()]).transform(Number).default(0),
});

/**
 * `refuse` is called for a notification that cannot be read. Messages are published before the notification is
 * acknowledged, so a crash repeats them; the run key makes the repetition harmless.
 */
export async function routeNotification(
  services: Services,
  bucket: string,
  delivery: Delivery,
  refuse: (reason: string) => never,
): Promise<void> {
  const { eventType, bucketId, objectId, objectGeneration } = delivery.attributes;
  if (eventType !== undefined && eventType !== "OBJECT_FINALIZE") return;
  const data = fieldsOf(delivery.data);
  const parsed = objectSchema.safeParse({
    bucket: bucketId ?? data["bucket"],
    name: objectId ?? data["name"],
    generation: objectGeneration ?? data["generation"],
    size: data["size"],
  });
  if (!parsed.success) refuse("the notification names no bucket, object and generation");
  const object = parsed.data;
  if (object.bucket !== bucket) refuse(`the notification is about the bucket ${object.bucket}, not ${bucket}`);

  const { watchers, sensors } = services.definitions();
  for (const watcher of watchers.get(bucket) ?? []) await routeToAsset(services, watcher, object);
  for (const sensor of sensors.values()) {
    const { watches } = sensor;
    if (watches.kind !== "objects" || watches.bucket !== bucket || !object.name.startsWith(watches.prefix)) continue;
    await services.bus.publish(sensorTopicOf(sensor.name), { data: object });
  }
}

async function routeToAsset(services: Services, { asset, matcher }: Watcher, object: FinalizedObject): Promise<void> {
  const { source } = matcher;
  const uri = `gs://${object.bucket}/${object.name}`;
  const routed = routeObject(matcher, object.name);
  if (routed.kind === "partition") {
    const { generation } = object;
    const data = {
      partition: routed.window.key,
      runKey: `${uri}#${generation}`,
      cause: { kind: "object", uri, generation },
    };
    await services.bus.publish(topicOf(asset), { data });
    return;
  }
  const below = source.pathBase === "" || object.name.startsWith(`${source.pathBase}/`);
  if (routed.kind === "none" && !below) return;
  const reason =
    routed.kind === "refused" ? routed.reason : `its name does not match ${source.fileMatch} below ${source.pathBase}`;
  const body: EventBody = { type: "object.refused", uri, generation: object.generation, reason };
  const id = `refused-${shortHash([asset, uri, object.generation])}`;
  await services.events.append([{ v: EVENT_VERSION, id, at: services.clock.now(), asset, ...body }]);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
