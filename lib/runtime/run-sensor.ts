/** One tick of a sensor: it looks at one event and its requests, cursor and reason are committed together. */
import { z } from "zod";
import { jobTopicOf, topicOf } from "../core/asset-key.ts";
import { eventOf } from "../core/run-identity.ts";
import { PermanentError } from "../core/errors.ts";
import type { SluiceEvent } from "../core/events.ts";
import { parsePartition } from "../core/partitions.ts";
import { materializationSchema } from "../core/request.ts";
import type { OutboxMessage, RunRequest } from "../core/request.ts";
import { readAnswer } from "../core/sensor-answer.ts";
import type {
  FinalizedObject,
  MaterializationEvent,
  SensorAnswer,
  SensorContext,
  SensorDefinition,
  SensorRequest,
} from "../core/sensor.ts";
import type { Delivery } from "./envelope.ts";
import type { Ending, Execution } from "./execution.ts";
import { clientsOf } from "./resources.ts";
import { noTable } from "./run-job.ts";
import { logged } from "./run-log.ts";
import type { Services } from "./services.ts";

const objectSchema = z.object({ bucket: z.string(), name: z.string(), generation: z.string(), size: z.number() });

type Read =
  { readonly kind: "request"; readonly request: RunRequest } | { readonly kind: "refused"; readonly reason: string };

/** What the sensor is told of is its run's request: the same event is one tick, however often it is delivered. */
export function sensorRequest(sensor: SensorDefinition, delivery: Delivery): Read {
  const { watches } = sensor;
  const common = { partition: "", requestedAt: delivery.publishedAt };
  if (watches.kind === "asset") {
    const parsed = materializationSchema.safeParse(delivery.data);
    if (!parsed.success || parsed.data.asset !== watches.asset)
      return { kind: "refused", reason: `the message is no materialization of ${watches.asset}` };
    const { data } = parsed;
    const cause = { kind: "materialization" as const, asset: data.asset, id: data.materializationId };
    return { kind: "request", request: { ...common, runKey: data.materializationId, cause, config: data } };
  }
  const parsed = objectSchema.safeParse(delivery.data);
  if (!parsed.success || parsed.data.bucket !== watches.bucket)
    return { kind: "refused", reason: `the message is no object of ${watches.bucket}` };
  const { bucket, name, generation } = parsed.data;
  const uri = `gs://${bucket}/${name}`;
  return {
    kind: "request",
    request: {
      ...common,
      runKey: `${uri}#${generation}`,
      cause: { kind: "object", uri, generation },
      config: parsed.data,
    },
  };
}

/** A stopped sensor does not tick at all; what a person chose outranks the definition. */
export async function isSensorRunning(services: Services, sensor: SensorDefinition): Promise<boolean> {
  const state = await services.events.get("sensor", sensor.name);
  return (state?.status ?? sensor.defaultStatus) === "running";
}

export async function runSensor(execution: Execution, sensor: SensorDefinition): Promise<Ending> {
  const { services, identity, run, request, signal } = execution;
  const cursorId = `sensor ${sensor.name}`;
  const cursor = (await services.events.get("cursor", cursorId))?.value;
  return await logged(execution, async (log) => {
    const resources = await clientsOf({
      execution,
      resources: sensor.resources,
      needs: sensor.needs,
      log,
      tableOf: noTable(sensor.name),
    });
    const context: SensorContext = {
      runId: identity.id,
      requestedAt: request.requestedAt,
      signal,
      log: log.log,
      cursor,
    };
    // The definition's own types meet the event that `watches` names and the clients that `resources` describes.
    const call = sensor.evaluate as (
      context: SensorContext,
      event: unknown,
      resources: unknown,
    ) => SensorAnswer<unknown> | Promise<SensorAnswer<unknown>>;
    const answer = await call(context, eventFor(services, sensor, request), resources);
    signal.throwIfAborted();
    const { requests, skipReason, next } = readAnswer(answer);
    const tick: SluiceEvent = {
      ...eventOf(identity, "ticked", services.clock.now()),
      type: "sensor.ticked",
      sensor: sensor.name,
      requested: requests.map(({ runKey }) => runKey),
      ...(skipReason === undefined ? {} : { skipReason }),
    };
    const outbox = requests.map((wanted) => messageOf(sensor, wanted, run.id));
    const moved = next === undefined ? {} : { cursor: { id: cursorId, value: next } };
    return { kind: "end", status: "succeeded", events: [tick], outbox, ...moved };
  });
}

function eventFor(
  services: Services,
  sensor: SensorDefinition,
  request: RunRequest,
): MaterializationEvent | FinalizedObject {
  if (sensor.watches.kind === "objects") return objectSchema.parse(request.config);
  const { asset, partition, materializationId } = materializationSchema.parse(request.config);
  const definition = services.definitions().assets.get(asset);
  if (definition === undefined)
    throw new PermanentError(`the asset ${asset} is not defined any more`, { code: "unknown-asset" });
  return { asset, partition: parsePartition(definition.partitions, partition), materializationId };
}

function messageOf(sensor: SensorDefinition, wanted: SensorRequest<unknown>, tick: string): OutboxMessage {
  const topic = sensor.requests.kind === "job" ? jobTopicOf(sensor.requests.name) : topicOf(sensor.requests.key);
  const { runKey, ...rest } = wanted;
  return {
    topic,
    data: { ...rest, runKey: `sensor:${sensor.name}:${runKey}`, cause: { kind: "sensor", sensor: sensor.name, tick } },
  };
}
