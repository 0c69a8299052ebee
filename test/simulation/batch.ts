/** Many seeds, one after the other. */
import { play } from "./play.ts";
import { projects } from "./projects.ts";
import { scheduleOf } from "./schedule.ts";
import { countWorld, newTally } from "./tally.ts";
import type { Tally } from "./tally.ts";

export interface Batch {
  readonly from: number;
  readonly seeds: number;
  /** Give up after so many violations. Default 10. */
  readonly atMost?: number;
  /** Called now and then with how many are done. */
  readonly onProgress?: (done: number) => void;
}

export async function playSeeds({ from, seeds, atMost = 10, onProgress }: Batch): Promise<Tally> {
  const project = projects();
  const tally = newTally();
  const began = process.cpuUsage();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // errors are how runs are left here, thousands a second
  for (let seed = from; seed < from + seeds && tally.violations.length < atMost; seed++) {
    const schedule = scheduleOf(seed, project);
    const { violation, world } = await play(schedule, project(schedule.project));
    countWorld(tally, world);
    if (violation !== undefined) tally.violations.push({ seed, what: violation });
    if (tally.schedules % 1_000 === 0) onProgress?.(tally.schedules);
  }
  Error.stackTraceLimit = stackTraceLimit;
  const { user, system } = process.cpuUsage(began);
  tally.cpuMs = (user + system) / 1_000;
  return tally;
}
