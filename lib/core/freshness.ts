/**
 * Freshness policies: by when the data of an asset has to be there. The rule is pure; what it is asked with are the asset's newest
 * materialization, the partition that a deadline is about, and the time.
 */
import { lastTick, nextTick } from "./cron.ts";
import { durationMs } from "./duration.ts";
import type { Duration } from "./duration.ts";
import type { AssetDocument, Decision, DueDocument, FreshnessDocument, FreshnessStatus, Write } from "./documents.ts";
import { put, ref } from "./documents.ts";
import { DefinitionError } from "./errors.ts";
import { EVENT_VERSION } from "./events.ts";
import type { SluiceEvent } from "./events.ts";
import { canonicalJson, shortHash } from "./hash.ts";
import { latestPartition, parsePartition, partitionOrder } from "./partitions.ts";
import type { Partition, PartitionsDefinition } from "./partitions.ts";
import { originOf } from "./previous-keys.ts";
import type { Named } from "./previous-keys.ts";
import { DUE_SHARDS } from "./run-identity.ts";

/**
 * `within`: data is never older than that. It is as old as its last materialization; with time partitions as the end of the
 * newest one's window. `by`: at each tick of the cron line the data is there: a materialization not longer ago than `lowerBound`
 * (default: since the tick before); with time partitions, the last window that was over at the tick.
 */
export type FreshnessPolicy =
  | { readonly within: Duration }
  | {
      /** Five fields. */
      readonly by: string;
      /** An IANA name. Default UTC. */
      readonly timeZone?: string;
      readonly lowerBound?: Duration;
    };

/** The policy as it is. Throws `DefinitionError` for a duration, line or zone that cannot be, and for static partitions. */
export function checkFreshness(
  policy: FreshnessPolicy,
  partitions: PartitionsDefinition | undefined,
  who: string,
): FreshnessPolicy {
  const fail = (what: string, remedy: string): never => {
    throw new DefinitionError(`${who}: freshness ${what}`, { remedy });
  };
  const known = "by" in policy ? ["by", "timeZone", "lowerBound"] : ["within"];
  const strange = Object.keys(policy).find((name) => !known.includes(name));
  if (strange !== undefined || !("by" in policy || "within" in policy))
    fail(
      `has ${strange === undefined ? "no deadline" : JSON.stringify(strange)}`,
      'say { within: "26h" } or { by: "0 9 * * *" }',
    );
  if (partitions?.kind === "static")
    fail("cannot tell which of its fixed partitions is the newest", "use time partitions, or none");
  if ("within" in policy) {
    if (durationMs(policy.within) === 0) fail("within no time at all can never be kept", "give it longer");
    return policy;
  }
  const { by, timeZone = "UTC", lowerBound } = policy;
  if (by.trim().split(/\s+/).length !== 5)
    fail(`by ${JSON.stringify(by)} is no line of five fields`, "write such as 0 9 * * *");
  if (nextTick(by, timeZone, 0) === undefined) fail(`by ${JSON.stringify(by)} never comes`, "write such as 0 9 * * *");
  if (lowerBound === undefined) return policy;
  if (durationMs(lowerBound) === 0) fail("has a lowerBound of no time at all", "give it longer, or leave it out");
  if (partitions !== undefined)
    fail(
      "has a lowerBound, but its deadline is about a partition",
      "leave lowerBound out: the window says which data is meant",
    );
  return policy;
}

/** In words. */
export function freshnessText(policy: FreshnessPolicy): string {
  if ("within" in policy) return `within ${policy.within}`;
  const { by, timeZone = "UTC", lowerBound } = policy;
  return `by ${by} (${timeZone})${lowerBound === undefined ? "" : `, not made more than ${lowerBound} before`}`;
}

export interface FreshnessFacts {
  /** When the policy was first seen: what was due before is not missed. Milliseconds, UTC. */
  readonly since: number;
  /** The asset's newest materialization. */
  readonly newest: Pick<AssetDocument, "partition" | "order" | "at"> | undefined;
  /** Whether the partition that `partitionDue` names has data. */
  readonly held?: boolean | undefined;
}

export interface Freshness {
  /** `unknown`: there is no data yet, and there need not be. */
  readonly status: FreshnessStatus;
  readonly because: string;
  /** The deadline that was kept or missed, or that comes next while all is well. */
  readonly deadline?: number;
  readonly partition?: string;
  /** When the answer may be another one although nothing was materialized. */
  readonly nextAt?: number;
}

