/**
 * The real runtime in a world that does its worst. Several processes run the runtime over ports in memory; every call of a
 * port waits until the schedule lets it happen, time passes when the schedule says so, processes die with their calls done,
 * undone or still to be done, jobs run late, and messages come twice. The schedule is a list of numbers, so a run repeats.
 */
import type { Decision, Read, Refs } from "../../lib/core/documents.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import { subscriptionsOf } from "../../lib/core/subscriptions.ts";
import { bucketTopicOf } from "../../lib/core/asset-key.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";
import type { JobError } from "../../lib/ports/warehouse.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import type { Settings } from "../../lib/runtime/services.ts";
import type { MemoryDocuments } from "./memory-documents.ts";
import { memoryDocuments } from "./memory-documents.ts";
import { memoryEventStore } from "./memory-event-store.ts";
import type { MemoryJob, MemoryWarehouse } from "./memory-warehouse.ts";
import { memoryWarehouse } from "./memory-warehouse.ts";
import { seededRandom, virtualClock } from "./virtual-clock.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What a test changes to show that the proof can fail. */
export interface Sabotage {
  /** Stands in for the decision of a transaction. */
  decide?<R extends Refs, T>(refs: R, decide: (read: Read<R>) => Decision<T>, read: Read<R>): Decision<T>;
  /** A request to the warehouse that is said to be accepted, and never made. */
  skipsSubmit?(labels: Readonly<Record<string, string>>): boolean;
}

export interface WorldOptions {
  readonly definitions: Definitions;
  readonly settings?: Partial<Settings>;
  readonly sabotage?: Sabotage;
  /** Milliseconds UTC. */
  readonly startAt?: number;
  /** How far the clock of each process is ahead, in ms. */
  readonly skews?: readonly number[];
  /** How many jobs may fail for a passing reason, processes die, and messages come twice. */
  readonly faults: { readonly jobs: number; readonly deaths: number; readonly duplicates: number };
  /** Looks at the world after every step and throws when something is wrong. */
  readonly watch: (world: World) => void;
  /** Called right before a job runs, and right before an object is deleted by the runtime. */
  readonly beforeJob?: (world: World, job: MemoryJob) => void;
  readonly beforeDelete?: (world: World, object: ObjectInfo) => void;
}

export interface Message {
  readonly id: string;
  readonly consumer: Consumer;
  readonly data: unknown;
  readonly at: number;
}

export interface World {
  readonly clock: VirtualClock;
  readonly documents: MemoryDocuments;
  readonly warehouse: MemoryWarehouse;
  readonly definitions: Definitions;
  readonly trace: string[];
  /** The objects that are there now, by URI. */
  readonly objects: ReadonlyMap<string, ObjectInfo>;
  /** Messages that nobody has acknowledged. */
  readonly messages: readonly Message[];
  writeObject(bucket: string, name: string): void;
  publish(topic: string, data: unknown): void;
  /** One step, chosen by a number of at least 0. */
  step(choice: number): Promise<void>;
  /** Without further faults: lets everything happen until nothing is left to do. */
  settle(maxSteps?: number): Promise<void>;
}

