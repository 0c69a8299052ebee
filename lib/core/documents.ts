/**
 * The documents that the event store keeps beside the history of events. They are plain JSON; the rules
 * that change them are the pure functions in `claim.ts`, `slot.ts` and `seal.ts`, and the event store only
 * applies their decisions atomically. Times are milliseconds since the epoch, UTC.
 */
import type { SluiceEvent } from "./events.ts";
import type { OutboxMessage, RunRequest } from "./request.ts";
import type { JsonValue } from "./row-values.ts";
import type { Destination, TableRef } from "./table.ts";

/** One object of a bucket, at one generation. */
export interface InputObject {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly size: number;
}

/** What the partition holds: the last committed materialization. */
export interface Head {
  readonly materializationId: string;
  readonly runId: string;
  readonly at: number;
  /** Hash of inputs, definition and `codeVersion`: an equal one means there is nothing to do. */
  readonly fingerprint: string;
  readonly inputs: readonly InputObject[];
  /** The materializations of upstreams that it was made from, by `key|partition` (`key|*` for a whole upstream). */
  readonly upstreams?: Readonly<Record<string, string>>;
  readonly dataVersion?: string;
  /** Hash of the definition that `dataVersion` was made by. */
  readonly definition?: string;
  /** Where the rows are, of an I/O manager that keeps no table. */
  readonly stored?: StoredVersion;
  /** The raw table that its staging becomes after the commit, and the job that makes it. */
  readonly raw?: { readonly table: TableRef; readonly jobId: string };
}

/** What one attempt has written by an I/O manager that keeps no table. */
export interface StoredVersion {
  /** The manager's name. */
  readonly manager: string;
  readonly version: string;
  /** What `write` returned; absent where it did not come to its end. */
  readonly handle?: JsonValue;
}

/** Work left after a commit: the staging becomes the raw table, then goes, and so do older versions. Whoever comes next does it. */
export interface Finish {
  readonly runId: string;
  readonly staging?: TableRef;
  readonly raw?: { readonly table: TableRef; readonly jobId: string };
  /** The folder of the staging bucket with the files that the staging was loaded from. */
  readonly staged?: string;
  /** Stored versions that no head names any more, and no commit ever will. */
  readonly remove?: readonly StoredVersion[];
}

/** The exclusive right to work on a partition, until `leaseUntil`; only `token` decides who commits. */
export interface Holder {
  readonly runId: string;
  readonly token: number;
  readonly leaseUntil: number;
  /** The run sleeps and will be woken; nobody is executing it. */
  readonly parked?: true;
  /** The run is to end: it publishes nothing any more. */
  readonly cancel?: true;
  /** Its warehouse jobs that were under way at the last renewal, for whoever cancels it after the death of its holder. */
  readonly jobs?: readonly string[];
}

/** A partition of an asset (or the one lock of an unpartitioned asset, a job run or a sensor tick). */
export interface PartitionDocument {
  readonly name: string;
  readonly partition: string;
  /** The last fencing token handed out. */
  readonly token: number;
  readonly holder?: Holder;
  /** Requests that came while the partition was busy. Plain ones coalesce, special ones keep themselves. */
  readonly pending?: { readonly plain?: RunRequest; readonly special: readonly RunRequest[] };
  readonly head?: Head;
  /** The blocking check that its last run failed; gone with the next commit. Nothing downstream starts meanwhile. */
  readonly blocked?: { readonly at: number; readonly runId: string; readonly reason: string };
  /** Its last run failed; gone with the next run that ends otherwise. */
  readonly failed?: { readonly at: number; readonly runId: string };
  /** A sealed partition takes no more runs: its inputs have been, or are being, deleted. */
  readonly seal?: { readonly at: number; readonly runId: string };
  /** Inputs of an interval that came too late to be published (overwrite mode). */
  readonly superseded?: { readonly at: number; readonly inputs: readonly InputObject[] };
  /** Set when every deletable input of a sealed partition is gone. */
  readonly cleanedAt?: number;
  readonly finish?: Finish;
  /** Versions that attempts have begun to store since the last commit; all but the holder's own are of dead or failed ones. */
  readonly writing?: readonly StoredVersion[];
  /** The asset was renamed: everything else has moved to the partition of the same key under this name. */
  readonly movedTo?: string;
}

export type RunKind = "asset" | "job" | "sensor";
export type RunStatus = "running" | "parked" | "succeeded" | "failed" | "skipped" | "canceled";

