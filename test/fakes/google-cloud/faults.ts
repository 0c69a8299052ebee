/** Faults on demand: the next calls that match, or calls at random by a seed. */
import { seededRandom } from "../../support/virtual-clock.ts";

export type FaultKind =
  | number
  /** The connection breaks before the effect. */
  | "reset-before"
  /** … after the effect and before the answer. */
  | "reset-after"
  /** So long nothing happens first. */
  | { readonly slowMs: number };

export interface Fault {
  /** Which calls: a part of `METHOD api /path?query`, or a pattern for it. Default: every call. */
  readonly match?: string | RegExp;
  readonly fault: FaultKind;
  /** How many of them meet it. Default 1. */
  readonly times?: number;
  /** How many of them pass first. Default 0. */
  readonly skip?: number;
}

export interface RandomFaults {
  readonly seed: number;
  /** Of 1: how many of the calls that match. */
  readonly rate: number;
  readonly kinds: readonly FaultKind[];
  readonly match?: string | RegExp;
  /** How many faults at most. Default: no end. */
  readonly most?: number;
}

export interface Faults {
  add(fault: Fault): void;
  randomly(faults: RandomFaults): void;
  /** Forgets all that were asked for. */
  clear(): void;
  /** How many calls have met one. */
  met(): number;
  /** The fault that a call meets. */
  of(line: string): FaultKind | undefined;
}

export function faultsOnDemand(): Faults {
  let planned: { readonly fault: Fault; skip: number; left: number }[] = [];
  let random: ((line: string) => FaultKind | undefined) | undefined;
  let met = 0;

  const hits = (match: string | RegExp | undefined, line: string): boolean =>
    match === undefined || (typeof match === "string" ? line.includes(match) : match.test(line));

  function find(line: string): FaultKind | undefined {
    for (const entry of planned) {
      if (entry.left === 0 || !hits(entry.fault.match, line)) continue;
      if (entry.skip > 0) {
        entry.skip -= 1;
        continue;
      }
      entry.left -= 1;
      return entry.fault.fault;
    }
    return random?.(line);
  }

  return {
    add: (fault) => void planned.push({ fault, skip: fault.skip ?? 0, left: fault.times ?? 1 }),
    randomly({ seed, rate, kinds, match, most = Infinity }) {
      const chance = seededRandom(seed);
      let left = most;
      random = (line) => {
        if (left === 0 || !hits(match, line) || chance.next() >= rate) return undefined;
        left -= 1;
        return kinds[Math.floor(chance.next() * kinds.length)];
      };
    },
    clear() {
      planned = [];
      random = undefined;
    },
    met: () => met,
    of(line) {
      const found = find(line);
      if (found !== undefined) met += 1;
      return found;
    },
  };
}
