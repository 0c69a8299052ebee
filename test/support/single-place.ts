/** One process over ports in memory, in which all goes well but what the test names: jobs run as soon as they are accepted. */
import type { Definitions } from "../../lib/core/definitions.ts";
import type { RunDocument } from "../../lib/core/documents.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { JobError } from "../../lib/ports/warehouse.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import type { MemoryDocuments } from "./memory-documents.ts";
import { memoryDocuments } from "./memory-documents.ts";
import { memoryEventStore } from "./memory-event-store.ts";
import type { MemoryWarehouse } from "./memory-warehouse.ts";
import { memoryWarehouse } from "./memory-warehouse.ts";
import { pushOf } from "./plain-runtime.ts";
import { seededRandom, virtualClock } from "./virtual-clock.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/**
 * How jobs end whose ids begin so: with an error, or with one of the request, which has been made by then or has not. A function is
 * called when the job has run; a `pending` one runs when the test says so.
 */
export type Fate = JobError | Lost | "pending" | (() => void);
export type Lost = { readonly before: Error } | { readonly after: Error };

export interface SinglePlace {
  readonly runtime: Runtime;
  readonly clock: VirtualClock;
  readonly documents: MemoryDocuments;
  readonly warehouse: MemoryWarehouse;
  readonly objects: Map<string, ObjectInfo>;
  /** By how the ids of the jobs begin. */
  readonly fates: Map<string, Fate>;
  /** What becomes of a message that is published, by its topic. */
  readonly lost: Map<string, Lost>;
  /** The ids of all jobs that were asked for, in order; also those that were there already. */
  readonly submitted: readonly string[];
  /** What was done, in order: `submit ID`, `drop TABLE`, `publish TOPIC`, `schedule NAME`, `delete OBJECT`. */
  readonly done: readonly string[];
  write(bucket: string, name: string): ObjectInfo;
  /** A message to the asset; resolves when it is acknowledged. Time passes as far as somebody waits. */
  send(asset: string, data: unknown): Promise<void>;
  /** Lets the time pass that the run sleeps for, and wakes it. */
  wake(run: RunDocument): Promise<void>;
}

export function placeOf(definitions: Definitions): SinglePlace {
  const clock = virtualClock();
  const documents = memoryDocuments();
  const objects = new Map<string, ObjectInfo>();
  const warehouse = memoryWarehouse((uri) => objects.get(uri)?.generation);
  const fates = new Map<string, Fate>();
  const lost = new Map<string, Lost>();
  const submitted: string[] = [];
  const done: string[] = [];
  let counter = 0;
  const nothing = (): never => {
    throw new PermanentError("there is none here");
  };
  const runtime = createRuntime({
    definitions: () => definitions,
    clock,
    random: seededRandom(),
    secrets: { access: nothing },
    events: memoryEventStore(documents),
    bus: {
      async publish(topic) {
        const fate = lost.get(topic);
        if (fate !== undefined && "before" in fate) throw fate.before;
        done.push(`publish ${topic}`);
        if (fate !== undefined) throw fate.after;
        return `m${++counter}`;
      },
      schedule: async (name) => void done.push(`schedule ${name}`),
    },
    objects: {
      async *list(bucket, { prefix = "", startAfter = "" } = {}) {
        const found = [...objects.values()].filter((info) => info.bucket === bucket && info.name.startsWith(prefix));
        for (const info of found.sort((a, b) => (a.name < b.name ? -1 : 1))) if (info.name > startAfter) yield info;
      },
      stat: async (bucket, name) => objects.get(`gs://${bucket}/${name}`),
      read: nothing,
      write: nothing,
      async delete(bucket, name, generation) {
        const there = objects.get(`gs://${bucket}/${name}`);
        if (there === undefined) return "missing";
        if (there.generation !== generation) return "changed";
        done.push(`delete ${name}`);
        objects.delete(`gs://${bucket}/${name}`);
        return "deleted";
      },
    },
    warehouse: {
      async submit(id, spec, labels) {
        submitted.push(id);
        const fate = [...fates].find(([prefix]) => id.startsWith(prefix))?.[1];
        if (typeof fate === "object" && "before" in fate) throw fate.before;
        const answer = warehouse.submit(id, spec, labels);
        if (answer === "accepted") {
          done.push(`submit ${id}`);
          if (fate !== "pending") warehouse.run(id, typeof fate === "object" && "reason" in fate ? fate : undefined);
          if (typeof fate === "function") fate();
        }
        if (typeof fate === "object" && "after" in fate) throw fate.after;
        return answer;
      },
      dryRun: nothing,
      inspect: async (id) => warehouse.inspect(id),
      cancel: async (id) => warehouse.cancel(id),
      wait: async (id) => warehouse.inspect(id) ?? nothing(),
      async *rows() {},
      describe: async (table) => warehouse.describe(table),
      extend: nothing,
      async drop(table) {
        done.push(`drop ${table.table}`);
        return warehouse.drop(table);
      },
      async *list({ dataset }, prefix = "") {
        yield* warehouse.list(dataset, prefix);
      },
    },
  });
  const send = (asset: string, data: unknown): Promise<void> =>
    clock.runUntil(runtime.receive({ kind: "asset", key: asset }, { body: pushOf(data, undefined, `m${++counter}`) }));
  return {
    runtime,
    clock,
    documents,
    warehouse,
    objects,
    fates,
    lost,
    submitted,
    done,
    send,
    write(bucket, name) {
      const uri = `gs://${bucket}/${name}`;
      const generation = String(Number(objects.get(uri)?.generation ?? 0) + 1);
      const info = { bucket, name, generation, size: 1, updated: clock.now() };
      objects.set(uri, info);
      return info;
    },
    async wake({ id, name, wakeAt = 0 }) {
      await clock.advance(Math.max(0, wakeAt - clock.now()));
      await send(name, { wake: id });
    },
  };
}
