/** Pieces of DuckDB SQL: names for values that are used more than once, and errors. */
import { quoteText } from "../duckdb/sql.ts";

/** Characters that Unicode keeps for a program's own use; the lexer refuses them, so that no statement can write them. */
const failureStart = "\ufdd0";
const failureEnd = "\ufdd1";
/** Between a message and the value that it ends with, as SQL. */
const failureValue = "\ufdd2";
const failures = /\ufdd0([^\ufdd1\ufdd2]*)(?:\ufdd2([^\ufdd1]*))?\ufdd1/g;

/** An error when it is evaluated. A mark stands for it until the whole statement is there: `tried` takes it out again. */
export function fail(message: string): string {
  return `${failureStart}${message}${failureEnd}`;
}

/** As `fail`, with the value `x` at the end of the message: a name, or a text that fails nowhere itself. */
export function failWith(message: string, x: string): string {
  return `${failureStart}${message}: ${failureValue}${x}${failureEnd}`;
}

/** `sql` with NULL in the place of every error, its own and the engine's. TRY alone refuses the engine's `error()`. */
export function tried(sql: string): string {
  return `TRY(${sql.replaceAll(failures, "NULL")})`;
}

/** The finished text: what is left of the marks raises its error. */
export function finished(sql: string): string {
  return sql.replaceAll(failures, (_, message: string, x?: string) =>
    x === undefined
      ? `error(${quoteText(message)})`
      : `error(${quoteText(message)} || left(CAST(${x} AS VARCHAR), 100))`,
  );
}

export interface Bindable {
  readonly sql: string;
  /** Cheap and without effects, so that it may be repeated. */
  readonly atomic?: boolean;
}

/**
 * `body` over names for the values, each evaluated once. Values that may be repeated are put in as they are; others are
 * bound by a lambda, so that the text does not grow with every level.
 */
export function bind(values: readonly Bindable[], body: (...names: string[]) => string): string {
  if (values.every(({ atomic }) => atomic === true)) return body(...values.map(({ sql }) => sql));
  const entries = values.map(({ sql }, index) => `a${index}: ${sql}`);
  // Nested lambdas need different names; the depth of nesting is in the text.
  const depth = values.reduce((deepest, { sql }) => Math.max(deepest, depthOf(sql)), 0) + 1;
  const name = `_l${depth}`;
  return `list_transform([{${entries.join(", ")}}], lambda ${name}: ${body(...values.map((_, index) => `${name}.a${index}`))})[1]`;
}

/** The greatest number of a lambda that the text names. */
export function depthOf(sql: string): number {
  let deepest = 0;
  for (const [, digits] of sql.matchAll(/_[lv](\d+)/g)) deepest = Math.max(deepest, Number(digits));
  return deepest;
}

/** `bind` for a piece of DuckDB SQL that is none of the statement's expressions. */
export function bindSql(sql: string, body: (name: string) => string): string {
  // A name alone may be repeated.
  return bind([{ sql, atomic: /^\w+(?:\.(?:\w+|"[^"]*"))?$/.test(sql) }], body);
}
