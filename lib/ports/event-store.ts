/**
 * Documents and the history of events. All rules live in `lib/core`; a store only reads a named set of documents,
 * lets a pure function decide, and applies the decision whole or not at all.
 */
import type {
  Decision,
  DueDocument,
  PartitionDocument,
  Read,
  Refs,
  RunDocument,
  RunKind,
  RunStatus,
  SensorDocument,
  DocumentKind,
  Documents,
} from "../core/documents.ts";
import type { EventType, SluiceEvent, StoredEvent } from "../core/events.ts";

export interface Page<T> {
  readonly items: readonly T[];
  /** Hand it in as `after` to go on; absent on the last page. */
  readonly next?: string;
}

export interface HistoryQuery {
  /** One asset, or any of several keys of one that was renamed: at most 10. */
  readonly asset?: string | readonly string[];
  readonly partition?: string;
  readonly run?: string;
  readonly types?: readonly EventType[];
  /** `newest` first is the default. */
  readonly order?: "newest" | "oldest";
  readonly after?: string;
  /** At most 1,000; default 100. */
  readonly limit?: number;
}

export interface StoreSlice {
  /** Goes on behind this place; left out, from the first one on. */
  readonly startAfter?: string;
  /** Looks at so many objects. Default 1,000. */
  readonly limit?: number;
}

export interface EventStore {
  /**
   * Serializable: reads the documents behind `refs`, calls `decide` and applies its writes and events atomically.
   * `decide` is pure and may be called more than once; an event whose id is already stored is not stored again.
   */
  transact<R extends Refs, T>(refs: R, decide: (documents: Read<R>) => Decision<T>): Promise<T>;
  get<K extends DocumentKind>(kind: K, id: string): Promise<Documents[K] | undefined>;
  append(events: readonly SluiceEvent[]): Promise<void>;
  history(query: HistoryQuery): Promise<Page<StoredEvent>>;
  /** Runs, last created first. */
  runs(query: {
    readonly kind?: RunKind;
    readonly name?: string;
    readonly partition?: string;
    readonly status?: RunStatus;
    readonly after?: string;
    readonly limit?: number;
  }): Promise<Page<RunDocument>>;
  /** Partitions of one asset, in order of their keys, from `from` (inclusive) to `to` (exclusive). */
  partitions(query: {
    readonly name: string;
    readonly from?: string;
    readonly to?: string;
    readonly after?: string;
    readonly limit?: number;
  }): Promise<Page<PartitionDocument>>;
  /** Every sensor that was ever switched or has ticked. */
  sensors(): Promise<readonly SensorDocument[]>;
  /** Deadlines up to and including `now`, earliest first. */
  due(query: { readonly now: number; readonly limit: number }): Promise<readonly DueDocument[]>;
  /** The earliest deadline of all, so that a local process knows how long it may sleep. */
  nextDue(): Promise<number | undefined>;
  /**
   * Deletes, of a bounded slice of what the store keeps beside its documents, what none of them has needed for long. Safe beside
   * whatever runs. `next`: where the next slice begins; absent after the last one. A store that keeps nothing there has none.
   */
  sweep?(slice?: StoreSlice): Promise<{ readonly deleted: number; readonly next?: string }>;
}
