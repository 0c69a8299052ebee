/** Counts of what was really exercised, so that a simulation in which nothing happens is seen. */
import type { StoredEvent } from "../../lib/core/events.ts";
import type { World } from "./world.ts";

export type Counts = Record<string, number>;

export interface Tally {
  schedules: number;
  readonly projects: Counts;
  /** Faults that happened. */
  readonly faults: Counts;
  /** Ways that runs took, by the events that they left. */
  readonly paths: Counts;
  readonly violations: { readonly seed: number; readonly what: string }[];
}

export function newTally(): Tally {
  return { schedules: 0, projects: {}, faults: {}, paths: {}, violations: [] };
}

export function countWorld(tally: Tally, { project, faults, documents }: World): void {
  tally.schedules += 1;
  add(tally.projects, project.name, 1);
  for (const [fault, times] of faults) add(tally.faults, fault, times);
  for (const event of documents.events) {
    const path = pathOf(event);
    if (path !== undefined) add(tally.paths, path, 1);
  }
}

export function addTally(to: Tally, other: Tally): void {
  to.schedules += other.schedules;
  for (const part of ["projects", "faults", "paths"] as const)
    for (const [name, count] of Object.entries(other[part])) add(to[part], name, count);
  to.violations.push(...other.violations);
}

function pathOf(event: StoredEvent): string | undefined {
  switch (event.type) {
    case "run.started":
      if (event.tookOver === true) return "takeover of another run's partition";
      if (event.cause.kind === "schedule" && event.attempt === 1)
        return event.cause.at === undefined ? "run of a tick" : "run of a tick that was made up for";
      return event.attempt > 1 ? "run taken up again" : "run";
    case "publish.settled":
      return `intent settled: ${event.outcome}`;
    case "run.skipped":
      return `run skipped: ${event.code}`;
    case "run.failed":
      return `run failed: ${event.code}`;
    case "run.parked":
      return `run parked: ${event.code}`;
    case "run.coalesced":
      return event.reason === undefined ? "request coalesced or kept" : "request kept for the end of a pause";
    case "run.restarted":
      return "run restarted, its inputs changed";
    case "materialized": {
      if (event.metadata?.["madeByRun"] !== undefined) return "partition recorded by a single run";
      if (event.metadata?.["madePartitions"] !== undefined) return "range made by a single run";
      if (event.metadata?.["location"] !== undefined) return "version stored";
      const restored = event.metadata?.["restored_from"] === undefined ? "" : ", from a raw table";
      return event.rolledBackFrom === undefined ? "materialization" : `rollback${restored}`;
    }
    case "run.succeeded":
      return event.reason === undefined ? undefined : "run canceled too late";
    case "run.canceled":
    case "asset.paused":
    case "asset.resumed":
    case "message.refused":
      return event.type;
    case "backfill.ended":
      return `backfill ended: ${event.status}`;
    case "backfill.cancelled":
    case "backfill.resumed":
    case "asset.renamed":
    case "schema.extended":
    case "partition.sealed":
    case "partition.unsealed":
    case "object.deleted":
    case "object.kept":
      return event.type;
    default:
      return undefined;
  }
}

function add(counts: Counts, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}
