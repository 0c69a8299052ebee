import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openDuckdbWarehouse } from "../../lib/local/duckdb-warehouse.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import { warehouseConformance, type WarehouseUnderTest } from "../ports/warehouse-conformance.ts";

async function setup(): Promise<WarehouseUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "duckdb-warehouse-"));
  const pathOf = (uri: string): string => join(folder, "buckets", uri.slice("gs://".length));
  let offset = 0;
  let held = Promise.withResolvers<void>();
  held.resolve();
  const warehouse = await openDuckdbWarehouse({
    file: join(folder, "shop.duckdb"),
    resolveUri: pathOf,
    clock: { ...systemClock(), now: () => Date.now() + offset },
    memoryLimit: "1GB",
    gate: () => held.promise,
  });
  return {
    warehouse,
    async writeObject(uri, bytes) {
      await mkdir(dirname(pathOf(uri)), { recursive: true });
      await writeFile(pathOf(uri), bytes);
    },
    holdJobs() {
      held = Promise.withResolvers();
      return held.resolve;
    },
    advance(ms) {
      offset += ms;
    },
    async close() {
      held.resolve();
      await warehouse.close();
      await rm(folder, { recursive: true });
    },
  };
}

warehouseConformance("DuckDB", setup);
