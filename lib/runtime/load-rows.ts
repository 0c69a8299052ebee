/** The way of an author's rows into the staging table: written to the bucket, loaded by one job, kept until the commit. */
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { uriOf } from "../core/inputs.ts";
import { rowCodec } from "../core/row-codec.ts";
import type { Execution } from "./execution.ts";
import type { StagingPlan } from "./resources.ts";
import { stageRows } from "./stage-rows.ts";
import type { RowsAsset, StagingWork } from "./stage-rows.ts";
import { clearStaged, findReceipt, folderOf, isIntact, PROGRESS, stagedFolder, writeReceipt } from "./staged-rows.ts";
import type { Receipt } from "./staged-rows.ts";
import { runJob } from "./warehouse-jobs.ts";

/** Rows that are to be made, or were made by an earlier attempt of this run. */
export interface RowsVersion {
  readonly receipt: Receipt | undefined;
  /**
   * Stands in the staging table's name. The rows are what the author's code made of the inputs this time, so every making
   * has a table of its own, which no late job of a dead attempt fills with other rows after the audit.
   */
  readonly version: string;
}

/** `adopted`: rows that were made by another run for this one. */
export async function rowsVersion(
  execution: Execution,
  fingerprint: string,
  adopted: Receipt | undefined,
): Promise<RowsVersion> {
  const receipt = adopted ?? (await findReceipt(execution, fingerprint));
  const token = receipt?.token ?? execution.token;
  const maker = receipt?.run ?? execution.identity.id;
  return { receipt, version: shortHash([fingerprint, maker, String(token)]) };
}

export interface RowsWork extends Pick<StagingWork, "execution" | "produce" | "metadata" | "recall" | "clean"> {
  readonly asset: RowsAsset;
  readonly staging: StagingPlan;
  readonly receipt: Receipt | undefined;
  /** The version that the code says the rows are of. */
  readonly dataVersion: () => string | undefined;
}

/** What decides the rows beside the inputs, for the fingerprint. */
export function rowsDefinition({ schema, ioManager }: RowsAsset): unknown {
  return [rowCodec(schema).columns, ioManager.onInvalidRow, ioManager.partitionBy ?? null, ioManager.clusterBy ?? []];
}

export interface LoadedRows {
  /** The materialization's. */
  readonly metadata: Metadata;
  readonly dataVersion: string | undefined;
  /** Of the staging bucket: the files stay until the commit, so that a later attempt need not make the rows again. */
  readonly folder: string;
}

/** Fills the staging table. */
export async function loadRows(work: RowsWork): Promise<LoadedRows> {
  const { execution, asset, staging } = work;
  const { services } = execution;
  const { columns } = rowCodec(asset.schema);
  const receipt = work.receipt ?? (await makeRows(work));
  const { parts, metadata, dataVersion } = receipt;
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
  return { metadata, dataVersion, folder: folderOf(parts) };
}

async function makeRows(work: RowsWork): Promise<Receipt> {
  const { execution, asset, staging } = work;
  const { identity, token } = execution;
  const folder = stagedFolder(execution, staging.fingerprint);
  const [staged] = await stageRows({
    ...work,
    folder,
    outputs: [{ asset, folder }],
    route: ([accept]) => accept ?? (() => undefined),
  });
  const { parts = [], metadata = {} } = staged ?? {};
  await clearStaged(execution, [...parts.map(({ name }) => name), `${folder}/${PROGRESS}`]);
  const version = work.dataVersion();
  const said = version === undefined ? {} : { dataVersion: version };
  const receipt: Receipt = { v: 1, run: identity.id, token, parts: [...parts], metadata, ...said };
  await writeReceipt(execution, staging.fingerprint, receipt);
  return receipt;
}
