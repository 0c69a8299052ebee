/** What commands need of the project: done by this process, or by the `sluice dev` that runs for the same home. */
import type { TableRef } from "../core/table.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import type { TableChanges } from "../ports/warehouse.ts";
import type { EventStore } from "../ports/event-store.ts";
import type { Operations } from "../runtime/operations.ts";
import type { Catalog } from "./catalog.ts";
import { probeDev } from "./dev-file.ts";
import { readGcpHome } from "./gcp-home.ts";

export type ReadableStore = Pick<EventStore, "get" | "history" | "runs" | "partitions" | "sensors">;

export interface OutgoingBytes {
  /** The message's data in base64; empty for none. */
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface QueryResult {
  readonly columns: readonly string[];
  readonly rows: AsyncIterable<Readonly<Record<string, unknown>>>;
}

export interface TableLook {
  changes(table: TableRef): Promise<TableChanges | undefined>;
  /** By how much a change may be dated later than the commit that it belongs to. */
  readonly slackMs: number;
  /** When the job of a publish ended, by the clock that dates changes; absent where that clock dates commits as well. */
  endOf?(jobId: string): Promise<number | undefined>;
}

/** The clocks of BigQuery and of functions differ, and a table may say that it was changed a moment after its job ended. */
export const BIGQUERY_SLACK_MS = 60_000;

export type BenchOperations = Pick<Operations, "cancel" | "pause" | "resume" | "replayDeadLetter">;

/** By the asset's key: it runs other code, or is not there yet. */
export type Differing = ReadonlyMap<string, "changed" | "missing">;

export interface Workbench {
  /** Whether others do the work: a running `sluice dev`, or a deployment. */
  readonly remote: boolean;
  /** The environment whose deployment does the work; absent on one machine. */
  readonly deployment?: string;
  readonly store: ReadableStore;
  catalog(): Promise<Catalog>;
  /** Resolves with the message id once the message cannot be lost. It is delivered by `settle` at the latest. */
  publish(topic: string, message: OutgoingBytes): Promise<string>;
  /** Stores the object whole and announces it, as its bucket would. */
  put(uri: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<ObjectInfo>;
  /** The rows of a query that can write nothing. */
  query(sql: string, signal: AbortSignal): Promise<QueryResult>;
  /** What the warehouse says of tables, by whomever they were changed. */
  readonly tables: TableLook;
  switchSensor(name: string, status: "running" | "stopped"): Promise<void>;
  /** Of a deployment: assets that it does not run as they are defined here. Empty where that cannot be told. */
  differing?(): Promise<Differing>;
  /** What people do about runs, assets and messages. What follows from it is done by `settle` at the latest. */
  readonly operations: BenchOperations;
  /** Resolves when nothing can be delivered now; what sleeps until later does not count. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export interface WorkbenchOptions {
  readonly home: string;
  readonly project: string;
  /** Hears of what went wrong behind the scenes, one line each. */
  warn(line: string): void;
}

/** Works through the `sluice dev` that runs for this home, or by itself where there is none; loads only what that takes. */
export async function openWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  const dev = await probeDev(options.home);
  if (dev !== undefined) return (await import("./remote-workbench.ts")).remoteWorkbench(dev);
  const gcp = await readGcpHome(options.home);
  if (gcp !== undefined) return (await import("./gcp-query.ts")).gcpHomeWorkbench(options, gcp);
  return (await import("./direct-workbench.ts")).directWorkbench(options);
}
