/**
 * Everything of Google Cloud that a deployed function talks to, on this machine: the official emulators of Firestore and Pub/Sub,
 * and fakes of Storage, BigQuery, Cloud Tasks and Secret Manager; with the `SLUICE_CONFIG` that leads a function there.
 */
import { startFakeBigquery, type FakeBigquery } from "../fakes/fake-bigquery.ts";
import { fileOfUri, startFakeGcs, type FakeGcs, type FakeGcsOptions } from "../fakes/fake-gcs.ts";
import { startFakeSecrets, type FakeSecret, type FakeSecrets } from "../fakes/fake-secrets.ts";
import { startFakeTasks, type FakeTasks } from "../fakes/fake-tasks.ts";

export const PROJECT = "sluice-test";
const REGION = "europe-west1";
export const STAGING = "sluice-staging";

export interface CloudServices {
  readonly gcs: FakeGcs;
  readonly bigquery: FakeBigquery;
  readonly tasks: FakeTasks;
  readonly secrets: FakeSecrets;
  /** What the environment variable `SLUICE_CONFIG` says. */
  readonly config: Readonly<Record<string, unknown>>;
  createTopic(name: string): Promise<void>;
  close(): Promise<void>;
}

export interface CloudServicesOptions {
  /** Default `PROJECT`. */
  readonly project?: string;
  /** `host:port` of the emulators; without them, nothing listens at their addresses. */
  readonly firestore?: string;
  readonly pubsub?: string;
  readonly buckets?: readonly string[];
  readonly datasets?: readonly string[];
  readonly secrets?: ReadonlyMap<string, FakeSecret>;
  readonly database?: string;
  /** Gets each message of a bucket's notification configs. */
  readonly onNotification?: FakeGcsOptions["onNotification"];
}

/** A port at which nobody answers. */
const NOWHERE = "127.0.0.1:9";

export async function startCloudServices(options: CloudServicesOptions = {}): Promise<CloudServices> {
  const { firestore = NOWHERE, pubsub = NOWHERE, buckets = [], datasets = [], database } = options;
  const { project = PROJECT, onNotification } = options;
  const gcs = await startFakeGcs({
    buckets: [...buckets, STAGING],
    ...(onNotification !== undefined && { onNotification }),
  });
  const bigquery = await startFakeBigquery({ project, datasets, resolveUri: fileOfUri(gcs) });
  const queue = `projects/${project}/locations/${REGION}/queues/sluice`;
  const tasks = await startFakeTasks({ clock: Date, queues: [queue] });
  const secrets = await startFakeSecrets(project, options.secrets ?? new Map());
  return {
    gcs,
    bigquery,
    tasks,
    secrets,
    config: {
      project,
      region: REGION,
      location: bigquery.location,
      stagingBucket: STAGING,
      queue: "sluice",
      taskAccount: `tasks@${project}.iam.gserviceaccount.com`,
      ...(database === undefined ? {} : { database }),
      endpoints: {
        storage: gcs.url,
        bigquery: bigquery.url,
        pubsub,
        firestore,
        tasks: tasks.host,
        secrets: secrets.host,
      },
    },
    async createTopic(name) {
      const url = `http://${pubsub}/v1/projects/${project}/topics/${encodeURIComponent(name)}`;
      const answer = await fetch(url, { method: "PUT", headers: { "content-type": "application/json" }, body: "{}" });
      if (!answer.ok && answer.status !== 409) throw new Error(`topic ${name}: ${await answer.text()}`);
      await answer.body?.cancel();
    },
    async close() {
      await Promise.all([gcs.close(), bigquery.close(), tasks.close(), secrets.close()]);
    },
  };
}
