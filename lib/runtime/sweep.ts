/**
 * Reconciling with what should have happened: deadlines that passed, and objects whose notification never came. Nothing
 * depends on an event arriving once, in order, or at all.
 */
import { bucketTopicOf } from "../core/asset-key.ts";
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
  for (const { runId } of due) {
    const run = await events.get("run", runId);
    const entry = ref("due", runId);
    if (run === undefined) {
      await events.transact({ entry }, () => ({ result: undefined, writes: [{ delete: entry }], events: [] }));
      continue;
    }
    const known = isDefined(services, run);
    // Published before it is postponed: a crash in between wakes the run twice, which its claim sorts out.
    if (known && !services.executing.has(runId)) await bus.publish(topicOfRun(run), { data: { wake: run.id } });
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

function isDefined(services: Services, run: RunDocument): boolean {
  const { assets, jobs, sensors } = services.definitions();
  return (run.kind === "asset" ? assets : run.kind === "job" ? jobs : sensors).has(run.name);
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
