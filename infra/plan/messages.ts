/** Topics, subscriptions, the queue, schedules, and what buckets announce. */
import { DEAD_LETTERS } from "../../lib/core/subscriptions.ts";
import type { Manifest } from "../manifest.ts";
import { APIS, cut, flags, gcloud, idOf, labelsText, policyName } from "./item.ts";
import type { Facts, Item, Place } from "./item.ts";
import { neededForWork } from "./policies.ts";
import type { ToolCall } from "./step.ts";

type Delivery = Manifest["delivery"];

export function messageItems(manifest: Manifest): Item[] {
  const { environment, topics, subscriptions, deadLetters, queues, schedules, notifications } = manifest;
  const consumers = Map.groupBy(subscriptions, ({ topic }) => topic);
  const listening = new Map(
    [...consumers].map(([topic, own]) => [topic, own.map(({ name }) => idOf("subscription", name))]),
  );
  const triggered = manifest.functions.flatMap(({ name, trigger }) =>
    trigger?.kind === "topic" ? [[trigger.topic, idOf("function", name)] as const] : [],
  );
  for (const [topic, id] of triggered) listening.set(topic, [...(listening.get(topic) ?? []), id]);
  const accounts = new Map(manifest.functions.map(({ name, serviceAccount }) => [name, serviceAccount]));
  const forWork = neededForWork(manifest);
  const before = (name: string): readonly string[] => forWork(accounts.get(name) ?? "");
  return [
    ...[...topics, ...deadLetters.map(({ topic, labels }) => ({ name: topic, labels }))].map((topic) =>
      topicItem(environment, topic),
    ),
    ...deadLetters.map((letters) => deadLetterItem(environment, letters)),
    ...subscriptions.map((subscription) =>
      subscriptionItem(manifest, subscription, before(subscription.push.function)),
    ),
    ...queues.map((queue) => queueItem(environment, queue)),
    ...schedules.map((schedule) => scheduleItem(manifest, schedule, listening)),
    ...notifications.map((notification) => notificationItem(environment, notification, listening)),
  ];
}

/** As lists show a topic: `projects/P/topics/T`. */
export function topicPath(project: string, topic: string): string {
  return `projects/${project}/topics/${topic}`;
}

function topicItem(place: Place & { readonly namePrefix: string }, { name, labels }: Manifest["topics"][number]): Item {
  const text = labelsText(labels);
  const update = gcloud(place, ["pubsub", "topics", "update", name, `--update-labels=${text}`]);
  return {
    id: idOf("topic", name),
    kind: "topic",
    name,
    about: topicAbout(name.slice(place.namePrefix.length)),
    form: { name, labels },
    needs: [APIS],
    create: [gcloud(place, ["pubsub", "topics", "create", name, `--labels=${text}`], { ifExists: [update] })],
    update: [update],
    facts: { labels: text },
    complete: true,
  };
}

/** Of its plain name: lib/core/asset-key.ts says what there is. Alerts alone may go to topics of any name. */
function topicAbout(name: string): string {
  if (name === DEAD_LETTERS) return "what was delivered in vain is laid aside there";
  const what = TOPICS.find(([start]) => name.startsWith(start));
  return what?.[1] ?? "alerts are told there";
}

const TOPICS: readonly (readonly [start: string, about: string])[] = [
  ["asset.", "a message there asks for the asset"],
  ["job.", "a message there asks for the job"],
  ["sensor.", "a message there wakes the sensor"],
  ["bucket.", "the bucket announces objects there"],
  ["materialized.", "says that the asset was materialized"],
];

/** `lastStop`: what it cannot deliver is a dead letter already. */
export function deliveryFlags(delivery: Delivery, lastStop?: true): string[] {
  return flags({
    "ack-deadline": delivery.ackDeadlineSeconds,
    "message-retention-duration": `${delivery.retentionSeconds}s`,
    "min-retry-delay": `${delivery.minBackoffSeconds}s`,
    "max-retry-delay": `${delivery.maxBackoffSeconds}s`,
    ...(lastStop === true
      ? {}
      : { "dead-letter-topic": delivery.deadLetterTopic, "max-delivery-attempts": delivery.maxDeliveryAttempts }),
    "expiration-period": "never",
  });
}

