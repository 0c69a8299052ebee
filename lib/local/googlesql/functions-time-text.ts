/** FORMAT_… and PARSE_… of dates and times: every element that is on the list, spelled out. */
import { quoteText } from "../duckdb/sql.ts";
import type { Rule, Site } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { wallClock, zonedInstant, type Zone } from "./literal.ts";
import { inDateRange } from "./operators.ts";
import { argument, arity } from "./rule.ts";
import { zoneOf, type TimeType } from "./time.ts";
import { scalar, STRING } from "./type.ts";
import { bind, bindSql, fail } from "./bind.ts";
import { literalText } from "./value.ts";

/** `%F` and its like are several elements. */
const shorthands: readonly (readonly [string, string])[] = [
  ["%F", "%Y-%m-%d"],
  ["%T", "%H:%M:%S"],
  ["%R", "%H:%M"],
  ["%D", "%m/%d/%y"],
  ["%h", "%b"],
];

function elements(site: Site): readonly string[] {
  const value = argument(site, 0, STRING);
  let format = literalText(value) ?? refuse(`${site.name} with a format that is not written out`, value.at);
  const pieces = format.match(/%E\*S|%E[0-9]S|%[EO]?[^]|[^%]+|%/g) ?? [];
  format = pieces.map((piece) => shorthands.find(([short]) => short === piece)?.[1] ?? piece).join("");
  return format.match(/%E\*S|%E[0-9]S|%[EO]?[^]|[^%]+|%/g) ?? [];
}

const datePart: ReadonlySet<string> = new Set("YmdjbBaAeyuwUWVGQ".split("").map((letter) => `%${letter}`));

/** What an element gives for the wall clock `x`. */
function shown(element: string, x: string, zone: string): string | undefined {
  switch (element) {
    case "%%":
      return "'%'";
    case "%Y":
      return `CAST(year(${x}) AS VARCHAR)`;
    case "%m":
    case "%d":
    case "%H":
    case "%M":
    case "%S":
    case "%j":
    case "%b":
    case "%B":
    case "%a":
    case "%A":
    case "%y":
    case "%p":
    case "%I":
    case "%U":
    case "%W":
      return `strftime(${x}, '${element}')`;
    case "%e":
      return `lpad(CAST(day(${x}) AS VARCHAR), 2, ' ')`;
    case "%u":
      return `CAST(isodow(${x}) AS VARCHAR)`;
    case "%w":
      return `CAST(dayofweek(${x}) AS VARCHAR)`;
    case "%V":
      return `lpad(CAST(week(${x}) AS VARCHAR), 2, '0')`;
    case "%G":
      return `CAST(isoyear(${x}) AS VARCHAR)`;
    case "%Q":
      return `CAST(quarter(${x}) AS VARCHAR)`;
    case "%E3S":
      return `strftime(${x}, '%S') || '.' || lpad(CAST(microsecond(${x}) // 1000 % 1000 AS VARCHAR), 3, '0')`;
    case "%E6S":
      return `strftime(${x}, '%S') || '.' || lpad(CAST(microsecond(${x}) % 1000000 AS VARCHAR), 6, '0')`;
    case "%E*S":
      return String.raw`strftime(${x}, '%S') || regexp_replace('.' || lpad(CAST(microsecond(${x}) % 1000000 AS VARCHAR), 6, '0'), '\.?0+$', '')`;
    case "%s":
      return `CAST((epoch_us(${x}) + 62135596800000000) // 1000000 - 62135596800 AS VARCHAR)`;
    case "%Z":
    case "%z":
    case "%Ez":
      return zone === "UTC" ? { "%Z": "'UTC'", "%z": "'+0000'", "%Ez": "'+00:00'" }[element] : undefined;
    default:
      return undefined;
  }
}

