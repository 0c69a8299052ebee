/**
 * The run of a multi-asset's job: one call of the code for all outputs that are wanted. Their rows are staged, and the run's
 * end asks for each output's own run, which publishes them as if it had made them.
 */
import { topicOf } from "../core/asset-key.ts";
import type { AssetDefinition } from "../core/asset.ts";
import { PermanentError, messageOf } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { fingerprintOf } from "../core/inputs.ts";
import type { JobDefinition } from "../core/job.ts";
import { contextFor, multiRunKey, outputRowOf } from "../core/multi-asset.ts";
import type { MultiDefinition, MultiWish } from "../core/multi-asset.ts";
import { latestPartition, parsePartition } from "../core/partitions.ts";
import type { Partition } from "../core/partitions.ts";
import type { OutboxMessage } from "../core/request.ts";
import { partitionRef } from "../core/run-identity.ts";
import { configOf, configRefusal } from "./config.ts";
import type { Ending, Execution } from "./execution.ts";
import { EndRun } from "./interruptions.ts";
import { callCode } from "./materialize.ts";
import type { Plan, Told } from "./materialize.ts";
import { multiFolder, readMultiReceipt, standingOf } from "./multi-rows.ts";
import type { MultiReceipt } from "./multi-rows.ts";
import { inTime, isLast } from "./last-attempt.ts";
import { upstreamVersions } from "./upstream-versions.ts";
import { logged } from "./run-log.ts";
import { lookAtSources } from "./run-source.ts";
import { isRowsAsset, stageRows } from "./stage-rows.ts";
import type { RowsAsset } from "./stage-rows.ts";
import { clearBelow, RECEIPT, writeStaged } from "./staged-rows.ts";
import { definitionHash, definitionOf, shownHead, shownVersion } from "./versions.ts";

/** Below the job's folder: an output's files, or the progress of the work that a fingerprint stands for. */
const FILES = /^[A-Za-z0-9_-]+\/(?:part-\d+-\d{5}\.parquet|receipt\.json|progress\.json)$/;

export async function runMulti(execution: Execution, job: JobDefinition, multi: MultiDefinition): Promise<Ending> {
  const folder = multiFolder(job.name, execution.identity.id);
  try {
    return await run(execution, { job, multi, folder });
  } catch (error) {
    if (isLast(execution, job, error)) await clearBelow(inTime(execution), `${folder}/`, FILES);
    throw error;
  }
}

/** Puts away what the run has staged. */
export async function clearMulti(execution: Execution, job: JobDefinition): Promise<void> {
  await clearBelow(execution, `${multiFolder(job.name, execution.identity.id)}/`, FILES);
}

interface Multi {
  readonly job: JobDefinition;
  readonly multi: MultiDefinition;
  readonly folder: string;
}

interface Output {
  readonly name: string;
  readonly asset: RowsAsset;
}

async function run(claimed: Execution, { job, multi, folder }: Multi): Promise<Ending> {
  const wish = job.config?.parse(claimed.request.config ?? {}) as MultiWish; // the schema is of the multi-asset's own making
  const { assets } = claimed.services.definitions();
  const outputs = outputsOf(multi, wish).filter(({ asset }) => assets.has(asset.key));
  const [first] = outputs;
  if (first === undefined) throw new PermanentError(`${job.name} has no outputs`, { code: "bad-config" });
  const partition = partitionOf(first.asset, wish, claimed.request.requestedAt);
  const execution = asOutput(claimed, wish, partition);
  await lookAtSources(execution, first.asset);
  const heads = await headsOf(execution, outputs);
  const upstreams = await upstreamVersions(execution, first.asset);
  const config = configOf(first.asset, execution);
  const made = outputs.map((output) => ({ ...output, partition, config }));
  const wanted = await changedOf(execution, made, upstreams);
  if (wanted.length === 0) throw new EndRun("unchanged", "every output already holds these inputs");

  const fingerprint = fingerprintOf({
    inputs: [],
    upstreams,
    definition: wanted.map((output) => [output.name, definitionHash(output.asset, definitionOf(output))]),
    nonce: claimed.identity.id,
  });
  const plan: Plan = { execution, asset: codeOf(multi, first, wanted), partition, order: "", config, upstreams };
  const work = { claimed, folder, fingerprint, plan, wanted, heads };
  const receipts = (await findReceipts(work)) ?? (await makeRows(work));
  const kept = receipts.flatMap(({ parts }) => parts.map(({ name }) => name));
  const names = wanted.map(({ name }) => `${folder}/${name}/${RECEIPT}`);
  await clearBelow(claimed, `${folder}/`, FILES, [...kept, ...names]);
  return {
    kind: "end",
    status: "succeeded",
    metadata: Object.fromEntries(receipts.map(({ rows }, index) => [wanted[index]?.name ?? "", { rows }])),
    // The other ones end by themselves, as unchanged.
    outbox: outputs.map(({ asset }) => requestOf(job, claimed, wish, asset, partition)),
  };
}

