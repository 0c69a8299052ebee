/**
 * Every query that the event store asks, as data: the adapter carries them out, and a test compares the indexes that they
 * need with those that are declared.
 */
import type { DueDocument } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import { keysAsked } from "../core/history-keys.ts";
import { badCursor, decodeCursor } from "../core/page.ts";
import type { EventStore, HistoryQuery } from "../ports/event-store.ts";
import { SHARDS } from "./firestore-documents.ts";
import type { StoredKind } from "./firestore-documents.ts";

type Value = string | number;

/** A place in history: when Firestore took the commit, the event's number in it, and the document's name. */
export interface HistoryPlace {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly n: number;
  readonly name: string;
}

export interface StoreQuery {
  readonly kind: StoredKind;
  /** Each field equals one of its values. Firestore takes 30 combinations of values in all. */
  readonly equal: readonly (readonly [field: string, values: readonly Value[]])[];
  /** Bounds of the first field of `order`. */
  readonly range?: readonly (readonly [field: string, operator: ">=" | "<" | "<=", value: Value])[];
  /** The document's name always comes last, in the direction of the last field. */
  readonly order: readonly (readonly [field: string, direction: "asc" | "desc"])[];
  /** Goes on behind this place: the values of `order`, and the document's name. */
  readonly after?: HistoryPlace | readonly Value[];
  readonly limit: number;
}

const MAX_COMBINATIONS = 30;

/**
 * One page of history, as one query or as several whose answers are to be merged. What belongs to one run is asked for by
 * the run alone, because a run has few events; the reader leaves out what is asked for otherwise. Where no asset is named,
 * every query goes over all shards at once.
 */
export function historyQueries(query: HistoryQuery, limit: number): readonly StoreQuery[] {
  const direction = query.order === "oldest" ? ("asc" as const) : ("desc" as const);
  const common = {
    kind: "event" as const,
    order: [
      ["t", direction],
      ["n", direction],
    ] as const,
    ...(query.after === undefined ? {} : { after: placeOf(query.after) }),
    limit,
  };
  const assets = keysAsked(query.asset);
  if (query.types?.length === 0 || assets?.length === 0) return [];
  if (query.run !== undefined) return [{ ...common, equal: [["run", [query.run]]] }];
  const first = assets === undefined ? (["shard", SHARDS] as const) : (["asset", assets] as const);
  const partition = query.partition === undefined ? [] : [["partition", [query.partition]] as const];
  if (query.types === undefined) return [{ ...common, equal: [first, ...partition] }];
  const types = [...new Set(query.types)];
  const size = Math.floor(MAX_COMBINATIONS / first[1].length);
  return Array.from({ length: Math.ceil(types.length / size) }, (_, chunk) => ({
    ...common,
    equal: [first, ...partition, ["type", types.slice(chunk * size, (chunk + 1) * size)] as const],
  }));
}

/** The text of a place: it sorts as the places do, and leads on from there. */
export function positionOf({ seconds, nanoseconds, n, name }: HistoryPlace): string {
  const time = `${String(seconds).padStart(12, "0")}.${String(nanoseconds).padStart(9, "0")}`;
  return `${time}-${String(n).padStart(6, "0")}-${name}`;
}

/** The place of an event by its stored fields. Throws `PermanentError` (`bad-store`) for an event without one. */
export function placeIn(t: unknown, n: unknown, name: string): HistoryPlace {
  if (typeof t === "object" && t !== null && "seconds" in t && "nanoseconds" in t) {
    const { seconds, nanoseconds } = t;
    if (typeof seconds === "number" && typeof nanoseconds === "number" && typeof n === "number") {
      return { seconds, nanoseconds, n, name };
    }
  }
  throw new PermanentError(`the event document ${name} has no place in history`, { code: "bad-store" });
}

function placeOf(position: string): HistoryPlace {
  const [, seconds, nanoseconds, n, name] = /^(\d{12})\.(\d{9})-(\d{6,})-([0-9a-f]{32})$/.exec(position) ?? [];
  if (name === undefined) throw badCursor(position);
  return { seconds: Number(seconds), nanoseconds: Number(nanoseconds), n: Number(n), name };
}

/** A named thing's runs are asked for by its name; the reader leaves out another kind of the same name. */
export function runsQuery(query: Parameters<EventStore["runs"]>[0], limit: number): StoreQuery {
  const { kind, name, partition, status, after } = query;
  const filters = Object.entries(name === undefined ? { kind, partition, status } : { name, partition, status });
  const equal = filters.flatMap(([field, value]) => (value === undefined ? [] : [[field, [value]] as const]));
  return {
    kind: "run",
    equal: name === undefined ? [["shard", SHARDS], ...equal] : equal,
    order: [["createdAt", "desc"]],
    ...(after === undefined ? {} : { after: decodeCursor(after, isNumber) }),
    limit,
  };
}

export function partitionsQuery(query: Parameters<EventStore["partitions"]>[0], limit: number): StoreQuery {
  const { name, from, to, after } = query;
  return {
    kind: "partition",
    equal: [["name", [name]]],
    range: [
      ...(from === undefined ? [] : [["partition", ">=", from] as const]),
      ...(to === undefined ? [] : [["partition", "<", to] as const]),
    ],
    order: [["partition", "asc"]],
    ...(after === undefined ? {} : { after: decodeCursor(after, isString) }),
    limit,
  };
}

/** Deadlines, earliest first: all of them, or those up to `now`. */
export function dueQuery(limit: number, now?: DueDocument["dueAt"]): StoreQuery {
  return {
    kind: "due",
    equal: [["shard", SHARDS]],
    ...(now === undefined ? {} : { range: [["dueAt", "<=", now]] }),
    order: [["dueAt", "asc"]],
    limit,
  };
}

const isNumber = (value: unknown): value is number => typeof value === "number";
const isString = (value: unknown): value is string => typeof value === "string";
