/**
 * The real runtime in a world that does its worst. Two instances run it over ports in memory. Every request to a port waits
 * until a step lets it happen; time passes, instances die and messages come when a step says so. A step is a number, so that a
 * list of numbers is all that is needed to see the same again.
 */
import type { Decision, Read, Refs } from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { bucketTopicOf, jobTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import { presentKey } from "../../lib/core/previous-keys.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { JobError, JobSpec, JobStatus, Warehouse } from "../../lib/ports/warehouse.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import { parquetRows } from "../../lib/runtime/parquet/reader.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { bucketStore, memoryBuckets } from "./buckets.ts";
import type { Buckets, Row, Step, StoredObject } from "./buckets.ts";
import { chance } from "./chance.ts";
import { plainDocuments } from "./documents.ts";
import { BUCKET, CLEAN_UP, SENSOR, SEVERAL } from "./projects.ts";
import type { Deployment, Project } from "./projects.ts";
import { MOODS, STEPS } from "./schedule.ts";
import type { Act, Part, Schedule, StepKind } from "./schedule.ts";
import { memoryWarehouse, statusOf } from "./warehouse.ts";
import type { Job, MemoryWarehouse } from "./warehouse.ts";
import { watcher } from "./watch.ts";

/** What a test takes away from the runtime, to show that the proof can fail. */
export interface Sabotage {
  /** Stands in for the decision of a transaction. */
  decide?<R extends Refs, T>(refs: R, decide: (read: Read<R>) => Decision<T>, read: Read<R>): Decision<T>;
  warehouse?(port: Warehouse): Warehouse;
  objects?(port: ObjectStore): ObjectStore;
  events?(port: EventStore): EventStore;
  /** Nothing is ever reconciled. */
  readonly neverSweeps?: true;
}

export interface World {
  readonly project: Project;
  readonly documents: MemoryDocuments;
  readonly warehouse: MemoryWarehouse;
  readonly buckets: Buckets;
  /** How often each kind of fault has really happened. */
  readonly faults: Map<string, number>;
  readonly trace: readonly string[];
  /** The first thing that was found wrong. */
  violation(): string | undefined;
  act(act: Act): void;
  /** Whether nothing is under way, and nothing waits but for its time. */
  isIdle(): boolean;
  step(choice: number): Promise<void>;
  /** Without further faults: lets everything happen until nothing is left to do, what reconciling finds included. */
  settle(): Promise<void>;
}

export interface WorldOptions {
  readonly project: Project;
  readonly schedule: Pick<Schedule, "sensor" | "skews" | "mood" | "sweepsLast">;
  readonly sabotage?: Sabotage | undefined;
  readonly traced?: boolean | undefined;
}

interface Instance {
  readonly name: string;
  readonly slot: number;
  readonly skew: number;
  alive: boolean;
  /** How many requests happen at once, before the next one waits for a step. */
  credit: number;
  busy: number;
  runtime: Runtime | undefined;
  deployment: Deployment;
}

interface Call {
  readonly instance: Instance;
  readonly what: string;
  readonly perform: () => unknown;
  readonly ready: (() => boolean) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly deadline: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Message {
  readonly id: string;
  readonly consumer: Consumer;
  readonly data: unknown;
  readonly publishedAt: number;
  at: number;
  /** Who is at work on it. */
  readonly held: Instance[];
}

interface Sleeper {
  readonly instance: Instance;
  readonly at: number;
  readonly wake: () => void;
}

/** 2024-06-01. */
const START = Date.UTC(2024, 5, 1);
const DAY_MS = 86_400_000;
/** How many of each fault there may be: with more of them, nothing would ever get done. */
const BUDGET = { crash: 3, twice: 2, drop: 3, delay: 2, fail: 2, steal: 2, sweep: 3, jobs: 2 };
const LEAPS = [300, 11_000, 31_000, 100_000, 400_000] as const;
/** Longer than everything before: reconciling does not wait for news any more, and announces what has doubled its age. */
const LONG_AFTER_MS = 12 * 3_600_000;
const MAX_CALM_STEPS = 4_000;
const FAR = 1_000_000;

export function world({ project, schedule, sabotage = {}, traced = false }: WorldOptions): World {
  let current: Deployment = project;
  const { sweepsLast } = schedule;
  let now = START;
  let counter = 0;
  let violation: string | undefined;
  const trace: string[] = [];
  const say = (line: string): void => {
    if (traced) trace.push(line);
  };
  const fail = (message: string): void => {
    violation ??= message;
  };
  const faults = new Map<string, number>();
  const count = (what: string): void => void faults.set(what, (faults.get(what) ?? 0) + 1);
  const budget = { ...BUDGET };
  /** Whether a message was lost, so that only reconciling can find what it was about. */
  let lost = false;

  const buckets = memoryBuckets(() => now);
  const documents = plainDocuments({ onChanges: (changes) => watch.changed(changes) });
  const warehouse = memoryWarehouse(
    (uri) => {
      const [, bucket = "", name = ""] = /^gs:\/\/([^/]+)\/([^]*)$/.exec(uri) ?? [];
      return buckets.get(bucket, name)?.rows;
    },
    (job, destination) => watch.written(job, destination),
  );
  const watch = watcher({ project, documents, warehouse, buckets, fail });
  const store = memoryEventStore(documents);

  const calls: Call[] = [];
  /** What dead instances have sent and has not arrived yet. */
  const late: { readonly what: string; readonly perform: () => unknown }[] = [];
  const messages: Message[] = [];
  const names = new Set<string>();
  const sleepers: Sleeper[] = [];
  const nothing = new Promise<never>(() => undefined);

  // ---- messages

  const publish = (topic: string, data: unknown, at = now): string => {
    const id = `m${++counter}`;
    for (const consumer of current.consumers.get(topic) ?? project.consumers.get(topic) ?? [])
      messages.push({ id: `m${++counter}`, consumer, data, publishedAt: now, at, held: [] });
    return id;
  };
  const notify = ({ bucket, name, generation, size }: StoredObject): void =>
    void publish(bucketTopicOf(bucket), { bucket, name, generation, size });

  // ---- instances

  const requestOf =
    (instance: Instance) =>
    <T>(
      what: string,
      perform: () => T,
      signal?: AbortSignal,
      ready?: () => boolean,
      deadline = Infinity,
    ): Promise<T> => {
      if (!instance.alive) return nothing; // the dead make no requests, and hear no answers
      if (signal?.aborted === true) return Promise.reject(reasonOf(signal));
      if (instance.credit > 0 && (ready === undefined || ready())) {
        instance.credit -= 1;
        say(`${instance.name} ${what}`);
        try {
          return Promise.resolve(perform());
        } catch (error) {
          return Promise.reject(asError(error));
        }
      }
      return new Promise<T>((resolve, reject) => {
        // The value is what this request's own `perform` has returned.
        const answer = (value: unknown): void => resolve(value as T);
        calls.push({ instance, what, perform, ready, signal, deadline, resolve: answer, reject });
      });
    };

  const warehousePort = (request: ReturnType<typeof requestOf>): Warehouse => ({
    submit: (id, spec, labels) => request(`submit ${id}`, () => warehouse.submit(id, spec, labels)),
    dryRun: () => Promise.reject(new Error("nothing here asks what a query would read")),
    inspect: (id) => request(`inspect ${id}`, () => known(warehouse.job(id))),
    cancel: (id) => request(`cancel ${id}`, () => warehouse.cancel(id)),
    wait: (id, { timeoutMs, signal }) => {
      const deadline = now + timeoutMs;
      const perform = (): JobStatus => {
        const job = warehouse.job(id);
        if (job === undefined) throw new PermanentError(`no job ${id}`, { code: "not-found" });
        return statusOf(job);
      };
      const ready = (): boolean => warehouse.job(id)?.state !== "pending" || now >= deadline;
      return request(`wait ${id}`, perform, signal, ready, deadline);
    },
    async *rows(id, { signal } = {}) {
      yield* await request(`rows ${id}`, () => (warehouse.job(id)?.rows ?? []).map((row) => ({ ...row })), signal);
    },
    describe: (table) => request(`describe ${table.table}`, () => warehouse.describe(table)),
    extend: (table, columns, etag) => request(`extend ${table.table}`, () => warehouse.extend(table, columns, etag)),
    drop: (table) =>
      request(`drop ${table.table}`, () => {
        watch.dropped(table);
        return warehouse.drop(table);
      }),
    async *list({ dataset }, prefix = "") {
      yield* await request(`tables ${prefix}`, () => warehouse.list(dataset, prefix));
    },
  });

  const objectsPort = (step: Step): ObjectStore =>
    bucketStore(
      {
        ...buckets,
        delete: (bucket, name, generation) => {
          const there = buckets.get(bucket, name);
          const outcome = buckets.delete(bucket, name, generation);
          if (outcome === "deleted" && bucket === BUCKET && there !== undefined) watch.deleted(there);
          return outcome;
        },
      },
      step,
      rowsIn,
    );

  const start = (slot: number): Instance => {
    const skew = schedule.skews[slot] ?? 0;
    const name = `p${slot}.${++counter}`;
    const instance: Instance = {
      name,
      slot,
      skew,
      alive: true,
      credit: 0,
      busy: 0,
      runtime: undefined,
      deployment: current,
    };
    const request = requestOf(instance);
    const ports = { warehouse: warehousePort(request), objects: objectsPort(request) };
    const luck = chance(counter);
    instance.runtime = createRuntime({
      definitions: () => instance.deployment.definitions,
      clock: {
        now: () => now + skew,
        sleep: (ms, signal) => sleep(instance, ms, signal),
      },
      random: { next: () => luck.bits() / 2 ** 32, id: () => luck.bits().toString(16).padStart(16, "0") },
      secrets: { access: async (secret) => secret },
      events: (sabotage.events ?? itself)({
        ...store,
        history: async (query) => await request("history", () => store.history(query)),
        transact: (refs, decide) =>
          request(`transact ${traced ? textOf(refs) : ""}`, () =>
            documents.apply(
              refs,
              sabotage.decide === undefined ? decide : (read) => sabotage.decide?.(refs, decide, read) ?? decide(read),
            ),
          ),
        get: (kind, id) => request(`get ${kind} ${id}`, () => documents.get(kind, id)),
        append: (added) => request("append", () => documents.append(added)),
      }),
      bus: {
        publish: (topic, message) => request(`publish ${topic}`, () => publish(topic, message.data)),
        schedule: (task, topic, message, at) =>
          request(`schedule ${task}`, () => {
            if (names.has(task)) return;
            names.add(task);
            publish(topic, message.data, at);
          }),
      },
      warehouse: sabotage.warehouse?.(ports.warehouse) ?? ports.warehouse,
      objects: sabotage.objects?.(ports.objects) ?? ports.objects,
    });
    return instance;
  };

  const sleep = (instance: Instance, ms: number, signal: AbortSignal | undefined): Promise<void> => {
    if (!instance.alive) return nothing;
    if (signal?.aborted === true) return Promise.reject(reasonOf(signal));
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const sleeper: Sleeper = { instance, at: now + ms, wake: resolve };
      sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        const at = sleepers.indexOf(sleeper);
        if (at < 0) return;
        sleepers.splice(at, 1);
        reject(reasonOf(signal));
      });
    });
  };
  const pass = (until: number): void => {
    now = Math.max(now, until);
    const woken = sleepers.filter(({ at }) => at <= now).sort((one, other) => one.at - other.at);
    for (const sleeper of woken) {
      sleepers.splice(sleepers.indexOf(sleeper), 1);
      sleeper.wake();
    }
  };
  const instances: [Instance, Instance] = [start(0), start(1)];
  /** The first one of the present deployment. */
  const newest = (): Instance => instances.find(({ deployment }) => deployment === current) ?? instances[0];

  // ---- what a step can do

  const isReady = ({ ready, signal }: Call): boolean => ready === undefined || signal?.aborted === true || ready();
  const take = <T>(list: T[], item: T): void => void list.splice(list.indexOf(item), 1);

  const go = (call: Call, credit: number): void => {
    take(calls, call);
    const { signal, instance } = call;
    if (signal?.aborted === true) return call.reject(reasonOf(signal));
    say(`${instance.name} ${call.what}`);
    instance.credit = credit;
    try {
      call.resolve(call.perform());
    } catch (error) {
      call.reject(error);
    }
  };
  const arrive = (entry: (typeof late)[number]): void => {
    take(late, entry);
    say(`late: ${entry.what}`);
    try {
      entry.perform();
    } catch {
      // Nobody hears the answer.
    }
  };
  const deliver = (message: Message, wanted: Instance, credit: number): void => {
    // An older deployment has no function for a name that came later.
    const instance = servedBy(wanted, message.consumer) === undefined ? newest() : wanted;
    const consumer = servedBy(instance, message.consumer) ?? message.consumer;
    if (message.held.includes(instance)) return;
    say(`${message.id} ${nameOf(consumer)} → ${instance.name}: ${traced ? JSON.stringify(message.data) : ""}`);
    message.held.push(instance);
    instance.busy += 1;
    instance.credit = credit;
    const body = {
      message: {
        data: Buffer.from(JSON.stringify(message.data)).toString("base64"),
        messageId: message.id,
        publishTime: new Date(message.publishedAt).toISOString(),
      },
    };
    const end = (): void => {
      instance.busy -= 1;
      take(message.held, instance);
    };
    instance.runtime?.receive(consumer, { body }).then(
      () => {
        end();
        const at = messages.indexOf(message);
        if (at >= 0) messages.splice(at, 1);
      },
      (error: unknown) => {
        end();
        say(`${message.id} is not acknowledged: ${String(error)}`);
        message.at = now + 10_000;
      },
    );
  };
  const sweep = (instance: Instance, what: "sweepDue" | "sweepBuckets", credit: number): void => {
    if (sabotage.neverSweeps === true) return;
    say(`${instance.name} ${what}`);
    instance.busy += 1;
    instance.credit = credit;
    const end = (): void => {
      instance.busy -= 1;
    };
    instance.runtime?.[what]().then(end, end);
  };
  const runJob = (job: Job, error: JobError | undefined): void => {
    say(`job ${job.id} ${error?.reason ?? "runs"}`);
    warehouse.run(job, error);
    if (traced && job.error !== undefined) say(`  failed: ${job.error.message}`);
  };
  const cancelled: JobError = { reason: "stopped", message: "it was cancelled", retryable: true };
  const passing: JobError = { reason: "backendError", message: "try again", retryable: true };

  /** `fate`: two bits for each request under way. */
  const crash = (instance: Instance, fate: number): void => {
    instance.alive = false;
    const cut = calls.filter((call) => call.instance === instance);
    say(`${instance.name} dies with ${cut.length} requests under way`);
    cut.forEach((call, index) => {
      take(calls, call);
      const kind = (fate >>> ((index * 2) % 24)) & 3;
      if (kind === 0 || !isReady(call)) return count("crash, request not made");
      const entry = { what: `${call.what} of ${instance.name}`, perform: call.perform };
      late.push(entry);
      if (kind === 1) {
        count("crash, request made");
        arrive(entry);
      } else count("crash, request made later");
    });
    for (let at = sleepers.length - 1; at >= 0; at--) if (sleepers[at]?.instance === instance) sleepers.splice(at, 1);
    // The transport delivers again what a dead instance has not acknowledged.
    for (const { held } of messages) while (held.includes(instance)) take(held, instance);
    instances[instance.slot] = start(instance.slot);
  };

  /** A request fails for the caller, whether or not it was carried out. */
  const failCall = (call: Call, done: boolean): void => {
    take(calls, call);
    say(`${call.instance.name} ${call.what}: ${done ? "done, but the answer is lost" : "out of reach"}`);
    call.instance.credit = 0;
    try {
      if (done) call.perform();
    } catch {
      // The answer is lost.
    }
    call.reject(new Error("out of reach"));
  };

  /** A stranger's job has the id that the request is about to use. */
  const steal = (call: Call): void => {
    const id = call.what.slice("submit ".length);
    say(`a stranger's job takes the id ${id}`);
    const spec: JobSpec = { kind: "query", sql: "SELECT 1" };
    if (warehouse.submit(id, spec, { owner: "stranger" }) === "duplicate") return;
    const job = warehouse.job(id);
    if (job !== undefined) warehouse.run(job);
  };

  const deliverable = (): Message[] => messages.filter(({ at, held }) => at <= now && held.length === 0);
  const mood = MOODS[schedule.mood];
  if (mood === undefined) throw new Error(`there is no mood ${schedule.mood}`);

  const drained = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
  const finish = async (): Promise<void> => {
    await drained();
    for (const instance of instances) instance.credit = 0;
  };

  const step = async (choice: number): Promise<void> => {
    if (choice === 0) {
      await calmStep();
      return;
    }
    const ready = calls.filter(isReady);
    const waiting = deliverable();
    const jobs = warehouse.pending;
    const mortal = instances.filter((instance) => calls.some((call) => call.instance === instance));
    const possible = (kind: StepKind): boolean => {
      switch (kind) {
        case "go":
        case "fail":
          return ready.length > 0 && (kind === "go" || budget.fail > 0);
        case "job":
          return jobs.length > 0;
        case "late":
          return late.length > 0;
        case "deliver":
          return waiting.length > 0;
        case "twice":
        case "drop":
        case "delay":
          return waiting.length > 0 && budget[kind] > 0;
        case "crash":
          return mortal.length > 0 && budget.crash > 0;
        case "steal":
          return budget.steal > 0 && ready.some(isOwnJob);
        case "sweep":
          return budget.sweep > 0;
        case "pass":
          return true;
      }
    };
    let total = 0;
    const kinds = STEPS.filter((kind) => mood[kind] > 0 && possible(kind));
    for (const kind of kinds) total += mood[kind];
    let left = choice % total;
    const kind = kinds.find((each) => (left -= mood[each]) < 0) ?? "pass";
    const which = choice >>> 10;
    const fate = choice >>> 5;
    const pick = <T>(list: readonly T[]): T => {
      const item = list[which % list.length];
      if (item === undefined) throw new Error("picked from nothing");
      return item;
    };
    const credit = fate % 2 === 0 ? fate % 31 : fate % 7;
    if (kind in budget && kind !== "crash") {
      budget[kind as keyof typeof budget] -= 1; // a kind that has a budget
      count(kind);
    }
    switch (kind) {
      case "go":
        go(pick(ready), credit);
        break;
      case "job": {
        const job = pick(jobs);
        if (job.cancelled && fate % 2 === 0) runJob(job, cancelled);
        else if (budget.jobs > 0 && fate % 6 === 0) {
          budget.jobs -= 1;
          count("job fails for a passing reason");
          runJob(job, passing);
        } else runJob(job, undefined);
        break;
      }
      case "late":
        count("late request lands");
        arrive(pick(late));
        break;
      case "deliver":
        deliver(pick(waiting), pick(instances), credit);
        break;
      case "twice": {
        const message = pick(waiting);
        for (const instance of instances) deliver(message, instance, credit);
        break;
      }
      case "crash":
        budget.crash -= 1;
        crash(pick(mortal), fate);
        break;
      case "pass": {
        const ms = LEAPS[which % LEAPS.length] ?? 1_000;
        say(`${ms} ms pass`);
        if (ms >= 100_000 && ready.length > 0) count("a lease runs out under its holder");
        pass(now + ms);
        break;
      }
      case "sweep":
        sweep(pick(instances), fate % 4 === 0 ? "sweepBuckets" : "sweepDue", credit);
        break;
      case "drop": {
        const message = pick(waiting);
        if (!isDroppable(message)) break;
        say(`${message.id} is lost: ${JSON.stringify(message.data)}`);
        take(messages, message);
        lost = true;
        break;
      }
      case "delay": {
        const message = pick(waiting);
        message.at = now + 50_000;
        say(`${message.id} is delayed`);
        break;
      }
      case "fail":
        failCall(pick(ready), fate % 2 === 0);
        break;
      case "steal":
        steal(pick(ready.filter(isOwnJob)));
        break;
    }
    await finish();
  };

  /** What is next in turn happens, undisturbed; `false` when there is nothing. */
  const calmStep = async (): Promise<boolean> => {
    const instance = newest();
    const call = calls.find(isReady);
    if (call !== undefined) go(call, FAR);
    else if (warehouse.pending[0] !== undefined) runJob(warehouse.pending[0], undefined);
    else {
      const message = messages.find(({ at, held }) => at <= now && held.length === 0);
      if (message !== undefined) deliver(message, instance, FAR);
      else if (late[0] !== undefined) arrive(late[0]);
      else if (instance.busy === 0 && sabotage.neverSweeps !== true && documents.nextDue() <= now + instance.skew)
        sweep(instance, "sweepDue", FAR);
      else {
        const next = nextTime(instance.skew);
        if (next === Infinity) return false;
        say(`${next - now} ms pass`);
        pass(next);
      }
    }
    await finish();
    return true;
  };
  const nextTime = (skew: number): number => {
    let next = sabotage.neverSweeps === true ? Infinity : documents.nextDue() - skew;
    for (const { at } of sleepers) next = Math.min(next, at);
    for (const { deadline } of calls) if (deadline > now) next = Math.min(next, deadline);
    for (const { at, held } of messages) if (held.length === 0) next = Math.min(next, at);
    return next <= now ? now + 1_000 : next;
  };

  const rest = async (): Promise<void> => {
    for (let steps = 0; violation === undefined && (await calmStep()); steps++) {
      if (steps === MAX_CALM_STEPS) fail(`nothing comes to rest in ${MAX_CALM_STEPS} steps`);
    }
  };
  const settle = async (): Promise<void> => {
    await rest();
    if (violation !== undefined) return;
    if (current !== project) {
      // What an older deployment has left since is adopted by the next process that starts.
      for (const slot of [0, 1] as const) instances[slot] = start(slot);
      pass(now + LONG_AFTER_MS);
      sweep(instances[0], "sweepDue", FAR);
      await finish();
      await rest();
      if (violation !== undefined) return;
    }
    // A sweep may only have come to the end of a pass that another one has begun.
    for (let sweeps = 0; sweeps < 2 && (lost || sweepsLast); sweeps++) {
      pass(now + LONG_AFTER_MS); // every file has settled, and all news should have arrived
      sweep(instances[0], "sweepBuckets", FAR);
      await finish();
      await rest();
      if (violation !== undefined) return;
    }
    if (watch.leftovers().length > 0) {
      count("left to its time of expiry");
      pass(now + 60 * DAY_MS);
      warehouse.expire(now);
      sweep(instances[0], "sweepBuckets", FAR);
      await finish();
      await rest();
    }
    watch.atRest(messages.map(({ id, consumer }) => `${id} for ${nameOf(consumer)}`));
  };

  if (schedule.sensor) {
    const write = put(ref("sensor", SENSOR), { name: SENSOR, status: "running" });
    documents.apply({}, () => ({ result: undefined, writes: [write], events: [] }));
  }

  return {
    project,
    documents,
    warehouse,
    buckets,
    faults,
    trace,
    violation: () => violation,
    step,
    settle,
    isIdle: () =>
      calls.length + messages.length + warehouse.pending.length + late.length + documents.count("due") === 0,
    act: (act) => {
      say(`— ${JSON.stringify(act)}`);
      switch (act.do) {
        case "write": {
          const { day, part, bad = false, unsettledMs = 0 } = act;
          const name = fileOf(day, part);
          const extra = act.wide === true ? { extra: true as const } : {};
          const row = (version: string): Row => ({
            file: name,
            day: dayOf(day),
            version: Number(version),
            bad,
            ...extra,
          });
          const rows = (version: string): { rows?: readonly Row[] } =>
            part === "marker" ? {} : { rows: [row(version)] };
          if (unsettledMs > 0) {
            count("object that is not listed yet");
            lost = true;
          }
          const stored = buckets.put(BUCKET, name, rows, now + unsettledMs);
          if (act.silent === true) lost = true;
          else notify(stored);
          break;
        }
        case "remove":
          buckets.remove(BUCKET, fileOf(act.day, act.part));
          break;
        case "ask": {
          const asset = [...current.definitions.assets.values()][act.asset];
          if (asset === undefined) break;
          const day = asset.partitions === undefined ? {} : { partition: dayOf(act.day) };
          publish(topicOf(asset.key), { ...day, ...(act.wish === undefined ? {} : { [act.wish]: true }) });
          if (act.wish === "rollback") watch.allowRollback();
          break;
        }
        case "ask several": {
          const { day, select, force } = act;
          const wish = { partition: dayOf(day), ...(select === undefined ? {} : { select }) };
          publish(jobTopicOf(SEVERAL), { config: { ...wish, ...(force === undefined ? {} : { force }) } });
          break;
        }
        case "backfill": {
          const [asset] = current.definitions.assets.values();
          const { which, order } = act;
          const days = order.action === "start" ? { from: dayOf(order.from), to: dayOf(order.to) } : {};
          const id = String(which).padStart(16, "b");
          publish(topicOf(asset?.key ?? ""), {
            backfill: { ...order, ...days, id },
          });
          break;
        }
        case "deploy":
          current = project.renamed ?? project;
          // An older process may take a message for its own that it makes nothing of.
          lost = true;
          for (const instance of instances)
            if (act.only === undefined || act.only === instance.slot) crash(instance, act.fate);
          break;
        case "clean":
          // As greedy as a request can be.
          publish(jobTopicOf(CLEAN_UP), { config: { before: "2999-01-01", dryRun: act.dryRun } });
          break;
      }
    },
  };
}

