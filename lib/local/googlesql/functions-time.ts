/** Functions of dates and times. */
import { castTo, dateTimeText } from "./cast.ts";
import type { Rule, Site } from "./emit.ts";
import { stringOfJson } from "./functions-json.ts";
import { refuse } from "./lexer.ts";
import { wallClock, zonedInstant } from "./literal.ts";
import { bindRange, inDateRange } from "./operators.ts";
import { argument, arity, fixed } from "./rule.ts";
import {
  added,
  dateDiff,
  dateTimeDiff,
  dateTimeTrunc,
  dateTrunc,
  intervalOf,
  micros,
  partOf,
  timestampDiff,
  timestampTrunc,
  zoneOf,
  type Part,
  type TimeType,
} from "./time.ts";
import { DATE, DATETIME, INT64, isScalar, scalar, STRING, TIME, TIMESTAMP, type Type } from "./type.ts";
import { bind, bindSql, fail } from "./bind.ts";
import { typed, type Value } from "./value.ts";

const sum =
  (type: TimeType, operator: "+" | "-"): Rule =>
  (site) => {
    arity(site, 2);
    const of = moment(site, 0, type);
    const interval = intervalOf(site.argument(1).value, site.scope, site.emit);
    return { at: site.at, type: of.type, sql: added(of.name, of.value, operator, interval, site.at) };
  };

/** DATE_ADD and DATE_TRUNC take other types too, and give what they took. */
function moment(
  site: Site,
  index: number,
  type: TimeType,
): { readonly value: Value; readonly name: TimeType; readonly type: Type } {
  const value = site.value(index);
  const own = value.type;
  if (type === "DATE" && own.kind === "scalar" && (own.name === "DATETIME" || own.name === "TIMESTAMP"))
    return { value, name: own.name, type: own };
  return { value: argument(site, index, scalar(type)), name: type, type: scalar(type) };
}

type Diff = (part: Part, to: string, from: string, at: number) => string;
const difference =
  (type: TimeType, diff: Diff): Rule =>
  (site) => {
    arity(site, 3);
    const found = [0, 1].map((index) => moment(site, index, type));
    const own = found.every(({ name }) => name === found[0]?.name) ? found[0]?.name : undefined;
    if (own === undefined) return refuse(`${site.name} of different types`, site.at, "write a CAST");
    const rule = own === "TIMESTAMP" ? timestampDiff : own === "DATETIME" ? dateTimeDiff : diff;
    const part = partOf(site.argument(2).value);
    const sql = bind(
      found.map(({ value }) => value),
      (to = "", from = "") => rule(part, to, from, site.at),
    );
    return { at: site.at, type: INT64, sql };
  };

/** Times of a day, as DATETIMEs of one day, so that a difference can be counted. */
const timeDiff: Diff = (part, to, from, at) => {
  if (micros[part.name] === undefined || part.name === "DAY") refuse(`TIME_DIFF by ${part.name}`, at);
  return dateTimeDiff(part, `(DATE '2000-01-01' + ${to})`, `(DATE '2000-01-01' + ${from})`, at);
};

const truncation =
  (type: TimeType): Rule =>
  (site) => {
    arity(site, 2, 3);
    const { value, name, type: own } = moment(site, 0, type);
    const part = partOf(site.argument(1).value);
    if (site.count === 3 && name !== "TIMESTAMP") refuse(`${site.name} with a time zone`, site.at);
    const zone = zoneOf(site.count === 3 ? site.value(2) : undefined);
    const sql = bind([value], (x) => {
      if (name === "TIMESTAMP") return timestampTrunc(part, x, zone, site.at);
      return name === "DATETIME" ? dateTimeTrunc(part, x, site.at) : dateTrunc(part, x, site.at);
    });
    return { at: site.at, type: own, sql };
  };

/** The wall clock of a TIMESTAMP in the zone of the second argument. */
function local(site: Site, x: Value): string {
  return wallClock(x.sql, zoneOf(site.count > 1 ? site.value(1) : undefined));
}

