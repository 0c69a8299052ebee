/** CAST and SAFE_CAST: which types become which, and what their texts look like. */
import { quoteText } from "../duckdb/sql.ts";
import { refuse, type Place } from "./lexer.ts";
import { typeText, type ScalarName, type Type } from "./type.ts";
import { bind, fail, failWith, tried } from "./bind.ts";
import { coerced, nullOf, numericLiteral, typed, type Value } from "./value.ts";

export function castTo(value: Value, type: Type, { safe, at }: { readonly safe: boolean; readonly at: Place }): Value {
  // Unlike NULL alone, CAST(NULL AS T) has a type for good.
  if (value.constant?.kind === "null") return { at, type, sql: nullOf(type, at).sql, atomic: true };
  const literal = !safe && type.kind === "scalar" ? literalCast(value, type.name) : undefined;
  if (literal !== undefined) return { at, type, sql: literal, atomic: true };
  if (type.kind === "scalar" && value.type.kind === "scalar") {
    if (value.type.name === type.name) return { ...value, at };
    const rule =
      rules[`${value.type.name} ${type.name}`] ?? refuse(`CAST from ${typeText(value.type)} to ${type.name}`, at);
    const strange = safe && value.type.name === "STRING" ? beyond[type.name] : undefined;
    const sql = bind([value], (x) => {
      if (!safe) return rule(x);
      const result = tried(rule(x));
      return strange === undefined
        ? result
        : `CASE WHEN ${strange(x)} THEN ${fail(`SAFE_CAST: a ${type.kind === "scalar" ? type.name : ""} that the embedded engine does not read`)} ELSE ${result} END`;
    });
    return { at, type, sql };
  }
  const found = coerced(value, type);
  if (found === undefined) return refuse(`CAST from ${typeText(value.type)} to ${typeText(type)}`, at);
  return { ...found, at };
}

/** Numbers in a text that is written out keep every digit. */
function literalCast(value: Value, name: ScalarName): string | undefined {
  const { constant, at } = value;
  if (constant?.kind !== "string") return undefined;
  if (name === "NUMERIC") return numericLiteral(constant.text, at);
  const time = ["DATE", "TIMESTAMP", "DATETIME", "TIME"].includes(name);
  if (time) return coerced(value, { kind: "scalar", name })?.sql;
  return undefined;
}

/** `JSON '…'`: the document is read here, so that a bad one has a place. */
export function jsonLiteral(text: string, at: Place): Value {
  try {
    JSON.parse(text);
  } catch {
    return refuse("a JSON literal that is no JSON", at);
  }
  const type: Type = { kind: "scalar", name: "JSON" };
  return { at, type, sql: typed(type, quoteText(text)), atomic: true };
}

type Rule = (x: string) => string;

const plain =
  (type: ScalarName): Rule =>
  (x) =>
    typed({ kind: "scalar", name: type }, x);

/** Reads a text that has the form `pattern`; anything else is an error and not the engine's guess. */
const reading =
  (pattern: string, type: ScalarName, read: Rule = plain(type)): Rule =>
  (x) =>
    `CASE WHEN ${x} IS NULL THEN NULL WHEN regexp_full_match(${x}, '${pattern}') THEN ${read(x)} ELSE ${failWith(`bad ${type} value`, x)} END`;

const date = String.raw`\d{4}-\d{1,2}-\d{1,2}`;
const clock = String.raw`(?:[01]?\d|2[0-3]):[0-5]?\d:[0-5]?\d(?:\.\d{0,6})?`;
const number = String.raw`\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*`;

/** Pads the parts of a date or time to two digits, so that the engine reads them. */
const padded: Rule = (x) =>
  String.raw`regexp_replace(replace(replace(${x}, 'T', ' '), 't', ' '), '(^|[-: ])(\d)\b', '\10\2', 'g')`;

