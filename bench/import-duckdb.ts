/**
 * A child of `import.ts`: the same file by DuckDB alone, in a session with the platform's own settings. `bare` is one
 * statement; `careful` is what a person would write to load a table that others read: stage, check, swap.
 */
import process from "node:process";
import { join } from "node:path";
import { openSession } from "../lib/local/duckdb/session.ts";
import { catalog, quoteName, quoteText } from "../lib/local/duckdb/sql.ts";
import { flightsFile, peakMb } from "./measure.ts";

const [home = "", how = "bare"] = process.argv.slice(2);
const session = await openSession({ file: join(home, "warehouse.duckdb") });
const source = `SELECT * FROM read_parquet(${quoteText(flightsFile)})`;
const [table, staging] = [quoteName(catalog, "main", "flights"), quoteName(catalog, "main", "staging")];
const ready = performance.now();

const began = performance.now();
if (how === "bare") await session.use((link) => link.run(`CREATE TABLE ${table} AS ${source}`));
else {
  await session.use((link) => link.run(`CREATE TABLE ${staging} AS ${source}`));
  const [counted] = await session.use((link) => link.run(`SELECT count(*) AS n FROM ${staging}`));
  if (counted?.["n"] === 0n) throw new Error("the file is empty");
  await session.transaction(async (link) => {
    await link.run(`DROP TABLE IF EXISTS ${table}`);
    await link.run(`ALTER TABLE ${staging} RENAME TO flights`);
  });
}
const loadMs = performance.now() - began;
const peak = peakMb();

const [counted] = await session.use((link) => link.run(`SELECT count(*) AS n FROM ${table}`));
session.close();
process.stdout.write(
  JSON.stringify({ startMs: ready, loadMs, finishedMs: loadMs, peakMb: peak, rows: Number(counted?.["n"]) }),
);
