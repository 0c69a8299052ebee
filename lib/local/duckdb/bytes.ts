/** What a query reads and what that is billed, by BigQuery's published sizes of its types. */
import type { Column, ColumnType } from "../../core/table.ts";
import { PermanentError } from "../../core/errors.ts";
import type { Scan } from "../googlesql/translate.ts";
import { physicalName, type Catalog, type TableEntry } from "./catalog.ts";
import type { Link } from "./session.ts";
import { quoteName } from "./sql.ts";
import { byName } from "./types.ts";

const megabyte = 1024 ** 2;
/** The least that is billed for a table of which anything is read. */
const leastBilled = 10 * megabyte;

export interface Cost {
  readonly bytesProcessed: number;
  readonly bytesBilled: number;
}

/** Says what the scans of a statement cost; views are looked through already. */
export type Costs = (link: Link, scans: readonly Scan[], tables: Catalog, now: number) => Promise<Cost>;

/** Sizes are counted once for each state of a table: an entry is written anew with every change. */
export function costs(): Costs {
  const known = new WeakMap<TableEntry, Map<string, number>>();

  async function sizesOf(
    link: Link,
    entry: TableEntry,
    columns: readonly Column[],
  ): Promise<ReadonlyMap<string, number>> {
    const sizes = known.get(entry) ?? new Map<string, number>();
    known.set(entry, sizes);
    const wanted = columns.filter(({ name }) => !sizes.has(name));
    if (wanted.length > 0) {
      const sums = wanted.map((column, index) => `${total(column)} AS c${index}`);
      const [row] = await link.run(`SELECT ${sums.join(", ")} FROM ${physicalName(entry.physical)}`);
      wanted.forEach(({ name }, index) => sizes.set(name, Number(row?.[`c${index}`] ?? 0)));
    }
    return sizes;
  }

  return async (link, scans, tables, now) => {
    let bytesProcessed = 0;
    let bytesBilled = 0;
    for (const { table, columns } of scans) {
      const entry = tables.find(table, now);
      if (entry === undefined || entry.view !== undefined) continue;
      const schema = byName(entry.schema);
      const read = columns.flatMap((name) => schema.get(name.toLowerCase()) ?? []);
      const sizes = await sizesOf(link, entry, read);
      const bytes = read.reduce((sum, { name }) => sum + (sizes.get(name) ?? 0), 0);
      bytesProcessed += bytes;
      if (bytes > 0) bytesBilled += Math.max(leastBilled, Math.ceil(bytes / megabyte) * megabyte);
    }
    return { bytesProcessed, bytesBilled };
  };
}

/** Refuses what would bill more than the job allows. */
export function checkLimit(bytesBilled: number, limit: number | undefined): void {
  if (limit === undefined || bytesBilled <= limit) return;
  throw new PermanentError(
    `the query would bill ${bytesBilled} bytes, and maximumBytesBilled is ${limit}; read fewer columns or smaller tables, or raise the limit`,
    { code: "bytesBilledLimitExceeded" },
  );
}

const fixed: Partial<Record<ColumnType, number>> = {
  BOOL: 1,
  INT64: 8,
  FLOAT64: 8,
  DATE: 8,
  DATETIME: 8,
  TIME: 8,
  TIMESTAMP: 8,
  NUMERIC: 16,
  BIGNUMERIC: 32,
  INTERVAL: 16,
};

/** SQL for the bytes of a whole column. */
function total(column: Column): string {
  const name = quoteName(column.name);
  const size = column.mode === "REPEATED" ? undefined : fixed[column.type];
  return size === undefined ? `coalesce(sum(${sizeOf(column, name, 0)}), 0)` : `${size} * count(${name})`;
}

/** SQL for the bytes of one value: nothing for NULL, and the sum of the parts for an array or a struct. */
function sizeOf(column: Column, value: string, depth: number): string {
  if (column.mode === "REPEATED") {
    const element = `x${depth}`;
    const one = sizeOf({ ...column, mode: "NULLABLE" }, element, depth + 1);
    return `coalesce(list_sum(list_transform(${value}, lambda ${element}: ${one})), 0)`;
  }
  if (column.type === "STRUCT") {
    const parts = (column.fields ?? []).map((field) => sizeOf(field, `${value}.${quoteName(field.name)}`, depth));
    return parts.length === 0 ? "0" : `(${parts.join(" + ")})`;
  }
  const size = fixed[column.type] ?? `2 + ${column.type === "BYTES" ? `octet_length(${value})` : `strlen(${value})`}`;
  return `CASE WHEN ${value} IS NULL THEN 0 ELSE ${size} END`;
}
