/**
 * Rows on their way into a table, as Parquet files in the staging bucket: `<key>/<partition>/<fingerprint>/part-<token>-00000.parquet`.
 * The token is that of the claim under which a part was written: what a dead attempt still writes is nobody else's. A
 * receipt, written last, says that all parts are there: an attempt that finds the one of its own run need not make the rows
 * again. Until then a progress file says up to where they are there, if the code has saved checkpoints.
 */
import { z } from "zod";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { PermanentError } from "../core/errors.ts";
import { holds, lockRef } from "../core/run-identity.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import type { Execution } from "./execution.ts";
import { originOfRun } from "./origin.ts";
import type { StagedPart } from "./part-series.ts";
import type { Services } from "./services.ts";

export const partSchema = z.strictObject({ name: z.string(), generation: z.string() });
export const metadataSchema = z.custom<Metadata>((value) => typeof value === "object" && value !== null);
export const receiptSchema = z.strictObject({
  v: z.literal(1),
  run: z.string(),
  /** Of the claim under which the parts were written. */
  token: z.int(),
  parts: z.array(partSchema),
  metadata: metadataSchema,
  dataVersion: z.string().exactOptional(),
});

export type Receipt = z.output<typeof receiptSchema>;

export const RECEIPT = "receipt.json";
export const PROGRESS = "progress.json";
const STAGED_FILE = /^(?:part-\d+-\d{5}\.parquet|receipt\.json|progress\.json)$/;
const STAGED = new RegExp(`^[0-9a-f]{64}/${STAGED_FILE.source.slice(1)}`);

/** The name of one part: its claim's token keeps it apart from what any other attempt writes. */
export function partName(folder: string, token: number, index: number): string {
  return `${folder}/part-${token}-${String(index).padStart(5, "0")}.parquet`;
}

/** Where the rows of one partition are staged, made from these inputs. */
export function stagedFolder(execution: Execution, fingerprint: string): string {
  return `${prefixOf(execution)}${fingerprint}`;
}

/** Where the parts of one receipt are; there is at least one. */
export function folderOf([first]: readonly StagedPart[]): string {
  return first?.name.slice(0, first.name.lastIndexOf("/")) ?? "";
}

/** Partition keys are any text; names with `*` or `#` would mean something else to the warehouse. */
function prefixOf(execution: Execution): string {
  const { partition } = execution.identity;
  const name = originOfRun(execution);
  if (partition === "") return `${name}/all/`;
  return `${name}/${/^[A-Za-z0-9_-]+$/.test(partition) ? partition : shortHash([partition])}/`;
}

/** The receipt of an earlier attempt of this very run, if its parts are still what they were. */
export async function findReceipt(execution: Execution, fingerprint: string): Promise<Receipt | undefined> {
  const { identity, run } = execution;
  if (run.attempt === 1) return undefined;
  const found = await readStaged(execution, `${stagedFolder(execution, fingerprint)}/${RECEIPT}`);
  const { data } = receiptSchema.safeParse(found?.content);
  if (data === undefined || data.run !== identity.id || !(await isIntact(execution, data.parts))) return undefined;
  return data;
}

/** From here on, another attempt of this run goes on with these parts. */
export async function writeReceipt(execution: Execution, fingerprint: string, receipt: Receipt): Promise<void> {
  await writeStaged(execution, `${stagedFolder(execution, fingerprint)}/${RECEIPT}`, receipt);
  execution.progressed?.();
}

export interface StagedDocument {
  readonly generation: string;
  /** `undefined` where it is no JSON. */
  readonly content: unknown;
}

/** How often a document is read that somebody else keeps replacing. */
const READS = 5;

