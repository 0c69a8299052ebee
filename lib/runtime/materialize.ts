/** Calls an author's code, with clients confined to what its asset declares, and lets its rows be stored. */
import type { AssetDefinition, MaterializeContext, MaterializeResult } from "../core/asset.ts";
import type { Checkpoint } from "../core/checkpoint.ts";
import type { Head, InputObject } from "../core/documents.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { materializeResult } from "../core/materialize-result.ts";
import { rangeOfKeys } from "../core/partitions.ts";
import type { Partition, PartitionRange } from "../core/partitions.ts";
import { originOf } from "../core/previous-keys.ts";
import { placeholderValues } from "../core/placeholders.ts";
import { onePartition } from "../core/single-run.ts";
import { checkpointOfRun, noCheckpoint } from "./checkpoint.ts";
import type { Execution } from "./execution.ts";
import { loadRows } from "./load-rows.ts";
import { EndRun } from "./interruptions.ts";
import { inputClients } from "./read-input.ts";
import { clientsOf, tablesOf } from "./resources.ts";
import type { StagingPlan } from "./resources.ts";
import { logged } from "./run-log.ts";
import type { RunLog } from "./run-log.ts";
import type { Receipt } from "./staged-rows.ts";
import { isRowsAsset } from "./stage-rows.ts";
import { isStoredAsset, storeRows } from "./store-rows.ts";
import type { StoredRows } from "./store-rows.ts";
import type { SingleRun } from "./single-run.ts";
import { shownVersion } from "./versions.ts";

/** What this execution works on, fixed before any data is touched. */
export interface Plan {
  readonly execution: Execution;
  readonly asset: AssetDefinition;
  readonly partition: Partition | undefined;
  readonly order: string;
  readonly config: unknown;
  /** What the upstreams showed before any of their data was read: a race costs an extra run, and never a missed one. */
  readonly upstreams: Readonly<Record<string, string>>;
  /** What the run is to a backfill by a single run. */
  readonly single?: SingleRun | undefined;
}

export interface Materialized {
  readonly result: MaterializeResult;
  readonly metadata: Metadata;
  /** The folder of the staging bucket that the staging table was loaded from. */
  readonly staged?: string;
  /** The rows of an I/O manager that keeps no table. */
  readonly kept?: StoredRows;
}

/** What the code works on, beside its plan. */
export interface Material {
  readonly inputs: readonly InputObject[];
  readonly fingerprint: string;
  /** Hash of the definition, `codeVersion` included. */
  readonly definition: string;
  /** What the partition holds until the commit. */
  readonly before?: Head | undefined;
  /** What is to be filled; `undefined` for an asset without a managed table. */
  readonly staging?: StagingPlan;
  /** Rows that an earlier attempt of this run has made. */
  readonly receipt?: Receipt | undefined;
}

export async function materialize(plan: Plan, material: Material): Promise<Materialized> {
  const { execution, asset } = plan;
  const { staging, receipt } = material;
  return await logged(execution, async (log) => {
    const told: Told = { metadata: {} };
    const { metadata } = told;
    const call = async (checkpoint: Checkpoint): Promise<unknown> => {
      // Most heads have no version of their own: then there is nothing to read.
      const shown =
        material.before?.dataVersion === undefined
          ? undefined
          : await shownVersion(execution.services, plan, material.definition);
      return await callCode(plan, material, { log, told, checkpoint, isShown: (version) => version === shown });
    };
    if (isRowsAsset(asset) && staging !== undefined) {
      const work = {
        execution,
        asset,
        staging,
        receipt,
        metadata: () => log.cleanMetadata(metadata),
        dataVersion: () => told.dataVersion,
        recall: (said: Metadata) => Object.assign(metadata, said),
        clean: log.clean,
      };
      const { metadata: said, dataVersion, folder } = await loadRows({ ...work, produce: call });
      return { result: withVersion({}, dataVersion), metadata: said, staged: folder };
    }
    if (isStoredAsset(asset)) {
      const { fingerprint } = material;
      const produce = (): unknown => call(noCheckpoint());
      const kept = await storeRows({
        execution,
        asset,
        fingerprint,
        log,
        produce,
        metadata: () => log.cleanMetadata(metadata),
      });
      return { result: withVersion({}, told.dataVersion), metadata: kept.metadata, kept };
    }
    const desk = checkpointOfRun(execution, material.fingerprint);
    const result = materializeResult(asset.key, await call(desk.checkpoint));
    execution.signal.throwIfAborted();
    const said = result.metadata === undefined ? {} : { metadata: log.cleanMetadata(result.metadata) };
    // A version of many partitions says nothing about one.
    const { dataVersion, ...rest } = result;
    const named = makesSeveral(plan) ? rest : withVersion(result, dataVersion ?? told.dataVersion);
    return { result: { ...named, ...said }, metadata: log.cleanMetadata(metadata) };
  });
}

