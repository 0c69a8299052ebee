/** The runtime over Google Cloud's services. */
import type { Definitions } from "../core/definitions.ts";
import { bigqueryClient } from "../gcp/bigquery-client.ts";
import { bigqueryWarehouse } from "../gcp/bigquery-warehouse.ts";
import { firestoreClient } from "../gcp/firestore-client.ts";
import { firestoreEventStore } from "../gcp/firestore-event-store.ts";
import { pubsubBus } from "../gcp/pubsub-bus.ts";
import { secretManager } from "../gcp/secrets.ts";
import { gcsObjectStore } from "../gcp/storage-object-store.ts";
import { httpWebhooks } from "../local/http-webhooks.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import { createRuntime } from "../runtime/runtime.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { CloudConfig } from "./config.ts";
import { loggedEvents } from "./log.ts";
import type { StructuredLog } from "./log.ts";

export interface CloudRuntimeOptions {
  definitions(): Definitions;
  readonly log: StructuredLog;
  /** Told every secret that code is given, before it is. */
  secret(value: string): void;
}

/** Clients load and connect when they are first used, so a function that needs no bucket never loads its SDK. */
export function cloudRuntime(config: CloudConfig, { definitions, log, secret }: CloudRuntimeOptions): Runtime {
  const { project, region, location, database, stagingBucket, queue, taskAccount, topicPrefix } = config;
  const { endpoints, settings, schedules } = config;
  const { on, environment, consoleUrl } = config.alerts ?? { on: [], environment: "", consoleUrl: "" };
  const clock = systemClock();
  const random = systemRandom();
  const at = <N extends string>(name: N, value: string | undefined): { readonly [K in N]?: string } =>
    value === undefined ? {} : ({ [name]: value } as { readonly [K in N]?: string }); // the one name that it has
  const objects = gcsObjectStore({ clock, random, projectId: project, ...at("apiEndpoint", endpoints.storage) });
  const client = firestoreClient({
    projectId: project,
    databaseId: database,
    // Half the time to load, and no slower for the few calls of a run.
    preferRest: true,
    ...at("emulatorHost", endpoints.firestore),
  });
  const events = firestoreEventStore({ client, clock, random, manifests: { objects, bucket: stagingBucket } });
  const secrets = secretManager({ projectId: project, clock, ...at("emulatorHost", endpoints.secrets) });
  return createRuntime({
    objects,
    events: loggedEvents(events, log),
    warehouse: bigqueryWarehouse({
      client: bigqueryClient({ project, ...at("endpoint", endpoints.bigquery) }),
      project,
      location,
      clock,
      random,
    }),
    bus: pubsubBus({
      projectId: project,
      topicPrefix,
      tasks: { location: region, queue, serviceAccount: taskAccount, ...at("emulatorHost", endpoints.tasks) },
      ...at("emulatorHost", endpoints.pubsub),
    }),
    secrets: {
      async access(name) {
        const value = await secrets.access(name);
        secret(value);
        return value;
      },
    },
    clock,
    random,
    definitions,
    webhooks: httpWebhooks(),
    settings: {
      ...settings,
      stagingBucket,
      notices: on,
      environment,
      consoleUrl,
      ...(schedules === undefined ? {} : { schedules }),
    },
  });
}
