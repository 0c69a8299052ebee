/** What I/O managers without a table have stored, and nobody needs any more: older versions, and those of attempts without a commit. */
import type { AssetDefinition } from "../core/asset.ts";
import { PARQUET_FILES } from "../core/custom-io-manager.ts";
import type { PartitionDocument, StoredVersion } from "../core/documents.ts";
import { messageOf } from "../core/errors.ts";
import type { StoreManager } from "../core/io-manager.ts";
import { parquetFiles } from "../core/parquet-files.ts";
import { rowCodec } from "../core/row-codec.ts";
import { partitionRef } from "../core/run-identity.ts";
import { forgetVersions, storedRefs, versionOf } from "../core/stored-versions.ts";
import type { Execution } from "./execution.ts";
import { rowStoreOf } from "./row-store.ts";
import type { RowStore } from "./row-store.ts";
import { logged } from "./run-log.ts";

/**
 * Removes the versions, and returns those of which nothing is left to do. What fails is said in the run's log, and is to be
 * tried again. Idempotent, by anybody: no head names these versions, and no commit ever will.
 */
export async function removeVersions(
  execution: Execution,
  asset: AssetDefinition,
  versions: readonly StoredVersion[],
): Promise<readonly StoredVersion[]> {
  const { identity, signal } = execution;
  const columns = asset.schema === undefined ? [] : rowCodec(asset.schema).columns;
  return await logged(
    execution,
    async (log) => {
      const stores = new Map<StoreManager, Promise<RowStore>>();
      const gone: StoredVersion[] = [];
      for (const stored of versions) {
        const { version, handle } = stored;
        const manager = managerOf(asset, stored);
        if (manager === undefined) {
          log.log.warn(
            `the I/O manager ${stored.manager} is not that of ${asset.key} any more: what it stored as version ${version} stays`,
            handle === undefined ? {} : { handle },
          );
          gone.push(stored);
          continue;
        }
        const store = stores.get(manager) ?? rowStoreOf(execution, asset, manager, log);
        stores.set(manager, store);
        const partition = identity.partition === "" ? undefined : identity.partition;
        try {
          await (await store).remove({ asset: asset.key, columns, signal, log: log.log, partition, version }, handle);
          gone.push(stored);
        } catch (error) {
          log.log.error(
            `version ${version} of ${asset.key} cannot be removed, and is tried again: ${messageOf(error)}`,
          );
        }
      }
      return gone;
    },
    "remove",
  );
}

/** Files in a bucket are found by their handle alone, whatever the definition has become. */
function managerOf({ ioManager }: AssetDefinition, { manager, handle }: StoredVersion): StoreManager | undefined {
  if (ioManager !== undefined && ioManager.kind !== "bigquery-table" && ioManager.name === manager) return ioManager;
  return manager === PARQUET_FILES && handle !== undefined ? parquetFiles({ location: "gs://elsewhere" }) : undefined;
}

/** What this attempt has perhaps written, long after others have removed it; but an answer that was lost may have been that of its commit. */
function ownVersion(
  { identity, token }: Execution,
  { ioManager }: AssetDefinition,
  partition: PartitionDocument | undefined,
): readonly StoredVersion[] {
  const version = versionOf(identity, token);
  if (ioManager === undefined || ioManager.kind === "bigquery-table") return [];
  return partition?.head?.stored?.version === version ? [] : [{ manager: ioManager.name, version }];
}

/**
 * Removes what attempts at the partition have begun to store, after this one has ended without a commit. A claim that is lost
 * concerns its own version alone: the others are its successor's business. Throws what has kept it from that; what is left
 * is written down for the next attempt.
 */
export async function abandonVersions(execution: Execution, asset: AssetDefinition): Promise<void> {
  const { services, identity, token } = execution;
  if (services.stopping.aborted) return;
  const partition = await services.events.get("partition", partitionRef(identity.name, identity.partition).id);
  const versions =
    partition?.holder?.token === token ? (partition.writing ?? []) : ownVersion(execution, asset, partition);
  if (versions.length === 0) return;
  // The run's own signal may be what has ended it.
  const gone = await removeVersions({ ...execution, signal: services.stopping }, asset, versions);
  await services.events.transact(storedRefs(identity), (state) =>
    forgetVersions(state, { identity, token, versions: gone }),
  );
  const left = versions.length - gone.length;
  if (left > 0) throw new Error(`${left} of ${versions.length} stored versions of ${asset.key} cannot be removed`);
}
