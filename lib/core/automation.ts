/** When an asset is asked to run by itself, as data. */
import { intervalCron } from "./interval.ts";
import type { Interval } from "./interval.ts";

/** A cron line in a time zone (default UTC). Five fields. */
export interface ScheduleCondition {
  readonly kind: "schedule";
  readonly cron: string;
  readonly timeZone: string;
}

export type AutomationCondition = ScheduleCondition;

/** At the end of every window: the partition that has just become whole is requested. */
export function onInterval(interval: Interval): ScheduleCondition {
  return { kind: "schedule", cron: intervalCron(interval), timeZone: "UTC" };
}

/** At the times of a cron line, in `timeZone`: the latest whole partition is requested. */
export function onSchedule(cron: string, timeZone = "UTC"): ScheduleCondition {
  return { kind: "schedule", cron, timeZone };
}
