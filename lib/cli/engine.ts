/** The runtime with a history and messages of this machine, over whichever buckets and warehouse it is given. */
import { join } from "node:path";
import { env } from "node:process";
import type { Definitions } from "../core/definitions.ts";
import { PermanentError } from "../core/errors.ts";
import { previousSubscriptions, subscriptionsOf } from "../core/subscriptions.ts";
import type { SubscriptionPlan } from "../core/subscriptions.ts";
import { openLocalBus } from "../local/local-bus.ts";
import type { LocalBus } from "../local/local-bus.ts";
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
    subscriptions: () => plans().list,
    async push(subscription, envelope) {
      const plan = plans().byName.get(subscription.name);
      if (plan === undefined) return "nack";
      await runtime.receive(plan.consumer, { body: envelope });
      return "ack";
    },
    ...(onError === undefined ? {} : { onError }),
  });
  const runtime = createRuntime({
    objects,
    warehouse,
    events,
    bus,
    secrets,
    clock,
    random,
    definitions,
    settings: { ...LOCAL_SETTINGS, ...settings },
    ...(holdLeases === undefined ? {} : { holdLeases }),
  });
  // No execution of another process can be alive.
  await runtime.releaseAbandoned();
  await runtime.adoptPreviousKeys();

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

/** A secret of one machine comes from the environment: `passport-token` from `PASSPORT_TOKEN`. */
export function environmentSecret(name: string): string | undefined {
  return env[variableOf(name)] ?? env[name];
}

export const environmentSecrets: Secrets = Object.freeze({
  async access(name: string) {
    const value = environmentSecret(name);
    if (value !== undefined) return value;
    throw new PermanentError(`the secret ${name} is not set: export ${variableOf(name)}=…`, { code: "not-found" });
  },
});

function variableOf(secret: string): string {
  return secret.toUpperCase().replaceAll("-", "_");
}

interface Plans {
  readonly list: readonly SubscriptionPlan[];
  readonly byName: ReadonlyMap<string, SubscriptionPlan>;
}

/** The bus asks at every message and poll; the answer changes only with the definitions. */
function planner(definitions: () => Definitions): () => Plans {
  let of: Definitions | undefined;
  let plans: Plans = { list: [], byName: new Map() };
  return () => {
    const now = definitions();
    if (now !== of) {
      of = now;
      const list = [...subscriptionsOf(now), ...previousSubscriptions(now)];
      plans = { list, byName: new Map(list.map((plan) => [plan.name, plan])) };
    }
    return plans;
  };
}
