/** Wakes what is due exactly when it is due, while a process does the work. */
import type { SqliteEventStore } from "../local/sqlite-event-store.ts";
import type { Clock } from "../ports/clock.ts";
import type { Runtime } from "../runtime/runtime.ts";

export interface Sweeper {
  /** Resolves when no sweep is under way; none begins after that. */
  stop(): Promise<void>;
}

/** However quiet it is, the deadlines are looked at this often: another process may have left one. */
const LONGEST_SLEEP_MS = 30_000;
/** Deadlines that a sweep has just postponed, or cannot, are not asked for again at once. */
const SHORTEST_SLEEP_MS = 50;

/** Never keeps the process alive by itself. */
export function keepSweeping(options: {
  readonly events: SqliteEventStore;
  readonly runtime: Pick<Runtime, "sweepDue">;
  readonly clock: Clock;
  onError(error: unknown): void;
}): Sweeper {
  const { events, runtime, clock, onError } = options;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<void> | undefined;

  const sweep = async (): Promise<void> => {
    try {
      await runtime.sweepDue();
    } catch (error) {
      onError(error);
    }
    sweeping = undefined;
    await arm();
  };

  const arm = async (): Promise<void> => {
    if (stopped || sweeping !== undefined) return;
    try {
      const due = (await events.nextDue()) ?? Infinity;
      const pause = Math.min(LONGEST_SLEEP_MS, Math.max(SHORTEST_SLEEP_MS, due - clock.now()));
      clearTimeout(timer);
      if (stopped) return;
      timer = setTimeout(() => void (sweeping ??= sweep()), pause).unref();
    } catch (error) {
      onError(error);
    }
  };

  // Whatever happens may have set a deadline.
  const unsubscribe = events.onEvents(() => void arm());
  sweeping = sweep();

  return {
    async stop() {
      stopped = true;
      unsubscribe();
      clearTimeout(timer);
      await sweeping;
    },
  };
}
