/** Functions of numbers. */
import type { Rule } from "./emit.ts";
import { arithmetic, finite } from "./operators.ts";
import { arity, byType, fixed } from "./rule.ts";
import { BOOL, FLOAT64, INT64, isScalar, NUMERIC } from "./type.ts";
import { bind, fail, tried } from "./bind.ts";
import { typed, unify, type Value } from "./value.ts";
import { refuse } from "./lexer.ts";

/** A FLOAT64 function with the arguments that it takes. */
const real = (sql: (x: string) => string, domain?: (x: string) => string): Rule =>
  fixed([FLOAT64], FLOAT64, (x = "") => {
    const checked = finite(sql(x), [x]);
    return domain === undefined
      ? checked
      : `CASE WHEN ${domain(x)} THEN ${fail("the argument is out of the function's domain")} ELSE ${checked} END`;
  });

const perType = (sql: (x: string) => string): Rule =>
  byType({
    INT64: fixed([FLOAT64], FLOAT64, (x = "") => sql(x)),
    FLOAT64: fixed([FLOAT64], FLOAT64, (x = "") => sql(x)),
    NUMERIC: fixed([NUMERIC], NUMERIC, (x = "") => typed(NUMERIC, sql(x))),
  });

const roundLike =
  (name: "round" | "trunc"): Rule =>
  (site) => {
    arity(site, 1, 2);
    const { type } = site.value(0);
    if (isScalar(type, "NUMERIC")) {
      if (site.count === 1) return fixed([NUMERIC], NUMERIC, (x) => typed(NUMERIC, `${name}(${x})`))(site);
      const digits = site.value(1).constant;
      if (digits?.kind !== "integer" || Number(digits.text) < 0 || Number(digits.text) > 9)
        return refuse(`${site.name} of a NUMERIC to other than 0 to 9 written places`, site.at);
      return { at: site.at, type: NUMERIC, sql: typed(NUMERIC, `${name}(${site.value(0).sql}, ${digits.text})`) };
    }
    if (site.count === 2)
      return refuse(
        `${site.name} of a FLOAT64 to a number of places`,
        site.at,
        "round a NUMERIC: ROUND(CAST(x AS NUMERIC), n)",
      );
    return fixed([FLOAT64], FLOAT64, (x) => `${name}(${x})`)(site);
  };

const whole = (operator: "//" | "%"): Rule =>
  fixed(
    [INT64, INT64],
    INT64,
    (x, y) => `CASE WHEN ${y} = 0 AND ${x} IS NOT NULL THEN ${fail("division by zero")} ELSE ${x} ${operator} ${y} END`,
  );

/** MOD and DIV, of whole numbers or of NUMERIC. */
const division =
  (operator: "//" | "%"): Rule =>
  (site) => {
    arity(site, 2);
    const { type } = unify([site.value(0), site.value(1)], site.name);
    if (isScalar(type, "INT64")) return whole(operator)(site);
    if (!isScalar(type, "NUMERIC") || operator === "//")
      return refuse(`${site.name} of other than whole numbers`, site.at);
    return fixed(
      [NUMERIC, NUMERIC],
      NUMERIC,
      (x, y) =>
        `CASE WHEN ${y} = 0 AND ${x} IS NOT NULL THEN ${fail("division by zero")} ELSE ${typed(NUMERIC, `${x} % ${y}`)} END`,
    )(site);
  };

/**
 * A NUMERIC beyond what the engine can multiply or divide is an error here and not in BigQuery, so it must not become the
 * NULL that stands for an error.
 */
function withinReach(operator: string, type: Value["type"], [x = "", y = ""]: readonly string[], sql: string): string {
  if (!isScalar(type, "NUMERIC") || (operator !== "*" && operator !== "/")) return sql;
  const size = operator === "*" ? `abs(CAST(${x} AS DOUBLE) * CAST(${y} AS DOUBLE))` : `abs(CAST(${x} AS DOUBLE))`;
  const beyond = `${size} > 8e19 AND ${size} < 2e29`;
  return `CASE WHEN ${beyond} THEN ${fail("a NUMERIC too large for the embedded engine")} ELSE ${sql} END`;
}