function withVersion(result: MaterializeResult, dataVersion: string | undefined): MaterializeResult {
  return dataVersion === undefined ? result : { ...result, dataVersion };
}

/** `undefined` for an asset without partitions. */
function rangeOf({ asset: { partitions }, partition, single }: Plan): PartitionRange | undefined {
  if (partitions === undefined || partition === undefined) return undefined;
  return rangeOfKeys(partitions, single?.kind === "makes" ? single.keys : [partition.key]);
}

function makesSeveral({ single }: Plan): boolean {
  return single?.kind === "makes" && single.keys.length > 1;
}

export function unchanged(version: string): EndRun {
  return new EndRun("unchanged", `the version ${version} is shown already`);
}

/** What the code has said until now. */
export interface Told {
  readonly metadata: Record<string, Metadata[string]>;
  dataVersion?: string;
}

export interface Surroundings {
  readonly log: RunLog;
  readonly told: Told;
  readonly checkpoint: Checkpoint;
  /** Whether this version of the data is what is shown already. */
  isShown(version: string): boolean;
}

/** Calls the code of the plan's asset with what it declares. */
export async function callCode(
  plan: Plan,
  { inputs, fingerprint, staging }: Pick<Material, "inputs" | "fingerprint" | "staging">,
  { log, told, checkpoint, isShown }: Surroundings,
): Promise<unknown> {
  const { execution, asset, partition, config } = plan;
  const { identity, request, signal } = execution;
  const range = rangeOf(plan);
  const several = makesSeveral(plan);
  // The staging of an I/O manager is its own: to the code, the asset's table is the visible one.
  const own = asset.ioManager === undefined ? staging : undefined;
  const clients = await clientsOf({
    execution,
    resources: asset.resources,
    needs: asset.needs,
    log,
    tableOf: tablesOf(execution, asset, own?.table),
    fillIn: placeholderValues(several ? undefined : partition, config),
    // A later attempt that notes other versions of its upstreams must not go on with what an earlier one has read.
    ...(own === undefined ? { jobs: { prefix: "", inputs: `${identity.id} ${fingerprint}` } } : { staging: own }),
  });
  const upstreams = await inputClients(execution, asset, fingerprint, log);
  const context: MaterializeContext<unknown, Partition | undefined> & { row(value: unknown): unknown } = {
    runId: identity.id,
    asset: asset.key,
    partition: several ? undefined : partition,
    partitionRange: range,
    config,
    target: own?.table,
    inputs,
    idempotencyKey: shortHash([originOf(asset), identity.partition, fingerprint], 32),
    requestedAt: request.requestedAt,
    signal,
    log: log.log,
    metadata: (values) => Object.assign(told.metadata, values),
    checkpoint,
    skipUnchanged: (version) => {
      delete told.dataVersion;
      if (several) return;
      if (version === null || version === undefined || version === "") return;
      told.dataVersion = version;
      if (request.force !== true && isShown(version)) throw unchanged(version);
    },
    row: (value) => value,
  };
  // Code for several partitions that reads the one is told so. Only there: each getter that is made anew costs V8 a hidden class.
  if (several)
    Object.defineProperty(context, "partition", {
      get: () => onePartition(asset.key, partition, range),
      enumerable: true,
    });
  // The definition's own types meet what its schemas and resources have just produced.
  const code = asset.materialize as (context: unknown, resources: unknown) => unknown;
  return code(context, { ...clients, ...upstreams });
}
