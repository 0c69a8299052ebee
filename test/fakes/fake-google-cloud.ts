/**
 * A fake of Google Cloud's control plane: one HTTP server on loopback that answers the unmodified `gcloud` and `bq` as the APIs do
 * that a deployment needs. It keeps state, checks what resources refer to, permissions, names, quotas and etags, and fails on demand.
 *
 *     const cloud = await startGoogleCloud({ project: "p", buckets: { drops: "EU" } });
 *     execFile("gcloud", ["pubsub", "topics", "create", "t"], { env: cloud.env });
 *     cloud.state.resources.topic.get("projects/p/topics/t");  // also cloud.snapshot(): all of it, comparable
 *     cloud.faults.add({ match: /^PUT pubsub/, fault: 503, times: 2 });      // or 429, "reset-before", "reset-after", { slowMs }
 *     cloud.faults.randomly({ seed: 7, rate: 0.1, kinds: [429, 503] });
 *     cloud.requests;  // all that came: method, api, path, body, status
 *     cloud.unknown;   // what it did not know: a test asserts that this is empty
 *     await cloud.close();
 *
 * Without `run`, messages are kept in memory and functions are only entries. With `run: { pubsub, firestore }` (hosts of the emulators)
 * deployed functions are processes that run the uploaded source: `gcloud pubsub topics publish` and `cloud.gcs.put(bucket, name, bytes)`
 * then do what they do in the cloud; `cloud.live.logs()`, `cloud.live.deliveries`, `cloud.live.bigquery`, `cloud.live.endpoints`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { artifactRegistry } from "./google-cloud/apis/artifact-registry.ts";
import { bigquery } from "./google-cloud/apis/bigquery.ts";
import { firestore } from "./google-cloud/apis/firestore.ts";
import { functions } from "./google-cloud/apis/functions.ts";
import { iam } from "./google-cloud/apis/iam.ts";
import { pubsub } from "./google-cloud/apis/pubsub.ts";
import { resourceManager } from "./google-cloud/apis/resource-manager.ts";
import { run } from "./google-cloud/apis/run.ts";
import { scheduler } from "./google-cloud/apis/scheduler.ts";
import { addSecret, secrets } from "./google-cloud/apis/secrets.ts";
import { serviceUsage } from "./google-cloud/apis/service-usage.ts";
import { cloudBuild, eventarc, logging } from "./google-cloud/apis/smaller.ts";
import { announce, storage, unannounce } from "./google-cloud/apis/storage.ts";
import { tasks } from "./google-cloud/apis/tasks.ts";
import { cloudEnvironment } from "./google-cloud/environment.ts";
import { faultsOnDemand, type Faults } from "./google-cloud/faults.ts";
import type { LiveCloud, RunOptions } from "./google-cloud/live/cloud.ts";
import { operations } from "./google-cloud/operations.ts";
import { startControlServer, type SeenRequest } from "./google-cloud/server.ts";
import { shortfallsOf } from "./google-cloud/shortfalls.ts";
import { emptyState, snapshotOf, type CloudState } from "./google-cloud/state.ts";
import { put, type Bridge, type Quotas, type World } from "./google-cloud/world.ts";
import { startFakeGcs, type FakeGcs } from "./fake-gcs.ts";

export interface GoogleCloudOptions {
  readonly project: string;
  /** Default `123456789012`. */
  readonly projectNumber?: string;
  /** Whether the project has billing. Default yes. */
  readonly billing?: boolean;
  /** Buckets that are there from the start, by name, with their locations. */
  readonly buckets?: Readonly<Record<string, string>>;
  /** APIs that are enabled from the start, `pubsub.googleapis.com`. Default: what Google enables in a new project. */
  readonly apis?: readonly string[];
  readonly quotas?: Partial<Quotas>;
  /** A fresh service account cannot be seen for so long (ms), and for so many looks. Default 0 and 0. */
  readonly freshAccounts?: { readonly ms?: number; readonly looks?: number };
  /** The time of quotas, delays and stamps (ms). */
  readonly now?: () => number;
  /** How long an API is still disabled after it was enabled (ms). Default 0. */
  readonly apiDelayMs?: number;
  /** How long building a function takes (ms). Default 0: it is done when it is first asked for. */
  readonly buildMs?: number;
  /** How long an index or a field of Firestore takes (ms). Default 0. */
  readonly indexMs?: number;
  /** Makes deployed functions run, on the emulators of Pub/Sub and Firestore. */
  readonly run?: RunOptions;
  /** Secrets that are there from the start. */
  readonly secrets?: readonly string[];
}

