/**
 * The work done by a deployment: its history is read where it is, requests are messages to its topics, and its functions do the
 * rest. Nothing of an asset is run here. Definitions are those of this checkout.
 */
import { queueNameOf } from "../../infra/names.ts";
import { withDatasetSuffix } from "../core/dataset-suffix.ts";
import type { Collected } from "../core/collect.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import { operationsOf } from "../runtime/operations.ts";
import { defaultSettings } from "../runtime/services.ts";
import { catalogOf } from "./catalog.ts";
import { environmentOf } from "./environment-file.ts";
import { endpointsOf, given } from "./gcp-address.ts";
import { gcpObjects, gcpWarehouse, requireCredentials } from "./gcp-ports.ts";
import { gcpQuery } from "./gcp-query.ts";
import { functionsLoader } from "./load-functions.ts";
import type { LoadedFunctions } from "./load-functions.ts";
import { MAX_BYTES } from "./max-bytes.ts";
import type { Shell } from "./shell.ts";
import { UsageError } from "./usage-error.ts";
import { BIGQUERY_SLACK_MS } from "./workbench.ts";
import type { Workbench } from "./workbench.ts";

export interface DeploymentAddress {
  /** The environment. */
  readonly env: string;
  /** Another project than the environment's own. */
  readonly gcpProject?: string;
}

/**
 * Throws `UsageError` and `DefinitionError` for an environment that is not there, and `PermanentError` (`unauthenticated`) without
 * credentials.
 */
export async function deployedWorkbench(shell: Shell, { env, gcpProject }: DeploymentAddress): Promise<Workbench> {
  const { environment } = await environmentOf(shell, env, { project: gcpProject });
  const { name, project, region, location, database, namePrefix, datasetSuffix, stagingBucket } = environment;
  const endpoints = endpointsOf();
  const address = { project, endpoints };
  // Emulators are spoken to without any.
  if (endpoints.firestore === undefined) await requireCredentials({ project, endpoints: {} });
  const { firestoreClient } = await import("../gcp/firestore-client.ts");
  const { firestoreEventStore } = await import("../gcp/firestore-event-store.ts");
  const { pubsubBus } = await import("../gcp/pubsub-bus.ts");
  const { switchSensor } = await import("./switch-sensor.ts");

  const clock = systemClock();
  const random = systemRandom();
  const objects = await gcpObjects(address);
  const client = firestoreClient({
    projectId: project,
    databaseId: database,
    preferRest: true,
    ...given("emulatorHost", endpoints.firestore),
  });
  const events = firestoreEventStore({ client, clock, random, manifests: { objects, bucket: stagingBucket } });
  const bus = pubsubBus({
    projectId: project,
    topicPrefix: namePrefix,
    // Nothing is delayed from here.
    tasks: { location: region, queue: queueNameOf(namePrefix), serviceAccount: "" },
    ...given("emulatorHost", endpoints.pubsub),
  });
  let asking: ReturnType<typeof gcpWarehouse> | undefined;
  const asked = () => (asking ??= gcpWarehouse({ ...address, location, maximumBytesBilled: MAX_BYTES }));

  let reading: Promise<LoadedFunctions> | undefined;
  const authored = (): Promise<LoadedFunctions> => (reading ??= functionsLoader(shell.project).load());
  let loading: Promise<Collected> | undefined;
  const load = (): Promise<Collected> =>
    (loading ??= authored().then(({ definitions, ...rest }) => ({
      ...rest,
      definitions: withDatasetSuffix(definitions, datasetSuffix),
    })));
  const operations = async () => {
    const { definitions } = await load();
    const settings = { ...defaultSettings, stagingBucket };
    const canceling = new Map<string, () => void>();
    return operationsOf({ events, bus, objects, clock, random, definitions: () => definitions, settings, canceling });
  };

  return {
    remote: true,
    deployment: name,
    store: events,
    catalog: async () => catalogOf(await load()),
    async differing() {
      // What emulators know of runs was deployed by nobody.
      if (endpoints.firestore !== undefined && endpoints.storage === undefined) return new Map();
      const { differingCode } = await import("./deployed-code.ts");
      return await differingCode({ root: shell.project, loaded: await authored(), objects, environment });
    },
    publish: (topic, { data, attributes }) => bus.publishRaw(topic, data, attributes),
    put() {
      throw new UsageError(
        `objects of ${name} are uploaded with gcloud storage cp: the bucket tells of them by itself`,
      );
    },
    query: async (sql, signal) => await gcpQuery(await asked(), sql, signal),
    tables: {
      slackMs: BIGQUERY_SLACK_MS,
      changes: async (table) => await (await asked()).changes(table),
      endOf: async (jobId) => await (await asked()).endOf(jobId),
    },
    switchSensor: (sensor, status) => switchSensor({ events, clock, random }, sensor, status),
    operations: {
      cancel: async (run, reason) => await (await operations()).cancel(run, reason),
      pause: async (asset, reason) => await (await operations()).pause(asset, reason),
      resume: async (asset) => await (await operations()).resume(asset),
      replayDeadLetter: async (id) => await (await operations()).replayDeadLetter(id),
    },
    // Its functions deliver what there is, whoever waits here.
    settle: async () => {},
    async close() {
      await Promise.all([events.close(), bus.close()]);
    },
  };
}
