/** The way of an author's rows to an I/O manager that keeps no table: written under a version of their own, then committed by a handle. */
import type { z } from "zod";
import type { AssetDefinition } from "../core/asset.ts";
import type { WriteContext } from "../core/custom-io-manager.ts";
import type { StoredVersion } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import type { StoreManager } from "../core/io-manager.ts";
import { originOf } from "../core/previous-keys.ts";
import { rowCodec } from "../core/row-codec.ts";
import { discardMetadata, rowGate } from "../core/row-gate.ts";
import { isJson } from "../core/row-values.ts";
import type { JsonValue } from "../core/row-values.ts";
import { beginVersion, MAX_HANDLE_BYTES, storedRefs, versionOf } from "../core/stored-versions.ts";
import type { Column } from "../core/table.ts";
import type { Execution } from "./execution.ts";
import { ClaimLost } from "./interruptions.ts";
import { rowStoreOf } from "./row-store.ts";
import type { RunLog } from "./run-log.ts";

/** An asset whose rows are kept elsewhere than in a table. */
export type StoredAsset = AssetDefinition & { readonly schema: z.ZodObject; readonly ioManager: StoreManager };

export function isStoredAsset(asset: AssetDefinition): asset is StoredAsset {
  return asset.schema !== undefined && asset.ioManager !== undefined && asset.ioManager.kind !== "bigquery-table";
}

/** What decides the rows, and where they are, beside the inputs: for the fingerprint. */
export function storedDefinition({ schema, ioManager }: StoredAsset): unknown {
  const { name, onInvalidRow } = ioManager;
  const place = ioManager.kind === "custom" ? null : ioManager.location;
  return [name, rowCodec(schema).columns, onInvalidRow, place];
}

export interface StoreWork {
  readonly execution: Execution;
  readonly asset: StoredAsset;
  readonly fingerprint: string;
  readonly log: RunLog;
  /** Calls the author's code. */
  readonly produce: () => unknown;
  /** What the code has said of its rows by the time that they are all there. */
  readonly metadata: () => Metadata;
}

export interface StoredRows {
  readonly stored: StoredVersion;
  readonly rows: number;
  readonly columns: readonly Column[];
  readonly metadata: Metadata;
}

/** Stores the rows. Nobody sees them before the commit; without one, `abandonVersions` removes them. */
export async function storeRows(work: StoreWork): Promise<StoredRows> {
  const { execution, asset, log } = work;
  const { services, identity, token, signal } = execution;
  const { schema, ioManager, key } = asset;
  const version: StoredVersion = { manager: ioManager.name, version: versionOf(identity, token) };
  const begun = await services.events.transact(storedRefs(identity), (state) =>
    beginVersion(state, { identity, token, version }),
  );
  if (!begun) throw new ClaimLost(identity.id);

  const codec = rowCodec(schema);
  const gate = rowGate(codec, { asset: key, onInvalidRow: ioManager.onInvalidRow });
  const said: Record<string, Metadata[string]> = {};
  const context: WriteContext = {
    asset: key,
    columns: codec.columns,
    signal,
    log: log.log,
    partition: identity.partition === "" ? undefined : identity.partition,
    version: version.version,
    idempotencyKey: shortHash([originOf(asset), identity.partition, work.fingerprint], 32),
    metadata: (values) => Object.assign(said, values),
  };
  const store = await rowStoreOf(execution, asset, ioManager, log);
  const { take } = gate;
  const handle = await store.write(context, { produced: work.produce(), take, encode: codec.encode });
  signal.throwIfAborted();
  const { samples, ...counts } = gate.end();
  const { clean } = log;
  const cleaned = samples.map((sample) => ({ ...sample, reason: clean(sample.reason), value: clean(sample.value) }));
  const metadata = {
    ...log.cleanMetadata(said),
    ...work.metadata(),
    ...discardMetadata({ ...counts, samples: cleaned }, ioManager),
  };
  const stored = { ...version, handle: checkedHandle(key, handle) };
  return { stored, rows: counts.rows, columns: codec.columns, metadata };
}

function checkedHandle(key: string, handle: unknown): JsonValue {
  const code = "bad-io-manager";
  if (!isJson(handle))
    throw new PermanentError(`the I/O manager of ${key} returned a handle that is not JSON`, { code });
  const bytes = new TextEncoder().encode(JSON.stringify(handle)).length;
  if (bytes <= MAX_HANDLE_BYTES) return handle;
  throw new PermanentError(
    `the handle of ${key} has ${bytes} bytes, and may have ${MAX_HANDLE_BYTES}: store the list beside the rows, or make fewer and larger files`,
    { code },
  );
}
