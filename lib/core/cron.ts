/** When a cron line ticks. */
import { Cron } from "croner";
import { IANAZone } from "luxon";
import { DefinitionError, messageOf } from "./errors.ts";

export interface CronLine {
  /** The latest tick up to and including `now`; `undefined` before the first. */
  last(now: number): number | undefined;
  /** The first tick after `now`. */
  next(now: number): number | undefined;
}

/** A line that can be asked several times. Throws the parser's own error, here or when it is asked, for an unreadable one. */
export function cronLine(cron: string, timeZone: string): CronLine {
  const line = new Cron(cron, { timezone: timeZone, paused: true });
  return {
    // The line is asked for what lies before the next second: it has no finer step.
    last: (now) => line.previousRuns(1, new Date(Math.floor(now / 1_000) * 1_000 + 1_000))[0]?.getTime(),
    next: (now) => line.nextRun(new Date(now))?.getTime(),
  };
}

/** As `CronLine.last`; throws `DefinitionError` for an unreadable line or time zone. */
export function lastTick(cron: string, timeZone: string, now: number): number | undefined {
  return ask(cron, timeZone, (line) => line.last(now));
}

/** As `CronLine.next`; throws `DefinitionError` for an unreadable line or time zone. */
export function nextTick(cron: string, timeZone: string, now: number): number | undefined {
  return ask(cron, timeZone, (line) => line.next(now));
}

function ask<T>(cron: string, timeZone: string, question: (line: CronLine) => T): T {
  try {
    return question(cronLine(cron, timeZone));
  } catch (error) {
    if (!IANAZone.isValidZone(timeZone)) {
      throw new DefinitionError(`the time zone ${JSON.stringify(timeZone)} is not known`, {
        remedy: "write an IANA name such as Europe/Berlin, or UTC",
        cause: error,
      });
    }
    const why = messageOf(error)
      .replace(/^CronPattern: /, "")
      .replace(/\.$/, "");
    throw new DefinitionError(`the cron line ${JSON.stringify(cron)} cannot be read: ${why}`, {
      remedy: "write five fields such as 0 6 * * *",
      cause: error,
    });
  }
}