type Asset = { readonly partitions?: PartitionsDefinition | undefined };

/** The partition that the last deadline of a policy is about, if it is about one. */
export function partitionDue(policy: FreshnessPolicy, { partitions }: Asset, now: number): Partition | undefined {
  if (!("by" in policy) || partitions === undefined) return undefined;
  const deadline = lastTick(policy.by, policy.timeZone ?? "UTC", now);
  return deadline === undefined ? undefined : latestPartition(partitions, deadline);
}

export function freshnessOf(
  policy: FreshnessPolicy,
  asset: Asset & { readonly slot?: "table" | "partition" | undefined },
  facts: FreshnessFacts,
  now: number,
): Freshness {
  return "by" in policy ? byDeadline(policy, asset, facts, now) : withinAge(policy.within, asset, facts, now);
}

function withinAge(within: Duration, { partitions }: Asset, { since, newest }: FreshnessFacts, now: number): Freshness {
  const window = newest === undefined ? undefined : windowOf(partitions, newest.partition);
  const isLast = partitions?.kind === "time" && partitions.end !== undefined && window?.key === lastKey(partitions);
  if (isLast) return { status: "fresh", because: `${window?.key ?? ""} is the last partition there will be` };
  const dataAt = partitions === undefined ? newest?.at : window?.end;
  const deadline = (dataAt ?? since) + durationMs(within);
  const nextAt = deadline + 1;
  const partition = window === undefined ? {} : { partition: window.key };
  if (dataAt === undefined) {
    return now > deadline
      ? { status: "late", because: `there is no data, ${within} after the policy came`, deadline }
      : { status: "unknown", because: "there is no data yet", deadline, nextAt };
  }
  const what = window === undefined ? "the last materialization" : `the end of ${window.key}`;
  if (now > deadline)
    return { status: "late", because: `${what} was ${iso(dataAt)}, more than ${within} ago`, deadline, ...partition };
  return { status: "fresh", because: `${what} was ${iso(dataAt)}, within ${within}`, deadline, nextAt, ...partition };
}

function byDeadline(
  { by, timeZone = "UTC", lowerBound }: Extract<FreshnessPolicy, { readonly by: string }>,
  asset: Asset & { readonly slot?: "table" | "partition" | undefined },
  { since, newest, held }: FreshnessFacts,
  now: number,
): Freshness {
  const deadline = lastTick(by, timeZone, now);
  const upcoming = nextTick(by, timeZone, now);
  const next = upcoming === undefined ? {} : { nextAt: upcoming };
  const waiting = (because: string): Freshness => ({
    status: newest === undefined ? "unknown" : "fresh",
    because,
    ...(upcoming === undefined ? {} : { deadline: upcoming }),
    ...next,
  });
  if (deadline === undefined) return waiting("no deadline has come yet");
  const { partitions } = asset;
  if (partitions === undefined) {
    const before = lastTick(by, timeZone, deadline - 1_000);
    const from = lowerBound === undefined ? (before ?? -Infinity) : deadline - durationMs(lowerBound);
    const good = newest !== undefined && newest.at >= from && (lowerBound !== undefined || newest.at > from);
    if (good) return { status: "fresh", because: `it was materialized at ${iso(newest.at)}`, deadline, ...next };
    if (deadline <= since) return waiting(`its first deadline is ${upcoming === undefined ? "over" : iso(upcoming)}`);
    const last = newest === undefined ? "never" : `last at ${iso(newest.at)}, too early`;
    return { status: "late", because: `due by ${iso(deadline)}, and materialized ${last}`, deadline, ...next };
  }
  const due = latestPartition(partitions, deadline);
  if (due === undefined) return waiting("no partition is due yet");
  const partition = due.key;
  // Where the newest interval is the table, it is there in place of all before it.
  const passed = asset.slot === "table" && newest !== undefined && newest.order >= partitionOrder(partitions, due.key);
  if (held === true || passed)
    return {
      status: "fresh",
      because: `${partition} was due by ${iso(deadline)}, and is there`,
      deadline,
      partition,
      ...next,
    };
  if (deadline <= since) return waiting(`its first deadline is ${upcoming === undefined ? "over" : iso(upcoming)}`);
  return {
    status: "late",
    because: `${partition} was due by ${iso(deadline)}, and is not there`,
    deadline,
    partition,
    ...next,
  };
}

