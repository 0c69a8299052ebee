/** Steps 3 to 6 of an asset's run: look, stage, look again, audit, publish, commit. */
import type { AssetDefinition } from "../core/asset.ts";
import { putAway } from "../core/ending.ts";
import { eventOf, partitionRef } from "../core/run-identity.ts";
import { allChecks } from "../core/definitions.ts";
import type { Head, InputObject, Intent, RunDocument } from "../core/documents.ts";
import { PermanentError, RetryableError, messageOf } from "../core/errors.ts";
import type { SluiceEvent } from "../core/events.ts";
import { fingerprintOf } from "../core/inputs.ts";
import { parsePartition, partitionOrder } from "../core/partitions.ts";
import { destinationOf, rawOf, stagingOf } from "../core/placement.ts";
import type { Placed } from "../core/placement.ts";
import type { Statement } from "../core/publish-job.ts";
import { rolledBackTo, slotRef, supersededBy } from "../core/slot.ts";
import type { Destination, TableRef } from "../core/table.ts";
import { formatTable } from "../core/table.ts";
import { accumulates } from "../core/target.ts";
import type { Target } from "../core/target.ts";
import { alignSchema } from "./align-schema.ts";
import { audit } from "./audit.ts";
import { configOf } from "./config.ts";
import type { Ending, Execution } from "./execution.ts";
import { finishCommit } from "./finish.ts";
import { EndRun, Park } from "./interruptions.ts";
import { inTime, isLast } from "./last-attempt.ts";
import { keptVersion, restore } from "./kept-version.ts";
import type { KeptVersion } from "./kept-version.ts";
import { dropLeftovers } from "./leftovers.ts";
import { rowsVersion } from "./load-rows.ts";
import { lookAtInputs } from "./look.ts";
import { materialize, unchanged } from "./materialize.ts";
import type { Materialized, Plan } from "./materialize.ts";
import { clearAdopted, findAdopted } from "./multi-rows.ts";
import { publish, settle } from "./publish.ts";
import { hasInputs, headOf, inputsChanged } from "./run-basis.ts";
import { materializeUnmanaged } from "./run-unmanaged.ts";
import { lookAtSources, runSource } from "./run-source.ts";
import { tablesOf } from "./resources.ts";
import type { StagingPlan } from "./resources.ts";
import { checkStaged, statementOf } from "./statement.ts";
import { abandonVersions } from "./remove-versions.ts";
import { isRowsAsset } from "./stage-rows.ts";
import { clearStaged } from "./staged-rows.ts";
import type { Receipt } from "./staged-rows.ts";
import { singleRunOf } from "./single-run.ts";
import { upstreamVersions } from "./upstream-versions.ts";
import { definitionHash, definitionOf, shownVersion } from "./versions.ts";

export async function runAsset(execution: Execution, asset: AssetDefinition): Promise<Ending> {
  const { identity, services, partition } = execution;
  if (asset.external === true) return await runSource(execution, asset);
  if (partition.finish?.staging !== undefined) {
    const { finish } = partition;
    await finishCommit(services, finish);
    await services.events.transact({ partition: partitionRef(identity.name, identity.partition) }, (state) =>
      putAway(state, { runId: finish.runId, keep: finish.remove }),
    );
  }
  try {
    return await run(execution, asset);
  } catch (error) {
    const last = isLast(execution, asset, error);
    if (last) await leave(inTime(execution), asset, error);
    await abandonVersions(execution, asset).catch((failure: unknown) => {
      // The next attempt finds them; where there would be none, there is one more, as often as others are.
      if (last && !isLast(execution, asset, failure)) throw failure;
    });
    throw error;
  }
}

/**
 * Puts away what is staged, before the run ends with the error. Throws `Park` instead while its own publish may still happen.
 * `drop`: of staging tables; an attempt that fails has put its own away.
 */
export async function leave(
  execution: Execution,
  asset: AssetDefinition,
  error: unknown,
  drop = dropLeftovers,
): Promise<void> {
  const { services, identity } = execution;
  const { target, partitions } = asset;
  if ((await openIntent(execution, asset)) !== undefined)
    throw new Park("publish-unsettled", messageOf(error), services.clock.now() + services.settings.lookAgainMs);
  if (target !== undefined) {
    const partition = partitions === undefined ? undefined : parsePartition(partitions, identity.partition);
    await drop(execution, { target, partitions }, destinationOf({ target, partitions }, partition));
  }
  if (!isRowsAsset(asset)) return;
  await clearStaged(execution);
  await clearAdopted(execution, asset);
}