function outputsOf({ outputs }: MultiDefinition, { select }: MultiWish): readonly Output[] {
  return Object.entries(outputs).flatMap(([name, asset]) =>
    isRowsAsset(asset) && select?.includes(name) !== false ? [{ name, asset }] : [],
  );
}

function partitionOf(
  { key, partitions }: AssetDefinition,
  wish: MultiWish,
  requestedAt: number,
): Partition | undefined {
  const text = wish.partition ?? latestPartition(partitions, requestedAt)?.key;
  if (text === undefined)
    throw new PermanentError(`${key} has no latest partition: name one in the config`, { code: "bad-config" });
  const partition = parsePartition(partitions, text);
  return partitions === undefined ? undefined : partition;
}

/** The job's execution, as the outputs' own would be: of that partition, with that config. */
function asOutput(claimed: Execution, { force, config }: MultiWish, partition: Partition | undefined): Execution {
  const { config: _, ...request } = claimed.request;
  return {
    ...claimed,
    identity: { ...claimed.identity, partition: partition?.key ?? "" },
    request: { ...request, ...(config === undefined ? {} : { config }), ...(force === undefined ? {} : { force }) },
  };
}

async function headsOf(
  { services, identity }: Execution,
  outputs: readonly Output[],
): Promise<ReadonlyMap<string, string>> {
  const heads = new Map<string, string>();
  for (const { asset } of outputs) {
    const document = await services.events.get("partition", partitionRef(asset.key, identity.partition).id);
    const standing = standingOf(document);
    if (standing !== undefined) heads.set(asset.key, standing);
  }
  return heads;
}

type Wanted = Output & { readonly partition: Partition | undefined; readonly config: unknown };

/** Without the outputs whose partition was made from these very inputs. */
async function changedOf(
  { services, request }: Execution,
  outputs: readonly Wanted[],
  upstreams: Readonly<Record<string, string>>,
): Promise<readonly Wanted[]> {
  const changed: Wanted[] = [];
  for (const output of outputs) {
    const { asset } = output;
    const { codeVersion, deps } = asset;
    const fingerprint = fingerprintOf({ inputs: [], upstreams, definition: definitionOf(output), codeVersion });
    const held =
      request.force !== true && deps.length > 0 && (await shownHead(services, output))?.fingerprint === fingerprint;
    if (!held) changed.push(output);
  }
  return changed;
}

/** The shared code, as that of an asset. */
function codeOf(
  { outputs, materialize }: MultiDefinition,
  { asset }: Output,
  wanted: readonly Output[],
): AssetDefinition {
  const names = Object.keys(outputs);
  const selected = new Set(wanted.map(({ name }) => name));
  return {
    // All outputs have the same inputs, resources and upstreams.
    ...asset,
    materialize: (context, resources) =>
      // What the multi-asset's type lets its code return are rows.
      materialize(contextFor(context, names, selected), resources) as ReturnType<AssetDefinition["materialize"]>,
  };
}

interface Work {
  readonly claimed: Execution;
  readonly folder: string;
  readonly fingerprint: string;
  readonly plan: Plan;
  readonly wanted: readonly Wanted[];
  /** How the outputs' partitions stood before anything was read, by key. */
  readonly heads: ReadonlyMap<string, string>;
}

