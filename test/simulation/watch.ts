/**
 * What must hold at every moment of every schedule, whoever died and whatever came late. Each change of a document or a table
 * is looked at when it happens.
 */
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { Intent, PartitionDocument, RunDocument, SlotDocument } from "../../lib/core/documents.ts";
import { uriOf } from "../../lib/core/inputs.ts";
import { parsePartition } from "../../lib/core/partitions.ts";
import { destinationOf as placeOf } from "../../lib/core/placement.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { formatTable } from "../../lib/core/table.ts";
import type { Destination } from "../../lib/core/table.ts";
import { accumulates } from "../../lib/core/target.ts";
import { onBackfill } from "./backfills.ts";
import { onCanceledHead, onCanceledIntent, onCanceledRun } from "./cancels.ts";
import type { Row, StoredObject } from "./buckets.ts";
import type { Change } from "./documents.ts";
import { onHeads } from "./heads.ts";
import { mayWait, onBegun } from "./pauses.ts";
import { isOfPool, poolWatcher } from "./pools.ts";
import { IMPORT } from "./projects.ts";
import { onTickBegun } from "./ticks.ts";
import { atRest, leftovers } from "./rest.ts";
import { onHead, onRemoved } from "./stored.ts";
import { STORED } from "./untabled.ts";
import { sameRows, show } from "./surroundings.ts";
import type { Surroundings } from "./surroundings.ts";
import { COLUMNS, merged } from "./warehouse.ts";
import type { Job } from "./warehouse.ts";

export interface Watcher {
  changed(changes: readonly Change[]): void;
  /** A job has changed a table. */
  written(job: Job, destination: Destination): void;
  /** A table or partition is about to be dropped. */
  dropped(table: Destination): void;
  /** An object of the watched bucket was deleted by the runtime. */
  deleted(object: StoredObject): void;
  /** Somebody has asked for an older interval. */
  allowRollback(): void;
  leftovers(): readonly string[];
  /**
   * To be called when nothing moves any more; `messages` are those that nobody has acknowledged. `without`: what need not
   * show what it is made from, because a person has canceled that.
   */
  atRest(messages: readonly string[], late: boolean, without?: (asset: string, partition?: string) => boolean): void;
}

type Rows = readonly Row[];
const NO_ROWS: Rows = [];
const NOTHING = { name: "" };