export function deliveryFacts(project: string, delivery: Delivery, lastStop?: true): Facts {
  return {
    "ack deadline": `${delivery.ackDeadlineSeconds}s`,
    retention: `${delivery.retentionSeconds}s`,
    backoff: `${delivery.minBackoffSeconds}s to ${delivery.maxBackoffSeconds}s`,
    ...(lastStop === true
      ? {}
      : { "dead letters": `${topicPath(project, delivery.deadLetterTopic)} after ${delivery.maxDeliveryAttempts}` }),
    expiration: "never",
  };
}

function subscriptionItem(
  manifest: Manifest,
  subscription: Manifest["subscriptions"][number],
  before: readonly string[],
): Item {
  const { environment, delivery } = manifest;
  const { name, topic, push, lastStop, labels } = subscription;
  const url = `{url:${push.function}}`;
  const settings = [
    ...flags({
      "push-endpoint": `${url}${push.path}`,
      "push-auth-service-account": push.account,
      "push-auth-token-audience": url,
    }),
    ...deliveryFlags(delivery, lastStop),
  ];
  const text = labelsText(labels);
  const { create, update } = subscriptionCalls(environment, { name, topic, settings, text });
  return {
    id: idOf("subscription", name),
    kind: "subscription",
    name,
    about: `brings ${topic} to the function ${push.function}`,
    form: { name, topic, push, labels, delivery, ...(lastStop === undefined ? {} : { lastStop }) },
    needs: [
      idOf("topic", topic),
      idOf("topic", delivery.deadLetterTopic),
      idOf("function", push.function),
      idOf("policy", policyName("function", push.function)),
      idOf("account", push.account.slice(0, push.account.indexOf("@"))),
      ...before,
    ],
    on: [idOf("topic", topic), idOf("function", push.function)],
    create: [create],
    update: [update],
    facts: {
      topic: topicPath(environment.project, topic),
      "push endpoint": `${url}${push.path}`,
      "push account": push.account,
      audience: url,
      labels: text,
      ...deliveryFacts(environment.project, delivery, lastStop),
    },
    complete: true,
    fixed: ["topic"],
    recreate: [removeSubscription(environment, name), create],
  };
}

/** `text`: its labels. One that is there already is brought to the same settings. */
function subscriptionCalls(
  place: Place,
  of: { readonly name: string; readonly topic: string; readonly settings: readonly string[]; readonly text: string },
): { readonly create: ToolCall; readonly update: ToolCall } {
  const { name, topic, settings, text } = of;
  const update = gcloud(place, ["pubsub", "subscriptions", "update", name, ...settings, `--update-labels=${text}`]);
  const create = gcloud(
    place,
    ["pubsub", "subscriptions", "create", name, `--topic=${topic}`, ...settings, `--labels=${text}`],
    { ifExists: [update] },
  );
  return { create, update };
}

export function removeSubscription(place: Place, name: string): ToolCall {
  return gcloud(place, ["pubsub", "subscriptions", "delete", name], { ifMissing: [] });
}

/** Nobody is pushed these: they wait for a person. */
function deadLetterItem(place: Place, letters: Manifest["deadLetters"][number]): Item {
  const { topic, subscription: name, retentionSeconds, labels } = letters;
  const settings = flags({
    "ack-deadline": 600,
    "message-retention-duration": `${retentionSeconds}s`,
    "expiration-period": "never",
  });
  const text = labelsText(labels);
  const { create, update } = subscriptionCalls(place, { name, topic, settings, text });
  return {
    id: idOf("subscription", name),
    kind: "subscription",
    name,
    about: "keeps what was delivered in vain until somebody looks at it",
    form: letters,
    needs: [idOf("topic", topic)],
    on: [idOf("topic", topic)],
    create: [create],
    update: [update],
    facts: {
      topic: topicPath(place.project, topic),
      retention: `${retentionSeconds}s`,
      expiration: "never",
      labels: text,
    },
    complete: true,
    fixed: ["topic"],
    recreate: [removeSubscription(place, name), create],
  };
}

