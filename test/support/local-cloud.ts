/**
 * A cloud on one machine: Google's own emulators of Firestore and Pub/Sub, fakes that speak the protocols of Cloud Storage,
 * BigQuery, Cloud Tasks and Secret Manager, and every built function in a functions-framework process of its own, to which push
 * subscriptions deliver. Clouds with different projects can share the emulators.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "../../infra/build.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { switchSensor } from "../../lib/cli/switch-sensor.ts";
import type { LoadedModule } from "../../lib/core/collect.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { RunDocument } from "../../lib/core/documents.ts";
import type { StoredEvent } from "../../lib/core/events.ts";
import { DEAD_LETTERS, watchedBuckets } from "../../lib/core/subscriptions.ts";
import { bigqueryClient } from "../../lib/gcp/bigquery-client.ts";
import { bigqueryWarehouse } from "../../lib/gcp/bigquery-warehouse.ts";
import { firestoreClient } from "../../lib/gcp/firestore-client.ts";
import { firestoreEventStore } from "../../lib/gcp/firestore-event-store.ts";
import { gcsObjectStore } from "../../lib/gcp/storage-object-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import type { FakeBigquery } from "../fakes/fake-bigquery.ts";
import type { FakeGcs } from "../fakes/fake-gcs.ts";
import type { FakeSecret } from "../fakes/fake-secrets.ts";
import { STAGING, startCloudServices } from "./cloud-services.ts";
import type { Emulator, EmulatorKind } from "./emulators.ts";
import { openFrontDoor, PROBE } from "./local-cloud/front-door.ts";
import type { FrontDoor } from "./local-cloud/front-door.ts";
import { realGcloud } from "./local-cloud/gcloud.ts";
import { pubsubRest } from "./local-cloud/pubsub-rest.ts";
import type { PubsubRest, PulledMessage } from "./local-cloud/pubsub-rest.ts";
import { supervisor } from "./local-cloud/supervisor.ts";
import type { Supervisor } from "./local-cloud/supervisor.ts";
import { datasetsOf, wire } from "./local-cloud/wiring.ts";
import { everyPage } from "./pages.ts";
import { leftoversIn } from "./leftovers.ts";
import { temporaryProject } from "./sluice-command.ts";
import type { Rows } from "./parquet.ts";

// The SDKs would look for a machine of Google's.
process.env["METADATA_SERVER_DETECTION"] = "none";

export interface LocalCloudOptions {
  readonly emulators: Readonly<Record<EmulatorKind, Emulator>>;
  readonly project: string;
  /** What `functions/` holds: texts by their names. */
  readonly functions: Readonly<Record<string, string>>;
  readonly secrets?: ReadonlyMap<string, FakeSecret>;
  /** Of the runtime in the functions. */
  readonly settings?: { readonly leaseMs?: number; readonly renewMs?: number; readonly waitMs?: number };
}

export interface LocalCloud {
  readonly project: string;
  readonly definitions: Definitions;
  /** The author's modules as they were loaded. */
  readonly modules: readonly LoadedModule[];
  readonly gcs: FakeGcs;
  readonly bigquery: FakeBigquery;
  readonly events: EventStore;
  readonly warehouse: Warehouse;
  readonly door: FrontDoor;
  /** By the function's name, `asset-gitcoin-passport-scores`. */
  readonly functions: ReadonlyMap<string, Supervisor>;
  readonly pubsub: PubsubRest;
  /** Uploads the object; the bucket announces it by itself. */
  put(uri: string, bytes: Uint8Array | string): Promise<void>;
  /** Publishes, in new messages, what the bucket last said of the object. */
  announceAgain(uri: string): Promise<void>;
  /** Until it is called again with `true`, buckets announce nothing: their notifications get lost. */
  announcing(on: boolean): void;
  /** A subscription of an older deployment pushes to this path of a function still. */
  pushStale(path: string, functionName: string): void;
  /** What the scheduler sends to the function `reconcile`. */
  tick(): Promise<void>;
  /** The real gcloud, against this cloud's Pub/Sub. */
  gcloud(...args: readonly string[]): Promise<string>;
  startSensor(name: string): Promise<void>;
  /**
   * Resolves when no message is on its way and nothing is due within `patienceMs` (default 20 s). Rejects with what is left when
   * for minutes nothing has happened at all.
   */
  quiet(patienceMs?: number): Promise<void>;
  rows(sql: string): Promise<Rows>;
  history(): Promise<readonly StoredEvent[]>;
  allRuns(): Promise<readonly RunDocument[]>;
  /** Everything that finished work must not leave behind, one line each. */
  leftovers(): Promise<readonly string[]>;
  /** Messages that no function has taken. */
  deadLetters(): Promise<readonly PulledMessage[]>;
  /** The last lines of every function that was started. */
  logs(): string;
  close(): Promise<void>;
}

