/** The real platform in the demo's folder, and the few handles by which the acts move it and see what it does. */
import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { jobTopicOf, topicOf } from "../core/asset-key.ts";
import type { AssetDefinition } from "../core/asset.ts";
import { watchedBuckets } from "../core/subscriptions.ts";
import type { Definitions } from "../core/definitions.ts";
import { PermanentError } from "../core/errors.ts";
import type { Metadata, StoredEvent } from "../core/events.ts";
import { compileObjectSource, routeObject } from "../core/object-source.ts";
import { runIdOf } from "../core/request.ts";
import { watchBuckets } from "../local/bucket-watcher.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import { catalogOf } from "./catalog.ts";
import { explainAsset } from "./commands/why.ts";
import { openPlatform } from "./platform.ts";
import type { Platform } from "./platform.ts";
import { keepSweeping } from "./sweeper.ts";
import { switchSensor } from "./switch-sensor.ts";

/** What makes a run that run: the same names give the same run, whatever message carries them. */
export interface RunName {
  readonly kind: "asset" | "job";
  readonly name: string;
  /** Empty for a job. */
  readonly partition: string;
  readonly runKey: string;
}

/** How a run ended, and how long it took from its start. */
export interface RunEnd {
  readonly run: string;
  readonly status: "succeeded" | "skipped" | "failed";
  readonly reason: string;
  readonly rows: number;
  readonly metadata: Metadata;
  readonly ms: number;
}

export interface Stage {
  readonly platform: Platform;
  readonly asset: (key: string) => AssetDefinition;
  /** Moves a finished file into the bucket, as any program could, and waits for the end of the run that it causes. */
  drop(asset: string, name: string, file: string): Promise<RunEnd>;
  /** Announces the object as the bucket has done before, in a new message. */
  announceAgain(asset: string, name: string): Promise<void>;
  /** Publishes a request for a run, and waits for its end. The run key makes it one run, however often it is sent. */
  request(run: RunName, body?: Readonly<Record<string, unknown>>): Promise<RunEnd>;
  /** Waits for the end of a run that something else requests, or has requested. */
  ended(run: RunName): Promise<RunEnd>;
  startSensor(name: string): Promise<void>;
  /** What `sluice why` says of the partition, line by line, and as a value. */
  why(asset: string, partition: string): ReturnType<typeof explainAsset>;
  query(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** All of the history, oldest first. */
  history(): Promise<readonly StoredEvent[]>;
  close(): Promise<void>;
}

const PATIENCE_MS = 45_000;

export async function openStage(options: {
  readonly home: string;
  readonly definitions: Definitions;
  readonly signal: AbortSignal;
  readonly onError: (error: unknown) => void;
}): Promise<Stage> {
  const { home, definitions, signal, onError } = options;
  // Files are moved into the bucket whole, so they need not rest for long.
  const platform = await openPlatform({ home, definitions: () => definitions, settleMs: 50, onError });
  const { objects, events, bus } = platform;
  const clock = systemClock();
  const started = new Map<string, number>();
  const rows = new Map<string, number>();
  const ends = new Map<string, RunEnd>();
  const waiting = new Map<string, (end: RunEnd) => void>();

  events.onEvents((stored) => {
    for (const event of stored) follow(event);
  });
  const watcher = watchBuckets({
    store: objects,
    clock,
    buckets: () => watchedBuckets(definitions),
    onFinalized: (object) => platform.announceObject(object),
    onError,
  });
  await watcher.ready;
  bus.start();
  const sweeper = keepSweeping({ events, runtime: platform.runtime, clock, onError });

  function follow(event: StoredEvent): void {
    const { run } = event;
    if (run === undefined) return;
    if (event.type === "run.started" && !started.has(run)) started.set(run, event.at);
    if (event.type === "materialized") rows.set(run, event.rows ?? 0);
    if (event.type !== "run.succeeded" && event.type !== "run.skipped" && event.type !== "run.failed") return;
    const end: RunEnd = {
      run,
      status: event.type === "run.succeeded" ? "succeeded" : event.type === "run.skipped" ? "skipped" : "failed",
      reason: event.type === "run.succeeded" ? "" : event.reason,
      metadata: event.type === "run.succeeded" ? (event.metadata ?? {}) : {},
      rows: rows.get(run) ?? 0,
      ms: event.at - (started.get(run) ?? event.at),
    };
    ends.set(run, end);
    waiting.get(run)?.(end);
  }

  function ended({ kind, name, partition, runKey }: RunName): Promise<RunEnd> {
    const run = runIdOf(kind, name, partition, runKey);
    const known = ends.get(run);
    if (known !== undefined) return Promise.resolve(known);
    const { promise, resolve, reject } = Promise.withResolvers<RunEnd>();
    const giveUp = (): void => {
      const what = `the run of ${name} for ${runKey}`;
      reject(new PermanentError(`${what} has not ended within ${PATIENCE_MS / 1000} s`, { code: "timeout" }));
    };
    const timer = setTimeout(giveUp, PATIENCE_MS);
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    waiting.set(run, resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      waiting.delete(run);
    });
  }

