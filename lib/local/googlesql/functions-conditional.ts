/** IF, COALESCE and their like. */
import type { Rule, Site } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { comparison } from "./operators.ts";
import { argument, arity } from "./rule.ts";
import { BOOL, isGroupable, isScalar, typeText } from "./type.ts";
import { bind } from "./bind.ts";
import { unify, type Value } from "./value.ts";

function all(site: Site, from = 0): { readonly type: Value["type"]; readonly values: readonly Value[] } {
  return unify(
    Array.from({ length: site.count - from }, (_, index) => site.value(index + from)),
    site.name,
  );
}

const coalesce: Rule = (site) => {
  arity(site, 1, 1000);
  const { type, values } = all(site);
  return { at: site.at, type, sql: `coalesce(${values.map(({ sql }) => sql).join(", ")})` };
};

/** NULL when any is NULL, and NaN when any is NaN; the engine passes over both. */
const extreme =
  (name: "greatest" | "least"): Rule =>
  (site) => {
    arity(site, 1, 100);
    const { type, values } = all(site);
    if (!isGroupable(type)) refuse(`${site.name} of ${typeText(type)}`, site.at);
    const sql = bind(values, (...texts) => {
      const isNull = texts.map((x) => `${x} IS NULL`).join(" OR ");
      const isNaN = isScalar(type, "FLOAT64")
        ? `WHEN ${texts.map((x) => `isnan(${x})`).join(" OR ")} THEN CAST('nan' AS DOUBLE) `
        : "";
      return `CASE WHEN ${isNull} THEN NULL ${isNaN}ELSE ${name}(${texts.join(", ")}) END`;
    });
    return { at: site.at, type, sql };
  };

export const conditionalFunctions: Readonly<Record<string, Rule>> = {
  IF: (site) => {
    arity(site, 3);
    const { type, values } = all(site, 1);
    return {
      at: site.at,
      type,
      sql: `CASE WHEN ${argument(site, 0, BOOL).sql} THEN ${values[0]?.sql} ELSE ${values[1]?.sql} END`,
    };
  },
  IFNULL: (site) => {
    arity(site, 2);
    return coalesce(site);
  },
  COALESCE: coalesce,
  NULLIF: (site) => {
    arity(site, 2);
    const { type, values } = all(site);
    const sql = bind(values, (a = "", b = "") => {
      const [x, y] = [a, b].map((text): Value => ({ at: site.at, type, sql: text, atomic: true }));
      if (x === undefined || y === undefined) throw new Error("NULLIF has two values");
      return `CASE WHEN ${comparison("=", x, y, site.at).sql} THEN NULL ELSE ${a} END`;
    });
    return { at: site.at, type, sql };
  },
  GREATEST: extreme("greatest"),
  LEAST: extreme("least"),
};
