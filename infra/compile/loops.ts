/** Objects that start what writes them again: by themselves, or through what follows. */
import type { Definitions } from "../../lib/core/definitions.ts";
import { allNeeds } from "../../lib/core/definitions.ts";
import { followsUpstreams } from "../../lib/core/automation.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import type { Need, ObjectLocation } from "../../lib/core/needs.ts";

interface Step {
  readonly to: string;
  /** Left out where no object is written in between. */
  readonly by?: string;
}

/** One problem for each way round that begins with something that writes objects. */
export function loopProblems(definitions: Definitions): DefinitionError[] {
  const steps = stepsOf(definitions);
  const problems: DefinitionError[] = [];
  const told = new Set<string>();
  for (const [from, next] of steps) {
    for (const { to, by } of next) {
      if (by === undefined) continue;
      const back = wayTo(steps, to, from);
      if (back === undefined) continue;
      const members = [...new Set([from, ...back])].sort().join();
      if (told.has(members)) continue;
      told.add(members);
      const where = definitions.places.get(from) ?? from;
      const chain = to === from ? "starts it again" : `starts ${[...back, from].join(" → ")} again`;
      problems.push(
        new DefinitionError(`what ${from} writes to ${by} ${chain}, for ever`, {
          where,
          remedy: "write to another prefix or bucket than the one that is watched",
        }),
      );
    }
  }
  return problems;
}

/** The names on the way from `from` up to, but without, `goal`; `undefined` where there is none. */
function wayTo(steps: ReadonlyMap<string, readonly Step[]>, from: string, goal: string): readonly string[] | undefined {
  const before = new Map<string, string>();
  const queue = [from];
  const seen = new Set(queue);
  for (const at of queue) {
    if (at === goal) {
      const way: string[] = [];
      for (let step: string | undefined = before.get(at); step !== undefined; step = before.get(step))
        way.unshift(step);
      return way;
    }
    for (const { to } of steps.get(at) ?? []) {
      if (seen.has(to)) continue;
      seen.add(to);
      before.set(to, at);
      queue.push(to);
    }
  }
  return undefined;
}

function stepsOf(definitions: Definitions): ReadonlyMap<string, readonly Step[]> {
  const { assets, jobs, sensors, graph } = definitions;
  const watched = watchedPlaces(definitions);
  const steps = new Map<string, Step[]>();
  const add = (from: string, step: Step): void => {
    steps.set(from, [...(steps.get(from) ?? []), step]);
  };
  const addWrites = (from: string, needs: readonly Need[]): void => {
    for (const need of needs) {
      if (need.kind !== "write-objects") continue;
      for (const { to, place } of watched)
        if (overlap(need, place)) add(from, { to, by: `gs://${need.bucket}/${need.prefix}` });
    }
  };
  for (const [key, asset] of assets) {
    addWrites(`asset ${key}`, allNeeds(definitions, asset));
    for (const follower of graph.dependentsOf(key))
      if (followsUpstreams(assets.get(follower)?.automation)) add(`asset ${key}`, { to: `asset ${follower}` });
  }
  for (const { name, needs, multi } of jobs.values()) {
    addWrites(`job ${name}`, needs);
    for (const { key } of Object.values(multi?.outputs ?? {})) add(`job ${name}`, { to: `asset ${key}` });
  }
  for (const { name, watches, requests, needs } of sensors.values()) {
    addWrites(`sensor ${name}`, needs);
    add(`sensor ${name}`, { to: requests.kind === "job" ? `job ${requests.name}` : `asset ${requests.key}` });
    if (watches.kind === "asset") add(`asset ${watches.asset}`, { to: `sensor ${name}` });
  }
  return steps;
}

function watchedPlaces({ assets, sensors }: Definitions): readonly { to: string; place: ObjectLocation }[] {
  return [
    ...[...assets.values()].flatMap(({ key, source }) =>
      source === undefined ? [] : [{ to: `asset ${key}`, place: { bucket: source.bucket, prefix: source.pathBase } }],
    ),
    ...[...sensors.values()].flatMap(({ name, watches }) =>
      watches.kind === "objects" ? [{ to: `sensor ${name}`, place: watches }] : [],
    ),
  ];
}

function overlap(a: ObjectLocation, b: ObjectLocation): boolean {
  return a.bucket === b.bucket && (isBelow(a.prefix, b.prefix) || isBelow(b.prefix, a.prefix));
}

function isBelow(name: string, prefix: string): boolean {
  return prefix === "" || name === prefix || name.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}
