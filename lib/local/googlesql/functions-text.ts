/** Functions of texts and bytes. */
import type { Rule } from "./emit.ts";
import { quoteText } from "../duckdb/sql.ts";
import { formatted } from "./format.ts";
import { refuse } from "./lexer.ts";
import { argument, arity, byType, fixed } from "./rule.ts";
import { arrayOf, BOOL, BYTES, INT64, isScalar, STRING } from "./type.ts";
import { fail } from "./bind.ts";
import { coerce, literalText, unify } from "./value.ts";

/** What TRIM takes off when it is not told: Unicode's white space. */
const whiteSpace = quoteText(
  " \t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
);

const trim = (name: "trim" | "ltrim" | "rtrim"): Rule =>
  fixed([STRING, STRING], STRING, (x, characters = whiteSpace) => `${name}(${x}, ${characters})`, 1);

/** The number of characters, which must not be negative. */
const counted = (n: string, name: string, sql: string): string =>
  `CASE WHEN ${n} < 0 THEN ${fail(`${name}: a negative length`)} ELSE ${sql} END`;

/** As many characters as the engine can count. NULL stays NULL, which its `least` would pass over. */
const whole = (n: string): string => `CASE WHEN ${n} > 2147483647 THEN 2147483647 ELSE ${n} END`;

const substring: Rule = fixed(
  [STRING, INT64, INT64],
  STRING,
  (x, p, n) => {
    const start = `CASE WHEN ${p} > 0 THEN ${whole(p ?? "")} WHEN ${p} = 0 OR -${p} > length(${x}) THEN 1 ELSE length(${x}) + ${p} + 1 END`;
    if (n === undefined) return `substring(${x}, ${start})`;
    return counted(n, "SUBSTR", `substring(${x}, ${start}, ${whole(n)})`);
  },
  1,
);

const pad = (name: "lpad" | "rpad"): Rule =>
  fixed(
    [STRING, INT64, STRING],
    STRING,
    (x = "", n = "", filling = "' '") =>
      `CASE WHEN ${n} < 0 OR ${filling} = '' THEN ${fail(`${name.toUpperCase()}: a negative length or an empty pattern`)} ELSE ${name}(${x}, CAST(${n} AS INTEGER), ${filling}) END`,
    1,
  );

/** Letters whose capitals or small letters are several, or depend on their neighbours: the engine knows only the simple ones. */
const specialUpper =
  "[\\x{149}\\x{1f0}\\x{390}\\x{3b0}\\x{587}\\x{1e96}-\\x{1e9a}\\x{1f50}-\\x{1fff}\\x{fb00}-\\x{fb17}\\x{345}\\x{1f80}-\\x{1faf}]";
const specialLower = "[\\x{130}\\x{3a3}\\x{1f88}-\\x{1faf}\\x{1fbc}\\x{1fcc}\\x{1ffc}]";
const upper = (x: string): string =>
  `CASE WHEN regexp_matches(${x}, '${specialUpper}') THEN ${fail("UPPER: a letter that the embedded engine has no capital for")} ELSE upper(replace(${x}, 'ß', 'SS')) END`;
const lower = (x: string): string =>
  `CASE WHEN regexp_matches(${x}, '${specialLower}') THEN ${fail("LOWER: a letter that the embedded engine has no small one for")} ELSE lower(${x}) END`;

/** The character at a position, from 1. */
const character = (x: string, i: string): string => `substring(${x}, ${i}, 1)`;

const initcap: Rule = fixed([STRING], STRING, (x = "") => {
  const delimiters = String.raw`[\s\[\](){}/|<>!?@"^#$&~_,.:;*%+\-]`;
  const after = `i = 1 OR regexp_matches(${character(x, "i - 1")}, '${delimiters}')`;
  const letter = `CASE WHEN ${after} THEN upper(${character(x, "i")}) ELSE lower(${character(x, "i")}) END`;
  const all = `array_to_string(list_transform(range(1, length(${x}) + 1), lambda i: ${letter}), '')`;
  return `CASE WHEN regexp_matches(${x}, '[^\\x00-\\x7f]') THEN ${fail("INITCAP: a letter outside of ASCII")} ELSE ${all} END`;
});

const concat: Rule = (site) => {
  arity(site, 1, 1000);
  const { type, values } = unify(
    Array.from({ length: site.count }, (_, index) => site.value(index)),
    "CONCAT",
  );
  if (!isScalar(type, "STRING", "BYTES")) refuse("CONCAT of other values than texts or bytes", site.at, "write a CAST");
  return { at: site.at, type, sql: `(${values.map(({ sql }) => sql).join(" || ")})` };
};

/** FORMAT, when its first argument is written out. */
const format: Rule = (site) => {
  const pattern = literalText(site.value(0)) ?? refuse("FORMAT with a pattern that is not written out", site.at);
  const values = Array.from({ length: site.count - 1 }, (_, index) => site.value(index + 1));
  return { at: site.at, type: STRING, sql: formatted(pattern, values, site.at) };
};

