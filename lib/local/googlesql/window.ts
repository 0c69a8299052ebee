/** Functions with OVER. */
import { aggregateFunctions, isAggregate } from "./aggregates.ts";
import type { FrameBound, WindowSpec } from "./ast.ts";
import { orderTerms, type Emit, type Site, type SortKey } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { argument, arity } from "./rule.ts";
import type { Scope } from "./scope.ts";
import { FLOAT64, INT64, isGroupable, isScalar, typeText } from "./type.ts";
import { coerce, type Value } from "./value.ts";

const numbering: Readonly<Record<string, "INT64" | "FLOAT64">> = {
  ROW_NUMBER: "INT64",
  RANK: "INT64",
  DENSE_RANK: "INT64",
  PERCENT_RANK: "FLOAT64",
  CUME_DIST: "FLOAT64",
};
const navigation: ReadonlySet<string> = new Set(["LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE"]);

export function isAnalytic(name: string): boolean {
  return Object.hasOwn(numbering, name) || navigation.has(name) || name === "NTILE";
}

export function windowFunction(site: Site): Value {
  const { name, at, node, scope } = site;
  const { over } = node;
  if (over === undefined) return refuse(`${name} without OVER`, at);
  if (scope.analytics !== true) refuse(`${name} with OVER at this place`, at);
  const inner: Scope = { ...scope, analytics: false };
  const spec = resolved(over, scope);
  const kind = Object.hasOwn(numbering, name) ? numbering[name] : undefined;
  if (
    node.having !== undefined ||
    node.orderBy.length > 0 ||
    node.limit !== undefined ||
    (node.distinct && !isAggregate(name))
  )
    refuse(`${name} with DISTINCT, HAVING, ORDER BY or LIMIT over a window`, at);
  if (kind !== undefined) {
    arity(site, 0);
    if (spec.frame !== undefined || (name !== "ROW_NUMBER" && spec.orderBy.length === 0))
      refuse(`${name} with such a window`, at);
    const type = kind === "INT64" ? INT64 : FLOAT64;
    return { at, type, sql: `${name.toLowerCase()}() OVER (${windowSql(spec, inner, site.emit)})` };
  }
  if (name === "NTILE") {
    arity(site, 1);
    if (spec.frame !== undefined || spec.orderBy.length === 0) refuse("NTILE with such a window", at);
    return {
      at,
      type: INT64,
      sql: `ntile(${argument(site, 0, INT64).sql}) OVER (${windowSql(spec, inner, site.emit)})`,
    };
  }
  if (navigation.has(name)) return navigated(site, spec, inner);
  if (!isAggregate(name) || name === "GROUPING") return refuse(`${name} with OVER`, at);
  if (node.distinct && (spec.orderBy.length > 0 || spec.frame !== undefined))
    refuse(`${name} with DISTINCT over an ordered window`, at);
  const suffix = ` OVER (${windowSql(spec, inner, site.emit)})`;
  const argumentsOf: Site = { ...site, scope: inner };
  return aggregateFunctions[name]?.(argumentsOf, suffix) ?? refuse(`${name} with OVER`, at);
}

function navigated(site: Site, spec: WindowSpec, inner: Scope): Value {
  const { name, at, node } = site;
  const value = site.value(0);
  const window = `OVER (${windowSql(spec, inner, site.emit)})`;
  if (name === "LAG" || name === "LEAD") {
    arity(site, 1, 3);
    if (spec.frame !== undefined || spec.orderBy.length === 0 || node.nulls !== undefined)
      refuse(`${name} with such a window`, at);
    const offset = site.count > 1 ? site.value(1).constant : ({ kind: "integer", text: "1" } as const);
    if (offset?.kind !== "integer" || offset.text.startsWith("-"))
      return refuse(`${name} with an offset that is not written out`, at);
    const otherwise = site.count > 2 ? `, ${coerce(site.value(2), value.type, "a default").sql}` : "";
    return { at, type: value.type, sql: `${name.toLowerCase()}(${value.sql}, ${offset.text}${otherwise}) ${window}` };
  }
  const nulls = node.nulls === "IGNORE" ? " IGNORE NULLS" : "";
  if (name === "NTH_VALUE") {
    arity(site, 2);
    const { constant } = site.value(1);
    if (constant?.kind !== "integer" || Number(constant.text) < 1)
      return refuse("NTH_VALUE with a number that is not written out", at);
    return { at, type: value.type, sql: `nth_value(${value.sql}, ${constant.text}${nulls}) ${window}` };
  }
  arity(site, 1);
  return { at, type: value.type, sql: `${name.toLowerCase()}(${value.sql}${nulls}) ${window}` };
}

/** A window with what its named base says. */
function resolved(spec: WindowSpec, scope: Scope): WindowSpec {
  if (spec.base === undefined) return spec;
  const base =
    scope.windows?.get(spec.base.text.toLowerCase()) ?? refuse(`the unknown window ${spec.base.text}`, spec.base.at);
  const whole = resolved(base, scope);
  if (spec.partitionBy.length === 0 && spec.orderBy.length === 0 && spec.frame === undefined) return whole;
  if (spec.partitionBy.length > 0 || (spec.orderBy.length > 0 && whole.orderBy.length > 0) || whole.frame !== undefined)
    refuse("a window that overrides its base", spec.at);
  const frame = spec.frame ?? whole.frame;
  return {
    at: spec.at,
    partitionBy: whole.partitionBy,
    orderBy: spec.orderBy.length > 0 ? spec.orderBy : whole.orderBy,
    ...(frame === undefined ? {} : { frame }),
  };
}

function windowSql(spec: WindowSpec, scope: Scope, emit: Emit): string {
  const parts: string[] = [];
  const partition = spec.partitionBy.map((node) => {
    const value = emit.value(node, scope);
    if (!isGroupable(value.type) || isScalar(value.type, "FLOAT64"))
      refuse(`PARTITION BY of ${typeText(value.type)}`, value.at);
    return value.sql;
  });
  if (partition.length > 0) parts.push(`PARTITION BY ${partition.join(", ")}`);
  const keys = spec.orderBy.map((item): SortKey => {
    const { sql, type, at } = emit.value(item.value, scope);
    if (!isGroupable(type)) refuse(`ORDER BY of ${typeText(type)}`, at);
    return { sql, type, descending: item.descending, nulls: item.nulls ?? (item.descending ? "last" : "first") };
  });
  if (keys.length > 0) parts.push(`ORDER BY ${orderTerms(keys)}`);
  const { frame } = spec;
  if (frame !== undefined) {
    const isOffset = frame.start.offset !== undefined || frame.end.offset !== undefined;
    if (frame.unit === "RANGE" && isOffset && !(keys.length === 1 && isScalar(keys[0]?.type ?? FLOAT64, "INT64")))
      refuse("a RANGE frame with offsets over other than one INT64 key", frame.start.at);
    parts.push(`${frame.unit} BETWEEN ${bound(frame.start, scope, emit)} AND ${bound(frame.end, scope, emit)}`);
  }
  return parts.join(" ");
}

function bound({ edge, offset, at }: FrameBound, scope: Scope, emit: Emit): string {
  if (offset === undefined) return edge.toUpperCase();
  const { constant } = emit.value(offset, scope);
  if (constant?.kind !== "integer" || constant.text.startsWith("-"))
    return refuse("a frame's offset that is not written out", at);
  return `${constant.text} ${edge.toUpperCase()}`;
}
