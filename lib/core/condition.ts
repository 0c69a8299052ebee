/**
 * Whether an asset's partition is to be made now by itself, decided from facts alone, and told as a tree that a person can
 * read: each part with its value and what it rests on.
 */
import type { AssetKey } from "./asset-key.ts";
import type { AutomationCondition, ScheduleCondition, UpstreamCondition } from "./automation.ts";
import { lastTick, nextTick } from "./cron.ts";
import { shortHash } from "./hash.ts";
import { formatPartition } from "./partitions.ts";

/** What is known of one upstream partition, or of the upstream as a whole (`*`). */
export interface UpstreamFact {
  readonly asset: AssetKey;
  /** What heads and run keys call the upstream: its oldest key. */
  readonly origin: AssetKey;
  /** A partition key, or `*` where the whole upstream counts. */
  readonly partition: string;
  /** The materialization that it shows now (of a whole upstream: `wholeVersion`), and when it was committed; absent while there is none. */
  readonly version?: string;
  readonly at?: number;
  /** The run that made it; absent where it was not made by one. */
  readonly run?: string;
  /** The version that the asset's own partition was made from. */
  readonly consumed?: string;
  /** Why the blocking checks have refused what its last run made; nothing has passed them since. */
  readonly blocked?: string;
  /** That run. */
  readonly blockedBy?: string;
}

/** All that a decision rests on, read at one moment. */
export interface Facts {
  readonly asset: AssetKey;
  readonly partition: string;
  readonly now: number;
  /** When the partition was last made, by which run, and as which materialization. */
  readonly madeAt?: number;
  readonly madeBy?: { readonly run: string; readonly version: string };
  /** Whether it is the newest partition that time has completed. */
  readonly newest: boolean;
  readonly upstreams: readonly UpstreamFact[];
  /** The last tick of the condition's cron line, if it has one. */
  readonly tick?: number;
}

/** One part of a condition, with its value, the reason in words, and the events behind it. */
export interface Explained {
  readonly label: string;
  readonly value: boolean;
  readonly because: string;
  /** Ids of the materializations and runs that the value rests on. */
  readonly events: readonly string[];
  readonly parts: readonly Explained[];
}

/** The version of a whole upstream: its last materialization, and whatever others belong to it. */
export function wholeVersion(last: string, others: readonly string[]): string {
  return others.length === 0 ? last : `${last}+${shortHash(others.toSorted(), 8)}`;
}

/** The decision is the root's `value`. */
export function explain(condition: AutomationCondition, facts: Facts): Explained {
  switch (condition.kind) {
    case "schedule":
      return part(
        "schedule",
        false,
        `it is requested at ${condition.cron} (${condition.timeZone}), not by its upstreams: ${ticks(condition, facts.now)}`,
        [],
      );
    case "eager":
      return all("eager", [any("something new", [missing(facts), updated(facts)]), ...ready(facts)]);
    case "on-missing":
      return all("onMissing", [missing(facts), ...ready(facts)]);
    case "on-cron":
      return all("onCron", [newest(facts), ticked(facts), updatedSinceTick(facts), ...ready(facts)]);
  }
}

/**
 * The same facts give the same run: the versions that the run would be made from, or the tick that it answers. A second
 * message about either starts nothing.
 */
export function automaticRunKey(condition: UpstreamCondition, facts: Facts): string {
  if (condition.kind === "on-cron") return `tick:${facts.tick ?? 0}`;
  const versions = facts.upstreams.map(({ origin, partition, version }) => `${origin}|${partition}=${version ?? ""}`);
  return `upstreams:${shortHash(versions)}`;
}

/** What every condition asks for besides its own. A busy partition is no obstacle: its claim keeps the request. */
function ready(facts: Facts): readonly Explained[] {
  return [noneMissing(facts), noneBlocked(facts)];
}

function missing(facts: Facts): Explained {
  const { madeAt, madeBy } = facts;
  return part(
    "missing",
    madeAt === undefined,
    madeAt === undefined ? "it was never made" : `it was made ${made(madeAt, madeBy?.run)}`,
    own(facts),
  );
}

/** `2024-05-01T10:00:00.000Z by run 4f1d0a2b3c4d5e6f` */
function made(at: number, run: string | undefined): string {
  return `${iso(at)}${run === undefined ? "" : ` by run ${run}`}`;
}

function own({ madeBy }: Facts): readonly string[] {
  return madeBy === undefined ? [] : [madeBy.version];
}

/** The last tick and the next one. */
function ticks({ cron, timeZone }: ScheduleCondition, now: number): string {
  const [last, next] = [lastTick(cron, timeZone, now), nextTick(cron, timeZone, now)];
  return `last ${last === undefined ? "never" : iso(last)}, next ${next === undefined ? "never" : iso(next)}`;
}

