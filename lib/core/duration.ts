import { DefinitionError } from "./errors.ts";

/** A length of time as people write it: `90s`, `15m`, `1.5h`, `10d`. A day is 24 hours. */
export type Duration = `${number}${"s" | "m" | "h" | "d"}`;

const MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const form = /^(?<amount>\d{1,9}(?:\.\d{1,3})?)(?<unit>[smhd])$/;

/** Milliseconds, rounded, at least 0. Throws `DefinitionError` for anything that is not a duration. */
export function durationMs(duration: Duration): number {
  const groups = form.exec(duration)?.groups;
  const unit = groups?.["unit"];
  if (groups === undefined || (unit !== "s" && unit !== "m" && unit !== "h" && unit !== "d")) {
    throw new DefinitionError(`${JSON.stringify(duration)} is not a duration`, {
      remedy: "write a number and s, m, h or d, such as 15m",
    });
  }
  return Math.round(Number(groups["amount"]) * MS[unit]);
}
