/** When a cron line ticks. */
import { Cron } from "croner";
import { DefinitionError, messageOf } from "./errors.ts";

/** The latest tick up to and including `now`; `undefined` before the first. Throws `DefinitionError` for an unreadable line. */
export function lastTick(cron: string, timeZone: string, now: number): number | undefined {
  // The line is asked for what lies before the next second: it has no finer step.
  const [last] = readCron(cron, timeZone).previousRuns(1, new Date(Math.floor(now / 1_000) * 1_000 + 1_000));
  return last?.getTime();
}

/** The first tick after `now`. */
export function nextTick(cron: string, timeZone: string, now: number): number | undefined {
  return readCron(cron, timeZone).nextRun(new Date(now))?.getTime();
}

function readCron(cron: string, timeZone: string): Cron {
  try {
    const line = new Cron(cron, { timezone: timeZone, paused: true });
    line.nextRun(); // the time zone is looked at only here
    return line;
  } catch (error) {
    throw new DefinitionError(
      `the cron line ${JSON.stringify(cron)} in ${timeZone} cannot be read: ${messageOf(error)}`,
      {
        remedy: "write five fields such as 0 6 * * *, and a zone such as Europe/Berlin",
      },
    );
  }
}
