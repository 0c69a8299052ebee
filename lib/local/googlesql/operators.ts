/** GoogleSQL's operators between values. */
import { refuse, type Place } from "./lexer.ts";
import { BOOL, DATE, FLOAT64, INT64, isGroupable, isScalar, storedAs, typeText, NUMERIC, type Type } from "./type.ts";
import { bind, bindSql, fail } from "./bind.ts";
import { coerce, typed, unify, type Value } from "./value.ts";

export function comparison(operator: string, left: Value, right: Value, at: Place): Value {
  const { type, values } = unify([left, right], "a comparison");
  if (!isGroupable(type)) refuse(`${operator} between values of type ${typeText(type)}`, at);
  const [a, b] = values;
  if (a === undefined || b === undefined) throw new Error("two values are compared");
  return { at, type: BOOL, sql: compared(operator, type, a, b) };
}

/** NaN equals nothing and is neither less nor greater; the engine takes it for the greatest number. */
function compared(operator: string, type: Type, a: Value, b: Value): string {
  if (!isScalar(type, "FLOAT64")) return `(${a.sql} ${operator} ${b.sql})`;
  return bind([a, b], (x, y) => {
    const ofNaN = operator === "!=" ? "true" : "false";
    return `CASE WHEN ${x} IS NULL OR ${y} IS NULL THEN NULL WHEN isnan(${x}) OR isnan(${y}) THEN ${ofNaN} ELSE ${x} ${operator} ${y} END`;
  });
}

export function logic(operator: "AND" | "OR", left: Value, right: Value, at: Place): Value {
  return { at, type: BOOL, sql: `(${coerce(left, BOOL).sql} ${operator} ${coerce(right, BOOL).sql})` };
}

export function arithmetic(operator: "+" | "-" | "*" | "/", left: Value, right: Value, at: Place): Value {
  if (operator !== "*" && operator !== "/" && isScalar(left.type, "DATE") && isScalar(right.type, "INT64"))
    return { at, type: DATE, sql: inDateRange(`${left.sql} ${operator} CAST(${right.sql} AS INTEGER)`) };
  const { type, values } = unify([left, right], `${operator}`);
  if (!isScalar(type, "INT64", "NUMERIC", "FLOAT64"))
    refuse(`${operator} between values of type ${typeText(type)}`, at);
  if (operator === "/") return divided(type, values, at);
  const [a, b] = values;
  if (a === undefined || b === undefined) throw new Error("two values are needed");
  if (isScalar(type, "INT64")) return { at, type, sql: `(${a.sql} ${operator} ${b.sql})` };
  // Two factors with nine places have eighteen; half goes away from zero.
  if (isScalar(type, "NUMERIC")) return { at, type, sql: typed(NUMERIC, `(${a.sql} ${operator} ${b.sql})`) };
  return { at, type, sql: bind([a, b], (x, y) => finite(`${x} ${operator} ${y}`, [x, y])) };
}

/** A result beyond the range of FLOAT64 is an error, unless an operand was infinite already. */
export function finite(sql: string, operands: readonly string[]): string {
  const all = operands.map((operand) => `isfinite(${operand})`).join(" AND ");
  return `CASE WHEN NOT isfinite(${sql}) AND ${all} THEN ${fail("floating point overflow")} ELSE ${sql} END`;
}

function divided(type: Type, values: readonly Value[], at: Place): Value {
  if (isScalar(type, "NUMERIC")) return { at, type, sql: bind(values, (x = "", y = "") => numericQuotient(x, y)) };
  const floats = values.map((value) => coerce(value, FLOAT64));
  const sql = bind(
    floats,
    (x = "", y = "") =>
      `CASE WHEN ${y} = 0 AND ${x} IS NOT NULL THEN ${fail("division by zero")} ELSE ${finite(`${x} / ${y}`, [x, y])} END`,
  );
  return { at, type: FLOAT64, sql };
}

/** Exact to nine places, half away from zero. Dividends beyond 10^20 overflow, with an error. */
export function numericQuotient(x: string, y: string): string {
  const [dividend, divisor] = [scaled(x), scaled(y)];
  const size = `(2 * abs(${dividend}) * 1000000000 + abs(${divisor})) // (2 * abs(${divisor}))`;
  const signed = `${size} * CASE WHEN (${x} < 0) != (${y} < 0) THEN -1 ELSE 1 END`;
  return `CASE WHEN ${y} = 0 AND ${x} IS NOT NULL THEN ${fail("division by zero")} ELSE ${unscaled(signed)} END`;
}

/** A NUMERIC as the integer that it is a billionth of. */
function scaled(sql: string): string {
  return `CAST(replace(CAST(CAST(${sql} AS DECIMAL(38,9)) AS VARCHAR), '.', '') AS HUGEINT)`;
}

function unscaled(sql: string): string {
  const digits = `CAST(abs(${sql}) AS VARCHAR)`;
  const padded = `lpad(${digits}, CAST(greatest(length(${digits}), 10) AS INTEGER), '0')`;
  const text = `CASE WHEN (${sql}) < 0 THEN '-' ELSE '' END || left(${padded}, -9) || '.' || right(${padded}, 9)`;
  return `CAST(${text} AS ${storedAs(NUMERIC)})`;
}

export function bitwise(operator: string, left: Value, right: Value, at: Place): Value {
  if (operator === "<<" || operator === ">>") refuse(`the operator ${operator}`, at);
  const [a, b] = [coerce(left, INT64, operator), coerce(right, INT64, operator)];
  return { at, type: INT64, sql: operator === "^" ? `xor(${a.sql}, ${b.sql})` : `(${a.sql} ${operator} ${b.sql})` };
}

export function concatenated(left: Value, right: Value, at: Place): Value {
  const { type, values } = unify([left, right], "||");
  if (type.kind === "array")
    return {
      at,
      type,
      sql: bind(
        values,
        (x = "", y = "") => `CASE WHEN ${x} IS NULL OR ${y} IS NULL THEN NULL ELSE list_concat(${x}, ${y}) END`,
      ),
    };
  if (!isScalar(type, "STRING", "BYTES")) refuse(`|| between values of type ${typeText(type)}`, at);
  return { at, type, sql: `(${values.map(({ sql }) => sql).join(" || ")})` };
}

/** BigQuery's dates end with the year 9999; the engine goes on. */
export function inDateRange(sql: string): string {
  return bindRange(sql, "DATE '0001-01-01'", "DATE '9999-12-31'", "the date is out of range");
}

export function bindRange(sql: string, low: string, high: string, message: string): string {
  return bindSql(sql, (x) => `CASE WHEN ${x} < ${low} OR ${x} > ${high} THEN ${fail(message)} ELSE ${x} END`);
}