export function dayOf(day: number): string {
  return `2024-05-0${day}`;
}

export function fileOf(day: number, part: Part): string {
  return part === "marker" ? `days/${dayOf(day)}/_SUCCESS` : `days/${dayOf(day)}/part-${part}.parquet`;
}

/** What reconciling finds again, or nobody has to miss. A person's request is left to the transport, which keeps it for days. */
function isDroppable({ consumer, data }: Message): boolean {
  if (consumer.kind !== "asset") return true;
  if (typeof data !== "object" || data === null) return false;
  if ("wake" in data) return true;
  if ("backfill" in data) return (data.backfill as { action: unknown }).action === "wake";
  const kind = "cause" in data && typeof data.cause === "object" && data.cause !== null && "kind" in data.cause;
  return kind && FOUND_AGAIN.has((data.cause as { kind: unknown }).kind);
}

const FOUND_AGAIN: ReadonlySet<unknown> = new Set(["object", "materialization", "reconcile", "backfill"]);

function itself<T>(value: T): T {
  return value;
}

/** Who the consumer is in the instance's own deployment; `undefined` where there is none. */
function servedBy({ deployment }: Instance, consumer: Consumer): Consumer | undefined {
  if (!("key" in consumer)) return consumer;
  const { assets } = deployment.definitions;
  const key = presentKey(assets, consumer.key);
  return assets.has(key) ? { ...consumer, key } : undefined;
}

function isOwnJob({ what }: Call): boolean {
  return what.startsWith("submit ");
}

function known(job: Job | undefined): JobStatus | undefined {
  return job === undefined ? undefined : statusOf(job);
}

function nameOf(consumer: Consumer): string {
  if ("key" in consumer) return `${consumer.kind} ${consumer.key}`;
  if ("name" in consumer) return `${consumer.kind} ${consumer.name}`;
  return `${consumer.kind} ${"bucket" in consumer ? consumer.bucket : ""}`;
}

function textOf(refs: Refs): string {
  return Object.values(refs)
    .map(({ kind, id }) => `${kind} ${id}`)
    .join(", ");
}

function reasonOf(signal: AbortSignal): Error {
  return asError(signal.reason);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** The rows of what the runtime stages; a receipt has none. */
async function rowsIn(name: string, bytes: Uint8Array): Promise<readonly Row[] | undefined> {
  if (!name.endsWith(".parquet")) return undefined;
  const rows: Row[] = [];
  // The files are written by the schema of the one asset that stages rows.
  for await (const row of parquetRows(bytes)) rows.push(row as unknown as Row);
  return rows;
}