/** A JSON document of the staging bucket, as it is now. */
export async function readStaged(execution: Execution, name: string): Promise<StagedDocument | undefined> {
  const { services, signal } = execution;
  const { objects, settings } = services;
  for (let read = 1; ; read++) {
    const info = await objects.stat(settings.stagingBucket, name);
    if (info === undefined) return undefined;
    const { generation } = info;
    try {
      const chunks = await Array.fromAsync(objects.read(settings.stagingBucket, name, { generation, signal }));
      const decoder = new TextDecoder();
      const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
      return { generation, content: parsed(text) };
    } catch (error) {
      // It was replaced or deleted in between.
      const gone = error instanceof PermanentError && error.code === "not-found";
      if (!gone || read === READS) throw error;
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Writes a JSON document of the staging bucket; `ifGeneration` as the object store has it. */
export function writeStaged(
  { services, signal }: Execution,
  name: string,
  content: unknown,
  ifGeneration?: string | null,
): Promise<ObjectInfo> {
  const { objects, settings } = services;
  const body = [new TextEncoder().encode(JSON.stringify(content))];
  const condition = ifGeneration === undefined ? {} : { ifGeneration };
  return objects.write(settings.stagingBucket, name, body, { signal, ...condition });
}

/** Whether every part is there, as it was written. A generation never comes back, so nothing happened in between either. */
export async function isIntact({ services }: Execution, parts: readonly StagedPart[]): Promise<boolean> {
  const { objects, settings } = services;
  const missing = new Map(parts.map(({ name, generation }) => [name, generation]));
  const folders = new Set(parts.map(({ name }) => name.slice(0, name.lastIndexOf("/") + 1)));
  for (const prefix of folders) {
    for await (const { name, generation } of objects.list(settings.stagingBucket, { prefix }))
      if (missing.get(name) === generation) missing.delete(name);
  }
  return missing.size === 0;
}

/**
 * Deletes what is staged for the partition, whatever attempt has left it, but what is named in `keep`. Receipts and progress
 * go first: they promise their parts. Does nothing once the partition has another holder.
 */
export async function clearStaged(execution: Execution, keep: readonly string[] = []): Promise<void> {
  await clearBelow(execution, prefixOf(execution), STAGED, keep);
}

/** Deletes the objects whose names begin with the prefix and go on as `pattern` says. As `clearStaged`. */
export async function clearBelow(
  execution: Execution,
  prefix: string,
  pattern: RegExp,
  keep: readonly string[] = [],
): Promise<void> {
  const { services, identity, token } = execution;
  const kept = new Set(keep);
  const found = (await stagedBelow(services, prefix, pattern)).filter(({ name }) => !kept.has(name));
  if (found.length === 0) return;
  const partition = await services.events.get("partition", lockRef(identity).id);
  if (partition === undefined || !holds(partition, token)) return;
  await removeAll(services, found);
}

/** Deletes what is staged in one folder, which nobody will load any more. */
export async function removeFolder(services: Services, folder: string): Promise<void> {
  await removeAll(services, await stagedBelow(services, `${folder}/`, STAGED_FILE));
}

/** The names of an asset may begin with those of another one; what follows tells them apart. */
async function stagedBelow(
  { objects, settings }: Services,
  prefix: string,
  pattern: RegExp,
): Promise<readonly StagedPart[]> {
  const found: StagedPart[] = [];
  for await (const { name, generation } of objects.list(settings.stagingBucket, { prefix }))
    if (pattern.test(name.slice(prefix.length))) found.push({ name, generation });
  return found;
}

/** Objects are deleted by so many at once. */
const DELETES = 16;

async function removeAll({ objects, settings }: Services, found: readonly StagedPart[]): Promise<void> {
  const remove = ({ name, generation }: StagedPart): Promise<unknown> =>
    objects.delete(settings.stagingBucket, name, generation);
  for (const promise of found.filter(({ name }) => name.endsWith(".json"))) await remove(promise);
  const parts = found.filter(({ name }) => !name.endsWith(".json"));
  for (let at = 0; at < parts.length; at += DELETES) await Promise.all(parts.slice(at, at + DELETES).map(remove));
}