/** Fresh for each world: it remembers what it has seen. */
export function watcher(around: Surroundings): Watcher {
  const { project, documents, warehouse, buckets, fail } = around;
  const visible = new Map<string, AssetDefinition>();
  for (const asset of project.definitions.assets.values())
    if (asset.target !== undefined) visible.set(formatTable(asset.target.table), asset);
  /** What each open intent would make its slot show, and each slot's last commit has made it show. */
  const intended = new Map<string, Rows>();
  const committed = new Map<string, Rows>();
  /** How many columns each asset's table has had last. */
  const widest = new Map<string, number>();
  /** What each slot has shown by its commits, from the first one on. */
  const shown = new Map<string, { readonly materialization: string; readonly rows: Rows }[]>();
  const materializations = new Set<string>();
  const pools = poolWatcher(around);
  const deletedObjects: StoredObject[] = [];
  let mayGoBack = false;

  const onSlot = (id: string, before: SlotDocument | undefined, after: SlotDocument | undefined): void => {
    if (after === undefined) return fail(`the slot ${id} was forgotten`);
    if (after.sequence < (before?.sequence ?? 0)) fail(`the sequence of ${id} went back`);
    const opened = after.intent !== undefined && after.intent.sequence !== before?.intent?.sequence;
    if (opened && after.intent !== undefined) {
      if (before?.intent !== undefined) fail(`${before.intent.jobId} was open in ${id} when another publish began`);
      onIntent(id, after.intent);
    }
    const [was, is] = [before?.committed, after.committed];
    if (is === undefined) {
      if (was !== undefined) fail(`${id} has forgotten its commit`);
    } else if (is.sequence !== was?.sequence) {
      const keeps = assetOf(id)?.target;
      if (before?.intent?.jobId !== is.jobId) fail(`${id} has committed ${is.jobId}, which was not its open intent`);
      if (was !== undefined && is.sequence < was.sequence)
        fail(`${id} went back from sequence ${was.sequence} to ${is.sequence}`);
      if (was !== undefined && is.order < was.order && !mayGoBack && keeps !== undefined && !accumulates(keeps))
        fail(`${id} went back from ${was.order} to ${is.order}`);
      if (materializations.has(is.materializationId)) fail(`${is.materializationId} was committed twice`);
      materializations.add(is.materializationId);
      const rows = intended.get(is.jobId) ?? NO_ROWS;
      committed.set(id, rows);
      const all = shown.get(id) ?? [];
      shown.set(id, all);
      all.push({ materialization: is.materializationId, rows });
    }
    checkShown(id, after);
  };

  const onIntent = (id: string, intent: Intent): void => {
    const { holder } = documents.get("partition", partitionRef(intent.name, intent.partition).id) ?? {};
    if (holder?.token !== intent.token || holder.runId !== intent.runId)
      fail(`${intent.jobId} was opened in ${id} by a run that does not hold ${intent.name} ${intent.partition}`);
    onCanceledIntent(around, intent);
    pools.opened(intent);
    const asset = assetOf(id);
    const staged = warehouse.rows(intent.staging);
    // Without its staging the publish fails, and the run fills it again.
    if (staged === undefined || asset?.target === undefined) return;
    if (project.guarded.has(asset.key) && staged.some(({ bad }) => bad))
      fail(`${intent.jobId} publishes rows that failed a blocking check`);
    const { publish = "replace" } = asset.target;
    const before = committed.get(id) ?? NO_ROWS;
    if (publish === "append") intended.set(intent.jobId, [...before, ...staged]);
    else if (typeof publish === "object") intended.set(intent.jobId, merged(before, staged));
    else intended.set(intent.jobId, staged);
    if (asset.source === undefined) return;
    const loaded = intent.head.inputs.flatMap((input) => buckets.rowsOf(uriOf(input), input.generation));
    if (!sameRows(loaded, staged))
      fail(`${intent.jobId} publishes ${show(staged)}, but its inputs are ${show(loaded)}`);
  };

  const checkShown = (id: string, slot: SlotDocument | undefined): void => {
    const shown = warehouse.rows(destinationOf(id)) ?? NO_ROWS;
    const last = committed.get(id) ?? NO_ROWS;
    const next = slot?.intent === undefined ? undefined : intended.get(slot.intent.jobId);
    if (sameRows(shown, last) || (next !== undefined && sameRows(shown, next))) return;
    const open = slot?.intent === undefined ? "it has no intent" : `the intent is ${show(next)}`;
    fail(`${id} shows ${show(shown)}, but its last commit is ${show(last)} and ${open}`);
  };

  const onRun = (id: string, before: RunDocument | undefined, after: RunDocument | undefined): void => {
    if (after === undefined) return fail(`the run ${id} was forgotten`);
    if (before?.endedAt !== undefined && (after.status !== before.status || after.endedAt !== before.endedAt))
      fail(`run ${id} ended ${before.status}, and again ${after.status}`);
    if (before === undefined) {
      onBegun(around, id, after);
      onTickBegun(around, id, after);
    }
    onCanceledRun(around, id, after);
    const over = after.endedAt !== undefined && after.outbox.length === 0;
    if (!over && documents.get("due", id) === undefined) fail(`run ${id} is ${after.status} and has no deadline`);
  };

  const onPartition = (
    id: string,
    before: PartitionDocument | undefined,
    after: PartitionDocument | undefined,
  ): void => {
    if (isOfPool(after ?? before ?? NOTHING)) return pools.changed(before, after);
    if (after === undefined) return;
    if (after.token < (before?.token ?? 0)) fail(`the token of ${id} went back`);
    onCanceledHead(around, before, after);
    onHead(around, before, after, since);
    if (after.pending !== undefined && after.holder === undefined && !mayWait(around, after))
      fail(`${id} is free, and requests wait for it`);
    if (after.holder === undefined) return;
    if (after.holder.token > after.token) fail(`${id} is held under a token that it never gave out`);
    if (documents.get("run", after.holder.runId)?.endedAt !== undefined) fail(`${id} is held by a run that has ended`);
  };

  /** An open publish may be visible already. */
  const since = (upstream: string, day: string, materialization: string | undefined): readonly Rows[] => {
    const { target, partitions } = project.definitions.assets.get(upstream) ?? {};
    if (target === undefined) return [];
    const id = formatTable(placeOf({ target, partitions }, parsePartition(partitions, day)));
    const all = shown.get(id) ?? [];
    const from = materialization === undefined ? 0 : all.findIndex((each) => each.materialization === materialization);
    const { intent } = documents.get("slot", id) ?? {};
    const open = intent === undefined ? [] : [intended.get(intent.jobId) ?? NO_ROWS];
    return [...(materialization === undefined ? [NO_ROWS] : []), ...all.slice(from).map(({ rows }) => rows), ...open];
  };

  const assetOf = (slot: string): AssetDefinition | undefined => {
    const at = slot.indexOf("$");
    return visible.get(at < 0 ? slot : slot.slice(0, at));
  };

  return {
    changed: (changes) => {
      onHeads(around, changes);
      for (const { kind, id, before, after } of changes) {
        if (kind === "slot") onSlot(id, before, after);
        else if (kind === "run") onRun(id, before, after);
        else if (kind === "partition") onPartition(id, before, after);
        else if (kind === "backfill") onBackfill(around, id, before, after);
      }
    },
    written: (job, destination) => {
      const asset = visible.get(formatTable({ dataset: destination.dataset, table: destination.table }));
      if (asset === undefined) return;
      const id = formatTable(destination);
      const slot = documents.get("slot", id);
      if (slot?.intent?.jobId !== job.id) fail(`${job.id} has published in ${id} after its intent was settled`);
      checkShown(id, slot);
      const rows = warehouse.rows(destination) ?? NO_ROWS;
      const columns = warehouse.describe(destination)?.schema.length ?? 0;
      const valued = rows.find(({ extra }) => extra === true);
      if (valued !== undefined && columns === COLUMNS.length) fail(`${id} has lost a column of ${valued.file}`);
      if (asset.target?.slot === "partition" && columns < (widest.get(asset.key) ?? 0)) fail(`${id} has lost a column`);
      widest.set(asset.key, columns);
      for (const { file, bad } of project.guarded.has(asset.key) ? (warehouse.rows(destination) ?? []) : [])
        if (bad) fail(`${file} is visible, and failed a blocking check`);
    },
    dropped: (table) => {
      if (visible.has(formatTable({ dataset: table.dataset, table: table.table })))
        fail(`${formatTable(table)} is dropped`);
    },
    deleted: (object) => {
      if (object.bucket === STORED) return onRemoved(around, object);
      onDeleted(around, object);
      deletedObjects.push(object);
    },
    allowRollback: () => {
      mayGoBack = true;
    },
    leftovers: () => leftovers(around),
    atRest: (messages, late, without = () => false) =>
      atRest(around, { messages, deleted: deletedObjects, mayGoBack, without, late }),
  };
}

