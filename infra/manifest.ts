/**
 * The manifest: all that a deployment consists of, as plain JSON that people review. It is compiled from the definitions and an
 * environment; the plan compares it with what is there. Everything in it is sorted, so that equal definitions give equal bytes.
 */
import { z } from "zod";

export const MANIFEST_VERSION = 1;

/** What a deployment puts the hash of a function's code and configuration into. */
export const HASH_LABEL = "sluice-hash";

const labels = z.record(z.string(), z.string());
const reasons = z.array(z.string().min(1)).min(1);
const seconds = z.int().positive();

const triggerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("topic"), topic: z.string(), retry: z.literal(true), account: z.string() }),
  z.strictObject({
    kind: z.literal("finalize"),
    filters: z.strictObject({ type: z.literal("google.cloud.storage.object.v1.finalized"), bucket: z.string() }),
    /** A trigger is where its bucket is. */
    location: z.string(),
    retry: z.literal(true),
    account: z.string(),
  }),
]);

const functionSchema = z.strictObject({
  name: z.string(),
  /** As the build has it: `asset gitcoin/passport_scores`. */
  unit: z.string(),
  kind: z.enum(["asset", "job", "sensor", "bucket", "reconcile"]),
  entryPoint: z.string(),
  runtime: z.string(),
  env: z.record(z.string(), z.string()),
  memory: z.string(),
  cpu: z.number(),
  timeoutSeconds: seconds,
  concurrency: z.int(),
  minInstances: z.int(),
  maxInstances: z.int(),
  serviceAccount: z.string(),
  ingress: z.literal("internal-only"),
  /** Secrets that have to be there. They are read when a run starts, and none is mounted. */
  secrets: z.array(z.string()),
  labels,
  /** In gcloud's standard form only. */
  trigger: triggerSchema.exactOptional(),
});

const subscriptionSchema = z.strictObject({
  name: z.string(),
  topic: z.string(),
  /** The function's own address is known once it is deployed; it is the audience of the token as well. */
  push: z.strictObject({ function: z.string(), path: z.string(), account: z.string() }),
  /** What it cannot deliver is a dead letter already, and is not laid aside again. */
  lastStop: z.literal(true).exactOptional(),
  labels,
});

const scheduleSchema = z.strictObject({
  name: z.string(),
  /** Five fields. */
  cron: z.string(),
  timeZone: z.string(),
  target: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("topic"), topic: z.string(), message: z.json() }),
    /** A POST without a body to the function's own address. */
    z.strictObject({ kind: z.literal("function"), function: z.string(), account: z.string() }),
  ]),
  about: z.string(),
});

const resourceSchema = z.strictObject({
  /** `trigger`: the subscription that the function's trigger has made. */
  kind: z.enum([
    "project",
    "bucket",
    "dataset",
    "topic",
    "subscription",
    "queue",
    "secret",
    "account",
    "function",
    "trigger",
  ]),
  name: z.string(),
  /** Where that is not the environment's own. */
  project: z.string().exactOptional(),
});

const bindingSchema = z.strictObject({
  resource: resourceSchema,
  role: z.string().startsWith("roles/"),
  /** `{number:PROJECT}` stands for that project's number, which only the cloud knows. */
  member: z.string().regex(/^serviceAccount:[^\s]+@[^\s]+$/),
  condition: z.strictObject({ title: z.string().max(100), expression: z.string() }).exactOptional(),
  reasons,
});

export type Binding = z.output<typeof bindingSchema>;
export type Resource = z.output<typeof resourceSchema>;

const firestoreIndex = z.strictObject({
  collectionGroup: z.string(),
  queryScope: z.literal("COLLECTION"),
  fields: z.array(z.strictObject({ fieldPath: z.string(), order: z.enum(["ASCENDING", "DESCENDING"]) })),
});
const ofField = { collectionGroup: z.string(), fieldPath: z.string() };
const firestoreField = z.union([
  z.strictObject({
    ...ofField,
    indexes: z.array(z.strictObject({ queryScope: z.literal("COLLECTION"), arrayConfig: z.literal("CONTAINS") })),
  }),
  /** Documents go when this time has passed. */
  z.strictObject({ ...ofField, ttl: z.literal(true) }),
]);

