/**
 * What a pool promises: nobody publishes without a slot of it, there are no more slots than its limit, none is taken from whoever
 * holds it by a live lease, and in the end nobody holds one or waits.
 */
import type { Intent, PartitionDocument } from "../../lib/core/documents.ts";
import { poolDocuments, SLOTS } from "../../lib/core/pool.ts";
import type { Surroundings } from "./surroundings.ts";

export interface PoolWatcher {
  /** A slot or a ticket has changed. */
  changed(before: PartitionDocument | undefined, after: PartitionDocument | undefined): void;
  opened(intent: Intent): void;
}

export function isOfPool({ name }: Pick<PartitionDocument, "name">): boolean {
  return name.startsWith(poolDocuments(""));
}

export function poolWatcher({ project, documents, fail, now, ahead }: Surroundings): PoolWatcher {
  const { assets, pools } = project.definitions;
  /** Claims that have had a slot, and have not given it back; it may be another's since its lease ran out. */
  const seated = new Set<string>();
  const claimOf = ({ runId, token }: { readonly runId: string; readonly token: number }): string => `${runId} ${token}`;
  return {
    changed: (before, after) => {
      const { name, partition } = after ?? before ?? { name: "", partition: "" };
      if (!partition.startsWith(SLOTS.from)) return;
      const [was, is] = [before?.holder, after?.holder];
      const slot = `${partition} of ${name}`;
      if (was !== undefined && is !== undefined && was.runId !== is.runId && was.leaseUntil > now() + ahead)
        fail(`${slot} was taken from ${was.runId}, whose lease is live, for ${is.runId}`);
      if (was !== undefined && is === undefined) seated.delete(claimOf(was));
      if (is === undefined) return;
      seated.add(claimOf(is));
      const { limit = 0 } = [...pools.values()].find((pool) => poolDocuments(pool.name) === name) ?? {};
      if (Number(partition.slice(SLOTS.from.length)) >= limit) fail(`${slot} was taken, and there are ${limit}`);
      // A holder that has lost its claim keeps its slot until it notices, while its successor has one of its own.
      for (const [, { name: pool, partition: also, holder }] of documents.all("partition"))
        if (pool === name && also !== partition && holder !== undefined && claimOf(holder) === claimOf(is))
          if (holder.leaseUntil > now() + ahead) fail(`run ${is.runId} has ${slot}, and ${also} too`);
    },
    opened: ({ name, runId, token, jobId }) => {
      const { pool } = assets.get(name) ?? {};
      if (pool !== undefined && !seated.has(claimOf({ runId, token })))
        fail(`${jobId} was opened without a slot of the pool ${pool}`);
    },
  };
}

/** When nothing moves any more, long after the last lease. */
export function poolsAtRest({ documents, now }: Surroundings): readonly string[] {
  return documents.all("partition").flatMap(([id, document]) => {
    if (!isOfPool(document)) return [];
    if (document.holder === undefined) return [`ticket ${id}`];
    return document.holder.leaseUntil > now() ? [`holder of ${id}`] : [];
  });
}
