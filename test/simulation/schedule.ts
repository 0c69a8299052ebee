/** What happens, and in which order: all of it from one number, as a list that can be cut down. */
import { chance } from "./chance.ts";
import { commandsOf } from "./commands.ts";
import type { Command } from "./commands.ts";
import { SEVERAL, weightedNames } from "./projects.ts";
import type { Project } from "./projects.ts";

export type Part = "a" | "b" | "marker";
export type Wish = "force" | "rollback" | "unseal";

/** What producers and people do. */
export type Act =
  | Command
  | {
      readonly do: "write";
      readonly day: number;
      readonly part: Part;
      readonly bad?: true;
      /** With one more column. */
      readonly wide?: true;
      readonly unsettledMs?: number;
      /** Nobody is told. */
      readonly silent?: true;
    }
  | { readonly do: "remove"; readonly day: number; readonly part: Part }
  /** `asset`: its place among the project's. */
  | {
      readonly do: "ask";
      readonly asset: number;
      readonly day: number;
      readonly wish?: Wish;
    }
  /** All outputs of a multi-asset, or one of them, are asked of its job. */
  | { readonly do: "ask several"; readonly day: number; readonly select?: readonly string[]; readonly force?: true }
  | { readonly do: "clean"; readonly dryRun: boolean }
  /**
   * The instances of the old deployment die, and those of the next one begin; of one instance only, where `only` says which, while
   * the other goes on as it is. `fate`: of their requests under way.
   */
  | { readonly do: "deploy"; readonly fate: number; readonly only?: number }
  | {
      readonly do: "backfill";
      /** Its number: there may be two at a time. */
      readonly which: number;
      readonly order: { readonly action: "cancel" | "resume" } | BackfillOrder;
    };

export interface BackfillOrder {
  readonly action: "start";
  readonly from: number;
  readonly to: number;
  readonly which: "missing" | "failed" | "all";
  readonly force?: true;
  readonly maxConcurrent?: number;
  /** The whole range by one run; then the number of those at a time is not said. */
  readonly singleRun?: true;
}

export interface TimedAct {
  /** Before the choice of this number, or earlier when nothing else is left to do; at the end, where there is no such choice. */
  readonly at: number;
  readonly act: Act;
}

export interface Schedule {
  readonly project: string;
  /** Whether the clean-up's sensor is switched on. */
  readonly sensor: boolean;
  /** How far the clocks of the two instances are ahead, in ms. */
  readonly skews: readonly [number, number];
  /** Which faults are likely: a place in `MOODS`. */
  readonly mood: number;
  /** Whether everything is announced again at the end, though no message was lost. */
  readonly sweepsLast: boolean;
  readonly acts: readonly TimedAct[];
  /** One step each. 0 is calm: whatever is next in turn happens, undisturbed, as far as it goes. */
  readonly choices: readonly number[];
}

/** The kinds of steps. What cannot happen in a state is left out there. */
export const STEPS = [
  "go",
  "job",
  "late",
  "deliver",
  "twice",
  "crash",
  "pass",
  "sweep",
  "drop",
  "delay",
  "fail",
  "steal",
] as const;
export type StepKind = (typeof STEPS)[number];

/** How likely each kind of step is. Schedules that have a few kinds of faults in plenty find more than those that have all of them thinly. */
export const MOODS: readonly Readonly<Record<StepKind, number>>[] = [
  { go: 8, job: 3, late: 1, deliver: 3, twice: 1, crash: 1, pass: 1, sweep: 1, drop: 1, delay: 1, fail: 1, steal: 1 },
  { go: 8, job: 3, late: 2, deliver: 3, twice: 0, crash: 3, pass: 2, sweep: 1, drop: 0, delay: 0, fail: 0, steal: 0 },
  { go: 8, job: 2, late: 1, deliver: 4, twice: 3, crash: 0, pass: 3, sweep: 2, drop: 0, delay: 1, fail: 0, steal: 0 },
  { go: 8, job: 3, late: 1, deliver: 3, twice: 0, crash: 1, pass: 1, sweep: 0, drop: 3, delay: 2, fail: 2, steal: 0 },
  { go: 6, job: 4, late: 1, deliver: 3, twice: 0, crash: 2, pass: 1, sweep: 1, drop: 0, delay: 0, fail: 0, steal: 5 },
];

