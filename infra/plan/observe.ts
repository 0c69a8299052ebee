/** What is there: a few list calls, and what their output says. Pure: the calls are data, and the runner brings what they printed. */
import type { z } from "zod";
import { HASH_LABEL } from "../manifest.ts";
import type { Manifest } from "../manifest.ts";
import { bq, gcloud, idOf, labelsText, policyName } from "./item.ts";
import type { Facts } from "./item.ts";
import {
  listOf,
  oneOf,
  accountSchema,
  bucketSchema,
  databaseSchema,
  datasetSchema,
  fieldSchema,
  functionSchema,
  indexSchema,
  jobSchema,
  notificationSchema,
  projectSchema,
  queueSchema,
  serviceSchema,
  subscriptionSchema,
  topicSchema,
  triggerSchema,
} from "./lists.ts";
import type { PrintedSubscription } from "./lists.ts";
import { notificationName, scheduleTitle, topicPath } from "./messages.ts";
import { policyItems } from "./policies.ts";
import type { State } from "./state.ts";
import { filled } from "./step.ts";
import type { ResourceKind, ToolCall } from "./step.ts";
import { accountTitle, indexName } from "./stores.ts";

/** One call that reads. */
export interface Observation {
  readonly id: string;
  readonly call: ToolCall;
}

export interface Found {
  readonly id: string;
  readonly kind: ResourceKind;
  readonly name: string;
  /** It says of itself that it is of this environment. */
  readonly ours: boolean;
  /** The environment that it says it is of. */
  readonly owner?: string;
  readonly facts: Facts;
  /** Ids of what it stands on, as far as the list says. */
  readonly on?: readonly string[];
  /** What the cloud calls it, where that is not its name; several where it is there more than once. */
  readonly own?: readonly string[];
  /** The account that it runs as. */
  readonly account?: string;
}

export interface Observed {
  /** What was deployed last; `undefined` before the first deployment. */
  readonly state: State | undefined;
  /** Kinds of which all are known: what is not found is not there. */
  readonly looked: ReadonlySet<ResourceKind>;
  readonly found: ReadonlyMap<string, Found>;
  /** What reading a policy has printed, by the policy's id. */
  readonly policies: ReadonlyMap<string, string>;
  readonly values: ReadonlyMap<string, string>;
  /** Lists that could not be had, because an API is off. */
  readonly off: readonly string[];
}

export interface ObserveOptions {
  readonly manifest: Manifest;
  readonly state: State | undefined;
  /** Reads every policy, and everything that is slow to list. */
  readonly refresh: boolean;
}

/**
 * What to ask. Without `refresh` it is at most eleven calls whatever the number of assets, and one more for each project whose number
 * is not known yet, and for each bucket that announces its objects still, though nobody watches it any more.
 */
export function observations({ manifest, state, refresh }: ObserveOptions): readonly Observation[] {
  const { environment, notifications, firestore } = manifest;
  const { project, region } = environment;
  const at = `--location=${region}`;
  const ask = (id: string, args: readonly string[]): Observation => ({
    id,
    call: gcloud(environment, [...args, "--format=json"]),
  });
  const numbers = numbersOf(manifest).filter((name) => state?.numbers[name] === undefined);
  const buckets = notifications.map(({ bucket }) => bucket);
  const urls = buckets.map((bucket) => `gs://${bucket}`);
  const database = `--database=${firestore.database}`;
  const slow = [
    ask("apis", ["services", "list", "--enabled"]),
    ask("databases", ["firestore", "databases", "list"]),
    ask("indexes", ["firestore", "indexes", "composite", "list", database]),
    ask("fields", ["firestore", "indexes", "fields", "list", database]),
    ask("ttls", ["firestore", "fields", "ttls", "list", database]),
    ...policyItems(manifest, { kept: new Map(), owned: [] }).flatMap(({ id, policy }) => {
      if (policy === undefined || id === projectPolicy(project)) return [];
      const { read: call } = policy.call;
      // What a trigger has made is known by the lists alone, and its policy by the state.
      const isNamed = call.args.every((arg) => filled(arg, NOTHING_KNOWN).missing.length === 0);
      return isNamed ? [{ id, call }] : [];
    }),
  ];
  return [
    ...numbers.map((name) => ({
      id: `number ${name}`,
      call: gcloud({ project: name }, ["projects", "describe", name, "--format=json"]),
    })),
    ask("functions", ["functions", "list", "--v2", `--regions=${region}`]),
    ...(environment.triggers === "eventarc" ? [ask("triggers", ["eventarc", "triggers", "list", "--location=-"])] : []),
    ask("topics", ["pubsub", "topics", "list"]),
    ask("subscriptions", ["pubsub", "subscriptions", "list"]),
    ask("schedules", ["scheduler", "jobs", "list", at]),
    ask("queues", ["tasks", "queues", "list", at]),
    ask("accounts", ["iam", "service-accounts", "list"]),
    ask(projectPolicy(project), ["projects", "get-iam-policy", project]),
    ...(urls.length > 0 ? [ask("notifications", ["storage", "buckets", "notifications", "list", ...urls])] : []),
    // Each by itself: one that is gone must not hide what another has.
    ...leftBuckets(state, buckets).map((bucket) =>
      ask(`${LEFT} ${bucket}`, ["storage", "buckets", "notifications", "list", `gs://${bucket}`]),
    ),
    ask("buckets", ["storage", "buckets", "list"]),
    { id: "datasets", call: bq(environment, ["ls", "--datasets", "--max_results=10000"]) },
    ...(refresh ? slow : []),
  ];
}

