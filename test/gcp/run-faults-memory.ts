/** Documents and messages in memory, whose calls can fail as those of a service out of reach do: before their effect, or after it. */
import { RetryableError } from "../../lib/core/errors.ts";
import type { SubscriptionPlan } from "../../lib/core/subscriptions.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { MessageBus } from "../../lib/ports/message-bus.ts";
import { memoryEventStore } from "../support/memory-event-store.ts";
import { isLate } from "./run-faults-injector.ts";
import type { Injector, Service } from "./run-faults-injector.ts";
import type { Backbone, BackboneOptions, Taken } from "./run-faults.ts";

export async function memoryBackbone({ clock, injector }: BackboneOptions): Promise<Backbone> {
  const plans = new Map<string, SubscriptionPlan[]>();
  let waiting: Taken[] = [];
  const delayed = new Map<string, { readonly topic: string; readonly data: unknown; readonly at: number }>();
  const used = new Set<string>();
  let count = 0;

  function publish(topic: string, data: unknown): string {
    const messageId = `m${++count}`;
    const message = {
      data: Buffer.from(JSON.stringify(data)).toString("base64"),
      messageId,
      publishTime: new Date(clock.now()).toISOString(),
    };
    for (const { name: subscription, consumer } of plans.get(topic) ?? []) {
      const taken: Taken = {
        subscription,
        consumer,
        incoming: { body: { message } },
        settle: async (acknowledged) => void (acknowledged || waiting.push(taken)),
      };
      waiting.push(taken);
    }
    return messageId;
  }

  const bus: MessageBus = {
    publish: async (topic, { data }) => publish(topic, data),
    schedule: async (name, topic, { data }, at) => {
      if (!used.has(name)) delayed.set(name, { topic, data, at });
      used.add(name);
    },
  };
  const events = memoryEventStore();

  return {
    events: failing("event store", events, injector),
    look: events,
    bus: failing("bus", bus, injector),
    publish: async (topic, data) => void publish(topic, data),
    async subscribe(added) {
      for (const plan of added) plans.set(plan.topic, [...(plans.get(plan.topic) ?? []), plan]);
    },
    async take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
    async deliverDue() {
      for (const [name, { topic, data, at }] of delayed) {
        if (at > clock.now()) continue;
        delayed.delete(name);
        publish(topic, data);
      }
    },
    nextAt: () =>
      [...delayed.values()].reduce<number | undefined>((first, { at }) => Math.min(first ?? at, at), undefined),
    patience: 0,
    close: async () => undefined,
  };
}

function failing<P extends EventStore | MessageBus>(service: Service, port: P, injector: Injector): P {
  const wrapped = Object.entries(port).map(
    ([name, method]: [string, (...args: readonly unknown[]) => Promise<unknown>]) => {
      const call = async (...args: readonly unknown[]): Promise<unknown> => {
        const fault = injector.meet(service, name);
        if (fault === undefined) return await method(...args);
        if (isLate(fault)) await method(...args);
        throw new RetryableError(`a fault on demand at ${name}`);
      };
      return [name, call];
    },
  );
  // The same names with methods of the same types.
  return Object.fromEntries(wrapped) as P;
}
