/**
 * What must hold after every step of every schedule, whoever died and whatever came late; and what must be left when all is
 * quiet: nothing.
 */
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { InputObject, Intent, RunDocument, SlotCommit, SlotDocument } from "../../lib/core/documents.ts";
import { uriOf } from "../../lib/core/inputs.ts";
import { compileObjectSource } from "../../lib/core/object-source.ts";
import { parsePartition } from "../../lib/core/partitions.ts";
import { destinationOf as placeOf } from "../../lib/core/placement.ts";
import { formatTable } from "../../lib/core/table.ts";
import type { Destination, TableRef } from "../../lib/core/table.ts";
import { accumulates } from "../../lib/core/target.ts";
import type { MemoryJob } from "./memory-warehouse.ts";
import { Violation } from "./simulation.ts";
import type { World } from "./simulation.ts";

export interface Invariants {
  readonly watch: (world: World) => void;
  readonly beforeJob: (world: World, job: MemoryJob) => void;
  /** To be called when nothing is left to do. */
  readonly atRest: (world: World) => void;
}

/** Fresh for each world: it remembers what it has seen. `pauses`: somebody pauses assets, so that requests wait for no run. */
export function invariants({ pauses = false } = {}): Invariants {
  const slots = new Map<string, SlotDocument>();
  const intents = new Map<string, Intent>();
  const ended = new Map<string, RunDocument>();
  const tokens = new Map<string, string>();
  /** What a slot that accumulates has taken in, commit by commit. */
  const taken = new Map<string, readonly string[]>();

  const watchSlot = (world: World, id: string, slot: SlotDocument): void => {
    const before = slots.get(id);
    slots.set(id, slot);
    if (slot.sequence < (before?.sequence ?? 0)) fail(`the sequence of ${id} went back`);
    if (slot.intent !== undefined && !intents.has(slot.intent.jobId)) watchIntent(world, id, slot.intent);
    const { committed } = slot;
    if (committed === undefined) {
      if (before?.committed !== undefined) fail(`${id} has forgotten its commit`);
    } else if (committed.jobId !== before?.committed?.jobId) watchCommit(world, id, committed, before?.committed);
  };

  const watchIntent = (world: World, id: string, intent: Intent): void => {
    intents.set(intent.jobId, intent);
    const { holder } = world.documents.get("partition", `${intent.name}|${intent.partition}`) ?? {};
    if (holder?.token !== intent.token || holder.runId !== intent.runId)
      fail(`${intent.jobId} in ${id} was opened by a run that does not hold its partition`);
  };

  const watchCommit = (world: World, id: string, now: SlotCommit, before: SlotCommit | undefined): void => {
    const run = world.documents.get("run", now.runId);
    if (before !== undefined && now.sequence <= before.sequence) fail(`${id} has committed ${now.sequence} twice`);
    const keeps = accumulating(world, id);
    if (!keeps && before !== undefined && now.order < before.order && run?.request.rollback !== true)
      fail(`${id} went back from ${before.order} to ${now.order}`);
    const intent = intents.get(now.jobId);
    if (intent === undefined) return fail(`${id} was committed without an intent`);
    const claim = `${intent.name} ${intent.partition} ${intent.token}`;
    const other = tokens.get(claim);
    if (other !== undefined) fail(`${claim} has committed ${other} and ${now.jobId}`);
    tokens.set(claim, now.jobId);
    if (keeps) taken.set(id, [...(taken.get(id) ?? []), ...intent.head.inputs.map(rowOf)]);
  };

  const watchContent = (world: World, id: string, slot: SlotDocument): void => {
    const shown = show(world.warehouse.rows(destinationOf(id)));
    const last = slot.committed === undefined ? undefined : intents.get(slot.committed.jobId)?.head.inputs.map(rowOf);
    const before = accumulating(world, id) ? taken.get(id) : undefined;
    const allowed = [show(before ?? last)];
    if (slot.intent !== undefined) allowed.push(show([...(before ?? []), ...slot.intent.head.inputs.map(rowOf)]));
    if (!allowed.includes(shown)) fail(`${id} shows ${shown}, which is none of ${allowed.join(" | ")}`);
  };

  const watchRun = (world: World, run: RunDocument): void => {
    const before = ended.get(run.id);
    if (before !== undefined && (before.status !== run.status || before.endedAt !== run.endedAt))
      fail(`run ${run.id} ended ${before.status}, and again ${run.status}`);
    if (run.endedAt !== undefined) ended.set(run.id, run);
    const over = run.endedAt !== undefined && run.outbox.length === 0;
    if (!over && world.documents.get("due", run.id) === undefined)
      fail(`run ${run.id} is not over and has no deadline`);
  };

  return {
    watch: (world) => {
      const { documents } = world;
      const all = documents.all("slot");
      for (const [id, slot] of all) {
        watchSlot(world, id, slot);
        watchContent(world, id, slot);
      }
      for (const asset of world.definitions.assets.values()) watchUnowned(world, asset, new Set(all.map(([id]) => id)));
      for (const [, run] of documents.all("run")) watchRun(world, run);
      for (const [id, partition] of documents.all("partition")) {
        const { holder, pending } = partition;
        if (pending !== undefined && holder === undefined && !pauses) fail(`${id} is free, and requests wait for it`);
        if (holder === undefined) continue;
        if (holder.token > partition.token) fail(`${id} is held under a token that it never gave out`);
        if (documents.get("run", holder.runId)?.endedAt !== undefined) fail(`${id} is held by a run that has ended`);
      }
    },
    beforeJob: (world, job) => {
      const intent = intents.get(job.id);
      if (job.spec.kind !== "copy" || !job.id.startsWith("pub-")) return;
      if (intent === undefined) return fail(`${job.id} publishes without an intent`);
      const slot = world.documents.get("slot", formatTable(intent.destination));
      if (slot?.intent?.jobId !== job.id) fail(`${job.id} publishes after its intent was settled`);
    },
    atRest: ({ documents, messages }) => {
      const left = [
        ...messages.map(({ id }) => `message ${id}`),
        ...documents.all("due").map(([id]) => `deadline ${id}`),
        ...documents.all("slot").flatMap(([id, { intent }]) => (intent === undefined ? [] : [`intent in ${id}`])),
        ...documents
          .all("partition")
          .flatMap(([id, { holder, pending, finish }]) => [
            ...(holder === undefined ? [] : [`holder of ${id}`]),
            ...(pending === undefined ? [] : [`requests for ${id}`]),
            ...(finish === undefined ? [] : [`leftovers of ${id}`]),
          ]),
        ...documents
          .all("run")
          .flatMap(([id, run]) => (run.endedAt === undefined || run.outbox.length > 0 ? [`run ${id}`] : [])),
      ];
      if (left.length > 0) fail(`all is quiet, but there is left: ${left.join(", ")}`);
    },
  };
}

