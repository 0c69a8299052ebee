/** Looks, for each guard that is switched off, for the first seed that notices. */
import { guards } from "./guards.ts";
import type { Guard } from "./lies.ts";
import { play } from "./play.ts";
import type { Project } from "./projects.ts";
import { scheduleOf } from "./schedule.ts";

/** Within so many seeds, each guard is missed. */
export const GUARD_BOUND = 120_000;

export interface Caught {
  readonly seed: number;
  readonly violation: string;
}

export async function catchGuard(
  guard: Guard,
  project: (name: string) => Project,
  bound = GUARD_BOUND,
): Promise<Caught | undefined> {
  for (let seed = 0; seed < bound; seed++) {
    const schedule = scheduleOf(seed, project);
    const { violation } = await play(schedule, project(schedule.project), { sabotage: guard.sabotage() });
    if (violation !== undefined) return { seed, violation };
  }
  return undefined;
}

/** The lines of a Markdown table, a guard each. Throws when one is not caught. */
export async function guardsTable(
  project: (name: string) => Project,
  onRow?: (name: string) => void,
): Promise<readonly string[]> {
  const lines = ["| guard | without it | seed | what is found |", "|---|---|---|---|"];
  for (const guard of guards) {
    onRow?.(guard.name);
    const caught = await catchGuard(guard, project);
    if (caught === undefined) throw new Error(`${guard.name}: nothing is found in ${GUARD_BOUND} seeds without it`);
    lines.push(`| ${guard.name} | ${guard.without} | ${caught.seed} | \`${shown(caught.violation)}\` |`);
  }
  return lines;
}

const LONGEST = 160;

function shown(violation: string): string {
  const text = violation.replaceAll("|", "/").replaceAll("`", "'");
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