function queueItem(place: Place, queue: Manifest["queues"][number]): Item {
  const { name, maxDispatchesPerSecond, maxConcurrentDispatches, minBackoffSeconds, maxBackoffSeconds } = queue;
  const settings = flags({
    location: place.region,
    "max-dispatches-per-second": maxDispatchesPerSecond,
    "max-concurrent-dispatches": maxConcurrentDispatches,
    "min-backoff": `${minBackoffSeconds}s`,
    "max-backoff": `${maxBackoffSeconds}s`,
    "max-attempts": queue.maxAttempts < 0 ? "unlimited" : queue.maxAttempts,
  });
  const update = gcloud(place, ["tasks", "queues", "update", name, ...settings]);
  return {
    id: idOf("queue", name),
    kind: "queue",
    name,
    about: "holds messages for later",
    form: queue,
    needs: [APIS],
    create: [gcloud(place, ["tasks", "queues", "create", name, ...settings], { ifExists: [update] })],
    update: [update],
    facts: {
      rate: `${maxDispatchesPerSecond} a second, ${maxConcurrentDispatches} at once`,
      backoff: `${minBackoffSeconds}s to ${maxBackoffSeconds}s`,
      attempts: String(queue.maxAttempts),
    },
    complete: true,
  };
}

const MAX_DESCRIPTION = 500;

/** By which one sees whose a schedule is. */
export function scheduleTitle(environment: string): string {
  return `Sluice ${environment}: `;
}

function scheduleItem(
  { environment, functions }: Manifest,
  schedule: Manifest["schedules"][number],
  listening: ReadonlyMap<string, readonly string[]>,
): Item {
  const { name, cron, timeZone, target, about } = schedule;
  const common = flags({
    location: environment.region,
    schedule: cron,
    "time-zone": timeZone,
    description: cut(`${scheduleTitle(environment.name)}${about}`, MAX_DESCRIPTION),
  });
  const to = target.kind === "topic" ? "pubsub" : "http";
  const url = target.kind === "topic" ? "" : `{url:${target.function}}`;
  const settings =
    target.kind === "topic"
      ? flags({ topic: target.topic, "message-body-from-file": "{file:message.json}" })
      : flags({
          uri: url,
          "http-method": "POST",
          "oidc-service-account-email": target.account,
          "oidc-token-audience": url,
          "attempt-deadline": `${functions.find((made) => made.name === target.function)?.timeoutSeconds ?? 180}s`,
        });
  // The very bytes that are sent: no line break.
  const files = target.kind === "topic" ? { files: { "message.json": JSON.stringify(target.message) } } : {};
  const args = (verb: string): string[] => ["scheduler", "jobs", verb, to, name, ...common, ...settings];
  const update = gcloud(environment, args("update"), files);
  return {
    id: idOf("schedule", name),
    kind: "schedule",
    name,
    about,
    form: { name, settings: [...common, ...settings], files },
    needs:
      target.kind === "topic"
        ? [idOf("topic", target.topic), ...(listening.get(target.topic) ?? [])]
        : [idOf("function", target.function), idOf("policy", policyName("function", target.function))],
    on: target.kind === "topic" ? [] : [idOf("function", target.function)],
    create: [gcloud(environment, args("create"), { ...files, ifExists: [update] })],
    update: [update],
    facts: {
      schedule: cron,
      "time zone": timeZone,
      target: target.kind === "topic" ? topicPath(environment.project, target.topic) : url,
    },
  };
}

export function notificationName(bucket: string, topic: string): string {
  return `${bucket} to ${topic}`;
}

function notificationItem(
  place: Place,
  { bucket, topic, eventTypes, payloadFormat }: Manifest["notifications"][number],
  listening: ReadonlyMap<string, readonly string[]>,
): Item {
  const name = notificationName(bucket, topic);
  const verb = ["storage", "buckets", "notifications", "create", `gs://${bucket}`];
  const create = gcloud(place, [
    ...verb,
    ...flags({
      topic: topicPath(place.project, topic),
      "event-types": eventTypes.join(","),
      "payload-format": payloadFormat,
    }),
    // The topic, and the right to publish to it, are there already.
    "--skip-topic-setup",
  ]);
  return {
    id: idOf("notification", name),
    kind: "notification",
    name,
    about: `announces finalized objects of gs://${bucket}`,
    form: { bucket, topic, eventTypes, payloadFormat },
    needs: [
      idOf("topic", topic),
      idOf("policy", policyName("topic", topic)),
      idOf("bucket", bucket),
      ...(listening.get(topic) ?? []),
    ],
    create: [create],
    update: [create],
    facts: { events: eventTypes.join(","), payload: payloadFormat },
    complete: true,
    // It cannot be changed, and a second one would announce everything twice: the plan puts the deletion of what is there first.
    fixed: ["events", "payload"],
    recreate: [create],
  };
}
