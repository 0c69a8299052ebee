/** The ports that a runtime stands on, and the few numbers that it goes by. */
import type { AlertOn } from "../core/alert.ts";
import type { Definitions } from "../core/definitions.ts";
import type { ScheduleRules } from "../core/schedule.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { EventStore } from "../ports/event-store.ts";
import type { MessageBus } from "../ports/message-bus.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Secrets } from "../ports/secrets.ts";
import type { Warehouse } from "../ports/warehouse.ts";
import type { Webhooks } from "../ports/webhooks.ts";

export interface Settings {
  /** How long a claim lasts without renewal. Default 90 s. */
  readonly leaseMs: number;
  /** Default 30 s. */
  readonly renewMs: number;
  /** How long a warehouse job is waited for in place before the run is parked. Default 5 min. */
  readonly waitMs: number;
  /** How long one execution may take before it gives up its claim and is asked for again. Default: as long as it likes. */
  readonly deadlineMs: number;
  /** How long a parked run sleeps before it looks at a long job again. Default 30 s. */
  readonly lookAgainMs: number;
  /** How often a run starts over in place because its inputs changed under it, before it is parked. Default 5. */
  readonly maxRestarts: number;
  /** How long staging and raw tables are kept by the warehouse at most. Default 7 days; raw tables: 90 days. */
  readonly stagingTtlMs: number;
  readonly rawTtlMs: number;
  /** The bucket that rows are staged in on their way into a table. Default `sluice-staging`. */
  readonly stagingBucket: string;
  /** A staged file ends, after a whole row group, when it has so many bytes. Default 256 MiB. */
  readonly stagingPartBytes: number;
  /** Staged files that are older than this are nobody's any more. Default 30 days. */
  readonly stagedFilesTtlMs: number;
  /** A checkpoint within so long of the last durable one is passed over. Default 1 s. */
  readonly checkpointMs: number;
  /** A backfill's document is changed once in so long at most. Default 1 s. */
  readonly backfillMs: number;
  /** What alerts are on, where this process does not know them itself: their events get a deadline. Default none. */
  readonly notices: readonly AlertOn[];
  /** What alerts say of where they come from, and link to: the deployment's name and the console's address. Default none. */
  readonly environment: string;
  readonly consoleUrl: string;
  /** Whether the warehouse counts the changes of a day, so that a backfill must fit into them. Default true. */
  readonly dailyQuotas: boolean;
  /** When schedules tick, where sweeps are to make up for lost ticks. Default: they are not. */
  readonly schedules?: ScheduleRules;
}

export const defaultSettings: Settings = Object.freeze({
  leaseMs: 90_000,
  renewMs: 30_000,
  waitMs: 300_000,
  deadlineMs: Number.POSITIVE_INFINITY,
  lookAgainMs: 30_000,
  maxRestarts: 5,
  stagingTtlMs: 7 * 86_400_000,
  rawTtlMs: 90 * 86_400_000,
  stagingBucket: "sluice-staging",
  stagingPartBytes: 256 * 1024 * 1024,
  stagedFilesTtlMs: 30 * 86_400_000,
  checkpointMs: 1_000,
  backfillMs: 1_000,
  notices: [],
  environment: "",
  consoleUrl: "",
  dailyQuotas: true,
});

export interface Services {
  readonly objects: ObjectStore;
  readonly warehouse: Warehouse;
  readonly events: EventStore;
  readonly bus: MessageBus;
  readonly secrets: Secrets;
  readonly webhooks: Webhooks;
  readonly clock: Clock;
  readonly random: Random;
  /** Asked anew for every message, so that a reload takes effect without a restart. */
  definitions(): Definitions;
  readonly settings: Settings;
  /** Aborted when the process is asked to stop: runs give up their claims and are taken up again later. */
  readonly stopping: AbortSignal;
  /** Whether leases of runs in this very process count as live however old they look, as under a debugger. */
  holdLeases(): boolean;
  /** The runs that this process is executing. Owned by the runtime. */
  readonly executing: Set<string>;
  /** What makes these runs notice at once that they are to be canceled. Owned by the runtime. */
  readonly canceling: Map<string, () => void>;
  /** The renames, as `old new`, that are known to be complete. Owned by the runtime. */
  readonly adopted: Set<string>;
}
