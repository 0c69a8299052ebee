/**
 * The rows of several outputs that one call of a multi-asset's code has made: staged by the run of its job below
 * `multi.<name>/<run>/<output>/`, with a receipt for each output, and taken from there by the output's own run.
 */
import { z } from "zod";
import type { AssetDefinition } from "../core/asset.ts";
import type { PartitionDocument } from "../core/documents.ts";
import { canonicalJson } from "../core/hash.ts";
import { multiPrefix } from "../core/multi-asset.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { Execution } from "./execution.ts";
import type { Plan } from "./materialize.ts";
import { isIntact, receiptSchema, RECEIPT, readStaged, removeFolder } from "./staged-rows.ts";
import { definitionHash, definitionOf } from "./versions.ts";

export const multiReceiptSchema = receiptSchema.extend({
  partition: z.string(),
  rows: z.int(),
  /** Of the job's reading: what the code was called with. */
  fingerprint: z.string(),
  /** The versions of the upstreams that the job has recorded before it read them, and how the partition stood then. */
  upstreams: z.record(z.string(), z.string()),
  head: z.string().exactOptional(),
  /** Hash of the output's definition, as it was then. */
  definition: z.string(),
});
export type MultiReceipt = z.output<typeof multiReceiptSchema>;

export function multiFolder(name: string, run: string): string {
  return `${multiPrefix(name)}${run}`;
}

/** The receipt of one output in the job's folder, if its parts are as they were written. */
export async function readMultiReceipt(
  execution: Execution,
  folder: string,
  output: string,
): Promise<MultiReceipt | undefined> {
  const found = await readStaged(execution, `${folder}/${output}/${RECEIPT}`);
  const { data } = multiReceiptSchema.safeParse(found?.content);
  return data !== undefined && (await isIntact(execution, data.parts)) ? data : undefined;
}

/**
 * The rows that the request's job has staged for this run; `undefined` where there are none, or where they are of another
 * definition, or of old upstreams and another run may have published newer ones since, or was refused with them: the run makes its own, if anything is new.
 */
export async function findAdopted(plan: Plan): Promise<MultiReceipt | undefined> {
  const { execution, asset, upstreams } = plan;
  const place = placeOf(execution, asset);
  if (place === undefined) return undefined;
  const receipt = await readMultiReceipt(execution, place.folder, place.output);
  const { services, identity, request } = execution;
  if (receipt !== undefined && (receipt.run !== request.multi || receipt.partition !== identity.partition))
    return undefined; // somebody else's
  if (receipt !== undefined && receipt.definition === definitionHash(asset, definitionOf(plan))) {
    if (canonicalJson(receipt.upstreams) === canonicalJson(upstreams)) return receipt;
    const partition = await services.events.get("partition", partitionRef(identity.name, identity.partition).id);
    if (standingOf(partition) === receipt.head) return receipt;
  }
  await clearAdopted(execution, asset);
  return undefined;
}

/** What a partition holds, and which run it was refused to last: that one may have been of newer inputs than what is held. */
export function standingOf(partition: PartitionDocument | undefined): string | undefined {
  const parts = [partition?.head?.materializationId, partition?.blocked?.runId].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(" ");
}

/** Deletes them when the run has no use for them any more. Only this run ever takes them. */
export async function clearAdopted(execution: Execution, asset: AssetDefinition): Promise<void> {
  const place = placeOf(execution, asset);
  if (place !== undefined) await removeFolder(execution.services, `${place.folder}/${place.output}`);
}

/** By the names of the definition and the run's id alone: a request never names a path. */
function placeOf(
  { request }: Execution,
  { multi }: AssetDefinition,
): { readonly folder: string; readonly output: string } | undefined {
  if (multi === undefined || request.multi === undefined) return undefined;
  return { folder: multiFolder(multi.name, request.multi), output: multi.output };
}
