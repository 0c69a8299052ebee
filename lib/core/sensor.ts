/** Sensors look at what happened and decide what to request. */
import type { z } from "zod";
import { checkName, topicOf } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import { brand } from "./definition.ts";
import type { BaseContext, Branded, ResourceClients, ResourceMap } from "./definition.ts";
import { DefinitionError, within } from "./errors.ts";
import type { JobDefinition } from "./job.ts";
import type { Need } from "./needs.ts";
import { checkBucket } from "./bucket.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, code, oneOf, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import type { Partition } from "./partitions.ts";

export type SensorStatus = "running" | "stopped";

/** The sensor looked and saw nothing to do; the reason is recorded with the tick. */
export interface Skip {
  readonly skip: string;
  /** What the next tick shall find as `context.cursor`. */
  readonly cursor?: string;
}

/** A sensor's answer when there is nothing to do: `reason` is recorded with the tick, and a cursor kept. */
export function skip(reason: string, options: { readonly cursor?: string } = {}): Skip {
  return { skip: reason, ...options };
}

/** A request by a sensor. The same `runKey` never starts a second run of the same target. */
export interface SensorRequest<C> {
  readonly runKey: string;
  readonly config?: C;
  /** For sensors that request an asset. */
  readonly partition?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

/** Requests, and what the next tick shall find as `context.cursor`; both are stored together, or neither. */
export interface SensorRequests<C> {
  readonly requests: readonly SensorRequest<C>[];
  readonly cursor?: string;
}

export type SensorAnswer<C> = SensorRequest<C> | readonly SensorRequest<C>[] | SensorRequests<C> | Skip;

export interface SensorContext extends BaseContext {
  /** What the last tick stored, if it did. Of ticks that run at once, the one that ends last has its way. */
  readonly cursor: string | undefined;
}

/** A materialization, as an asset sensor sees it. */
export interface MaterializationEvent {
  readonly asset: AssetKey;
  readonly partition: Partition;
  readonly materializationId: string;
}

/** A finalized object, as an object sensor sees it. */
export interface FinalizedObject {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly size: number;
}

interface Target<C extends z.ZodObject> {
  /** What is requested: a job, or an asset. */
  readonly job?: JobDefinition<C>;
  readonly target?: { readonly key: AssetKey; readonly config?: z.ZodObject | undefined };
}

interface Common<R extends ResourceMap, C extends z.ZodObject> extends Target<C> {
  readonly name: string;
  readonly description?: string;
  /** Until a person starts or stops it. Default `running`. */
  readonly defaultStatus?: SensorStatus;
  readonly resources?: R;
}

export interface AssetSensorOptions<R extends ResourceMap, C extends z.ZodObject> extends Common<R, C> {
  readonly asset: { readonly key: AssetKey };
  evaluate(
    context: SensorContext,
    event: MaterializationEvent,
    resources: ResourceClients<R>,
  ): SensorAnswer<z.input<C>> | Promise<SensorAnswer<z.input<C>>>;
}

export interface ObjectSensorOptions<R extends ResourceMap, C extends z.ZodObject> extends Common<R, C> {
  readonly bucket: string;
  /** Only objects whose names start so. Default: all. */
  readonly prefix?: string;
  evaluate(
    context: SensorContext,
    object: FinalizedObject,
    resources: ResourceClients<R>,
  ): SensorAnswer<z.input<C>> | Promise<SensorAnswer<z.input<C>>>;
}

export interface SensorDefinition extends Branded<"sensor"> {
  readonly name: string;
  readonly description?: string;
  readonly watches:
    | { readonly kind: "asset"; readonly asset: AssetKey }
    | { readonly kind: "objects"; readonly bucket: string; readonly prefix: string };
  readonly requests:
    { readonly kind: "job"; readonly name: string } | { readonly kind: "asset"; readonly key: AssetKey };
  readonly defaultStatus: SensorStatus;
  readonly resources: ResourceMap;
  readonly needs: readonly Need[];
  /** What its requests may carry: the schema of the job or asset, where it has one. */
  readonly config?: z.ZodObject | undefined;
  evaluate(
    context: SensorContext,
    event: never,
    resources: ResourceClients<ResourceMap>,
  ): SensorAnswer<unknown> | Promise<SensorAnswer<unknown>>;
}

/** The same with what its code takes, for those who call that code themselves, as tests do. */
export interface TypedSensor<
  N extends "event" | "object",
  R extends ResourceMap,
  C extends z.ZodObject,
> extends SensorDefinition {
  /** Never set: it carries the types. */
  readonly takes?: { readonly told: N; readonly resources: R; readonly config: C };
}

type Any = z.ZodObject;
const COMMON: Shape<keyof Common<ResourceMap, Any> | "evaluate"> = {
  name: text,
  description: optional(text),
  defaultStatus: optional(oneOf(["running", "stopped"])),
  resources: rules.hands.resources,
  job: optional(rules.definition("job")),
  target: optional(rules.keyed),
  evaluate: code,
};
const ASSET_SENSOR: Shape<keyof AssetSensorOptions<ResourceMap, Any>> = { ...COMMON, asset: rules.keyed };
const OBJECT_SENSOR: Shape<keyof ObjectSensorOptions<ResourceMap, Any>> = {
  ...COMMON,
  bucket: text,
  prefix: optional(text),
};

/** A sensor that is told of every materialization of an asset, each once. Throws `DefinitionError`. */
export function assetSensor<const R extends ResourceMap = Record<never, never>, C extends z.ZodObject = z.ZodObject>(
  options: AssetSensorOptions<R, C>,
): TypedSensor<"event", R, C> {
  checkOptions(rules.nameIn("sensor", options), options, ASSET_SENSOR);
  return define(options, { kind: "asset", asset: options.asset.key });
}

/** A sensor that is told of every object finalized in a bucket, each generation once. Throws `DefinitionError`. */
export function objectSensor<const R extends ResourceMap = Record<never, never>, C extends z.ZodObject = z.ZodObject>(
  options: ObjectSensorOptions<R, C>,
): TypedSensor<"object", R, C> {
  const who = rules.nameIn("sensor", options);
  checkOptions(who, options, OBJECT_SENSOR);
  const bucket = within(who, () => checkBucket(options.bucket));
  return define(options, { kind: "objects", bucket, prefix: options.prefix ?? "" });
}

function define<R extends ResourceMap, C extends z.ZodObject>(
  options: AssetSensorOptions<R, C> | ObjectSensorOptions<R, C>,
  watches: SensorDefinition["watches"],
): SensorDefinition {
  const { job, target } = options;
  if ((job === undefined) === (target === undefined)) {
    throw new DefinitionError(`the sensor ${options.name} needs exactly one of job and target`, {
      remedy: "say what it requests",
    });
  }
  const requests =
    job === undefined ? { kind: "asset" as const, key: target?.key ?? "" } : { kind: "job" as const, name: job.name };
  const topic = requests.kind === "job" ? `job.${requests.name}` : topicOf(requests.key);
  return Object.freeze({
    [brand]: true as const,
    kind: "sensor" as const,
    name: checkName(options.name, "sensor"),
    ...(options.description === undefined ? {} : { description: options.description }),
    watches,
    requests,
    defaultStatus: options.defaultStatus ?? "running",
    resources: options.resources ?? {},
    config: job?.config ?? target?.config,
    needs: [
      ...Object.values(options.resources ?? {}).flatMap((resource) => resource.needs),
      { kind: "publish" as const, topic, reason: `${options.name} requests runs there` },
    ],
    // The runtime hands in the event that `watches` names and the clients that `resources` describes.
    evaluate: options.evaluate,
  });
}
