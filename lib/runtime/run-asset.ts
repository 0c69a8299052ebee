/** Steps 3 to 6 of an asset's run: look, stage, look again, audit, publish, commit. */
import type { AssetDefinition, MaterializeContext, MaterializeResult, Target } from "../core/asset.ts";
import { eventOf } from "../core/claim.ts";
import { commitUnmanaged, unmanagedRefs } from "../core/commit.ts";
import { allChecks } from "../core/definitions.ts";
import type { Head, InputObject } from "../core/documents.ts";
import { DefinitionError, PermanentError, messageOf } from "../core/errors.ts";
import type { Metadata, SluiceEvent } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { compareInputs, fingerprintOf } from "../core/inputs.ts";
import { tableSuffix } from "../core/interval.ts";
import { parsePartition, partitionOrder } from "../core/partitions.ts";
import type { Partition } from "../core/partitions.ts";
import { slotRef, supersededBy } from "../core/slot.ts";
import type { Destination, TableRef } from "../core/table.ts";
import { formatTable } from "../core/table.ts";
import { alignSchema } from "./align-schema.ts";
import { audit } from "./audit.ts";
import type { Ending, Execution } from "./execution.ts";
import { finishCommit } from "./finish.ts";
import { ClaimLost, EndRun, Park } from "./interruptions.ts";
import { lookAtInputs } from "./look.ts";
import { publish, settle } from "./publish.ts";
import { clientsOf, tablesOf } from "./resources.ts";
import type { StagingPlan } from "./resources.ts";
import { runLog } from "./run-log.ts";
import { putAway } from "../core/claim.ts";
import { partitionRef } from "../core/claim.ts";

/** What this execution works on, fixed before any data is touched. */
interface Plan {
  readonly execution: Execution;
  readonly asset: AssetDefinition;
  readonly partition: Partition | undefined;
  readonly order: string;
  readonly config: unknown;
}

export async function runAsset(execution: Execution, asset: AssetDefinition): Promise<Ending> {
  const { identity, services, partition } = execution;
  if (partition.finish !== undefined) {
    const { finish } = partition;
    await finishCommit(services, finish);
    await services.events.transact({ partition: partitionRef(identity.name, identity.partition) }, (state) =>
      putAway(state, { runId: finish.runId }),
    );
  }
  const plan: Plan = {
    execution,
    asset,
    partition: asset.partitions === undefined ? undefined : parsePartition(asset.partitions, identity.partition),
    order: partitionOrder(asset.partitions, identity.partition),
    config: configOf(asset, execution),
  };
  if (asset.target === undefined) return materializeUnmanaged(plan);
  for (let round = 1; round <= services.settings.maxRestarts; round++) {
    const ending = await materializeOnce(plan, asset.target);
    if (ending !== "inputs-changed") return ending;
    const reason = "the inputs changed while they were loaded";
    const event: SluiceEvent = {
      ...eventOf(identity, `restarted-${execution.run.attempt}-${round}`, services.clock.now()),
      type: "run.restarted",
      reason,
    };
    await services.events.append([event]);
  }
  throw new Park("inputs-changing", "the inputs keep changing", services.clock.now() + services.settings.lookAgainMs);
}