  function asset(key: string): AssetDefinition {
    const found = definitions.assets.get(key);
    if (found === undefined) {
      throw new PermanentError(`the demo needs the asset ${key}: put functions/ back as it was`, { code: "no-asset" });
    }
    return found;
  }

  function bucketOf(key: string): string {
    return asset(key).source?.bucket ?? "";
  }

  async function find(key: string, name: string): Promise<ObjectInfo> {
    const seen = await objects.look(bucketOf(key), name);
    if (seen === undefined) throw new PermanentError(`gs://${bucketOf(key)}/${name} is gone`, { code: "not-found" });
    return seen.object;
  }

  function partitionOf(key: string, name: string): string {
    const { source } = asset(key);
    const routed = source === undefined ? undefined : routeObject(compileObjectSource(source), name);
    if (routed?.kind === "partition") return routed.window.key;
    throw new PermanentError(`${name} is no file of ${key}: functions/flights.ts was changed`, { code: "no-match" });
  }

  return {
    platform,
    asset,

    async drop(key, name, file) {
      signal.throwIfAborted();
      const partition = partitionOf(key, name);
      const target = join(objects.root, bucketOf(key), name);
      await mkdir(dirname(target), { recursive: true });
      await rename(file, target);
      const { bucket, generation } = await find(key, name);
      const uri = `gs://${bucket}/${name}`;
      // The run key says which trigger a run stands for, so everybody can tell the run of this very file.
      return await ended({ kind: "asset", name: key, partition, runKey: `${uri}#${generation}` });
    },

    async announceAgain(key, name) {
      await platform.announceObject(await find(key, name));
    },

    async request({ kind, name, partition, runKey }, body = {}) {
      const topic = kind === "asset" ? topicOf(name) : jobTopicOf(name);
      await bus.publish(topic, { data: { ...body, runKey, ...(partition === "" ? {} : { partition }) } });
      return await ended({ kind, name, partition, runKey });
    },

    ended,

    startSensor: (name) => switchSensor({ events, clock, random: systemRandom() }, name, "running"),

    why: (key, partition) => explainAsset(events, catalogOf({ definitions, problems: [] }), key, partition),

    async query(sql) {
      const result = await platform.warehouse.query(sql, { signal });
      return await Array.fromAsync(result.rows);
    },

    async history() {
      const found: StoredEvent[] = [];
      for (let after: string | undefined; ;) {
        const page = await events.history({
          order: "oldest",
          limit: 1000,
          ...(after === undefined ? {} : { after }),
        });
        found.push(...page.items);
        after = page.next;
        if (after === undefined) return found;
      }
    },

    async close() {
      await watcher.close();
      await sweeper.stop();
      await platform.close(3_000);
    },
  };
}
