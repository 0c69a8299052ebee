/** Eventarc triggers as Cloud Functions makes them: each with a subscription of its own, and a topic for what a bucket says. */
import { createHash } from "node:crypto";
import { CloudError, invalid, missing } from "./errors.ts";
import { at, listAt, textAt, type Json } from "./json.ts";
import { policyOf } from "./policies.ts";
import { checkActAs, projectOf, put, stamp, type World } from "./world.ts";

const PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished";
const FINALIZED = "google.cloud.storage.object.v1.finalized";

function bucketOf(wanted: Json): string {
  const filter = listAt(wanted, "eventFilters").find((each) => textAt(each, "attribute") === "bucket");
  return textAt(filter, "value");
}

/** Refuses a trigger whose topic, bucket or account is not there, or that the bucket cannot tell. */
export function checkTrigger(world: World, project: string, wanted: Json): void {
  const { state } = world;
  const { apis, number } = projectOf(world, project);
  if (!apis.has("eventarc.googleapis.com"))
    throw new CloudError(
      "FAILED_PRECONDITION",
      `The API eventarc.googleapis.com is not enabled in project ${project}.`,
    );
  const email = textAt(wanted, "serviceAccountEmail");
  if (email !== "") checkActAs(world, email);
  const type = textAt(wanted, "eventType");
  if (type === PUBLISHED) {
    const topic = textAt(wanted, "pubsubTopic");
    if (!state.resources.topic.has(topic)) throw missing(`Topic ${topic} was not found.`);
    return;
  }
  if (type !== FINALIZED) throw invalid(`The fake has no triggers of the type ${type}.`);
  const bucket = state.resources.bucket.get(bucketOf(wanted));
  if (bucket === undefined) throw missing(`Bucket ${bucketOf(wanted)} was not found.`);
  const [there, asked] = [textAt(bucket, "location").toLowerCase(), textAt(wanted, "triggerRegion")];
  if (asked !== "" && there !== asked)
    throw invalid(
      `The bucket ${bucketOf(wanted)} is in ${there}, and the trigger in ${asked}: they must be in the same location.`,
    );
  const agent = `serviceAccount:service-${number}@gs-project-accounts.iam.gserviceaccount.com`;
  const may = policyOf(world, `project ${project}`).bindings.some(
    ({ role, members }) => role === "roles/pubsub.publisher" && members.includes(agent),
  );
  if (may) return;
  const message =
    "The Cloud Storage service account for your bucket is unable to publish to Cloud Pub/Sub topics in the specified project.\nTo use GCS CloudEvent triggers, the GCS service account requires the Pub/Sub Publisher (roles/pubsub.publisher) IAM role in the specified project.";
  throw new CloudError("FAILED_PRECONDITION", message);
}

/** Makes the trigger, or changes it where it is. The result is the function's `eventTrigger`. */
export async function makeTrigger(
  world: World,
  options: {
    readonly project: string;
    readonly location: string;
    /** The function's. */
    readonly short: string;
    readonly uri: string;
    readonly service: string;
    readonly wanted: Json;
  },
): Promise<Json> {
  const { project, location, short, uri, service, wanted } = options;
  const { state } = world;
  const type = textAt(wanted, "eventType");
  const region =
    textAt(wanted, "triggerRegion") ||
    (type === PUBLISHED ? location : textAt(state.resources.bucket.get(bucketOf(wanted)), "location").toLowerCase());
  const before = textAt(wanted, "trigger");
  const name =
    before !== ""
      ? before
      : `projects/${project}/locations/${region}/triggers/${short}-${digits(`${project} ${region} ${short}`)}`;
  const id = name.slice(name.lastIndexOf("/") + 1);
  const transport = `eventarc-${region}-${id}`;
  const subscription = `projects/${project}/subscriptions/${transport}-sub-000`;
  const topic = type === PUBLISHED ? textAt(wanted, "pubsubTopic") : `projects/${project}/topics/${transport}-000`;
  if (!state.resources.topic.has(topic)) {
    await put(world, "topic", topic, { name: topic, state: "ACTIVE" });
    await world.bridge.announce(bucketOf(wanted), topic);
  }
  const email =
    textAt(wanted, "serviceAccountEmail") ||
    `${projectOf(world, project).number}-compute@developer.gserviceaccount.com`;
  const mode = type === PUBLISHED ? `CUSTOM_PUBSUB_${topic}` : "GCS_NOTIFICATION";
  const retries = textAt(wanted, "retryPolicy") === "RETRY_POLICY_RETRY";
  if (!state.resources.subscription.has(subscription)) {
    await put(world, "subscription", subscription, {
      name: subscription,
      topic,
      pushConfig: {
        pushEndpoint: `${uri}?__GCP_CloudEventsMode=${encodeURIComponent(mode)}`,
        oidcToken: { serviceAccountEmail: email, audience: uri },
      },
      ackDeadlineSeconds: 10,
      messageRetentionDuration: "86400s",
      expirationPolicy: {},
      ...(retries && { retryPolicy: { minimumBackoff: "10s", maximumBackoff: "600s" } }),
      labels: { "goog-eventarc": "" },
      state: "ACTIVE",
    });
  }
  const eventFilters = [{ attribute: "type", value: type }, ...listAt(wanted, "eventFilters")];
  await put(world, "trigger", name, {
    name,
    createTime: stamp(world.now()),
    serviceAccount: email,
    eventFilters,
    destination: { cloudFunction: service.replace("/services/", "/functions/") },
    transport: { pubsub: { topic, subscription } },
  });
  return {
    retryPolicy: "RETRY_POLICY_DO_NOT_RETRY",
    ...wanted,
    trigger: name,
    triggerRegion: region,
    serviceAccountEmail: email,
  };
}

/** Six digits that Google makes up; here always the same ones. */
function digits(text: string): string {
  return String(createHash("sha256").update(text).digest().readUInt32BE(0) % 1_000_000).padStart(6, "0");
}

/** Takes a trigger away, with what was made for it. */
export async function dropTrigger(world: World, name: string): Promise<void> {
  const { state, bridge } = world;
  const trigger = state.resources.trigger.get(name);
  if (trigger === undefined) return;
  const subscription = textAt(at(trigger, "transport", "pubsub"), "subscription");
  const topic = textAt(at(trigger, "transport", "pubsub"), "topic");
  state.resources.trigger.delete(name);
  state.resources.subscription.delete(subscription);
  state.policies.delete(`subscription ${subscription}`);
  await bridge.changed("subscription", subscription, undefined);
  await bridge.changed("trigger", name, undefined);
  if (!topic.includes("/topics/eventarc-")) return;
  await world.bridge.unannounce(topic);
  state.resources.topic.delete(topic);
  await bridge.changed("topic", topic, undefined);
}
