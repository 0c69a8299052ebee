/** EXTRACT(part FROM value AT TIME ZONE zone). */
import type { Expression } from "./ast.ts";
import type { Emit } from "./emit.ts";
import { refuse } from "./lexer.ts";
import { wallClock } from "./literal.ts";
import type { Scope } from "./scope.ts";
import { partOf, zoneOf, type Part } from "./time.ts";
import { DATE, DATETIME, INT64, isScalar, TIME, typeText } from "./type.ts";
import { bindSql } from "./bind.ts";
import type { Value } from "./value.ts";

type Extract = globalThis.Extract<Expression, { readonly kind: "extract" }>;

export function extracted(node: Extract, scope: Scope, emit: Emit): Value {
  const { at } = node;
  const of = emit.value(node.of, scope);
  const isInstant = isScalar(of.type, "TIMESTAMP");
  if (!isScalar(of.type, "DATE", "DATETIME", "TIME", "TIMESTAMP"))
    refuse(`EXTRACT from ${typeText(of.type)}`, at, "write a CAST");
  if (node.zone !== undefined && !isInstant) refuse(`AT TIME ZONE for ${typeText(of.type)}`, at);
  const zone = zoneOf(node.zone === undefined ? undefined : emit.value(node.zone, scope));
  const part = partOf(node.part);
  const local = isInstant ? wallClock(of.sql, zone) : of.sql;
  const ofDate = isScalar(of.type, "DATE");
  const ofTime = isScalar(of.type, "TIME");
  if (part.name === "DATE" && !ofDate && !ofTime) return { at, type: DATE, sql: `CAST(${local} AS DATE)` };
  if (part.name === "TIME" && !ofDate && !ofTime) return { at, type: TIME, sql: `CAST(${local} AS TIME)` };
  if (part.name === "DATETIME" && isInstant) return { at, type: DATETIME, sql: local };
  const clock = clockParts[part.name];
  if (clock !== undefined && !ofDate) return { at, type: INT64, sql: clock(local) };
  const day = Object.hasOwn(dayParts, part.name) ? dayParts[part.name] : undefined;
  if (day === undefined || ofTime) return refuse(`EXTRACT(${part.name} FROM ${typeText(of.type)})`, at);
  return { at, type: INT64, sql: bindSql(ofDate ? local : `CAST(${local} AS DATE)`, (x) => day(x, part, node)) };
}

const clockParts: Readonly<Record<string, (x: string) => string>> = {
  HOUR: (x) => `hour(${x})`,
  MINUTE: (x) => `minute(${x})`,
  SECOND: (x) => `second(${x})`,
  MILLISECOND: (x) => `(millisecond(${x}) % 1000)`,
  MICROSECOND: (x) => `(microsecond(${x}) % 1000000)`,
};

const dayParts: Readonly<Record<string, (x: string, part: Part, node: Extract) => string>> = {
  YEAR: (x) => `year(${x})`,
  ISOYEAR: (x) => `isoyear(${x})`,
  QUARTER: (x) => `quarter(${x})`,
  MONTH: (x) => `month(${x})`,
  DAY: (x) => `day(${x})`,
  DAYOFYEAR: (x) => `dayofyear(${x})`,
  DAYOFWEEK: (x) => `(dayofweek(${x}) + 1)`,
  WEEK: (x, part, node) => {
    const isIso = node.part.kind === "name" && node.part.name.toUpperCase() === "ISOWEEK";
    if (isIso) return `week(${x})`;
    // Days before the first one that starts a week are in week 0.
    return `((dayofyear(${x}) + 6 - (${x} - DATE '0001-01-01' + ${part.weekStart}) % 7) // 7)`;
  },
};
