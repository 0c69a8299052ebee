/** Partitions of a table in this engine: rows of one physical table within a window of time. */
import { PermanentError } from "../../core/errors.ts";
import type { Column, TimePartitioning } from "../../core/table.ts";
import { partitionTime, physicalName, type TableEntry } from "./catalog.ts";
import type { Link } from "./session.ts";
import { quoteName } from "./sql.ts";
import { byName } from "./types.ts";

const forms = { HOUR: /^(\d{4})(\d\d)(\d\d)(\d\d)$/, DAY: /^(\d{4})(\d\d)(\d\d)$/, MONTH: /^(\d{4})(\d\d)$/ } as const;
const spelled = { HOUR: "YYYYMMDDHH", DAY: "YYYYMMDD", MONTH: "YYYYMM" } as const;

export interface Partition {
  /** The first instant, as SQL of the partitioning column's type. */
  readonly start: string;
  /** True for the rows of this partition, false or null for all others. */
  readonly contains: string;
}

/** The partition that a decorator names. Throws `PermanentError` (`invalid`) for one that the table cannot have. */
export function partitionOf(decorator: string, partitioning: TimePartitioning, schema: readonly Column[]): Partition {
  const type = partitionColumnType(partitioning, schema);
  const [, ...texts] = forms[partitioning.type].exec(decorator) ?? [];
  const [year = NaN, month = NaN, day = 1, hour = 0] = texts.map(Number);
  const start = new Date(Date.UTC(year, month - 1, day, hour));
  const valid =
    start.getUTCFullYear() === year &&
    start.getUTCMonth() === month - 1 &&
    start.getUTCDate() === day &&
    start.getUTCHours() === hour;
  if (!valid)
    throw invalid(
      `${JSON.stringify(decorator)} is no ${partitioning.type} partition; write ${spelled[partitioning.type]}`,
    );
  const end = new Date(start);
  if (partitioning.type === "MONTH") end.setUTCMonth(end.getUTCMonth() + 1);
  else end.setTime(end.getTime() + (partitioning.type === "DAY" ? 86_400_000 : 3_600_000));
  const literal = (date: Date): string => {
    const text = date.toISOString();
    if (type === "DATE") return `DATE '${text.slice(0, 10)}'`;
    return type === "DATETIME" ? `TIMESTAMP '${text.slice(0, 19)}'` : `TIMESTAMPTZ '${text}'`;
  };
  const column = quoteName(partitioning.column ?? partitionTime);
  return { start: literal(start), contains: `(${column} >= ${literal(start)} AND ${column} < ${literal(end)})` };
}

/** Checks that a table of this schema can be partitioned so, and says by what type. */
export function partitionColumnType(
  partitioning: TimePartitioning,
  schema: readonly Column[],
): "DATE" | "DATETIME" | "TIMESTAMP" {
  const { column: name, type } = partitioning;
  if (name === undefined) return "TIMESTAMP";
  const column = byName(schema).get(name.toLowerCase());
  if (column === undefined) throw invalid(`the partitioning column ${JSON.stringify(name)} is not in the table`);
  const fit =
    column.mode !== "REPEATED" &&
    (column.type === "TIMESTAMP" || column.type === "DATETIME" || (column.type === "DATE" && type !== "HOUR"));
  if (!fit)
    throw invalid(`the column ${JSON.stringify(name)} of type ${column.type} cannot partition a table by ${type}`);
  return column.type;
}

/** The decorator of the partition that holds an instant. */
export function decoratorAt(instant: number, type: TimePartitioning["type"]): string {
  return new Date(instant).toISOString().replaceAll(/\D/g, "").slice(0, spelled[type].length);
}

const patterns = { HOUR: "%Y%m%d%H", DAY: "%Y%m%d", MONTH: "%Y%m" } as const;

/** The decorators of the partitions that hold rows; rows without a value are in none. */
export async function partitionsIn(link: Link, { physical, partitioning }: TableEntry): Promise<readonly string[]> {
  if (partitioning === undefined) return [];
  const column = quoteName(partitioning.column ?? partitionTime);
  const name = `strftime(CAST(${column} AS TIMESTAMP), '${patterns[partitioning.type]}')`;
  const rows = await link.run(
    `SELECT DISTINCT ${name} AS name FROM ${physicalName(physical)} WHERE ${column} IS NOT NULL ORDER BY name`,
  );
  return rows.map((row) => String(row["name"]));
}

export function samePartitioning(a: TimePartitioning | undefined, b: TimePartitioning | undefined): boolean {
  return a?.type === b?.type && a?.column?.toLowerCase() === b?.column?.toLowerCase();
}

function invalid(message: string): PermanentError {
  return new PermanentError(message, { code: "invalid" });
}
