/** Dates and times: parts, sums, differences, and where a part begins. */
import type { Expression } from "./ast.ts";
import type { Emit } from "./emit.ts";
import { refuse, type Place } from "./lexer.ts";
import { checkedZone, utc, wallClock, zonedInstant, type Zone } from "./literal.ts";
import { bindRange, inDateRange } from "./operators.ts";
import type { Scope } from "./scope.ts";
import { DATETIME, INT64, isScalar, typeText, type Type } from "./type.ts";
import { bind, bindSql } from "./bind.ts";
import { coerce, literalText, type Value } from "./value.ts";

/** A part as it is written: `MONTH`, `WEEK(MONDAY)`. */
export interface Part {
  readonly name: string;
  /** How many days before its Monday (counting on from year 1) a week begins. */
  readonly weekStart: number;
}

const weekdays: Readonly<Record<string, number>> = {
  MONDAY: 0,
  SUNDAY: 1,
  SATURDAY: 2,
  FRIDAY: 3,
  THURSDAY: 4,
  WEDNESDAY: 5,
  TUESDAY: 6,
};

/** The part that an argument names. */
export function partOf(node: Expression): Part {
  const { at } = node;
  if (node.kind === "call" && node.name === "WEEK" && node.arguments.length === 1) {
    const day = node.arguments[0]?.value;
    const name = day?.kind === "name" ? day.name.toUpperCase() : "";
    const weekStart = Object.hasOwn(weekdays, name) ? weekdays[name] : undefined;
    return weekStart === undefined ? refuse("WEEK of no weekday", at) : { name: "WEEK", weekStart };
  }
  if (node.kind !== "name") return refuse("a date part at this place", at);
  const name = node.name.toUpperCase();
  return name === "ISOWEEK" ? { name: "WEEK", weekStart: 0 } : { name, weekStart: 1 };
}

/** Microseconds of the parts that always have the same length. */
export const micros: Readonly<Record<string, bigint>> = {
  MICROSECOND: 1n,
  MILLISECOND: 1_000n,
  SECOND: 1_000_000n,
  MINUTE: 60_000_000n,
  HOUR: 3_600_000_000n,
  DAY: 86_400_000_000n,
};

const months: Readonly<Record<string, number>> = { MONTH: 1, QUARTER: 3, YEAR: 12 };

/** The zone that an argument names; it must be written out. */
export function zoneOf(value: Value | undefined): Zone {
  if (value === undefined) return utc;
  const name = literalText(value);
  return name === undefined
    ? refuse("a time zone that is not written out", value.at, "write its name as a text")
    : checkedZone(name, value.at);
}

export type TimeType = "DATE" | "DATETIME" | "TIMESTAMP" | "TIME";

/** `INTERVAL n PART`, as DATE_ADD and its like take it. */
export interface Interval {
  readonly count: Value;
  readonly part: Part;
}

export function intervalOf(node: Expression, scope: Scope, emit: Emit): Interval {
  if (node.kind !== "interval") return refuse("something other than INTERVAL n PART", node.at);
  if (node.to !== undefined) return refuse("an INTERVAL from one part to another", node.at);
  const count = emit.value(node.value, scope);
  return { count: coerce(count, INT64, "the number of an INTERVAL"), part: { name: node.part, weekStart: 1 } };
}

/** A date or time and a number of parts after it (or before it). */
export function added(type: TimeType, of: Value, operator: "+" | "-", { count, part }: Interval, at: Place): string {
  const { name } = part;
  const unit = micros[name];
  const refused = (): never => refuse(`${type} ${operator} INTERVAL … ${name}`, at);
  if (name === "WEEK" && type === "TIMESTAMP") refused();
  const month = Object.hasOwn(months, name) ? months[name] : undefined;
  const days = name === "DAY" ? 1 : name === "WEEK" ? 7 : undefined;
  if (type === "DATE") {
    if (days === undefined && month === undefined) return refused();
    return bind([of, count], (x = "", n = "") =>
      inDateRange(
        month === undefined
          ? `${x} ${operator} CAST(${n} * ${days} AS INTEGER)`
          : `CAST(${x} ${operator} to_months(CAST(${n} * ${month} AS INTEGER)) AS DATE)`,
      ),
    );
  }
  if (type === "TIME") {
    if (unit === undefined || name === "DAY") return refused();
    const day = 86_400_000_000n;
    return bind([of, count], (x = "", n = "") => {
      const moved = `(epoch_us(${x}) ${operator} (${n} % ${day / unit}) * ${unit} + ${day}) % ${day}`;
      return `CAST(make_timestamp(${moved}) AS TIME)`;
    });
  }
  if (month !== undefined) {
    if (type === "TIMESTAMP") return refused();
    return bind([of, count], (x = "", n = "") =>
      inTimeRange(`${x} ${operator} to_months(CAST(${n} * ${month} AS INTEGER))`, type),
    );
  }
  const size = unit ?? (name === "WEEK" ? 7n * 86_400_000_000n : undefined);
  if (size === undefined) return refused();
  const make =
    type === "TIMESTAMP"
      ? (sql: string): string => `timezone('UTC', make_timestamp(${sql}))`
      : (sql: string): string => `make_timestamp(${sql})`;
  return bind([of, count], (x = "", n = "") => inTimeRange(make(`epoch_us(${x}) ${operator} ${n} * ${size}`), type));
}

