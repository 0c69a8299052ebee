/**
 * Deletes the objects of intervals past retention: exactly the generations that a committed materialization has loaded,
 * behind a seal, each deletion an event. What was not loaded, has changed since, or is the newest stays.
 */
import type { AssetDefinition } from "../core/asset.ts";
import type { AssetKey } from "../core/asset-key.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { InputObject, PartitionDocument } from "../core/documents.ts";
import { put, ref } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import type { EventBody, SluiceEvent } from "../core/events.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { compareInputs, uriOf } from "../core/inputs.ts";
import { parseWindow, windowKey } from "../core/interval.ts";
import type { Window } from "../core/interval.ts";
import { routeObject } from "../core/object-source.ts";
import type { ObjectMatcher, ObjectSource } from "../core/object-source.ts";
import { parsePartition } from "../core/partitions.ts";
import type { CleanUpReport, CleanUpRequest } from "../core/resources.ts";
import { seal } from "../core/seal.ts";
import { destinationOf, rawOf } from "../core/placement.ts";
import { slotRef } from "../core/slot.ts";
import { formatTable } from "../core/table.ts";
import type { TableRef } from "../core/table.ts";
import type { Execution } from "./execution.ts";
import { matcherOf } from "./look.ts";

const DAY_MS = 86_400_000;

/** One clean-up of one asset. */
interface CleanUp {
  readonly execution: Execution;
  readonly asset: AssetDefinition;
  readonly source: ObjectSource;
  readonly dryRun: boolean;
  /** The other assets that are loaded from the same bucket. */
  readonly neighbours: readonly { readonly asset: AssetDefinition; readonly matcher: ObjectMatcher }[];
  readonly deleted: string[];
  readonly kept: { uri: string; reason: string }[];
  readonly droppedTables: string[];
}

/** Safe to repeat, and to cut off anywhere. A dry run changes nothing and reports what would go. */
export async function deleteLoaded(
  execution: Execution,
  asset: AssetDefinition,
  request: CleanUpRequest,
): Promise<CleanUpReport> {
  const { services, signal } = execution;
  const { source } = asset;
  if (source === undefined) throw new PermanentError(`${asset.key} is not loaded from objects`, { code: "no-source" });
  const definitions = services.definitions();
  const neighbours = [...definitions.assets.values()].flatMap((other) =>
    other.key === asset.key || other.source?.bucket !== source.bucket
      ? []
      : [{ asset: other, matcher: matcherOf(definitions, other.key, other.source) }],
  );
  const lists = { deleted: [], kept: [], droppedTables: [] };
  const work: CleanUp = { execution, asset, source, dryRun: request.dryRun, neighbours, ...lists };
  const to = await firstKept(work, request.before);
  for (let after: string | undefined; to !== undefined;) {
    const page = await services.events.partitions({
      name: asset.key,
      to,
      limit: 100,
      ...(after === undefined ? {} : { after }),
    });
    for (const partition of page.items) {
      signal.throwIfAborted();
      if (partition.cleanedAt === undefined) await cleanInterval(work, partition);
    }
    after = page.next;
    if (after === undefined) break;
  }
  const { dryRun, deleted, kept, droppedTables } = work;
  return { dryRun, deleted, kept, droppedTables };
}

/**
 * The first interval that is *not* past retention. Retention counts back from the newest materialized interval, or from now
 * where that lies in the future, whatever date the request names: a request can ask for less, never for more.
 */
async function firstKept({ execution, asset, source }: CleanUp, before: string): Promise<string | undefined> {
  const { events, clock } = execution.services;
  const newest = await events.get("asset", asset.key);
  if (newest === undefined) return undefined;
  const { start } = parseWindow(source.interval, newest.partition);
  const retained = Math.min(start, clock.now()) - (asset.retention?.days ?? 0) * DAY_MS;
  const cutoff = Math.min(retained, Date.parse(before));
  if (Number.isNaN(cutoff)) throw new PermanentError(`${JSON.stringify(before)} is not a date`, { code: "bad-config" });
  // The window that holds the cutoff is not over at it.
  return windowKey(source.interval, cutoff);
}

async function cleanInterval(work: CleanUp, partition: PartitionDocument): Promise<void> {
  const { asset, source, execution } = work;
  const window = parseWindow(source.interval, partition.partition);
  const handled = handledInputs(asset, partition);
  if (handled.length === 0) return;
  const there = await listInterval(work, window);
  const isHandled = (object: InputObject): boolean => handled.some((input) => sameObject(input, object));
  if (partition.seal === undefined && !there.every(isHandled)) {
    return await keep(
      work,
      partition,
      there.filter((object) => !isHandled(object)),
      "it is not loaded yet",
    );
  }
  const wanted = await wantedElsewhere(work, there.filter(isHandled));
  if (wanted.length > 0) {
    for (const { object, key } of wanted) await keep(work, partition, [object], `${key} has not loaded it yet`);
    return;
  }
  if (work.dryRun) {
    work.deleted.push(...there.filter(isHandled).map(uriOf));
    const raw = rawTable(asset, window);
    if (raw !== undefined) work.droppedTables.push(formatTable(raw));
    return;
  }
  const sealed = await sealInterval(work, partition);
  if (sealed.kind === "kept") return await keep(work, partition, there, sealed.reason);
  for (const object of there.filter(isHandled)) await deleteObject(work, partition, object);
  await dropRaw(work, partition, window);
  const { events, clock } = execution.services;
  const target = partitionRef(asset.key, partition.partition);
  await events.transact({ partition: target }, (state) => ({
    result: undefined,
    writes: state.partition?.seal === undefined ? [] : [put(target, { ...state.partition, cleanedAt: clock.now() })],
    events: [],
  }));
}