const date: Rule = (site) => {
  if (site.count === 3)
    return fixed([INT64, INT64, INT64], DATE, (y, m, d) => inYears(`make_date(${y}, ${m}, ${d})`, "DATE"))(site);
  arity(site, 1, 2);
  const value = site.value(0);
  if (isScalar(value.type, "TIMESTAMP")) return { at: site.at, type: DATE, sql: `CAST(${local(site, value)} AS DATE)` };
  arity(site, 1);
  if (isScalar(value.type, "STRING") && value.constant?.kind !== "string")
    return refuse("DATE of a text", site.at, "use CAST or PARSE_DATE");
  return castTo(value, DATE, { safe: false, at: site.at });
};

const inYears = (sql: string, type: "DATE"): string =>
  bindRange(sql, `${type} '0001-01-01'`, `${type} '9999-12-31'`, "the date is out of range");

const dateTime: Rule = (site) => {
  if (site.count === 6)
    return fixed([INT64, INT64, INT64, INT64, INT64, INT64], DATETIME, (y, mo, d, h, mi, s = "") => {
      const made = `make_timestamp(${y}, ${mo}, ${d}, ${h}, ${mi}, CAST(${s} AS DOUBLE))`;
      return `CASE WHEN ${s} NOT BETWEEN 0 AND 59 OR ${h} NOT BETWEEN 0 AND 23 OR ${y} NOT BETWEEN 1 AND 9999 THEN ${fail("DATETIME: out of range")} ELSE ${made} END`;
    })(site);
  arity(site, 1, 2);
  const value = site.value(0);
  if (isScalar(value.type, "TIMESTAMP")) return { at: site.at, type: DATETIME, sql: local(site, value) };
  if (site.count === 1) return castTo(value, DATETIME, { safe: false, at: site.at });
  return { at: site.at, type: DATETIME, sql: `(${argument(site, 0, DATE).sql} + ${argument(site, 1, TIME).sql})` };
};

const timestamp: Rule = (site) => {
  arity(site, 1, 2);
  const value = site.value(0);
  if (isScalar(value.type, "TIMESTAMP") && site.count === 1) return { ...value, at: site.at };
  if (site.count === 1) return castTo(value, TIMESTAMP, { safe: false, at: site.at });
  const zone = zoneOf(site.value(1));
  const wall = isScalar(value.type, "STRING", "DATE", "DATETIME")
    ? castTo(value, DATETIME, { safe: false, at: site.at })
    : refuse("TIMESTAMP of such a value with a time zone", site.at);
  return { at: site.at, type: TIMESTAMP, sql: bind([wall], (x) => zonedInstant(x, zone)) };
};

const time: Rule = (site) => {
  if (site.count === 3)
    return fixed(
      [INT64, INT64, INT64],
      TIME,
      (h, m, s = "") =>
        `CASE WHEN ${s} NOT BETWEEN 0 AND 59 THEN ${fail("TIME: out of range")} ELSE make_time(${h}, ${m}, CAST(${s} AS DOUBLE)) END`,
    )(site);
  arity(site, 1, 2);
  const value = site.value(0);
  if (isScalar(value.type, "TIMESTAMP")) return { at: site.at, type: TIME, sql: `CAST(${local(site, value)} AS TIME)` };
  arity(site, 1);
  return castTo(value, TIME, { safe: false, at: site.at });
};

const text: Rule = (site) => {
  arity(site, 1, 2);
  const value = site.value(0);
  if (isScalar(value.type, "JSON")) return stringOfJson(site);
  if (isScalar(value.type, "TIMESTAMP") && site.count === 2) {
    const zone = zoneOf(site.value(1));
    if (!("minutes" in zone))
      return refuse("STRING of a TIMESTAMP in a named time zone", site.at, "use FORMAT_TIMESTAMP");
    const size = Math.abs(zone.minutes);
    const rest = size % 60 === 0 ? "" : `:${String(size % 60).padStart(2, "0")}`;
    const shown = `${zone.minutes < 0 ? "-" : "+"}${String(Math.floor(size / 60)).padStart(2, "0")}${rest}`;
    return {
      at: site.at,
      type: STRING,
      sql: bindSql(wallClock(value.sql, zone), (x) => `${dateTimeText(x)} || '${shown}'`),
    };
  }
  arity(site, 1);
  if (!isScalar(value.type, "TIMESTAMP", "DATE", "DATETIME", "TIME"))
    return refuse("STRING of such a value", site.at, "use CAST");
  return castTo(value, STRING, { safe: false, at: site.at });
};

