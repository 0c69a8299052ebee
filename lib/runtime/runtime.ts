/** The runtime over a set of ports: what every entry point, local or deployed, calls. */
import type { Definitions } from "../core/definitions.ts";
import { adoptPreviousKeys } from "./adopt.ts";
import type { Consumer } from "../core/subscriptions.ts";
import type { Incoming } from "./envelope.ts";
import { Stopping } from "./interruptions.ts";
import { receive } from "./receive.ts";
import { releaseAbandoned } from "./release.ts";
import { defaultSettings } from "./services.ts";
import type { Services, Settings } from "./services.ts";
import { sweepBuckets, sweepDue } from "./sweep.ts";
import { sweepStaged } from "./sweep-staged.ts";

export interface Runtime {
  /** Resolves when the message may be acknowledged; rejects when it should be delivered again. */
  receive(consumer: Consumer, incoming: Incoming): Promise<void>;
  /** Renamed assets take over what is known of them under their previous keys. */
  adoptPreviousKeys(): Promise<void>;
  /** Wakes what is due, and adopts what could not be adopted before; the result is how many deadlines it found. */
  sweepDue(): Promise<number>;
  /** Announces a bounded slice of every watched bucket again, and deletes staged files that nobody came for. */
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
  "settings" | "stopping" | "executing" | "adopted" | "holdLeases" | "definitions"
> & {
  definitions(): Definitions;
  readonly settings?: Partial<Settings>;
  holdLeases?(): boolean;
};

export function createRuntime(options: RuntimeOptions): Runtime {
  const stopping = new AbortController();
  const services: Services = {
    ...options,
    settings: { ...defaultSettings, ...options.settings },
    stopping: stopping.signal,
    holdLeases: () => options.holdLeases?.() ?? false,
    executing: new Set(),
    adopted: new Set(),
  };
  return {
    receive: (consumer, incoming) => receive(services, consumer, incoming),
    async sweepDue() {
      const due = await sweepDue(services);
      await adoptPreviousKeys(services);
      return due;
    },
    adoptPreviousKeys: () => adoptPreviousKeys(services),
    async sweepBuckets() {
      const announced = await sweepBuckets(services);
      await sweepStaged(services);
      return announced;
    },
    releaseAbandoned: () => releaseAbandoned(services),
    executing: services.executing,
    stop: () => stopping.abort(new Stopping()),
  };
}