/** The operator, with NULL where it fails. */
const safely =
  (operator: "+" | "-" | "*" | "/"): Rule =>
  (site) => {
    arity(site, 2);
    const { values } = unify([site.value(0), site.value(1)], site.name);
    let type: Value["type"] = FLOAT64;
    const sql = bind(values, (...texts) => {
      const [a, b] = values.map((value, index): Value => ({
        at: value.at,
        type: value.type,
        sql: texts[index] ?? "",
        atomic: true,
      }));
      if (a === undefined || b === undefined) throw new Error("two values are needed");
      const result = arithmetic(operator, a, b, site.at);
      type = result.type;
      return withinReach(operator, type, texts, tried(result.sql));
    });
    return { at: site.at, type, sql };
  };

const power: Rule = (site) => {
  arity(site, 2);
  const { type } = unify([site.value(0), site.value(1)], site.name);
  if (isScalar(type, "NUMERIC")) return refuse(`${site.name} of NUMERIC`, site.at, "write a CAST to FLOAT64");
  return fixed(
    [FLOAT64, FLOAT64],
    FLOAT64,
    (x = "", y = "") =>
      `CASE WHEN (${x} = 0 AND ${y} < 0) OR (${x} < 0 AND isfinite(${x}) AND isfinite(${y}) AND ${y} != trunc(${y})) THEN ${fail("POW: out of its domain")} ELSE ${finite(`pow(${x}, ${y})`, [x, y])} END`,
  )(site);
};

export const mathFunctions: Readonly<Record<string, Rule>> = {
  ABS: byType({
    INT64: fixed([INT64], INT64, (x) => `abs(${x})`),
    FLOAT64: fixed([FLOAT64], FLOAT64, (x) => `abs(${x})`),
    NUMERIC: fixed([NUMERIC], NUMERIC, (x) => typed(NUMERIC, `abs(${x})`)),
  }),
  SIGN: byType({
    INT64: fixed([INT64], INT64, (x) => `CAST(sign(${x}) AS BIGINT)`),
    FLOAT64: fixed([FLOAT64], FLOAT64, (x) => `CASE WHEN isnan(${x}) THEN ${x} ELSE CAST(sign(${x}) AS DOUBLE) END`),
    NUMERIC: fixed([NUMERIC], NUMERIC, (x) => typed(NUMERIC, `sign(${x})`)),
  }),
  ROUND: roundLike("round"),
  TRUNC: roundLike("trunc"),
  CEIL: perType((x) => `ceil(${x})`),
  CEILING: perType((x) => `ceil(${x})`),
  FLOOR: perType((x) => `floor(${x})`),
  MOD: division("%"),
  DIV: division("//"),
  SQRT: real(
    (x) => `sqrt(${x})`,
    (x) => `${x} < 0`,
  ),
  EXP: real((x) => `exp(${x})`),
  LN: real(
    (x) => `ln(${x})`,
    (x) => `${x} <= 0`,
  ),
  LOG10: real(
    (x) => `log10(${x})`,
    (x) => `${x} <= 0`,
  ),
  POW: power,
  POWER: power,
  IS_NAN: fixed([FLOAT64], BOOL, (x) => `isnan(${x})`),
  IS_INF: fixed([FLOAT64], BOOL, (x) => `isinf(${x})`),
  SAFE_DIVIDE: safely("/"),
  SAFE_ADD: safely("+"),
  SAFE_SUBTRACT: safely("-"),
  SAFE_MULTIPLY: safely("*"),
  SAFE_NEGATE: (site) => {
    arity(site, 1);
    const { type } = site.value(0);
    if (!isScalar(type, "INT64", "FLOAT64", "NUMERIC")) return refuse("SAFE_NEGATE of no number", site.at);
    return { at: site.at, type, sql: bind([site.value(0)], (x) => `TRY(-${x})`) };
  },
  IEEE_DIVIDE: fixed(
    [FLOAT64, FLOAT64],
    FLOAT64,
    (x, y) => `CASE WHEN ${y} = 0 AND (${x} = 0 OR isnan(${x})) THEN CAST('nan' AS DOUBLE) ELSE ${x} / ${y} END`,
  ),
};