function inTimeRange(sql: string, type: "DATETIME" | "TIMESTAMP"): string {
  const [name, zone] = type === "TIMESTAMP" ? ["TIMESTAMPTZ", "+00"] : ["TIMESTAMP", ""];
  const message = `the ${type} is out of range`;
  return bindRange(sql, `${name} '0001-01-01 00:00:00${zone}'`, `${name} '9999-12-31 23:59:59.999999${zone}'`, message);
}

/** `x + INTERVAL n PART` and `x - INTERVAL n PART`. A DATE becomes a DATETIME, as in GoogleSQL. */
export function intervalSum(
  of: Value,
  operator: "+" | "-",
  node: Expression,
  { scope, emit, at }: { readonly scope: Scope; readonly emit: Emit; readonly at: Place },
): Value {
  const interval = intervalOf(node, scope, emit);
  if (!isScalar(of.type, "DATE", "DATETIME", "TIMESTAMP")) refuse(`${typeText(of.type)} ${operator} INTERVAL`, at);
  const type: Type = isScalar(of.type, "DATE") ? DATETIME : of.type;
  const name = type.kind === "scalar" && type.name === "TIMESTAMP" ? "TIMESTAMP" : "DATETIME";
  return { at, type, sql: added(name, coerce(of, type), operator, interval, at) };
}

/** Days since 0001-01-01, a Monday. */
function dayNumber(date: string): string {
  return `(${date} - DATE '0001-01-01')`;
}

/** How many boundaries of `part` lie between two dates (`from` first). */
export function dateDiff(part: Part, to: string, from: string, at: Place): string {
  const count = (date: string): string => {
    switch (part.name) {
      case "DAY":
        return dayNumber(date);
      case "WEEK":
        return `((${dayNumber(date)} + ${part.weekStart}) // 7)`;
      case "MONTH":
        return `(year(${date}) * 12 + month(${date}))`;
      case "QUARTER":
        return `(year(${date}) * 4 + quarter(${date}))`;
      case "YEAR":
        return `year(${date})`;
      case "ISOYEAR":
        return `isoyear(${date})`;
      default:
        return refuse(`DATE_DIFF by ${part.name}`, at);
    }
  };
  return `(${count(to)} - ${count(from)})`;
}

export function dateTimeDiff(part: Part, to: string, from: string, at: Place): string {
  const unit = micros[part.name];
  if (unit === undefined || part.name === "DAY")
    return dateDiff(part, `CAST(${to} AS DATE)`, `CAST(${from} AS DATE)`, at);
  // Counted from year 1, so that the division never sees a negative number.
  const count = (value: string): string => `((epoch_us(${value}) + 62135596800000000) // ${unit})`;
  return `(${count(to)} - ${count(from)})`;
}

/** Whole units between two instants, towards zero. */
export function timestampDiff(part: Part, to: string, from: string, at: Place): string {
  const unit = micros[part.name] ?? refuse(`TIMESTAMP_DIFF by ${part.name}`, at);
  return `((epoch_us(${to}) - epoch_us(${from})) // ${unit})`;
}

/** The first day of the part that the date `x` is in; `x` is repeated. */
export function dateTrunc(part: Part, x: string, at: Place): string {
  const week = (date: string, start: number): string =>
    inDateRange(`${date} - CAST((${dayNumber(date)} + ${start}) % 7 AS INTEGER)`);
  switch (part.name) {
    case "DAY":
      return x;
    case "WEEK":
      return week(x, part.weekStart);
    case "MONTH":
    case "QUARTER":
    case "YEAR":
      return `CAST(date_trunc('${part.name.toLowerCase()}', ${x}) AS DATE)`;
    case "ISOYEAR":
      return bindSql(`make_date(isoyear(${x}), 1, 4)`, (day) => week(day, 0));
    default:
      return refuse(`the part ${part.name}`, at);
  }
}

export function dateTimeTrunc(part: Part, x: string, at: Place): string {
  const unit = micros[part.name];
  if (unit === undefined || part.name === "DAY")
    return `CAST(${bindSql(`CAST(${x} AS DATE)`, (day) => dateTrunc(part, day, at))} AS TIMESTAMP)`;
  const count = `(epoch_us(${x}) + 62135596800000000)`;
  return `make_timestamp(${count} // ${unit} * ${unit} - 62135596800000000)`;
}

/** Parts of a day or more begin by the wall clock of the zone; shorter ones are refused with one. */
export function timestampTrunc(part: Part, x: string, zone: Zone, at: Place): string {
  const isShort = part.name !== "DAY" && micros[part.name] !== undefined;
  if (isShort && !("minutes" in zone && zone.minutes === 0))
    refuse(`TIMESTAMP_TRUNC to ${part.name} in a time zone`, at);
  const local = wallClock(x, zone);
  return bindSql(
    bindSql(local, (name) => dateTimeTrunc(part, name, at)),
    (name) => zonedInstant(name, zone),
  );
}
