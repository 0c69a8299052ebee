/** Many seeds, one after the other. */
import { play } from "./play.ts";
import { projects } from "./projects.ts";
import { scheduleOf } from "./schedule.ts";
import { countWorld, newTally } from "./tally.ts";
import type { Tally } from "./tally.ts";

export interface Batch {
  readonly from: number;
  readonly seeds: number;
  /** Passes over the seeds of all other projects. */
  readonly only?: readonly string[] | undefined;
  /** Give up after so many violations. Default 10. */
  readonly atMost?: number;
  /** Called now and then with how many are done. */
  readonly onProgress?: (done: number) => void;
}

export async function playSeeds({ from, seeds, only, atMost = 10, onProgress }: Batch): Promise<Tally> {
  const project = projects();
  const tally = newTally();
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // errors are how runs are left here, thousands a second
  for (let seed = from; seed < from + seeds && tally.violations.length < atMost; seed++) {
    const schedule = scheduleOf(seed, project);
    if (only?.includes(schedule.project) === false) continue;
    try {
      const { violation, world } = await play(schedule, project(schedule.project));
      countWorld(tally, world);
      if (violation !== undefined) tally.violations.push({ seed, what: violation });
    } catch (error) {
      tally.violations.push({
        seed,
        what: `the simulator has failed: ${String(error)}`,
      });
    }
    if (tally.schedules % 1_000 === 0) onProgress?.(tally.schedules);
  }
  Error.stackTraceLimit = stackTraceLimit;
  return tally;
}