/** What an earlier attempt of this run has finished. */
async function findReceipts({
  claimed,
  folder,
  fingerprint,
  wanted,
}: Work): Promise<readonly MultiReceipt[] | undefined> {
  if (claimed.run.attempt === 1) return undefined;
  const found: MultiReceipt[] = [];
  for (const { name } of wanted) {
    const receipt = await readMultiReceipt(claimed, folder, name);
    if (receipt?.fingerprint !== fingerprint) return undefined;
    found.push(receipt);
  }
  return found;
}

async function makeRows({ folder, fingerprint, plan, wanted, heads }: Work): Promise<readonly MultiReceipt[]> {
  const { execution, partition, upstreams } = plan;
  const { services, identity, token } = execution;
  return await logged(execution, async (log) => {
    const told: Told = { metadata: {} };
    const definitions = wanted.map((output) => definitionHash(output.asset, definitionOf(output)));
    const shown = await Promise.all(
      wanted.map((output, index) => shownVersion(services, output, definitions[index] ?? "")),
    );
    const isShown = (version: string): boolean => shown.every((held) => held === version);
    const staged = await stageRows({
      execution,
      folder: `${folder}/${fingerprint}`,
      outputs: wanted.map(({ name, asset }) => ({ asset, folder: `${folder}/${name}` })),
      route: (accepts) => {
        const byName = new Map(wanted.map(({ name }, index) => [name, accepts[index]]));
        return (value) => {
          const { output, row } = outputRowOf(value);
          return byName.get(output)?.(row);
        };
      },
      produce: (checkpoint) => callCode(plan, { inputs: [], fingerprint }, { log, told, checkpoint, isShown }),
      metadata: () => log.cleanMetadata(told.metadata),
      recall: (said: Metadata) => Object.assign(told.metadata, said),
      clean: log.clean,
    });
    const version = told.dataVersion === undefined ? {} : { dataVersion: told.dataVersion };
    const receipts: MultiReceipt[] = [];
    for (const [index, { parts, rows, metadata }] of staged.entries()) {
      const head = heads.get(wanted[index]?.asset.key ?? "");
      const receipt: MultiReceipt = {
        v: 1,
        run: identity.id,
        token,
        parts: [...parts],
        rows,
        metadata,
        ...version,
        partition: partition?.key ?? "",
        fingerprint,
        upstreams: { ...upstreams },
        ...(head === undefined ? {} : { head }),
        definition: definitions[index] ?? "",
      };
      await writeStaged(execution, `${folder}/${wanted[index]?.name ?? ""}/${RECEIPT}`, receipt);
      execution.progressed?.();
      receipts.push(receipt);
    }
    return receipts;
  });
}

function requestOf(
  { name }: JobDefinition,
  { identity, request }: Execution,
  { force, config }: MultiWish,
  asset: AssetDefinition,
  partition: Partition | undefined,
): OutboxMessage {
  const { tags } = request;
  return {
    topic: topicOf(asset.key),
    data: {
      ...(partition === undefined ? {} : { partition: partition.key }),
      runKey: multiRunKey(identity.id),
      cause: { kind: "job", job: name, run: identity.id },
      multi: identity.id,
      ...(force === undefined ? {} : { force }),
      ...(config === undefined ? {} : { config }),
      ...(tags === undefined ? {} : { tags }),
    },
  };
}

/** Why a request of the job makes no sense, if it does not. */
export function refusalOf({ multi }: JobDefinition, config: unknown): string | undefined {
  const { partition, config: wanted } = (config ?? {}) as MultiWish; // parsed by the job's schema
  const [asset] = Object.values(multi?.outputs ?? {});
  if (asset === undefined) return undefined;
  const refusal = configRefusal(asset, wanted === undefined ? {} : { config: wanted }, asset.key);
  if (refusal !== undefined || partition === undefined) return refusal;
  try {
    parsePartition(asset.partitions, partition);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