export interface RunDocument {
  readonly id: string;
  readonly kind: RunKind;
  /** Asset key, job name or sensor name. */
  readonly name: string;
  readonly partition: string;
  /** Frozen at the claim: relative partitions are resolved, defaults filled in. */
  readonly request: RunRequest;
  readonly status: RunStatus;
  /** A stable word for why the run ended (or is parked) as it did: `unchanged`, `superseded`, `sealed`, … */
  readonly code?: string;
  readonly reason?: string;
  /** How many times the run was claimed, wake-ups and takeovers included. */
  readonly attempt: number;
  /** How many attempts ended in a retryable error; counts against the retry policy. */
  readonly failures: number;
  /** Of these, those of classes of errors that the retry policy treats by themselves. */
  readonly failuresOf?: Readonly<Record<string, number>>;
  readonly token: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly endedAt?: number;
  readonly wakeAt?: number;
  /** Somebody asked for the run to end; kept when it had come to another end by then. */
  readonly cancel?: { readonly at: number; readonly reason?: string };
  readonly materializationId?: string;
  /** What the code has saved of its progress, as JSON text; of the inputs with this fingerprint, and until the run ends. */
  readonly checkpoint?: { readonly fingerprint: string; readonly text: string };
  /**
   * The run makes these partitions at once, by the claim with this token. By partition key: a digest of the versions of its
   * upstreams, taken before any of their data was read.
   */
  readonly range?: { readonly token: number; readonly upstreams: Readonly<Record<string, string>> };
  /** Messages that the run's commit decided on and that are not published yet. */
  readonly outbox: readonly OutboxMessage[];
}

/** What is visible in a slot, by its last commit. */
export interface SlotCommit {
  readonly sequence: number;
  readonly partition: string;
  /** Sorts intervals in time; a lower one never replaces a higher one, save by rollback. */
  readonly order: string;
  readonly runId: string;
  readonly materializationId: string;
  readonly jobId: string;
  readonly at: number;
  /** The slot was rolled back: the order of the newest interval that it had shown. Gone when it shows that one again, or a newer one. */
  readonly rolledBackFrom?: string;
}

/** The record that one publish into the slot is under way. All that a stranger needs to finish it is here. */
export interface Intent {
  readonly sequence: number;
  readonly jobId: string;
  readonly name: string;
  readonly partition: string;
  readonly order: string;
  readonly runId: string;
  readonly token: number;
  readonly openedAt: number;
  readonly staging: TableRef;
  readonly destination: Destination;
  readonly head: Omit<Head, "at">;
  /** The event to append when the publish succeeds. */
  readonly event: SluiceEvent;
  readonly finish: Finish;
}

/** A table, or one partition of a table: where data becomes visible. */
export interface SlotDocument {
  /** The last sequence number used by an intent. */
  readonly sequence: number;
  readonly committed?: SlotCommit;
  readonly intent?: Intent;
}

/** The newest materialized partition of an asset; written only when it advances. */
export interface AssetDocument {
  readonly key: string;
  readonly partition: string;
  /** Sorts as the partitions do. */
  readonly order: string;
  readonly materializationId: string;
  readonly at: number;
}

export interface SensorDocument {
  readonly name: string;
  /** What a person chose with `sluice sensor start|stop`; it outranks the definition's `defaultStatus`. */
  readonly status?: "running" | "stopped";
}

/** `unknown`: there is no data yet, and there need not be. */
export type FreshnessStatus = "fresh" | "late" | "unknown";

/** What is known of how an asset keeps its freshness policy. Written when it changes. */
export interface FreshnessDocument {
  readonly asset: string;
  /** Hash of the policy. */
  readonly policy: string;
  /** When that policy was first seen. */
  readonly since: number;
  readonly status: FreshnessStatus;
  /** When the status became what it is. */
  readonly at: number;
  readonly because: string;
}

/** Something that happened and that an alert may be about; small enough to be kept with a deadline. */
export interface Notice {
  /** The event's id. */
  readonly event: string;
  readonly type: "run.failed" | "check.evaluated" | "freshness.failed" | "freshness.restored" | "message.dead-lettered";
  readonly at: number;
  readonly asset?: string;
  readonly partition?: string;
  readonly run?: string;
  /** The check, or the subscription. */
  readonly about?: string;
  readonly code?: string;
  readonly reason: string;
}

/** What is known of one alert about one thing: what was sent, and what waits. */
export interface AlertDocument {
  readonly alert: string;
  /** What the messages have in common: the thing and what is wrong with it. */
  readonly group: string;
  /** The last notices that were taken in, by their events: each is counted once. */
  readonly seen: readonly string[];
  /** Waits for being sent: the first notice, the last one, and how many there are. */
  readonly waiting?: { readonly first: Notice; readonly last: Notice; readonly count: number };
  /** Is being sent, under an id that stays; `at`: when it is tried, or tried again. */
  readonly sending?: {
    readonly id: string;
    readonly first: Notice;
    readonly last: Notice;
    readonly count: number;
    readonly attempt: number;
    readonly at: number;
    /** That it is late has been told. */
    readonly delayed?: true;
  };
  /** Nothing of the group is sent before. */
  readonly quietUntil?: number;
}

