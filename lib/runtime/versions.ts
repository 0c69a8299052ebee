/** What decides an asset's data beside its inputs, and which version of its data a partition shows. */
import type { AssetDefinition } from "../core/asset.ts";
import type { Head } from "../core/documents.ts";
import { canonicalJson, shortHash } from "../core/hash.ts";
import type { Partition } from "../core/partitions.ts";
import { destinationOf } from "../core/placement.ts";
import type { Statement } from "../core/publish-job.ts";
import { partitionRef } from "../core/run-identity.ts";
import { slotRef } from "../core/slot.ts";
import { formatTable } from "../core/table.ts";
import { accumulates } from "../core/target.ts";
import { rowsDefinition } from "./load-rows.ts";
import type { Services } from "./services.ts";
import { isRowsAsset } from "./stage-rows.ts";
import { layoutOf } from "./statement.ts";
import { isStoredAsset, storedDefinition } from "./store-rows.ts";

/** One partition of an asset, as one config makes it. */
export interface Made {
  readonly asset: AssetDefinition;
  readonly partition: Partition | undefined;
  readonly config: unknown;
}

/** A JSON value that differs whenever the same inputs would give other data, `codeVersion` aside. */
export function definitionOf({ asset, partition, config }: Made, statement?: Statement): unknown {
  const { target, partitions } = asset;
  if (target === undefined) return { config, ...(isStoredAsset(asset) ? { rows: storedDefinition(asset) } : {}) };
  return {
    config,
    table: formatTable(destinationOf({ target, partitions }, partition)),
    ...(statement === undefined ? {} : { statement, layout: layoutOf(target) }),
    ...(isRowsAsset(asset) ? { rows: rowsDefinition(asset) } : {}),
  };
}

/** What a head keeps of its definition, so that the author's own version of the data counts for no other one. */
export function definitionHash({ codeVersion }: AssetDefinition, definition: unknown): string {
  return shortHash([canonicalJson(definition), codeVersion ?? ""]);
}

/** The partition's head, if its data is what is shown. */
export async function shownHead(
  { events }: Pick<Services, "events">,
  { asset, partition }: Pick<Made, "asset" | "partition">,
): Promise<Head | undefined> {
  const { head } = (await events.get("partition", partitionRef(asset.key, partition?.key ?? "").id)) ?? {};
  const { target, partitions } = asset;
  if (head === undefined || target === undefined || accumulates(target)) return head;
  const slot = await events.get("slot", slotRef(destinationOf({ target, partitions }, partition)).id);
  return slot?.committed?.materializationId === head.materializationId ? head : undefined;
}

/** The `dataVersion` that the partition shows, if it was made by this very definition. */
export async function shownVersion(
  services: Pick<Services, "events">,
  made: Pick<Made, "asset" | "partition">,
  definition: string,
): Promise<string | undefined> {
  const head = await shownHead(services, made);
  return head?.definition === definition ? head.dataVersion : undefined;
}
