/**
 * The two processes that run the runtime. Each request of theirs waits until a step lets it happen. A process dies between any two
 * of its requests: it hears no answer any more, and what it has sent may still arrive.
 */
import type { Consumer } from "../../lib/core/subscriptions.ts";
import { presentKey } from "../../lib/core/previous-keys.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { chance } from "./chance.ts";
import type { Outside } from "./outside.ts";
import { jobTakenBy, portsOf } from "./ports.ts";
import type { Request } from "./ports.ts";
import type { Deployment } from "./projects.ts";
import type { Sabotage } from "./sabotage.ts";
import { RULES } from "./ticks.ts";
import { asError, reasonOf } from "./time.ts";
import { nameOf } from "./transport.ts";
import type { Message } from "./transport.ts";

export interface Instance {
  readonly name: string;
  readonly slot: number;
  /** How far its clock is ahead. */
  readonly skew: number;
  readonly deployment: Deployment;
  readonly runtime: Runtime;
  alive: boolean;
  /** How many requests happen at once, before the next one waits for a step. */
  credit: number;
  /** How much of what it was called for is under way. */
  busy: number;
  /** How many commands of people it has not answered. */
  commands: number;
}

/** A request that waits for a step. */
export interface Call {
  readonly instance: Instance;
  readonly what: string;
  readonly perform: () => unknown;
  readonly ready: (() => boolean) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly deadline: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What a dead instance has sent and has not arrived yet. */
export interface Late {
  readonly what: string;
  readonly perform: () => unknown;
}

export interface Instances {
  readonly all: readonly Instance[];
  readonly calls: readonly Call[];
  readonly late: readonly Late[];
  /** The first one of what is deployed now. */
  newest(): Instance;
  /** Another process takes the place, with what is deployed now. */
  start(slot: number): void;
  /** The process dies, and another one takes its place. `fate`: two bits for each request under way. */
  crash(instance: Instance, fate: number): void;
  deliver(message: Message, wanted: Instance, credit: number): void;
  sweep(instance: Instance, what: "sweepDue" | "sweepBuckets", credit: number): void;
  /** A person has the process do something. */
  command(instance: Instance, what: string, work: (runtime: Runtime) => Promise<unknown>): void;
  /** The request happens, and so many more of the same instance. */
  go(call: Call, credit: number): void;
  /** The request fails for its caller, whether or not it was carried out. */
  fail(call: Call, done: boolean): void;
  arrive(late: Late): void;
  /** No request happens by itself any more. */
  pause(): void;
}

export function isReady({ ready, signal }: Call): boolean {
  return ready === undefined || signal?.aborted === true || ready();
}

export function instancesIn(around: Outside, skews: readonly number[], sabotage: Sabotage): Instances {
  const { time, transport, journal, number } = around;
  const { say, count } = journal;
  const calls: Call[] = [];
  const late: Late[] = [];
  const nothing = new Promise<never>(() => undefined);

  const requestOf =
    (instance: () => Instance): Request =>
    <T>(
      what: string,
      perform: () => T,
      signal?: AbortSignal,
      ready?: () => boolean,
      deadline = Infinity,
    ): Promise<T> => {
      const caller = instance();
      if (!caller.alive) return nothing; // the dead make no requests, and hear no answers
      if (signal?.aborted === true) return Promise.reject(reasonOf(signal));
      if (caller.credit > 0 && (ready === undefined || ready())) {
        caller.credit -= 1;
        say?.(`${caller.name} ${what}`);
        try {
          return Promise.resolve(perform());
        } catch (error) {
          return Promise.reject(asError(error));
        }
      }
      return new Promise<T>((resolve, reject) => {
        // The value is what this request's own `perform` has returned.
        const answer = (value: unknown): void => resolve(value as T);
        calls.push({ instance: caller, what, perform, ready, signal, deadline, resolve: answer, reject });
      });
    };

  const begun = (slot: number): Instance => {
    const skew = skews[slot] ?? 0;
    const serial = number();
    const luck = chance(serial);
    const deployment = around.deployed;
    const runtime = createRuntime({
      definitions: () => deployment.definitions,
      clock: {
        now: () => time.now() + skew,
        sleep: (ms, signal) => (instance.alive ? time.sleep(instance, ms, signal) : nothing),
      },
      random: { next: () => luck.bits() / 2 ** 32, id: () => luck.bits().toString(16).padStart(16, "0") },
      secrets: { access: async (secret) => secret },
      // Every save is durable: there is little to save in a simulated run.
      settings: { checkpointMs: 0, ...(around.project.ticking.length === 0 ? {} : { schedules: RULES }) },
      ...portsOf(
        around,
        sabotage,
        requestOf(() => instance),
      ),
    });
    const state = { alive: true, credit: 0, busy: 0, commands: 0 };
    const instance: Instance = { name: `p${slot}.${serial}`, slot, skew, deployment, runtime, ...state };
    return instance;
  };
  const all: [Instance, ...Instance[]] = [begun(0), begun(1)];
  const newest = (): Instance => all.find(({ deployment }) => deployment === around.deployed) ?? all[0];
  const start = (slot: number): void => {
    all[slot] = begun(slot);
  };

  const arrive = (entry: Late): void => {
    take(late, entry);
    say?.(`late: ${entry.what}`);
    try {
      entry.perform();
    } catch {
      // Nobody hears the answer.
    }
  };

  return {
    all,
    calls,
    late,
    newest,
    start,
    arrive,
    crash: (instance, fate) => {
      instance.alive = false;
      const cut = calls.filter((call) => call.instance === instance);
      say?.(`${instance.name} dies with ${cut.length} requests under way`);
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
      time.forget(instance);
      // The transport delivers again what a dead instance has not acknowledged.
      for (const { held } of transport.messages) while (held.includes(instance)) take(held, instance);
      start(instance.slot);
    },
    deliver: (message, wanted, credit) => {
      // An older deployment has no function for a name that came later.
      const known = servedBy(wanted, message.consumer);
      const instance = known === undefined ? newest() : wanted;
      const consumer = known ?? servedBy(instance, message.consumer) ?? message.consumer;
      const { id, held, data } = message;
      if (held.includes(instance)) return;
      say?.(`${id} ${nameOf(consumer)} → ${instance.name}: ${JSON.stringify(data)}`);
      instance.busy += 1;
      instance.credit = credit;
      const acknowledged = (): void => {
        instance.busy -= 1;
      };
      const refused = (error: unknown): void => {
        instance.busy -= 1;
        say?.(`${id} is not acknowledged: ${String(error)}`);
      };
      transport
        .deliver(message, instance, (body) => instance.runtime.receive(consumer, { body }))
        .then(acknowledged, refused);
    },
    sweep: (instance, what, credit) => {
      if (sabotage.neverSweeps === true) return;
      say?.(`${instance.name} ${what}`);
      instance.busy += 1;
      instance.credit = credit;
      const end = (): void => {
        instance.busy -= 1;
      };
      instance.runtime[what]().then(end, end);
    },
    command: (instance, what, work) => {
      say?.(`${instance.name} ${what}`);
      instance.commands += 1;
      const end = (): void => {
        instance.commands -= 1;
      };
      work(instance.runtime).then(end, end);
    },
    go: (call, credit) => {
      take(calls, call);
      const { signal, instance } = call;
      if (signal?.aborted === true) return call.reject(reasonOf(signal));
      say?.(`${instance.name} ${call.what}`);
      instance.credit = credit;
      try {
        call.resolve(call.perform());
      } catch (error) {
        call.reject(error);
      }
    },
    fail: (call, done) => {
      take(calls, call);
      say?.(`${call.instance.name} ${call.what}: ${done ? "done, but the answer is lost" : "out of reach"}`);
      call.instance.credit = 0;
      try {
        if (done) call.perform();
      } catch {
        // The answer is lost.
      }
      call.reject(new Error("out of reach"));
    },
    pause: () => {
      for (const instance of all) instance.credit = 0;
    },
  };
}

/** Whether the request is about to take a job's id. */
export function isOwnJob({ what }: Call): boolean {
  return jobTakenBy(what) !== undefined;
}

/** Who the consumer is in the instance's own deployment; `undefined` where there is none. */
function servedBy({ deployment }: Instance, consumer: Consumer): Consumer | undefined {
  if (!("key" in consumer)) return consumer;
  const { assets } = deployment.definitions;
  const key = presentKey(assets, consumer.key);
  if (key === consumer.key) return assets.has(key) ? consumer : undefined;
  return assets.has(key) ? { ...consumer, key } : undefined;
}

function take<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
