import type { Definitions } from "../../lib/core/definitions.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import { everyPage } from "./pages.ts";

/** What finished work must not leave in an event store and a warehouse, one line each; none when all is put away. */
export async function leftoversIn(world: {
  readonly definitions: Definitions;
  readonly events: EventStore;
  readonly warehouse: Warehouse;
}): Promise<readonly string[]> {
  const { definitions, events, warehouse } = world;
  const found: string[] = [];
  const datasets = new Set<string>();
  const materialized = await everyPage((page) => events.history({ order: "oldest", types: ["materialized"], ...page }));
  const published = materialized.flatMap((event) =>
    event.type === "materialized" && event.table !== undefined ? [event.table] : [],
  );
  const slots = new Set(published);
  for (const { key, target } of definitions.assets.values()) {
    if (target === undefined) continue;
    const { table, stagingDataset } = target;
    datasets.add(table.dataset).add(stagingDataset ?? table.dataset);
    slots.add(`${table.dataset}.${table.table}`);
    for (const partition of await everyPage((page) => events.partitions({ name: key, ...page }))) {
      if (partition.holder !== undefined) found.push(`holder of ${key} ${partition.partition}`);
      if (partition.pending !== undefined) found.push(`pending on ${key} ${partition.partition}`);
      if (partition.finish !== undefined) found.push(`unfinished commit of ${key} ${partition.partition}`);
    }
  }
  for (const slot of slots) {
    if ((await events.get("slot", slot))?.intent !== undefined) found.push(`intent on ${slot}`);
  }
  for (const dataset of datasets) {
    for await (const { table } of warehouse.list({ dataset })) {
      if (table.includes("__staging")) found.push(`staging table ${dataset}.${table}`);
    }
  }
  for (const due of await events.due({ now: Number.MAX_SAFE_INTEGER, limit: 1000 })) found.push(`due run ${due.runId}`);
  for (const run of await everyPage((page) => events.runs(page))) {
    if (run.endedAt === undefined) found.push(`${run.status} run of ${run.name} ${run.partition}: ${run.reason ?? ""}`);
    if (run.outbox.length > 0) found.push(`outbox of ${run.name} ${run.partition}`);
  }
  return found;
}
