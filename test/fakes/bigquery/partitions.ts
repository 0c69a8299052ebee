/** Partitions of the fake's tables, found by asking the engine. */
import { quoteTable } from "../../../lib/core/sql.ts";
import type { TableRef, TimePartitioning } from "../../../lib/core/table.ts";
import type { World } from "./world.ts";

const formats = { HOUR: "%Y%m%d%H", DAY: "%Y%m%d", MONTH: "%Y%m" } as const;

/** The ids of the partitions that hold rows; `__NULL__` for rows without a value. */
export async function partitionsOf(
  { engine }: World,
  table: TableRef,
  { type, column }: TimePartitioning,
): Promise<readonly string[]> {
  const value = column === undefined ? "_PARTITIONTIME" : `CAST(\`${column}\` AS TIMESTAMP)`;
  const id = `FORMAT_TIMESTAMP('${formats[type]}', ${value})`;
  const { rows } = await engine.query(`SELECT DISTINCT ${id} AS id FROM ${quoteTable(table)} ORDER BY id`);
  const found = await Array.fromAsync(rows);
  return found.map((row) => (typeof row["id"] === "string" ? row["id"] : "__NULL__"));
}
