/** Calls an author's code, with clients confined to what its asset declares, and lets its rows be stored. */
import type { AssetDefinition, MaterializeContext, MaterializeResult } from "../core/asset.ts";
import type { InputObject } from "../core/documents.ts";
import type { Metadata } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import type { Partition } from "../core/partitions.ts";
import type { Execution } from "./execution.ts";
import { isRowsAsset, loadRows } from "./load-rows.ts";
import { inputClients } from "./read-input.ts";
import { clientsOf, tablesOf } from "./resources.ts";
import type { StagingPlan } from "./resources.ts";
import { logged } from "./run-log.ts";
import type { RunLog } from "./run-log.ts";
import type { Receipt } from "./staged-rows.ts";

/** What this execution works on, fixed before any data is touched. */
export interface Plan {
  readonly execution: Execution;
  readonly asset: AssetDefinition;
  readonly partition: Partition | undefined;
  readonly order: string;
  readonly config: unknown;
  /** What the upstreams showed before any of their data was read: a race costs an extra run, and never a missed one. */
  readonly upstreams: Readonly<Record<string, string>>;
}

export interface Materialized {
  readonly result: MaterializeResult;
  readonly metadata: Metadata;
}

/** What the code works on, beside its plan. */
export interface Material {
  readonly inputs: readonly InputObject[];
  readonly fingerprint: string;
  /** What is to be filled; `undefined` for an asset without a managed table. */
  readonly staging?: StagingPlan;
  /** Rows that an earlier attempt of this run has made. */
  readonly receipt?: Receipt | undefined;
}

export async function materialize(plan: Plan, material: Material): Promise<Materialized> {
  const { execution, asset } = plan;
  const { staging, receipt } = material;
  return logged(execution, async (log) => {
    const metadata: Record<string, Metadata[string]> = {};
    const call = (): Promise<unknown> => callCode(plan, material, log, metadata);
    if (isRowsAsset(asset) && staging !== undefined) {
      const work = {
        execution,
        asset,
        staging,
        receipt,
        metadata: () => log.cleanMetadata(metadata),
        clean: log.clean,
      };
      return { result: {}, metadata: await loadRows({ ...work, produce: call }) };
    }
    // Without an I/O manager, this is what the definition's types let it return.
    const result = ((await call()) ?? {}) as MaterializeResult;
    execution.signal.throwIfAborted();
    const said = result.metadata === undefined ? {} : { metadata: log.cleanMetadata(result.metadata) };
    return { result: { ...result, ...said }, metadata: log.cleanMetadata(metadata) };
  });
}

async function callCode(
  { execution, asset, partition, config }: Plan,
  { inputs, fingerprint, staging }: Material,
  log: RunLog,
  metadata: Record<string, Metadata[string]>,
): Promise<unknown> {
  const { identity, request, signal } = execution;
  // The staging of an I/O manager is its own: to the code, the asset's table is the visible one.
  const own = asset.ioManager === undefined ? staging : undefined;
  const clients = await clientsOf({
    execution,
    resources: asset.resources,
    needs: asset.needs,
    log,
    tableOf: tablesOf(execution, asset, own?.table),
    ...(own === undefined ? {} : { staging: own }),
  });
  const upstreams = await inputClients(execution, asset, fingerprint);
  const context: MaterializeContext<unknown, Partition | undefined> & { row(value: unknown): unknown } = {
    runId: identity.id,
    asset: asset.key,
    partition,
    config,
    target: own?.table,
    inputs,
    idempotencyKey: shortHash([asset.key, identity.partition, fingerprint], 32),
    requestedAt: request.requestedAt,
    signal,
    log: log.log,
    metadata: (values) => Object.assign(metadata, values),
    row: (value) => value,
  };
  // The definition's own types meet what its schemas and resources have just produced.
  const code = asset.materialize as (context: unknown, resources: unknown) => unknown;
  return code(context, { ...clients, ...upstreams });
}