function updated(facts: Facts): Explained {
  const newer = facts.upstreams.filter(({ version, consumed }) => version !== undefined && version !== consumed);
  if (newer.length > 0) {
    const what = facts.madeAt === undefined ? "made, and never read by it" : "newer than what it was made from";
    return part("an upstream updated", true, `${what}: ${list(newer, true)}`, versions(newer));
  }
  return part("an upstream updated", false, unchanged(facts), versions(facts.upstreams));
}

/** Why no upstream shows anything that the partition was not made from. */
function unchanged({ upstreams }: Facts): string {
  if (upstreams.length === 0) return "it has no upstreams";
  const there = upstreams.filter(({ version }) => version !== undefined);
  if (there.length === 0) return "none of its upstreams was ever made";
  return `it was made from what its upstreams show: ${list(there, true)}`;
}

function noneMissing(facts: Facts): Explained {
  const gone = facts.upstreams.filter(({ version }) => version === undefined);
  if (gone.length > 0) return part("all upstreams there", false, `not there yet: ${list(gone)}`, []);
  return part("all upstreams there", true, count(facts.upstreams, "there"), versions(facts.upstreams));
}

function noneBlocked(facts: Facts): Explained {
  const blocked = facts.upstreams.filter((upstream) => upstream.blocked !== undefined);
  const because =
    blocked.length === 0
      ? "no blocking check stands failed"
      : `waits until a run passes: ${blocked.map((upstream) => `${name(upstream)}: ${upstream.blocked ?? ""}`).join(", ")}`;
  const runs = blocked.flatMap(({ blockedBy }) => (blockedBy === undefined ? [] : [blockedBy]));
  return part("no upstream blocked", blocked.length === 0, because, runs);
}

function newest(facts: Facts): Explained {
  return part(
    "newest partition",
    facts.newest,
    facts.newest ? "it is the newest that is over" : "a newer one is over",
    [],
  );
}

function ticked(facts: Facts): Explained {
  const { tick, madeAt, madeBy } = facts;
  if (tick === undefined) return part("tick passed", false, "the cron line has not ticked yet", []);
  const value = madeAt === undefined || madeAt < tick;
  return part(
    "tick passed",
    value,
    value
      ? `ticked ${iso(tick)}, and it was not made since`
      : `it was made ${made(madeAt, madeBy?.run)}, after the tick ${iso(tick)}`,
    own(facts),
  );
}

function updatedSinceTick({ tick = Infinity, upstreams }: Facts): Explained {
  const old = upstreams.filter(({ at }) => at === undefined || at < tick);
  const because =
    old.length === 0 ? count(upstreams, "updated since the tick") : `not updated since the tick: ${list(old)}`;
  return part(
    "all upstreams updated since the tick",
    old.length === 0,
    because,
    versions(upstreams.filter(({ at }) => at !== undefined && at >= tick)),
  );
}

function part(
  label: string,
  value: boolean,
  because: string,
  events: readonly string[],
  parts: readonly Explained[] = [],
): Explained {
  return { label, value, because, events, parts };
}

function all(label: string, parts: readonly Explained[]): Explained {
  const failing = parts.filter(({ value }) => !value);
  return part(
    label,
    failing.length === 0,
    failing.length === 0 ? "all of these hold" : (failing[0]?.because ?? ""),
    [],
    parts,
  );
}

function any(label: string, parts: readonly Explained[]): Explained {
  const holding = parts.find(({ value }) => value);
  return part(
    label,
    holding !== undefined,
    holding?.because ?? parts.map(({ because }) => because).join("; "),
    [],
    parts,
  );
}

/** The last made comes first. */
function versions(upstreams: readonly UpstreamFact[]): readonly string[] {
  return newestFirst(upstreams).flatMap(({ version }) =>
    version === undefined ? [] : [version.replace(/\+[0-9a-f]{8}$/, "")],
  );
}

function newestFirst(upstreams: readonly UpstreamFact[]): readonly UpstreamFact[] {
  return upstreams.toSorted((one, other) => (other.at ?? 0) - (one.at ?? 0));
}

const SHOWN = 3;

/** `when`: the last made first, each with its time and run. */
function list(upstreams: readonly UpstreamFact[], when = false): string {
  const shown = (when ? newestFirst(upstreams) : upstreams)
    .slice(0, SHOWN)
    .map((upstream) => (when ? dated(upstream) : name(upstream)))
    .join(", ");
  return upstreams.length > SHOWN ? `${shown} and ${upstreams.length - SHOWN} more` : shown;
}

function dated(upstream: UpstreamFact): string {
  return upstream.at === undefined ? name(upstream) : `${name(upstream)} of ${made(upstream.at, upstream.run)}`;
}

function name({ asset, partition }: Pick<UpstreamFact, "asset" | "partition">): string {
  if (partition === "*") return asset;
  return partition === "" ? asset : `${asset} ${formatPartition({ key: partition })}`;
}

function count(upstreams: readonly UpstreamFact[], what: string): string {
  const [last] = newestFirst(upstreams);
  if (last === undefined) return "it has no upstreams";
  return `${upstreams.length} of ${upstreams.length} ${what}, ${upstreams.length === 1 ? "" : "the last "}${dated(last)}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
