/**
 * The driver of backfills. It runs wherever messages of the asset are received, takes one step and returns: in the cloud no
 * process stays alive for it. It is woken by the ends of its runs, and by its deadline should their calls be lost. A document is
 * changed once in `backfillMs` at most, however many runs end meanwhile.
 */
import type { AssetDefinition } from "../core/asset.ts";
import { topicOf } from "../core/asset-key.ts";
import {
  advance,
  backfillOf,
  backfillRefs,
  backfillRequest,
  backfillRunKey,
  begin,
  cancel,
  countEnded,
  inOrder,
  MAX_CONCURRENT,
  resume,
  roomOf,
  usualConcurrency,
  usualOrder,
} from "../core/backfill.ts";
import type { BackfillOrder, EndedRun, Seen } from "../core/backfill.ts";
import { wakeMessage } from "../core/backfill-message.ts";
import type { BackfillMessage, BackfillStart } from "../core/backfill-message.ts";
import { LIMITS, planQuota } from "../core/backfill-quota.ts";
import type { BackfillDocument, RunDocument } from "../core/documents.ts";
import { DefinitionError, messageOf } from "../core/errors.ts";
import { checkBegun, partitionSpan } from "../core/partition-span.ts";
import type { PartitionSpan } from "../core/partition-span.ts";
import { parsePartition } from "../core/partitions.ts";
import { originOf, presentKey } from "../core/previous-keys.ts";
import { runIdOf } from "../core/request.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import { singleSpan } from "../core/single-run.ts";
import { countOthers, countWanted, lookAhead } from "./backfill-look.ts";
import type { Range } from "./backfill-look.ts";
import type { Services } from "./services.ts";

/** Does what the message says, and takes a step. `refuse` is called with the reason for what makes no sense. */
export async function receiveBackfill(
  services: Services,
  asset: AssetDefinition,
  message: BackfillMessage,
  refuse: (reason: string) => never,
): Promise<void> {
  const { events, clock } = services;
  const { id, action } = message;
  const known = await events.get("backfill", id);
  if (known !== undefined && presentKey(services.definitions().assets, known.asset) !== asset.key)
    refuse(`the backfill ${id} is not one of ${asset.key}, but of ${known.asset}`);
  if (action === "start") {
    if (known === undefined) await start(services, asset, message, refuse);
  } else if (known === undefined) {
    refuse(`there is no backfill ${id} of ${asset.key}`);
  } else if (action !== "wake") {
    const rule = action === "cancel" ? cancel : resume;
    await events.transact(backfillRefs(id), (state) => rule(state, clock.now()));
  }
  await step(services, asset, id);
}

async function start(
  services: Services,
  asset: AssetDefinition,
  order: BackfillStart,
  refuse: (reason: string) => never,
): Promise<void> {
  const { events, clock, settings } = services;
  const { action, singleRun, maxConcurrent = usualConcurrency(asset), ...rest } = order;
  const range = rangeOf(services, asset, order, refuse);
  const { span } = range;
  const count = await countWanted(range);
  const { wanted: requests } = count;
  const others = await countOthers(range, LIMITS.partitionsOfTable);
  const wanted = { from: span.from, to: span.to, requests, others, perDay: order.perDay };
  const { tooManyPartitions, tooManyPerDay } = planQuota(asset, wanted);
  const problem = tooManyPartitions ?? (settings.dailyQuotas ? tooManyPerDay : undefined);
  if (problem !== undefined) refuse(problem);
  const { from, to, total } = span;
  const single = singleOrder(asset, range, order, count, refuse);
  const inTurn = usualOrder(asset);
  const turn = inTurn === undefined ? {} : { order: inTurn };
  const begun = { ...rest, asset: asset.key, from, to, total, ...turn, maxConcurrent, ...single };
  await events.transact(backfillRefs(order.id), (state) => begin(state, begun, clock.now()));
}

/** What is different in an order for a single run; nothing is where nothing is wanted. */
function singleOrder(
  asset: AssetDefinition,
  { partitions }: Range,
  order: BackfillStart,
  found: Awaited<ReturnType<typeof countWanted>>,
  refuse: (reason: string) => never,
): Partial<BackfillOrder> {
  if (order.singleRun !== true) return {};
  const span = singleSpan(asset, partitions, order, found);
  if (span === undefined) return {};
  if (typeof span === "string") return refuse(span);
  const { from, to, total } = span;
  return { from, to, total, which: "all", maxConcurrent: MAX_CONCURRENT, singleRun: true };
}

function rangeOf(
  { events, clock }: Services,
  asset: AssetDefinition,
  { from, to, which }: Pick<BackfillDocument, "from" | "to" | "which">,
  refuse: (reason: string) => never,
): Range {
  const { key, partitions } = asset;
  if (asset.external === true) return refuse(`${key} is made elsewhere: there is nothing to run for its partitions`);
  if (partitions === undefined) return refuse(`${key} has no partitions: materialize it`);
  return {
    store: events,
    asset: key,
    partitions,
    which,
    span: spanOf(asset, partitions, from, to, clock.now(), refuse),
  };
}

