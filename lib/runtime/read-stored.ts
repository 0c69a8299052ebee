/** The rows of an upstream that keeps no table, by the handles that its partitions' heads hold. */
import type { AssetDefinition } from "../core/asset.ts";
import type { Head } from "../core/documents.ts";
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { StoreManager } from "../core/io-manager.ts";
import type { PlainRow } from "../core/row-encode.ts";
import { readerOf } from "../core/row-plan.ts";
import { partitionRef } from "../core/run-identity.ts";
import { followRenames } from "./follow-renames.ts";
import type { Execution } from "./execution.ts";
import { rowStoreOf } from "./row-store.ts";
import type { RunLog } from "./run-log.ts";

export interface PartitionHead {
  readonly partition: string;
  readonly head: Head;
}

/** The partitions that are read, in order; `whole`: all that there are. */
export type MadeFrom = "whole" | readonly PartitionHead[];

export interface StoredInput {
  readonly execution: Execution;
  /** Whose input it is. */
  readonly asset: AssetDefinition;
  readonly upstream: AssetDefinition;
  /** Its I/O manager. */
  readonly manager: StoreManager;
  readonly log: RunLog;
}

/**
 * Reads the rows, each time anew, of the heads as they are now. Throws `PermanentError` (`upstream-missing`) for a partition
 * that another I/O manager has stored. A version that is replaced while it is read ends with a `RetryableError`.
 */
export async function storedInput(input: StoredInput, made: MadeFrom): Promise<() => AsyncIterable<PlainRow>> {
  const { execution, asset, upstream, manager, log } = input;
  const { key } = upstream;
  const heads = made === "whole" ? await allHeads(execution, upstream) : made;
  const foreign = heads.find(({ head }) => head.stored?.manager !== manager.name);
  if (foreign !== undefined) {
    const which = foreign.partition === "" ? key : `${key} (${foreign.partition})`;
    throw new PermanentError(
      `${which} was not stored by its I/O manager of today, and ${asset.key} is made from it: materialize it again`,
      { code: "upstream-missing" },
    );
  }
  const handles = heads.map(({ head }) => head.stored?.handle);
  const columns = readerOf(upstream)?.columns ?? [];
  const context = { asset: key, columns, signal: execution.signal, log: log.log };
  return async function* rows() {
    const store = await rowStoreOf(execution, upstream, manager, log);
    try {
      yield* store.read(context, handles);
    } catch (error) {
      if (await isReplaced(execution, key, heads))
        throw new RetryableError(`${key} was materialized again while ${asset.key} read it`, { cause: error });
      throw error;
    }
  };
}

async function allHeads(
  { services: { events } }: Execution,
  { key }: AssetDefinition,
): Promise<readonly PartitionHead[]> {
  const heads: PartitionHead[] = [];
  const name = (await followRenames(events).get("asset", key))?.key ?? key;
  for (let after: string | undefined; ;) {
    const page = await events.partitions({ name, limit: 1000, ...(after === undefined ? {} : { after }) });
    for (const { partition, head } of page.items) if (head !== undefined) heads.push({ partition, head });
    after = page.next;
    if (after === undefined) return heads;
  }
}

async function isReplaced(
  { services: { events } }: Execution,
  key: string,
  heads: readonly PartitionHead[],
): Promise<boolean> {
  for (const { partition, head } of heads) {
    const now = (await followRenames(events).get("partition", partitionRef(key, partition).id))?.head;
    if (now?.materializationId !== head.materializationId) return true;
  }
  return false;
}