/** A deadline. The sweep reads what is due and looks at the run it names; there is one entry a run. */
export interface DueDocument {
  readonly shard: number;
  readonly dueAt: number;
  readonly runId: string;
  /** `runId` is a backfill's id. */
  readonly backfill?: true;
  /** `runId` stands for the freshness of the asset with this origin. */
  readonly freshness?: string;
  /** `runId` stands for an event that alerts may be about. */
  readonly notice?: Notice;
  /** `runId` stands for the alert document of this id. */
  readonly alert?: string;
  /**
   * `runId` stands for an asset whose pause is over: what waited in its partitions goes out, page by page, after `after`; and
   * again (`sent`), until a whole pass finds nothing that waits.
   */
  readonly resume?: { readonly asset: string; readonly after?: string; readonly sent?: true };
}

/** A paused asset begins no runs by itself; there is no document while it is not paused. */
export interface PauseDocument {
  readonly asset: string;
  readonly at: number;
  readonly reason?: string;
  /** The asset is called so now, and under the old name no run begins any more: here, because every claim reads it. */
  readonly movedTo?: string;
}

/** Which partitions of its range a backfill requests: those without data, those whose last run failed, or all. */
export type BackfillChoice = "missing" | "failed" | "all";

/** What became of the partitions that a backfill has come past; `passedOver` were not requested at all. */
export interface BackfillCounts {
  readonly passedOver: number;
  readonly succeeded: number;
  readonly skipped: number;
  readonly failed: number;
}

/**
 * A range of partitions that are materialized some at a time. Its size does not depend on the range's: partitions are
 * numbered in the order in which they are requested, from 0, and those before `next` have been requested or passed over.
 */
export interface BackfillDocument {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly asset: string;
  /** Partition keys, both inclusive. */
  readonly from: string;
  readonly to: string;
  readonly total: number;
  readonly which: BackfillChoice;
  readonly force?: true;
  /** The run of the first partition makes the whole range; those of the others only record that. */
  readonly singleRun?: true;
  /** In which order they are requested, and numbered; absent for the oldest first. That of a single run comes before all. */
  readonly order?: "newest-first";
  readonly maxConcurrent: number;
  /** So many are requested on one day (UTC) at most. */
  readonly perDay?: number;
  /** A cancelled one requests nothing more; it has ended when what was under way has. */
  readonly status: "running" | "cancelled" | "done";
  readonly reason?: string;
  readonly next: number;
  /** Requested, and not known to have ended; at most `maxConcurrent`. */
  readonly underWay: readonly { readonly partition: string; readonly askedAt: number }[];
  readonly counts: BackfillCounts;
  /** The last few failed runs. */
  readonly failures: readonly { readonly partition: string; readonly runId: string; readonly reason: string }[];
  /** The day (its first millisecond) of the last requests, and how many there were on it. */
  readonly day?: { readonly start: number; readonly requested: number };
  /** Grows with every change: whoever decides on an older one decides nothing. */
  readonly revision: number;
  readonly createdAt: number;
  /** When it was started or resumed, and how many runs had ended by then: what an estimate goes by. */
  readonly since: { readonly at: number; readonly ended: number };
  readonly updatedAt: number;
  readonly endedAt?: number;
}

/** A named position: how far a listing, a schedule or a watcher has come. */
export interface CursorDocument {
  readonly value: string;
  readonly at: number;
}

export interface Documents {
  readonly run: RunDocument;
  readonly partition: PartitionDocument;
  readonly slot: SlotDocument;
  readonly asset: AssetDocument;
  readonly sensor: SensorDocument;
  readonly due: DueDocument;
  readonly cursor: CursorDocument;
  readonly backfill: BackfillDocument;
  readonly freshness: FreshnessDocument;
  readonly alert: AlertDocument;
  readonly pause: PauseDocument;
}

export type DocumentKind = keyof Documents;

/** The address of one document. Ids are any text up to 1,500 bytes of UTF-8. */
export interface Ref<K extends DocumentKind = DocumentKind> {
  readonly kind: K;
  readonly id: string;
}

export type Refs = Readonly<Record<string, Ref>>;

/** The documents behind a set of refs, each `undefined` where there is none yet. */
export type Read<R extends Refs> = {
  readonly [N in keyof R]: R[N] extends Ref<infer K> ? Documents[K] | undefined : never;
};

export type Write =
  | { readonly [K in DocumentKind]: { readonly put: Ref<K>; readonly value: Documents[K] } }[DocumentKind]
  | { readonly delete: Ref };

/** What a pure rule decided: all of it is applied, or none. */
export interface Decision<T> {
  readonly result: T;
  readonly writes: readonly Write[];
  readonly events: readonly SluiceEvent[];
}

/** A decision that changes nothing. */
export function decided<T>(result: T): Decision<T> {
  return { result, writes: [], events: [] };
}

export function ref<K extends DocumentKind>(kind: K, id: string): Ref<K> {
  return { kind, id };
}

export function put<K extends DocumentKind>(to: Ref<K>, value: Documents[K]): Write {
  // The mapped union above pairs each kind with its own document, which the generic call already does.
  return { put: to, value } as Write;
}