const formatting =
  (type: TimeType): Rule =>
  (site) => {
    arity(site, 2, type === "TIMESTAMP" ? 3 : 2);
    const zone = zoneOf(site.count === 3 ? site.value(2) : undefined);
    const value = argument(site, 1, scalar(type));
    const isUtc = type === "TIMESTAMP" && "minutes" in zone && zone.minutes === 0;
    const wall =
      type === "TIMESTAMP"
        ? wallClock(value.sql, zone)
        : type === "TIME"
          ? `(DATE '1970-01-01' + ${value.sql})`
          : value.sql;
    const sql = bindSql(wall, (x) => {
      const parts = elements(site).map((element) => {
        if (!element.startsWith("%")) return quoteText(element);
        const fits =
          type === "TIME"
            ? !datePart.has(element) && element !== "%s"
            : type !== "DATE" || datePart.has(element) || element === "%%";
        // Seconds since 1970 are of the instant, and not of the wall clock.
        if (element === "%s" && !isUtc) return refuse(`%s in ${site.name}`, site.at);
        return (
          (fits ? shown(element, x, isUtc ? "UTC" : "") : undefined) ??
          refuse(`the format element ${element} in ${site.name}`, site.at)
        );
      });
      return parts.length === 0
        ? `CASE WHEN ${x} IS NOT NULL THEN '' END`
        : `CASE WHEN ${x} IS NOT NULL THEN ${parts.join(" || ")} END`;
    });
    return { at: site.at, type: STRING, sql };
  };

const months: readonly string[] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const longMonths: readonly string[] = [
  "january",
  "february",
  "march",
  "april",
  "may",
  "june",
  "july",
  "august",
  "september",
  "october",
  "november",
  "december",
];

/** What an element takes from a text. */
const taken: Readonly<Record<string, string>> = {
  "%Y": String.raw`(\d{1,4}|0\d{4})`,
  "%m": String.raw`(1[0-2]|0?[1-9])`,
  "%d": String.raw`(3[01]|[12]\d|0?[1-9])`,
  "%e": String.raw`\s*(3[01]|[12]\d|0?[1-9])`,
  "%H": String.raw`(2[0-3]|[01]?\d)`,
  "%M": String.raw`([0-5]?\d)`,
  "%S": String.raw`([0-5]?\d|60)`,
  "%E*S": String.raw`((?:[0-5]?\d|60)(?:\.\d+)?)`,
  "%b": `((?i:${longMonths.join("|")}|${months.join("|")}))`,
  "%B": `((?i:${longMonths.join("|")}|${months.join("|")}))`,
  "%Ez": String.raw`(Z|[+-]\d{2}(?::?\d{2})?)`,
  "%z": String.raw`([+-]\d{2}(?:\d{2})?)`,
};

const field: Readonly<Record<string, string>> = {
  "%Y": "year",
  "%m": "month",
  "%b": "month",
  "%B": "month",
  "%d": "day",
  "%e": "day",
  "%H": "hour",
  "%M": "minute",
  "%S": "second",
  "%E*S": "second",
  "%Ez": "zone",
  "%z": "zone",
};

const parsing =
  (type: "DATE" | "DATETIME" | "TIMESTAMP"): Rule =>
  (site) => {
    arity(site, 2, type === "TIMESTAMP" ? 3 : 2);
    const pieces = elements(site);
    const zone = zoneOf(site.count === 3 ? site.value(2) : undefined);
    const groups = new Map<string, { readonly index: number; readonly element: string }>();
    let pattern = String.raw`\s*`;
    pieces.forEach((piece, index) => {
      if (piece === "%%") pattern += "%";
      else if (piece.startsWith("%")) {
        const name = Object.hasOwn(field, piece) ? field[piece] : undefined;
        if (name === undefined) return refuse(`the format element ${piece} in ${site.name}`, site.at);
        const isClock = name === "hour" || name === "minute" || name === "second" || name === "zone";
        if ((isClock && type === "DATE") || (name === "zone" && type !== "TIMESTAMP"))
          refuse(`${piece} in ${site.name}`, site.at);
        if (groups.has(name)) refuse(`two elements for the ${name} in ${site.name}`, site.at);
        // A number before another one takes all its digits.
        const following = pieces[index + 1] ?? "";
        const isBefore = following.startsWith("%") && following !== "%%";
        const strict = !isBefore
          ? taken[piece]
          : piece === "%Y"
            ? String.raw`(\d{4})`
            : /^%[mdHMS]$/.test(piece)
              ? String.raw`(\d{2})`
              : taken[piece];
        groups.set(name, { index: groups.size + 1, element: piece });
        pattern += strict;
      } else
        pattern += piece
          .split(/\s+/)
          .map(escape)
          .join(String.raw`\s*`);
      return undefined;
    });
    pattern += String.raw`\s*`;
    if (pattern.includes("'")) refuse(`such a format in ${site.name}`, site.at);
    const value = argument(site, 1, STRING);
    return { at: site.at, type: scalar(type), sql: bind([value], (x) => read(type, { x, pattern, groups, zone })) };
  };

