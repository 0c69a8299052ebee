/** What gcloud and bq print as JSON, as far as the plan reads it. */
import { z } from "zod";
import { PermanentError } from "../../lib/core/errors.ts";

const labels = z.record(z.string(), z.string()).optional();
export const projectSchema = z.looseObject({ projectNumber: z.coerce.string() });
export const functionSchema = z.looseObject({
  name: z.string(),
  state: z.string().optional(),
  labels,
  serviceConfig: z
    .looseObject({
      uri: z.string().optional(),
      serviceAccountEmail: z.string().optional(),
      ingressSettings: z.string().optional(),
    })
    .optional(),
  eventTrigger: z.looseObject({ trigger: z.string().optional() }).optional(),
});
export const triggerSchema = z.looseObject({
  name: z.string(),
  transport: z.looseObject({ pubsub: z.looseObject({ subscription: z.string().optional() }).optional() }).optional(),
});
export const topicSchema = z.looseObject({ name: z.string(), labels });
export const subscriptionSchema = z.looseObject({
  name: z.string(),
  topic: z.string(),
  labels,
  pushConfig: z
    .looseObject({
      pushEndpoint: z.string().optional(),
      oidcToken: z
        .looseObject({ serviceAccountEmail: z.string().optional(), audience: z.string().optional() })
        .optional(),
    })
    .optional(),
  ackDeadlineSeconds: z.int().optional(),
  messageRetentionDuration: z.string().optional(),
  expirationPolicy: z.looseObject({ ttl: z.string().optional() }).optional(),
  retryPolicy: z
    .looseObject({ minimumBackoff: z.string().optional(), maximumBackoff: z.string().optional() })
    .optional(),
  deadLetterPolicy: z
    .looseObject({ deadLetterTopic: z.string().optional(), maxDeliveryAttempts: z.int().optional() })
    .optional(),
});
export const jobSchema = z.looseObject({
  name: z.string(),
  schedule: z.string(),
  timeZone: z.string().optional(),
  pubsubTarget: z.looseObject({ topicName: z.string() }).optional(),
  httpTarget: z.looseObject({ uri: z.string().optional() }).optional(),
  description: z.string().optional(),
});
export const queueSchema = z.looseObject({
  name: z.string(),
  rateLimits: z
    .looseObject({ maxDispatchesPerSecond: z.number().optional(), maxConcurrentDispatches: z.number().optional() })
    .optional(),
  retryConfig: z
    .looseObject({
      maxAttempts: z.number().optional(),
      minBackoff: z.string().optional(),
      maxBackoff: z.string().optional(),
    })
    .optional(),
});
export const accountSchema = z.looseObject({
  email: z.string(),
  displayName: z.string().optional(),
  description: z.string().optional(),
});
export const bucketSchema = z.looseObject({ name: z.string(), location: z.string() });
export const datasetSchema = z.looseObject({
  datasetReference: z.looseObject({ datasetId: z.string() }),
  location: z.string().optional(),
});
export const notificationSchema = z.looseObject({
  "Bucket URL": z.string(),
  "Notification Configuration": z.looseObject({
    id: z.coerce.string(),
    topic: z.string(),
    event_types: z.array(z.string()).optional(),
    payload_format: z.string().optional(),
  }),
});
export const databaseSchema = z.looseObject({ name: z.string(), locationId: z.string().optional() });
export const indexSchema = z.looseObject({
  name: z.string(),
  fields: z.array(z.looseObject({ fieldPath: z.string(), order: z.string().optional() })),
});
export const fieldSchema = z.looseObject({
  name: z.string(),
  indexConfig: z
    .looseObject({
      indexes: z
        .array(z.looseObject({ fields: z.array(z.looseObject({ arrayConfig: z.string().optional() })).optional() }))
        .optional(),
    })
    .optional(),
});
export const serviceSchema = z.looseObject({ config: z.looseObject({ name: z.string() }) });

/** Nothing at all is an empty list. */
export function listOf<S extends z.ZodType>(id: string, text: string, schema: S): z.output<S>[] {
  if (text.trim() === "") return [];
  return oneOf(id, text, z.array(schema));
}

/** Throws `PermanentError` for what the tool does not print. */
export function oneOf<S extends z.ZodType>(id: string, text: string, schema: S): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PermanentError(`the list of ${id} is not JSON: ${text.trim().slice(0, 100)}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PermanentError(
    `the list of ${id} is not what gcloud prints: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
  );
}

export type PrintedSubscription = z.output<typeof subscriptionSchema>;
