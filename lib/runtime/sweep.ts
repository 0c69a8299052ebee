/**
 * Reconciling with what should have happened: deadlines that passed, and objects whose notification never came. Nothing
 * depends on an event arriving once, in order, or at all.
 */
import { bucketTopicOf } from "../core/asset-key.ts";
import { topicOfRun } from "../core/claim.ts";
import { watchedBuckets } from "../core/definitions.ts";
import { put, ref } from "../core/documents.ts";
import type { Services } from "./services.ts";

/** How many deadlines one sweep takes up, and how many objects it lists in each bucket. */
const DUE_LIMIT = 200;
const LIST_LIMIT = 1_000;
/** A woken run is due again after this long, should its message be lost. */
const AGAIN_MS = 30_000;

/** Wakes every run whose deadline has passed: abandoned, asleep, or ended without having said so. */
export async function sweepDue(services: Services): Promise<number> {
  const { events, bus, clock } = services;
  const now = clock.now();
  const due = await events.due({ now, limit: DUE_LIMIT });
  for (const entry of due) {
    const run = await events.get("run", entry.runId);
    const dueRef = ref("due", entry.runId);
    if (run === undefined || services.executing.has(entry.runId)) {
      await events.transact({ due: dueRef }, ({ due: current }) => ({
        result: undefined,
        writes:
          current === undefined
            ? []
            : [run === undefined ? { delete: dueRef } : put(dueRef, { ...current, dueAt: now + AGAIN_MS })],
        events: [],
      }));
      continue;
    }
    // Published before it is postponed: a crash in between wakes the run twice, which its claim sorts out.
    await bus.publish(topicOfRun(run), { data: { wake: run.id } });
    await events.transact({ due: dueRef }, ({ due: current }) => ({
      result: undefined,
      writes: current === undefined || current.dueAt > now ? [] : [put(dueRef, { ...current, dueAt: now + AGAIN_MS })],
      events: [],
    }));
  }
  return due.length;
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
