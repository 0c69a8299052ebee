/** What an asset's upstreams show at this moment, and what of that its partition was made from. */
import type { AssetDefinition } from "../core/asset.ts";
import type { AssetKey } from "../core/asset-key.ts";
import type { AutomationCondition } from "../core/automation.ts";
import { wholeVersion } from "../core/condition.ts";
import type { Facts, UpstreamFact } from "../core/condition.ts";
import { lastTick } from "../core/cron.ts";
import type { PartitionDocument } from "../core/documents.ts";
import { defaultMapping, upstreamOf } from "../core/partition-mapping.ts";
import { latestPartition } from "../core/partitions.ts";
import { namesOf, originOf } from "../core/previous-keys.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { EventStore } from "../ports/event-store.ts";

/** What of a definition decides. */
export type Follower = Pick<
  AssetDefinition,
  "key" | "previousKeys" | "foreign" | "deps" | "mappings" | "partitions" | "automation"
>;

/** What reading takes: a run, a decision and `sluice why` read alike. */
export interface UpstreamReader {
  readonly events: Pick<EventStore, "get" | "history">;
  readonly assets: { get(key: AssetKey): Follower | undefined };
}

/** One fact for each upstream partition that the partition is made from: reads in proportion to these, not to history. */
export async function readUpstreams(
  reader: UpstreamReader,
  asset: Follower,
  partition: string,
): Promise<readonly UpstreamFact[]> {
  if (asset.deps.length === 0) return [];
  const own = await reader.events.get("partition", partitionRef(asset.key, partition).id);
  return await upstreamFacts(reader, asset, partition, own);
}

async function upstreamFacts(
  reader: UpstreamReader,
  asset: Follower,
  partition: string,
  own: PartitionDocument | undefined,
): Promise<readonly UpstreamFact[]> {
  const facts: UpstreamFact[] = [];
  for (const key of asset.deps) {
    const upstream = reader.assets.get(key);
    // What is known here of one that is made elsewhere is not about what its table shows.
    if (upstream === undefined || upstream.foreign === true) continue;
    const mapping = asset.mappings[key] ?? defaultMapping(upstream.partitions, asset.partitions);
    const mapped = upstreamOf(mapping, upstream.partitions, asset.partitions, partition);
    if (mapped.kind === "keys") {
      for (const upstreamKey of mapped.keys) facts.push(await partitionFact(reader, upstream, upstreamKey, own));
    } else if (mapped.kind === "newest") {
      const newest = await reader.events.get("asset", key);
      facts.push(await partitionFact(reader, upstream, newest?.partition ?? "", own));
    } else facts.push(await wholeFact(reader, upstream, own));
  }
  return facts;
}

/** All that the asset's condition is decided from. */
export async function readFacts(
  reader: UpstreamReader,
  asset: Follower,
  partition: string,
  now: number,
): Promise<Facts> {
  const own = await reader.events.get("partition", partitionRef(asset.key, partition).id);
  const upstreams = await upstreamFacts(reader, asset, partition, own);
  const latest = latestPartition(asset.partitions, now)?.key;
  const tick = tickOf(asset.automation, now);
  return {
    asset: asset.key,
    partition,
    now,
    newest: asset.partitions?.kind === "static" || latest === partition,
    upstreams,
    ...(own?.head === undefined
      ? {}
      : { madeAt: own.head.at, madeBy: { run: own.head.runId, version: own.head.materializationId } }),
    ...(tick === undefined ? {} : { tick }),
  };
}

/** What a head keeps of its upstreams: their versions, recorded before their data is read. */
export function versionsOf(upstreams: readonly UpstreamFact[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    upstreams.flatMap(({ origin, partition, version }) =>
      version === undefined ? [] : [[`${origin}|${partition}`, version] as const],
    ),
  );
}

async function partitionFact(
  { events }: UpstreamReader,
  upstream: Follower,
  partition: string,
  own: PartitionDocument | undefined,
): Promise<UpstreamFact> {
  const origin = originOf(upstream);
  const document = await events.get("partition", partitionRef(upstream.key, partition).id);
  const consumed = own?.head?.upstreams?.[`${origin}|${partition}`];
  return {
    asset: upstream.key,
    origin,
    partition,
    ...(document?.head === undefined
      ? {}
      : { version: document.head.materializationId, at: document.head.at, run: document.head.runId }),
    ...blockOf(document),
    ...(consumed === undefined ? {} : { consumed }),
  };
}

/** Of the last so many materializations, those within so long of the last one may have become visible after it. */
const OVERLAPPING = { count: 10, ms: 600_000 };
/** `HistoryQuery.asset` */
const MOST_NAMES = 10;

/**
 * A whole upstream's version is its last materialization, or what was last observed of it, of whatever partition. Commits that
 * overlap may become visible in another order than that of their positions; so one that comes up late, before the last,
 * changes the version as well: those that were committed at about the same time belong to it.
 */
async function wholeFact(
  { events }: UpstreamReader,
  upstream: Follower,
  own: PartitionDocument | undefined,
): Promise<UpstreamFact> {
  const { key: asset } = upstream;
  const origin = originOf(upstream);
  const newest = await events.get("asset", asset);
  // Under a name that came later, too.
  const names = [...new Set([newest?.key ?? asset, ...namesOf(upstream)])];
  const types = ["materialized", "observed"] as const;
  const { items } = await events.history({
    asset: names.length === 1 ? asset : names.slice(0, MOST_NAMES),
    types,
    limit: OVERLAPPING.count,
  });
  const found = items.filter((event) => event.type === "materialized" || event.type === "observed");
  const [last] = found;
  const others = found.slice(1).filter(({ at }) => Math.abs(at - (last?.at ?? 0)) <= OVERLAPPING.ms);
  const shown =
    newest === undefined ? undefined : await events.get("partition", partitionRef(asset, newest.partition).id);
  const consumed = own?.head?.upstreams?.[`${origin}|*`];
  return {
    asset,
    origin,
    partition: "*",
    ...(last === undefined
      ? {}
      : {
          version: wholeVersion(
            last.materializationId,
            others.map(({ materializationId }) => materializationId),
          ),
          at: Math.max(last.at, ...others.map(({ at }) => at)),
          ...(last.run === undefined ? {} : { run: last.run }),
        }),
    ...blockOf(shown),
    ...(consumed === undefined ? {} : { consumed }),
  };
}

function blockOf(document: PartitionDocument | undefined): Pick<UpstreamFact, "blocked" | "blockedBy"> {
  const blocked = document?.blocked;
  return blocked === undefined ? {} : { blocked: blocked.reason, blockedBy: blocked.runId };
}

function tickOf(automation: AutomationCondition | undefined, now: number): number | undefined {
  return automation?.kind === "on-cron" ? lastTick(automation.cron, automation.timeZone, now) : undefined;
}
