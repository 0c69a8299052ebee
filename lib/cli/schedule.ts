/** Which schedules are due: pure, from the cron lines, what was fired last, and the time. */
import { cronLine } from "../core/cron.ts";
import { messageOf } from "../core/errors.ts";

export interface Schedule {
  readonly asset: string;
  readonly cron: string;
  readonly timeZone: string;
}

export interface Plan {
  /** At most one tick an asset, its latest: what was missed before it is not made up for. */
  readonly due: readonly { readonly asset: string; readonly tick: number }[];
  /** Schedules that were never seen before; they count from now on. */
  readonly fresh: readonly string[];
  /** When the next tick of all is. */
  readonly nextAt: number | undefined;
  /** Cron lines and time zones that make no sense, one line each. */
  readonly problems: readonly string[];
}

/** `cursors` holds the last tick of each asset, in milliseconds; a tick is due when it lies after that, up to `now`. */
export function planTicks(schedules: readonly Schedule[], cursors: ReadonlyMap<string, number>, now: number): Plan {
  const due: { asset: string; tick: number }[] = [];
  const fresh: string[] = [];
  const problems: string[] = [];
  let nextAt: number | undefined;
  for (const { asset, cron, timeZone } of schedules) {
    try {
      const line = cronLine(cron, timeZone);
      const next = line.next(now);
      if (next !== undefined && (nextAt === undefined || next < nextAt)) nextAt = next;
      const cursor = cursors.get(asset);
      if (cursor === undefined) {
        fresh.push(asset);
        continue;
      }
      const last = line.last(now);
      if (last !== undefined && last > cursor) due.push({ asset, tick: last });
    } catch (error) {
      problems.push(
        `${asset}: the schedule ${JSON.stringify(cron)} in ${timeZone} cannot be read: ${messageOf(error)}`,
      );
    }
  }
  return { due, fresh, nextAt, problems };
}