/** `undefined` for a partition that the asset does not have any more. */
function windowOf(
  partitions: PartitionsDefinition | undefined,
  key: string,
): (Partition & { end: number }) | undefined {
  if (partitions?.kind !== "time") return undefined;
  try {
    const { end, ...window } = parsePartition(partitions, key);
    return end === undefined ? undefined : { ...window, end };
  } catch (error) {
    if (error instanceof DefinitionError) return undefined;
    throw error;
  }
}

function lastKey(partitions: PartitionsDefinition): string | undefined {
  return latestPartition(partitions, Date.UTC(9_000, 0))?.key;
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/:\d\d\.\d{3}Z$/, "Z");
}

// ---- what is kept of it

/** Under the name that stays. */
export function freshnessId(asset: Named): string {
  return originOf(asset);
}

/** Whether a policy is the one that was seen before. */
export function policyHash(policy: FreshnessPolicy): string {
  return shortHash([canonicalJson(policy)]);
}

/** When the asset's freshness is looked at again. One for each asset. */
export function putFreshnessDue(id: string, dueAt: number): Write {
  const runId = freshnessDueId(id);
  const shard = parseInt(shortHash([id]).slice(0, 2), 16) % DUE_SHARDS;
  const value: DueDocument = { shard, dueAt, runId, freshness: id };
  return put(ref("due", runId), value);
}

export function freshnessDueId(id: string): string {
  return `freshness-${shortHash([id])}`;
}

/**
 * While data is late, it is looked for so often. A commit that makes another partition the newest says so by itself; one of an
 * older partition, and that of a function which was deployed before the policy, does not.
 */
const LATE_MS = Object.freeze({ partition: 600_000, any: 3_600_000 });

export interface FreshnessInput {
  readonly id: string;
  readonly asset: string;
  /** `undefined`: the asset has no policy any more. */
  readonly policy: FreshnessPolicy | undefined;
  /** By the document's own `since`, or by now where there is none or the policy is another. */
  evaluate(since: number): Freshness;
  readonly now: number;
}

/** Records what has changed, and when to look again. An event for each change between late and not late, and for nothing else. */
export function recordFreshness(
  state: { readonly freshness: FreshnessDocument | undefined },
  { id, asset, policy, evaluate, now }: FreshnessInput,
): Decision<FreshnessStatus | undefined> {
  const before = state.freshness;
  const event = (
    type: "freshness.failed" | "freshness.restored",
    reason: string,
    more: Partial<Freshness>,
  ): SluiceEvent => ({
    v: EVENT_VERSION,
    id: `freshness-${shortHash([id, type, String(before?.at ?? 0)])}`,
    at: now,
    asset,
    ...(more.partition === undefined ? {} : { partition: more.partition }),
    type,
    reason,
    ...(more.deadline === undefined ? {} : { deadline: more.deadline }),
  });
  const wasLate = before?.status === "late";
  if (policy === undefined) {
    const writes: Write[] = [{ delete: ref("due", freshnessDueId(id)) }];
    if (before !== undefined) writes.push({ delete: ref("freshness", id) });
    const events = wasLate ? [event("freshness.restored", "it has no freshness policy any more", {})] : [];
    return { result: undefined, writes, events };
  }
  const hash = policyHash(policy);
  const since = before?.policy === hash ? before.since : now;
  const { status, because, nextAt, ...where } = evaluate(since);
  const writes: Write[] = [];
  const changed = before?.status !== status;
  if (changed || before.policy !== hash)
    writes.push(
      put(ref("freshness", id), { asset, policy: hash, since, status, at: changed ? now : before.at, because }),
    );
  const pause = where.partition === undefined ? LATE_MS.any : LATE_MS.partition;
  const again = status === "late" ? Math.min(now + pause, nextAt ?? Infinity) : nextAt;
  writes.push(again === undefined ? { delete: ref("due", freshnessDueId(id)) } : putFreshnessDue(id, again));
  const events =
    wasLate === (status === "late")
      ? []
      : [event(status === "late" ? "freshness.failed" : "freshness.restored", because, where)];
  return { result: status, writes, events };
}