export function scheduleOf(seed: number, project: (name: string) => Project): Schedule {
  const luck = chance(seed);
  const { below, oneIn, bits, pick } = luck;
  const name = weightedNames[below(weightedNames.length)] ?? "";
  const { parts, marker, cleans, checked, backfills, ranges, widens, crowded, commanded, renamed, definitions } =
    project(name);
  const days = cleans || backfills || widens ? 4 : 1 + below(3);
  const all: readonly [Part, ...Part[]] = marker ? ["a", "b", "marker", "marker"] : ["a", ...parts.slice(1)];
  const skew = oneIn(4) ? (oneIn(2) ? 200_000 : -200_000) : 0;
  const intervals = ranges || crowded ? 2 : cleans || backfills || widens ? 3 : oneIn(3) ? 2 : 1;
  // Before anything can be cleaned up, it has to be loaded.
  const quiet = cleans && !oneIn(3) ? 10 * intervals : 0;
  const steps = 6 + below(30);

  const acts: TimedAct[] = [];
  const add = (at: number, act: Act): void => void acts.push({ at, act });
  const write = (at: number, day: number, part: Part): void => {
    const bad = checked && oneIn(4) ? { bad: true as const } : {};
    // Only a machine's own folder has files that are not listed yet, and a machine has one clock.
    const unsettled = skew === 0 && oneIn(12) ? { unsettledMs: 200 } : {};
    const wide = widens && oneIn(2) ? { wide: true as const } : {};
    add(at, { do: "write", day, part, ...bad, ...wide, ...unsettled });
  };
  const ask = (at: number, day: number): void => {
    const wishes = wishesIn(name, cleans);
    const wish = oneIn(2) ? {} : { wish: wishes[below(wishes.length)] ?? ("force" as const) };
    add(at, { do: "ask", asset: below(definitions.assets.size), day, ...wish });
  };
  // Whole intervals come first, so that something gets loaded; then whatever comes.
  for (let index = 0; index < intervals; index++) {
    const day = cleans ? index + 1 : 1 + below(days);
    const at = quiet > 0 ? 0 : below(steps);
    for (const part of new Set(all)) write(quiet === 0 && oneIn(3) ? below(steps) : at, day, part);
  }
  if (cleans) {
    const at = quiet + below(steps);
    add(at, { do: "clean", dryRun: oneIn(8) });
    // A file that is replaced while its interval is cleaned up, or a run that is asked for.
    if (oneIn(2)) write(at + 1 + below(8), 1 + below(2), pick(all));
    if (oneIn(3)) ask(at + 1 + below(8), 1 + below(2));
  }
  if (renamed !== undefined) {
    const at = below(steps);
    const overlaps = !oneIn(3);
    add(at, { do: "deploy", fate: bits(), ...(overlaps ? { only: below(2) } : {}) });
    // Otherwise the old one stays to the end.
    if (overlaps && oneIn(2)) add(at + 1 + below(16), { do: "deploy", fate: bits() });
  }
  for (let which = 0; backfills && which < (oneIn(3) ? 2 : 1); which++) {
    const from = 1 + below(2);
    const to = from + 1 + below(4);
    const action = "start" as const;
    const choice = pick(["missing", "all", "all", "failed"] as const);
    const order = {
      action,
      from,
      to,
      which: choice,
      ...(ranges && !oneIn(4) ? { singleRun: true as const } : { maxConcurrent: 1 + below(3) }),
      ...(oneIn(3) ? { force: true as const } : {}),
    };
    const at = below(steps);
    add(at, { do: "backfill", which, order });
    if (oneIn(6)) add(at + below(6), { do: "backfill", which, order });
    if (!oneIn(3)) continue;
    const cancelled = at + below(16);
    add(cancelled, { do: "backfill", which, order: { action: "cancel" } });
    if (!oneIn(3))
      add(cancelled + below(16), {
        do: "backfill",
        which,
        order: { action: "resume" },
      });
  }
  for (let left = below(3); left > 0; left--) {
    const at = quiet + below(steps + 4);
    const day = 1 + below(days);
    const kind = below(10);
    if (kind < 6) write(at, day, pick(all));
    else if (kind < 7) add(at, { do: "remove", day, part: pick(all) });
    else if (!definitions.jobs.has(SEVERAL) || oneIn(3)) ask(at, day);
    else {
      const select = oneIn(3) ? { select: ["left"] } : {};
      add(at, { do: "ask several", day, ...select, ...(oneIn(2) ? { force: true as const } : {}) });
    }
  }
  acts.push(...commandsOf(luck, { from: quiet, steps, assets: definitions.assets.size, often: commanded }));
  const calm = 2 + below(4);
  const mood = below(MOODS.length);
  const sensor = cleans && !oneIn(4);
  const sweepsLast = oneIn(12);
  const choices: number[] = [];
  for (let at = 0; at < quiet + steps; at++) choices.push(at < quiet || oneIn(calm) ? 0 : (bits() | 1) >>> 0);
  return {
    project: name,
    sensor,
    skews: [0, skew],
    mood,
    sweepsLast,
    acts: acts.sort((one, other) => one.at - other.at),
    choices,
  };
}

function wishesIn(project: string, cleans: boolean): readonly Wish[] {
  return [
    "force",
    ...(project.startsWith("overwrite") ? ["rollback" as const] : []),
    ...(cleans ? ["unseal" as const] : []),
  ];
}