/** The objects that the partition's rows came from, and those that came too late, where they may go as well. */
function handledInputs(asset: AssetDefinition, partition: PartitionDocument): readonly InputObject[] {
  const late = asset.retention?.cleanSuperseded === true ? (partition.superseded?.inputs ?? []) : [];
  return [...(partition.head?.inputs ?? []), ...late];
}

/** The objects that another asset watches as well and has not loaded as they are, each with that asset's key. */
async function wantedElsewhere(
  { execution, neighbours }: CleanUp,
  objects: readonly InputObject[],
): Promise<readonly { readonly object: InputObject; readonly key: AssetKey }[]> {
  const wanted: { object: InputObject; key: AssetKey }[] = [];
  for (const object of objects) {
    for (const { asset, matcher } of neighbours) {
      const routed = routeObject(matcher, object.name);
      if (routed.kind !== "partition" || !isPartition(asset, routed.window.key)) continue;
      const partition = await execution.services.events.get("partition", partitionRef(asset.key, routed.window.key).id);
      const loaded = partition === undefined ? [] : handledInputs(asset, partition);
      // A marker is never loaded: it has served once its interval is.
      const served = routed.role === "marker" ? loaded.length > 0 : loaded.some((input) => sameObject(input, object));
      if (!served) wanted.push({ object, key: asset.key });
    }
  }
  return wanted;
}

/** What lies outside of an asset's partitions is never loaded by it. */
function isPartition({ partitions }: AssetDefinition, key: string): boolean {
  try {
    parsePartition(partitions, key);
    return true;
  } catch {
    return false;
  }
}

function sameObject(a: InputObject, b: InputObject): boolean {
  const { added, changed } = compareInputs([a], [b]);
  return added.length === 0 && changed.length === 0;
}

async function listInterval({ execution, asset, source }: CleanUp, window: Window): Promise<InputObject[]> {
  const { pattern } = matcherOf(execution.services.definitions(), asset.key, source);
  const found: InputObject[] = [];
  for await (const { bucket, name, generation, size } of execution.services.objects.list(source.bucket, {
    prefix: pattern.prefixOf(window),
  })) {
    const match = pattern.match(name);
    if (match.kind === "match" && match.window.key === window.key) found.push({ bucket, name, generation, size });
  }
  return found;
}

function sealInterval(
  { execution, asset }: CleanUp,
  partition: PartitionDocument,
): Promise<ReturnType<typeof seal>["result"]> {
  const { events, clock } = execution.services;
  const { target, partitions } = asset;
  const shared = target?.slot !== "partition";
  const slot =
    target === undefined
      ? ref("slot", `none|${asset.key}`)
      : slotRef(destinationOf({ target, partitions }, parsePartition(partitions, partition.partition)));
  const refs = { partition: partitionRef(asset.key, partition.partition), slot, asset: ref("asset", asset.key) };
  const identity = {
    id: execution.identity.id,
    kind: "asset" as const,
    name: asset.key,
    partition: partition.partition,
  };
  return events.transact(refs, (state) =>
    seal(state, { identity, now: clock.now(), by: execution.identity.id, shared }),
  );
}

async function deleteObject(work: CleanUp, partition: PartitionDocument, object: InputObject): Promise<void> {
  const { objects } = work.execution.services;
  const outcome = await objects.delete(object.bucket, object.name, object.generation);
  const { generation } = object;
  const uri = uriOf(object);
  if (outcome === "deleted") {
    work.deleted.push(uri);
    await record(work, partition, `deleted-${uri}#${generation}`, { type: "object.deleted", uri, generation });
  } else if (outcome === "changed") {
    await keep(work, partition, [object], "it changed after it was loaded");
  }
}

async function keep(
  work: CleanUp,
  partition: PartitionDocument,
  objects: readonly InputObject[],
  reason: string,
): Promise<void> {
  for (const object of objects) {
    const uri = uriOf(object);
    work.kept.push({ uri, reason });
    if (work.dryRun) continue;
    await record(work, partition, `kept-${uri}#${object.generation}`, {
      type: "object.kept",
      uri,
      generation: object.generation,
      reason,
    });
  }
}

async function dropRaw(work: CleanUp, partition: PartitionDocument, window: Window): Promise<void> {
  const { asset, execution } = work;
  const table = rawTable(asset, window);
  if (table === undefined) return;
  const name = formatTable(table);
  if (!(await execution.services.warehouse.drop(table))) return;
  work.droppedTables.push(name);
  await record(work, partition, `dropped-${name}`, { type: "table.dropped", table: name, reason: "past retention" });
}

/** The raw table of an interval; `undefined` for an asset that keeps none. */
function rawTable({ target, partitions }: AssetDefinition, window: Window): TableRef | undefined {
  return target === undefined ? undefined : rawOf({ target, partitions }, window);
}

function record({ execution }: CleanUp, partition: PartitionDocument, what: string, body: EventBody): Promise<void> {
  const event: SluiceEvent = {
    v: EVENT_VERSION,
    id: `${execution.identity.id}-${shortHash([what])}`,
    at: execution.services.clock.now(),
    asset: partition.name,
    partition: partition.partition,
    run: execution.identity.id,
    ...body,
  };
  return execution.services.events.append([event]);
}
