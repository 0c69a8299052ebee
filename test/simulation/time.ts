/** The time of a world stands still until a step lets it pass. */
export interface Time {
  now(): number;
  /** `owner`: whose sleep it is. */
  sleep(owner: object, ms: number, signal: AbortSignal | undefined): Promise<void>;
  /** Wakes whoever wanted to sleep until then, in order. */
  pass(until: number): void;
  /** The owner has died: nobody wakes any more. */
  forget(owner: object): void;
  /** When the next sleeper wakes; `Infinity` where nobody sleeps. */
  nextWake(): number;
}

/** When every world begins: 2024-06-01. */
export const START = Date.UTC(2024, 5, 1);

interface Sleeper {
  readonly owner: object;
  readonly at: number;
  readonly wake: () => void;
}

export function worldTime(): Time {
  let now = START;
  const sleepers: Sleeper[] = [];
  return {
    now: () => now,
    sleep: (owner, ms, signal) => {
      if (signal?.aborted === true) return Promise.reject(reasonOf(signal));
      if (ms <= 0) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const sleeper: Sleeper = { owner, at: now + ms, wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener("abort", () => {
          const at = sleepers.indexOf(sleeper);
          if (at < 0) return;
          sleepers.splice(at, 1);
          reject(reasonOf(signal));
        });
      });
    },
    pass: (until) => {
      now = Math.max(now, until);
      const woken = sleepers.filter(({ at }) => at <= now).sort((one, other) => one.at - other.at);
      for (const sleeper of woken) {
        sleepers.splice(sleepers.indexOf(sleeper), 1);
        sleeper.wake();
      }
    },
    forget: (owner) => {
      for (let at = sleepers.length - 1; at >= 0; at--) if (sleepers[at]?.owner === owner) sleepers.splice(at, 1);
    },
    nextWake: () => {
      let next = Infinity;
      for (const { at } of sleepers) if (at < next) next = at;
      return next;
    },
  };
}

export function reasonOf(signal: AbortSignal): Error {
  return asError(signal.reason);
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
