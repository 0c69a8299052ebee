/** Many imports of many intervals, all loaded long ago: what reconciling walks over. Counts what the runtime asks of its ports. */
import { asset } from "../../lib/core/asset.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { put } from "../../lib/core/documents.ts";
import type { PartitionDocument } from "../../lib/core/documents.ts";
import { daily } from "../../lib/core/partitions.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { ObjectInfo, ObjectStore } from "../../lib/ports/object-store.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { seededRandom } from "./virtual-clock.ts";

export interface Cost {
  /** Calls of the event store that read, transactions included. */
  reads: number;
  writes: number;
  /** Of 1,000 objects each, as Cloud Storage lists. */
  pages: number;
  messages: number;
}

export interface QuietProject {
  readonly runtime: Runtime;
  /** Of the calls since it was last reset. */
  readonly cost: Cost;
  /** The objects that were announced, as `bucket/name#generation`. */
  readonly announced: string[];
  /** An object that nobody was told of. */
  drop(asset: number, day: string): void;
  /** Whether everything was listed at least once, and no pass is under way. */
  passed(): Promise<boolean>;
}

export interface Size {
  readonly assets: number;
  readonly partitions: number;
}

interface Ports {
  readonly clock: Clock;
  readonly events: EventStore;
  /** Called for each object that is listed, and for each that is announced, with its bucket. */
  readonly onListed?: (bucket: string) => void;
  readonly onPublish?: (bucket: string) => void;
}

const DAY_MS = 86_400_000;
const BUCKETS = 10;
const PAGE = 1_000;
/** In a transaction. */
const PORTION = 5_000;

const bucketOf = (index: number): string => `drops-${index % BUCKETS}`;
const keyOf = (index: number): string => `data/n${String(index).padStart(6, "0")}`;
const nameOf = (index: number, day: string): string => `${keyOf(index)}/${day}.parquet`;

/** The assets' last partition is the day before the clock's; every object was written five days before. */
export async function quietProject({ assets, partitions }: Size, ports: Ports): Promise<QuietProject> {
  const { clock, onListed, onPublish } = ports;
  const now = clock.now();
  const made = Array.from({ length: assets }, (_, index) => assetOf(index));
  const days = Array.from({ length: partitions }, (_, index) => dayOf(now - (partitions - index) * DAY_MS));
  await load(ports.events, assets, days);
  const { definitions, problems } = collectDefinitions([{ file: "functions/data.ts", exports: { made } }]);
  if (problems[0] !== undefined) throw problems[0];

  const cost: Cost = { reads: 0, writes: 0, pages: 0, messages: 0 };
  const announced: string[] = [];
  const dropped = new Map<string, ObjectInfo>();
  const infoOf = (index: number, day: string, updated: number): ObjectInfo => {
    const [bucket, name] = [bucketOf(index), nameOf(index, day)];
    return dropped.get(`${bucket}/${name}`) ?? { bucket, name, generation: "1", size: 1, updated };
  };
  /** Names sort as their assets' numbers do, and then as the days do. */
  function* objectsOf(bucket: string, prefix: string, startAfter: string): Generator<ObjectInfo> {
    const place = /^data\/n(\d+)\//.exec(prefix === "" ? startAfter : prefix)?.[1];
    const from = place === undefined ? 0 : Number(place);
    for (let index = from; index < assets; index++) {
      if (bucketOf(index) !== bucket) continue;
      if (prefix !== "" && index > from) return;
      const own = [...dropped.values()].filter((object) => object.name.startsWith(`${keyOf(index)}/`));
      const all = new Set([...days, ...own.map(({ name }) => name.slice(keyOf(index).length + 1, -".parquet".length))]);
      for (const day of [...all].sort()) {
        const object = infoOf(index, day, now - 5 * DAY_MS);
        if (object.name > startAfter && object.name.startsWith(prefix)) yield object;
      }
    }
  }
  const objects: Pick<ObjectStore, "list"> = {
    async *list(bucket, { prefix = "", startAfter = "" } = {}) {
      let listed = 0;
      cost.pages += 1;
      for (const object of objectsOf(bucket, prefix, startAfter)) {
        if (listed > 0 && listed % PAGE === 0) cost.pages += 1;
        listed += 1;
        onListed?.(bucket);
        yield object;
      }
    },
  };
  async function* noTables(): AsyncGenerator<never> {
    cost.pages += 1;
    yield* [];
  }
  const nothing = (): never => {
    throw new Error("reconciling asks for nothing else");
  };
  const runtime = createRuntime({
    events: counting(ports.events, cost),
    bus: {
      publish: async (_topic, { data }) => {
        cost.messages += 1;
        // Only objects are announced here.
        const { bucket, name, generation } = data as ObjectInfo;
        onPublish?.(bucket);
        announced.push(`${bucket}/${name}#${generation}`);
        return String(cost.messages);
      },
      schedule: nothing,
    },
    // The rest of the port is never called.
    objects: objects as ObjectStore,
    // Nothing is staged; the datasets are looked through all the same.
    warehouse: new Proxy({}, { get: (_, name) => (name === "list" ? noTables : nothing()) }) as never,
    secrets: { access: nothing },
    clock,
    random: seededRandom(),
    definitions: () => definitions,
  });
  return {
    runtime,
    cost,
    announced,
    drop: (index, day) => {
      const object = { bucket: bucketOf(index), name: nameOf(index, day), generation: "2", size: 1 };
      dropped.set(`${object.bucket}/${object.name}`, { ...object, updated: clock.now() });
    },
    passed: async () => {
      const place = await ports.events.get("cursor", "sweep buckets");
      return place !== undefined && !("at" in (JSON.parse(place.value) as object));
    },
  };
}

