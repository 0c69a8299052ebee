import type { Clock, Random } from "../../lib/ports/clock.ts";

export interface VirtualClock extends Clock {
  /**
   * Lets time pass: wakes every sleeper whose time comes, in order, sleepers that start on the way included, each at
   * its own instant. Between two of them the event loop turns a few times, so that what was woken can go on.
   */
  advance(ms: number): Promise<void>;
  /** Advances from sleeper to sleeper until `promise` settles; rejects when `limitMs` have passed before it does. */
  runUntil<T>(promise: Promise<T>, limitMs?: number): Promise<T>;
  /** How many sleepers there are. */
  readonly sleeping: number;
  /** When the next sleeper wakes. */
  nextAt(): number | undefined;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that stands still until it is told to move. It starts on 2024-05-01T00:00:00Z unless told otherwise. */
export function virtualClock(startMs: number = Date.UTC(2024, 4, 1)): VirtualClock {
  let now = startMs;
  const sleepers = new Set<Sleeper>();

  /** The earliest sleeper; of those with the same time, the first that went to sleep. */
  const earliest = (): Sleeper | undefined => {
    let first: Sleeper | undefined;
    for (const sleeper of sleepers) if (first === undefined || sleeper.at < first.at) first = sleeper;
    return first;
  };

  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      if (ms <= 0) return resolve();
      const abort = (): void => {
        sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        at: now + ms,
        wake: () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      sleepers.add(sleeper);
      signal?.addEventListener("abort", abort, { once: true });
    });

  const advance = async (ms: number): Promise<void> => {
    const target = now + ms;
    await turns();
    for (let next = earliest(); next !== undefined && next.at <= target; next = earliest()) {
      now = Math.max(now, next.at);
      next.wake();
      await turns();
    }
    now = Math.max(now, target);
    await turns();
  };

  const runUntil = async <T>(promise: Promise<T>, limitMs = 24 * 3600_000): Promise<T> => {
    const limit = now + limitMs;
    let settled = false;
    const end = (): void => {
      settled = true;
    };
    promise.then(end, end);
    await turns();
    while (!settled) {
      const next = earliest();
      if (next !== undefined && next.at > limit) throw new Error(`not settled after ${limitMs} ms of virtual time`);
      // Without a sleeper the promise waits for real work: give it real time.
      if (next === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
      else await advance(next.at - now);
    }
    return await promise;
  };

  return {
    now: () => now,
    sleep,
    advance,
    runUntil,
    nextAt: () => earliest()?.at,
    get sleeping() {
      return sleepers.size;
    },
  };
}

/** Five turns of the event loop: enough for a chain of immediates and promises, and nearly free. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The same seed gives the same chance (mulberry32). */
export function seededRandom(seed = 1): Random {
  let state = seed >>> 0;
  const bits = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const digits = (): string => bits().toString(16).padStart(8, "0");
  return { next: () => bits() / 2 ** 32, id: () => digits() + digits() };
}
