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

/** Each third round adds a row by a script of several steps. */
function addition(i: number): string {
  if (i % 3 === 0) return `INSERT INTO shop.log (n) VALUES (${i})`;
  if (i % 3 === 1) return "UPDATE shop.log SET n = n + 1 WHERE true";
  return `DECLARE i INT64 DEFAULT 0;
    CREATE TEMP TABLE one (n INT64);
    WHILE i < 3 DO SET i = i + 1; IF i = 2 THEN INSERT INTO one VALUES (i); END IF; END WHILE;
    UPDATE shop.log SET n = n + i WHERE true;
    INSERT INTO shop.log (n) SELECT n FROM one;
    DELETE FROM one WHERE true;`;
}

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
  // Nobody waits for these four: whatever the moment of the kill, some are pending or running.
  await submit(`whole_${round}_${i}`, { kind: "copy", source, destination: { dataset: "shop", table: "clean" } });
  await submit(`add_${round}_${i}`, {
    kind: "query",
    sql: addition(i),
    writes: [log],
  });
  const everything = { dataset: "shop", table: "everything" };
  await submit(`more_${round}_${i}`, { kind: "copy", source, destination: everything, append: true });
  const destination = { dataset: "shop", table: "months", partition: `2024${month}` };
  await submit(`part_${round}_${i}`, {
    kind: "copy",
    source,
    destination,
    partitioning: { type: "MONTH", column: "day" },
  });
}