/** The digits after the second: none, three or six. */
const fraction = (x: string): string =>
  `CASE WHEN microsecond(${x}) % 1000000 = 0 THEN '' WHEN microsecond(${x}) % 1000 = 0 THEN '.' || lpad(CAST(microsecond(${x}) // 1000 % 1000 AS VARCHAR), 3, '0') ELSE '.' || lpad(CAST(microsecond(${x}) % 1000000 AS VARCHAR), 6, '0') END`;

export const dateTimeText: Rule = (x) => `strftime(${x}, '%Y-%m-%d %H:%M:%S') || ${fraction(x)}`;

/** As BigQuery writes it: fifteen digits where they say it all, else seventeen. */
export const floatText: Rule = (x) => {
  const digits = (count: number): string => `format('{:.${count}g}', ${x})`;
  return `CASE WHEN isnan(${x}) THEN 'nan' WHEN isinf(${x}) THEN CASE WHEN ${x} > 0 THEN 'inf' ELSE '-inf' END WHEN ${x} = 0 THEN '0' WHEN CAST(${digits(15)} AS DOUBLE) = ${x} THEN ${digits(15)} ELSE ${digits(17)} END`;
};

export const numericText: Rule = (x) => String.raw`regexp_replace(CAST(${x} AS VARCHAR), '\.?0+$', '')`;

/** The exact binary value, rounded half away from zero. */
const floatToNumeric: Rule = (x) =>
  `CASE WHEN NOT isfinite(${x}) THEN ${fail("a NUMERIC cannot be NaN or infinite")} ELSE CAST(format('{:.40f}', ${x}) AS DECIMAL(38,9)) END`;

const rules: Readonly<Record<string, Rule>> = {
  "INT64 FLOAT64": plain("FLOAT64"),
  "INT64 NUMERIC": plain("NUMERIC"),
  "INT64 STRING": plain("STRING"),
  "INT64 BOOL": (x) => `(${x} != 0)`,
  "FLOAT64 INT64": (x) => `CAST(round(${x}) AS BIGINT)`,
  "FLOAT64 NUMERIC": floatToNumeric,
  "FLOAT64 STRING": floatText,
  "NUMERIC INT64": (x) => `CAST(round(${x}) AS BIGINT)`,
  "NUMERIC FLOAT64": (x) => `CAST(CAST(${x} AS VARCHAR) AS DOUBLE)`,
  "NUMERIC STRING": numericText,
  "BOOL INT64": plain("INT64"),
  "BOOL STRING": (x) => `CASE ${x} WHEN true THEN 'true' WHEN false THEN 'false' END`,
  "STRING INT64": (x) =>
    String.raw`CASE WHEN ${x} IS NULL THEN NULL WHEN regexp_full_match(${x}, '\s*[+-]?\d+\s*') THEN CAST(trim(${x}, e' \t\n\r\f\v') AS BIGINT) WHEN regexp_full_match(${x}, '\s*0[xX][0-9a-fA-F]{1,15}\s*') THEN CAST(lower(trim(${x}, e' \t\n\r\f\v')) AS BIGINT) ELSE ${failWith("bad INT64 value", x)} END`,
  "STRING FLOAT64": reading(String.raw`(?i)${number}|\s*[+-]?(?:inf|infinity|nan)\s*`, "FLOAT64", (x) => {
    const word = String.raw`lower(regexp_replace(${x}, '[\s+]', '', 'g'))`;
    return `CASE WHEN regexp_matches(${x}, '(?i)nan') THEN CAST('nan' AS DOUBLE) ELSE CAST(replace(${word}, 'infinity', 'inf') AS DOUBLE) END`;
  }),
  "STRING NUMERIC": reading(
    String.raw`${number}`,
    "NUMERIC",
    (x) => String.raw`CAST(regexp_replace(${x}, '\s', '', 'g') AS DECIMAL(38,9))`,
  ),
  "STRING BOOL": (x) =>
    `CASE lower(${x}) WHEN 'true' THEN true WHEN 'false' THEN false ELSE CASE WHEN ${x} IS NULL THEN NULL ELSE ${failWith("bad BOOL value", x)} END END`,
  "STRING DATE": reading(date, "DATE", (x) => `CAST(${padded(x)} AS DATE)`),
  "STRING DATETIME": reading(`${date}(?:[ Tt]${clock})?`, "DATETIME", (x) => `CAST(${padded(x)} AS TIMESTAMP)`),
  "STRING TIME": reading(clock, "TIME", (x) => `CAST(${padded(x)} AS TIME)`),
  "STRING TIMESTAMP": (x) => reading(instantPattern, "TIMESTAMP", timestampText)(x),
  "STRING BYTES": (x) => `encode(${x})`,
  "BYTES STRING": (x) => `decode(${x})`,
  "DATE STRING": (x) => `strftime(${x}, '%Y-%m-%d')`,
  "DATETIME STRING": dateTimeText,
  "TIMESTAMP STRING": (x) => `${dateTimeText(`timezone('UTC', ${x})`)} || '+00'`,
  "TIME STRING": (x) => `strftime(DATE '2000-01-01' + ${x}, '%H:%M:%S') || ${fraction(x)}`,
  "DATE DATETIME": plain("DATETIME"),
  "DATE TIMESTAMP": (x) => `timezone('UTC', CAST(${x} AS TIMESTAMP))`,
  "DATETIME DATE": plain("DATE"),
  "DATETIME TIME": plain("TIME"),
  "DATETIME TIMESTAMP": (x) => `timezone('UTC', ${x})`,
  "TIMESTAMP DATE": (x) => `CAST(timezone('UTC', ${x}) AS DATE)`,
  "TIMESTAMP DATETIME": (x) => `timezone('UTC', ${x})`,
  "TIMESTAMP TIME": (x) => `CAST(timezone('UTC', ${x}) AS TIME)`,
};

