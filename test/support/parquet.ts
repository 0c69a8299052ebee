/** Small files for buckets, written by a DuckDB that has nothing to do with the platform's own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";

export type Rows = readonly Readonly<Record<string, unknown>>[];

export interface Duck {
  /** The rows of a query as Parquet, or as another of DuckDB's formats. */
  file(sql: string, format?: "parquet" | "csv" | "json"): Promise<Buffer>;
  /** Rows as plain JSON values. Files may be read by their paths. */
  query(sql: string): Promise<Rows>;
  close(): void;
}

export async function openDuck(): Promise<Duck> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-files-"));
  mkdirSync(folder, { recursive: true });
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'UTC'");
  let count = 0;
  return {
    async file(sql, format = "parquet") {
      const path = join(folder, `${++count}.${format}`);
      await connection.run(`COPY (${sql}) TO '${path}' (FORMAT ${format})`);
      const bytes = readFileSync(path);
      rmSync(path);
      return bytes;
    },
    async query(sql) {
      const reader = await connection.runAndReadAll(sql);
      return reader.getRowObjectsJson();
    },
    close() {
      connection.closeSync();
      instance.closeSync();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** `(VALUES …)` of scores with the columns of the Gitcoin example: `people` rows, each with the score `score`. */
export function scoresSql(day: string, people: number, score = 10): string {
  return `SELECT 'p' || i AS address, ${score}::DOUBLE AS score, DATE '${day}' AS day FROM range(${people}) AS t(i)`;
}
