/** What is asked for by the clock: when each request is due in an environment, and which of its ticks never came. Pure. */
import type { AssetDefinition } from "./asset.ts";
import { scheduledRunKey } from "./automation.ts";
import { cronLine } from "./cron.ts";
import type { CronLine } from "./cron.ts";
import type { Definitions } from "./definitions.ts";
import { shortHash } from "./hash.ts";
import { Interval, intervalCron } from "./interval.ts";
import { requestsFor } from "./multi-requests.ts";
import { latestPartition } from "./partitions.ts";
import { originOf } from "./previous-keys.ts";
import { requestSchema, runIdOf } from "./request.ts";
import type { OutboxMessage } from "./request.ts";

/** When a schedule ticks. */
export interface TickTimes {
  readonly cron: string;
  readonly timeZone: string;
}

/** What an environment says of schedules. */
export interface ScheduleRules {
  /** Exact times, by asset or multi-asset. */
  readonly schedules: Readonly<Record<string, TickTimes>>;
  /** Over how many minutes the assets of one interval are spread. */
  readonly spreadMinutes: Readonly<Record<Interval, number>>;
}

/** One message that is sent at each tick, and never changes: which window it asks for follows from when it was published. */
export interface ScheduledRequest extends TickTimes, OutboxMessage {
  /** The assets that share these times; the message asks for one of them, or for all. */
  readonly assets: readonly AssetDefinition[];
  /** The asset that it asks for; none where it asks a multi-asset's job for several. */
  readonly asset?: AssetDefinition;
}

/** All that is sent by the clock. Outputs of one multi-asset that are due together are one message to its job. */
export function scheduledRequests(
  definitions: Pick<Definitions, "assets" | "jobs">,
  rules: ScheduleRules,
): readonly ScheduledRequest[] {
  const scheduled = [...definitions.assets.values()].flatMap((asset) => {
    const times = tickTimes(asset, rules);
    return times === undefined ? [] : [{ asset, times }];
  });
  const groups = Map.groupBy(scheduled, ({ asset, times }) => `${whoOf(asset)}\n${times.cron}\n${times.timeZone}`);
  return [...groups.values()].flatMap((members) => {
    const [first] = members;
    if (first === undefined) return [];
    const assets = members.map(({ asset }) => asset);
    const requests = requestsFor(
      definitions,
      assets.map((asset) => ({ asset })),
      { cause: { kind: "schedule" } },
    );
    // One message for all of them, or one for each, in their order.
    const together = requests.length < assets.length;
    return requests.map(({ topic, data }, index): ScheduledRequest => {
      const asset = together ? undefined : assets[index];
      return { ...first.times, topic, data, assets, ...(asset === undefined ? {} : { asset }) };
    });
  });
}

/** What the environment may name in its schedules. */
export function whoOf({ key, multi }: Pick<AssetDefinition, "key" | "multi">): string {
  return multi?.name ?? key;
}

/** The asset's own line; a whole interval's is moved by some minutes that follow from the name, unless the environment says when. */
export function tickTimes(
  asset: Pick<AssetDefinition, "key" | "multi" | "automation">,
  { schedules, spreadMinutes }: ScheduleRules,
): TickTimes | undefined {
  const { automation } = asset;
  if (automation?.kind !== "schedule") return undefined;
  const said = schedules[asset.key] ?? schedules[whoOf(asset)];
  if (said !== undefined) return said;
  const { cron, timeZone } = automation;
  const interval = timeZone === "UTC" ? Object.values(Interval).find((one) => intervalCron(one) === cron) : undefined;
  if (interval === undefined) return { cron, timeZone };
  const minute = minuteOf(whoOf(asset), spreadMinutes[interval]);
  return { cron: cron.replace(/^0 /, `${minute} `), timeZone };
}

/** The same minute for the same name, whatever else there is: 0 to `most`. */
function minuteOf(who: string, most: number): number {
  return parseInt(shortHash(["schedule", who], 8), 16) % (most + 1);
}

/** What stays the same while nothing but the names of its assets changes. With other times it is another schedule. */
export function scheduleId({ cron, timeZone, topic, asset }: ScheduledRequest): string {
  return shortHash([asset === undefined ? topic : originOf(asset), cron, timeZone]);
}

/** So long a tick may take to become a run before it counts as lost. */
export const TICK_GRACE_MS = 600_000;
const MINUTE_MS = 60_000;

/** Lines that are read once, and asked once for the latest tick before a time, however many schedules have them. */
export function cronLines(): (times: TickTimes) => CronLine {
  const lines = new Map<string, CronLine>();
  return ({ cron, timeZone }) => {
    const name = `${cron}\n${timeZone}`;
    const known = lines.get(name);
    if (known !== undefined) return known;
    const line = cronLine(cron, timeZone);
    const answers = new Map<number, number | undefined>();
    const last = (now: number): number | undefined => {
      if (!answers.has(now)) answers.set(now, line.last(now));
      return answers.get(now);
    };
    const made = { last, next: line.next };
    lines.set(name, made);
    return made;
  };
}

/** The latest tick that should have become a run by now, if it lies after `since`: those before it are not made up for. */
export function overdueTick(line: CronLine, since: number, now: number): number | undefined {
  const last = line.last(now - TICK_GRACE_MS);
  return last !== undefined && last > since ? last : undefined;
}

/**
 * The runs of which one exists if the tick came: a message is published in the tick's minute or somewhat later, and names its run by when.
 * The first is the one that begins where the tick is made up for. None where there is nothing that it could ask for.
 */
export function runsOfTick({ asset, assets, data }: ScheduledRequest, line: CronLine, tick: number): readonly string[] {
  const { config } = requestSchema.parse(data);
  const ids = new Set<string>();
  const end = Math.min(line.next(tick) ?? Infinity, tick + TICK_GRACE_MS);
  for (let at = tick; at < end; at += MINUTE_MS) {
    const partition = asset === undefined ? "" : latestPartition(asset.partitions, at)?.key;
    if (partition === undefined) continue;
    const runKey = scheduledRunKey(asset ?? {}, partition, at, config);
    const [first] = assets;
    if (asset !== undefined) ids.add(runIdOf("asset", originOf(asset), partition, runKey));
    else if (first !== undefined) ids.add(runIdOf("job", whoOf(first), partition, runKey));
  }
  return [...ids];
}
