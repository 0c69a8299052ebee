/** Queries: the one statement that a job or a person may send, its parameters, and the rows that it gives. */
import type { DuckDBType, DuckDBValue } from "@duckdb/node-api";
import { PermanentError } from "../../core/errors.ts";
import { formatTable, type TableRef } from "../../core/table.ts";
import type { JobSpec, QueryParameter } from "../../ports/warehouse.ts";
import { physicalName } from "./catalog.ts";
import { explain } from "./engine-errors.ts";
import type { Link, Session } from "./session.ts";
import { invalidQuery } from "./sql.ts";
import { jsonValue } from "./values.ts";
import {
  refusalText,
  type Effect,
  type Refused,
  type Scan,
  type Translation,
  type TranslateOptions,
} from "../googlesql/translate.ts";

export type QuerySpec = Extract<JobSpec, { kind: "query" }>;
type Parameters = Readonly<Record<string, QueryParameter>>;

/** The rows of a query for people; `columns` names them in order. */
export interface QueryRows {
  readonly columns: readonly string[];
  readonly rows: AsyncIterable<Readonly<Record<string, unknown>>>;
}

const pageRows = 10_000n;

export interface KeptResult {
  /** The physical table. Its columns are `c0`, `c1`, …, so that none hides the position of a row. */
  readonly table: string;
  readonly columns: readonly string[];
}

/** A statement as DuckDB runs it. */
export interface Prepared {
  readonly effect: Effect;
  readonly sql: string;
  readonly values: Readonly<Record<string, DuckDBValue>>;
  readonly scans: readonly Scan[];
}

/**
 * Keeps the rows of a query in the physical table `table`. Throws `PermanentError` with BigQuery's reason as its code, also
 * for a statement that would change a table. Rows are kept, and not streamed from the engine, because its streams end without an error when the query fails half way.
 */
export async function keepResult(
  link: Link,
  { effect, sql, values }: Pick<Prepared, "effect" | "sql" | "values">,
  table: string,
): Promise<{ readonly kept: KeptResult; readonly rows: number }> {
  if (effect.kind !== "select") {
    const shown = effect.kind.toUpperCase().replaceAll("-", " ");
    throw invalidQuery(`a ${shown} changes a table, and here the embedded engine only reads; use SELECT or WITH`);
  }
  try {
    const statement = await link.connection.prepare(sql);
    const columns = Array.from({ length: statement.columnCount }, (_, index) => statement.columnName(index));
    statement.destroySync();
    checkNames(columns);
    const [created] = await link.run(
      `CREATE OR REPLACE TABLE ${physicalName(table)} (${columns.map((_, index) => `c${index}`).join(", ")}) AS\n${sql}`,
      values,
    );
    return { kept: { table, columns }, rows: Number(created?.["Count"]) };
  } catch (error) {
    throw explain(error);
  }
}

/** The rows of a kept result, in their order, a page at a time: nothing is held open while the reader is slow. */
export async function* readResult(
  session: Session,
  { table, columns }: KeptResult,
  signal: AbortSignal | undefined,
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  // Of a statement that changed a table.
  if (columns.length === 0) return;
  for (let from = 0n; ; from += pageRows) {
    const page = await session.use(async ({ connection }) => {
      const reader = await connection.runAndReadAll(
        `SELECT * FROM ${physicalName(table)} WHERE rowid >= $from AND rowid < $to ORDER BY rowid`,
        { from, to: from + pageRows },
      );
      const types = reader.columnTypes();
      return reader.getRows().map((row) => jsonRow(columns, types, row));
    }, signal);
    for (const row of page) {
      signal?.throwIfAborted();
      yield row;
    }
    if (BigInt(page.length) < pageRows) return;
  }
}

function jsonRow(
  names: readonly string[],
  types: readonly DuckDBType[],
  row: readonly DuckDBValue[],
): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  names.forEach((name, index) => {
    const type = types[index];
    if (type !== undefined) values[name] = jsonValue(row[index] ?? null, type);
  });
  return values;
}

/**
 * What a translation gave, with the parameters' values. Throws `PermanentError` with BigQuery's reason as its code for what would
 * mean something else here than in BigQuery.
 */
export function prepare(
  { parameters = {} }: Pick<QuerySpec, "parameters">,
  tableOf: TranslateOptions["table"],
  translate: (options: TranslateOptions) => Translation,
): Prepared {
  const { effect, ...rest } = accepted(parameters, tableOf, translate);
  return { effect, sql: rest.sql, scans: rest.scans, values: boundValues(rest.parameters, parameters) };
}

/** What `translate` accepts; throws for what it refuses. A table that is not there is the reason before any other. */
export function accepted<T extends { readonly kind: "ok" }>(
  parameters: Parameters,
  tableOf: TranslateOptions["table"],
  translate: (options: TranslateOptions) => T | Refused,
): T {
  let missing: TableRef | undefined;
  const table: TranslateOptions["table"] = (ref) => {
    const found = tableOf(ref);
    if (found === undefined) missing ??= ref;
    return found;
  };
  const found = translate({ table, parameters });
  if (found.kind === "ok") return found;
  if (missing !== undefined)
    throw new PermanentError(`the table ${formatTable(missing)} does not exist`, { code: "notFound" });
  throw invalidQuery(refusalText(found));
}

/** The values of the parameters that a statement uses. Names of parameters are case-insensitive. */
export function boundValues(names: readonly string[], parameters: Parameters): Prepared["values"] {
  const known = new Map(Object.entries(parameters).map(([name, value]) => [name.toLowerCase(), value]));
  const values: Record<string, DuckDBValue> = {};
  for (const name of names) {
    const parameter = known.get(name);
    if (parameter !== undefined) values[name] = bound(parameter);
  }
  return values;
}

/** Every value travels as text and is cast by its type, so that none loses digits. An array travels as JSON. */
function bound({ value, array = false, type }: QueryParameter): DuckDBValue {
  if (!array) return parameterText(value, type);
  if (value !== null && value !== undefined && !Array.isArray(value))
    throw invalidQuery("an array parameter needs an array");
  return JSON.stringify(
    ((value as readonly unknown[] | null | undefined) ?? []).map((item) => parameterText(item, type)),
  );
}

/** Parameters in a form that JSON keeps, for a job that outlives its process. */
export function storableParameters(parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, parameter]) => {
      const { value, type } = parameter;
      return [
        name,
        {
          ...parameter,
          value: Array.isArray(value)
            ? value.map((item: unknown) => parameterText(item, type))
            : parameterText(value, type),
        },
      ];
    }),
  );
}

function parameterText(value: unknown, type: QueryParameter["type"]): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Date) return type === "DATE" ? value.toISOString().slice(0, 10) : value.toISOString();
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  return JSON.stringify(value);
}

/** A result's columns have a name each. */
export function checkNames(columns: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of columns) {
    if (seen.has(name.toLowerCase()))
      throw invalidQuery(`the result has the column ${JSON.stringify(name)} twice; give one another name`);
    seen.add(name.toLowerCase());
  }
}
