/**
 * Rows on their way into a table, as Parquet files in the staging bucket: `<key>/<partition>/<fingerprint>/part-00000.parquet`.
 * The names are the same for every attempt, so that a successor overwrites what a dead attempt has left. A receipt, written
 * last, says that all parts are there: an attempt that finds the one of its own run need not make the rows again.
 */
import { z } from "zod";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { holds, partitionRef } from "../core/run-identity.ts";
import type { Execution } from "./execution.ts";

const part = z.strictObject({ name: z.string(), generation: z.string() });
const receiptSchema = z.strictObject({
  v: z.literal(1),
  run: z.string(),
  /** Of the claim under which the parts were written. */
  token: z.int(),
  parts: z.array(part),
  metadata: z.custom<Metadata>((value) => typeof value === "object" && value !== null),
});

export type StagedPart = z.output<typeof part>;
export type Receipt = z.output<typeof receiptSchema>;

const RECEIPT = "receipt.json";
const STAGED = /^[0-9a-f]{64}\/(?:part-\d{5}\.parquet|receipt\.json)$/;

export function partName(folder: string, index: number): string {
  return `${folder}/part-${String(index).padStart(5, "0")}.parquet`;
}

/** Where the rows of one partition are staged, made from these inputs. */
export function stagedFolder(execution: Execution, fingerprint: string): string {
  return `${prefixOf(execution)}${fingerprint}`;
}

/** Partition keys are any text; names with `*` or `#` would mean something else to the warehouse. */
function prefixOf({ identity: { name, partition } }: Execution): string {
  if (partition === "") return `${name}/all/`;
  return `${name}/${/^[A-Za-z0-9_-]+$/.test(partition) ? partition : shortHash([partition])}/`;
}

/** The receipt of an earlier attempt of this very run, if its parts are still what they were. */
export async function findReceipt(execution: Execution, fingerprint: string): Promise<Receipt | undefined> {
  const { services, identity, run, signal } = execution;
  if (run.attempt === 1) return undefined;
  const { objects, settings } = services;
  const name = `${stagedFolder(execution, fingerprint)}/${RECEIPT}`;
  const info = await objects.stat(settings.stagingBucket, name);
  if (info === undefined) return undefined;
  const { generation } = info;
  const chunks = await Array.fromAsync(objects.read(settings.stagingBucket, name, { generation, signal }));
  const decoder = new TextDecoder();
  const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
  const { data } = receiptSchema.safeParse(JSON.parse(text));
  if (data === undefined || data.run !== identity.id || !(await isIntact(execution, data.parts))) return undefined;
  return data;
}

/** From here on, another attempt of this run goes on with these parts. */
export async function writeReceipt(execution: Execution, fingerprint: string, receipt: Receipt): Promise<void> {
  const { services, signal } = execution;
  const { objects, settings } = services;
  const body = [new TextEncoder().encode(JSON.stringify(receipt))];
  await objects.write(settings.stagingBucket, `${stagedFolder(execution, fingerprint)}/${RECEIPT}`, body, { signal });
}

/** Whether every part is there, as it was written. A generation never comes back, so nothing happened in between either. */
export async function isIntact({ services }: Execution, parts: readonly StagedPart[]): Promise<boolean> {
  for (const { name, generation } of parts) {
    const info = await services.objects.stat(services.settings.stagingBucket, name);
    if (info?.generation !== generation) return false;
  }
  return true;
}

/**
 * Deletes what is staged for the partition, whatever attempt has left it, but the parts in `keep`. Receipts go first: a
 * receipt promises its parts. Does nothing once the partition has another holder.
 */
export async function clearStaged(execution: Execution, keep: readonly StagedPart[] = []): Promise<void> {
  const { services, identity, token } = execution;
  const { objects, settings, events } = services;
  const kept = new Set(keep.map(({ name }) => name));
  const prefix = prefixOf(execution);
  const found: StagedPart[] = [];
  // The names of an asset may begin with those of another one; what follows tells them apart.
  for await (const { name, generation } of objects.list(settings.stagingBucket, { prefix }))
    if (!kept.has(name) && STAGED.test(name.slice(prefix.length))) found.push({ name, generation });
  if (found.length === 0) return;
  const partition = await events.get("partition", partitionRef(identity.name, identity.partition).id);
  if (partition === undefined || !holds(partition, token)) return;
  const receiptsFirst = found.sort((a, b) => Number(b.name.endsWith(RECEIPT)) - Number(a.name.endsWith(RECEIPT)));
  for (const { name, generation } of receiptsFirst) await objects.delete(settings.stagingBucket, name, generation);
}
