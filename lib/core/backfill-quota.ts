/**
 * Whether a backfill fits into what BigQuery takes. The limits are those of its published page "Quotas and limits":
 * a standard table takes 1,500 modifications a day, by load, copy and query jobs together; a table that is partitioned by
 * ingestion time 11,000 partition modifications a day, and one that is partitioned by a column 30,000; DML and DDL (a merge, a
 * view) do not count; a table has 10,000 partitions at most; a project runs 100,000 load jobs a day, failed ones included. None
 * of them but the last can be raised. A tenth of each day's share is left for the everyday runs and for retries.
 */
import { parseWindow, windowsBetween } from "./interval.ts";
import type { Interval } from "./interval.ts";
import type { PartitionsDefinition } from "./partitions.ts";

export const LIMITS = Object.freeze({
  tableChangesPerDay: 1_500,
  ingestionPartitionChangesPerDay: 11_000,
  columnPartitionChangesPerDay: 30_000,
  partitionsOfTable: 10_000,
  loadJobsPerDay: 100_000,
});

/** What a plan needs to know of an asset. */
export interface Planned {
  readonly key: string;
  readonly partitions?: PartitionsDefinition | undefined;
  readonly target?:
    | {
        readonly slot: "table" | "partition";
        readonly publish?: "replace" | "append" | "view" | { readonly merge: readonly string[] } | undefined;
        readonly partitioning?: { readonly column?: string | undefined } | undefined;
        readonly keepRaw?: boolean | undefined;
      }
    | undefined;
}

export interface Wanted {
  readonly from: string;
  readonly to: string;
  /** How many partitions would be requested. */
  readonly requests: number;
  /** Partitions of the asset that have data already, and are not requested. */
  readonly others: number;
  readonly perDay?: number | undefined;
}

export interface QuotaPlan {
  /** Warehouse jobs of our own, at least; what an author's code runs by itself comes on top. */
  readonly jobs: number;
  /** Requests that one day takes; absent where nothing counts them. */
  readonly perDay?: number;
  /** Days that it takes, at `perDay` or at the day's share. */
  readonly days: number;
  /** Why it cannot be done at all, and why not as asked, each in one line. */
  readonly tooManyPartitions?: string;
  readonly tooManyPerDay?: string;
}

interface Share {
  readonly limit: number;
  readonly what: string;
}

export function planQuota(asset: Planned, wanted: Wanted): QuotaPlan {
  const { requests, perDay: asked } = wanted;
  const share = shareOf(asset);
  const jobs = requests * jobsOf(asset);
  if (share === undefined) return { jobs, days: asked === undefined ? 1 : daysOf(requests, asked) };
  const perDay = Math.floor(share.limit * 0.9);
  const days = daysOf(requests, Math.min(perDay, asked ?? perDay));
  return {
    jobs,
    perDay,
    days,
    ...partitionsProblem(asset, wanted),
    ...dayProblem(asset, wanted, share, perDay),
  };
}

function partitionsProblem(asset: Planned, wanted: Wanted): Pick<QuotaPlan, "tooManyPartitions"> {
  if (asset.target?.slot !== "partition") return {};
  const after = wanted.requests + wanted.others;
  const limit = LIMITS.partitionsOfTable;
  if (after <= limit) return {};
  const coarser = coarserThan(asset, wanted, limit);
  return {
    tooManyPartitions:
      `the table of ${asset.key} would have ${shown(after)} partitions, and BigQuery takes ${shown(limit)}: ` +
      (coarser ?? "choose a shorter range"),
  };
}

function dayProblem(asset: Planned, wanted: Wanted, share: Share, perDay: number): Pick<QuotaPlan, "tooManyPerDay"> {
  const { requests, perDay: asked = Infinity } = wanted;
  if (Math.min(requests, asked) <= perDay) return {};
  const coarser = coarserThan(asset, wanted, perDay);
  return {
    tooManyPerDay:
      `${shown(Math.min(requests, asked))} runs of ${asset.key} do not fit into a day: BigQuery takes ${shown(share.limit)} ` +
      `${share.what} a day, and a tenth is left for everyday runs; --per-day ${perDay} would take ` +
      `${shown(daysOf(requests, perDay))} days${coarser === undefined ? "" : `, and ${coarser}`}`,
  };
}

/** What counts when a partition is published, and how much of it a day has; nothing for an asset that keeps no table. */
function shareOf({ target }: Planned): Share | undefined {
  if (target === undefined) return undefined;
  const { slot, publish, partitioning } = target;
  if (publish === "view" || typeof publish === "object") {
    return { limit: LIMITS.loadJobsPerDay, what: "load jobs of a project" };
  }
  if (slot === "table") return { limit: LIMITS.tableChangesPerDay, what: "changes of a table" };
  return partitioning?.column === undefined
    ? { limit: LIMITS.ingestionPartitionChangesPerDay, what: "changes of partitions by ingestion time" }
    : { limit: LIMITS.columnPartitionChangesPerDay, what: "changes of partitions by a column" };
}

/** One to fill the staging and one to publish it, and one more to keep it; a view is only published. */
function jobsOf({ target }: Planned): number {
  if (target === undefined) return 0;
  if (target.publish === "view") return 1;
  return target.keepRaw === true ? 3 : 2;
}

const COARSER: readonly Interval[] = ["daily", "weekly", "monthly"];
const ORDER = { hourly: 0, daily: 1, weekly: 2, monthly: 3 } as const;

/** The finest coarser partitioning of the same range that has at most `limit` partitions, in words. */
function coarserThan({ partitions }: Planned, { from, to }: Wanted, limit: number): string | undefined {
  if (partitions?.kind !== "time") return undefined;
  const { interval } = partitions;
  const start = parseWindow(interval, from).start;
  const end = parseWindow(interval, to).start;
  for (const coarser of COARSER) {
    const count = windowsBetween(coarser, start, end) + 1;
    if (ORDER[coarser] > ORDER[interval] && count <= limit) {
      return `${coarser} partitions would be ${shown(count)}, and fit`;
    }
  }
  return undefined;
}

function daysOf(requests: number, perDay: number): number {
  return Math.max(1, Math.ceil(requests / perDay));
}

function shown(count: number): string {
  return count.toLocaleString("en");
}