export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** What `work` costs. */
export async function costOf({ cost }: QuietProject, work: () => Promise<unknown>): Promise<Cost> {
  const before = { ...cost };
  await work();
  const { reads, writes, pages, messages } = cost;
  return {
    reads: reads - before.reads,
    writes: writes - before.writes,
    pages: pages - before.pages,
    messages: messages - before.messages,
  };
}

function assetOf(index: number): AssetDefinition {
  return asset({
    key: keyOf(index),
    partitions: daily({ start: "2000-01-01" }),
    target: `data.n${index}`,
    source: {
      bucket: bucketOf(index),
      pathBase: keyOf(index),
      fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)\.parquet`,
      interval: "daily",
    },
    materialize: async () => undefined,
  });
}

async function load(events: EventStore, assets: number, days: readonly string[]): Promise<void> {
  let writes: ReturnType<typeof put>[] = [];
  const flush = async (): Promise<void> => {
    const all = writes;
    writes = [];
    await events.transact({}, () => ({ result: undefined, writes: all, events: [] }));
  };
  for (let index = 0; index < assets; index++)
    for (const partition of days) {
      const name = keyOf(index);
      const runId = `r${index}-${partition}`;
      const head = { materializationId: `m-${runId}`, runId, at: 1, fingerprint: "f", inputs: [] };
      const document: PartitionDocument = { name, partition, token: 1, head };
      writes.push(put(partitionRef(name, partition), document));
      if (writes.length === PORTION) await flush();
    }
  await flush();
}

/** The calls that read count once each, whatever they find; a transaction counts as a read, and as a write where it writes. */
function counting(store: EventStore, cost: Cost): EventStore {
  const read = <A extends readonly unknown[], T>(call: (...args: A) => T) => {
    return (...args: A): T => {
      cost.reads += 1;
      return call(...args);
    };
  };
  return {
    ...store,
    get: (kind, id) => {
      cost.reads += 1;
      return store.get(kind, id);
    },
    history: read(store.history),
    runs: read(store.runs),
    partitions: read(store.partitions),
    sensors: read(store.sensors),
    due: read(store.due),
    nextDue: read(store.nextDue),
    transact: (refs, decide) => {
      if (Object.keys(refs).length > 0) cost.reads += 1;
      return store.transact(refs, (state) => {
        const decision = decide(state);
        if (decision.writes.length + decision.events.length > 0) cost.writes += 1;
        return decision;
      });
    },
  };
}
