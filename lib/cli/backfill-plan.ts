/** What a backfill would do, found out without doing it. */
import { usualConcurrency, usualOrder } from "../core/backfill.ts";
import { planQuota } from "../core/backfill-quota.ts";
import type { QuotaPlan } from "../core/backfill-quota.ts";
import type { BackfillChoice } from "../core/documents.ts";
import { checkBegun, partitionSpan } from "../core/partition-span.ts";
import { singleSpan } from "../core/single-run.ts";
import { countOthers, countWanted } from "../runtime/backfill-look.ts";
import type { AssetEntry } from "./catalog.ts";
import { withPreviousNames } from "./previous-names.ts";
import type { Shell } from "./shell.ts";
import { countText, durationText } from "./tables.ts";
import { UsageError } from "./usage-error.ts";
import type { ReadableStore } from "./workbench.ts";

export interface PlanOptions {
  readonly from: string;
  readonly to: string;
  readonly which: BackfillChoice;
  readonly maxConcurrent?: number;
  readonly perDay?: number;
  readonly singleRun?: true;
}

export interface BackfillPlan {
  readonly asset: string;
  /** Partitions of the range. */
  readonly total: number;
  readonly requests: number;
  /** One run would make them all. */
  readonly singleRun?: true;
  readonly first?: string;
  readonly last?: string;
  readonly maxConcurrent: number;
  readonly order: "newest-first" | "oldest-first";
  readonly quota: QuotaPlan;
  /** By the asset's last runs; absent where it has none. */
  readonly estimateMs?: number;
}

const LAST_RUNS = 20;
const DAY_MS = 86_400_000;
const MANY = 10_000;

/** Throws `UsageError` for an asset without partitions, and `DefinitionError` for a range that is none. */
export async function planBackfill(
  store: ReadableStore,
  asset: AssetEntry,
  options: PlanOptions,
  now: number,
): Promise<BackfillPlan> {
  const { partitions, key } = asset;
  if (partitions === undefined) throw new UsageError(`${key} has no partitions: use \`sluice materialize ${key}\``);
  if (asset.external !== undefined) throw new UsageError(`${key} is made elsewhere: there is nothing to run`);
  const span = partitionSpan(partitions, options.from, options.to);
  checkBegun(partitions, span, now);
  const named = withPreviousNames(store, [asset]);
  const range = { store: named, asset: key, partitions, span, which: options.which };
  const { wanted: requests, ...ends } = await countWanted(range);
  const taken =
    options.singleRun === true ? singleSpan(asset, partitions, options, { wanted: requests, ...ends }) : undefined;
  if (typeof taken === "string") throw new UsageError(taken);
  const single = taken === undefined ? {} : { singleRun: true as const };
  const others = await countOthers(range, MANY);
  const quota = planQuota(asset, { from: span.from, to: span.to, requests, others, perDay: options.perDay });
  const maxConcurrent = options.maxConcurrent ?? usualConcurrency(asset);
  const runMs = await usualRunMs(store, key);
  const spread = options.perDay === undefined ? 0 : (quota.days - 1) * DAY_MS;
  const estimate =
    runMs === undefined || options.singleRun === true
      ? {}
      : { estimateMs: Math.max(spread, (runMs * requests) / Math.min(maxConcurrent, requests || 1)) };
  const order = usualOrder(asset) ?? "oldest-first";
  return { asset: key, total: span.total, requests, ...single, ...ends, maxConcurrent, order, quota, ...estimate };
}

async function usualRunMs(store: ReadableStore, name: string): Promise<number | undefined> {
  const { items } = await store.runs({ kind: "asset", name, status: "succeeded", limit: LAST_RUNS });
  const times = items.flatMap(({ createdAt, endedAt }) => (endedAt === undefined ? [] : [endedAt - createdAt]));
  return times.length === 0 ? undefined : times.reduce((sum, ms) => sum + ms, 0) / times.length;
}

export function printPlan(shell: Shell, plan: BackfillPlan): void {
  const { total, requests, singleRun, first, last, maxConcurrent, order, quota, estimateMs } = plan;
  const { jobs, perDay, days, tooManyPartitions, tooManyPerDay } = quota;
  const range = first === undefined ? "" : first === last ? `: ${first}` : `: ${first} to ${last ?? ""}`;
  const whyNoEstimate = singleRun === true ? "no run has made them at once" : "it has no runs to go by";
  const rows: (readonly [string, string])[] = [
    ["would request", `${countText(requests, "partition")}${range}`],
    ["would pass over", countText(total - requests, "partition")],
    singleRun === true
      ? ["runs", "1, which makes all of them"]
      : ["at a time", `${maxConcurrent}, the ${order === "newest-first" ? "newest" : "oldest"} first`],
    ["warehouse jobs", jobs === 0 ? "those that its code runs" : `${jobs.toLocaleString("en")} or more`],
    ["estimate", estimateMs === undefined ? `none: ${whyNoEstimate}` : `about ${durationText(estimateMs)}`],
  ];
  if (perDay !== undefined) {
    rows.push([
      "in BigQuery",
      `${countText(days, "day")} at least, of ${perDay.toLocaleString("en")} requests at most`,
    ]);
  }
  for (const problem of [tooManyPartitions, tooManyPerDay]) {
    if (problem !== undefined) rows.push(["does not fit", problem]);
  }
  for (const [name, text] of rows) shell.print(`${shell.paint("dim", name.padEnd(16))} ${text}`);
}