const now =
  (type: Type, of: (clock: string) => string): Rule =>
  (site) => {
    arity(site, 0, isScalar(type, "TIMESTAMP") ? 0 : 1);
    return { at: site.at, type, sql: of(wallClock("now()", zoneOf(site.count > 0 ? site.value(0) : undefined))) };
  };

const instant = (factor: bigint): Rule =>
  fixed([INT64], TIMESTAMP, (x) =>
    bindRange(
      `timezone('UTC', make_timestamp(${x} * ${factor}))`,
      "TIMESTAMPTZ '0001-01-01 00:00:00+00'",
      "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'",
      "the TIMESTAMP is out of range",
    ),
  );

/** Whole units since 1970, downwards. */
const sinceEpoch = (factor: bigint): Rule =>
  fixed(
    [TIMESTAMP],
    INT64,
    (x) => `((epoch_us(${x}) + 62135596800000000) // ${factor} - ${62_135_596_800_000_000n / factor})`,
  );

const lastDay: Rule = (site) => {
  arity(site, 1, 2);
  const part = site.count === 2 ? partOf(site.argument(1).value) : { name: "MONTH", weekStart: 1 };
  const months = { MONTH: 1, QUARTER: 3, YEAR: 12 }[part.name];
  if (months === undefined && part.name !== "WEEK") refuse(`LAST_DAY of ${part.name}`, site.at);
  const value = isScalar(site.value(0).type, "DATETIME")
    ? { sql: typed(DATE, site.value(0).sql) }
    : argument(site, 0, DATE);
  const sql = bind([value], (x) =>
    inDateRange(
      months === undefined
        ? `${x} + CAST(6 - (${x} - DATE '0001-01-01' + ${part.weekStart}) % 7 AS INTEGER)`
        : `CAST(${dateTrunc(part, x, site.at)} + to_months(${months}) - to_days(1) AS DATE)`,
    ),
  );
  return { at: site.at, type: DATE, sql };
};

export const timeFunctions: Readonly<Record<string, Rule>> = {
  DATE: date,
  DATETIME: dateTime,
  TIMESTAMP: timestamp,
  TIME: time,
  STRING: text,
  CURRENT_DATE: now(DATE, (clock) => `CAST(${clock} AS DATE)`),
  CURRENT_DATETIME: now(DATETIME, (clock) => clock),
  CURRENT_TIME: now(TIME, (clock) => `CAST(${clock} AS TIME)`),
  CURRENT_TIMESTAMP: now(TIMESTAMP, () => "now()"),
  DATE_ADD: sum("DATE", "+"),
  DATE_SUB: sum("DATE", "-"),
  DATE_DIFF: difference("DATE", dateDiff),
  DATE_TRUNC: truncation("DATE"),
  DATETIME_ADD: sum("DATETIME", "+"),
  DATETIME_SUB: sum("DATETIME", "-"),
  DATETIME_DIFF: difference("DATETIME", dateTimeDiff),
  DATETIME_TRUNC: truncation("DATETIME"),
  TIMESTAMP_ADD: sum("TIMESTAMP", "+"),
  TIMESTAMP_SUB: sum("TIMESTAMP", "-"),
  TIMESTAMP_DIFF: difference("TIMESTAMP", timestampDiff),
  TIMESTAMP_TRUNC: truncation("TIMESTAMP"),
  TIME_ADD: sum("TIME", "+"),
  TIME_SUB: sum("TIME", "-"),
  TIME_DIFF: difference("TIME", timeDiff),
  LAST_DAY: lastDay,
  UNIX_DATE: fixed([DATE], INT64, (x) => `(${x} - DATE '1970-01-01')`),
  DATE_FROM_UNIX_DATE: fixed([INT64], DATE, (x) => inYears(`DATE '1970-01-01' + CAST(${x} AS INTEGER)`, "DATE")),
  TIMESTAMP_SECONDS: instant(1_000_000n),
  TIMESTAMP_MILLIS: instant(1_000n),
  TIMESTAMP_MICROS: instant(1n),
  UNIX_SECONDS: sinceEpoch(1_000_000n),
  UNIX_MILLIS: sinceEpoch(1_000n),
  UNIX_MICROS: sinceEpoch(1n),
};
