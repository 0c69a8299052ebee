/** Regular expressions. Both engines run RE2; what differs is what a call makes of groups and of no match. */
import { RE2JS } from "re2js";
import type { Rule, Site } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { argument, arity } from "./rule.ts";
import { arrayOf, BOOL, STRING } from "./type.ts";
import { bind } from "./bind.ts";
import { literalText } from "./value.ts";

/** The pattern and the number of its groups; it must be written out, for the groups decide what the call means. */
function patternOf(site: Site): { readonly text: string; readonly sql: string; readonly groups: number } {
  const value = argument(site, 1, STRING);
  const text = literalText(value) ?? refuse(`${site.name} with a pattern that is not written out`, value.at);
  try {
    return { text, sql: value.sql, groups: RE2JS.compile(text).groupCount() };
  } catch {
    return refuse(`the pattern ${JSON.stringify(text)}`, value.at, "use RE2's syntax");
  }
}

/** The group that an extraction gives: the only one there is, or all. */
function extractedGroup(site: Site): { readonly sql: string; readonly group: number } {
  const { text, sql, groups } = patternOf(site);
  if (groups > 1) refuse(`${site.name} with ${groups} groups`, site.at, "use (?:…) for all but one");
  if (groups === 1 && !alwaysTakesPart(text))
    refuse(
      `${site.name} with a group that may take no part in a match`,
      site.at,
      "put the group outside of (…)?, (…)* and |",
    );
  return { sql, group: groups };
}

/** Whether the one group is a part of every match; says no where it cannot tell. */
function alwaysTakesPart(pattern: string): boolean {
  const bare = pattern.replaceAll(/\\Q.*?\\E|\\[^]|\[\^?\]?(?:\\[^]|\[:\w+:\]|[^\]\\])*\]/g, "x");
  const start = /\((?!\?)|\(\?P?</.exec(bare)?.index ?? -1;
  if (start < 0) return false;
  let depth = 0;
  let end = start;
  for (; end < bare.length; end++) {
    if (bare[end] === "(") depth++;
    else if (bare[end] === ")" && --depth === 0) break;
  }
  const outside = bare.slice(0, start) + bare.slice(end + 1);
  const isNested = /\((?!\?[a-zA-Z-]+\))[^)]*$/.test(bare.slice(0, start));
  return !outside.includes("|") && !isNested && !/^(?:[?*]|\{0)/.test(bare.slice(end + 1));
}

const extract: Rule = (site) => {
  arity(site, 2);
  const { sql: pattern, group } = extractedGroup(site);
  const sql = bind(
    [argument(site, 0, STRING)],
    (x) => `CASE WHEN regexp_matches(${x}, ${pattern}) THEN regexp_extract(${x}, ${pattern}, ${group}) END`,
  );
  return { at: site.at, type: STRING, sql };
};

const extractAll: Rule = (site) => {
  arity(site, 2);
  const { text } = patternOf(site);
  const { sql: pattern, group } = extractedGroup(site);
  if (RE2JS.compile(text).matches("")) refuse(`${site.name} with a pattern that matches nothing`, site.at);
  return {
    at: site.at,
    type: arrayOf(STRING),
    sql: `regexp_extract_all(${argument(site, 0, STRING).sql}, ${pattern}, ${group})`,
  };
};

const replace: Rule = (site) => {
  arity(site, 3);
  const { sql: pattern, groups } = patternOf(site);
  const rewrite = argument(site, 2, STRING);
  const text = literalText(rewrite) ?? refuse(`${site.name} with a replacement that is not written out`, rewrite.at);
  for (const [escape, digit] of text.matchAll(/\\([^]?)/g)) {
    if (digit !== "\\" && !(/\d/.test(digit ?? "") && Number(digit) <= groups))
      refuse(`${escape} in the replacement of ${site.name}`, rewrite.at);
  }
  return {
    at: site.at,
    type: STRING,
    sql: `regexp_replace(${argument(site, 0, STRING).sql}, ${pattern}, ${rewrite.sql}, 'g')`,
  };
};

const contains: Rule = (site) => {
  arity(site, 2);
  const pattern = argument(site, 1, STRING);
  if (literalText(pattern) !== undefined) patternOf(site);
  return { at: site.at, type: BOOL, sql: `regexp_matches(${argument(site, 0, STRING).sql}, ${pattern.sql})` };
};

export const regexFunctions: Readonly<Record<string, Rule>> = {
  REGEXP_CONTAINS: contains,
  REGEXP_EXTRACT: extract,
  REGEXP_SUBSTR: extract,
  REGEXP_EXTRACT_ALL: extractAll,
  REGEXP_REPLACE: replace,
};
