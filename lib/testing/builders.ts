/** Events, as code in a test is told of them. */
import type { AssetDefinition } from "../core/asset.ts";
import { DefinitionError } from "../core/errors.ts";
import { latestPartition, parsePartition } from "../core/partitions.ts";
import type { Partition } from "../core/partitions.ts";
import { parseLocation } from "../core/resources.ts";
import type { FinalizedObject, MaterializationEvent } from "../core/sensor.ts";

export interface BuildMaterializationOptions {
  /** Its key. Default: the first partition, and 2024-01-01 of partitions that have no beginning. */
  readonly partition?: string;
  /** Default: `m-` and 16 zeros. */
  readonly materializationId?: string;
}

/** A materialization of the asset, as its sensors see it. Throws `DefinitionError` for a partition that the asset does not have. */
export function buildMaterialization(
  asset: Pick<AssetDefinition, "key" | "partitions">,
  options: BuildMaterializationOptions = {},
): MaterializationEvent {
  const { partition, materializationId = "m-0000000000000000" } = options;
  return {
    asset: asset.key,
    partition: partition === undefined ? firstPartition(asset) : parsePartition(asset.partitions, partition),
    materializationId,
  };
}

/** Long enough after 2024-01-01 for every interval to have a window that is over, and not so long that it is not that one. */
const AFTER_FIRST = { hourly: 3_600_000, daily: 86_400_000, weekly: 7 * 86_400_000, monthly: 31 * 86_400_000 };

function firstPartition({ partitions }: Pick<AssetDefinition, "partitions">): Partition {
  if (partitions?.kind === "static") return parsePartition(partitions, partitions.keys[0] ?? "");
  if (partitions?.start !== undefined) return parsePartition(partitions, partitions.start);
  const at = partitions === undefined ? 0 : Date.UTC(2024, 0, 1) + AFTER_FIRST[partitions.interval];
  return latestPartition(partitions, at) ?? { key: "" };
}

/** An object that was finalized, as object sensors see it: `buildObject("gs://bucket/name")`. Throws `DefinitionError` for no such address. */
export function buildObject(
  uri: `gs://${string}`,
  options: Partial<Pick<FinalizedObject, "generation" | "size">> = {},
): FinalizedObject {
  const { bucket, prefix: name } = parseLocation(uri);
  if (name === "") throw new DefinitionError(`${uri} names no object`, { remedy: "write gs://bucket/name" });
  return { bucket, name, generation: "1", size: 1, ...options };
}
