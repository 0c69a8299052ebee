/** Aggregate functions. `over` is empty, or the OVER clause that follows every one of the engine's aggregates. */
import { orderTerms, type Site, type SortKey } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { numericQuotient } from "./operators.ts";
import { argument, arity } from "./rule.ts";
import { arrayOf, BOOL, FLOAT64, INT64, isGroupable, isScalar, NUMERIC, STRING, typeText } from "./type.ts";
import { bindSql, fail } from "./bind.ts";
import { literalText, typed, type Value } from "./value.ts";

export type AggregateRule = (site: Site, over: string) => Value;

/** Refuses the modifiers that a function does not take. */
function only(site: Site, ...allowed: readonly ("distinct" | "nulls" | "having" | "orderBy" | "limit")[]): void {
  const { node, name, at } = site;
  const given = {
    distinct: node.distinct,
    nulls: node.nulls !== undefined,
    having: node.having !== undefined,
    orderBy: node.orderBy.length > 0,
    limit: node.limit !== undefined,
  };
  const words = {
    distinct: "DISTINCT",
    nulls: "IGNORE or RESPECT NULLS",
    having: "HAVING",
    orderBy: "ORDER BY",
    limit: "LIMIT",
  };
  for (const [key, word] of Object.entries(words)) {
    // The keys are those of `given`, written out above.
    const modifier = key as keyof typeof given;
    if (given[modifier] && !allowed.includes(modifier)) refuse(`${name} with ${word}`, at);
  }
  for (const one of node.arguments)
    if (one.name !== undefined || one.alias !== undefined) refuse(`a named argument of ${name}`, at);
}

function distinct(site: Site): string {
  return site.node.distinct ? "DISTINCT " : "";
}

const count: AggregateRule = (site, over) => {
  only(site, "distinct");
  arity(site, 1);
  if (site.argument(0).value.kind === "star") {
    if (site.node.distinct) refuse("COUNT(DISTINCT *)", site.at);
    return { at: site.at, type: INT64, sql: `count(*)${over}` };
  }
  const value = site.value(0);
  if (site.node.distinct && !isGroupable(value.type)) refuse(`COUNT(DISTINCT …) of ${typeText(value.type)}`, value.at);
  return { at: site.at, type: INT64, sql: `count(${distinct(site)}${value.sql})${over}` };
};

const sum: AggregateRule = (site, over) => {
  only(site, "distinct");
  arity(site, 1);
  const { type, sql, at } = site.value(0);
  if (!isScalar(type, "INT64", "FLOAT64", "NUMERIC")) refuse(`SUM of ${typeText(type)}`, at);
  const total = `sum(${distinct(site)}${sql})${over}`;
  if (!isScalar(type, "FLOAT64")) return { at: site.at, type, sql: typed(type, total) };
  return {
    at: site.at,
    type,
    sql: `CASE WHEN NOT isfinite(${total}) AND bool_and(isfinite(${sql}))${over} THEN ${fail("SUM: floating point overflow")} ELSE ${total} END`,
  };
};

const average: AggregateRule = (site, over) => {
  only(site, "distinct");
  arity(site, 1);
  const { type, sql, at } = site.value(0);
  if (!isScalar(type, "INT64", "FLOAT64", "NUMERIC")) refuse(`AVG of ${typeText(type)}`, at);
  const inner = `${distinct(site)}${sql}`;
  if (!isScalar(type, "NUMERIC")) return { at: site.at, type: FLOAT64, sql: `avg(${inner})${over}` };
  const pair = `{s: ${typed(NUMERIC, `sum(${inner})${over}`)}, n: CAST(nullif(count(${inner})${over}, 0) AS DECIMAL(38,9))}`;
  return { at: site.at, type: NUMERIC, sql: bindSql(pair, (x) => numericQuotient(`${x}.s`, `${x}.n`)) };
};

const extreme =
  (name: "min" | "max"): AggregateRule =>
  (site, over) => {
    only(site, "distinct");
    arity(site, 1);
    const { type, sql, at } = site.value(0);
    if (!isGroupable(type)) refuse(`${site.name} of ${typeText(type)}`, at);
    const found = `${name}(${sql})${over}`;
    const isNaN = isScalar(type, "FLOAT64")
      ? `CASE WHEN bool_or(isnan(${sql}))${over} THEN CAST('nan' AS DOUBLE) ELSE ${found} END`
      : found;
    return { at: site.at, type, sql: isNaN };
  };

const logical =
  (name: "bool_and" | "bool_or"): AggregateRule =>
  (site, over) => {
    only(site);
    arity(site, 1);
    return { at: site.at, type: BOOL, sql: `${name}(${argument(site, 0, BOOL).sql})${over}` };
  };

const statistic =
  (name: string): AggregateRule =>
  (site, over) => {
    only(site);
    arity(site, 1);
    if (!isScalar(site.value(0).type, "INT64", "FLOAT64"))
      refuse(`${site.name} of ${typeText(site.value(0).type)}`, site.at);
    return { at: site.at, type: FLOAT64, sql: `${name}(${argument(site, 0, FLOAT64).sql})${over}` };
  };

