/** Ports that die: after a given call has had its effect, neither it nor any later one ever answers. */
import type { Clock, Random } from "../../lib/ports/clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { MessageBus } from "../../lib/ports/message-bus.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import type { Secrets } from "../../lib/ports/secrets.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";

export interface Ports {
  readonly objects: ObjectStore;
  readonly warehouse: Warehouse;
  readonly events: EventStore;
  readonly bus: MessageBus;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Mortal {
  readonly ports: Ports;
  /** Resolves at the moment of death with the name of the last call. */
  readonly death: Promise<string>;
  /** Ids of the warehouse jobs that were submitted: they outlive their caller. */
  readonly jobs: readonly string[];
}

/** What is called on these ports dies right after call number `last` (from 1) has been carried out. */
export function mortalPorts(ports: Ports, last: number): Mortal {
  let calls = 0;
  let dead = false;
  const grave = new AbortController();
  const jobs: string[] = [];
  const { promise: death, resolve: die } = Promise.withResolvers<string>();
  const never = new Promise<never>(() => undefined);
  const count = (name: string): void => {
    calls += 1;
    if (calls < last) return;
    dead = true;
    grave.abort();
    die(name);
  };

  async function* listed(name: string, items: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    if (dead) await never;
    for await (const item of items) yield item;
    count(name);
    if (dead) await never;
  }

  /** Not a step; its timer ends with the process. */
  async function sleep(call: (...args: readonly unknown[]) => unknown, args: readonly unknown[]): Promise<unknown> {
    const [ms, signal] = args as Parameters<Clock["sleep"]>;
    const either = signal === undefined ? grave.signal : AbortSignal.any([signal, grave.signal]);
    await Promise.resolve(call(ms, either)).catch(async (error: unknown) => {
      if (dead) await never;
      throw error;
    });
    return undefined;
  }

  function wrap<P extends object>(port: P, portName: string): P {
    const wrapped = Object.entries(port).map(([name, method]: [string, unknown]) => {
      if (typeof method !== "function" || name === "now" || name === "next" || name === "id") return [name, method];
      const call = method as (...args: readonly unknown[]) => unknown; // the ports hold only functions
      const shown = `${portName}.${name}`;
      return [
        name,
        (...args: readonly unknown[]): unknown => {
          if (dead) return never;
          if (name === "submit") jobs.push(String(args[0]));
          if (name === "sleep") return sleep(call, args);
          const result = call(...args);
          if (result !== null && typeof result === "object" && Symbol.asyncIterator in result) {
            return listed(shown, result as AsyncIterable<unknown>);
          }
          return Promise.resolve(result).then((value) => {
            if (!dead) count(shown);
            return dead ? never : value;
          });
        },
      ];
    });
    // Every entry of the port is there again, behind the same signature.
    return Object.fromEntries(wrapped) as P;
  }

  return {
    ports: {
      objects: wrap(ports.objects, "objects"),
      warehouse: wrap(ports.warehouse, "warehouse"),
      events: wrap(ports.events, "events"),
      bus: wrap(ports.bus, "bus"),
      secrets: wrap(ports.secrets, "secrets"),
      clock: wrap(ports.clock, "clock"),
      random: ports.random,
    },
    death,
    jobs,
  };
}
