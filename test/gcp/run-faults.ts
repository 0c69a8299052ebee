/**
 * One whole run by the real runtime over the adapters of Google Cloud, with a fault at one of its calls, and whatever the
 * transports do then: a message that was not acknowledged comes again, a sleeper is woken when it is due, and the sweep looks
 * at what was left. In the end nothing may be lost, doubled, or left over.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { PassThroughClient } from "google-auth-library";
import { asset, bigqueryTable, intervalGcsImportAsset } from "sluice";
import { z } from "zod";
import { bucketTopicOf, materializedTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { slotRef } from "../../lib/core/slot.ts";
import type { TableRef } from "../../lib/core/table.ts";
import { bigqueryClient } from "../../lib/gcp/bigquery-client.ts";
import { bigqueryWarehouse } from "../../lib/gcp/bigquery-warehouse.ts";
import { gcsObjectStore } from "../../lib/gcp/storage-object-store.ts";
import { systemRandom } from "../../lib/local/system-clock.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { MessageBus } from "../../lib/ports/message-bus.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { subscriptionsOf } from "../../lib/core/subscriptions.ts";
import type { Consumer, SubscriptionPlan } from "../../lib/core/subscriptions.ts";
import type { Incoming } from "../../lib/runtime/envelope.ts";
import { startFakeBigquery } from "../fakes/fake-bigquery.ts";
import { fileOfUri, startFakeGcs } from "../fakes/fake-gcs.ts";
import { definitionsOf } from "../support/import-world.ts";
import { openDuck } from "../support/parquet.ts";
import { faultInjector } from "./run-faults-injector.ts";
import type { Injection, Injector, WorkCall } from "./run-faults-injector.ts";

// The clients would look for a machine of Google's.
process.env["METADATA_SERVER_DETECTION"] = "none";

export const PROJECT = "sluice-test";
export const STAGING = "sluice-staging";

/** How many times faster the runtime's clock is, so that pauses between tries take little of a test's time. */
export const HASTE = 50;

/** A clock in a hurry, which a test moves on when nothing is left to wait for. */
export interface HastyClock extends Clock {
  jump(ms: number): void;
}

/** What the runs' documents are kept in, and what their messages go by. */
export interface Backbone {
  readonly events: EventStore;
  /** The same store, past all faults. */
  readonly look: EventStore;
  readonly bus: MessageBus;
  /** Publishes past all faults. */
  publish(topic: string, data: unknown): Promise<void>;
  /** Makes the topics and subscriptions of these plans, and those topics that are only watched. */
  subscribe(plans: readonly SubscriptionPlan[]): Promise<void>;
  /** Every message that waits now. One that is not acknowledged comes again. */
  take(): Promise<readonly Taken[]>;
  /** Delivers the delayed messages that are due. */
  deliverDue(): Promise<void>;
  /** When the next delayed message is due (ms). */
  nextAt(): number | undefined;
  /** How often in a row nothing may be there to take before nothing is on its way any more. */
  readonly patience: number;
  close(): Promise<void>;
}

export interface Taken {
  readonly subscription: string;
  readonly consumer: Consumer;
  readonly incoming: Incoming;
  settle(acknowledged: boolean): Promise<void>;
}

export interface BackboneOptions {
  readonly clock: HastyClock;
  readonly objects: ObjectStore;
  readonly injector: Injector;
}

/** `long`: an import whose load outlasts the patience of its run, which sleeps until a delayed message wakes it. */
export type Scenario = "import" | "long" | "rows";
export const scenarios: readonly Scenario[] = ["import", "long", "rows"];

export interface FaultWorld {
  /** One run of the scenario under a fault, or none; throws where the promise is broken. The result is the calls that it made. */
  round(scenario: Scenario, injection?: Injection): Promise<readonly WorkCall[]>;
  close(): Promise<void>;
}