const instantPattern = String.raw`${date}(?:[ Tt]${clock}(?:[zZ]|[+-]\d{2}(?::\d{2})?| UTC)?)?`;

/** What a TIMESTAMP looks like, whether or not there is such a time. */
const looseInstant = String.raw`\d{4}-\d+-\d+(?:[ Tt]\d+:\d+:\d+(?:\.\d{0,6})?(?:[zZ]|[+-]\d{2}(?::\d{2})?| UTC)?)?`;

/** A leap second, or more digits than microseconds have. */
const strangeTime = String.raw`:\d{1,2}:60|\.\d{7}`;

/** Texts that BigQuery may read and the rules above do not: NULL would be wrong for them. */
const beyond: Partial<Record<ScalarName, Rule>> = {
  TIMESTAMP: (x) =>
    `(regexp_matches(${x}, '${strangeTime}') OR (regexp_matches(${x}, '^${date}.+') AND NOT regexp_matches(${x}, '^${looseInstant}$')))`,
  DATETIME: (x) => `regexp_matches(${x}, '${strangeTime}')`,
  TIME: (x) => `regexp_matches(${x}, '${strangeTime}')`,
  INT64: (x) =>
    String.raw`(regexp_matches(${x}, '0[xX][0-9a-fA-F]') AND NOT regexp_full_match(${x}, '\s*0[xX][0-9a-fA-F]{1,15}\s*'))`,
  FLOAT64: (x) => `regexp_matches(${x}, '0[xX][0-9a-fA-F]')`,
};

function timestampText(x: string): string {
  const local = String.raw`regexp_extract(${x}, '^${date}(?:[ Tt]${clock})?')`;
  const offset = String.raw`regexp_extract(${x}, '[+-]\d{2}(?::\d{2})?$')`;
  const minutes = String.raw`CASE WHEN regexp_matches(${x}, ':.*[+-]\d{2}(?::\d{2})?$') THEN (CAST(substring(${offset}, 2, 2) AS INTEGER) * 60 + coalesce(TRY_CAST(substring(${offset}, 5, 2) AS INTEGER), 0)) * CASE WHEN ${offset}[1] = '-' THEN -1 ELSE 1 END ELSE 0 END`;
  return `(timezone('UTC', CAST(${padded(local)} AS TIMESTAMP)) - to_minutes(${minutes}))`;
}