function spanOf(
  { key }: AssetDefinition,
  partitions: Range["partitions"],
  from: string,
  to: string,
  now: number,
  refuse: (reason: string) => never,
): PartitionSpan {
  try {
    const span = partitionSpan(partitions, from, to);
    checkBegun(partitions, span, now);
    return span;
  } catch (error) {
    if (error instanceof DefinitionError) return refuse(`${key}: ${messageOf(error)}`);
    throw error;
  }
}

/** One look and one decision; then what was decided on is asked for. */
async function step(services: Services, asset: AssetDefinition, id: string): Promise<void> {
  const { events, bus, clock, settings } = services;
  const backfill = await events.get("backfill", id);
  if (backfill === undefined || backfill.endedAt !== undefined) return;
  const again = backfill.updatedAt + settings.backfillMs;
  if (backfill.revision > 1 && clock.now() < again)
    return await wakeAt(services, asset.key, id, again, backfill.revision);

  const range = rangeIfSame(services, asset, backfill);
  if (range === undefined) {
    const reason = `the partitions of ${asset.key} are not those that it began with: start a new one`;
    await events.transact(backfillRefs(id), (state) => cancel(state, clock.now(), reason));
  }
  const seen = await look(services, asset, backfill, range);
  const outcome = await events.transact(backfillRefs(id), (state) =>
    advance(state, seen, { now: clock.now(), againMs: settings.lookAgainMs }),
  );
  // Who changed it meanwhile has looked as well, or is about to.
  if (outcome.kind === "stale")
    return await wakeAt(services, asset.key, id, clock.now() + settings.backfillMs, seen.revision);
  for (const partition of outcome.ask) {
    await bus.publish(topicOf(asset.key), { data: backfillRequest(backfill, partition) });
  }
  if (outcome.more) {
    const { revision } = outcome.backfill;
    await wakeAt(services, asset.key, id, clock.now() + settings.backfillMs, revision);
  }
}

/** `undefined` when the asset's partitions have changed since, so that numbers mean other partitions. */
function rangeIfSame(services: Services, asset: AssetDefinition, backfill: BackfillDocument): Range | undefined {
  try {
    const range = rangeOf(services, asset, backfill, (reason) => {
      throw new DefinitionError(reason);
    });
    return range.span.total === backfill.total ? { ...range, span: inOrder(range.span, backfill) } : undefined;
  } catch (error) {
    if (error instanceof DefinitionError) return undefined;
    throw error;
  }
}

/** Nobody would take a request for a partition that the asset does not have any more. */
function whyUnknown({ partitions }: AssetDefinition, partition: string): string | undefined {
  try {
    parsePartition(partitions, partition);
    return undefined;
  } catch (error) {
    if (error instanceof DefinitionError) return messageOf(error);
    throw error;
  }
}

async function look(
  services: Services,
  asset: AssetDefinition,
  backfill: BackfillDocument,
  range: Range | undefined,
): Promise<Seen> {
  const { events, clock } = services;
  const { id, revision, next, underWay } = backfill;
  const ended = new Map<string, EndedRun>();
  const lost = new Set<string>();
  const origin = originOf(asset);
  const lookAt = async (partition: string): Promise<void> => {
    const run = await events.get("run", runIdOf("asset", origin, partition, backfillRunKey(id, partition)));
    if (run?.endedAt !== undefined) ended.set(partition, { runId: run.id, status: run.status, reason: run.reason });
    if (run !== undefined) return;
    const unknown = whyUnknown(asset, partition);
    if (unknown !== undefined) return void ended.set(partition, { runId: "", status: "failed", reason: unknown });
    const document = await events.get("partition", partitionRef(asset.key, partition).id);
    // A request may have been folded into another one, and is made again when that one is over.
    if (document?.holder === undefined && document?.pending === undefined) lost.add(partition);
  };
  await Promise.all(underWay.map(({ partition }) => lookAt(partition)));
  const room = roomOf(countEnded(backfill, ended), clock.now());
  if (range === undefined || room === 0) return { revision, ended, lost };
  return { revision, ended, lost, found: await lookAhead(range, next, room) };
}

/**
 * The end of a run calls the driver of its backfill; the ends of the same moment call it once. A call that is lost costs time
 * only: the backfill has a deadline.
 */
export async function wakeBackfill(services: Services, { name }: RunIdentity, run: RunDocument): Promise<void> {
  const id = backfillOf(run.request.runKey);
  if (id === undefined) return;
  const { clock, settings } = services;
  // Not the next moment: an end that just missed it would find its call made already.
  const moment = Math.floor(clock.now() / settings.backfillMs) + 2;
  await wakeAt(services, name, id, moment * settings.backfillMs, `at-${moment}`).catch(() => undefined);
}

function wakeAt({ bus }: Services, asset: string, id: string, at: number, name: string | number): Promise<void> {
  return bus.schedule(`backfill-${id}-${name}`, topicOf(asset), { data: wakeMessage(id) }, at);
}