export async function faultWorld(open: (options: BackboneOptions) => Promise<Backbone>): Promise<FaultWorld> {
  const clock = hastyClock();
  const random = systemRandom();
  const injector = faultInjector();
  const duck = await openDuck();
  const file = await duck.file("SELECT DATE '2024-05-01' AS day, i::INT AS i FROM range(20) AS t(i)");
  duck.close();
  const gcs = await startFakeGcs({ buckets: [STAGING] });
  const resolveUri = fileOfUri(gcs);
  const bigquery = await startFakeBigquery({ project: PROJECT, resolveUri, clock, datasets: ["raw", "clean", "made"] });
  const objects = gcsObjectStore({
    clock,
    random,
    projectId: PROJECT,
    apiEndpoint: gcs.url,
    timeoutMs: TIMEOUT_MS,
  });
  const client = bigqueryClient({ project: PROJECT, endpoint: bigquery.url, authClient: new PassThroughClient() });
  const warehouse = bigqueryWarehouse({
    client,
    project: PROJECT,
    location: bigquery.location,
    clock,
    random,
    retry: { timeoutMs: TIMEOUT_MS * HASTE },
    pollMs: { first: 5 * HASTE, most: 30 * HASTE },
  });
  injector.attach("storage", gcs);
  injector.attach("bigquery", bigquery);
  const backbone = await open({ clock, objects, injector });
  const { events, look } = backbone;
  // Worlds that share an emulator meet nothing of each other.
  const world = random.id().slice(0, 8);
  let rounds = 0;

  /** Until nothing is left to do. The result is what has been heard by the subscription that only listens. */
  async function drain(runtime: Runtime, listener: string, onRest: () => void): Promise<readonly Incoming[]> {
    const heard: Incoming[] = [];
    let idle = 0;
    for (let step = 0; ; step++) {
      assert.ok(step < 400, "the world does not come to rest");
      const messages = await backbone.take();
      for (const { subscription, consumer, incoming, settle } of messages) {
        const listens = subscription === listener;
        if (listens) heard.push(incoming);
        const received = listens ? Promise.resolve() : runtime.receive(consumer, incoming);
        const acknowledged = await received.then(
          () => true,
          () => false,
        );
        await settle(acknowledged);
        if (!acknowledged) clock.jump(10_000);
      }
      if (messages.length > 0) {
        idle = 0;
        continue;
      }
      onRest();
      const next = [backbone.nextAt(), await look.nextDue()].filter((at) => at !== undefined);
      if (next.length === 0) {
        if (++idle > backbone.patience) return heard;
        // What is on its way may take a moment longer on a busy machine.
        if (idle > 1) await sleep(idle * 3);
        continue;
      }
      idle = 0;
      clock.jump(Math.max(0, Math.min(...next) - clock.now()) + 1);
      await backbone.deliverDue();
      // The reconciler is called by a schedule: what it could not do now, it does the next time.
      await runtime.sweepDue().catch(() => clock.jump(60_000));
    }
  }

  async function rowsOf(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const id = `look-${random.id()}`;
    await warehouse.submit(id, { kind: "query", sql }, {});
    const status = await warehouse.wait(id, { timeoutMs: 600_000 });
    assert.equal(status.state, "succeeded", status.error?.message);
    return await Array.fromAsync(warehouse.rows(id));
  }

  async function namesIn(dataset: string, prefix: string): Promise<readonly string[]> {
    const tables: TableRef[] = await Array.fromAsync(warehouse.list({ dataset }, prefix));
    return tables.map(({ table }) => table);
  }

  async function round(scenario: Scenario, injection?: Injection): Promise<readonly WorkCall[]> {
    const id = `${world}r${++rounds}`;
    const work = scenario === "rows" ? rowsAssetOf(id) : importOf(id);
    const { definitions, key, bucket } = work;
    const runtime = createRuntime({
      objects,
      warehouse,
      events,
      bus: backbone.bus,
      secrets: { access: () => Promise.reject(new Error("there are no secrets here")) },
      clock,
      random,
      definitions: () => definitions,
      settings: { stagingBucket: STAGING, leaseMs: LEASE_MS, ...(scenario === "long" ? IMPATIENT : UNHURRIED) },
    });
    const news = { name: `news-${id}`, topic: materializedTopicOf(key), consumer: { kind: "asset", key } } as const;
    await backbone.subscribe([...subscriptionsOf(definitions), news]);
    if (bucket !== undefined) {
      gcs.createBucket(bucket);
      const { name, generation } = await gcs.put(bucket, "days/2024-05-01.parquet", file);
      await backbone.publish(bucketTopicOf(bucket), { bucket, name, generation });
    } else await backbone.publish(topicOf(key), { runKey: "once" });

    const release = scenario === "long" ? bigquery.keepRunning((job) => job.startsWith("load-")) : () => undefined;
    const earlier = bigquery.jobIds().length;
    injector.arm(injection);
    let calls: readonly WorkCall[];
    let heard: readonly Incoming[];
    try {
      heard = await drain(runtime, news.name, release);
    } finally {
      calls = injector.disarm();
      release();
    }
    const own = calls.filter(({ service }) => service === injection?.service);
    assert.ok(injection === undefined || own.length <= injection.at || own[injection.at]?.hit === true);
    await inspect(work, bigquery.jobIds().slice(earlier));
    assert.ok(heard.length > 0, "it was announced");
    return calls;
  }

  /** Everything that a run is to leave behind is there, and nothing else. */
  async function inspect({ key, partition, table, tables, steps }: Work, jobs: readonly string[]): Promise<void> {
    const { items: runs } = await look.runs({ name: key });
    assert.deepEqual(
      runs.map(({ status, code, reason, outbox }) => ({ status, code, reason, outbox })),
      [{ status: "succeeded", code: undefined, reason: undefined, outbox: [] }],
      "one run, which succeeded",
    );
    const { items: materialized } = await look.history({ asset: key, types: ["materialized"] });
    assert.equal(materialized.length, 1, "one materialization");
    assert.deepEqual(await rowsOf(`SELECT COUNT(*) AS n, SUM(i) AS s FROM ${table.dataset}.${table.table}`), [
      { n: 20, s: 190 },
    ]);
    const slot = await look.get("slot", slotRef(table).id);
    assert.equal(slot?.intent, undefined, "no intent is open");
    assert.equal(slot?.committed?.runId, runs[0]?.id);
    const { holder, finish, pending } = (await look.get("partition", partitionRef(key, partition).id)) ?? {};
    assert.deepEqual({ holder, finish, pending }, { holder: undefined, finish: undefined, pending: undefined });
    for (const dataset of ["raw", "clean", "made"]) {
      const expected = tables.filter((name) => name.startsWith(`${dataset}.`));
      assert.deepEqual(
        (await namesIn(dataset, table.table)).map((name) => `${dataset}.${name}`),
        expected,
      );
    }
    assert.deepEqual(
      gcs.objects(STAGING, `${key}/`).map(({ name }) => name),
      [],
      "nothing is staged",
    );
    // A publish that was given up has its id taken by a query that does nothing.
    const effective = jobs.filter((job) => bigquery.configurationOf(job)?.["query"] === undefined);
    assert.deepEqual(
      effective.map((job) => job.split("-")[0]),
      steps,
      "no job came twice",
    );
  }

  return {
    round,
    async close() {
      await Promise.all([gcs.close(), bigquery.close(), backbone.close()]);
    },
  };
}

