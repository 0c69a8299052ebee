/** The runtime with a history and messages of this machine, over whichever buckets and warehouse it is given. */
import { join } from "node:path";
import type { Definitions } from "../core/definitions.ts";
import { EVENT_VERSION } from "../core/events.ts";
import { shortHash } from "../core/hash.ts";
import type { DeadLetterMessage } from "../core/dead-letter.ts";
import { DEAD_LETTERS, deadLetterPlan, previousSubscriptions, subscriptionsOf } from "../core/subscriptions.ts";
import type { SubscriptionPlan } from "../core/subscriptions.ts";
import { httpWebhooks } from "../local/http-webhooks.ts";
import { deadLetterAttributes, openLocalBus } from "../local/local-bus.ts";
import type { Copy, DeadLetter, LocalBus, Subscription } from "../local/local-bus.ts";
import { openSqliteEventStore } from "../local/sqlite-event-store.ts";
import type { SqliteEventStore } from "../local/sqlite-event-store.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Secrets } from "../ports/secrets.ts";
import type { Warehouse } from "../ports/warehouse.ts";
import { createRuntime } from "../runtime/runtime.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Settings } from "../runtime/services.ts";

export interface EngineOptions {
  /** The folder of `events.sqlite` and `messages.sqlite`. Whoever opens it is alone. */
  readonly home: string;
  readonly objects: ObjectStore;
  readonly warehouse: Warehouse;
  readonly secrets: Secrets;
  /** Asked anew for every message. */
  definitions(): Definitions;
  readonly settings?: Partial<Settings> | undefined;
  /** See `Services.holdLeases`. */
  readonly holdLeases?: (() => boolean) | undefined;
  readonly onError?: ((error: unknown) => void) | undefined;
}

export interface Engine {
  readonly events: SqliteEventStore;
  readonly bus: LocalBus;
  readonly runtime: Runtime;
  /** Delivers messages and wakes what is due, until nothing is left to do now. */
  settle(): Promise<void>;
  /** Finishes or releases what runs. Then the warehouse may be closed, and after it this. */
  stop(graceMs: number): Promise<void>;
  close(): void;
}

/** The history is a file here: it may change as often as people like to look. */
const LOCAL_SETTINGS: Partial<Settings> = Object.freeze({ backfillMs: 100 });

export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { home, objects, warehouse, secrets, definitions, settings, holdLeases, onError } = options;
  const clock = systemClock();
  const random = systemRandom();
  const events = openSqliteEventStore({ file: join(home, "events.sqlite") });
  const plans = planner(definitions);
  const bus = openLocalBus({
    file: join(home, "messages.sqlite"),
    clock,
    random,
    subscriptions: () => plans().subscriptions,
    async push(subscription, envelope) {
      const plan = plans().byName.get(subscription.name);
      if (plan === undefined) return "nack";
      await runtime.receive(plan.consumer, { body: envelope });
      return "ack";
    },
    onAside: (copy) => void recordAside(copy).catch((error: unknown) => onError?.(error)),
    ...(onError === undefined ? {} : { onError }),
  });
  const runtime = createRuntime({
    objects,
    warehouse,
    events,
    bus,
    secrets,
    webhooks: httpWebhooks(),
    clock,
    random,
    definitions,
    settings: { ...LOCAL_SETTINGS, ...settings },
    ...(holdLeases === undefined ? {} : { holdLeases }),
  });
  // What died while nobody could write it down.
  for (const dead of bus.deadLetters({ limit: MOST_DEAD })) await runtime.operations.recordDeadLetter(messageOf(dead));
  // No execution of another process can be alive.
  await runtime.releaseAbandoned();
  await runtime.adoptPreviousKeys();

  async function recordAside({ topic, messageId, subscription }: Copy): Promise<void> {
    const reason = `nothing takes messages of ${subscription} (any more): it is kept, and delivered when something does`;
    const id = `aside-${shortHash([subscription, messageId])}`;
    const refused = { type: "message.refused", topic, messageId, reason } as const;
    await events.append([{ v: EVENT_VERSION, id, at: clock.now(), ...refused }]);
  }

  return {
    events,
    bus,
    runtime,
    async settle() {
      do await bus.idle();
      while ((await runtime.sweepDue()) > 0);
    },
    async stop(graceMs) {
      const stopped = bus.stop(graceMs);
      runtime.stop();
      await stopped;
      bus.close();
    },
    close: () => events.close(),
  };
}

/** Beyond this, the oldest are in the file of the bus alone. */
const MOST_DEAD = 1_000;

/** As the bus itself passes it on. */
function messageOf(dead: DeadLetter): DeadLetterMessage {
  const { payload, messageId, publishedAt } = dead;
  return {
    messageId,
    publishedAt,
    data: payload.data,
    attributes: { ...payload.attributes, ...deadLetterAttributes(dead) },
  };
}

interface Plans {
  readonly subscriptions: readonly Subscription[];
  readonly byName: ReadonlyMap<string, SubscriptionPlan>;
}

/** The bus asks at every message and poll; the answer changes only with the definitions. */
function planner(definitions: () => Definitions): () => Plans {
  let of: Definitions | undefined;
  let plans: Plans = { subscriptions: [], byName: new Map() };
  return () => {
    const now = definitions();
    if (now !== of) {
      of = now;
      const list = [...subscriptionsOf(now), ...previousSubscriptions(now)];
      // What takes the dead letters has none of its own: they would go in circles.
      const subscriptions = [...list.map((plan) => ({ ...plan, deadLetterTopic: DEAD_LETTERS })), deadLetterPlan];
      plans = { subscriptions, byName: new Map([...list, deadLetterPlan].map((plan) => [plan.name, plan])) };
    }
    return plans;
  };
}