/** So long nothing may happen before a cloud counts as quiet. */
const CALM_MS = 400;
/** So long nothing may happen while something is under way: a function's start takes a second, and many on a busy machine. */
const GIVE_UP_MS = 180_000;

export async function openLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const { emulators, project } = options;
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let last = closing.pop(); last !== undefined; last = closing.pop()) await last();
  };
  try {
    return { ...(await open(options, closing)), close };
  } catch (error) {
    await close();
    throw new Error(`the local cloud ${project} at ${emulators.pubsub.host} did not start`, { cause: error });
  }
}

async function open(
  { emulators, project, functions: sources, secrets = new Map(), settings = {} }: LocalCloudOptions,
  closing: (() => Promise<void>)[],
): Promise<Omit<LocalCloud, "close">> {
  const clock = systemClock();
  const random = systemRandom();

  const author = temporaryProject(sources);
  closing.push(() => author.remove());
  const { definitions, problems, modules } = await functionsLoader(author.root).load();
  if (problems[0] !== undefined) throw problems[0];
  const dist = join(author.root, "dist");
  const { functions: built } = await build({ root: author.root, outDir: dist, definitions, modules });

  const listened = new Set(built.flatMap(({ unit }) => unit.subscriptions).map(({ topic }) => topic));
  const rest = pubsubRest(emulators.pubsub.host, project);
  /** What was published here, and is on its way until the door has seen it. */
  const sent: string[] = [];
  const pubsub: PubsubRest = {
    ...rest,
    async publish(topic, data, attributes) {
      const id = await rest.publish(topic, data, attributes);
      if (listened.has(topic)) sent.push(id);
      return id;
    },
  };
  let announces = true;
  const told = new Map<string, { readonly topic: string; readonly data: string; readonly attributes: Attributes }>();
  const buckets = watchedBuckets(definitions);
  const services = await startCloudServices({
    project,
    firestore: emulators.firestore.host,
    pubsub: emulators.pubsub.host,
    buckets,
    datasets: datasetsOf(definitions),
    secrets,
    async onNotification({ topic, data, attributes }) {
      const name = topic.slice(topic.lastIndexOf("/") + 1);
      told.set(`gs://${attributes["bucketId"]}/${attributes["objectId"]}`, { topic: name, data, attributes });
      if (announces) await pubsub.publish(name, data, attributes);
    },
  });
  closing.push(() => services.close());
  const { gcs, bigquery, tasks } = services;
  const config = JSON.stringify({ ...services.config, settings });
  const functions = new Map<string, Supervisor>();
  const byPath = new Map<string, Supervisor>();
  for (const { name, unit } of built) {
    const made = supervisor(dist, { SLUICE_FUNCTION: name, SLUICE_CONFIG: config });
    functions.set(name, made);
    for (const plan of unit.subscriptions) byPath.set(`/${plan.name}`, made);
    if (unit.kind === "reconcile") for (const path of [name, DEAD_LETTERS]) byPath.set(`/${path}`, made);
  }
  const door = await openFrontDoor((path) => byPath.get(path));
  closing.push(async () => {
    await Promise.all([...functions.values()].map((each) => each.kill()));
    await door.close();
  });

  const plans = built.flatMap(({ unit }) => unit.subscriptions);
  await wire({ project, definitions, plans, pubsub, doorUrl: door.url, storageUrl: gcs.url });
  await rest.createTopic(PROBE);
  await rest.subscribe({ name: PROBE, topic: PROBE, endpoint: `${door.url}/${PROBE}` });

  const objects = gcsObjectStore({ clock, random, projectId: project, apiEndpoint: gcs.url });
  const events = firestoreEventStore({
    client: firestoreClient({ projectId: project, emulatorHost: emulators.firestore.host }),
    clock,
    random,
    manifests: { objects, bucket: STAGING },
  });
  closing.push(() => events.close());
  const warehouse = bigqueryWarehouse({
    client: bigqueryClient({ project, endpoint: bigquery.url }),
    project,
    location: bigquery.location,
    clock,
    random,
  });
  const gcloudHome = join(author.root, "home");
  mkdirSync(gcloudHome);
  const gcloud = realGcloud(gcloudHome, project, emulators.pubsub.host);

  // The queue calls by itself what is due.
  const stopped = new AbortController();
  const delivering = (async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await tasks.deliver();
      await sleep(50);
    }
  })();
  closing.push(async () => {
    stopped.abort();
    await delivering;
  });

  const allRuns = (): Promise<readonly RunDocument[]> => everyPage((page) => events.runs(page));
  const tick = async (): Promise<void> => {
    const answer = await fetch(`${door.url}/reconcile`, { method: "POST" });
    if (!answer.ok) throw new Error(`reconcile answered ${answer.status}`);
  };
  /** Whether nothing came to a function while a message went through Pub/Sub, which may take its time with what functions publish. */
  const isPubsubEmpty = async (): Promise<boolean> => {
    const before = door.deliveries.length;
    const probe = await rest.publish(PROBE, "nothing");
    for (const giveUp = Date.now() + GIVE_UP_MS; !door.hasTaken(probe); await sleep(5)) {
      if (Date.now() > giveUp) throw new Error(`Pub/Sub delivered nothing for ${GIVE_UP_MS / 1000} s`);
    }
    return door.isIdle() && door.deliveries.length === before;
  };
  const logs = (): string =>
    [...functions]
      .filter(([, { log }]) => log().length > 0)
      .map(([name, { log }]) => `── ${name}\n${log().slice(-40).join("\n")}`)
      .join("\n");

  return {
    project,
    definitions,
    modules,
    gcs,
    bigquery,
    events,
    warehouse,
    door,
    functions,
    pubsub,
    async put(uri, bytes) {
      const [, bucket = "", name = ""] = /^gs:\/\/([^/]+)\/(.*)$/s.exec(uri) ?? [];
      await gcs.put(bucket, name, bytes);
    },
    async announceAgain(uri) {
      const notification = told.get(uri);
      if (notification === undefined) throw new Error(`${uri} was never announced`);
      const { topic, data, attributes } = notification;
      await pubsub.publish(topic, data, attributes);
    },
    announcing(on) {
      announces = on;
    },
    pushStale(path, name) {
      const made = functions.get(name);
      if (made === undefined) throw new Error(`there is no function ${name}`);
      byPath.set(path, made);
    },
    tick,
    gcloud,
    startSensor: (name) => switchSensor({ events, clock, random }, name, "running"),
    async quiet(patienceMs = 20_000) {
      const began = Date.now();
      for (;;) {
        await gcs.settled();
        const calmSince = Math.max(began, door.lastAt());
        const until = calmSince + patienceMs;
        const onTheirWay = sent.filter((id) => !door.hasTaken(id));
        sent.splice(0, sent.length, ...onTheirWay);
        const isCalm = door.isIdle() && onTheirWay.length === 0 && Date.now() - calmSince > CALM_MS;
        if (isCalm && (tasks.nextAt() ?? Infinity) > until) {
          const next = (await events.nextDue()) ?? Infinity;
          if (next > until && (await isPubsubEmpty())) return;
          // A deadline that has passed is the sweep's; one that will is waited for.
          if (next <= Date.now()) await tick();
        }
        if (Date.now() > calmSince + Math.max(patienceMs, GIVE_UP_MS)) {
          const open = (await allRuns()).filter(({ endedAt }) => endedAt === undefined);
          const left = open.map(({ name, partition, status, reason }) => `${name} ${partition} ${status} ${reason}`);
          throw new Error(
            `nothing has happened for ${Math.round((Date.now() - calmSince) / 1000)} s, but it is not quiet: ${left.join("; ")}\n${logs()}`,
          );
        }
        await sleep(40);
      }
    },
    async rows(sql) {
      const jobId = `test-${random.id()}`;
      await warehouse.submit(jobId, { kind: "query", sql }, {});
      const { error } = await warehouse.wait(jobId, { timeoutMs: 120_000 });
      if (error !== undefined) throw new Error(`${error.reason}: ${error.message}`);
      return await Array.fromAsync(warehouse.rows(jobId));
    },
    history: () => everyPage((page) => events.history({ order: "oldest", ...page })),
    allRuns,
    leftovers: () => leftoversIn({ definitions, events, warehouse }),
    deadLetters: () => pubsub.pull(DEAD_LETTERS),
    logs,
  };
}

type Attributes = Readonly<Record<string, string>>;
