/** How messages travel: topics, subscriptions that push to functions, dead letters, the queue, and buckets' notifications. */
import { bucketTopicOf, materializedTopicOf } from "../../lib/core/asset-key.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { DEAD_LETTERS, watchedBuckets } from "../../lib/core/subscriptions.ts";
import type { Unit } from "../../lib/core/units.ts";
import type { Environment } from "../environments.ts";
import type { Accounts } from "../iam/accounts.ts";
import type { Manifest } from "../manifest.ts";
import { deployedNameOf, queueNameOf, subscriptionNameOf } from "../names.ts";
import { labelsOf, triggeringTopic } from "./functions.ts";

type Messages = Pick<Manifest, "topics" | "subscriptions" | "delivery" | "deadLetters" | "queues" | "notifications">;

const WEEK_S = 7 * 86_400;
/** The longest that Pub/Sub keeps anything. */
const MONTH_S = 31 * 86_400;

export function messagesOf(
  definitions: Definitions,
  environment: Environment,
  units: readonly Unit[],
  accounts: Accounts,
): Messages {
  const { namePrefix, triggers, maxDeliveryAttempts } = environment;
  const labels = labelsOf(environment);
  const named = (name: string): string => `${namePrefix}${name}`;
  const plans = units.flatMap((unit) => unit.subscriptions);
  const announced = [...definitions.assets.keys()].map(materializedTopicOf);
  const told = [...definitions.alerts.values()].flatMap(({ to }) => (to.kind === "topic" ? [to.topic] : []));
  const topics = new Set([...plans.map(({ topic }) => topic), ...announced, ...told]);
  // One for all: a message says of itself which subscription it comes from.
  const deadLetter = named(DEAD_LETTERS);
  const pushes = units.flatMap((unit) => {
    const taken = triggers === "eventarc" ? triggeringTopic(unit) : undefined;
    return unit.subscriptions
      .filter(({ name }) => name !== taken)
      .map(({ name, topic }) => ({
        name: subscriptionNameOf(namePrefix, name),
        topic: named(topic),
        // The function tells its subscriptions apart by the path, which is the plan's own name, whatever the environment.
        push: { function: deployedNameOf(namePrefix, unit), path: `/${name}`, account: accounts.push.email },
        labels,
      }));
  });
  const recorded = units
    .filter(({ kind }) => kind === "reconcile")
    .map((unit) => ({
      name: named(`${DEAD_LETTERS}.${unit.kind}`),
      topic: deadLetter,
      push: { function: deployedNameOf(namePrefix, unit), path: `/${DEAD_LETTERS}`, account: accounts.push.email },
      lastStop: true as const,
      labels,
    }));
  return {
    topics: [...topics].map((name) => ({ name: named(name), labels })).sort(byName),
    subscriptions: [...pushes, ...recorded].sort(byName),
    delivery: {
      ackDeadlineSeconds: 600,
      retentionSeconds: WEEK_S,
      minBackoffSeconds: 10,
      maxBackoffSeconds: 600,
      deadLetterTopic: deadLetter,
      maxDeliveryAttempts,
      neverExpires: true,
    },
    deadLetters: [{ topic: deadLetter, subscription: deadLetter, retentionSeconds: MONTH_S, labels }],
    queues: [
      {
        name: queueNameOf(namePrefix),
        maxDispatchesPerSecond: 500,
        maxConcurrentDispatches: 1_000,
        minBackoffSeconds: 1,
        maxBackoffSeconds: 300,
        maxAttempts: -1,
      },
    ],
    notifications: triggers === "eventarc" ? [] : notificationsOf(definitions, environment),
  };
}

function notificationsOf(definitions: Definitions, { namePrefix, buckets }: Environment): Messages["notifications"] {
  return watchedBuckets(definitions).map((bucket) => {
    const project = buckets[bucket]?.project;
    return {
      bucket,
      topic: `${namePrefix}${bucketTopicOf(bucket)}`,
      eventTypes: ["OBJECT_FINALIZE"],
      payloadFormat: "json",
      ...(project === undefined ? {} : { project }),
    };
  });
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
