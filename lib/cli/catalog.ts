/** The definitions as plain data: what commands show and check their arguments with, whichever process has loaded them. */
import { z } from "zod";
import { materializedTopicOf } from "../core/asset-key.ts";
import type { AssetDefinition } from "../core/asset.ts";
import type { CheckRule, InlineCheck } from "../core/check.ts";
import { allChecks, allNeeds } from "../core/definitions.ts";
import { subscriptionsOf, watchedBuckets } from "../core/subscriptions.ts";
import type { Collected } from "../core/collect.ts";
import type { Definitions } from "../core/definitions.ts";
import { messageOf } from "../core/errors.ts";
import type { JobDefinition } from "../core/job.ts";
import type { FreshnessPolicy } from "../core/freshness.ts";
import { storedBelow } from "../core/parquet-files.ts";
import { originOf } from "../core/previous-keys.ts";
import type { SensorDefinition } from "../core/sensor.ts";

const text = z.string();
const interval = z.enum(["hourly", "daily", "weekly", "monthly"]);
const partitionsSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("time"), interval, start: text.exactOptional(), end: text.exactOptional() }),
  z.object({ kind: z.literal("static"), keys: z.array(text) }),
]);
const checkSchema = z.object({
  name: text,
  blocking: z.boolean(),
  severity: z.enum(["warn", "error"]),
  /** In words: `1 row or more`. */
  rule: text,
  description: text.exactOptional(),
});
const needSchema = z.looseObject({ kind: text, reason: text });
const tableSchema = z.object({ project: text.exactOptional(), dataset: text, table: text });
const targetSchema = z.object({
  table: tableSchema,
  slot: z.enum(["table", "partition"]),
  publish: z.union([z.enum(["replace", "append", "view"]), z.object({ merge: z.array(text) })]).exactOptional(),
  partitioning: z.object({ type: text, column: text.exactOptional() }).exactOptional(),
  stagingDataset: text.exactOptional(),
  keepRaw: z.boolean().exactOptional(),
  schemaChange: z.enum(["extend", "fail", "replace"]).exactOptional(),
});
const sourceSchema = z.object({
  bucket: text,
  pathBase: text,
  fileMatch: text,
  interval,
  complete: z.unknown().optional(),
  allowMissing: z.boolean().exactOptional(),
});

const automationSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.enum(["schedule", "on-cron"]), cron: text, timeZone: text }),
  z.object({ kind: z.enum(["eager", "on-missing"]) }),
]);
const mappingSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.enum(["same", "all", "last", "windows"]) }),
  z.object({ kind: z.literal("offset"), by: z.int(), through: z.int().exactOptional() }),
]);

const assetSchema = z.object({
  key: text,
  /** What it was called before, the oldest name first. */
  previousKeys: z.array(text).exactOptional(),
  /** Made elsewhere: `reported` by whoever makes it, or `observed` by its own code. */
  external: z.enum(["reported", "observed"]).exactOptional(),
  /** `functions/gitcoin.ts gitcoinPassportScores` */
  place: text,
  topic: text,
  description: text.exactOptional(),
  owners: z.array(text),
  group: text.exactOptional(),
  tags: z.record(text, text),
  kinds: z.array(text),
  partitions: partitionsSchema.exactOptional(),
  deps: z.array(text),
  mappings: z.record(text, mappingSchema),
  source: sourceSchema.exactOptional(),
  target: targetSchema.exactOptional(),
  /** Where rows are kept that are in no table: `gs://bucket/prefix/key/`, or the I/O manager's name. */
  rowsIn: text.exactOptional(),
  retention: z.object({ days: z.number(), cleanSuperseded: z.boolean().exactOptional() }).exactOptional(),
  automation: automationSchema.exactOptional(),
  /** The multi-asset that makes it, and what its code calls it. */
  multi: z.object({ name: text, output: text }).exactOptional(),
  pool: text.exactOptional(),
  /** As its definition was checked. */
  freshness: z.custom<FreshnessPolicy>((value) => typeof value === "object").exactOptional(),
  /** How old the message may be that asks for a run, such as `6h`. */
  maxEventAge: text.exactOptional(),
  /** Its code takes a range of partitions in one run. */
  backfill: z.literal("single-run").exactOptional(),
  codeVersion: text.exactOptional(),
  checks: z.array(checkSchema),
  needs: z.array(needSchema),
});
const sensorSchema = z.object({
  name: text,
  place: text,
  description: text.exactOptional(),
  watches: text,
  requests: text,
  defaultStatus: z.enum(["running", "stopped"]),
});
const jobSchema = z.object({
  name: text,
  place: text,
  topic: text,
  description: text.exactOptional(),
  needs: z.array(needSchema),
});

