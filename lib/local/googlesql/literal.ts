/** Dates and times as GoogleSQL writes them in texts, read before the statement runs. */
import { quoteText } from "../duckdb/sql.ts";
import { bindSql, fail } from "./bind.ts";
import { refuse, type Place } from "./lexer.ts";

const date = String.raw`(\d{4})-(\d{1,2})-(\d{1,2})`;
const clock = String.raw`(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{0,6}))?`;
const dateOnly = new RegExp(`^${date}$`);
const clockOnly = new RegExp(`^${clock}$`);
const dateTime = new RegExp(`^${date}(?:[ Tt]${clock})?$`);
const zoned = new RegExp(
  `^${date}(?:[ Tt]${clock})?(?:([Zz])|\\s?([+-]\\d{1,2}(?::?\\d{2})?)|\\s([A-Za-z_]+(?:/[A-Za-z0-9_+/-]+)?))?$`,
);

export function dateLiteral(text: string, at: Place): string {
  const match = dateOnly.exec(text) ?? refuse(`the DATE ${JSON.stringify(text)}`, at);
  return `DATE '${day(match, text, at)}'`;
}

export function timeLiteral(text: string, at: Place): string {
  const match = clockOnly.exec(text) ?? refuse(`the TIME ${JSON.stringify(text)}`, at);
  return `TIME '${time(match, 1, text, at)}'`;
}

export function dateTimeLiteral(text: string, at: Place): string {
  const match = dateTime.exec(text) ?? refuse(`the DATETIME ${JSON.stringify(text)}`, at);
  return `TIMESTAMP '${day(match, text, at)} ${match[4] === undefined ? "00:00:00" : time(match, 4, text, at)}'`;
}

export function timestampLiteral(text: string, at: Place): string {
  const match = zoned.exec(text) ?? refuse(`the TIMESTAMP ${JSON.stringify(text)}`, at);
  const local = `${day(match, text, at)} ${match[4] === undefined ? "00:00:00" : time(match, 4, text, at)}`;
  const [offset, zone] = [match[9], match[10]];
  if (zone !== undefined) return zonedInstant(`TIMESTAMP '${local}'`, checkedZone(zone, at));
  const minutes = offset === undefined ? 0 : (offsetMinutes(offset) ?? refuse(`the offset ${offset}`, at));
  return `(TIMESTAMPTZ '${local}+00' - to_minutes(${minutes}))`;
}

function day(match: RegExpExecArray, text: string, at: Place): string {
  const [year = "", month = "", date = ""] = match.slice(1, 4);
  const shown = `${year}-${month.padStart(2, "0")}-${date.padStart(2, "0")}`;
  const read = new Date(`${shown}T00:00:00Z`);
  const isReal = !Number.isNaN(read.getTime()) && read.toISOString().startsWith(shown) && year !== "0000";
  return isReal ? shown : refuse(`the date ${JSON.stringify(text)}`, at);
}

function time(match: RegExpExecArray, from: number, text: string, at: Place): string {
  const [hour = "", minute = "", second = ""] = match.slice(from, from + 3);
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) refuse(`the time ${JSON.stringify(text)}`, at);
  const fraction = match[from + 3];
  return [hour, minute, second].map((part) => part.padStart(2, "0")).join(":") + (fraction ? `.${fraction}` : "");
}

/** `+5`, `+05:30`, `-0800` in minutes. */
export function offsetMinutes(text: string): number | undefined {
  const match = /^([+-])(\d{1,2})(?::?(\d{2}))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign, hours = "", minutes = "0"] = match;
  const total = Number(hours) * 60 + Number(minutes);
  return Number(minutes) > 59 || total > 14 * 60 ? undefined : sign === "-" ? -total : total;
}

/** A time zone that is written out: its name, or an offset in minutes. */
export type Zone = { readonly name: string } | { readonly minutes: number };

export const utc: Zone = { minutes: 0 };

export function checkedZone(text: string, at: Place): Zone {
  if (text === "UTC" || text === "Etc/UTC") return utc;
  const minutes = offsetMinutes(text.replace(/^UTC(?=[+-])/, ""));
  if (minutes !== undefined) return { minutes };
  // Abbreviations such as EST mean different things in different engines.
  const isPlace =
    /^(?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific|US|Canada)\/[A-Za-z_/+-]+$/.test(text);
  if (!isPlace || !isKnown(text))
    refuse(`the time zone ${JSON.stringify(text)}`, at, "use a name such as America/New_York");
  return { name: text };
}

function isKnown(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The wall clock in `zone` at an instant; an error beyond the years 1 to 9999. */
export function wallClock(instant: string, zone: Zone): string {
  if ("minutes" in zone && zone.minutes === 0) return `timezone('UTC', ${instant})`;
  return bindSql(instant, (x) => {
    const local =
      "name" in zone
        ? `timezone(${quoteText(zone.name)}, ${x})`
        : `(timezone('UTC', ${x}) + to_minutes(${zone.minutes}))`;
    const outside = `${local} < TIMESTAMP '0001-01-01 00:00:00' OR ${local} > TIMESTAMP '9999-12-31 23:59:59.999999'`;
    return `CASE WHEN ${outside} THEN ${fail("the DATETIME is out of range")} ELSE ${local} END`;
  });
}

/**
 * The instant at which the wall clock in `zone` shows `local` (which is repeated). An hour that comes twice is its first
 * coming, as in BigQuery; the engine would take the second.
 */
export function zonedInstant(local: string, zone: Zone): string {
  if ("minutes" in zone && zone.minutes === 0) return `timezone('UTC', ${local})`;
  return bindSql(instantIn(local, zone), (x) => {
    const outside = `${x} < TIMESTAMPTZ '0001-01-01 00:00:00+00' OR ${x} > TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'`;
    return `CASE WHEN ${outside} THEN ${fail("the TIMESTAMP is out of range")} ELSE ${x} END`;
  });
}

function instantIn(local: string, zone: Zone): string {
  if (!("name" in zone)) return `(timezone('UTC', ${local}) - to_minutes(${zone.minutes}))`;
  const name = quoteText(zone.name);
  const second = `timezone(${name}, ${local})`;
  const earlier = (minutes: number): string =>
    `WHEN timezone(${name}, ${second} - to_minutes(${minutes})) = ${local} THEN ${second} - to_minutes(${minutes})`;
  return `CASE ${[180, 120, 60, 30, 20].map(earlier).join(" ")} ELSE ${second} END`;
}
