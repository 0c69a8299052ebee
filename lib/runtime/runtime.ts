/** The runtime over a set of ports: what every entry point, local or deployed, calls. */
import type { Definitions } from "../core/definitions.ts";
import { adoptPreviousKeys } from "./adopt.ts";
import type { Consumer } from "../core/subscriptions.ts";
import { eachInTurn } from "./each-in-turn.ts";
import type { Incoming } from "./envelope.ts";
import { PermanentError } from "../core/errors.ts";
import type { Webhooks } from "../ports/webhooks.ts";
import { Stopping } from "./interruptions.ts";
import { noticedEvents } from "./noticed-events.ts";
import { operationsOf } from "./operations.ts";
import type { Operations } from "./operations.ts";
import { receive, refuseUnclaimed } from "./receive.ts";
import { releaseAbandoned } from "./release.ts";
import { defaultSettings } from "./services.ts";
import type { Services, Settings } from "./services.ts";
import { sweepDue } from "./sweep.ts";
import { sweepBuckets } from "./sweep-buckets.ts";
import { sweepNews } from "./sweep-news.ts";
import { sweepStaged } from "./sweep-staged.ts";
import { sweepStore } from "./sweep-store.ts";
import { sweepTables } from "./sweep-tables.ts";

export interface Runtime {
  /** Resolves when the message may be acknowledged; rejects when it should be delivered again. */
  receive(consumer: Consumer, incoming: Incoming): Promise<void>;
  /** Records, once, that nobody here takes a message of `topic`, nor will; `false` for what is no message. */
  refuse(topic: string, incoming: Incoming, reason: string): Promise<boolean>;
  /** What people do about runs, assets and messages. */
  readonly operations: Operations;
  /** Renamed assets take over what is known of them under their previous keys. */
  adoptPreviousKeys(): Promise<void>;
  /**
   * Wakes what is due, and adopts what could not be adopted before; the result is how many deadlines it found. As with `sweepBuckets`,
   * no part of it holds up another: it rejects with the first failure when all have had their turn.
   */
  sweepDue(): Promise<number>;
  /**
   * Announces what it finds in a bounded slice of the watched buckets, asks whoever has missed a materialization, and deletes staged files
   * that nobody came for, and what the store does not need. The result is how many it has announced or asked.
   */
  sweepBuckets(): Promise<number>;
  /** Wakes at once what a dead process left behind. Only for whoever knows that no execution is alive elsewhere. */
  releaseAbandoned(): Promise<number>;
  /** The runs that are being executed here now. */
  readonly executing: ReadonlySet<string>;
  /** Asks every execution to give up its claim; they are taken up again later, here or elsewhere. */
  stop(): void;
}

export type RuntimeOptions = Omit<
  Services,
  "settings" | "stopping" | "executing" | "canceling" | "adopted" | "holdLeases" | "definitions" | "webhooks"
> & {
  definitions(): Definitions;
  /** Left out where nothing is sent: alerts to addresses are then given up with an event. */
  readonly webhooks?: Webhooks;
  readonly settings?: Partial<Settings>;
  holdLeases?(): boolean;
};

export function createRuntime(options: RuntimeOptions): Runtime {
  const stopping = new AbortController();
  const { clock } = options;
  const definitions = (): Definitions => options.definitions();
  const settings: Settings = { ...defaultSettings, ...options.settings };
  const services: Services = {
    ...options,
    events: noticedEvents(options.events, { clock, definitions, notices: settings.notices }),
    webhooks: options.webhooks ?? noWebhooks,
    settings,
    stopping: stopping.signal,
    holdLeases: () => options.holdLeases?.() ?? false,
    executing: new Set(),
    canceling: new Map(),
    adopted: new Set(),
  };
  return {
    receive: (consumer, incoming) => receive(services, consumer, incoming),
    refuse: (topic, incoming, reason) => refuseUnclaimed(services, topic, incoming, reason),
    operations: operationsOf(services),
    async sweepDue() {
      let due = 0;
      const wake = async (): Promise<void> => void (due = await sweepDue(services));
      await eachInTurn([wake, adoptPreviousKeys], (part) => part(services));
      return due;
    },
    adoptPreviousKeys: () => adoptPreviousKeys(services),
    async sweepBuckets() {
      let told = 0;
      const tell = [sweepBuckets, sweepNews].map((part) => async () => void (told += await part(services)));
      await eachInTurn([...tell, sweepStaged, sweepTables, sweepStore], (part) => part(services));
      return told;
    },
    releaseAbandoned: () => releaseAbandoned(services),
    executing: services.executing,
    stop: () => stopping.abort(new Stopping()),
  };
}

const noWebhooks: Webhooks = Object.freeze({
  post: () => Promise.reject(new PermanentError("this process sends no webhooks", { code: "no-webhooks" })),
});