function configOf(asset: AssetDefinition, { request }: Execution): unknown {
  if (asset.config === undefined) return request.config ?? {};
  const parsed = asset.config.safeParse(request.config ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new PermanentError(
    `the request's config is not what ${asset.key} takes: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    { code: "bad-config" },
  );
}

async function materializeOnce(plan: Plan, target: Target): Promise<Ending | "inputs-changed"> {
  const { execution, asset } = plan;
  const { services, identity, request } = execution;
  const destination = destinationOf(target, asset, plan.partition);

  const slot = await services.events.get("slot", slotRef(destination).id);
  if (slot?.intent !== undefined) {
    const settled = await settle(execution, slot.intent);
    if (settled?.id === identity.id) return { kind: "ended", run: settled };
    return materializeOnce(plan, target);
  }
  const inputs = asset.source === undefined ? [] : await lookAtInputs(execution, asset.source);
  const newer = supersededBy(slot, plan.order);
  if (newer !== undefined && request.rollback !== true) {
    throw new EndRun("superseded", `the table already shows ${newer}`, inputs);
  }

  const fingerprint = fingerprintOf({
    inputs,
    definition: { config: plan.config as Metadata, table: formatTable(destination) },
    codeVersion: asset.codeVersion,
    // Without declared inputs nothing tells whether there is anything to do, so every run does it.
    nonce: request.force === true || asset.source === undefined ? identity.id : undefined,
  });
  const { partition: before } = {
    partition: await services.events.get("partition", partitionRef(identity.name, identity.partition).id),
  };
  const shown = slot?.committed?.materializationId;
  if (
    before?.head !== undefined &&
    before.head.fingerprint === fingerprint &&
    shown === before.head.materializationId
  ) {
    throw new EndRun("unchanged", "the partition already holds these inputs");
  }

  const staging = stagingOf(target, identity.partition, fingerprint);
  const stagingPlan: StagingPlan = {
    table: staging,
    fingerprint,
    inputs,
    ...(target.partitioning === undefined ? {} : { partitioning: target.partitioning }),
    ...(destination.partition === undefined || target.partitioning?.column !== undefined
      ? {}
      : { partition: destination.partition }),
  };
  const drop = async (): Promise<"inputs-changed"> => {
    await services.warehouse.drop(staging);
    return "inputs-changed";
  };

  let result: Materialized;
  try {
    result = await materialize(plan, inputs, fingerprint, stagingPlan);
  } catch (error) {
    // A file that was replaced or removed while it was read is no fault of its successor.
    if (error instanceof PermanentError && (await inputsChanged(plan, inputs))) return drop();
    throw error;
  }
  if (await inputsChanged(plan, inputs)) return drop();

  const info = await services.warehouse.describe(staging);
  if (info === undefined)
    throw new PermanentError(`${asset.key} has filled no rows into ${formatTable(staging)}`, { code: "no-data" });
  const checks = allChecks(services.definitions(), asset);
  const tableOf = tablesOf(execution, asset, staging);
  const audited = await audit(
    execution,
    { table: staging, info, partition: plan.partition, fingerprint, tableOf },
    checks,
  );
  await alignSchema(execution, { staging, staged: info, target });

  const head = headOf(execution, fingerprint, inputs, result.result);
  const event: SluiceEvent = {
    ...eventOf(identity, "materialized", services.clock.now()),
    type: "materialized",
    materializationId: head.materializationId,
    table: formatTable(destination),
    rows: info.rows,
    schema: info.schema,
    fingerprint,
    inputs,
    metadata: { ...result.metadata, ...result.result.metadata },
  };
  const raw = target.keepRaw === true ? rawOf(target, asset, plan.partition) : undefined;
  const run = await publish(
    execution,
    {
      order: plan.order,
      rollback: request.rollback === true,
      destination,
      staging,
      head,
      event,
      events: audited,
      ...(raw === undefined ? {} : { raw }),
    },
    target.partitioning,
  );
  return { kind: "ended", run };
}

interface Materialized {
  readonly result: MaterializeResult;
  readonly metadata: Metadata;
}

/** Calls the author's code, with clients confined to what it declared. */
async function materialize(
  plan: Plan,
  inputs: readonly InputObject[],
  fingerprint: string,
  staging: StagingPlan | undefined,
): Promise<Materialized> {
  const { execution, asset } = plan;
  const { identity, request, signal } = execution;
  const log = runLog(execution);
  const metadata: Record<string, Metadata[string]> = {};
  try {
    const clients = await clientsOf({
      execution,
      resources: asset.resources,
      needs: asset.needs,
      log,
      tableOf: tablesOf(execution, asset, staging?.table),
      ...(staging === undefined ? {} : { staging }),
    });
    const context: MaterializeContext<unknown, Partition | undefined> = {
      runId: identity.id,
      asset: asset.key,
      partition: plan.partition,
      config: plan.config,
      target: staging?.table,
      inputs,
      idempotencyKey: shortHash([asset.key, identity.partition, fingerprint], 32),
      requestedAt: request.requestedAt,
      signal,
      log: log.log,
      metadata: (values) => Object.assign(metadata, values),
    };
    // The definition's own types meet what its schema and resources have just produced.
    const call = asset.materialize as (
      context: unknown,
      resources: unknown,
    ) => ReturnType<AssetDefinition["materialize"]>;
    const result = (await call(context, clients)) ?? {};
    signal.throwIfAborted();
    return { result, metadata };
  } catch (error) {
    throw redacted(error, log.clean);
  } finally {
    await log.flush();
  }
}

/** The same error, its message without secrets. */
function redacted(error: unknown, clean: (text: string) => string): unknown {
  if (error instanceof DefinitionError)
    return new PermanentError(clean(messageOf(error)), { code: "bad-definition", cause: error });
  if (error instanceof Error) error.message = clean(error.message);
  return error;
}

async function inputsChanged(plan: Plan, before: readonly InputObject[]): Promise<boolean> {
  const { asset, execution } = plan;
  if (asset.source === undefined) return false;
  const now = await lookAtInputs(execution, asset.source).catch((error: unknown) => {
    // Whatever the second look says instead of a list (nothing there, not whole), it is not what was loaded.
    if (error instanceof EndRun || error instanceof Park || error instanceof PermanentError) return undefined;
    throw error;
  });
  if (now === undefined) return true;
  const { added, removed, changed } = compareInputs(before, now);
  return added.length + removed.length + changed.length > 0;
}

async function materializeUnmanaged(plan: Plan): Promise<Ending> {
  const { execution, asset } = plan;
  const { services, identity, token } = execution;
  const inputs = asset.source === undefined ? [] : await lookAtInputs(execution, asset.source);
  const fingerprint = fingerprintOf({
    inputs,
    definition: { config: plan.config as Metadata },
    codeVersion: asset.codeVersion,
    nonce: identity.id,
  });
  const { result, metadata } = await materialize(plan, inputs, fingerprint, undefined);
  const head = headOf(execution, fingerprint, inputs, result);
  const now = services.clock.now();
  const event: SluiceEvent = {
    ...eventOf(identity, "materialized", now),
    type: "materialized",
    materializationId: head.materializationId,
    fingerprint,
    inputs,
    metadata: { ...metadata, ...result.metadata },
  };
  const run = await services.events.transact(unmanagedRefs(identity), (state) =>
    commitUnmanaged(state, { identity, token, now, order: plan.order, head, events: [event] }),
  );
  if (run === undefined) throw new ClaimLost(identity.id);
  return { kind: "ended", run };
}

function headOf(
  { identity }: Execution,
  fingerprint: string,
  inputs: readonly InputObject[],
  result: MaterializeResult,
): Omit<Head, "at"> {
  const dataVersion = result.dataVersion === undefined ? {} : { dataVersion: result.dataVersion };
  return { materializationId: `m-${identity.id}`, runId: identity.id, fingerprint, inputs, ...dataVersion };
}

function destinationOf(target: Target, asset: AssetDefinition, partition: Partition | undefined): Destination {
  const suffix = suffixOf(asset, partition);
  return target.slot === "table" || suffix === undefined ? target.table : { ...target.table, partition: suffix };
}

/** The staging carries the fingerprint: whoever works on other inputs works on another table. */
function stagingOf(target: Target, partition: string, fingerprint: string): TableRef {
  const dataset = target.stagingDataset ?? target.table.dataset;
  const what = partition === "" ? "" : `_${partition.replaceAll(/[^A-Za-z0-9]/g, "")}`;
  return { ...target.table, dataset, table: `${target.table.table}__staging${what}_${fingerprint.slice(0, 12)}` };
}

/** `passport_scores__20240501`, beside the staging. */
function rawOf(target: Target, asset: AssetDefinition, partition: Partition | undefined): TableRef {
  const suffix = suffixOf(asset, partition);
  const dataset = target.stagingDataset ?? target.table.dataset;
  return { ...target.table, dataset, table: `${target.table.table}__${suffix ?? "raw"}` };
}

function suffixOf(asset: AssetDefinition, partition: Partition | undefined): string | undefined {
  if (asset.partitions?.kind !== "time" || partition?.start === undefined) return undefined;
  return tableSuffix(asset.partitions.interval, partition.start);
}
