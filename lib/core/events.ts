/**
 * The history: one union of events, append-only, each a plain JSON value with a version. Every state that is
 * shown to people is a fold over it. An event's id is deterministic wherever the same fact could be recorded
 * twice: the store keeps the first.
 */
import type { Cause } from "./request.ts";
import type { BackfillChoice, BackfillCounts, InputObject, RunKind } from "./documents.ts";
import type { Column } from "./table.ts";

export const EVENT_VERSION = 1;

export type MetadataValue =
  string | number | boolean | null | readonly MetadataValue[] | { readonly [key: string]: MetadataValue };
export type Metadata = Readonly<Record<string, MetadataValue>>;

/** What every event says. `asset`, `partition` and `run` are what history can be asked by. */
export interface EventBase {
  readonly v: typeof EVENT_VERSION;
  readonly id: string;
  /** Milliseconds since the epoch, UTC, by the clock of the process that decided. */
  readonly at: number;
  readonly asset?: string;
  readonly partition?: string;
  readonly run?: string;
}

export interface CheckResult {
  readonly check: string;
  readonly passed: boolean;
  readonly blocking: boolean;
  readonly severity: "warn" | "error";
  readonly message?: string;
  readonly metadata?: Metadata;
}

export type EventBody =
  | {
      readonly type: "run.started";
      readonly kind: RunKind;
      readonly name: string;
      readonly cause: Cause;
      readonly attempt: number;
      readonly tookOver?: boolean;
    }
  | { readonly type: "run.coalesced"; readonly runKey: string; readonly reason?: string }
  | { readonly type: "run.parked"; readonly code: string; readonly reason: string; readonly wakeAt: number }
  | { readonly type: "run.restarted"; readonly reason: string }
  | {
      readonly type: "run.succeeded";
      readonly kind: RunKind;
      readonly name: string;
      readonly metadata?: Metadata;
      /** What is to be said of it, such as that it was to be canceled. */
      readonly reason?: string;
    }
  | { readonly type: "run.skipped"; readonly code: string; readonly reason: string }
  | {
      readonly type: "run.failed";
      readonly code: string;
      readonly reason: string;
      readonly failures: number;
      readonly stack?: string;
    }
  | { readonly type: "run.cancel-requested"; readonly reason?: string }
  | {
      readonly type: "run.canceled";
      readonly code: string;
      readonly reason: string;
      /** What became of the warehouse jobs that were under way. */
      readonly jobs?: readonly { readonly jobId: string; readonly outcome: "stopped" | "ended" }[];
    }
  | { readonly type: "asset.paused"; readonly reason?: string }
  | { readonly type: "asset.resumed" }
  | { readonly type: "check.evaluated"; readonly result: CheckResult }
  | {
      readonly type: "materialized";
      readonly materializationId: string;
      readonly table?: string;
      readonly rows?: number;
      readonly schema?: readonly Column[];
      readonly fingerprint: string;
      readonly inputs: readonly InputObject[];
      readonly metadata?: Metadata;
      /** A rollback: the partition of a newer interval that it took the place of. */
      readonly rolledBackFrom?: string;
      /** Somebody else made the data, and said so. */
      readonly reported?: true;
      /** The version that whoever made the data gave it. */
      readonly dataVersion?: string;
    }
  /** A source was looked at, and is not what it was. */
  | {
      readonly type: "observed";
      readonly materializationId: string;
      readonly dataVersion: string;
      readonly metadata?: Metadata;
    }
  /** The asset has taken over all that was known of it under a previous key. */
  | { readonly type: "asset.renamed"; readonly from: string }
  | { readonly type: "publish.settled"; readonly jobId: string; readonly outcome: "rolled-forward" | "closed" }
  | { readonly type: "schema.extended"; readonly table: string; readonly columns: readonly string[] }
  | {
      readonly type: "sensor.ticked";
      readonly sensor: string;
      readonly requested: readonly string[];
      readonly skipReason?: string;
    }
  | { readonly type: "sensor.switched"; readonly sensor: string; readonly status: "running" | "stopped" }
  | {
      readonly type: "backfill.started";
      readonly backfill: string;
      readonly from: string;
      readonly to: string;
      readonly total: number;
      readonly which: BackfillChoice;
    }
  | { readonly type: "backfill.cancelled" | "backfill.resumed"; readonly backfill: string; readonly reason?: string }
  | {
      readonly type: "backfill.ended";
      readonly backfill: string;
      readonly status: "cancelled" | "done";
      readonly counts: BackfillCounts;
    }
  /** An asset's freshness policy is not kept any more, or is kept again. */
  | {
      readonly type: "freshness.failed" | "freshness.restored";
      readonly reason: string;
      /** The deadline that it is about; milliseconds, UTC. */
      readonly deadline?: number;
    }
  /** `count` notices in one message. */
  | {
      readonly type: "alert.sent";
      readonly alert: string;
      readonly about: string;
      readonly count: number;
      readonly attempt: number;
    }
  /** A message has not arrived, and is tried again; said once of each message. */
  | {
      readonly type: "alert.delayed";
      readonly alert: string;
      readonly about: string;
      readonly count: number;
      readonly attempt: number;
      /** Milliseconds, UTC. */
      readonly retryAt: number;
      /** What is wrong, and what to look at. */
      readonly reason: string;
    }
  | {
      readonly type: "alert.failed";
      readonly alert: string;
      readonly about: string;
      readonly count: number;
      readonly attempts: number;
      readonly reason: string;
    }
  | { readonly type: "partition.sealed" }
  | { readonly type: "partition.unsealed" }
  | { readonly type: "object.deleted"; readonly uri: string; readonly generation: string }
  | { readonly type: "object.kept"; readonly uri: string; readonly generation: string; readonly reason: string }
  | { readonly type: "object.refused"; readonly uri: string; readonly generation?: string; readonly reason: string }
  | { readonly type: "table.dropped"; readonly table: string; readonly reason: string }
  | { readonly type: "message.refused"; readonly topic: string; readonly messageId: string; readonly reason: string }
  /** A message was delivered in vain as often as it may be. All of it is kept, so that it can be published again. */
  | {
      readonly type: "message.dead-lettered";
      readonly deadLetter: string;
      readonly subscription: string;
      /** Absent where the subscription does not tell. */
      readonly topic?: string;
      readonly messageId: string;
      /** When it was first published; milliseconds, UTC. */
      readonly publishedAt: number;
      readonly attempts: number;
      readonly reason?: string;
      readonly attributes: Readonly<Record<string, string>>;
      /** The message's data, cut where it is long. */
      readonly text: string;
      /** Whole, in base64, where it is not in an object of its own. */
      readonly data?: string;
      readonly bytes: number;
      readonly sha256: string;
      readonly object?: { readonly bucket: string; readonly name: string };
    }
  | {
      readonly type: "message.replayed";
      readonly deadLetter: string;
      readonly topic: string;
      readonly messageId: string;
    }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields?: Metadata;
    };

export type SluiceEvent = EventBase & EventBody;
export type EventType = SluiceEvent["type"];

/** An event as history returns it: `position` grows with every event of a store and is what pages go by. */
export type StoredEvent = SluiceEvent & { readonly position: string };