export const manifestSchema = z.strictObject({
  version: z.literal(MANIFEST_VERSION),
  environment: z.strictObject({
    name: z.string(),
    project: z.string(),
    region: z.string(),
    location: z.string(),
    triggers: z.enum(["push", "eventarc"]),
    namePrefix: z.string(),
    datasetSuffix: z.string(),
  }),
  apis: z.array(z.string()),
  accounts: z.array(z.strictObject({ name: z.string(), email: z.string(), about: z.string() })),
  build: z.strictObject({ account: z.string() }),
  /** Where functions' source is uploaded to, and where what was deployed last is kept. No function may read or write there. */
  deployment: z.strictObject({ bucket: z.string() }),
  functions: z.array(functionSchema),
  topics: z.array(z.strictObject({ name: z.string(), labels })),
  /** How every subscription is set: our own, and those that gcloud's triggers make. */
  delivery: z.strictObject({
    ackDeadlineSeconds: seconds,
    retentionSeconds: seconds,
    minBackoffSeconds: seconds,
    maxBackoffSeconds: seconds,
    deadLetterTopic: z.string(),
    maxDeliveryAttempts: seconds,
    neverExpires: z.literal(true),
  }),
  subscriptions: z.array(subscriptionSchema),
  /** Where messages lie that were delivered in vain, until somebody looks at them. */
  deadLetters: z.array(
    z.strictObject({ topic: z.string(), subscription: z.string(), retentionSeconds: seconds, labels }),
  ),
  queues: z.array(
    z.strictObject({
      name: z.string(),
      maxDispatchesPerSecond: z.int(),
      maxConcurrentDispatches: z.int(),
      minBackoffSeconds: seconds,
      maxBackoffSeconds: seconds,
      /** -1: for ever. */
      maxAttempts: z.int(),
    }),
  ),
  schedules: z.array(scheduleSchema),
  notifications: z.array(
    z.strictObject({
      bucket: z.string(),
      topic: z.string(),
      eventTypes: z.array(z.literal("OBJECT_FINALIZE")),
      payloadFormat: z.literal("json"),
      project: z.string().exactOptional(),
    }),
  ),
  datasets: z.array(
    z.strictObject({
      name: z.string(),
      location: z.string(),
      defaultTableExpirationSeconds: seconds.exactOptional(),
      reasons,
    }),
  ),
  buckets: z.array(
    z.strictObject({
      name: z.string(),
      location: z.string(),
      uniformAccess: z.literal(true),
      publicAccessPrevention: z.literal(true),
      /** How long what was deleted or replaced can be had back; 0: not at all. */
      softDeleteDays: z.int().nonnegative(),
      lifecycle: z.array(
        z.strictObject({
          action: z.enum(["Delete", "AbortIncompleteMultipartUpload"]),
          ageDays: z.int(),
          matchesSuffix: z.array(z.string()).exactOptional(),
        }),
      ),
      reasons,
    }),
  ),
  firestore: z.strictObject({
    database: z.string(),
    location: z.string(),
    indexes: z.array(firestoreIndex),
    fields: z.array(firestoreField),
  }),
  /** The repository of built images. A policy file as gcloud reads it. */
  images: z.strictObject({ repository: z.string(), location: z.string(), policies: z.array(z.json()) }),
  bindings: z.array(bindingSchema),
  /** On other projects: their owners have to grant these. */
  foreignBindings: z.array(bindingSchema),
  /** What definitions ask for, and this environment may not do. */
  withheld: z.array(z.strictObject({ unit: z.string(), access: z.string(), reason: z.string() })),
});

export type Manifest = z.output<typeof manifestSchema>;

/** As it is committed. */
export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, undefined, 2)}\n`;
}
