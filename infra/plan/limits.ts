/** How much may happen at once, and how long a plan takes by that. */
import type { Limit, ResourceKind, Step } from "./step.ts";

/**
 * By kind. Google allows about 60 writes of functions a minute and, unless a project has asked for more, ten builds at once; the others
 * allow more than one machine asks for. A resource's policy is written by one step only, so these never meet.
 */
export const LIMITS: Readonly<Record<ResourceKind, Limit>> = {
  apis: { parallel: 1, perMinute: 60 },
  account: { parallel: 4, perMinute: 60 },
  bucket: { parallel: 2, perMinute: 30 },
  dataset: { parallel: 4, perMinute: 120 },
  database: { parallel: 1, perMinute: 10 },
  index: { parallel: 4, perMinute: 60 },
  field: { parallel: 4, perMinute: 60 },
  images: { parallel: 1, perMinute: 60 },
  topic: { parallel: 8, perMinute: 600 },
  queue: { parallel: 2, perMinute: 60 },
  source: { parallel: 1, perMinute: 60 },
  function: { parallel: 10, perMinute: 50 },
  trigger: { parallel: 8, perMinute: 300 },
  subscription: { parallel: 8, perMinute: 600 },
  notification: { parallel: 2, perMinute: 60 },
  schedule: { parallel: 4, perMinute: 120 },
  policy: { parallel: 8, perMinute: 300 },
};

/** What one step usually takes, seconds. */
export function secondsOf(kind: ResourceKind, action: Step["action"], calls: number): number {
  if (kind === "function") return action === "delete" ? 30 : 120;
  if (kind === "apis" || kind === "database") return 30;
  return 2 * Math.max(1, calls);
}

interface Lane {
  /** When each of the places is free again. */
  readonly free: number[];
  readonly starts: number[];
}

/** Seconds until the last step is done, if none fails. The steps are in an order in which they could run. */
export function estimate(steps: readonly Step[]): number {
  const ends = new Map<string, number>();
  const lanes = new Map<ResourceKind, Lane>();
  let last = 0;
  for (const { id, kind, needs, seconds } of steps) {
    const limit = LIMITS[kind];
    const lane = lanes.get(kind) ?? { free: Array.from({ length: limit.parallel }, () => 0), starts: [] };
    lanes.set(kind, lane);
    const ready = needs.reduce((latest, need) => Math.max(latest, ends.get(need) ?? 0), 0);
    const soonest = lane.free.reduce((best, free, index) => (free < (lane.free[best] ?? 0) ? index : best), 0);
    const minuteAgo = lane.starts[lane.starts.length - limit.perMinute];
    const start = Math.max(ready, lane.free[soonest] ?? 0, minuteAgo === undefined ? 0 : minuteAgo + 60);
    lane.starts.push(start);
    lane.free[soonest] = start + seconds;
    ends.set(id, start + seconds);
    last = Math.max(last, start + seconds);
  }
  return Math.round(last);
}
