/** Functions of arrays. */
import { added, intervalOf } from "./time.ts";
import { quoteText } from "../duckdb/sql.ts";
import { castTo } from "./cast.ts";
import type { Rule, Site } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { argument, arity } from "./rule.ts";
import { arrayOf, DATE, INT64, isScalar, STRING, TIMESTAMP, type Type } from "./type.ts";
import { bind, fail } from "./bind.ts";
import { literalText, typed, unify, type Value } from "./value.ts";

function list(site: Site, index = 0): { readonly value: Value; readonly element: Type } {
  const value = site.value(index);
  if (value.type.kind !== "array") return refuse(`${site.name} of something that is no array`, value.at);
  return { value, element: value.type.element };
}

const concat: Rule = (site) => {
  arity(site, 1, 100);
  const { type, values } = unify(
    Array.from({ length: site.count }, (_, index) => list(site, index).value),
    "ARRAY_CONCAT",
  );
  const sql = bind(values, (...texts) => {
    const isNull = texts.map((x) => `${x} IS NULL`).join(" OR ");
    return `CASE WHEN ${isNull} THEN NULL ELSE list_concat(${texts.join(", ")}${texts.length === 1 ? `, ${typed(type, "[]")}` : ""}) END`;
  });
  return { at: site.at, type, sql };
};

const toText: Rule = (site) => {
  arity(site, 2, 3);
  const { value, element } = list(site);
  const delimiter = argument(site, 1, STRING);
  if (!isScalar(element, "STRING", "INT64", "BOOL", "DATE", "NUMERIC"))
    refuse("ARRAY_TO_STRING of such an array", value.at, "write a CAST");
  const item: Value = { at: site.at, type: element, sql: "_e", atomic: true };
  const text = castTo(item, STRING, { safe: false, at: site.at }).sql;
  const separator =
    literalText(delimiter) ?? refuse("ARRAY_TO_STRING with a delimiter that is not written out", delimiter.at);
  const filling = site.count === 3 ? argument(site, 2, STRING) : undefined;
  const sql = bind([value, ...(filling === undefined ? [] : [filling])], (x, n) => {
    const kept = n === undefined ? `list_filter(${x}, lambda _e: _e IS NOT NULL)` : x;
    const shown = n === undefined ? text : `coalesce(${text}, ${n})`;
    const joined = `array_to_string(list_transform(${kept}, lambda _e: ${shown}), ${quoteText(separator)})`;
    return `CASE WHEN ${x} IS NOT NULL THEN coalesce(${joined}, '') END`;
  });
  return { at: site.at, type: STRING, sql };
};

const generate: Rule = (site) => {
  arity(site, 2, 3);
  const values = Array.from({ length: site.count }, (_, index) => argument(site, index, INT64));
  const type = arrayOf(INT64);
  const sql = bind(
    values,
    (from, to, step = "1") =>
      `CASE WHEN ${step} = 0 THEN ${fail("GENERATE_ARRAY: the step is zero")} WHEN ${from} IS NULL OR ${to} IS NULL OR ${step} IS NULL THEN NULL WHEN (${step} > 0 AND ${from} > ${to}) OR (${step} < 0 AND ${from} < ${to}) THEN ${typed(type, "[]")} ELSE generate_series(${from}, ${to}, ${step}) END`,
  );
  return { at: site.at, type, sql };
};

const generateTimes =
  (type: Type, name: "DATE" | "TIMESTAMP"): Rule =>
  (site) => {
    arity(site, name === "DATE" ? 2 : 3, 3);
    const [first, last] = [argument(site, 0, type), argument(site, 1, type)];
    const interval =
      site.count === 3
        ? intervalOf(site.argument(2).value, site.scope, site.emit)
        : {
            count: { at: site.at, type: INT64, sql: "CAST(1 AS BIGINT)", atomic: true },
            part: { name: "DAY", weekStart: 1 },
          };
    const { constant } = interval.count;
    const step =
      site.count === 2
        ? 1
        : constant?.kind === "integer"
          ? Number(constant.text)
          : refuse(`${site.name} with a step that is not written out`, site.at);
    if (step <= 0) refuse(`${site.name} with a step of zero or less`, site.at);
    const days: Readonly<Record<string, number>> = { DAY: 1, WEEK: 7, MONTH: 28, QUARTER: 90, YEAR: 365 };
    const micros: Readonly<Record<string, number>> = {
      MICROSECOND: 1,
      MILLISECOND: 1e3,
      SECOND: 1e6,
      MINUTE: 6e7,
      HOUR: 3.6e9,
      DAY: 8.64e10,
    };
    const size =
      (name === "DATE" ? days : micros)[interval.part.name] ?? refuse(`${site.name} by ${interval.part.name}`, site.at);
    const sql = bind([first, last], (x = "", y = "") => {
      const span = name === "DATE" ? `(${y} - ${x})` : `(epoch_us(${y}) - epoch_us(${x}))`;
      const item = (n: string): string =>
        added(
          name,
          { at: site.at, type, sql: x, atomic: true },
          "+",
          { ...interval, count: { at: site.at, type: INT64, sql: `(${n} * ${step})`, atomic: true } },
          site.at,
        );
      // Whether the next month counts from the first date or from the one before differs only at a month's end.
      const isMonths = ["MONTH", "QUARTER", "YEAR"].includes(interval.part.name);
      const unclear = isMonths
        ? ` WHEN day(${x}) > 28 THEN ${fail(`${site.name} by months from a day after the 28th`)}`
        : "";
      return `CASE WHEN ${x} IS NULL OR ${y} IS NULL THEN NULL${unclear} WHEN ${x} > ${y} THEN ${typed(arrayOf(type), "[]")} ELSE list_filter(list_transform(range(0, ${span} // ${size * step} + 1), lambda _i: ${item("_i")}), lambda _e: _e <= ${y}) END`;
    });
    return { at: site.at, type: arrayOf(type), sql };
  };

/** The element at one end; `index` is its place, counted from 1. */
const endOf =
  (name: string, index: (array: string) => string): Rule =>
  (site) => {
    arity(site, 1);
    const { value, element } = list(site);
    const sql = bind(
      [value],
      (x) => `CASE WHEN len(${x}) = 0 THEN ${fail(`${name} of an empty array`)} ELSE ${x}[${index(x)}] END`,
    );
    return { at: site.at, type: element, sql };
  };

export const arrayFunctions: Readonly<Record<string, Rule>> = {
  ARRAY_LENGTH: (site) => {
    arity(site, 1);
    return { at: site.at, type: INT64, sql: `CAST(len(${list(site).value.sql}) AS BIGINT)` };
  },
  ARRAY_CONCAT: concat,
  ARRAY_REVERSE: (site) => {
    arity(site, 1);
    const { value } = list(site);
    return { at: site.at, type: value.type, sql: `list_reverse(${value.sql})` };
  },
  ARRAY_FIRST: endOf("ARRAY_FIRST", () => "1"),
  ARRAY_LAST: endOf("ARRAY_LAST", (x) => `len(${x})`),
  ARRAY_TO_STRING: toText,
  GENERATE_ARRAY: generate,
  GENERATE_DATE_ARRAY: generateTimes(DATE, "DATE"),
  GENERATE_TIMESTAMP_ARRAY: generateTimes(TIMESTAMP, "TIMESTAMP"),
};
