/** The run of data that is made elsewhere: what was reported, or is seen, becomes the head that dependents go by. */
import { z } from "zod";
import type { AssetDefinition } from "../core/asset.ts";
import { commitUnmanaged, unmanagedRefs } from "../core/commit.ts";
import { allChecks } from "../core/definitions.ts";
import type { Head } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import type { Metadata, SluiceEvent } from "../core/events.ts";
import { fingerprintOf } from "../core/inputs.ts";
import { parsePartition, partitionOrder } from "../core/partitions.ts";
import { originOf } from "../core/previous-keys.ts";
import { runIdOf } from "../core/request.ts";
import type { RunRequest } from "../core/request.ts";
import { eventOf, partitionRef } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import { reportSchema } from "../core/source.ts";
import type { Observation, ObserveContext } from "../core/source.ts";
import { formatTable } from "../core/table.ts";
import { audit } from "./audit.ts";
import { configOf } from "./config.ts";
import { execute } from "./execution.ts";
import type { Ending, Execution } from "./execution.ts";
import { ClaimLost, EndRun } from "./interruptions.ts";
import { clientsOf, tablesOf } from "./resources.ts";
import { logged } from "./run-log.ts";

/** What was seen, or reported. */
interface News {
  readonly dataVersion?: string | undefined;
  readonly metadata?: Metadata | undefined;
}

/** Commits what is new: an equal version ends the run as `unchanged`, unless it is forced. */
export async function runSource(execution: Execution, asset: AssetDefinition): Promise<Ending> {
  const { services, identity, request, token } = execution;
  const before = (await services.events.get("partition", partitionRef(identity.name, identity.partition).id))?.head;
  const news: News =
    asset.observe === undefined
      ? reportSchema.parse(configOf(asset, execution))
      : await observe(execution, asset, asset.observe, before?.dataVersion);
  const { dataVersion } = news;
  const forced = request.force === true;
  if (dataVersion !== undefined && dataVersion === before?.dataVersion && !forced)
    throw new EndRun("unchanged", `it is still version ${dataVersion}`);

  const fingerprint = fingerprintOf({
    inputs: [],
    definition: { dataVersion: dataVersion ?? null },
    nonce: dataVersion === undefined || forced ? identity.id : undefined,
  });
  const checked = await check(execution, asset, fingerprint);
  const now = services.clock.now();
  const head: Omit<Head, "at"> = {
    materializationId: `m-${identity.id}`,
    runId: identity.id,
    fingerprint,
    inputs: [],
    ...(dataVersion === undefined ? {} : { dataVersion }),
  };
  const event = eventFor(execution, asset, head, news, now);
  const order = partitionOrder(asset.partitions, identity.partition);
  const run = await services.events.transact(unmanagedRefs(identity), (state) =>
    commitUnmanaged(state, { identity, token, now, order, head, events: [...checked, event] }),
  );
  if (run === undefined) throw new ClaimLost(identity.id);
  return { kind: "ended", run };
}

function eventFor(
  { identity }: Execution,
  { observe: look, target }: AssetDefinition,
  { materializationId, fingerprint, dataVersion }: Omit<Head, "at">,
  { metadata }: News,
  now: number,
): SluiceEvent {
  const said = metadata === undefined ? {} : { metadata };
  if (look !== undefined && dataVersion !== undefined)
    return { ...eventOf(identity, "observed", now), type: "observed", materializationId, dataVersion, ...said };
  return {
    ...eventOf(identity, "materialized", now),
    type: "materialized",
    materializationId,
    ...(target === undefined ? {} : { table: formatTable(target.table) }),
    fingerprint,
    inputs: [],
    ...said,
    reported: true,
    ...(dataVersion === undefined ? {} : { dataVersion }),
  };
}

const observationSchema = z.strictObject({
  dataVersion: z.string().min(1).max(1_000),
  metadata: z.record(z.string(), z.json()).optional(),
});

