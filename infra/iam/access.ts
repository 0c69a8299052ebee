/** What each function touches: what its definitions declare, and what follows from the graph and from how Sluice works. */
import { bucketTopicOf, jobTopicOf, materializedTopicOf, sensorTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import type { AssetKey } from "../../lib/core/asset-key.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { allNeeds, fileOf } from "../../lib/core/definitions.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { JobDefinition } from "../../lib/core/job.ts";
import type { Need } from "../../lib/core/needs.ts";
import { upstreamReads } from "../../lib/core/reads.ts";
import type { ResourceMap } from "../../lib/core/resources.ts";
import type { SensorDefinition } from "../../lib/core/sensor.ts";
import { apart, stagingOwners } from "../../lib/core/staged-table.ts";
import { watchedBuckets } from "../../lib/core/subscriptions.ts";
import type { Unit } from "../../lib/core/units.ts";

export type Access =
  | Need
  | { readonly kind: "list-objects"; readonly bucket: string; readonly reason: string }
  /** Listing all of the staging bucket, and writing and deleting in it. */
  | { readonly kind: "sweep-staging"; readonly reason: string }
  /** Runs, heads and events, with those of their parts that lie in the staging bucket. */
  | { readonly kind: "event-store"; readonly reason: string }
  /** Messages that come later, by the queue. */
  | { readonly kind: "delay"; readonly reason: string };

/** In no order that matters; the same access may be there for several reasons. */
export function accessOf(definitions: Definitions, unit: Unit): readonly Access[] {
  const own = accessBy(definitions, unit);
  return [{ kind: "event-store", reason: `${unit.id} keeps its history` }, ...own.flatMap(withListing)];
}

function accessBy(definitions: Definitions, unit: Unit): readonly Access[] {
  const { assets, jobs, sensors } = definitions;
  const near = unit.subscriptions.flatMap(({ consumer }) =>
    consumer.kind === "sensor" ? (sensors.get(consumer.name) ?? []) : [],
  );
  const homed = [...new Set(near)].flatMap((sensor) => sensorAccess(definitions, sensor));
  switch (unit.kind) {
    case "asset": {
      const asset = assets.get(unit.name);
      return asset === undefined ? [] : [...assetAccess(definitions, unit, asset), ...homed, delay(unit)];
    }
    case "job": {
      const job = jobs.get(unit.name);
      const outputs = [...assets.values()].filter(({ multi }) => multi?.name === unit.name);
      const made = outputs.flatMap((asset) => assetAccess(definitions, unit, asset));
      return [...(job === undefined ? [] : jobAccess(definitions, job)), ...made, ...homed, delay(unit)];
    }
    case "sensor":
      return [...homed, delay(unit)];
    case "bucket":
      return routerAccess(definitions, unit.name);
    case "reconcile":
      return reconcileAccess(definitions);
  }
}

function delay({ id }: Unit): Access {
  return { kind: "delay", reason: `${id} waits and tries again by delayed messages` };
}

/** Whoever reads, writes or deletes below a prefix lists there first. */
function withListing(access: Access): readonly Access[] {
  if (access.kind !== "read-objects" && access.kind !== "write-objects" && access.kind !== "delete-objects")
    return [access];
  return [access, { kind: "list-objects", bucket: access.bucket, reason: access.reason }];
}

function assetAccess(definitions: Definitions, unit: Unit, asset: AssetDefinition): readonly Access[] {
  const needs = allNeeds(definitions, asset);
  return [
    ...needs,
    ...(needs.some(({ kind }) => kind === "run-jobs") ? upstreamReads(definitions, asset) : []),
    ...ownTopics(asset.key),
    ...followedJob(asset),
    ...cleaned(definitions, asset.key, asset.resources),
    ...inlineSources(definitions, unit, asset),
  ];
}

function ownTopics(key: AssetKey): readonly Access[] {
  return [
    publish(topicOf(key), `${key} asks for itself again`),
    publish(materializedTopicOf(key), `${key} announces its materializations`),
  ];
}

/** Outputs that are due together are asked of their job. */
function followedJob({ multi }: AssetDefinition): readonly Access[] {
  return multi === undefined
    ? []
    : [publish(jobTopicOf(multi.name), `${multi.name} is asked for several outputs at once`)];
}

/** A source of the same file is looked at whenever what depends on it runs: by that function, with its rights. */
function inlineSources(definitions: Definitions, { files }: Unit, asset: AssetDefinition): readonly Access[] {
  return asset.deps.flatMap((dep): readonly Access[] => {
    const source = definitions.assets.get(dep);
    const file = fileOf(definitions, `asset ${dep}`);
    if (source?.observe === undefined || !files.includes(file)) return [];
    const looked = source.needs.map((need) => ({ ...need, reason: `${need.reason}; ${asset.key} looks at ${dep}` }));
    return [...looked, ...ownTopics(dep)];
  });
}

function jobAccess(definitions: Definitions, { name, needs, resources }: JobDefinition): readonly Access[] {
  return [
    ...needs,
    ...cleaned(definitions, name, resources),
    publish(jobTopicOf(name), `${name} asks for itself again`),
  ];
}

/** Whoever cleans up after an asset drops its raw tables too. */
function cleaned({ assets }: Definitions, who: string, resources: ResourceMap): readonly Access[] {
  return Object.values(resources).flatMap((resource): readonly Access[] => {
    const target = resource.kind === "clean-up" ? assets.get(resource.asset ?? "")?.target : undefined;
    if (target?.keepRaw !== true) return [];
    const { project, dataset } = target.table;
    const where = project === undefined ? {} : { project };
    const reason = `${who} drops raw tables of ${resource.asset ?? ""}`;
    return [{ kind: "write-dataset", ...where, dataset: target.stagingDataset ?? dataset, reason }];
  });
}

function sensorAccess(definitions: Definitions, { name, needs, resources }: SensorDefinition): readonly Access[] {
  return [
    ...needs,
    ...cleaned(definitions, name, resources),
    publish(sensorTopicOf(name), `${name} asks for itself again`),
  ];
}

function routerAccess({ watchers, sensors }: Definitions, bucket: string): readonly Access[] {
  const told = [...sensors.values()].filter(({ watches }) => watches.kind === "objects" && watches.bucket === bucket);
  const reason = `objects of gs://${bucket} are passed on to it`;
  return [
    ...(watchers.get(bucket) ?? []).map(({ asset }) => publish(topicOf(asset), reason)),
    ...told.map(({ name }) => publish(sensorTopicOf(name), reason)),
  ];
}

function reconcileAccess(definitions: Definitions): readonly Access[] {
  const buckets = watchedBuckets(definitions);
  const assets = [...definitions.assets.values()];
  return [
    ...wakingTopics(definitions).map((topic) => publish(topic, "reconcile wakes what is due")),
    ...buckets.map((bucket) => publish(bucketTopicOf(bucket), "reconcile announces objects again")),
    ...buckets.map((bucket): Access => ({
      kind: "list-objects",
      bucket,
      reason: "reconcile looks for objects whose notification was lost",
    })),
    // It is reconcile that sends alerts: no run waits for a receiver, and no other function learns its address.
    ...[...definitions.alerts.values()].flatMap((alert) => alert.needs),
    { kind: "sweep-staging", reason: "reconcile deletes staged files that nobody came for" },
    ...[...new Set(apart(stagingOwners(assets), assets).map(({ dataset }) => dataset))].map((dataset): Access => ({
      kind: "write-dataset",
      dataset,
      reason: "reconcile drops staging tables that nobody came for",
    })),
    { kind: "sweep-staging", reason: "reconcile keeps dead letters there that are too large for an event" },
  ];
}

function publish(topic: string, reason: string): Access {
  return { kind: "publish", topic, reason };
}

/** The topics that somebody may have to be woken by. */
export function wakingTopics({ assets, jobs, sensors }: Definitions): readonly string[] {
  return [
    ...[...assets.keys()].map(topicOf),
    ...[...jobs.keys()].map(jobTopicOf),
    ...[...sensors.keys()].map(sensorTopicOf),
  ];
}
