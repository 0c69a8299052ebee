/** JSON, in values of type JSON and in texts. */
import type { Rule, Site } from "./emit.ts";
import { dateTimeText, floatText } from "./cast.ts";
import { quoteText } from "../duckdb/sql.ts";
import { refuse } from "./lexer.ts";
import { argument, arity } from "./rule.ts";
import { arrayOf, BOOL, FLOAT64, INT64, isScalar, JSON_TYPE, STRING, typeText, type Type } from "./type.ts";
import { bind, fail } from "./bind.ts";
import { coerce, literalText, typed, type Value } from "./value.ts";

/** A path of names and numbers alone, in the engine's own spelling. */
function pathOf(site: Site): string {
  if (site.count === 1) return "$";
  const value = argument(site, 1, STRING);
  const text = literalText(value) ?? refuse(`${site.name} with a path that is not written out`, value.at);
  const unknown = (): never => refuse(`the JSON path ${JSON.stringify(text)}`, value.at);
  if (!text.startsWith("$")) return unknown();
  const isExtract = site.name.startsWith("JSON_EXTRACT");
  let path = "$";
  let at = 1;
  const step = /\.([A-Za-z_][A-Za-z0-9_]*)|\."([^"\\]*)"|\[(\d+)\]|\['([^'\\"]*)'\]/y;
  while (at < text.length) {
    step.lastIndex = at;
    const found = step.exec(text);
    if (found === null || (found[2] !== undefined && isExtract) || (found[4] !== undefined && !isExtract))
      return unknown();
    const name = found[1] ?? found[2] ?? found[4];
    path += name === undefined ? `[${Number(found[3])}]` : `."${name}"`;
    at += found[0].length;
  }
  return path;
}

/** The JSON document: a text that is none gives NULL. */
function document(site: Site): { readonly value: Value; readonly isText: boolean } {
  const value = site.value(0);
  if (isScalar(value.type, "JSON")) return { value, isText: false };
  return { value: coerce(value, STRING, `an argument of ${site.name}`), isText: true };
}

/**
 * Numbers with a fraction are written anew by the engine. Where BigQuery keeps them as they are written (in texts), or writes
 * them in another way (with exponents), it is an error instead of another text.
 */
function guarded(x: string, path: string, isText: boolean, found: string): string {
  const odd = isText ? regexOn(x, oddNumber) : regexOn(found, "[0-9][eE]");
  return `CASE WHEN json_type(${x}, ${path}) = 'DOUBLE' AND ${odd} THEN ${rewritten} ELSE ${found} END`;
}

const rewritten = fail("a JSON number in a form that the embedded engine writes differently");
const oddNumber = String.raw`\.[0-9]+0([^0-9]|$)|[0-9][eE]|\.[0-9]{15}|[0-9]{15}\.|[0-9]{8,}\.[0-9]{8}`;
const regexOn = (x: string, pattern: string): string => `regexp_matches(${x}, '${pattern}')`;

/** A part of a text, as a text: BigQuery copies its numbers. */
function copied(x: string, found: string): string {
  const number = `${regexOn(x, oddNumber)} AND ${regexOn(found, String.raw`[0-9](\.[0-9]|[eE])`)}`;
  const differs = `(${number}) OR ${regexOn(found, String.raw`[\x{2028}\x{2029}]`)}`;
  return `CASE WHEN ${differs} THEN ${rewritten} ELSE ${found} END`;
}

const valid = (x: string, isText: boolean): string => (isText ? `json_valid(${x})` : `${x} IS NOT NULL`);

const scalarAt =
  (convert: (text: string) => string, type: Type): Rule =>
  (site) => {
    arity(site, 1, 2);
    const path = quoteText(pathOf(site));
    const { value, isText } = document(site);
    const sql = bind(
      [value],
      (x) =>
        `CASE WHEN ${valid(x, isText)} THEN CASE WHEN json_type(${x}, ${path}) IN ('OBJECT', 'ARRAY', 'NULL') THEN NULL ELSE ${convert(guarded(x, path, isText, `json_extract_string(${x}, ${path})`))} END END`,
    );
    return { at: site.at, type, sql };
  };

/** From a text, the part is a text again; from JSON, it is JSON. */
const partAt: Rule = (site) => {
  arity(site, 1, 2);
  const path = quoteText(pathOf(site));
  const { value, isText } = document(site);
  const found = (x: string): string => `json_extract(${x}, ${path})`;
  const sql = bind([value], (x) => {
    if (!isText) return found(x);
    return `CASE WHEN json_valid(${x}) AND json_type(${x}, ${path}) != 'NULL' THEN ${copied(x, `CAST(${found(x)} AS VARCHAR)`)} END`;
  });
  return { at: site.at, type: isText ? STRING : JSON_TYPE, sql };
};

const arrayAt =
  (isScalarArray: boolean): Rule =>
  (site) => {
    arity(site, 1, 2);
    const path = quoteText(pathOf(site));
    const { value, isText } = document(site);
    const element = isScalarArray || isText ? STRING : JSON_TYPE;
    const items = (x: string): string => `CAST(json_extract(${x}, ${path}) AS JSON[])`;
    const kinds = (x: string): string => `list_transform(${items(x)}, lambda _j: json_type(_j))`;
    const sql = bind([value], (x) => {
      const isArray = `${valid(x, isText)} AND json_type(${x}, ${path}) = 'ARRAY'`;
      if (!isScalarArray)
        return `CASE WHEN ${isArray} THEN ${element === STRING ? `list_transform(${items(x)}, lambda _j: ${copied(x, "coalesce(CAST(_j AS VARCHAR), 'null')")})` : `list_transform(${items(x)}, lambda _j: coalesce(_j, CAST('null' AS JSON)))`} END`;
      // An array with an array or object in it is no array of scalars.
      return `CASE WHEN ${isArray} AND NOT list_contains(${kinds(x)}, 'OBJECT') AND NOT list_contains(${kinds(x)}, 'ARRAY') THEN list_transform(${items(x)}, lambda _j: CASE WHEN json_type(_j) = 'NULL' THEN NULL ELSE ${guarded("_j", "'$'", true, "json_extract_string(_j, '$')")} END) END`;
    });
    return { at: site.at, type: arrayOf(element), sql };
  };

