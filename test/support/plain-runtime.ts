/** The runtime over parts in memory, for what needs no warehouse and no bucket: jobs, sensors, assets that store nothing. */
import type { Definitions } from "../../lib/core/definitions.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { EventStore } from "../../lib/ports/event-store.ts";
import type { OutgoingMessage } from "../../lib/ports/message-bus.ts";
import type { Warehouse } from "../../lib/ports/warehouse.ts";
import { createRuntime } from "../../lib/runtime/runtime.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import type { Settings } from "../../lib/runtime/services.ts";
import { memoryEventStore } from "./memory-event-store.ts";
import { seededRandom } from "./virtual-clock.ts";

export interface PlainRuntime {
  readonly runtime: Runtime;
  readonly events: EventStore;
  /** What it has published, as `topic data`. */
  readonly published: readonly string[];
  /** What it asked to be told later, as `topic data`, with the time. */
  readonly scheduled: readonly { readonly what: string; readonly at: number }[];
}

export interface PlainRuntimeOptions {
  readonly definitions: Definitions;
  readonly clock: Clock;
  readonly settings?: Partial<Settings>;
  /** Called before anything is published; where it throws, nothing is. */
  readonly onPublish?: (topic: string, message: OutgoingMessage) => void;
  /** Put around the event store. */
  readonly events?: (store: EventStore) => EventStore;
  /** What is asked of a warehouse; all else throws. Default nothing. */
  readonly warehouse?: Partial<Warehouse>;
}

export function plainRuntime({
  definitions,
  clock,
  settings = {},
  onPublish,
  events,
  warehouse = {},
}: PlainRuntimeOptions): PlainRuntime {
  const published: string[] = [];
  const scheduled: { readonly what: string; readonly at: number }[] = [];
  const store = memoryEventStore();
  const nothing = (): never => {
    throw new PermanentError("there is none here");
  };
  const runtime = createRuntime({
    events: events?.(store) ?? store,
    bus: {
      publish: async (topic, message) => {
        onPublish?.(topic, message);
        return String(published.push(`${topic} ${JSON.stringify(message.data)}`));
      },
      schedule: async (_name, topic, { data }, at) =>
        void scheduled.push({ what: `${topic} ${JSON.stringify(data)}`, at }),
    },
    // Sweeps find no objects; whoever asks for more is told that nothing is here.
    objects: new Proxy({}, { get: (_, name) => (name === "list" ? noObjects : nothing()) }) as never,
    warehouse: new Proxy(warehouse, {
      get: (asked, name) => (Reflect.get(asked, name) as unknown) ?? nothing(),
    }) as never,
    secrets: { access: nothing },
    clock,
    random: seededRandom(),
    definitions: () => definitions,
    settings,
  });
  return { runtime, events: store, published, scheduled };
}

async function* noObjects(): AsyncGenerator<never> {}

/** As Pub/Sub pushes it. */
export function pushOf(data: unknown, attributes?: Readonly<Record<string, string>>, messageId = "1") {
  const text = data === undefined ? {} : { data: Buffer.from(JSON.stringify(data)).toString("base64") };
  return {
    message: { ...text, ...(attributes && { attributes }), messageId, publishTime: "2024-05-01T10:00:00Z" },
    subscription: "projects/p/subscriptions/s",
  };
}
