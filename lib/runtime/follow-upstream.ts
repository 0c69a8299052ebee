/**
 * An upstream has materialized: the asset decides, from what all its upstreams show now, which of its partitions to make. The
 * outputs of a multi-asset are decided for together.
 */
import type { AssetDefinition } from "../core/asset.ts";
import { followsUpstreams } from "../core/automation.ts";
import { automaticRunKey, explain } from "../core/condition.ts";
import { followersWith, requestsFor } from "../core/multi-requests.ts";
import type { Asked, Due } from "../core/multi-requests.ts";
import { defaultMapping, downstreamOf } from "../core/partition-mapping.ts";
import type { Definitions } from "../core/definitions.ts";
import { materializationSchema } from "../core/request.ts";
import type { Cause } from "../core/request.ts";
import type { Delivery } from "./envelope.ts";
import { followRenames } from "./follow-renames.ts";
import { readOnce } from "./read-once.ts";
import type { Services } from "./services.ts";
import { readFacts } from "./upstreams.ts";
import type { UpstreamReader } from "./upstreams.ts";

/**
 * Requests are published before the news is acknowledged; a repetition finds the same versions and therefore the same run
 * key. `refuse` is called for a message that is no materialization of an upstream.
 */
export async function followUpstream(
  services: Services,
  asset: AssetDefinition,
  delivery: Delivery,
  refuse: (reason: string) => never,
): Promise<void> {
  if (!followsUpstreams(asset.automation)) return;
  const parsed = materializationSchema.safeParse(delivery.data);
  if (!parsed.success || !asset.deps.includes(parsed.data.asset)) {
    refuse(`the message is no materialization of an upstream of ${asset.key}`);
  }
  const news = parsed.data;
  const definitions = services.definitions();
  const { assets } = definitions;
  const upstream = assets.get(news.asset);
  if (upstream === undefined) refuse(`the asset ${news.asset} is not defined any more`);
  // Partitions that overlap ask for the same heads.
  const reader = { events: followRenames(readOnce(services.events)), assets };
  const mapping = asset.mappings[upstream.key] ?? defaultMapping(upstream.partitions, asset.partitions);
  const now = services.clock.now();
  const cause = { kind: "materialization" as const, asset: news.asset, id: news.materializationId };
  for (const partition of downstreamOf(mapping, upstream.partitions, asset.partitions, news.partition, now)) {
    for (const { topic, data } of await decideFor({
      definitions,
      reader,
      asset,
      partition,
      cause,
      now,
    }))
      await services.bus.publish(topic, { data });
  }
}

export interface Question {
  readonly definitions: Definitions;
  readonly reader: UpstreamReader;
  /** For a multi-asset, any of its outputs. */
  readonly asset: AssetDefinition;
  readonly partition: string;
  readonly cause: Cause;
  readonly now: number;
}

/** What is to be asked for, by what the upstreams of this one partition show now. */
export async function decideFor(question: Question): Promise<readonly Asked[]> {
  const { definitions, reader, asset, partition, cause, now } = question;
  const due: Due[] = [];
  for (const follower of followersWith(definitions, asset)) {
    const { automation } = follower;
    if (!followsUpstreams(automation)) continue;
    const facts = await readFacts(reader, follower, partition, now);
    if (explain(automation, facts).value) due.push({ asset: follower, runKey: automaticRunKey(automation, facts) });
  }
  return requestsFor(definitions, due, {
    cause,
    ...(asset.partitions === undefined ? {} : { partition }),
  });
}
