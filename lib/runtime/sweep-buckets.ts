/**
 * Objects whose notification never came: every watched bucket is listed, a bounded slice a sweep, going on where the last one ended,
 * and the prefixes of recent intervals beside it. What is found is announced again while it is young, and then whenever its age has
 * doubled: nothing is given up, and what is old and quiet costs a listing and no message. The place is one document, however many
 * buckets there are. A bucket that cannot be listed, or of which nobody can be told, holds up no other.
 */
import { z } from "zod";
import { bucketTopicOf } from "../core/asset-key.ts";
import type { Definitions, Watcher } from "../core/definitions.ts";
import { ref } from "../core/documents.ts";
import type { CursorDocument } from "../core/documents.ts";
import { canonicalJson, shortHash } from "../core/hash.ts";
import { latestWindow, windowAt } from "../core/interval.ts";
import { watchedBuckets } from "../core/subscriptions.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import { saveCursor } from "./save-cursor.ts";
import type { Services } from "./services.ts";

/** How many objects one sweep lists on its way through the buckets: ten pages of them. */
const SLICE = 10_000;
/** After so many, the place is written down, so that whoever is killed again and again comes to the end all the same. */
const SAVE_EVERY = 1_000;
/** How many prefixes of recent intervals one sweep lists, and how many objects below each. */
const RECENT_LISTS = 40;
const RECENT_LIMIT = 1_000;
/** A sweep begins nothing more after so long. */
const SWEEP_MS = 20_000;
/** Until then, an object is announced each time. Clocks may differ by as much. */
const YOUNG_MS = 600_000;
/** A pass that took more than one sweep begins this often at most. */
const PASS_MS = 3_600_000;
/** Messages that are sent at once. */
const BATCH = 50;

const stateSchema = z.object({
  /** What was watched: when that changes, everything is new. */
  watched: z.string(),
  /** When the pass began that is under way, or was the last one. */
  began: z.number(),
  /** When the one before it began: whatever was there at that time has been announced at its age then. 0: there was none. */
  before: z.number(),
  /** Whether that pass took more than one sweep. */
  long: z.boolean(),
  /** The object that was listed last; absent when the pass has come to its end. */
  at: z.object({ bucket: z.string(), name: z.string() }).optional(),
  /** The buckets that the last pass could not list to their end: when the last one that could began, as `before`. */
  missed: z.record(z.string(), z.number()).optional(),
  /** The next asset whose recent intervals are listed, when this round began, and when the one before. */
  recent: z.object({ next: z.number(), began: z.number(), before: z.number() }),
});
type State = z.infer<typeof stateSchema>;

/** The result is how many objects were announced. Rejects with the first failure, when all buckets have had their turn. */
export async function sweepBuckets(services: Services): Promise<number> {
  const definitions = services.definitions();
  const buckets = watchedBuckets(definitions);
  if (buckets.length === 0) return 0;
  const { clock, events } = services;
  const now = clock.now();
  const announcer = announcerOf(services);
  const failures: unknown[] = [];
  const save = async (state: State): Promise<void> => {
    // What is remembered as announced was sent.
    await announcer.flush();
    await saveCursor(events, CURSOR, { value: JSON.stringify(state), at: clock.now() });
  };
  const stored = stateOf(await events.get("cursor", CURSOR.id), watchedOf(definitions, buckets), now);
  const { state, whole } = await listSlice(services, { state: stored, now, announcer, failures, buckets, save });
  // Whoever has just listed everything has seen what is recent.
  await save(whole ? state : await listRecent(services, { state, now, announcer, failures }));
  if (failures.length > 0) throw failures[0];
  return announcer.count();
}

const CURSOR = ref("cursor", "sweep buckets");

/** Where the last sweep ended; a new pass over everything where it is not known, or something else is watched now. */
function stateOf(cursor: CursorDocument | undefined, watched: string, now: number): State {
  const stored = stateSchema.safeParse(cursor === undefined ? undefined : JSON.parse(cursor.value));
  if (stored.success && stored.data.watched === watched) return stored.data;
  const recent = { next: 0, began: now, before: now };
  return { watched, began: now, before: 0, long: false, at: { bucket: "", name: "" }, recent };
}

function watchedOf({ watchers, sensors }: Definitions, buckets: readonly string[]): string {
  const objects = [...sensors.values()].flatMap(({ name, watches }) =>
    watches.kind === "objects" ? [[name, watches.bucket, watches.prefix]] : [],
  );
  const assets = buckets.flatMap((bucket) =>
    (watchers.get(bucket) ?? []).map(({ asset, matcher }) => [asset, matcher.source]),
  );
  return shortHash([canonicalJson([assets, objects])]);
}