const anyValue: AggregateRule = (site, over) => {
  only(site, "having");
  arity(site, 1);
  const value = site.value(0);
  const { having } = site.node;
  if (having === undefined) return { at: site.at, type: value.type, sql: `any_value(${value.sql})${over}` };
  if (over !== "") refuse("ANY_VALUE with HAVING over a window", site.at);
  const key = site.emit.value(having.value, site.scope);
  if (!isGroupable(key.type) || isScalar(key.type, "FLOAT64"))
    refuse(`ANY_VALUE HAVING … of ${typeText(key.type)}`, key.at);
  return {
    at: site.at,
    type: value.type,
    sql: `${having.kind === "MAX" ? "arg_max_null" : "arg_min_null"}(${value.sql}, ${key.sql})`,
  };
};

/** The ORDER BY inside of an aggregate; with DISTINCT, BigQuery takes only the value itself. */
function order(site: Site, value: Value): string {
  const keys = site.node.orderBy.map((item): SortKey => {
    const key = site.emit.value(item.value, site.scope);
    if (!isGroupable(key.type)) refuse(`ORDER BY of ${typeText(key.type)}`, key.at);
    if (site.node.distinct && key.sql !== value.sql)
      refuse(`${site.name} with DISTINCT, ordered by another value`, key.at);
    return {
      sql: key.sql,
      type: key.type,
      descending: item.descending,
      nulls: item.nulls ?? (item.descending ? "last" : "first"),
    };
  });
  if (site.node.distinct && keys.some(({ type }) => isScalar(type, "FLOAT64")))
    refuse(`${site.name} of distinct FLOAT64, ordered`, site.at);
  return keys.length === 0 ? "" : ` ORDER BY ${orderTerms(keys)}`;
}

function limit(site: Site): string | undefined {
  const { limit: node } = site.node;
  if (node === undefined) return undefined;
  const { constant, at } = site.emit.value(node, site.scope);
  return constant?.kind === "integer" ? constant.text : refuse(`${site.name} with a LIMIT that is not written out`, at);
}

const arrayAgg: AggregateRule = (site, over) => {
  only(site, "distinct", "nulls", "orderBy", "limit");
  arity(site, 1);
  if (over !== "") refuse("ARRAY_AGG over a window", site.at);
  const value = site.value(0);
  if (value.type.kind === "array") refuse("ARRAY_AGG of arrays", site.at);
  if (site.node.distinct && !isGroupable(value.type))
    refuse(`ARRAY_AGG(DISTINCT …) of ${typeText(value.type)}`, site.at);
  const filter = site.node.nulls === "IGNORE" ? ` FILTER (WHERE ${value.sql} IS NOT NULL)` : "";
  const all = `list(${distinct(site)}${value.sql}${order(site, value)})${filter}`;
  const most = limit(site);
  return { at: site.at, type: arrayOf(value.type), sql: most === undefined ? all : `list_slice(${all}, 1, ${most})` };
};

const stringAgg: AggregateRule = (site, over) => {
  only(site, "distinct", "orderBy", "limit");
  arity(site, 1, 2);
  if (over !== "") refuse("STRING_AGG over a window", site.at);
  const value = argument(site, 0, STRING);
  const delimiter =
    site.count === 2
      ? (literalText(site.value(1)) ?? refuse("STRING_AGG with a delimiter that is not written out", site.at))
      : ",";
  const all = `list(${distinct(site)}${value.sql}${order(site, value)}) FILTER (WHERE ${value.sql} IS NOT NULL)`;
  const most = limit(site);
  const items = most === undefined ? all : `list_slice(${all}, 1, ${most})`;
  return { at: site.at, type: STRING, sql: `array_to_string(${items}, '${delimiter.replaceAll("'", "''")}')` };
};

const grouping: AggregateRule = (site) => {
  only(site);
  arity(site, 1);
  return { at: site.at, type: INT64, sql: `CAST(grouping(${site.value(0).sql}) AS BIGINT)` };
};

export const aggregateFunctions: Readonly<Record<string, AggregateRule>> = {
  COUNT: count,
  COUNTIF: (site, over) => {
    only(site);
    arity(site, 1);
    return { at: site.at, type: INT64, sql: `count(CASE WHEN ${argument(site, 0, BOOL).sql} THEN 1 END)${over}` };
  },
  SUM: sum,
  AVG: average,
  MIN: extreme("min"),
  MAX: extreme("max"),
  LOGICAL_AND: logical("bool_and"),
  LOGICAL_OR: logical("bool_or"),
  ANY_VALUE: anyValue,
  ARRAY_AGG: arrayAgg,
  STRING_AGG: stringAgg,
  // The exact number is a correct approximation.
  APPROX_COUNT_DISTINCT: (site, over) => {
    only(site);
    arity(site, 1);
    const value = site.value(0);
    if (!isGroupable(value.type)) refuse(`APPROX_COUNT_DISTINCT of ${typeText(value.type)}`, value.at);
    return { at: site.at, type: INT64, sql: `count(DISTINCT ${value.sql})${over}` };
  },
  STDDEV: statistic("stddev_samp"),
  STDDEV_SAMP: statistic("stddev_samp"),
  STDDEV_POP: statistic("stddev_pop"),
  VARIANCE: statistic("var_samp"),
  VAR_SAMP: statistic("var_samp"),
  VAR_POP: statistic("var_pop"),
  GROUPING: grouping,
};

export function isAggregate(name: string): boolean {
  return Object.hasOwn(aggregateFunctions, name);
}
