/** One schedule, played to its end. */
import type { Project } from "./projects.ts";
import type { Schedule } from "./schedule.ts";
import type { Sabotage } from "./sabotage.ts";
import { world } from "./world.ts";
import type { World } from "./world.ts";

export interface Played {
  /** What was found wrong, in one line. */
  readonly violation: string | undefined;
  readonly world: World;
}

export interface PlayOptions {
  readonly sabotage?: Sabotage | undefined;
  readonly traced?: boolean | undefined;
}

export async function play(schedule: Schedule, project: Project, options: PlayOptions = {}): Promise<Played> {
  const { acts, choices } = schedule;
  const made = world({ project, schedule, ...options });
  let next = 0;
  for (const [index, choice] of choices.entries()) {
    for (; (acts[next]?.at ?? Infinity) <= index || (next < acts.length && made.isIdle()); next++)
      perform(made, acts[next]?.act);
    await made.step(choice);
    if (made.violation() !== undefined || (next === acts.length && made.isIdle())) break;
  }
  for (; next < acts.length; next++) perform(made, acts[next]?.act);
  if (made.violation() === undefined) await made.settle();
  return { violation: made.violation(), world: made };
}

function perform(made: World, act: Schedule["acts"][number]["act"] | undefined): void {
  if (act !== undefined) made.act(act);
}
