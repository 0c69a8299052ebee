/** Staging tables of attempts that died: the next attempt of their run puts them away. */
import { holds, partitionRef } from "../core/run-identity.ts";
import type { Placed } from "../core/placement.ts";
import { stagingPrefixOf } from "../core/placement.ts";
import { slotRef } from "../core/slot.ts";
import type { Destination } from "../core/table.ts";
import { formatTable } from "../core/table.ts";
import type { Execution } from "./execution.ts";

/**
 * What dead attempts have left, but for the tables named in `keep`. Does nothing in a run's first attempt, which has no dead
 * predecessor; a partition that is taken over from a dead run is cleared when that run gets its own next attempt.
 */
export async function dropLeftovers(
  execution: Execution,
  placed: Placed,
  destination: Destination,
  keep: readonly string[] = [],
): Promise<void> {
  if (execution.run.attempt > 1) await dropStaged(execution, placed, destination, keep);
}

/** Drops the partition's staging tables but those named in `keep`, and what an open intent or an unfinished commit still needs. */
export async function dropStaged(
  execution: Execution,
  placed: Placed,
  destination: Destination,
  keep: readonly string[] = [],
): Promise<void> {
  const { services, identity, token, signal } = execution;
  const { events, warehouse } = services;
  const prefix = stagingPrefixOf(placed, identity.partition);
  for await (const table of warehouse.list(prefix, prefix.table)) {
    const name = formatTable({ ...prefix, table: table.table });
    if (keep.includes(name)) continue;
    const partition = await events.get("partition", partitionRef(identity.name, identity.partition).id);
    const slot = await events.get("slot", slotRef(destination).id);
    const needed = [partition?.finish?.staging, slot?.intent?.staging];
    if (needed.some((other) => other !== undefined && formatTable(other) === name)) continue;
    signal.throwIfAborted();
    if (partition === undefined || !holds(partition, token)) return;
    await warehouse.drop({ ...prefix, table: table.table });
  }
}