interface Call {
  readonly process: Process;
  readonly name: string;
  readonly ready: () => boolean;
  readonly deadline?: number;
  readonly perform: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Process {
  readonly name: string;
  readonly slot: number;
  readonly runtime: Runtime;
  alive: boolean;
}

const PROCESSES = 2;

export function world(options: WorldOptions): World {
  const { definitions, sabotage, watch } = options;
  const clock = virtualClock(options.startAt);
  const documents = memoryDocuments();
  const objects = new Map<string, ObjectInfo>();
  const warehouse = memoryWarehouse((uri) => objects.get(uri)?.generation);
  const store = memoryEventStore(documents);
  const trace: string[] = [];
  const faults = { ...options.faults };
  const calls: Call[] = [];
  /** What dead processes have sent and has not arrived yet. */
  const late: { readonly name: string; readonly perform: () => unknown }[] = [];
  const waiting: Message[] = [];
  const inFlight = new Map<Message, Process>();
  const names = new Set<string>();
  const sweeping = new Set<Process>();
  const plans = subscriptionsOf(definitions);
  let counter = 0;
  let chaotic = true;

  const publish = (topic: string, data: unknown, at = 0): void => {
    for (const plan of plans) {
      if (plan.topic !== topic) continue;
      waiting.push({ id: `m${++counter}`, consumer: plan.consumer, data, at });
    }
  };
  const notify = ({ bucket, name, generation, size }: ObjectInfo): void =>
    publish(bucketTopicOf(bucket), { bucket, name, generation, size });

  // ---- processes

  const start = (slot: number): Process => {
    const skew = options.skews?.[slot] ?? 0;
    const call = <T>(
      name: string,
      perform: () => T,
      when: { ready?: () => boolean; deadline?: number; signal?: AbortSignal | undefined } = {},
    ): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        if (!process.alive) return; // the dead make no calls, and hear no answers
        if (when.signal?.aborted === true) return reject(when.signal.reason);
        const entry: Call = {
          process,
          name,
          perform,
          ready: when.ready ?? (() => true),
          ...(when.deadline === undefined ? {} : { deadline: when.deadline }),
          // The value is what this call's own `perform` has returned.
          resolve: (value) => resolve(value as T),
          reject,
        };
        calls.push(entry);
        when.signal?.addEventListener("abort", () => {
          if (!calls.includes(entry)) return;
          calls.splice(calls.indexOf(entry), 1);
          reject(when.signal?.reason);
        });
      });
    const events: EventStore = {
      ...store,
      transact: (refs, decide) =>
        call(
          `transact ${Object.values(refs)
            .map(({ kind, id }) => `${kind}:${id}`)
            .join(" ")}`,
          () => documents.apply(refs, (read) => sabotage?.decide?.(refs, decide, read) ?? decide(read)),
        ),
      get: (kind, id) => call(`get ${kind}:${id}`, () => documents.get(kind, id)),
      append: (added) => call("append", () => documents.append(added)),
    };
    const process: Process = {
      name: `p${slot}.${++counter}`,
      slot,
      alive: true,
      runtime: createRuntime({
        definitions: () => definitions,
        settings: options.settings ?? {},
        clock: { now: () => clock.now() + skew, sleep: clock.sleep },
        random: seededRandom(counter),
        secrets: { access: async (name) => name },
        events,
        bus: {
          publish: (topic, message) =>
            call(`publish ${topic}`, () => {
              publish(topic, message.data);
              return `m${counter}`;
            }),
          schedule: (name, topic, message, at) =>
            call(`schedule ${name}`, () => {
              if (names.has(name)) return;
              names.add(name);
              publish(topic, message.data, at - skew);
            }),
        },
        objects: {
          async *list(bucket, { prefix = "", startAfter = "" } = {}) {
            yield* await call(`list ${prefix}`, () =>
              [...objects.values()]
                .filter((info) => info.bucket === bucket && info.name.startsWith(prefix) && info.name > startAfter)
                .sort((a, b) => (a.name < b.name ? -1 : 1)),
            );
          },
          stat: (bucket, name) => call(`stat ${name}`, () => objects.get(`gs://${bucket}/${name}`)),
          read: () => {
            throw new Error("nothing here reads an object's bytes");
          },
          write: () => Promise.reject(new Error("nothing here writes objects")),
          delete: (bucket, name, generation) =>
            call(`delete ${name}#${generation}`, () => {
              const uri = `gs://${bucket}/${name}`;
              const there = objects.get(uri);
              if (there === undefined) return "missing";
              if (there.generation !== generation) return "changed";
              options.beforeDelete?.(self, there);
              objects.delete(uri);
              return "deleted";
            }),
        },
        warehouse: {
          submit: (id, spec, labels) =>
            call(`submit ${id} (${spec.kind})`, () =>
              sabotage?.skipsSubmit?.(labels) === true ? "accepted" : warehouse.submit(id, spec, labels),
            ),
          dryRun: () => Promise.reject(new Error("nothing here asks what a query would read")),
          inspect: (id) => call(`inspect ${id}`, () => warehouse.inspect(id)),
          cancel: (id) => call(`cancel ${id}`, () => warehouse.cancel(id)),
          wait: (id, { timeoutMs, signal }) => {
            const deadline = clock.now() + timeoutMs;
            const ended = (): boolean => warehouse.inspect(id)?.state !== "pending";
            return call(
              `wait ${id}`,
              () => {
                const status = warehouse.inspect(id);
                if (status === undefined) throw new PermanentError(`no job ${id}`, { code: "not-found" });
                return status;
              },
              { ready: () => ended() || clock.now() >= deadline, deadline, signal },
            );
          },
          async *rows() {},
          describe: (table) => call(`describe ${table.table}`, () => warehouse.describe(table)),
          extend: () => Promise.reject(new Error("all tables here have the same columns")),
          drop: (table) => call(`drop ${table.table}`, () => warehouse.drop(table)),
          async *list({ dataset }, prefix = "") {
            yield* await call(`tables ${prefix}`, () => warehouse.list(dataset, prefix));
          },
        },
      }),
    };
    return process;
  };
  const processes = Array.from({ length: PROCESSES }, (_, slot) => start(slot));

  // ---- steps

  const carryOut = (call: Call): void => {
    calls.splice(calls.indexOf(call), 1);
    trace.push(`${call.process.name} ${call.name}`);
    try {
      call.resolve(call.perform());
    } catch (error) {
      if (error instanceof Violation) throw error;
      call.reject(error);
    }
  };
  /** A violation that `perform` finds is thrown at once, whoever has sent the request. */
  const arrive = (entry: (typeof late)[number]): void => {
    late.splice(late.indexOf(entry), 1);
    trace.push(`late ${entry.name}`);
    try {
      entry.perform();
    } catch (error) {
      if (error instanceof Violation) throw error;
    }
  };
  const deliver = (message: Message, process: Process, twice: boolean): void => {
    if (!twice) waiting.splice(waiting.indexOf(message), 1);
    const delivery = { ...message };
    inFlight.set(delivery, process);
    trace.push(`deliver ${message.id} to ${process.name}: ${JSON.stringify(message.data)}`);
    const body = {
      message: {
        data: Buffer.from(JSON.stringify(message.data)).toString("base64"),
        messageId: message.id,
        publishTime: new Date(clock.now()).toISOString(),
      },
    };
    process.runtime.receive(message.consumer, { body }).then(
      () => void inFlight.delete(delivery),
      (error: unknown) => {
        trace.push(`nack ${message.id}: ${String(error)}`);
        if (inFlight.delete(delivery) && !twice) waiting.push({ ...message, at: clock.now() + 10_000 });
      },
    );
  };
  const sweep = (process: Process): void => {
    sweeping.add(process);
    trace.push(`sweep by ${process.name}`);
    const end = (): void => void sweeping.delete(process);
    process.runtime.sweepDue().then(end, end);
  };
  const runJob = (job: MemoryJob, fate: number): void => {
    let error: JobError | undefined;
    if (job.cancelled && fate % 2 === 0) error = { reason: "stopped", message: "it was cancelled", retryable: true };
    else if (chaotic && faults.jobs > 0 && fate % 5 === 0) {
      faults.jobs -= 1;
      error = { reason: "backendError", message: "try again", retryable: true };
    }
    trace.push(`job ${job.id} ${error?.reason ?? "runs"}`);
    if (error === undefined) options.beforeJob?.(self, job);
    warehouse.run(job.id, error);
  };
  const die = (process: Process, fate: number): void => {
    faults.deaths -= 1;
    process.alive = false;
    const cut = calls.filter((call) => call.process === process);
    trace.push(`${process.name} dies with ${cut.length} calls under way`);
    cut.forEach((call, index) => {
      calls.splice(calls.indexOf(call), 1);
      const entry = { name: `${call.name} of ${process.name}`, perform: call.perform };
      const kind = (fate >> (index * 2)) & 3;
      if (kind === 0 || !call.ready()) return; // it was never sent
      late.push(entry);
      if (kind === 1) arrive(entry); // done, but nobody heard of it
    });
    for (const [message, by] of inFlight) {
      if (by !== process) continue;
      inFlight.delete(message);
      waiting.push(message);
    }
    sweeping.delete(process);
    processes[process.slot] = start(process.slot);
  };
  const ready = (): Call[] => calls.filter((call) => call.ready());
  const deliverable = (): Message[] => waiting.filter(({ at }) => at <= clock.now());
  const nextTime = (): number => {
    const due = documents.all("due").map(([, { dueAt }]) => dueAt);
    const times = [
      ...due,
      clock.nextAt() ?? Infinity,
      ...calls.map(({ deadline }) => deadline ?? Infinity),
      ...waiting.map(({ at }) => at),
    ];
    return Math.min(...times.filter((time) => time > clock.now()));
  };
  const finishStep = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    watch(self);
  };

  /** Each kind of step with its weight, as far as it is possible now. */
  const step = async (choice: number): Promise<void> => {
    const open = ready();
    const messages = deliverable();
    const jobs = warehouse.pending();
    const kinds: [number, () => void | Promise<void>][] = [];
    const pick = <T>(list: readonly T[]): T => {
      const item = list[(choice >>> 8) % list.length];
      if (item === undefined) throw new Error("picked from nothing");
      return item;
    };
    const fate = choice >>> 4;
    if (open.length > 0) kinds.push([12, () => carryOut(pick(open))]);
    if (jobs.length > 0) kinds.push([3, () => runJob(pick(jobs), fate)]);
    if (late.length > 0) kinds.push([1, () => arrive(pick(late))]);
    if (messages.length > 0) {
      kinds.push([3, () => deliver(pick(messages), pick(processes), false)]);
      if (faults.duplicates > 0)
        kinds.push([
          1,
          () => {
            faults.duplicates -= 1;
            deliver(pick(messages), pick(processes), true);
          },
        ]);
    }
    if (faults.deaths > 0) kinds.push([1, () => die(pick(processes), fate)]);
    kinds.push([
      1,
      async () => {
        const ms = [1_000, 30_000, 100_000, 400_000][(choice >>> 12) % 4] ?? 1_000;
        trace.push(`${ms} ms pass`);
        await clock.advance(ms);
      },
    ]);
    const idle = processes.filter((process) => !sweeping.has(process));
    if (idle.length > 0) kinds.push([1, () => sweep(pick(idle))]);
    const total = kinds.reduce((sum, [weight]) => sum + weight, 0);
    let left = choice % total;
    const chosen = kinds.find(([weight]) => (left -= weight) < 0);
    await chosen?.[1]();
    await finishStep();
  };

  const settle = async (maxSteps = 20_000): Promise<void> => {
    chaotic = false;
    for (let count = 0; count < maxSteps; count++) {
      const [call] = ready();
      const [job] = warehouse.pending();
      const [message] = deliverable();
      const [sent] = late;
      const [process] = processes;
      if (process === undefined) throw new Error("there is no process");
      const now = clock.now();
      if (call !== undefined) carryOut(call);
      else if (job !== undefined) runJob(job, 1);
      else if (sent !== undefined) arrive(sent);
      else if (message !== undefined) deliver(message, process, false);
      else if (documents.all("due").some(([, { dueAt }]) => dueAt <= now) && !sweeping.has(process)) sweep(process);
      else {
        const next = nextTime();
        if (next === Infinity) {
          chaotic = true;
          return;
        }
        await clock.advance(next - now);
      }
      await finishStep();
    }
    throw new Violation(`nothing settles in ${maxSteps} steps`);
  };

  const self: World = {
    clock,
    documents,
    warehouse,
    definitions,
    trace,
    objects,
    get messages() {
      return [...waiting, ...inFlight.keys()];
    },
    publish: (topic, data) => publish(topic, data),
    writeObject: (bucket, name) => {
      const info = { bucket, name, generation: String(++counter), size: 1, updated: clock.now() };
      objects.set(`gs://${bucket}/${name}`, info);
      trace.push(`object ${name}#${info.generation}`);
      notify(info);
    },
    step,
    settle,
  };
  return self;
}

/** Something that must never be the case is. */
export class Violation extends Error {
  override readonly name = "Violation";
}
