/** Everything on one machine: the local adapters and the runtime, put together. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { bucketTopicOf } from "../core/asset-key.ts";
import { subscriptionsOf, watchedBuckets } from "../core/subscriptions.ts";
import type { Definitions } from "../core/definitions.ts";
import type { SubscriptionPlan } from "../core/subscriptions.ts";
import { PermanentError } from "../core/errors.ts";
import { openDuckdbWarehouse } from "../local/duckdb/warehouse.ts";
import type { DuckdbWarehouse } from "../local/duckdb/warehouse.ts";
import { folderObjectStore } from "../local/folder-object-store.ts";
import type { FolderObjectStore } from "../local/folder-object-store.ts";
import { openLocalBus } from "../local/local-bus.ts";
import type { LocalBus } from "../local/local-bus.ts";
import { openSqliteEventStore } from "../local/sqlite-event-store.ts";
import type { SqliteEventStore } from "../local/sqlite-event-store.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import { createRuntime } from "../runtime/runtime.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Settings } from "../runtime/services.ts";

export interface PlatformOptions {
  /** The folder that holds everything: `buckets/`, `warehouse.duckdb`, `events.sqlite`, `messages.sqlite`. */
  readonly home: string;
  /** Asked anew for every message. */
  definitions(): Definitions;
  /** How long a dropped file must rest before it counts as finished. Default 200 ms. */
  readonly settleMs?: number;
  readonly settings?: Partial<Settings>;
  /** See `Services.holdLeases`. */
  holdLeases?(): boolean;
  onError?(error: unknown): void;
  /** Awaited before each warehouse job starts; tests hold jobs back with it. */
  gate?(jobId: string): Promise<void>;
}

export interface Platform {
  readonly objects: FolderObjectStore;
  readonly warehouse: DuckdbWarehouse;
  readonly events: SqliteEventStore;
  readonly bus: LocalBus;
  readonly runtime: Runtime;
  /** Publishes an object's finalize notification, as the bucket would. */
  announceObject(object: ObjectInfo): Promise<void>;
  /** Delivers messages and wakes what is due, until nothing is left to do now. */
  settle(): Promise<void>;
  /** Finishes or releases what runs, then closes every file. */
  close(graceMs?: number): Promise<void>;
}

export async function openPlatform(options: PlatformOptions): Promise<Platform> {
  const { home, definitions } = options;
  mkdirSync(join(home, "buckets"), { recursive: true });
  const clock = systemClock();
  const random = systemRandom();
  const objects = folderObjectStore({
    root: join(home, "buckets"),
    clock,
    ...(options.settleMs === undefined ? {} : { settleMs: options.settleMs }),
  });
  const warehouse = await openDuckdbWarehouse({
    file: join(home, "warehouse.duckdb"),
    resolveUri: objects.resolveUri,
    clock,
    ...(options.gate === undefined ? {} : { gate: options.gate }),
  });
  const events = openSqliteEventStore({ file: join(home, "events.sqlite") });

  const plans = planner(definitions);
  const bus = openLocalBus({
    file: join(home, "messages.sqlite"),
    clock,
    random,
    subscriptions: () => plans().list,
    async push(subscription, envelope) {
      const plan = plans().byName.get(subscription.name);
      if (plan === undefined) return "nack";
      await runtime.receive(plan.consumer, { body: envelope });
      return "ack";
    },
    ...(options.onError === undefined ? {} : { onError: options.onError }),
  });
  const runtime = createRuntime({
    objects,
    warehouse,
    events,
    bus,
    secrets: { access: environmentSecret },
    clock,
    random,
    definitions,
    ...(options.settings === undefined ? {} : { settings: options.settings }),
    ...(options.holdLeases === undefined ? {} : { holdLeases: options.holdLeases }),
  });

  // Whoever has the warehouse's file open is alone: no execution of another process can be alive.
  await runtime.releaseAbandoned();

  return {
    objects,
    warehouse,
    events,
    bus,
    runtime,
    async announceObject({ bucket, name, generation, size }) {
      if (!watchedBuckets(definitions()).includes(bucket)) return;
      await bus.publish(bucketTopicOf(bucket), {
        data: { kind: "storage#object", bucket, name, generation, size: String(size) },
        attributes: { eventType: "OBJECT_FINALIZE", bucketId: bucket, objectId: name, objectGeneration: generation },
      });
    },
    async settle() {
      do await bus.idle();
      while ((await runtime.sweepDue()) > 0);
    },
    async close(graceMs = 10_000) {
      const stopped = bus.stop(graceMs);
      runtime.stop();
      await stopped;
      bus.close();
      await warehouse.close();
      events.close();
    },
  };
}

/** A secret of one machine comes from the environment: `passport-token` from `PASSPORT_TOKEN`. */
async function environmentSecret(name: string): Promise<string> {
  const variable = name.toUpperCase().replaceAll("-", "_");
  const value = env[variable] ?? env[name];
  if (value !== undefined) return value;
  throw new PermanentError(`the secret ${name} is not set: export ${variable}=…`, { code: "not-found" });
}

interface Plans {
  readonly list: readonly SubscriptionPlan[];
  readonly byName: ReadonlyMap<string, SubscriptionPlan>;
}

/** The bus asks at every message and poll; the answer changes only with the definitions. */
function planner(definitions: () => Definitions): () => Plans {
  let of: Definitions | undefined;
  let plans: Plans = { list: [], byName: new Map() };
  return () => {
    const now = definitions();
    if (now !== of) {
      of = now;
      const list = subscriptionsOf(now);
      plans = { list, byName: new Map(list.map((plan) => [plan.name, plan])) };
    }
    return plans;
  };
}