const LEFT = "notifications left in";

/** Buckets that were told to announce their objects, and are not watched any more. */
function leftBuckets(state: State | undefined, watched: readonly string[]): string[] {
  const told = Object.keys(state?.resources ?? {}).flatMap((id) => /^notification (\S+) to /.exec(id)?.[1] ?? []);
  return [...new Set(told)].filter((bucket) => !watched.includes(bucket)).sort();
}

const NOTHING_KNOWN: ReadonlyMap<string, string> = new Map();

function projectPolicy(project: string): string {
  return idOf("policy", policyName("project", project));
}

/** Projects whose numbers bindings need. */
function numbersOf({ bindings }: Manifest): string[] {
  const all = bindings.flatMap(({ member }) => /\{number:([^}]+)\}/.exec(member)?.[1] ?? []);
  return [...new Set(all)].sort();
}

/**
 * What was seen. `outputs` has, for each observation, what the call printed, or `null` where the tool said that there is nothing (404) or
 * that the API is off. Throws `PermanentError` for output that is not what the tool prints.
 */
export function observed(
  { manifest, state }: Omit<ObserveOptions, "refresh">,
  outputs: ReadonlyMap<string, string | null>,
): Observed {
  const looked = new Set<ResourceKind>();
  const found = new Map<string, Found>();
  const policies = new Map<string, string>();
  const off: string[] = [];
  const values = new Map(Object.entries(state?.numbers ?? {}).map(([name, number]) => [`number:${name}`, number]));
  const read = <S extends z.ZodType>(id: string, schema: S): z.output<S>[] | undefined => {
    const text = outputs.get(id);
    if (text === undefined) return undefined;
    if (text === null) off.push(id);
    return text === null ? [] : listOf(id, text, schema);
  };
  const add = (one: Found): void => void found.set(one.id, one);
  const see = <S extends z.ZodType>(
    id: string,
    kind: ResourceKind,
    schema: S,
    each: (value: z.output<S>) => void,
  ): void => {
    const list = read(id, schema);
    if (list === undefined) return;
    // Whether a bucket has announcements cannot be told where one of several cannot be read.
    if (!(kind === "notification" && outputs.get(id) === null)) looked.add(kind);
    list.forEach(each);
  };
  const { name: environment } = manifest.environment;
  const says = (labels: Readonly<Record<string, string>> | undefined): Pick<Found, "ours" | "owner"> => {
    const owner = labels?.["app"] === "sluice" ? labels["sluice-environment"] : undefined;
    return { ours: owner === environment, ...(owner === undefined ? {} : { owner }) };
  };

  for (const [id, text] of outputs) {
    if (id.startsWith("policy ") && text !== null) policies.set(id, text);
    if (id.startsWith("number ") && text !== null) {
      const { projectNumber } = oneOf(id, text, projectSchema);
      values.set(`number:${id.slice("number ".length)}`, projectNumber);
    }
  }
  const triggers = new Map(
    (read("triggers", triggerSchema) ?? []).map(({ name, transport }) => [name, transport?.pubsub?.subscription ?? ""]),
  );
  /** By the subscription: the function whose trigger has made it. */
  const made = new Map<string, string>();
  see("functions", "function", functionSchema, (one) => {
    const name = lastOf(one.name);
    const { uri, serviceAccountEmail: account = "", ingressSettings: ingress = "" } = one.serviceConfig ?? {};
    if (uri !== undefined) values.set(`url:${name}`, uri);
    const trigger = one.eventTrigger?.trigger;
    const subscription = trigger === undefined ? "" : (triggers.get(trigger) ?? "");
    if (trigger !== undefined) values.set(`trigger:${name}`, trigger);
    if (subscription !== "") {
      values.set(`trigger-subscription:${name}`, subscription);
      made.set(subscription, name);
    }
    const hash = one.labels?.[HASH_LABEL] ?? "";
    const facts = { hash, state: one.state ?? "", ingress, account };
    add({ id: idOf("function", name), kind: "function", name, ...says(one.labels), facts, account });
  });
  see("topics", "topic", topicSchema, ({ name: path, labels }) => {
    const name = lastOf(path);
    add({ id: idOf("topic", name), kind: "topic", name, ...says(labels), facts: { labels: ownLabels(labels) } });
  });
  see("subscriptions", "subscription", subscriptionSchema, (one) => {
    const name = lastOf(one.name);
    const facts = subscriptionFacts(one);
    const owner = made.get(one.name);
    if (owner !== undefined) add({ id: idOf("trigger", owner), kind: "trigger", name: owner, ours: true, facts });
    const on = [idOf("topic", lastOf(one.topic))];
    add({ id: idOf("subscription", name), kind: "subscription", name, ...says(one.labels), facts, on });
  });
  if (looked.has("subscription") && outputs.get("triggers") !== undefined) looked.add("trigger");
  see(
    "schedules",
    "schedule",
    jobSchema,
    ({ name: path, schedule, timeZone, pubsubTarget, httpTarget, description = "" }) => {
      const name = lastOf(path);
      const target = pubsubTarget?.topicName ?? httpTarget?.uri?.replace(/\/$/, "") ?? "";
      const facts = { schedule, "time zone": timeZone ?? "UTC", target };
      const ours = description.startsWith(scheduleTitle(environment));
      add({ id: idOf("schedule", name), kind: "schedule", name, ours, facts });
    },
  );
  see("queues", "queue", queueSchema, ({ name: path, rateLimits, retryConfig }) => {
    const name = lastOf(path);
    const facts = {
      rate: `${rateLimits?.maxDispatchesPerSecond ?? "?"} a second, ${rateLimits?.maxConcurrentDispatches ?? "?"} at once`,
      backoff: `${retryConfig?.minBackoff ?? "?"} to ${retryConfig?.maxBackoff ?? "?"}`,
      attempts: String(retryConfig?.maxAttempts ?? "?"),
    };
    add({ id: idOf("queue", name), kind: "queue", name, ours: false, facts });
  });
  see("accounts", "account", accountSchema, ({ email, displayName = "", description = "" }) => {
    const name = email.slice(0, email.indexOf("@"));
    if (email === `${name}@${manifest.environment.project}.iam.gserviceaccount.com`)
      add({
        id: idOf("account", name),
        kind: "account",
        name,
        ours: displayName === accountTitle(environment, name),
        facts: { title: displayName, description },
      });
  });
  see("buckets", "bucket", bucketSchema, ({ name, location }) =>
    add({ id: idOf("bucket", name), kind: "bucket", name, ours: false, facts: { location: location.toUpperCase() } }),
  );
  see("datasets", "dataset", datasetSchema, ({ datasetReference: { datasetId: name }, location }) => {
    const facts: Facts = location === undefined ? {} : { location: location.toUpperCase() };
    add({ id: idOf("dataset", name), kind: "dataset", name, ours: false, facts });
  });
  const addNotification = (one: z.output<typeof notificationSchema>): void => {
    const { id, topic, event_types: events = [], payload_format: payload = "" } = one["Notification Configuration"];
    const bucket = one["Bucket URL"].replace(/^gs:\/\//, "").replace(/\/$/, "");
    const name = notificationName(bucket, lastOf(topic));
    const known = found.get(idOf("notification", name))?.own ?? [];
    const own = [...known, `projects/_/buckets/${bucket}/notificationConfigs/${id}`];
    // A second one would announce every object twice.
    const facts = {
      events: own.length > 1 ? "twice" : events.join(","),
      payload: payload === "JSON_API_V1" ? "json" : payload,
    };
    const ours =
      found.get(idOf("topic", lastOf(topic)))?.ours === true &&
      topic.endsWith(topicPath(manifest.environment.project, lastOf(topic)));
    add({
      id: idOf("notification", name),
      kind: "notification",
      name,
      ours,
      facts,
      own,
      on: [idOf("topic", lastOf(topic))],
    });
  };
  see("notifications", "notification", notificationSchema, addNotification);
  const left = [...outputs].filter(([id]) => id.startsWith(`${LEFT} `));
  for (const [id, text] of left) if (text !== null) listOf(id, text, notificationSchema).forEach(addNotification);
  if (left.length > 0 && outputs.get("notifications") !== null) looked.add("notification");
  see("databases", "database", databaseSchema, ({ name: path, locationId = "" }) => {
    const name = lastOf(path);
    add({ id: idOf("database", name), kind: "database", name, ours: false, facts: { location: locationId } });
  });
  see("indexes", "index", indexSchema, ({ name: path, fields }) => {
    const parts = fields.filter(({ fieldPath }) => fieldPath !== "__name__");
    const name = indexName(
      groupOf(path),
      parts.map(({ fieldPath, order = "" }) => ({ fieldPath, order })),
    );
    add({ id: idOf("index", name), kind: "index", name, ours: false, facts: {} });
  });
  const addField = (path: string, facts: Facts): void => {
    const name = `${groupOf(path)}.${lastOf(path)}`;
    const id = idOf("field", name);
    add({ id, kind: "field", name, ours: false, facts: { ...found.get(id)?.facts, ...facts } });
  };
  see("fields", "field", fieldSchema, ({ name: path, indexConfig }) => {
    const indexes = (indexConfig?.indexes ?? []).flatMap(({ fields }) => fields?.[0]?.arrayConfig ?? "ORDER").join();
    addField(path, { indexes, ttl: "off" });
  });
  // The list of fields has only those with indexes of their own.
  for (const { name: path } of read("ttls", fieldSchema) ?? []) addField(path, { ttl: "on" });
  const apis = read("apis", serviceSchema);
  if (apis !== undefined) {
    const on = new Set(apis.map(({ config }) => config.name));
    for (const api of manifest.apis) if (!on.has(api)) off.push(api);
  }
  return { state, looked, found, policies, values, off };
}

function subscriptionFacts(one: PrintedSubscription): Facts {
  const { pushConfig, retryPolicy, deadLetterPolicy, expirationPolicy } = one;
  // An empty policy means never; none at all, a month without use.
  const expiration = expirationPolicy === undefined ? "31 days" : (expirationPolicy.ttl ?? "never");
  return {
    topic: one.topic,
    "push endpoint": pushConfig?.pushEndpoint ?? "",
    "push account": pushConfig?.oidcToken?.serviceAccountEmail ?? "",
    audience: pushConfig?.oidcToken?.audience ?? "",
    "ack deadline": `${one.ackDeadlineSeconds ?? 10}s`,
    retention: one.messageRetentionDuration ?? "604800s",
    backoff: `${retryPolicy?.minimumBackoff ?? "none"} to ${retryPolicy?.maximumBackoff ?? "none"}`,
    "dead letters": `${deadLetterPolicy?.deadLetterTopic ?? "none"} after ${deadLetterPolicy?.maxDeliveryAttempts ?? 0}`,
    expiration,
    labels: ownLabels(one.labels),
  };
}

/** Others may put labels of theirs beside ours. */
function ownLabels(all: Readonly<Record<string, string>> = {}): string {
  return labelsText(
    Object.fromEntries(Object.entries(all).filter(([key]) => key === "app" || key.startsWith("sluice-"))),
  );
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** `projects/P/databases/D/collectionGroups/G/indexes/I` → `G`. */
function groupOf(path: string): string {
  return /\/collectionGroups\/([^/]+)\//.exec(path)?.[1] ?? "";
}
