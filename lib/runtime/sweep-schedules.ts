/** Makes up for ticks of schedules that never came: a message that was not published, or that nobody got. */
import { z } from "zod";
import { put, ref } from "../core/documents.ts";
import { cronLines, overdueTick, runsOfTick, scheduledRequests, scheduleId } from "../core/schedule.ts";
import type { ScheduledRequest } from "../core/schedule.ts";
import { eachInTurn } from "./each-in-turn.ts";
import { tickAttributes } from "./envelope.ts";
import type { Services } from "./services.ts";

/** Up to when the ticks of each schedule are settled, in milliseconds, by the schedule's id. */
const CURSOR = "schedule ticks";
const settledSchema = z.record(z.string(), z.number());
/** The rest is left to the next sweep. */
const SWEEP_MS = 20_000;

/**
 * The latest tick of each schedule is looked at once, some minutes after its time. Where no run has come of it, it is asked for again,
 * as the run that it would have been: one that comes late after all is the same. One read where no tick is to be looked at. A
 * schedule begins with the first sweep that knows it. Does nothing where the settings do not say when schedules tick.
 */
export async function sweepSchedules({ events, bus, clock, random, definitions, settings }: Services): Promise<void> {
  if (settings.schedules === undefined) return;
  const requests = scheduledRequests(definitions(), settings.schedules);
  const cursor = ref("cursor", CURSOR);
  const settled = settledIn((await events.get("cursor", CURSOR))?.value);
  const began = clock.now();
  const lineOf = cronLines();
  const moved = new Map<string, number>();

  async function look(request: ScheduledRequest): Promise<void> {
    const id = scheduleId(request);
    const since = settled.get(id);
    if (since === undefined) return void moved.set(id, began);
    if (clock.now() - began > SWEEP_MS) return;
    const line = lineOf(request);
    const tick = overdueTick(line, since, began);
    if (tick === undefined) return;
    const runs = runsOfTick(request, line, tick);
    if (runs.length > 0 && !(await anyOf(runs))) {
      const data: unknown = Object.assign({}, request.data, { cause: { kind: "schedule", at: tick } });
      await bus.publish(request.topic, { data, attributes: tickAttributes(tick) });
    }
    moved.set(id, tick);
  }
  async function anyOf(runs: readonly string[]): Promise<boolean> {
    for (const run of runs) if ((await events.get("run", run)) !== undefined) return true;
    return false;
  }
  async function remember(): Promise<void> {
    const known = new Set(requests.map(scheduleId));
    if (moved.size === 0 && [...settled.keys()].every((id) => known.has(id))) return;
    await events.transact({ cursor }, (state) => {
      // Another sweep may be further.
      const next = settledIn(state.cursor?.value);
      for (const [id, at] of moved) next.set(id, Math.max(at, next.get(id) ?? at));
      for (const id of next.keys()) if (!known.has(id)) next.delete(id);
      const value = JSON.stringify(Object.fromEntries(next));
      return { result: undefined, writes: [put(cursor, { value, at: began })], events: [] };
    });
  }
  // Now here and now there first, so that those which fail slowly do not keep the same ones waiting for ever.
  const first = Math.floor(random.next() * requests.length);
  const turns = [...requests.slice(first), ...requests.slice(0, first)].map((request) => () => look(request));
  // Last: who dies before it asks for the same runs again.
  await eachInTurn([...turns, remember], (act) => act());
}

function settledIn(value: string | undefined): Map<string, number> {
  return new Map(Object.entries(value === undefined ? {} : settledSchema.parse(JSON.parse(value))));
}
