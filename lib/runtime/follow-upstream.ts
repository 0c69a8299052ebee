/** An upstream has materialized: the asset decides, from what all its upstreams show now, which of its partitions to make. */
import type { AssetDefinition } from "../core/asset.ts";
import { topicOf } from "../core/asset-key.ts";
import { followsUpstreams } from "../core/automation.ts";
import { automaticRunKey, explain } from "../core/condition.ts";
import { defaultMapping, downstreamOf } from "../core/partition-mapping.ts";
import { materializationSchema } from "../core/request.ts";
import type { Delivery } from "./envelope.ts";
import type { Services } from "./services.ts";
import { readFacts } from "./upstreams.ts";

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
  const { automation } = asset;
  if (!followsUpstreams(automation)) return;
  const parsed = materializationSchema.safeParse(delivery.data);
  if (!parsed.success || !asset.deps.includes(parsed.data.asset)) {
    refuse(`the message is no materialization of an upstream of ${asset.key}`);
  }
  const news = parsed.data;
  const { assets } = services.definitions();
  const upstream = assets.get(news.asset);
  if (upstream === undefined) refuse(`the asset ${news.asset} is not defined any more`);
  const reader = { events: services.events, assets };
  const mapping = asset.mappings[upstream.key] ?? defaultMapping(upstream.partitions, asset.partitions);
  const now = services.clock.now();
  for (const partition of downstreamOf(mapping, upstream.partitions, asset.partitions, news.partition, now)) {
    const facts = await readFacts(reader, asset, partition, now);
    if (!explain(automation, facts).value) continue;
    await services.bus.publish(topicOf(asset.key), {
      data: {
        ...(asset.partitions === undefined ? {} : { partition }),
        runKey: automaticRunKey(automation, facts),
        cause: { kind: "materialization", asset: news.asset, id: news.materializationId },
      },
    });
  }
}
