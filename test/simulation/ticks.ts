/** What comes by the clock: one message at each tick, as Cloud Scheduler publishes it, and in the end a run of every tick that counts. */
import { cronLine } from "../../lib/core/cron.ts";
import type { CronLine } from "../../lib/core/cron.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { put, ref } from "../../lib/core/documents.ts";
import type { RunDocument } from "../../lib/core/documents.ts";
import { overdueTick, runsOfTick, scheduledRequests, scheduleId } from "../../lib/core/schedule.ts";
import type { ScheduledRequest, ScheduleRules } from "../../lib/core/schedule.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { remembered } from "./remembered.ts";
import type { Surroundings } from "./surroundings.ts";
import { START } from "./time.ts";
import type { Transport } from "./transport.ts";

export const RULES: ScheduleRules = { schedules: {}, spreadMinutes: { hourly: 0, daily: 0, weekly: 0, monthly: 0 } };

export interface Ticking {
  readonly request: ScheduledRequest;
  readonly line: CronLine;
  /** As `runsOfTick`. */
  runsOf(tick: number): readonly string[];
}

/** All worlds begin at the same time, and so have the same ticks: what is known of them is found out once. */
export function tickingIn(definitions: Definitions): readonly Ticking[] {
  return scheduledRequests(definitions, RULES).map((request) => {
    const { last, next } = cronLine(request.cron, request.timeZone);
    const line = { last, next: remembered(next, itself) };
    return { request, line, runsOf: remembered((tick) => runsOfTick(request, line, tick), itself) };
  });
}

const itself = (at: number): number => at;

interface Publishing {
  readonly ticking: readonly Ticking[];
  readonly transport: Pick<Transport, "publish">;
  now(): number;
}

/** To be called when time has passed: publishes what was due meanwhile, as of its own time. */
export function tickPublisher({ ticking, transport, now }: Publishing): () => void {
  const waiting = ticking.map(({ request, line }) => ({ request, line, at: line.next(now()) }));
  return () => {
    for (const each of waiting)
      while (each.at !== undefined && each.at <= now()) {
        transport.publish(each.request.topic, each.request.data, {}, each.at);
        each.at = each.line.next(each.at);
      }
  };
}

/** Where the runtime keeps up to which tick each schedule is settled. */
export const CURSOR = "schedule ticks";

/** A schedule begins with the first sweep that knows it: that has been, when a world begins. */
export function knowTicks(documents: MemoryDocuments, ticking: readonly Ticking[], now: number): void {
  if (ticking.length === 0) return;
  const value = JSON.stringify(Object.fromEntries(ticking.map(({ request }) => [scheduleId(request), now])));
  const write = put(ref("cursor", CURSOR), { value, at: now });
  documents.apply({}, () => ({ result: undefined, writes: [write], events: [] }));
}

/** A run that the clock has asked for is that of a tick, and of none that another run is of. */
export function onTickBegun({ project, documents, fail, now }: Surroundings, id: string, run: RunDocument): void {
  if (run.request.cause.kind !== "schedule" || run.status !== "running") return;
  for (const { line, runsOf } of project.ticking)
    for (let tick = line.next(START); tick !== undefined && tick <= now(); tick = line.next(tick)) {
      const runs = runsOf(tick);
      if (!runs.includes(id)) continue;
      const other = runs.find((each) => each !== id && documents.get("run", each) !== undefined);
      if (other !== undefined) fail(`one tick has become two runs of ${run.name}: ${other} and ${id}`);
      return;
    }
  fail(`run ${id} of ${run.name} is of no tick`);
}

/** The last tick of each schedule has become a run, or part of the request of a later one. */
export function ticksAtRest({ project, documents, fail, now }: Surroundings): void {
  for (const { request, line, runsOf } of project.ticking) {
    const tick = overdueTick(line, START, now());
    const runs = tick === undefined ? [] : runsOf(tick);
    const came = (id: string): boolean =>
      documents.get("run", id) !== undefined ||
      documents.events.some(({ type, run }) => type === "run.coalesced" && run === id);
    if (runs.length > 0 && !runs.some(came))
      fail(`nothing has come of the tick of ${request.topic} at ${new Date(tick ?? 0).toISOString()}`);
  }
}
