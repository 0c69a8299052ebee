/** The query of a check, whose rows are its failures. */
import type { AssetKey } from "./asset-key.ts";
import type { CheckRule } from "./check.ts";
import { durationMs } from "./duration.ts";
import { PermanentError } from "./errors.ts";
import type { Partition } from "./partitions.ts";
import { placeholderValues } from "./placeholders.ts";
import { quoteTable, renderSql } from "./sql.ts";
import type { QueryParameter, SqlTemplate } from "./sql.ts";
import type { Column, TableRef, TimePartitioning } from "./table.ts";

/** The staged rows that a check looks at. */
export interface CheckedRows {
  readonly table: TableRef;
  readonly schema: readonly Column[];
  readonly partitioning?: TimePartitioning;
  readonly partition: Partition | undefined;
  /** Milliseconds, UTC. */
  readonly requestedAt: number;
  readonly tableOf: (asset: AssetKey) => TableRef;
}

export interface CheckQuery {
  readonly text: string;
  readonly parameters: Readonly<Record<string, QueryParameter>>;
}

/** How many failing rows a query looks for: enough to count and to show. */
const LIMIT = 100;

/** Throws `PermanentError` (`bad-input`) when the rows have no such column, or not of a type that the check can look at. */
export function checkQuery(
  rule: Exclude<CheckRule, { kind: "row-count" | "function" }>,
  rows: CheckedRows,
): CheckQuery {
  const from = quoteTable(rows.table);
  switch (rule.kind) {
    case "no-rows":
      return statementOf(rule.sql, rows);
    case "not-null": {
      const empty = rule.columns.map((name) => `${quoted(rows, name)} IS NULL`);
      return { text: `SELECT * FROM ${from} WHERE ${empty.join(" OR ")} LIMIT ${LIMIT}`, parameters: {} };
    }
    case "unique": {
      const columns = rule.columns.map((name) => quoted(rows, name)).join(", ");
      const text = `SELECT ${columns}, COUNT(*) AS row_count FROM ${from} GROUP BY ${columns} HAVING COUNT(*) > 1 LIMIT ${LIMIT}`;
      return { text, parameters: {} };
    }
    case "key": {
      const names = rule.columns.map((name) => quoted(rows, name));
      const columns = names.join(", ");
      const failing = ["COUNT(*) > 1", ...names.map((name) => `${name} IS NULL`)].join(" OR ");
      const text = `SELECT ${columns}, COUNT(*) AS row_count FROM ${from} GROUP BY ${columns} HAVING ${failing} LIMIT ${LIMIT}`;
      return { text, parameters: {} };
    }
    case "references": {
      const column = quoted(rows, rule.column);
      const known = `SELECT \`${rule.to}\` FROM ${quoteTable(rows.tableOf(rule.asset))} WHERE \`${rule.to}\` IS NOT NULL`;
      const text = `SELECT DISTINCT ${column} FROM ${from} WHERE ${column} IS NOT NULL AND ${column} NOT IN (${known}) LIMIT ${LIMIT}`;
      return { text, parameters: {} };
    }
    case "fresh-within": {
      const { name, type } = timeColumn(rows, rule.column);
      const column = `\`${name}\``;
      const text = `SELECT MAX(${column}) AS newest FROM ${from} HAVING MAX(${column}) IS NULL OR MAX(${column}) < @oldest`;
      return { text, parameters: { oldest: timeParameter(type, rows.requestedAt - durationMs(rule.duration)) } };
    }
    case "in-partition": {
      const { name, type } = timeColumn(rows, rule.column);
      const column = `\`${name}\``;
      const text = `SELECT ${column} FROM ${from} WHERE ${column} IS NULL OR ${column} < @start OR ${column} >= @end LIMIT ${LIMIT}`;
      const start = timeParameter(type, rows.partition?.start ?? 0);
      return { text, parameters: { start, end: timeParameter(type, endOf(rows)) } };
    }
  }
}

/** A statement of a check. Throws `DefinitionError` for a placeholder that has no value in a check. */
export function statementOf(sql: SqlTemplate, rows: Pick<CheckedRows, "partition" | "tableOf">): CheckQuery {
  const { text, parameters } = renderSql(sql, rows.tableOf, placeholderValues(rows.partition, undefined));
  return { text, parameters };
}

const DAY_MS = 86_400_000;

/** A table has no partitions of a week: its rows go into the one of its Monday, which takes the rows of no other day. */
function endOf({ partitioning, partition }: CheckedRows): number {
  const { start = 0, end = 0 } = partition ?? {};
  return partitioning?.type === "DAY" ? Math.min(end, start + DAY_MS) : end;
}

function quoted(rows: CheckedRows, name: string): string {
  return `\`${columnOf(rows, name).name}\``;
}

function columnOf({ schema }: CheckedRows, name: string): Column {
  const found = schema.find((column) => column.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return found;
  throw new PermanentError(`the data has no column ${name}, which a check or the table's partitioning needs`, {
    code: "bad-input",
  });
}

type TimeType = "DATE" | "DATETIME" | "TIMESTAMP";

function timeColumn(rows: CheckedRows, name: string): { readonly name: string; readonly type: TimeType } {
  const column = columnOf(rows, name);
  const { type } = column;
  if (type === "DATE" || type === "DATETIME" || type === "TIMESTAMP") return { name: column.name, type };
  throw new PermanentError(`the column ${name} is ${type}, not DATE, DATETIME or TIMESTAMP`, { code: "bad-input" });
}

function timeParameter(type: TimeType, ms: number): QueryParameter {
  const iso = new Date(ms).toISOString();
  return { type, value: type === "DATE" ? iso.slice(0, 10) : type === "DATETIME" ? iso.slice(0, -1) : iso };
}