function accumulating({ definitions }: World, slot: string): boolean {
  return [...definitions.assets.values()].some(
    ({ target }) => target !== undefined && accumulates(target) && formatTable(target.table) === slot,
  );
}

/** Whether a table that accumulates has rows of every object as it is now. */
export function watchTaken(world: World, { target, source }: AssetDefinition): void {
  if (target === undefined || source === undefined) return;
  const { pattern } = compileObjectSource(source);
  const rows = world.warehouse.rows(target.table) ?? [];
  for (const object of world.objects.values()) {
    if (pattern.match(object.name).kind === "match" && !rows.includes(rowOf(object)))
      fail(`${formatTable(target.table)} lacks ${rowOf(object)}`);
  }
}

/** Whether every partition shows its objects as they are now; in overwrite mode, whether the table shows the newest. */
export function watchServed(world: World, { target, source, partitions }: AssetDefinition): void {
  if (target === undefined || source === undefined) return;
  const { pattern } = compileObjectSource(source);
  const wanted = new Map<string, string[]>();
  for (const object of world.objects.values()) {
    const match = pattern.match(object.name);
    if (match.kind === "match") wanted.set(match.window.key, [...(wanted.get(match.window.key) ?? []), rowOf(object)]);
  }
  const keys = [...wanted.keys()].sort();
  for (const key of target.slot === "table" ? keys.slice(-1) : keys) {
    const shown = show(world.warehouse.rows(placeOf({ target, partitions }, parsePartition(partitions, key))));
    if (shown !== show(wanted.get(key))) fail(`${key} shows ${shown}, and there is ${show(wanted.get(key))}`);
  }
}

/** Whatever is visible without a slot that answers for it. */
function watchUnowned({ warehouse }: World, { target }: AssetDefinition, slots: ReadonlySet<string>): void {
  if (target === undefined) return;
  const parts = target.slot === "table" ? [""] : warehouse.partitions(target.table);
  for (const partition of parts) {
    const destination = partition === "" ? target.table : { ...target.table, partition };
    if (slots.has(formatTable(destination))) continue;
    const rows = warehouse.rows(destination);
    if (rows !== undefined) fail(`${formatTable(destination)} shows ${show(rows)}, and has no slot`);
  }
}

/** The reverse of `formatTable`, for tables of the environment's own project. */
function destinationOf(slot: string): Destination {
  const [, dataset = "", table = "", partition] = /^([^.]+)\.([^.$]+)(?:\$(.+))?$/.exec(slot) ?? [];
  const ref: TableRef = { dataset, table };
  return partition === undefined ? ref : { ...ref, partition };
}

/** The row that a load makes of an object. */
export function rowOf(input: InputObject): string {
  return `${uriOf(input)}#${input.generation}`;
}

function show(rows: readonly string[] | undefined): string {
  return rows === undefined ? "nothing" : `[${[...rows].sort().join(" ")}]`;
}

export function fail(message: string): void {
  throw new Violation(message);
}