/** How long a service may take to answer. Milliseconds of real time. */
const TIMEOUT_MS = 1_200;
/** Longer than that. */
export const SLOW_MS = 1_700;

/** Runs are given up by nobody here: the time of a test is that of a loaded machine, and the clock hurries. */
const LEASE_MS = 40 * 60_000;
/** No renewal in the time of a run. */
const UNHURRIED = { renewMs: 15 * 60_000 };
/** A job is waited for while its run renews its lease twice or so. */
const IMPATIENT = { renewMs: 2_000, waitMs: 6_000 };

interface Work {
  readonly definitions: Definitions;
  readonly key: string;
  readonly partition: string;
  readonly table: TableRef;
  /** Those that are there in the end, with their datasets. */
  readonly tables: readonly string[];
  /** What its jobs do, one after the other. */
  readonly steps: readonly string[];
  /** Where the file is dropped; without it, the run is asked for by hand. */
  readonly bucket?: string;
}

/** Names that no other begins with. */
function importOf(id: string): Work {
  const name = `days_${id}_`;
  const bucket = `drops-${id}`;
  const imported = intervalGcsImportAsset({
    keyPrefix: "data",
    name,
    bucketName: bucket,
    pathBase: "days",
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)\.parquet`,
    destinationTable: name,
    rawDatasetName: "raw",
    cleanDatasetName: "clean",
    interval: "daily",
    mode: "overwrite",
    retentionDays: 10,
    format: "PARQUET",
  });
  return {
    definitions: definitionsOf({ imported }),
    key: `data/${name}`,
    partition: "2024-05-01",
    table: { dataset: "clean", table: name },
    tables: [`raw.${name}__20240501`, `clean.${name}`],
    steps: ["load", "pub", "raw"],
    bucket,
  };
}

function rowsAssetOf(id: string): Work {
  const name = `rows_${id}_`;
  const made = asset({
    key: `made/${name}`,
    schema: z.object({ i: z.int(), day: z.iso.date() }),
    ioManager: bigqueryTable(),
    *materialize({ row }) {
      for (let i = 0; i < 20; i++) yield row({ i, day: "2024-05-01" });
    },
  });
  return {
    definitions: definitionsOf({ made }),
    key: `made/${name}`,
    partition: "",
    table: { dataset: "made", table: name },
    tables: [`made.${name}`],
    steps: ["load", "pub"],
  };
}

function hastyClock(): HastyClock {
  const start = Date.now();
  let ahead = 0;
  return {
    now: () => start + (Date.now() - start) * HASTE + ahead,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason);
        const abort = (): void => {
          clearTimeout(timer);
          reject(signal?.reason);
        };
        const timer = setTimeout(() => {
          signal?.removeEventListener("abort", abort);
          resolve();
        }, ms / HASTE);
        signal?.addEventListener("abort", abort, { once: true });
      }),
    jump: (ms) => void (ahead += ms),
  };
}
