/** Everything on one machine: the local adapters and the runtime, put together. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { env } from "node:process";
import { bucketTopicOf } from "../core/asset-key.ts";
import { watchedBuckets } from "../core/subscriptions.ts";
import type { Definitions } from "../core/definitions.ts";
import { openDuckdbWarehouse } from "../local/duckdb/warehouse.ts";
import type { DuckdbWarehouse } from "../local/duckdb/warehouse.ts";
import { environmentSecrets } from "../local/environment-secrets.ts";
import { folderObjectStore } from "../local/folder-object-store.ts";
import type { FolderObjectStore } from "../local/folder-object-store.ts";
import type { LocalBus } from "../local/local-bus.ts";
import type { SqliteEventStore } from "../local/sqlite-event-store.ts";
import { systemClock } from "../local/system-clock.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Settings } from "../runtime/services.ts";
import { openEngine } from "./engine.ts";

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
  // The space for young objects has its size by now. Millions of short-lived rows would let it grow by some 100 MB, to no use.
  setFlagsFromString("--semi-space-growth-factor=1");
  mkdirSync(join(home, "buckets"), { recursive: true });
  const clock = systemClock();
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
  const engine = await openEngine({
    home,
    objects,
    warehouse,
    secrets: environmentSecrets(env),
    definitions,
    // Nobody counts the changes of a day in DuckDB.
    settings: { dailyQuotas: false, ...options.settings },
    holdLeases: options.holdLeases,
    onError: options.onError,
  });
  const { events, bus, runtime } = engine;

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
    settle: engine.settle,
    async close(graceMs = 10_000) {
      await engine.stop(graceMs);
      await warehouse.close();
      engine.close();
    },
  };
}
