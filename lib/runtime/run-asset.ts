/** Steps 3 to 6 of an asset's run: look, stage, look again, audit, publish, commit. */
import type { AssetDefinition, MaterializeResult, Target } from "../core/asset.ts";
import { putAway } from "../core/ending.ts";
import { eventOf, partitionRef } from "../core/run-identity.ts";
import { commitUnmanaged, unmanagedRefs } from "../core/commit.ts";
import { allChecks } from "../core/definitions.ts";
import type { Head, InputObject, RunDocument } from "../core/documents.ts";
import { DefinitionError, PermanentError } from "../core/errors.ts";
import type { Metadata, SluiceEvent } from "../core/events.ts";
import { compareInputs, fingerprintOf } from "../core/inputs.ts";
import { parsePartition, partitionOrder } from "../core/partitions.ts";
import { destinationOf, rawOf, stagingOf } from "../core/placement.ts";
import type { Placed } from "../core/placement.ts";
import { retryDelay } from "../core/retry.ts";
import { slotRef, supersededBy } from "../core/slot.ts";
import type { Destination, TableRef } from "../core/table.ts";
import { formatTable } from "../core/table.ts";
import { alignSchema } from "./align-schema.ts";
import { audit } from "./audit.ts";
import type { Ending, Execution } from "./execution.ts";
import { finishCommit } from "./finish.ts";
import { ClaimLost, EndRun, Park } from "./interruptions.ts";
import { dropLeftovers } from "./leftovers.ts";
import { isRowsAsset, rowsDefinition, rowsVersion } from "./load-rows.ts";
import { lookAtInputs } from "./look.ts";
import { materialize } from "./materialize.ts";
import type { Materialized, Plan } from "./materialize.ts";
import { publish, settle } from "./publish.ts";
import { tablesOf } from "./resources.ts";
import type { StagingPlan } from "./resources.ts";
import { clearStaged } from "./staged-rows.ts";
import type { Receipt } from "./staged-rows.ts";
import { readUpstreams, versionsOf } from "./upstreams.ts";

export async function runAsset(execution: Execution, asset: AssetDefinition): Promise<Ending> {
  const { identity, services, partition } = execution;
  if (partition.finish !== undefined) {
    const { finish } = partition;
    await finishCommit(services, finish);
    await services.events.transact({ partition: partitionRef(identity.name, identity.partition) }, (state) =>
      putAway(state, { runId: finish.runId }),
    );
  }
  try {
    return await run(execution, asset);
  } catch (error) {
    if (isRowsAsset(asset) && isLast(execution, asset, error)) await clearStaged(execution);
    throw error;
  }
}

/** Whether no other attempt of the run will come after this error. */
function isLast({ run, signal }: Execution, asset: AssetDefinition, error: unknown): boolean {
  if (signal.aborted || error instanceof Park || error instanceof ClaimLost) return false;
  if (isOver(error) || error instanceof DefinitionError) return true;
  return retryDelay(asset.retry, run.failures + 1, 0) === undefined;
}

async function run(execution: Execution, asset: AssetDefinition): Promise<Ending> {
  const { identity, services } = execution;
  const upstreams = await upstreamVersions(execution, asset);
  const plan: Plan = {
    execution,
    upstreams,
    asset,
    partition: asset.partitions === undefined ? undefined : parsePartition(asset.partitions, identity.partition),
    order: partitionOrder(asset.partitions, identity.partition),
    config: configOf(asset, execution),
  };
  if (asset.target === undefined) return materializeUnmanaged(plan);
  const placed: Placed = { target: asset.target, partitions: asset.partitions };
  for (let round = 1; round <= services.settings.maxRestarts; round++) {
    const ending = await materializeOnce(plan, asset.target).catch(async (error: unknown) => {
      if (isLast(execution, asset, error))
        await dropLeftovers(execution, placed, destinationOf(placed, plan.partition));
      throw error;
    });
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

/** Nothing starts from an upstream whose last run failed a blocking check, unless it is forced. */
async function upstreamVersions(
  execution: Execution,
  asset: AssetDefinition,
): Promise<Readonly<Record<string, string>>> {
  const { services, identity, request } = execution;
  const reader = { events: services.events, assets: services.definitions().assets };
  const upstreams = await readUpstreams(reader, asset, identity.partition);
  const blocked = upstreams.find((upstream) => upstream.blocked !== undefined);
  if (blocked !== undefined && request.force !== true) {
    throw new EndRun("upstream-blocked", `${blocked.asset} is blocked: ${blocked.blocked ?? ""}`);
  }
  return versionsOf(upstreams);
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
  const placed: Placed = { target, partitions: asset.partitions };
  const destination = destinationOf(placed, plan.partition);

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
    upstreams: plan.upstreams,
    definition: {
      config: plan.config as Metadata,
      table: formatTable(destination),
      ...(isRowsAsset(asset) ? { rows: rowsDefinition(asset) } : {}),
    },
    codeVersion: asset.codeVersion,
    nonce: request.force === true || !hasInputs(asset) ? identity.id : undefined,
  });
  const before = await services.events.get("partition", partitionRef(identity.name, identity.partition).id);
  const shown = slot?.committed?.materializationId;
  if (
    before?.head !== undefined &&
    before.head.fingerprint === fingerprint &&
    shown === before.head.materializationId
  ) {
    throw new EndRun("unchanged", "the partition already holds these inputs");
  }

  const rows = isRowsAsset(asset) ? await rowsVersion(execution, fingerprint) : undefined;
  const staging = stagingOf(placed, identity.partition, rows?.version ?? fingerprint);
  await dropLeftovers(execution, placed, destination, [formatTable(staging)]);
  const drop = (): Promise<boolean> => services.warehouse.drop(staging);
  try {
    const run = await stageAndPublish(plan, {
      target,
      placed,
      destination,
      staging,
      inputs,
      fingerprint,
      receipt: rows?.receipt,
    });
    if (run !== undefined) return { kind: "ended", run };
  } catch (error) {
    // Another try may use the staging; what is over has no use for it.
    if (isLast(execution, asset, error)) await drop();
    throw error;
  }
  await drop();
  return "inputs-changed";
}