function escape(text: string): string {
  return text.replaceAll(/[\\^$.|?*+()[\]{}]/g, String.raw`\$&`);
}

interface Reading {
  readonly x: string;
  readonly pattern: string;
  readonly groups: ReadonlyMap<string, { readonly index: number; readonly element: string }>;
  readonly zone: Zone;
}

function read(type: "DATE" | "DATETIME" | "TIMESTAMP", { x, pattern, groups, zone }: Reading): string {
  const raw = (name: string): string | undefined => {
    const group = groups.get(name);
    return group === undefined ? undefined : `regexp_extract(${x}, '^${pattern}$', ${group.index})`;
  };
  const whole = (name: string, otherwise: number): string => {
    const text = raw(name);
    return text === undefined ? String(otherwise) : `CAST(${text} AS BIGINT)`;
  };
  const monthGroup = groups.get("month");
  const month =
    monthGroup !== undefined && monthGroup.element !== "%m"
      ? `list_position([${months.map(quoteText).join(", ")}], lower(left(${raw("month")}, 3)))`
      : whole("month", 1);
  const [year, day] = [whole("year", 1970), whole("day", 1)];
  const second =
    raw("second") === undefined
      ? "0"
      : String.raw`CAST(regexp_extract(${raw("second")}, '^\d+(?:\.\d{1,6})?') AS DECIMAL(9,6))`;
  const clock = `((${whole("hour", 0)} * 60 + ${whole("minute", 0)}) * 60000000 + CAST(${second} * 1000000 AS BIGINT))`;
  const date = inDateRange(`make_date(${year}, ${month}, ${day})`);
  const local = `make_timestamp(epoch_us(CAST(${date} AS TIMESTAMP)) + ${clock})`;
  const offset = raw("zone");
  const minutes =
    offset === undefined
      ? ""
      : ` - to_minutes(CASE WHEN ${offset} = 'Z' THEN 0 ELSE (CAST(substring(${offset}, 2, 2) AS BIGINT) * 60 + CASE WHEN length(${offset}) > 3 THEN CAST(right(${offset}, 2) AS BIGINT) ELSE 0 END) * CASE WHEN ${offset}[1] = '-' THEN -1 ELSE 1 END END)`;
  const made =
    type === "DATE"
      ? date
      : type === "DATETIME"
        ? local
        : offset === undefined
          ? bindSql(local, (name) => zonedInstant(name, zone))
          : `(timezone('UTC', ${local})${minutes})`;
  return `CASE WHEN ${x} IS NULL THEN NULL WHEN regexp_full_match(${x}, '${pattern}') THEN ${made} ELSE ${fail(`PARSE_${type}: the text does not fit the format`)} END`;
}

export const timeTextFunctions: Readonly<Record<string, Rule>> = {
  FORMAT_DATE: formatting("DATE"),
  FORMAT_DATETIME: formatting("DATETIME"),
  FORMAT_TIMESTAMP: formatting("TIMESTAMP"),
  FORMAT_TIME: formatting("TIME"),
  PARSE_DATE: parsing("DATE"),
  PARSE_DATETIME: parsing("DATETIME"),
  PARSE_TIMESTAMP: parsing("TIMESTAMP"),
};
