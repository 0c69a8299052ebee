/** The way of an author's rows into the staging table: written to the bucket, loaded by one job, put away. */
import type { z } from "zod";
import type { AssetDefinition } from "../core/asset.ts";
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { uriOf } from "../core/inputs.ts";
import type { IoManager } from "../core/io-manager.ts";
import { rowCodec } from "../core/row-codec.ts";
import { discardMetadata, rowGate } from "../core/row-gate.ts";
import type { Execution } from "./execution.ts";
import type { StagingPlan } from "./resources.ts";
import { clearStaged, findReceipt, isIntact, partName, stagedFolder, writeReceipt } from "./staged-rows.ts";
import type { Receipt } from "./staged-rows.ts";
import { runJob } from "./warehouse-jobs.ts";
import { writeRows } from "./write-rows.ts";

/** Rows that are to be made, or were made by an earlier attempt of this run. */
export interface RowsVersion {
  readonly receipt: Receipt | undefined;
  /**
   * Stands in the staging table's name. The rows are what the author's code made of the inputs this time, so every making
   * has a table of its own, which no late job of a dead attempt fills with other rows after the audit.
   */
  readonly version: string;
}

export async function rowsVersion(execution: Execution, fingerprint: string): Promise<RowsVersion> {
  const receipt = await findReceipt(execution, fingerprint);
  const token = receipt?.token ?? execution.token;
  return { receipt, version: shortHash([fingerprint, execution.identity.id, String(token)]) };
}

/** An asset whose rows are stored by an I/O manager. */
export type RowsAsset = AssetDefinition & { readonly schema: z.ZodObject; readonly ioManager: IoManager };

export interface RowsWork {
  readonly execution: Execution;
  readonly asset: RowsAsset;
  readonly staging: StagingPlan;
  readonly receipt: Receipt | undefined;
  /** Calls the author's code. */
  readonly produce: () => unknown;
  /** What the code has said of its rows by the time that they are all there. */
  readonly metadata: () => Metadata;
  /** Takes secrets out of a text. */
  readonly clean: (text: string) => string;
}

export function isRowsAsset(asset: AssetDefinition): asset is RowsAsset {
  return asset.ioManager !== undefined && asset.schema !== undefined;
}

/** What decides the rows beside the inputs, for the fingerprint. */
export function rowsDefinition({ schema, ioManager }: RowsAsset): unknown {
  return [rowCodec(schema).columns, ioManager.onInvalidRow, ioManager.partitionBy ?? null, ioManager.clusterBy ?? []];
}

/** Fills the staging table. The result is the materialization's metadata. */
export async function loadRows(work: RowsWork): Promise<Metadata> {
  const { execution, asset, staging } = work;
  const { services } = execution;
  const { columns } = rowCodec(asset.schema);
  const receipt = work.receipt ?? (await stageRows(work));
  const { parts, metadata } = receipt;
  const bucket = services.settings.stagingBucket;
  const { table: destination, fingerprint, partition, partitioning, clustering } = staging;
  const changed = new RetryableError(`the staged files of ${asset.key} were changed while they were loaded`);
  try {
    await runJob(execution, {
      step: "load-rows",
      inputs: [fingerprint, ...parts.map(({ generation }) => generation)].join(" "),
      spec: {
        kind: "load",
        uris: parts.map(({ name }) => uriOf({ bucket, name })),
        format: "PARQUET",
        schema: columns,
        destination,
        ...(partitioning === undefined ? {} : { partitioning }),
        ...(partition === undefined ? {} : { partition }),
        ...(clustering === undefined ? {} : { clustering }),
        expiresAt: services.clock.now() + services.settings.stagingTtlMs,
      },
      usable: async () => (await services.warehouse.describe(destination)) !== undefined,
    });
  } catch (error) {
    if (error instanceof PermanentError && !(await isIntact(execution, parts))) throw changed;
    throw error;
  }
  // A load names no generations: only after it can be told what it has read.
  if (!(await isIntact(execution, parts))) throw changed;
  await clearStaged(execution);
  return metadata;
}

async function stageRows(work: RowsWork): Promise<Receipt> {
  const { execution, asset, staging, clean } = work;
  const { services, signal, identity, token } = execution;
  const { objects, settings } = services;
  const folder = stagedFolder(execution, staging.fingerprint);
  const { schema, ioManager } = asset;
  const codec = rowCodec(schema);
  const gate = rowGate(codec, { asset: asset.key, onInvalidRow: ioManager.onInvalidRow });
  const parts = await writeRows(work.produce(), codec.columns, gate.take, {
    objects,
    bucket: settings.stagingBucket,
    nameOf: (index) => partName(folder, index),
    partBytes: settings.stagingPartBytes,
    signal,
  });
  const { samples, ...counts } = gate.end();
  const cleaned = samples.map((sample) => ({ ...sample, reason: clean(sample.reason), value: clean(sample.value) }));
  const metadata = { ...work.metadata(), ...discardMetadata({ ...counts, samples: cleaned }, ioManager) };
  await clearStaged(execution, parts);
  const receipt: Receipt = { v: 1, run: identity.id, token, parts: [...parts], metadata };
  await writeReceipt(execution, staging.fingerprint, receipt);
  return receipt;
}