const digest = (name: string): Rule =>
  byType({
    STRING: fixed([STRING], BYTES, (x) => `unhex(${name}(${x}))`),
    BYTES: fixed([BYTES], BYTES, (x) => `unhex(${name}(${x}))`),
  });

/** Only literals: a text with two equal characters in its second argument is an error, and so on. */
const replace: Rule = (site) => {
  arity(site, 3);
  const [x, from, to] = [0, 1, 2].map((index) => argument(site, index, STRING).sql);
  return { at: site.at, type: STRING, sql: `replace(${x}, ${from}, ${to})` };
};

const reverse: Rule = fixed(
  [STRING],
  STRING,
  (x = "") => `array_to_string(list_transform(range(length(${x}), 0, -1), lambda i: ${character(x, "i")}), '')`,
);

export const textFunctions: Readonly<Record<string, Rule>> = {
  LENGTH: byType({
    STRING: fixed([STRING], INT64, (x) => `length(${x})`),
    BYTES: fixed([BYTES], INT64, (x) => `octet_length(${x})`),
  }),
  CHAR_LENGTH: fixed([STRING], INT64, (x) => `length(${x})`),
  CHARACTER_LENGTH: fixed([STRING], INT64, (x) => `length(${x})`),
  BYTE_LENGTH: byType({
    STRING: fixed([STRING], INT64, (x) => `strlen(${x})`),
    BYTES: fixed([BYTES], INT64, (x) => `octet_length(${x})`),
  }),
  OCTET_LENGTH: byType({
    STRING: fixed([STRING], INT64, (x) => `strlen(${x})`),
    BYTES: fixed([BYTES], INT64, (x) => `octet_length(${x})`),
  }),
  UPPER: fixed([STRING], STRING, (x = "") => upper(x)),
  LOWER: fixed([STRING], STRING, (x = "") => lower(x)),
  INITCAP: initcap,
  CONCAT: concat,
  SUBSTR: substring,
  SUBSTRING: substring,
  LEFT: fixed([STRING, INT64], STRING, (x, n = "") => counted(n, "LEFT", `substring(${x}, 1, ${whole(n)})`)),
  RIGHT: fixed([STRING, INT64], STRING, (x, n = "") =>
    counted(
      n,
      "RIGHT",
      `CASE WHEN ${n} >= length(${x}) THEN ${x} WHEN ${n} IS NOT NULL THEN substring(${x}, length(${x}) - ${n} + 1) END`,
    ),
  ),
  STRPOS: fixed([STRING, STRING], INT64, (x, y) => `CAST(strpos(${x}, ${y}) AS BIGINT)`),
  INSTR: fixed([STRING, STRING], INT64, (x, y) => `CAST(strpos(${x}, ${y}) AS BIGINT)`),
  STARTS_WITH: fixed([STRING, STRING], BOOL, (x, y) => `starts_with(${x}, ${y})`),
  ENDS_WITH: fixed([STRING, STRING], BOOL, (x, y) => `ends_with(${x}, ${y})`),
  TRIM: trim("trim"),
  LTRIM: trim("ltrim"),
  RTRIM: trim("rtrim"),
  LPAD: pad("lpad"),
  RPAD: pad("rpad"),
  REPEAT: fixed([STRING, INT64], STRING, (x, n = "") => counted(n, "REPEAT", `repeat(${x}, ${n})`)),
  REVERSE: reverse,
  REPLACE: replace,
  SPLIT: fixed(
    [STRING, STRING],
    arrayOf(STRING),
    (x, delimiter = "','") => `CASE WHEN ${x} = '' THEN [''] ELSE string_split(${x}, ${delimiter}) END`,
    1,
  ),
  FORMAT: format,
  ASCII: fixed(
    [STRING],
    INT64,
    (x) =>
      `CASE WHEN ${x} = '' THEN 0 WHEN unicode(${x}) > 127 THEN ${fail("ASCII: a character outside of ASCII")} ELSE CAST(unicode(${x}) AS BIGINT) END`,
  ),
  UNICODE: fixed([STRING], INT64, (x) => `CASE WHEN ${x} = '' THEN 0 ELSE CAST(unicode(${x}) AS BIGINT) END`),
  CHR: fixed([INT64], STRING, (x) => `CASE WHEN ${x} = 0 THEN '' ELSE chr(CAST(${x} AS INTEGER)) END`),
  TO_BASE64: fixed([BYTES], STRING, (x) => `to_base64(${x})`),
  FROM_BASE64: fixed([STRING], BYTES, (x) => `from_base64(${x})`),
  TO_HEX: fixed([BYTES], STRING, (x) => `lower(hex(${x}))`),
  FROM_HEX: fixed([STRING], BYTES, (x) => `unhex(${x})`),
  MD5: digest("md5"),
  SHA1: digest("sha1"),
  SHA256: digest("sha256"),
  NORMALIZE: (site) => {
    arity(site, 1);
    return { at: site.at, type: STRING, sql: `nfc_normalize(${coerce(site.value(0), STRING).sql})` };
  },
};
