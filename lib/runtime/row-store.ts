/** I/O managers that keep no table, as the runtime deals with them: an author's own and `parquetFiles` alike. */
import type { AssetDefinition } from "../core/asset.ts";
import { customNeeds, PARQUET_FILES } from "../core/custom-io-manager.ts";
import type { CustomIoManager, StoreContext, VersionContext, WriteContext } from "../core/custom-io-manager.ts";
import type { StoreManager } from "../core/io-manager.ts";
import { originOf } from "../core/previous-keys.ts";
import type { PlainRow } from "../core/row-encode.ts";
import type { Execution } from "./execution.ts";
import { handOver } from "./hand-over.ts";
import { parquetStore } from "./parquet/store.ts";
import type { Row } from "./parquet/writer.ts";
import type { PartSeries } from "./part-series.ts";
import { clientsOf, tablesOf } from "./resources.ts";
import type { RunLog } from "./run-log.ts";
import { pourRows } from "./write-rows.ts";

/** What an author's code yields, and the two ways from there to what is stored. */
export interface RowSource {
  readonly produced: unknown;
  /** The row as the schema has it; `undefined` for one that is left out. */
  take(row: unknown): Row | undefined;
  encode(row: Row): PlainRow;
}

export interface RowStore {
  /** The result is a handle, if the manager's author has kept to the contract. */
  write(context: WriteContext, source: RowSource): Promise<unknown>;
  read(context: StoreContext, handles: readonly unknown[]): AsyncIterable<PlainRow>;
  /** Does nothing for a manager that never removes anything. */
  remove(context: VersionContext, handle: unknown): Promise<void>;
}

/** The manager with its clients made, for one piece of work of this execution. */
export async function rowStoreOf(
  execution: Execution,
  asset: AssetDefinition,
  manager: StoreManager,
  log: RunLog,
): Promise<RowStore> {
  if (manager.kind === PARQUET_FILES) return parquetStore(execution.services.objects, manager, originOf(asset));
  const clients = await clientsOf({
    execution,
    resources: manager.resources,
    needs: customNeeds(manager),
    log,
    tableOf: tablesOf(execution, asset, undefined),
  });
  return customStore(manager, clients);
}

function customStore(manager: CustomIoManager, clients: unknown): RowStore {
  return {
    async write(context, { produced, take, encode }) {
      const { signal, asset } = context;
      const { series, result } = handOver(encode, (rows) => manager.write(context, rows, clients), { asset, signal });
      const accept = (value: unknown): PartSeries | undefined => {
        const row = take(value);
        return row !== undefined && series.write(row) ? series : undefined;
      };
      await pourRows(produced, { series: [series], accept, signal });
      return await result;
    },
    read: (context, handles) => manager.read(context, handles, clients),
    remove: async (context, handle) => await manager.remove?.(context, handle, clients),
  };
}
