/**
 * Time windows: hours, days, ISO weeks (Monday to Monday) and months. Everything is UTC; times are milliseconds
 * since the epoch, and a window is half-open: `start` belongs to it, `end` does not. Years 1 to 9999.
 */
import { DateTime } from "luxon";
import { DefinitionError } from "./errors.ts";

/** How long the windows of an import or of time partitions are. */
export const Interval = Object.freeze({
  Hourly: "hourly",
  Daily: "daily",
  Weekly: "weekly",
  Monthly: "monthly",
} as const);
export type Interval = (typeof Interval)[keyof typeof Interval];

export interface Window {
  /** `2024-05-01T13`, `2024-05-01`, the week's Monday as a date, or `2024-05`. Sorts as time does. */
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** With a locale of its own, Luxon need not ask the machine for one, which costs its first call 15 ms. */
const UTC = { zone: "utc", locale: "en-US" } as const;
/** Half-open bounds: the first instant of year 1, and of year 10000. */
const MIN = Date.UTC(2001, 0, 1) - 730_485 * 86_400_000;
const MAX = Date.UTC(10000, 0, 1);

/** In UTC all of these are of one length; months need a calendar. */
const LENGTH = { hourly: 3_600_000, daily: 86_400_000, weekly: 7 * 86_400_000, monthly: undefined } as const;
/** A Monday. */
const FIRST_WEEK = Date.UTC(1970, 0, 5);

/** The start of the window that holds `ms`. Throws `DefinitionError` for a time outside the years 1 to 9999. */
export function floor(interval: Interval, ms: number): number {
  const length = LENGTH[interval];
  if (length === undefined) return utc(ms).startOf("month").toMillis();
  const anchor = interval === "weekly" ? FIRST_WEEK : 0;
  return anchor + Math.floor((checked(ms) - anchor) / length) * length;
}

/** The start of the window `n` windows after (before, when negative) the one that holds `ms`. */
export function addWindows(interval: Interval, ms: number, n: number): number {
  const length = LENGTH[interval];
  const start = floor(interval, ms);
  const moved = length === undefined ? utc(start).plus({ months: n }).toMillis() : start + n * length;
  // The end of the last week of the year 9999 lies beyond the bounds that every start must keep.
  return moved >= MIN && moved < MAX + 7 * 86_400_000 ? moved : checked(moved);
}

/** The key of the window that holds `ms`. */
export function windowKey(interval: Interval, ms: number): string {
  return keyOf(interval, floor(interval, ms));
}

/** The window that holds `ms`. */
export function windowAt(interval: Interval, ms: number): Window {
  const start = floor(interval, ms);
  return { key: keyOf(interval, start), start, end: addWindows(interval, start, 1) };
}

/** How many windows lie between the one that holds `from` and the one that holds `to`; 0 for the same one. */
export function windowsBetween(interval: Interval, from: number, to: number): number {
  const length = LENGTH[interval];
  if (length !== undefined) return (floor(interval, to) - floor(interval, from)) / length;
  const [first, last] = [utc(from), utc(to)];
  return (last.year - first.year) * 12 + last.month - first.month;
}

/** The last window that is over at `now`. */
export function latestWindow(interval: Interval, now: number): Window {
  return windowAt(interval, addWindows(interval, now, -1));
}

/** What follows the `$` of a partition decorator and the `__` of a raw table's name. A week is its Monday. */
export function tableSuffix(interval: Interval, start: number): string {
  return windowKey(interval, start).replaceAll(/[-T]/g, "");
}

/** How BigQuery partitions a table of such windows; it has no weeks. */
export function timePartitioningType(interval: Interval): "HOUR" | "DAY" | "MONTH" {
  return ({ hourly: "HOUR", daily: "DAY", weekly: "DAY", monthly: "MONTH" } as const)[interval];
}

/** When a window has just ended, as a UTC cron line. */
export function intervalCron(interval: Interval): string {
  return { hourly: "0 * * * *", daily: "0 0 * * *", weekly: "0 0 * * 1", monthly: "0 0 1 * *" }[interval];
}

/**
 * The window of a partition key as people type it: exactly the key, or for a week also `2024-W18`.
 * Throws `DefinitionError` for impossible dates (`2024-02-30`) and for a week's date that is not a Monday.
 */
export function parseWindow(interval: Interval, text: string): Window {
  return parseShape(interval, text, KEY_SHAPES[interval], "partition");
}

/**
 * The window of a timestamp in an object's name, in any of the spellings that `timestampTexts` lists.
 * Throws `DefinitionError` as `parseWindow` does, and also for a time within a window instead of its start.
 */
export function parseTimestamp(interval: Interval, text: string): Window {
  return parseShape(interval, text, TIMESTAMP_SHAPES[interval], "timestamp");
}

/** Every spelling of the window that starts at `start` which `parseTimestamp` accepts. */
export function timestampTexts(interval: Interval, start: number): string[] {
  return [...TIMESTAMP_SHAPES[interval]].map((shape) => render(start, shape));
}

/* A shape is a spelling with 0 for every digit. The digits of a window then fill it from left to right. */

const DATES = ["0000-00-00", "00000000", "0000/00/00", "0000_00_00"] as const;
const WEEKS = ["0000-W00", "0000W00"] as const;
const KEY_SHAPES: Readonly<Record<Interval, ReadonlySet<string>>> = {
  hourly: new Set(["0000-00-00T00"]),
  daily: new Set(["0000-00-00"]),
  weekly: new Set(["0000-00-00", "0000-W00"]),
  monthly: new Set(["0000-00"]),
};
const TIMESTAMP_SHAPES: Readonly<Record<Interval, ReadonlySet<string>>> = {
  hourly: new Set(hourlyShapes()),
  daily: new Set(DATES),
  weekly: new Set([...DATES, ...WEEKS]),
  monthly: new Set(["0000-00", "000000", "0000/00", "0000_00", ...DATES]),
};
const EXAMPLES: Readonly<Record<Interval, string>> = {
  hourly: "an hour such as 2024-05-01T13",
  daily: "a day such as 2024-05-01",
  weekly: "a week's Monday such as 2024-04-29, or 2024-W18",
  monthly: "a month such as 2024-05",
};

function hourlyShapes(): string[] {
  const parted = DATES.filter((date) => date !== "00000000").flatMap((date) =>
    ["T", "-", "_", "/", " "].flatMap((separator) =>
      ["00", "00:00", "00:00:00", "00:00:00.000"].map((time) => `${date}${separator}${time}`),
    ),
  );
  const compact = ["", "T", "-", "_"].flatMap((separator) =>
    ["00", "0000", "000000"].map((time) => `00000000${separator}${time}`),
  );
  return [...parted, ...compact].flatMap((shape) => [shape, `${shape}Z`]);
}

function render(start: number, shape: string): string {
  const digits = shape.includes("W")
    ? weekDigits(utc(start))
    : new Date(checked(start)).toISOString().replaceAll(/\D/g, "");
  let next = 0;
  return shape.replaceAll("0", () => digits.charAt(next++));
}

function parseShape(interval: Interval, text: string, shapes: ReadonlySet<string>, what: string): Window {
  // Nearly always it is the key itself. Whatever else JavaScript reads as a date is no window's key.
  const quick = Date.parse(interval === "hourly" ? `${text}:00Z` : text);
  if (quick >= MIN && quick < MAX) {
    const window = windowAt(interval, quick);
    if (window.key === text) return window;
  }
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  const shape = text.length > 60 || /[^0-9TWZ:./_ -]/.test(text) ? "" : text.replaceAll(/[0-9]/g, "0");
  if (!shapes.has(shape)) {
    throw new DefinitionError(`${shown} is no ${interval} ${what}`, { remedy: `write ${EXAMPLES[interval]}` });
  }
  const at = timeOf(shape, text);
  if (!(at >= MIN && at < MAX)) {
    throw new DefinitionError(`${shown} is not a time of the calendar`, { remedy: `write ${EXAMPLES[interval]}` });
  }
  const window = windowAt(interval, at);
  if (window.key !== text && render(window.start, shape) !== text) {
    const why = { hourly: "on the hour", daily: "a day", weekly: "a Monday", monthly: "the first of its month" };
    throw new DefinitionError(`${shown} is not ${why[interval]}`, { remedy: `its window is ${window.key}` });
  }
  return window;
}

/** NaN for what the calendar does not have. */
function timeOf(shape: string, text: string): number {
  const digits = text.replaceAll(/\D/g, "");
  const part = (from: number, to: number, missing: number) =>
    digits.length < to ? missing : Number(digits.slice(from, to));
  const year = part(0, 4, 0);
  if (shape.includes("W")) return DateTime.fromObject({ weekYear: year, weekNumber: part(4, 6, 1) }, UTC).toMillis();
  const [month, day, hour] = [part(4, 6, 1), part(6, 8, 1), part(8, 10, 0)];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  // Whatever is too large would be carried into the next field.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23) return Number.NaN;
  return date.setUTCHours(hour);
}

function weekDigits({ weekYear, weekNumber }: DateTime): string {
  return `${pad(weekYear, 4)}${pad(weekNumber, 2)}`;
}

function checked(ms: number): number {
  if (ms >= MIN && ms < MAX) return ms;
  throw new DefinitionError(`the time ${ms} is outside the years 1 to 9999`, { remedy: "use milliseconds, UTC" });
}

function utc(ms: number): DateTime {
  return DateTime.fromMillis(checked(ms), UTC);
}

/** Written from its parts: every run makes many keys, and `toISOString` takes four times as long. */
function keyOf(interval: Interval, start: number): string {
  const date = new Date(start);
  const month = `${pad(date.getUTCFullYear(), 4)}-${pad(date.getUTCMonth() + 1, 2)}`;
  if (interval === "monthly") return month;
  const day = `${month}-${pad(date.getUTCDate(), 2)}`;
  return interval === "hourly" ? `${day}T${pad(date.getUTCHours(), 2)}` : day;
}

function pad(value: number, length: number): string {
  const text = String(value);
  return text.length < length ? text.padStart(length, "0") : text;
}