/** What a clean-up may delete. */
function onDeleted({ documents, project, fail }: Surroundings, object: StoredObject): void {
  const day = /\d{4}-\d\d-\d\d/.exec(object.name)?.[0] ?? "";
  const what = `${object.name}#${object.generation} was deleted`;
  const partition = documents.get("partition", partitionRef(IMPORT, day).id);
  const isIt = ({ name, generation }: { readonly name: string; readonly generation: string }): boolean =>
    name === object.name && generation === object.generation;
  const loaded = documents.events.some(
    (event) => event.type === "materialized" && event.partition === day && event.inputs.some(isIt),
  );
  const asset = project.definitions.assets.get(IMPORT);
  const late = asset?.retention?.cleanSuperseded === true && partition?.superseded?.inputs.some(isIt) === true;
  if (!loaded && !late) fail(`${what}, and never loaded`);
  if (partition?.seal === undefined) fail(`${what} without a seal`);
  if (partition?.holder !== undefined) fail(`${what} under a run`);
  const newest = documents.get("asset", IMPORT)?.partition ?? "";
  if (Date.parse(day) + 2 * 86_400_000 > Date.parse(newest)) fail(`${what} before its time, at ${newest}`);
  if (documents.get("slot", "clean.days")?.committed?.partition === day) fail(`${what} while it is shown`);
}

/** The reverse of `formatTable`, for tables of the environment's own project. */
export function destinationOf(slot: string): Destination {
  const [name = "", partition] = slot.split("$");
  const [dataset = "", table = ""] = name.split(".");
  return partition === undefined ? { dataset, table } : { dataset, table, partition };
}
