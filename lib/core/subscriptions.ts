/** Who receives what: the local bus and the deployment make their subscriptions from this list. */
import type { AssetKey } from "./asset-key.ts";
import { bucketTopicOf, jobTopicOf, materializedTopicOf, sensorTopicOf, topicOf } from "./asset-key.ts";
import { followsUpstreams } from "./automation.ts";
import type { Definitions } from "./definitions.ts";
import { followersWith } from "./multi-requests.ts";
import { adoptableNames } from "./previous-keys.ts";

/** One consumer of one topic. */
export interface SubscriptionPlan {
  readonly name: string;
  readonly topic: string;
  readonly consumer: Consumer;
}

export type Consumer =
  | { readonly kind: "asset"; readonly key: AssetKey }
  | { readonly kind: "job"; readonly name: string }
  | { readonly kind: "sensor"; readonly name: string }
  | { readonly kind: "bucket"; readonly bucket: string }
  /** An asset that decides, whenever an upstream materializes, whether to run. */
  | { readonly kind: "automation"; readonly key: AssetKey }
  /** Records what was delivered in vain. */
  | {
      readonly kind: "dead-letter";
      /** What the names of subscriptions begin with where they are deployed. Default none. */
      readonly prefix?: string;
    };

/** The topic, and the subscription, of messages that were delivered in vain. */
export const DEAD_LETTERS = "dead-letters";

export const deadLetterPlan: SubscriptionPlan = Object.freeze({
  name: DEAD_LETTERS,
  topic: DEAD_LETTERS,
  consumer: Object.freeze({ kind: "dead-letter" as const }),
});

export function subscriptionsOf(definitions: Definitions): readonly SubscriptionPlan[] {
  const plans: SubscriptionPlan[] = [];
  for (const asset of definitions.assets.values()) {
    const { key, deps, automation } = asset;
    if (asset.foreign === true) continue;
    const own = topicOf(key);
    plans.push({ name: own, topic: own, consumer: { kind: "asset", key } });
    // One of the outputs of a multi-asset decides for all.
    if (!followsUpstreams(automation) || followersWith(definitions, asset)[0]?.key !== key) continue;
    for (const dep of deps) {
      const topic = materializedTopicOf(dep);
      plans.push({ name: `${own}.follows.${topic}`, topic, consumer: { kind: "automation", key } });
    }
  }
  for (const name of definitions.jobs.keys()) {
    plans.push({ name: jobTopicOf(name), topic: jobTopicOf(name), consumer: { kind: "job", name } });
  }
  for (const sensor of definitions.sensors.values()) {
    const own = sensorTopicOf(sensor.name);
    const consumer = { kind: "sensor" as const, name: sensor.name };
    plans.push({ name: own, topic: own, consumer });
    if (sensor.watches.kind === "asset") {
      plans.push({ name: `${own}.materialized`, topic: materializedTopicOf(sensor.watches.asset), consumer });
    }
  }
  for (const bucket of watchedBuckets(definitions)) {
    plans.push({ name: bucketTopicOf(bucket), topic: bucketTopicOf(bucket), consumer: { kind: "bucket", bucket } });
  }
  return plans;
}

/**
 * The subscriptions that renamed assets had before: who keeps queues of their own may hold messages for them still. Nothing new
 * comes to these, because nobody publishes to their topics.
 */
export function previousSubscriptions({ assets }: Definitions): readonly SubscriptionPlan[] {
  const plans: SubscriptionPlan[] = [];
  const add = (name: string, consumer: Consumer): void => {
    plans.push({ name, topic: `previous.${name}`, consumer });
  };
  for (const asset of assets.values()) {
    const { key, deps, automation } = asset;
    for (const name of [key, ...adoptableNames(assets, asset)]) {
      if (name !== key) add(topicOf(name), { kind: "asset", key });
      if (!followsUpstreams(automation)) continue;
      for (const dep of deps) {
        for (const upstream of [dep, ...adoptableNames(assets, assets.get(dep) ?? { key: dep })]) {
          if (name === key && upstream === dep) continue;
          add(`${topicOf(name)}.follows.${materializedTopicOf(upstream)}`, { kind: "automation", key });
        }
      }
    }
  }
  return plans;
}

export function watchedBuckets(definitions: Definitions): readonly string[] {
  const buckets = new Set<string>(definitions.watchers.keys());
  for (const { watches } of definitions.sensors.values()) if (watches.kind === "objects") buckets.add(watches.bucket);
  return [...buckets].sort();
}
