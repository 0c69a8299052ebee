import type { SluiceEvent, StoredEvent } from "../core/events.ts";
import { encodeCursor, pageOf, pageSize } from "../core/page.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { EventStore, HistoryQuery, Page, StoreSlice } from "../ports/event-store.ts";
import type { FirestoreClient } from "./firestore-client.ts";
import { defaultKeep } from "./firestore-documents.ts";
import type { Keep } from "./firestore-documents.ts";
import { openManifests } from "./firestore-manifests.ts";
import type { ManifestOptions, SweepReport } from "./firestore-manifests.ts";
import { dueQuery, historyQueries, partitionsQuery, placeIn, positionOf, runsQuery } from "./firestore-queries.ts";
import { firestoreReader } from "./firestore-reader.ts";
import type { Row } from "./firestore-reader.ts";
import { firestoreTransact } from "./firestore-transact.ts";

export interface FirestoreEventStoreOptions {
  /** Closed with the store. */
  readonly client: FirestoreClient;
  readonly clock: Clock;
  readonly random: Random;
  /** Where long lists of inputs go. Without it, a document that Firestore cannot hold is refused. */
  readonly manifests?: ManifestOptions;
  readonly keep?: Partial<Keep>;
}

export interface FirestoreEventStore extends EventStore {
  /** Deletes manifests that no document has needed for a week. */
  sweep(slice?: StoreSlice): Promise<SweepReport>;
  /** Ends all connections; may be called twice. */
  close(): Promise<void>;
}

/**
 * The event store in a Firestore database. Every operation of a run reads and writes a fixed number of documents, however
 * long history is. Calls reject with `RetryableError` while Firestore is out of reach or busy, and with `PermanentError`
 * for what it will never take.
 *
 * A position is the time at which Firestore took the commit, the event's number in it, and its document's name. Commits
 * that overlap may become visible in another order than that of their positions, within the time that one of them takes.
 */
export function firestoreEventStore(options: FirestoreEventStoreOptions): FirestoreEventStore {
  const { client, clock, random } = options;
  const manifests = openManifests(options.manifests, clock);
  const reader = firestoreReader(client, manifests);
  const keep = { ...defaultKeep, ...options.keep };
  const transact = firestoreTransact({ client, clock, random, keep, manifests });

  return {
    transact: (refs, decide) => transact(refs, decide),
    get: reader.get,

    async append(events) {
      let first = 0;
      for (const part of portions(events)) {
        await transact({}, () => ({ result: undefined, writes: [], events: part }), first);
        first += part.length;
      }
    },

    async history(query) {
      const { after, limit, ...rest } = query;
      const read = async (place: { readonly after?: string }, rows: number): Promise<readonly StoredEvent[]> => {
        const queries = historyQueries({ ...rest, ...place }, rows);
        const parts = await Promise.all(queries.map((each) => reader.rows("event", each)));
        const events = parts.flat().map(storedEvent).sort(byPosition);
        return (query.order === "oldest" ? events : events.reverse()).slice(0, rows);
      };
      return await fill(pageSize(limit), after, {
        read,
        wanted: (event) => isAsked(event, query),
        cursor: ({ position }) => position,
      });
    },

    async runs(query) {
      const { after, limit, ...rest } = query;
      const page = await fill(pageSize(limit), after, {
        read: (place, rows) => reader.rows("run", runsQuery({ ...rest, ...place }, rows)),
        wanted: ({ value }) => query.kind === undefined || value.kind === query.kind,
        cursor: ({ value, name }) => encodeCursor(value.createdAt, name),
      });
      return valuesOf(page);
    },

    async partitions(query) {
      const { after, limit, ...rest } = query;
      const page = await fill(pageSize(limit), after, {
        read: (place, rows) => reader.rows("partition", partitionsQuery({ ...rest, ...place }, rows)),
        wanted: () => true,
        cursor: ({ value, name }) => encodeCursor(value.partition, name),
      });
      return valuesOf(page);
    },

    sensors: async () => (await reader.all("sensor")).map(({ value }) => value),
    due: async ({ now, limit }) => (await reader.rows("due", dueQuery(limit, now))).map(({ value }) => value),
    nextDue: async () => (await reader.rows("due", dueQuery(1)))[0]?.value.dueAt,

    sweep: (slice = {}) => manifests.sweep(reader.needsManifest, slice),
    close: () => client.close(),
  };
}

/** Firestore takes 10 MiB at once. */
const MAX_PORTION = { events: 400, chars: 2_000_000 };

/** Long lists in commits of their own, in order. Each is stored whole or not at all. */
function* portions(events: readonly SluiceEvent[]): Generator<readonly SluiceEvent[]> {
  let part: SluiceEvent[] = [];
  let chars = 0;
  for (const event of events) {
    const size = JSON.stringify(event).length;
    if (part.length > 0 && (part.length === MAX_PORTION.events || chars + size > MAX_PORTION.chars)) {
      yield part;
      part = [];
      chars = 0;
    }
    part.push(event);
    chars += size;
  }
  if (part.length > 0) yield part;
}

interface Filling<T> {
  read(place: { readonly after?: string }, rows: number): Promise<readonly T[]>;
  wanted(item: T): boolean;
  cursor(item: T): string;
}

/** Reads on until the page is full of what is wanted; for nearly all queries that is all that the first read brings. */
async function fill<T>(size: number, after: string | undefined, filling: Filling<T>): Promise<Page<T>> {
  const { read, wanted, cursor } = filling;
  const found: T[] = [];
  for (let place = after; ;) {
    const rows = await read(place === undefined ? {} : { after: place }, size + 1);
    found.push(...rows.filter(wanted));
    const last = rows.at(-1);
    if (found.length > size || rows.length <= size || last === undefined) return pageOf(found, size, cursor);
    place = cursor(last);
  }
}

function valuesOf<V>({ items, ...page }: Page<{ readonly value: V }>): Page<V> {
  return { ...page, items: items.map(({ value }) => value) };
}

function storedEvent({ value, name, snapshot }: Row<"event">): StoredEvent {
  return { ...value, position: positionOf(placeIn(snapshot.get("t"), snapshot.get("n"), name)) };
}

function byPosition(a: StoredEvent, b: StoredEvent): number {
  return a.position < b.position ? -1 : a.position > b.position ? 1 : 0;
}

function isAsked(event: StoredEvent, { asset, partition, run, types }: HistoryQuery): boolean {
  return (
    (asset === undefined ||
      (event.asset !== undefined && (typeof asset === "string" ? [asset] : asset).includes(event.asset))) &&
    (partition === undefined || event.partition === partition) &&
    (run === undefined || event.run === run) &&
    (types === undefined || types.includes(event.type))
  );
}