async function observe(
  execution: Execution,
  asset: AssetDefinition,
  look: NonNullable<AssetDefinition["observe"]>,
  previous: string | undefined,
): Promise<Observation> {
  const { identity, request, signal } = execution;
  return await logged(execution, async (log) => {
    const { resources, needs } = asset;
    const clients = await clientsOf({
      execution,
      resources,
      needs,
      log,
      tableOf: tablesOf(execution, asset, undefined),
    });
    const context: ObserveContext<unknown> = {
      runId: identity.id,
      asset: asset.key,
      requestedAt: request.requestedAt,
      signal,
      log: log.log,
      config: configOf(asset, execution),
      previous,
    };
    // The definition's own types meet what its schema and resources have just produced.
    const call = look as (context: unknown, resources: unknown) => Promise<unknown>;
    const seen = await call(context, clients);
    signal.throwIfAborted();
    if (seen === undefined) throw new EndRun("nothing-observed", "there was nothing to see");
    const parsed = observationSchema.safeParse(seen);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = issue?.path.length === 0 ? "" : `${issue?.path.join(".") ?? ""}: `;
      throw new PermanentError(
        `observe of ${asset.key} returned what is no observation (${where}${issue?.message ?? ""}); return { dataVersion: "…" }, or undefined`,
        { code: "bad-observation" },
      );
    }
    const { dataVersion, metadata } = parsed.data;
    return {
      dataVersion: log.clean(dataVersion),
      ...(metadata === undefined ? {} : { metadata: log.cleanMetadata(metadata) }),
    };
  });
}

/** The checks look at the table as it is; none of them can hold anything back. */
async function check(
  execution: Execution,
  asset: AssetDefinition,
  fingerprint: string,
): Promise<readonly SluiceEvent[]> {
  const { services, identity } = execution;
  const checks = allChecks(services.definitions(), asset);
  const table = asset.target?.table;
  if (table === undefined || checks.length === 0) return [];
  const info = await services.warehouse.describe(table);
  if (info === undefined) {
    throw new PermanentError(
      `the table ${formatTable(table)} of ${asset.key} is not there, so its checks cannot look at it; report it again when it is`,
      { code: "no-table" },
    );
  }
  const partition = asset.partitions === undefined ? undefined : parsePartition(asset.partitions, identity.partition);
  const staged = { asset, table, info, partition, fingerprint, tableOf: tablesOf(execution, asset, table) };
  return await audit(execution, staged, checks);
}

/**
 * Looks at the sources among the asset's upstreams whose code is at hand, before their versions are read. A look that fails is
 * the source's own failure: the run goes on with what was seen last.
 */
export async function lookAtSources(execution: Execution, asset: AssetDefinition): Promise<void> {
  const { services, request } = execution;
  for (const key of asset.deps) {
    const source = services.definitions().assets.get(key);
    if (source?.observe === undefined) continue;
    // The news that started this run is a look at the source.
    if (request.cause.kind === "materialization" && request.cause.asset === key) continue;
    await lookAt(execution, asset, source);
  }
}

/** Somebody else who looks at the source is waited for, so long; then what was seen last counts. */
const LOOKS = 100;
const LOOK_MS = 100;

async function lookAt(
  { services, identity, run, request, signal }: Execution,
  asset: AssetDefinition,
  source: AssetDefinition,
): Promise<void> {
  const look: RunRequest = {
    partition: "",
    runKey: `look:${identity.id}:${run.attempt}`,
    cause: { kind: "dependent", asset: asset.key, run: identity.id },
    requestedAt: request.requestedAt,
  };
  const id = runIdOf("asset", originOf(source), "", look.runKey);
  const looking: RunIdentity = { id, kind: "asset", name: source.key, partition: "" };
  for (let round = 0; round < LOOKS; round++) {
    await execute(services, looking, look, source, (execution) => runSource(execution, source));
    signal.throwIfAborted();
    const looked = await services.events.get("run", id);
    if (looked !== undefined && looked.status !== "running") return;
    await services.clock.sleep(LOOK_MS, signal);
  }
}