interface Announcer {
  /** Announces it, if it is its time; `before`: when it was looked at last, if it was there. */
  meet(object: ObjectInfo, before: number): Promise<void>;
  flush(): Promise<void>;
  count(): number;
}

function announcerOf({ bus, clock }: Services): Announcer {
  let waiting: ObjectInfo[] = [];
  let count = 0;
  const flush = async (): Promise<void> => {
    const sent = waiting;
    waiting = [];
    await Promise.all(
      sent.map(({ bucket, name, generation, size }) =>
        bus.publish(bucketTopicOf(bucket), { data: { bucket, name, generation, size } }),
      ),
    );
    count += sent.length;
  };
  return {
    flush,
    count: () => count,
    meet: async (object, before) => {
      if (isTime(object.updated, before, clock.now())) waiting.push(object);
      if (waiting.length >= BATCH) await flush();
    },
  };
}

/** Whether an object that changed at `updated` is young, or has doubled its age since `before`. */
export function isTime(updated: number, before: number, now: number): boolean {
  const doublings = (age: number): number => Math.floor(Math.log2(age / YOUNG_MS));
  const [was, is] = [before - updated, now - updated];
  return was < YOUNG_MS || doublings(is) > doublings(was);
}

interface Sweep {
  /** As the last sweep has left it. */
  readonly state: State;
  /** When this one began. */
  readonly now: number;
  readonly announcer: Announcer;
  /** What went wrong so far. */
  readonly failures: unknown[];
}

/** Goes on with the pass, or begins the next one; `whole`: this sweep alone has listed everything. */
async function listSlice(
  { objects, clock }: Services,
  {
    state,
    now,
    announcer,
    failures,
    buckets,
    save,
  }: Sweep & { buckets: readonly string[]; save(state: State): Promise<void> },
): Promise<{ readonly state: State; readonly whole: boolean }> {
  const { at, ...ended } = state;
  if (at === undefined && ended.long && now < ended.began + PASS_MS) return { state, whole: false };
  const begins = at === undefined || at.bucket === "";
  const pass = at === undefined ? { ...ended, began: now, before: ended.began } : ended;
  const missed = { ...pass.missed };
  const place = (bucket: string, name: string): State => ({ ...pass, missed, long: true, at: { bucket, name } });
  let listed = 0;
  for (const bucket of buckets) {
    if (at !== undefined && bucket < at.bucket) continue;
    const startAfter = bucket === at?.bucket ? at.name : "";
    if (clock.now() - now > SWEEP_MS) return { state: place(bucket, startAfter), whole: false };
    const before = missed[bucket] ?? pass.before;
    try {
      for await (const object of objects.list(bucket, startAfter === "" ? {} : { startAfter })) {
        await announcer.meet(object, before);
        listed += 1;
        const here = place(bucket, object.name);
        if (listed >= SLICE || clock.now() - now > SWEEP_MS) {
          await announcer.flush();
          return { state: here, whole: false };
        }
        if (listed % SAVE_EVERY === 0) await save(here);
      }
      await announcer.flush();
      delete missed[bucket];
    } catch (error) {
      failures.push(error);
      missed[bucket] = before;
    }
  }
  return { state: { ...pass, missed, long: !begins }, whole: begins && failures.length === 0 };
}

/** Lists what belongs to this interval and the last one, of as many assets as one sweep may, in turn. */
async function listRecent(
  { objects, clock, definitions }: Services,
  { state, now, announcer, failures }: Sweep,
): Promise<State> {
  const watchers = [...definitions().watchers.values()].flat();
  let { next, began, before } = state.recent;
  for (let lists = 0, assets = 0; assets < watchers.length && lists < RECENT_LISTS; assets++) {
    if (clock.now() - now > SWEEP_MS) break;
    if (next >= watchers.length) [next, began, before] = [0, now, began];
    const watcher = watchers[next];
    try {
      for (const prefix of watcher === undefined ? [] : recentPrefixes(watcher, now)) {
        lists += 1;
        let listed = 0;
        for await (const object of objects.list(watcher?.matcher.source.bucket ?? "", { prefix })) {
          await announcer.meet(object, before);
          if (++listed === RECENT_LIMIT) break;
        }
      }
      await announcer.flush();
    } catch (error) {
      // What was missed, the pass over the whole bucket finds.
      failures.push(error);
    }
    next += 1;
  }
  return { ...state, recent: { next, began, before } };
}

function recentPrefixes({ matcher: { source, pattern } }: Watcher, now: number): readonly string[] {
  const windows = [windowAt(source.interval, now), latestWindow(source.interval, now)];
  return [...new Set(windows.map((window) => pattern.prefixOf(window)))];
}
