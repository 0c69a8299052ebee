/** The ports that a process of the simulated world is given. Whatever it asks of them waits until a step lets it happen. */
import type { Refs } from "../../lib/core/documents.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { MessageBus } from "../../lib/ports/message-bus.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import type { JobStatus, Warehouse } from "../../lib/ports/warehouse.ts";
import { parquetRows } from "../../lib/runtime/parquet/reader.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { bucketStore } from "./buckets.ts";
import { eachOf } from "./each-of.ts";
import type { Row, Step } from "./buckets.ts";
import type { Outside } from "./outside.ts";
import { BUCKET } from "./projects.ts";
import { STORED } from "./untabled.ts";
import type { Sabotage } from "./sabotage.ts";
import { statusOf } from "./warehouse.ts";
import type { Job, MemoryWarehouse } from "./warehouse.ts";

/** One request to a service. It is made when `ready` says so, if anything, or when the deadline has come. */
export type Request = <T>(
  what: string,
  perform: () => T,
  signal?: AbortSignal,
  ready?: () => boolean,
  deadline?: number,
) => Promise<T>;

export interface Ports {
  readonly events: EventStore;
  readonly bus: MessageBus;
  readonly warehouse: Warehouse;
  readonly objects: ObjectStore;
}

export function portsOf(around: Outside, sabotage: Sabotage, request: Request): Ports {
  const warehouse = warehousePort(around, request);
  const objects = objectsPort(around, request);
  const events = eventsPort(around, sabotage, request);
  return {
    events: sabotage.events?.(events) ?? events,
    bus: busPort(around, request),
    warehouse: sabotage.warehouse?.(warehouse) ?? warehouse,
    objects: sabotage.objects?.(objects) ?? objects,
  };
}

function eventsPort({ documents, journal }: Outside, sabotage: Sabotage, request: Request): EventStore {
  const store = memoryEventStore(documents);
  return {
    ...store,
    history: async (query) => await request("history", () => store.history(query)),
    transact: (refs, decide) =>
      request(journal.say === undefined ? "transact" : `transact ${textOf(refs)}`, () =>
        documents.apply(
          refs,
          sabotage.decide === undefined ? decide : (read) => sabotage.decide?.(refs, decide, read) ?? decide(read),
        ),
      ),
    get: (kind, id) => request(`get ${kind} ${id}`, () => documents.get(kind, id)),
    append: (added) => request("append", () => documents.append(added)),
  };
}

export function busPort({ transport }: Pick<Outside, "transport">, request: Request): MessageBus {
  return {
    publish: (topic, { data, attributes }) =>
      request(`publish ${topic}`, () => transport.publish(topic, data, attributes)),
    schedule: (task, topic, { data, attributes }, at) =>
      request(`schedule ${task}`, () => transport.schedule(task, topic, data, at, attributes)),
  };
}

/** What the warehouse's port needs of what is outside. */
interface Store {
  readonly warehouse: MemoryWarehouse;
  readonly time: Pick<Outside["time"], "now">;
  readonly watch: Pick<Outside["watch"], "dropped">;
}

export function warehousePort({ warehouse, time, watch }: Store, request: Request): Warehouse {
  return {
    submit: (id, spec, labels) => request(`${SUBMIT}${id}`, () => warehouse.submit(id, spec, labels)),
    dryRun: () => Promise.reject(new Error("nothing here asks what a query would read")),
    inspect: (id) => request(`inspect ${id}`, () => known(warehouse.job(id))),
    cancel: (id) => request(`cancel ${id}`, () => warehouse.cancel(id)),
    wait: (id, { timeoutMs, signal }) => {
      const deadline = time.now() + timeoutMs;
      const perform = (): JobStatus => {
        const job = warehouse.job(id);
        if (job === undefined) throw new PermanentError(`no job ${id}`, { code: "not-found" });
        return statusOf(job);
      };
      const ready = (): boolean => warehouse.job(id)?.state !== "pending" || time.now() >= deadline;
      return request(`wait ${id}`, perform, signal, ready, deadline);
    },
    rows: (id, { signal } = {}) =>
      eachOf(() => request(`rows ${id}`, () => rowsOf(warehouse.job(id), id).map((row) => ({ ...row })), signal)),
    describe: (table) => request(`describe ${table.table}`, () => warehouse.describe(table)),
    extend: (table, columns, etag) => request(`extend ${table.table}`, () => warehouse.extend(table, columns, etag)),
    drop: (table) =>
      request(`drop ${table.table}`, () => {
        watch.dropped(table);
        return warehouse.drop(table);
      }),
    list: ({ dataset }, prefix = "") =>
      eachOf(() => request(`tables ${prefix}`, () => warehouse.list(dataset, prefix))),
  };
}

function objectsPort({ buckets, watch }: Outside, step: Step): ObjectStore {
  return bucketStore(
    {
      ...buckets,
      delete: (bucket, name, generation) => {
        const there = buckets.get(bucket, name);
        const outcome = buckets.delete(bucket, name, generation);
        if (outcome === "deleted" && (bucket === BUCKET || bucket === STORED) && there !== undefined)
          watch.deleted(there);
        return outcome;
      },
    },
    step,
    rowsIn,
  );
}

const SUBMIT = "submit ";

/** The id that the request is about to take for a job; `undefined` for any other request. */
export function jobTakenBy(what: string): string | undefined {
  return what.startsWith(SUBMIT) ? what.slice(SUBMIT.length) : undefined;
}

function rowsOf(job: Job | undefined, id: string): readonly Row[] {
  if (job === undefined) throw new PermanentError(`no job ${id}`, { code: "not-found" });
  if (job.state !== "succeeded" || job.spec.kind !== "query")
    throw new PermanentError(`${id} is no query that has succeeded`, { code: "no-rows" });
  return job.rows ?? [];
}

function known(job: Job | undefined): JobStatus | undefined {
  return job === undefined ? undefined : statusOf(job);
}

function textOf(refs: Refs): string {
  return Object.values(refs)
    .map(({ kind, id }) => `${kind} ${id}`)
    .join(", ");
}

/** The rows of what the runtime stages; a receipt has none. */
async function rowsIn(name: string, bytes: Uint8Array): Promise<readonly Row[] | undefined> {
  if (!name.endsWith(".parquet")) return undefined;
  const rows: Row[] = [];
  // The files are written by the schema of the one asset that stages rows.
  for await (const row of parquetRows(bytes)) rows.push(row as unknown as Row);
  return rows;
}
