/** What may run at the same time, and how often it may start: pure, with the time as an argument. */
import type { Limit } from "../plan/step.ts";

export interface Quota {
  /** The earliest instant at which one more may start, milliseconds; `Infinity`: not before another one ends. */
  opensAt(now: number): number;
  begin(now: number): void;
  end(): void;
}

const MINUTE_MS = 60_000;

/** Counts the starts of the last minute, so that no minute, wherever it begins, has more of them than it may. */
export function quotaOf({ parallel, perMinute }: Limit): Quota {
  let running = 0;
  /** Of the last minute, the first first. */
  const starts: number[] = [];
  return {
    opensAt(now) {
      if (running >= parallel) return Infinity;
      while ((starts[0] ?? now) <= now - MINUTE_MS) starts.shift();
      if (starts.length < perMinute) return now;
      return (starts[starts.length - perMinute] ?? now) + MINUTE_MS;
    },
    begin(now) {
      running += 1;
      starts.push(now);
    },
    end() {
      running -= 1;
    },
  };
}
