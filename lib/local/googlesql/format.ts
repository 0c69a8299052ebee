/** FORMAT(pattern, …): the specifiers that give the same text. */
import { castTo } from "./cast.ts";
import { quoteText } from "../duckdb/sql.ts";
import { refuse, type Place } from "./lexer.ts";
import { FLOAT64, INT64, isScalar, STRING, typeText } from "./type.ts";
import { bind } from "./bind.ts";
import { coerce, type Value } from "./value.ts";

export function formatted(pattern: string, values: readonly Value[], at: Place): string {
  const parts: string[] = [];
  let used = 0;
  const take = (): Value => values[used++] ?? refuse("FORMAT with more specifiers than values", at);
  for (const [whole, flags = "", width = "", precision, letter = ""] of pattern.matchAll(
    /[^%]+|%([-+ #0']*)(\d*)(?:\.(\d+))?([A-Za-z%])|%/g,
  )) {
    if (!whole.startsWith("%")) parts.push(quoteText(whole));
    else if (whole === "%%") parts.push("'%'");
    else parts.push(specified(letter, { flags, width, precision, whole }, take, at));
  }
  if (used < values.length) refuse("FORMAT with more values than specifiers", at);
  return parts.length === 0 ? "''" : `(${parts.join(" || ")})`;
}

interface Specifier {
  readonly flags: string;
  readonly width: string;
  readonly precision: string | undefined;
  readonly whole: string;
}

function specified(
  letter: string,
  { flags, width, precision, whole }: Specifier,
  take: () => Value,
  at: Place,
): string {
  const unknown = (): never => refuse(`the specifier ${whole} of FORMAT`, at);
  const isPlain = flags === "" && width === "" && precision === undefined;
  switch (letter) {
    case "s":
      return isPlain ? coerce(take(), STRING, "%s").sql : unknown();
    case "t": {
      const value = take();
      if (!isPlain) return unknown();
      if (!isScalar(value.type, "STRING", "INT64", "BOOL", "DATE", "DATETIME", "TIMESTAMP", "NUMERIC"))
        return refuse(`%t of ${typeText(value.type)}`, value.at);
      const text = castTo(value, STRING, { safe: false, at: value.at });
      return `coalesce(${text.sql}, 'NULL')`;
    }
    case "d":
    case "i": {
      if (precision !== undefined || !/^(0|')?$/.test(flags)) return unknown();
      const value = coerce(take(), INT64, whole);
      const grouped = flags === "'" ? "," : "";
      if (grouped !== "" && width !== "") return unknown();
      return `format('{:${flags === "0" ? "0" : ""}${width}${grouped}d}', ${value.sql})`;
    }
    case "f": {
      if (flags !== "" || width !== "") return unknown();
      const value = coerce(take(), FLOAT64, whole);
      return bind(
        [value],
        (x) =>
          `CASE WHEN ${x} = 0 THEN format('{:.${precision ?? 6}f}', CAST(0 AS DOUBLE)) WHEN isfinite(${x}) THEN format('{:.${precision ?? 6}f}', ${x}) WHEN isnan(${x}) THEN 'nan' WHEN ${x} > 0 THEN 'inf' WHEN ${x} < 0 THEN '-inf' END`,
      );
    }
    default:
      return unknown();
  }
}