export interface GoogleCloud {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly project: string;
  /**
   * For gcloud and bq: whatever they ask for ends here. It holds `PATH` and `HOME`, and nothing else of this process. Throws on a
   * machine without gcloud.
   */
  readonly env: Readonly<Record<string, string>>;
  readonly state: CloudState;
  /** All that is there, without what Google makes up: equal after equal deployments. */
  snapshot(): Readonly<Record<string, unknown>>;
  readonly requests: readonly SeenRequest[];
  /** Requests that no API of the fake knows. */
  readonly unknown: readonly string[];
  readonly faults: Faults;
  readonly quotas: Quotas;
  /** What the deployer may not do: `pubsub.topics.create`, or with a space and the resource behind it. */
  readonly denied: Set<string>;
  /** Messages that were published, by topic (`projects/P/topics/T`). */
  readonly published: ReadonlyMap<string, readonly unknown[]>;
  readonly gcs: FakeGcs;
  /** With `run` only. */
  readonly live: LiveCloud | undefined;
  /** What would stay undone in the cloud for want of a permission, one line each: pushes, dead letters, scheduled calls. */
  shortfalls(): readonly string[];
  /** From now on builds, indexes and the like stay under way, until the returned function is called. */
  hold(): () => void;
  /** Resolves once no long-running operation is under way. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Where gcloud uploads the source of a function that has no bucket of its own. */
const UPLOADS = "gcf-v2-uploads";

const NEW_PROJECT = [
  "bigquery",
  "bigquerystorage",
  "cloudapis",
  "datastore",
  "logging",
  "monitoring",
  "servicemanagement",
  "serviceusage",
  "sql-component",
  "storage",
  "storage-api",
  "storage-component",
];

/** Starts it. */
export async function startGoogleCloud(options: GoogleCloudOptions): Promise<GoogleCloud> {
  const { project, projectNumber = "123456789012", billing = true, buckets = {} } = options;
  const apis = options.apis ?? NEW_PROJECT.map((name) => `${name}.googleapis.com`);
  const folder = mkdtempSync(join(tmpdir(), "fake-google-cloud-"));
  const state = emptyState();
  state.projects.set(project, {
    id: project,
    number: projectNumber,
    billing,
    apis: new Map(apis.map((api) => [api, 0])),
  });
  const published = new Map<string, unknown[]>();
  let live: LiveCloud | undefined;
  const bridge: Bridge = {
    changed: async (kind, name, value) => await live?.changed(kind, name, value),
    request: async (target) => await live?.request(target),
    announce: (bucket, topic) => announce(state, gcs, bucket, topic),
    unannounce: (topic) => unannounce(state, gcs, topic),
    async publish(topic, messages) {
      const before = published.get(topic) ?? [];
      published.set(topic, [...before, ...messages]);
      return await (live?.publish(topic, messages) ?? messages.map((_, index) => String(before.length + index + 1)));
    },
  };
  const world: World = {
    state,
    now: options.now ?? Date.now,
    operations: operations(),
    quotas: { functionWritesPerMinute: 60, functions: 1000, serviceAccounts: 100, schedules: 1000, ...options.quotas },
    denied: new Set(),
    freshAccounts: { ms: 0, looks: 0, ...options.freshAccounts },
    bridge,
  };
  const gcs = await startFakeGcs({
    onNotification: async ({ topic, data, attributes }) => {
      // What goes to a topic that is gone is lost.
      if (state.resources.topic.has(topic))
        await bridge.publish(topic, [{ data: Buffer.from(data).toString("base64"), attributes }]);
    },
  });
  for (const [name, location] of Object.entries(buckets)) {
    gcs.createBucket(name, location.toLowerCase());
    const iamConfiguration = { publicAccessPrevention: "enforced", uniformBucketLevelAccess: { enabled: true } };
    await put(world, "bucket", name, {
      location: location.toUpperCase(),
      metageneration: "1",
      etag: "CAE=",
      iamConfiguration,
    });
  }
  gcs.createBucket(UPLOADS, "europe-west1");
  if (options.run !== undefined) {
    // It brings an engine along, which others need not wait for.
    const { startLiveCloud } = await import("./google-cloud/live/cloud.ts");
    live = await startLiveCloud({ ...options.run, project, gcs, world });
  }
  for (const id of options.secrets ?? []) await addSecret(world, project, id);
  const faults = faultsOnDemand();
  const server = await startControlServer({
    world,
    faults,
    defaultProject: project,
    apis: [
      serviceUsage(world, { delayMs: options.apiDelayMs ?? 0 }),
      resourceManager(world),
      iam(world),
      pubsub(world),
      storage(world, gcs),
      functions(world, { gcs, buildMs: options.buildMs ?? 0, uploadBucket: UPLOADS }),
      run(world),
      scheduler(world),
      tasks(world),
      firestore(world, { indexMs: options.indexMs ?? 0 }),
      artifactRegistry(world),
      secrets(world),
      bigquery(world, { jobsUrl: live?.bigquery.url }),
      eventarc(world),
      cloudBuild(world),
      logging(world, (name) => live?.functions.get(name)?.log() ?? []),
    ],
  });

  let env: GoogleCloud["env"] | undefined;
  return {
    url: server.url,
    project,
    get env() {
      return (env ??= cloudEnvironment({ folder, url: server.url, project }));
    },
    state,
    snapshot: () => snapshotOf(state),
    requests: server.requests,
    unknown: server.unknown,
    faults,
    quotas: world.quotas,
    denied: world.denied,
    published,
    gcs,
    live,
    shortfalls: () => shortfallsOf(world, project),
    hold: world.operations.hold,
    settled: () => world.operations.settled(),
    async close() {
      world.operations.close();
      await server.close();
      await live?.close();
      await gcs.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