const strict =
  (kinds: readonly string[], type: Type, convert: (x: string) => string): Rule =>
  (site) => {
    arity(site, 1);
    const value = argument(site, 0, JSON_TYPE);
    const list = kinds.map(quoteText).join(", ");
    const sql = bind(
      [value],
      (x) =>
        `CASE WHEN ${x} IS NULL THEN NULL WHEN json_type(${x}) IN (${list}) THEN ${convert(`json_extract_string(${x}, '$')`)} ELSE ${fail("the JSON value is of another type")} END`,
    );
    return { at: site.at, type, sql };
  };

/** TO_JSON_STRING: the text of each type, as GoogleSQL writes it. */
function jsonText(type: Type, x: string, site: Site, depth: number): string {
  const inner = (sql: string): string => `coalesce(${sql}, 'null')`;
  if (type.kind === "array") {
    const name = `_j${depth}`;
    return inner(
      `'[' || array_to_string(list_transform(${x}, lambda ${name}: ${jsonText(type.element, name, site, depth + 1)}), ',') || ']'`,
    );
  }
  if (type.kind === "struct") {
    const fields = type.fields.map((field) => {
      const name = JSON.stringify(field.anonymous ? "" : field.name);
      return `${quoteText(`${name}:`)} || ${jsonText(field.type, `struct_extract(${x}, ${quoteText(field.name)})`, site, depth + 1)}`;
    });
    return `CASE WHEN ${x} IS NULL THEN 'null' ELSE '{' || ${fields.join(" || ',' || ")} || '}' END`;
  }
  switch (type.name) {
    case "BOOL":
      return inner(`CASE WHEN ${x} THEN 'true' WHEN NOT ${x} THEN 'false' END`);
    case "INT64":
      return inner(
        `CASE WHEN abs(CAST(${x} AS HUGEINT)) <= 9007199254740992 THEN CAST(${x} AS VARCHAR) ELSE '"' || CAST(${x} AS VARCHAR) || '"' END`,
      );
    case "FLOAT64":
      return inner(
        `CASE WHEN isnan(${x}) THEN '"NaN"' WHEN isinf(${x}) THEN CASE WHEN ${x} > 0 THEN '"Infinity"' ELSE '"-Infinity"' END ELSE ${floatText(x)} END`,
      );
    case "STRING":
      return inner(
        `CASE WHEN regexp_matches(${x}, '[\\x00-\\x1f<>\\x{2028}\\x{2029}]') THEN ${fail("TO_JSON_STRING: a control character or angle bracket")} ELSE '"' || replace(replace(${x}, '\\', '\\\\'), '"', '\\"') || '"' END`,
      );
    case "DATE":
      return inner(`'"' || strftime(${x}, '%Y-%m-%d') || '"'`);
    case "DATETIME":
      return inner(`'"' || replace(${dateTimeText(x)}, ' ', 'T') || '"'`);
    case "TIMESTAMP":
      return inner(`'"' || replace(${dateTimeText(`timezone('UTC', ${x})`)}, ' ', 'T') || 'Z"'`);
    default:
      return refuse(`TO_JSON_STRING of ${typeText(type)}`, site.at);
  }
}

const toText: Rule = (site) => {
  arity(site, 1);
  const value = site.value(0);
  return { at: site.at, type: STRING, sql: bind([value], (x) => jsonText(value.type, x, site, 0)) };
};

export const jsonFunctions: Readonly<Record<string, Rule>> = {
  JSON_VALUE: scalarAt((text) => text, STRING),
  JSON_EXTRACT_SCALAR: scalarAt((text) => text, STRING),
  JSON_QUERY: partAt,
  JSON_EXTRACT: partAt,
  JSON_QUERY_ARRAY: arrayAt(false),
  JSON_EXTRACT_ARRAY: arrayAt(false),
  JSON_VALUE_ARRAY: arrayAt(true),
  JSON_EXTRACT_STRING_ARRAY: arrayAt(true),
  PARSE_JSON: (site) => {
    arity(site, 1);
    return { at: site.at, type: JSON_TYPE, sql: typed(JSON_TYPE, `json(${argument(site, 0, STRING).sql})`) };
  },
  BOOL: strict(["BOOLEAN"], BOOL, (x) => `CAST(${x} AS BOOLEAN)`),
  INT64: strict(["BIGINT", "UBIGINT"], INT64, (x) => `CAST(${x} AS BIGINT)`),
  FLOAT64: strict(["BIGINT", "UBIGINT", "DOUBLE"], FLOAT64, (x) => `CAST(${x} AS DOUBLE)`),
  TO_JSON_STRING: toText,
};

/** `STRING(json)`; STRING of a date or time is with the functions of time. */
export const stringOfJson: Rule = strict(["VARCHAR"], STRING, (x) => x);
