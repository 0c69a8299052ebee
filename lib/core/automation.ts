/** When an asset is asked to run by itself, as data. */
import { nextTick } from "./cron.ts";
import { canonicalJson, shortHash } from "./hash.ts";
import { intervalCron } from "./interval.ts";
import type { Interval } from "./interval.ts";
import type { PartitionsDefinition } from "./partitions.ts";

/** A cron line of five fields in a time zone: the latest whole partition is requested at each tick. */
export interface ScheduleCondition {
  readonly kind: "schedule";
  readonly cron: string;
  readonly timeZone: string;
}

/** Decided whenever an upstream materializes, from what all upstreams show then. */
export type UpstreamCondition =
  | { readonly kind: "eager" }
  | { readonly kind: "on-missing" }
  | { readonly kind: "on-cron"; readonly cron: string; readonly timeZone: string };

export type AutomationCondition = ScheduleCondition | UpstreamCondition;

/** At the end of every window: the partition that has just become whole is requested. */
export function onInterval(interval: Interval): ScheduleCondition {
  return { kind: "schedule", cron: intervalCron(interval), timeZone: "UTC" };
}

/** At the times of a cron line, in `timeZone` (an IANA name): the latest whole partition is requested. */
export function onSchedule(cron: string, timeZone = "UTC"): ScheduleCondition {
  return { kind: "schedule", cron: checkCron(cron, timeZone), timeZone };
}

/** Whenever an upstream has something newer than what the partition was made from, and no upstream is missing. */
export function eager(): UpstreamCondition {
  return { kind: "eager" };
}

/** Once all upstreams are there, for a partition that was never made. */
export function onMissing(): UpstreamCondition {
  return { kind: "on-missing" };
}

/** Once after each tick of a cron line: as soon as every upstream has been updated since that tick. */
export function onCron(cron: string, timeZone = "UTC"): UpstreamCondition {
  return { kind: "on-cron", cron: checkCron(cron, timeZone), timeZone };
}

/** Whether the asset listens to its upstreams. */
export function followsUpstreams(condition: AutomationCondition | undefined): condition is UpstreamCondition {
  return condition !== undefined && condition.kind !== "schedule";
}

/**
 * What a scheduled request stands for: the window that has ended, where the schedule ticks with the partitions; otherwise
 * the tick, by its minute. A message that is published twice within it starts nothing. `config`: of a job's request, since two
 * schedules of one multi-asset may tick in one minute for other outputs.
 */
export function scheduledRunKey(
  asset: {
    readonly partitions?: PartitionsDefinition | undefined;
    readonly automation?: AutomationCondition | undefined;
  },
  partition: string,
  publishedAt: number,
  config?: unknown,
): string {
  const { partitions, automation } = asset;
  const byWindow =
    partitions?.kind === "time" &&
    (automation?.kind !== "schedule" || automation.cron === intervalCron(partitions.interval));
  if (byWindow) return `schedule:${partition}`;
  const what = config === undefined ? "" : `${shortHash([canonicalJson(config)])}:`;
  return `schedule:${partition}:${what}${new Date(Math.floor(publishedAt / 60_000) * 60_000).toISOString()}`;
}

function checkCron(cron: string, timeZone: string): string {
  nextTick(cron, timeZone, 0);
  return cron;
}
