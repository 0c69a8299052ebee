/** What a deployment makes between functions: topics, push subscriptions and the notifications of buckets. */
import { bucketTopicOf, jobTopicOf, materializedTopicOf, sensorTopicOf, topicOf } from "../../../lib/core/asset-key.ts";
import type { Definitions } from "../../../lib/core/definitions.ts";
import { DEAD_LETTERS, watchedBuckets } from "../../../lib/core/subscriptions.ts";
import type { SubscriptionPlan } from "../../../lib/core/subscriptions.ts";
import type { PubsubRest } from "./pubsub-rest.ts";

/** As many as can be: a function that is killed over a message refuses it as well. */
const MAX_ATTEMPTS = 100;

export async function wire(options: {
  readonly project: string;
  readonly definitions: Definitions;
  readonly plans: readonly SubscriptionPlan[];
  readonly pubsub: PubsubRest;
  /** Every subscription pushes to its own path below it. */
  readonly doorUrl: string;
  readonly storageUrl: string;
}): Promise<void> {
  const { project, definitions, plans, pubsub, doorUrl, storageUrl } = options;
  await Promise.all([...topicsOf(definitions), DEAD_LETTERS].map((topic) => pubsub.createTopic(topic)));
  await pubsub.subscribe({ name: DEAD_LETTERS, topic: DEAD_LETTERS });
  await pubsub.subscribe({
    name: `${DEAD_LETTERS}.reconcile`,
    topic: DEAD_LETTERS,
    endpoint: `${doorUrl}/${DEAD_LETTERS}`,
  });
  const deadLetters = { topic: DEAD_LETTERS, maxAttempts: MAX_ATTEMPTS };
  await Promise.all(
    plans.map(({ name, topic }) => pubsub.subscribe({ name, topic, endpoint: `${doorUrl}/${name}`, deadLetters })),
  );
  for (const bucket of watchedBuckets(definitions)) {
    const body = {
      topic: `//pubsub.googleapis.com/projects/${project}/topics/${bucketTopicOf(bucket)}`,
      payload_format: "JSON_API_V1",
      event_types: ["OBJECT_FINALIZE"],
    };
    const url = `${storageUrl}/storage/v1/b/${bucket}/notificationConfigs`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`the bucket ${bucket} takes no notification: ${await answer.text()}`);
  }
}

/** Every topic that something is published to. */
function topicsOf(definitions: Definitions): readonly string[] {
  const { assets, jobs, sensors } = definitions;
  return [
    ...[...assets.keys()].flatMap((key) => [topicOf(key), materializedTopicOf(key)]),
    ...[...jobs.keys()].map(jobTopicOf),
    ...[...sensors.keys()].map(sensorTopicOf),
    ...watchedBuckets(definitions).map(bucketTopicOf),
  ];
}

/** The datasets that a deployment makes, because something writes to them. */
export function datasetsOf({ assets, jobs }: Definitions): readonly string[] {
  const needs = [...assets.values(), ...jobs.values()].flatMap((definition) => definition.needs);
  return [...new Set(needs.flatMap((need) => (need.kind === "write-dataset" ? [need.dataset] : [])))];
}
