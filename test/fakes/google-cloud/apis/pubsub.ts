/** Pub/Sub: topics, subscriptions, and what is published. */
import { CloudError, invalid, missing } from "../errors.ts";
import { at, isJson, jsonAt, listAt, masked, plain, secondsOf, textAt, type Json } from "../json.ts";
import { checkLabels } from "../labels.ts";
import { policyRoutes } from "../policies.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { checkActAs, hasAccount, listed, need, put, remove, type World } from "../world.ts";

const DAY_S = 86_400;

export function pubsub(world: World): Api {
  const { state } = world;
  const topicOf = (call: ApiCall): string => `projects/${call.project}/topics/${call.param("topic")}`;
  const subscriptionOf = (call: ApiCall): string =>
    `projects/${call.project}/subscriptions/${call.param("subscription")}`;
  const short = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
  const notThere = (name: string): string => `Resource not found (resource=${short(name)}).`;
  const hasTopic = (name: string): boolean => state.resources.topic.has(name);

  function checkId(name: string): void {
    if (/^(?!goog)[A-Za-z][\w.~+%-]{2,254}$/i.test(short(name))) return;
    throw invalid(
      `Invalid resource name given (name=${name}). Refer to https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names for more information.`,
    );
  }

  function checkNew(kind: "topic" | "subscription", name: string): void {
    checkId(name);
    if (!state.resources[kind].has(name)) return;
    throw new CloudError("ALREADY_EXISTS", `Resource already exists in the project (resource=${short(name)}).`);
  }

  async function createTopic(call: ApiCall): Promise<Json> {
    const name = topicOf(call);
    checkNew("topic", name);
    checkLabels(call.body);
    return await put(world, "topic", name, { ...call.body, name, state: "ACTIVE" });
  }

  /** Refuses what Google refuses of a subscription, made or changed. */
  function checkSubscription(subscription: Json): void {
    checkLabels(subscription);
    const deadTopic = textAt(subscription, "deadLetterPolicy", "deadLetterTopic");
    if (deadTopic !== "" && !hasTopic(deadTopic)) throw missing(notThere(deadTopic));
    const attempts = Number(at(subscription, "deadLetterPolicy", "maxDeliveryAttempts") ?? 5);
    if (deadTopic !== "" && !(attempts >= 5 && attempts <= 100)) {
      throw invalid(`Invalid max delivery attempts: ${attempts}. It must be between 5 and 100.`);
    }
    const ack = Number(at(subscription, "ackDeadlineSeconds") ?? 10);
    if (ack !== 0 && (ack < 10 || ack > 600)) throw invalid("The ack deadline must be between 10 and 600 seconds.");
    const retention = secondsOf(at(subscription, "messageRetentionDuration")) ?? 7 * DAY_S;
    if (retention < 600 || retention > 31 * DAY_S)
      throw invalid("The message retention must be between 10 minutes and 31 days.");
    const [least, most] = ["minimumBackoff", "maximumBackoff"].map((key) =>
      secondsOf(at(subscription, "retryPolicy", key)),
    );
    if ((least ?? 10) > (most ?? 600) || (most ?? 600) > 600)
      throw invalid("The backoff must be between 0 and 600 seconds.");
    checkPush(jsonAt(subscription, "pushConfig"));
  }

  function checkPush(config: Json): void {
    const endpoint = textAt(config, "pushEndpoint");
    if (endpoint === "") return;
    if (!/^https:\/\/[^/\s]+\.[a-z]+(\/|\?|$)/.test(endpoint)) {
      throw invalid(
        `Invalid push endpoint given (endpoint=${endpoint}). Refer to https://cloud.google.com/pubsub/docs/push for more information.`,
      );
    }
    const email = textAt(config, "oidcToken", "serviceAccountEmail");
    if (email === "") return;
    if (!hasAccount(world, email)) throw missing(`Service account ${email} does not exist.`);
    checkActAs(world, email);
  }

  const withDefaults = (subscription: Json): Json => ({
    pushConfig: {},
    ackDeadlineSeconds: 10,
    messageRetentionDuration: `${7 * DAY_S}s`,
    ...plain(subscription),
    expirationPolicy: at(subscription, "expirationPolicy") ?? { ttl: `${31 * DAY_S}s` },
    state: "ACTIVE",
  });

  async function createSubscription(call: ApiCall): Promise<Json> {
    const name = subscriptionOf(call);
    checkNew("subscription", name);
    const topic = textAt(call.body, "topic");
    if (!hasTopic(topic)) throw missing(notThere(topic));
    checkSubscription(call.body);
    return await put(world, "subscription", name, withDefaults({ ...call.body, name, topic }));
  }

  /** Only these can be changed. */
  const CHANGEABLE =
    /^(labels|ack_?deadline|message_?retention|push_?config|retry_?policy|dead_?letter_?policy|expiration_?policy|enable|retain|state|filter)/i;

  async function updateSubscription(call: ApiCall): Promise<Json> {
    const name = subscriptionOf(call);
    const before = need(world, "subscription", name, notThere(name));
    const mask = textAt(call.body, "updateMask").split(",");
    const fixed = mask.find((field) => !CHANGEABLE.test(field) || field === "filter");
    if (fixed !== undefined)
      throw invalid(
        `Invalid update_mask provided in the UpdateSubscriptionRequest: '${fixed}' is not a known Subscription field or cannot be changed.`,
      );
    const after = masked(before, jsonAt(call.body, "subscription"), mask);
    checkSubscription(after);
    return await put(world, "subscription", name, withDefaults(after));
  }

  async function deleteTopic(call: ApiCall): Promise<Json> {
    const name = topicOf(call);
    await remove(world, "topic", name, notThere(name));
    for (const [key, subscription] of state.resources.subscription) {
      if (textAt(subscription, "topic") === name)
        await put(world, "subscription", key, { ...subscription, topic: "_deleted-topic_" });
    }
    return {};
  }

  const topics = "v1/projects/{project}/topics";
  const subscriptions = "v1/projects/{project}/subscriptions";
  return {
    host: "pubsub",
    service: "pubsub.googleapis.com",
    title: "Cloud Pub/Sub API",
    routes: [
      route("PUT", `${topics}/{topic}`, "pubsub.topics.create", createTopic),
      route("GET", `${topics}/{topic}`, "pubsub.topics.get", (call) =>
        need(world, "topic", topicOf(call), notThere(topicOf(call))),
      ),
      route("PATCH", `${topics}/{topic}`, "pubsub.topics.update", async (call) => {
        const name = topicOf(call);
        const before = need(world, "topic", name, notThere(name));
        const after = masked(before, jsonAt(call.body, "topic"), textAt(call.body, "updateMask").split(","));
        checkLabels(after);
        return await put(world, "topic", name, after);
      }),
      route("DELETE", `${topics}/{topic}`, "pubsub.topics.delete", deleteTopic),
      route("GET", topics, "pubsub.topics.list", (call) =>
        page(call, "topics", listed(world, "topic", `projects/${call.project}/topics/`)),
      ),
      route("GET", `${topics}/{topic}/subscriptions`, "pubsub.topics.get", (call) => {
        need(world, "topic", topicOf(call), notThere(topicOf(call)));
        const of = listed(world, "subscription", "").filter((each) => textAt(each, "topic") === topicOf(call));
        return { subscriptions: of.map((each) => textAt(each, "name")) };
      }),
      route("POST", `${topics}/{topic}:publish`, "pubsub.topics.publish", async (call) => {
        need(world, "topic", topicOf(call), notThere(topicOf(call)));
        const messages = listAt(call.body, "messages").filter(isJson);
        if (messages.length === 0) throw invalid("The request contains no messages.");
        return { messageIds: await world.bridge.publish(topicOf(call), messages) };
      }),
      ...policyRoutes(world, `${topics}/{topic}`, "pubsub.topics", (call) => {
        need(world, "topic", topicOf(call), notThere(topicOf(call)));
        return `topic ${topicOf(call)}`;
      }),
      route("PUT", `${subscriptions}/{subscription}`, "pubsub.subscriptions.create", createSubscription),
      route("GET", `${subscriptions}/{subscription}`, "pubsub.subscriptions.get", (call) =>
        need(world, "subscription", subscriptionOf(call), notThere(subscriptionOf(call))),
      ),
      route("PATCH", `${subscriptions}/{subscription}`, "pubsub.subscriptions.update", updateSubscription),
      route("POST", `${subscriptions}/{subscription}:modifyPushConfig`, "pubsub.subscriptions.update", async (call) => {
        const name = subscriptionOf(call);
        const before = need(world, "subscription", name, notThere(name));
        checkPush(jsonAt(call.body, "pushConfig"));
        await put(world, "subscription", name, { ...before, pushConfig: jsonAt(call.body, "pushConfig") });
        return {};
      }),
      route("DELETE", `${subscriptions}/{subscription}`, "pubsub.subscriptions.delete", async (call) => {
        await remove(world, "subscription", subscriptionOf(call), notThere(subscriptionOf(call)));
        return {};
      }),
      route("GET", subscriptions, "pubsub.subscriptions.list", (call) =>
        page(call, "subscriptions", listed(world, "subscription", `projects/${call.project}/subscriptions/`)),
      ),
      ...policyRoutes(world, `${subscriptions}/{subscription}`, "pubsub.subscriptions", (call) => {
        need(world, "subscription", subscriptionOf(call), notThere(subscriptionOf(call)));
        return `subscription ${subscriptionOf(call)}`;
      }),
    ],
  };
}