export const catalogSchema = z.object({
  /** In graph order: every asset after all it depends on. */
  assets: z.array(assetSchema),
  sensors: z.array(sensorSchema),
  jobs: z.array(jobSchema),
  /** Every topic that something can be published to. */
  topics: z.array(text),
  /** Every bucket that an asset or a sensor watches. */
  buckets: z.array(text),
  /** What is wrong with the definitions, one line each. */
  problems: z.array(text),
  /** Those of them that kept a file from being loaded: what it defines is not among the above. */
  broken: z.array(text),
});

export type Catalog = z.infer<typeof catalogSchema>;
export type AssetEntry = z.infer<typeof assetSchema>;
export type SensorEntry = z.infer<typeof sensorSchema>;

export function catalogOf({ definitions, problems, broken = [] }: Collected): Catalog {
  const { assets, sensors, jobs, graph } = definitions;
  const catalog = {
    assets: graph.order.flatMap((key) => {
      const asset = assets.get(key);
      return asset === undefined ? [] : [assetEntry(definitions, asset)];
    }),
    sensors: [...sensors.values()].map((sensor) => sensorEntry(definitions, sensor)),
    jobs: [...jobs.values()].map((job) => jobEntry(definitions, job)),
    topics: topicsOf(definitions),
    buckets: watchedBuckets(definitions),
    problems: problems.map(messageOf),
    broken: broken.map(messageOf),
  };
  // Definitions may carry more than data, and `undefined` besides: the schema takes what it names.
  return catalogSchema.parse(JSON.parse(JSON.stringify(catalog)));
}

/** Subscribed topics, and those of announcements that nobody has subscribed to yet. */
function topicsOf(definitions: Definitions): readonly string[] {
  const subscribed = subscriptionsOf(definitions).map(({ topic }) => topic);
  return [...new Set([...subscribed, ...[...definitions.assets.keys()].map(materializedTopicOf)])].sort();
}

function assetEntry(definitions: Definitions, asset: AssetDefinition): unknown {
  const { materialize, schema, config, resources, ...data } = asset;
  return {
    ...data,
    place: definitions.places.get(`asset ${asset.key}`) ?? "",
    topic: `asset.${asset.key.replaceAll("/", ".")}`,
    external: asset.external === undefined ? undefined : asset.observe === undefined ? "reported" : "observed",
    checks: allChecks(definitions, asset).map(checkEntry),
    needs: allNeeds(definitions, asset),
    rowsIn: rowsIn(asset),
  };
}

function rowsIn(asset: AssetDefinition): string | undefined {
  const { ioManager } = asset;
  if (ioManager === undefined || ioManager.kind === "bigquery-table") return undefined;
  if (ioManager.kind === "custom") return `the I/O manager ${ioManager.name}`;
  const { bucket, prefix } = storedBelow(ioManager, originOf(asset));
  return `gs://${bucket}/${prefix}`;
}

function sensorEntry(definitions: Definitions, sensor: SensorDefinition): unknown {
  const { name, watches, requests, description, defaultStatus } = sensor;
  return {
    name,
    description,
    defaultStatus,
    place: definitions.places.get(`sensor ${name}`) ?? "",
    watches: watches.kind === "asset" ? watches.asset : `gs://${watches.bucket}/${watches.prefix}`,
    requests: requests.kind === "asset" ? requests.key : requests.name,
  };
}

function jobEntry(definitions: Definitions, job: JobDefinition): unknown {
  const { name, description, needs } = job;
  return { name, description, needs, topic: `job.${name}`, place: definitions.places.get(`job ${name}`) ?? "" };
}

function checkEntry({ rule, ...check }: InlineCheck): unknown {
  return { ...check, rule: ruleInWords(rule) };
}

function ruleInWords(rule: CheckRule): string {
  switch (rule.kind) {
    case "no-rows":
      return "a query returns no rows";
    case "in-partition":
      return `${rule.column} lies within the partition`;
    case "key":
      return `${rule.columns.join(", ")} unique and never NULL`;
    case "not-null":
      return `${rule.columns.join(", ")} never NULL`;
    case "unique":
      return `${rule.columns.join(", ")} unique`;
    case "references":
      return `${rule.column} is one of ${rule.asset} ${rule.to}`;
    case "fresh-within":
      return `newest ${rule.column} within ${rule.duration}`;
    case "function":
      return "code looks at the rows";
    case "row-count": {
      const { min, max } = rule;
      if (max === undefined) return `${min ?? 0} rows or more`;
      return min === undefined ? `at most ${max} rows` : `${min} to ${max} rows`;
    }
  }
}
