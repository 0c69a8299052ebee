/**
 * Reconciling with what should have happened: deadlines that passed, and objects whose notification never came. Nothing
 * depends on an event arriving once, in order, or at all.
 */
import { bucketTopicOf } from "../core/asset-key.ts";
import { wakeMessage } from "../core/backfill-message.ts";
import { presentKey } from "../core/previous-keys.ts";
import { topicOfRun } from "../core/run-identity.ts";
import { watchedBuckets } from "../core/subscriptions.ts";
import { put, ref } from "../core/documents.ts";
import type { RunDocument } from "../core/documents.ts";
import type { Services } from "./services.ts";

/** How many deadlines one sweep takes up, and how many objects it lists in each bucket. */
const DUE_LIMIT = 200;
const LIST_LIMIT = 1_000;
/** A woken run is due again after this long, should its message be lost. */
const AGAIN_MS = 30_000;

/** A run of an asset, job or sensor that is not defined (any more, or while a module is broken) is looked at this often. */
const UNDEFINED_MS = 3_600_000;

/** Wakes every run whose deadline has passed: abandoned, asleep, or ended without having said so. */
export async function sweepDue(services: Services): Promise<number> {
  const { events, bus, clock } = services;
  const now = clock.now();
  const due = await events.due({ now, limit: DUE_LIMIT });
  for (const { runId, backfill } of due) {
    const run = backfill === true ? await ownerOf(services, runId) : await events.get("run", runId);
    const entry = ref("due", runId);
    if (run === undefined) {
      await events.transact({ entry }, () => ({ result: undefined, writes: [{ delete: entry }], events: [] }));
      continue;
    }
    const known = isDefined(services, run);
    // Published before it is postponed: a crash in between wakes the run twice, which its claim sorts out.
    const present = { kind: run.kind, name: presentName(services, run) };
    const data = backfill === true ? wakeMessage(runId) : { wake: runId };
    if (known && !services.executing.has(runId)) await bus.publish(topicOfRun(present), { data });
    const dueAt = now + (known ? AGAIN_MS : UNDEFINED_MS);
    await events.transact({ entry }, (state) => ({
      result: undefined,
      // Whoever moved or removed the deadline meanwhile knows better.
      writes: state.entry === undefined || state.entry.dueAt > now ? [] : [put(entry, { ...state.entry, dueAt })],
      events: [],
    }));
  }
  return due.length;
}

type Owner = Pick<RunDocument, "kind" | "name">;

/** Who drives the backfill: the function of its asset. */
export async function ownerOf({ events }: Pick<Services, "events">, backfill: string): Promise<Owner | undefined> {
  const found = await events.get("backfill", backfill);
  return found === undefined || found.endedAt !== undefined ? undefined : { kind: "asset", name: found.asset };
}

function isDefined(services: Services, run: Owner): boolean {
  const { assets, jobs, sensors } = services.definitions();
  const name = presentName(services, run);
  if (run.kind === "asset") return assets.has(name) && assets.get(name)?.foreign !== true;
  return (run.kind === "job" ? jobs : sensors).has(name);
}

/** A run that began before its asset was renamed goes on under the new name. */
export function presentName(services: Pick<Services, "definitions">, run: Owner): string {
  return run.kind === "asset" ? presentKey(services.definitions().assets, run.name) : run.name;
}

/** Announces a bounded slice of every watched bucket again, going on where the last slice ended. */
export async function sweepBuckets(services: Services): Promise<number> {
  let announced = 0;
  for (const bucket of watchedBuckets(services.definitions())) announced += await sweepBucket(services, bucket);
  return announced;
}

async function sweepBucket(services: Services, bucket: string): Promise<number> {
  const { events, objects, bus, clock } = services;
  const cursor = ref("cursor", `sweep ${bucket}`);
  const startAfter = (await events.get("cursor", cursor.id))?.value ?? "";
  let count = 0;
  let last = "";
  for await (const object of objects.list(bucket, startAfter === "" ? {} : { startAfter })) {
    const { name, generation, size } = object;
    await bus.publish(bucketTopicOf(bucket), { data: { bucket, name, generation, size } });
    count += 1;
    last = name;
    if (count === LIST_LIMIT) break;
  }
  const value = count === LIST_LIMIT ? last : "";
  await events.transact({ cursor }, () => ({
    result: undefined,
    writes: [put(cursor, { value, at: clock.now() })],
    events: [],
  }));
  return count;
}
