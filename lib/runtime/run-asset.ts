/** Steps 3 to 6 of an asset's run: look, stage, look again, audit, publish, commit. */
import type { AssetDefinition, MaterializeContext, MaterializeResult, Target } from "../core/asset.ts";
import { eventOf, partitionRef, putAway } from "../core/claim.ts";
import { commitUnmanaged, unmanagedRefs } from "../core/commit.ts";
import { allChecks } from "../core/definitions.ts";
import type { Head, InputObject, RunDocument } from "../core/documents.ts";
import { DefinitionError, PermanentError, messageOf } from "../core/errors.ts";
import type { Metadata, SluiceEvent } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import { compareInputs, fingerprintOf } from "../core/inputs.ts";
import { parsePartition, partitionOrder } from "../core/partitions.ts";
import type { Partition } from "../core/partitions.ts";
import { destinationOf, rawOf, stagingOf } from "../core/placement.ts";
import type { Placed } from "../core/placement.ts";
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
    definition: { config: plan.config as Metadata, table: formatTable(destination) },
    codeVersion: asset.codeVersion,
    // Without declared inputs nothing tells whether there is anything to do, so every run does it.
    nonce: request.force === true || asset.source === undefined ? identity.id : undefined,
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

  const staging = stagingOf(placed, identity.partition, fingerprint);
  const drop = (): Promise<boolean> => services.warehouse.drop(staging);
  try {
    const run = await stageAndPublish(plan, { target, placed, destination, staging, inputs, fingerprint });
    if (run !== undefined) return { kind: "ended", run };
  } catch (error) {
    // Another try may use the staging; what is over has no use for it.
    if (error instanceof PermanentError || error instanceof EndRun) await drop();
    throw error;
  }
  await drop();
  return "inputs-changed";
}

interface Stage {
  readonly target: Target;
  readonly placed: Placed;
  readonly destination: Destination;
  readonly staging: TableRef;
  readonly inputs: readonly InputObject[];
  readonly fingerprint: string;
}

/** Fills the staging, audits it and publishes it. `undefined` when the inputs are not any more what they were. */
async function stageAndPublish(plan: Plan, stage: Stage): Promise<RunDocument | undefined> {
  const { execution, asset, partition } = plan;
  const { services, identity, request } = execution;
  const { target, placed, destination, staging: table, inputs, fingerprint } = stage;
  const { partitioning } = target;
  const intoPartition = destination.partition !== undefined && partitioning?.column === undefined;

  let result: Materialized;
  try {
    result = await materialize(plan, inputs, fingerprint, {
      table,
      fingerprint,
      inputs,
      ...(partitioning === undefined ? {} : { partitioning }),
      ...(intoPartition ? { partition: destination.partition } : {}),
    });
  } catch (error) {
    // A file that was replaced or removed while it was read is no fault of its successor.
    if (error instanceof PermanentError && (await inputsChanged(plan, inputs))) return undefined;
    throw error;
  }
  if (await inputsChanged(plan, inputs)) return undefined;

  const info = await services.warehouse.describe(table);
  if (info === undefined)
    throw new PermanentError(`${asset.key} has put nothing into ${formatTable(table)}`, { code: "no-data" });
  const checks = allChecks(services.definitions(), asset);
  const tableOf = tablesOf(execution, asset, table);
  const events = await audit(execution, { table, info, partition, fingerprint, tableOf }, checks);
  await alignSchema(execution, { staging: table, staged: info, target });

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
