/** The event store port over documents in memory: for tests of rules, and as the simplest complete example of the port. */
import type { StoredEvent } from "../../lib/core/events.ts";
import { keysAsked } from "../../lib/core/history-keys.ts";
import { badCursor, decodeCursor, encodeCursor, pageOf, pageSize } from "../../lib/core/page.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { MemoryDocuments } from "./memory-documents.ts";
import { memoryDocuments } from "./memory-documents.ts";

/** Several stores on the same documents see each other's writes at once. */
export function memoryEventStore(documents: MemoryDocuments = memoryDocuments()): EventStore {
  return {
    async transact(refs, decide) {
      return documents.apply(refs, decide);
    },

    async get(kind, id) {
      return documents.get(kind, id);
    },

    async append(events) {
      documents.append(events);
    },

    async history({ asset, partition, run, types, order, after, limit }) {
      const size = pageSize(limit);
      if (after !== undefined && !/^\d{16}$/.test(after)) throw badCursor(after);
      const newest = order !== "oldest";
      const keys = keysAsked(asset);
      const wanted = (event: StoredEvent): boolean =>
        (keys === undefined || (event.asset !== undefined && keys.includes(event.asset))) &&
        (partition === undefined || event.partition === partition) &&
        (run === undefined || event.run === run) &&
        (types === undefined || types.includes(event.type)) &&
        (after === undefined || (newest ? event.position < after : event.position > after));
      const found = documents.events.filter(wanted);
      return pageOf(newest ? found.reverse() : found, size, ({ position }) => position);
    },

    async runs({ kind, name, partition, status, after, limit }) {
      const size = pageSize(limit);
      const before = after === undefined ? undefined : decodeCursor(after, isNumber);
      const found = documents
        .all("run")
        .map(([, run]) => run)
        .filter(
          (run) =>
            (kind === undefined || run.kind === kind) &&
            (name === undefined || run.name === name) &&
            (partition === undefined || run.partition === partition) &&
            (status === undefined || run.status === status) &&
            (before === undefined || compare([run.createdAt, run.id], before) < 0),
        )
        .sort((a, b) => compare([b.createdAt, b.id], [a.createdAt, a.id]));
      return pageOf(found, size, ({ createdAt, id }) => encodeCursor(createdAt, id));
    },

    async partitions({ name, from = "", to, after, limit }) {
      const size = pageSize(limit);
      const place = after === undefined ? undefined : decodeCursor(after, isString);
      const found = documents
        .all("partition")
        .filter(
          ([id, { name: asset, partition }]) =>
            asset === name &&
            partition >= from &&
            (to === undefined || partition < to) &&
            (place === undefined || compare([partition, id], place) > 0),
        )
        .sort(([a, x], [b, y]) => compare([x.partition, a], [y.partition, b]));
      const page = pageOf(found, size, ([id, { partition }]) => encodeCursor(partition, id));
      return { ...page, items: page.items.map(([, document]) => document) };
    },

    async sensors() {
      return documents.all("sensor").map(([, sensor]) => sensor);
    },

    async due({ now, limit }) {
      const due = documents.all("due").map(([, entry]) => entry);
      return due
        .filter(({ dueAt }) => dueAt <= now)
        .sort((a, b) => compare([a.dueAt, a.runId], [b.dueAt, b.runId]))
        .slice(0, limit);
    },

    async nextDue() {
      const times = documents.all("due").map(([, { dueAt }]) => dueAt);
      return times.length === 0 ? undefined : Math.min(...times);
    },
  };
}

type Place = readonly [string | number, string];

function compare([a, x]: Place, [b, y]: Place): number {
  return a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0;
}

const isNumber = (value: unknown): value is number => typeof value === "number";
const isString = (value: unknown): value is string => typeof value === "string";
