/** A process that loads and publishes until it is killed, and says which jobs were accepted: `id`, one a line. */
import { openDuckdbWarehouse } from "../../../lib/local/duckdb/warehouse.ts";
import { systemClock } from "../../../lib/local/system-clock.ts";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";

const [file = "", folder = "", round = ""] = process.argv.slice(2);
const warehouse = await openDuckdbWarehouse({
  file,
  resolveUri: (uri) => `${folder}/${uri.slice("gs://drops/".length)}`,
  clock: systemClock(),
  memoryLimit: "512MB",
});
process.stdout.write("open\n");

async function submit(id: string, spec: JobSpec): Promise<void> {
  await warehouse.submit(id, spec, { round });
  process.stdout.write(`${id}\n`);
}

const log = { dataset: "shop", table: "log" };
await submit(`log_${round}`, { kind: "query", sql: "CREATE TABLE IF NOT EXISTS shop.log (n INT64)", writes: [log] });

for (let i = 0; i < 1000; i++) {
  const month = String((i % 12) + 1).padStart(2, "0");
  const source = { dataset: "shop", table: `staged_${round}_${i}` };
  await submit(`load_${round}_${i}`, {
    kind: "load",
    uris: [`gs://drops/${month}.parquet`],
    format: "PARQUET",
    destination: source,
  });
  await warehouse.wait(`load_${round}_${i}`, { timeoutMs: 60_000 });
  // Nobody waits for these three: whatever the moment of the kill, some are pending or running.
  await submit(`whole_${round}_${i}`, { kind: "copy", source, destination: { dataset: "shop", table: "clean" } });
  await submit(`add_${round}_${i}`, {
    kind: "query",
    sql: i % 2 === 0 ? `INSERT INTO shop.log (n) VALUES (${i})` : "UPDATE shop.log SET n = n + 1 WHERE true",
    writes: [log],
  });
  const destination = { dataset: "shop", table: "months", partition: `2024${month}` };
  await submit(`part_${round}_${i}`, {
    kind: "copy",
    source,
    destination,
    partitioning: { type: "MONTH", column: "day" },
  });
}