/** Whether the run ends with this, so that nothing will use its staging any more. */
function isOver(error: unknown): boolean {
  return error instanceof PermanentError || error instanceof EndRun;
}

interface Stage {
  readonly target: Target;
  readonly placed: Placed;
  readonly destination: Destination;
  readonly staging: TableRef;
  readonly inputs: readonly InputObject[];
  readonly fingerprint: string;
  readonly receipt: Receipt | undefined;
}

/** Fills the staging, audits it and publishes it. `undefined` when the inputs are not any more what they were. */
async function stageAndPublish(plan: Plan, stage: Stage): Promise<RunDocument | undefined> {
  const { execution, asset, partition } = plan;
  const { services, identity, request } = execution;
  const { target, placed, destination, staging: table, inputs, fingerprint, receipt } = stage;
  const { partitioning, clustering } = target;
  const intoPartition = destination.partition !== undefined && partitioning?.column === undefined;

  const staging: StagingPlan = {
    table,
    fingerprint,
    inputs,
    ...(partitioning === undefined ? {} : { partitioning }),
    ...(clustering === undefined ? {} : { clustering }),
    ...(intoPartition ? { partition: destination.partition } : {}),
  };
  let result: Materialized;
  try {
    result = await materialize(plan, { inputs, fingerprint, staging, receipt });
  } catch (error) {
    // A file that was replaced or removed while it was read is no fault of its successor.
    if (error instanceof PermanentError && (await inputsChanged(plan, inputs))) return undefined;
    throw error;
  }
  if (await inputsChanged(plan, inputs)) return undefined;
  // A load of the dead attempt may have landed meanwhile.
  await dropLeftovers(execution, placed, destination, [formatTable(table)]);

  const info = await services.warehouse.describe(table);
  if (info === undefined)
    throw new PermanentError(`${asset.key} has put nothing into ${formatTable(table)}`, { code: "no-data" });
  const checks = allChecks(services.definitions(), asset);
  const tableOf = tablesOf(execution, asset, table);
  const events = await audit(execution, { table, info, partition, fingerprint, tableOf }, checks);
  await alignSchema(execution, { staging: table, staged: info, target });

  const head = headOf(plan, fingerprint, inputs, result.result);
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
  const raw = rawOf(placed, partition);
  const wish = {
    order: plan.order,
    rollback: request.rollback === true,
    destination,
    staging: table,
    head,
    event,
    events,
  };
  return publish(execution, { ...wish, ...(raw === undefined ? {} : { raw }) }, partitioning);
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
    upstreams: plan.upstreams,
    definition: { config: plan.config as Metadata },
    codeVersion: asset.codeVersion,
    nonce: identity.id,
  });
  const { result, metadata } = await materialize(plan, { inputs, fingerprint });
  const head = headOf(plan, fingerprint, inputs, result);
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

/** Whether anything declared tells if there is something to do. Without it, every run does its work. */
function hasInputs(asset: AssetDefinition): boolean {
  return asset.source !== undefined || asset.deps.length > 0;
}

function headOf(
  { execution: { identity }, upstreams }: Plan,
  fingerprint: string,
  inputs: readonly InputObject[],
  result: MaterializeResult,
): Omit<Head, "at"> {
  const dataVersion = result.dataVersion === undefined ? {} : { dataVersion: result.dataVersion };
  const versions = Object.keys(upstreams).length === 0 ? {} : { upstreams };
  return {
    materializationId: `m-${identity.id}`,
    runId: identity.id,
    fingerprint,
    inputs,
    ...versions,
    ...dataVersion,
  };
}