/** The publish that an earlier attempt of the run has left under way: settled before anything else is looked at. */
export async function openIntent(
  { services, identity, run }: Execution,
  asset: AssetDefinition,
): Promise<Intent | undefined> {
  const { target, partitions } = asset;
  if (target === undefined) return undefined;
  const partition = partitions === undefined ? undefined : parsePartition(partitions, identity.partition);
  const slot = await services.events.get("slot", slotRef(destinationOf({ target, partitions }, partition)).id);
  return slot?.intent?.runId === run.id ? slot.intent : undefined;
}

async function run(execution: Execution, asset: AssetDefinition): Promise<Ending> {
  const { identity, services } = execution;
  const own = execution.run.attempt === 1 ? undefined : await openIntent(execution, asset);
  const settled = own === undefined ? undefined : await settle(execution, own);
  if (settled?.id === identity.id) return { kind: "ended", run: settled };
  const single = await singleRunOf(execution, asset);
  // What is made already has been looked at.
  if (single?.kind !== "made") await lookAtSources(execution, asset);
  const upstreams = single?.kind === "made" ? single.upstreams : await upstreamVersions(execution, asset);
  const plan: Plan = {
    execution,
    upstreams,
    asset,
    single,
    partition: asset.partitions === undefined ? undefined : parsePartition(asset.partitions, identity.partition),
    order: partitionOrder(asset.partitions, identity.partition),
    config: configOf(asset, execution),
  };
  if (asset.target === undefined) return await materializeUnmanaged(plan);
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

async function materializeOnce(given: Plan, target: Target): Promise<Ending | "inputs-changed"> {
  const { execution, asset } = given;
  const { services, identity, request } = execution;
  const placed: Placed = { target, partitions: asset.partitions };
  const destination = destinationOf(placed, given.partition);

  const slot = await services.events.get("slot", slotRef(destination).id);
  if (slot?.intent !== undefined) {
    const settled = await settle(execution, slot.intent);
    if (settled?.id === identity.id) return { kind: "ended", run: settled };
    return await materializeOnce(given, target);
  }
  const adopted = await findAdopted(given);
  const plan = adopted === undefined ? given : { ...given, adopted, upstreams: adopted.upstreams };
  // Read anew, and after the slot: the head may have been rolled forward since the claim.
  const before = await services.events.get("partition", partitionRef(identity.name, identity.partition).id);
  const newer = accumulates(target) ? undefined : supersededBy(slot, plan.order);
  const back = newer !== undefined && request.rollback === true;
  const kept = back ? await keptVersion(execution, before?.head) : undefined;
  if (kept !== undefined) return await materializeKept(plan, { target, placed, destination, kept });
  const inputs = asset.source === undefined ? [] : await lookAtInputs(execution, asset.source, before?.head);
  if (newer !== undefined && !back) throw new EndRun("superseded", `the table already shows ${newer}`, inputs);

  const statement = statementOf(plan);
  const definition = definitionOf(plan, statement);
  const fingerprint = fingerprintOf({
    inputs,
    upstreams: plan.upstreams,
    definition,
    codeVersion: asset.codeVersion,
    nonce: request.force === true || !hasInputs(asset) ? identity.id : undefined,
  });
  const shown = slot?.committed?.materializationId;
  if (
    before?.head !== undefined &&
    before.head.fingerprint === fingerprint &&
    // Where the slot accumulates, another partition's commit leaves the rows of this one there.
    (accumulates(target) || shown === before.head.materializationId)
  ) {
    throw new EndRun("unchanged", "the partition already holds these inputs");
  }
  const older = accumulates(target) ? undefined : rolledBackTo(slot, plan.order, request.cause);
  if (before?.head?.fingerprint === fingerprint && older !== undefined)
    throw new EndRun("rolled-back", `the table was rolled back to ${older}, and these inputs were shown before`);

  const said = adopted?.dataVersion;
  if (said !== undefined && request.force !== true) {
    const shows = await shownVersion(services, plan, definitionHash(asset, definition));
    if (shows === said) throw unchanged(said);
  }
  const rows = isRowsAsset(asset) ? await rowsVersion(execution, fingerprint, adopted) : undefined;
  const staging = stagingOf(placed, identity.partition, rows?.version ?? fingerprint);
  await dropLeftovers(execution, placed, destination, [formatTable(staging)]);
  const drop = (): Promise<boolean> => services.warehouse.drop(staging);
  try {
    const run = await stageAndPublish(plan, {
      target,
      placed,
      destination,
      staging,
      before: before?.head,
      inputs,
      fingerprint,
      definition: definitionHash(asset, definition),
      statement,
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

interface Stage {
  readonly target: Target;
  readonly placed: Placed;
  readonly destination: Destination;
  readonly staging: TableRef;
  /** What the partition holds until the commit. */
  readonly before: Head | undefined;
  readonly inputs: readonly InputObject[];
  readonly fingerprint: string;
  readonly definition: string;
  readonly statement: Statement | undefined;
  readonly receipt: Receipt | undefined;
  /** Restored instead of made from the inputs. */
  readonly kept?: KeptVersion;
}

/** The interval as it was: none of its inputs is needed any more. */
async function materializeKept(
  plan: Plan,
  { kept, ...where }: Pick<Stage, "target" | "placed" | "destination"> & { readonly kept: KeptVersion },
): Promise<Ending> {
  const { execution, asset } = plan;
  const { inputs, fingerprint, definition = "", upstreams = {} } = kept.head;
  const staging = stagingOf(where.placed, execution.identity.partition, fingerprint);
  await dropLeftovers(execution, where.placed, where.destination, [formatTable(staging)]);
  const about = { inputs, fingerprint, definition, before: kept.head, statement: undefined, receipt: undefined };
  try {
    const run = await stageAndPublish({ ...plan, upstreams }, { ...where, ...about, staging, kept });
    if (run !== undefined) return { kind: "ended", run };
    throw new RetryableError(`the restored rows of ${asset.key} are gone`);
  } catch (error) {
    if (isLast(execution, asset, error)) await execution.services.warehouse.drop(staging);
    throw error;
  }
}

/** Fills the staging, audits it and publishes it. `undefined` when the inputs are not any more what they were. */
async function stageAndPublish(plan: Plan, stage: Stage): Promise<RunDocument | undefined> {
  const { execution, asset, partition } = plan;
  const { services, identity, request } = execution;
  const { target, placed, destination, staging: table, inputs, fingerprint, definition, statement, receipt } = stage;
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
  // What is restored needs none of its inputs.
  const changed = async (): Promise<boolean> =>
    stage.kept === undefined && (await inputsChanged(plan, inputs, stage.before));
  let result: Materialized;
  try {
    result =
      stage.kept === undefined
        ? await materialize(plan, { inputs, fingerprint, definition, before: stage.before, staging, receipt })
        : await restore(execution, stage.kept, staging);
  } catch (error) {
    // A file that was replaced or removed while it was read is no fault of its successor.
    if (error instanceof PermanentError && (await changed())) return undefined;
    throw error;
  }
  // Both look at what the end of the load has left.
  const [differ, info] = await Promise.all([changed(), services.warehouse.describe(table)]);
  if (differ) return undefined;
  // A load of the dead attempt may have landed meanwhile.
  await dropLeftovers(execution, placed, destination, [formatTable(table)]);

  // Where Sluice fills the staging, only a dead attempt's last request can have taken it away: the next try fills it again.
  const gone = new RetryableError(`the staged rows of ${asset.key} are gone: an earlier attempt has put them away`);
  if (info === undefined && (asset.source !== undefined || asset.sql !== undefined || isRowsAsset(asset))) throw gone;
  if (info === undefined)
    throw new PermanentError(
      `${asset.key} has put nothing into its table: write to \${target} in materialize, or say target: "none" if it keeps no table`,
      { code: "no-data" },
    );
  checkStaged(asset, info);
  const checks = allChecks(services.definitions(), asset);
  const tableOf = tablesOf(execution, asset, table);
  const events = await audit(execution, { asset, table, info, partition, fingerprint, tableOf }, checks).catch(
    async (error: unknown) => {
      const missed = error instanceof PermanentError && error.code === "notFound";
      throw missed && (await services.warehouse.describe(table)) === undefined ? gone : error;
    },
  );
  const what = asset.source === undefined ? "data" : "file";
  await alignSchema(execution, { staging: table, staged: info, target, what });

  const head = headOf(plan, { inputs, fingerprint, definition }, result.result);
  const event: SluiceEvent = {
    ...eventOf(identity, "materialized", services.clock.now()),
    type: "materialized",
    materializationId: head.materializationId,
    table: formatTable(destination),
    ...(info.view === true ? {} : { rows: info.rows }),
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
  const { staged } = result;
  const parts = { ...(raw === undefined ? {} : { raw }), ...(staged === undefined ? {} : { staged }) };
  return await publish(execution, { ...wish, ...parts }, { target, statement });
}
