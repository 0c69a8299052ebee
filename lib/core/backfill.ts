/**
 * The rules of a backfill, as decisions over its document. Whoever wakes up looks at what has become of the runs under way and
 * at the partitions that come next, and hands in what was seen together with the document's revision: on an older revision
 * nothing is decided. A partition is entered as under way in the very transaction that moves past it, and is requested after
 * that; dying in between leaves one that is under way without a run, which is asked for again under the same run key.
 */
import type {
  BackfillChoice,
  BackfillCounts,
  BackfillDocument,
  Decision,
  PartitionDocument,
  Ref,
  RunStatus,
  Write,
} from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import type { EventBody, SluiceEvent } from "./events.ts";
import { EVENT_VERSION } from "./events.ts";
import type { PartitionSpan } from "./partition-span.ts";
import type { RequestBody } from "./request.ts";
import { DUE_SHARDS } from "./run-identity.ts";

/** What a person asks for; the range has been checked and counted. */
export type BackfillOrder = Pick<
  BackfillDocument,
  "id" | "asset" | "from" | "to" | "total" | "which" | "force" | "singleRun" | "order" | "maxConcurrent" | "perDay"
>;

/** More under way would make the document long, and a table takes no more than 50 changes in 10 seconds anyway. */
export const MAX_CONCURRENT = 100;
const FAILURES_KEPT = 5;

/** Partitions that share one table take turns in it, the oldest first; others do not meet. */
export function usualConcurrency({ target }: { readonly target?: { readonly slot: string } | undefined }): number {
  return target?.slot === "table" ? 1 : 4;
}

/**
 * The newest first, so that all commits but the first leave the asset's document alone, which tells the newest: one document is not
 * for several writes a second. The oldest first, `undefined`, where the order changes the result: in a table that all partitions
 * share the newest is to come last, and a table that grows by columns takes each as the data did, so that none is required of rows
 * that are older than it.
 */
export function usualOrder({
  target,
}: {
  readonly target?: { readonly slot: string; readonly schemaChange?: string | undefined } | undefined;
}): BackfillDocument["order"] {
  return target?.slot === "table" || target?.schemaChange === "extend" ? undefined : "newest-first";
}

/** The range by the backfill's own numbers. The run that makes a whole range is that of its oldest partition, in any order. */
export function inOrder(
  span: PartitionSpan,
  { order, singleRun }: Pick<BackfillDocument, "order" | "singleRun">,
): PartitionSpan {
  if (order === undefined) return span;
  const { total } = span;
  const numberOf = singleRun === true ? (n: number) => (total - n) % total : (n: number) => total - 1 - n;
  return { ...span, at: (n) => span.at(numberOf(n)) };
}

const DAY_MS = 86_400_000;

export interface BackfillState {
  readonly backfill: BackfillDocument | undefined;
}

export function backfillRefs(id: string): { readonly backfill: Ref<"backfill"> } {
  return { backfill: ref("backfill", id) };
}

/** The same partition of the same backfill is the same run, however often it is asked for. */
export function backfillRunKey(id: string, partition: string): string {
  return `backfill:${id}:${partition}`;
}

/** The backfill that a run belongs to, if any. */
export function backfillOf(runKey: string): string | undefined {
  return /^backfill:([0-9a-f]{16}):/.exec(runKey)?.[1];
}

/** The run that only records what another one has made is forced: nothing may be folded into it, and nothing has to be new. */
export function backfillRequest(
  { id, force, singleRun, from }: Pick<BackfillDocument, "id" | "force" | "singleRun" | "from">,
  partition: string,
): RequestBody {
  const cause = { kind: "backfill" as const, id };
  const forced = force === true || (singleRun === true && partition !== from);
  return { partition, runKey: backfillRunKey(id, partition), cause, ...(forced ? { force: true } : {}) };
}

export function isWanted(which: BackfillChoice, partition: PartitionDocument | undefined): boolean {
  if (which === "all") return true;
  return which === "missing" ? partition?.head === undefined : partition?.failed !== undefined;
}

/** Runs that have ended. */
export function endedRuns({ succeeded, skipped, failed }: BackfillCounts): number {
  return succeeded + skipped + failed;
}

/**
 * Milliseconds that the rest takes at the pace so far, as if all of it were requested; `undefined` before the first end, and for
 * a single run, whose length tells nothing of the rest.
 */
export function remainingMs(backfill: BackfillDocument, now: number): number | undefined {
  if (backfill.endedAt !== undefined) return 0;
  const { since, counts, total, next, underWay, perDay, singleRun } = backfill;
  const ended = endedRuns(counts) - since.ended;
  const left = underWay.length + (backfill.status === "running" ? total - next : 0);
  if (left === 0) return 0;
  if (ended === 0 || singleRun === true) return undefined;
  const byPace = (left * Math.max(0, now - since.at)) / ended;
  return perDay === undefined ? byPace : Math.max(byPace, (Math.ceil(left / perDay) - 1) * DAY_MS);
}

/** Begins it, once: the same order again finds it begun. */
export function begin(state: BackfillState, order: BackfillOrder, now: number): Decision<BackfillDocument> {
  if (state.backfill !== undefined) return decided(state.backfill);
  const backfill: BackfillDocument = {
    ...order,
    status: "running",
    next: 0,
    underWay: [],
    counts: { passedOver: 0, succeeded: 0, skipped: 0, failed: 0 },
    failures: [],
    revision: 1,
    createdAt: now,
    since: { at: now, ended: 0 },
    updatedAt: now,
  };
  const { from, to, total, which } = order;
  const started = eventOf(backfill, now, { type: "backfill.started", backfill: order.id, from, to, total, which });
  return {
    result: backfill,
    writes: [put(ref("backfill", order.id), backfill), putDue(order.id, now)],
    events: [started],
  };
}

/** Requests nothing more. What is under way goes on to its end, and is counted. */
export function cancel(state: BackfillState, now: number, reason?: string): Decision<BackfillDocument | undefined> {
  const { backfill } = state;
  if (backfill?.status !== "running") return decided(backfill);
  const why = reason === undefined ? {} : { reason };
  return changed({ ...backfill, ...why, status: "cancelled" }, now, now, [
    { type: "backfill.cancelled", backfill: backfill.id, ...why },
  ]);
}

/** A cancelled one goes on from where it was; one that is done has nothing left. */
export function resume(state: BackfillState, now: number): Decision<BackfillDocument | undefined> {
  if (state.backfill?.status !== "cancelled") return decided(state.backfill);
  const { endedAt, reason, ...backfill } = state.backfill;
  const since = { at: now, ended: endedRuns(backfill.counts) };
  return changed({ ...backfill, status: "running", since }, now, now, [
    { type: "backfill.resumed", backfill: backfill.id },
  ]);
}

export interface EndedRun {
  readonly runId: string;
  readonly status: RunStatus;
  readonly reason?: string | undefined;
}

/** What was seen of the backfill that has this revision. */
export interface Seen {
  readonly revision: number;
  /** The ended runs of those under way, by partition. */
  readonly ended: ReadonlyMap<string, EndedRun>;
  /** Those under way that have no run, and whose partition nobody works on or waits for. */
  readonly lost: ReadonlySet<string>;
  /** The partitions to request next, as far as there is room, and the number of the first one that was not looked at. */
  readonly found?: { readonly wanted: readonly string[]; readonly next: number };
}

export type Advance =
  /** Somebody else has changed it meanwhile. */
  | { readonly kind: "stale" }
  | {
      readonly kind: "advanced";
      readonly backfill: BackfillDocument;
      /** Partitions to ask for now. */
      readonly ask: readonly string[];
      /** There is room for more, and more to look at. */
      readonly more: boolean;
    };

/**
 * The backfill without the runs that have ended. Where the single run that makes the whole range has not succeeded, all
 * of the range has ended as it did.
 */
export function countEnded(backfill: BackfillDocument, ended: Seen["ended"]): BackfillDocument {
  const { singleRun, from, total } = backfill;
  let { next } = backfill;
  const counts = { ...backfill.counts };
  const failures = [...backfill.failures];
  const underWay = backfill.underWay.filter(({ partition }) => {
    const run = ended.get(partition);
    if (run === undefined) return true;
    const whole = singleRun === true && partition === from && run.status !== "succeeded";
    const ending = whole ? 1 + total - next : 1;
    if (whole) next = total;
    if (run.status === "succeeded") counts.succeeded += ending;
    else if (run.status === "skipped") counts.skipped += ending;
    else {
      counts.failed += ending;
      failures.push({ partition, runId: run.runId, reason: (run.reason ?? "").slice(0, 200) });
    }
    return false;
  });
  return { ...backfill, next, underWay, counts, failures: failures.slice(-FAILURES_KEPT) };
}

/** How many partitions may be requested at `now`; after the first one of a single run, none before that has made them. */
export function roomOf(backfill: BackfillDocument, now: number): number {
  const { status, maxConcurrent, underWay, perDay = Infinity, next, total, singleRun, from } = backfill;
  if (status !== "running") return 0;
  if (singleRun === true && next === 0) return 1;
  if (singleRun === true && underWay.some(({ partition }) => partition === from)) return 0;
  return Math.max(0, Math.min(maxConcurrent - underWay.length, perDay - requestedOn(backfill, now), total - next));
}

/**
 * Counts what has ended and enters what comes next, at most as much as there is room for. Changes nothing where there is
 * nothing new. `againMs`: how long a partition is under way without a run before it is asked for again.
 */
export function advance(
  state: BackfillState,
  seen: Seen,
  { now, againMs }: { readonly now: number; readonly againMs: number },
): Decision<Advance> {
  const { backfill } = state;
  if (backfill === undefined || backfill.revision !== seen.revision) return decided({ kind: "stale" });
  const counted = countEnded(backfill, seen.ended);
  const found = seen.found ?? { wanted: [], next: counted.next };
  const room = roomOf(counted, now);
  if (found.wanted.length > room || found.next < counted.next) return decided({ kind: "stale" });

  const again = counted.underWay.filter(
    ({ partition, askedAt }) => seen.lost.has(partition) && askedAt + againMs <= now,
  );
  const asked = new Set(again);
  const { wanted } = found;
  const underWay = [
    ...counted.underWay.map((each) => (asked.has(each) ? { ...each, askedAt: now } : each)),
    ...wanted.map((partition) => ({ partition, askedAt: now })),
  ];
  const ask = [...again.map(({ partition }) => partition), ...wanted];
  const passed = found.next - counted.next - wanted.length;
  const moved: BackfillDocument = {
    ...counted,
    underWay,
    next: found.next,
    counts: { ...counted.counts, passedOver: counted.counts.passedOver + passed },
    ...(wanted.length === 0
      ? {}
      : { day: { start: dayOf(now), requested: requestedOn(backfill, now) + wanted.length } }),
  };
  const complete = moved.status === "cancelled" || moved.next === moved.total;
  if (complete && underWay.length === 0) {
    const status = moved.next === moved.total ? "done" : "cancelled";
    const over = changed({ ...moved, status }, now, undefined, [
      { type: "backfill.ended", backfill: moved.id, status, counts: moved.counts },
    ]);
    return { ...over, result: { kind: "advanced", backfill: over.result, ask: [], more: false } };
  }
  const more = roomOf(moved, now) > 0;
  const still = seen.ended.size === 0 && ask.length === 0 && passed === 0;
  if (still) return decided({ kind: "advanced", backfill, ask, more });
  const step = changed(moved, now, nextLook(moved, now, againMs), []);
  return { ...step, result: { kind: "advanced", backfill: step.result, ask, more } };
}

/** When to look again should nobody call: nothing happens before the next day once the day's share is used up. */
function nextLook(backfill: BackfillDocument, now: number, againMs: number): number {
  const { underWay, perDay = Infinity } = backfill;
  const used = underWay.length === 0 && requestedOn(backfill, now) >= perDay;
  return used ? dayOf(now) + DAY_MS : now + againMs;
}

function requestedOn({ day }: BackfillDocument, now: number): number {
  return day?.start === dayOf(now) ? day.requested : 0;
}

function dayOf(now: number): number {
  return Math.floor(now / DAY_MS) * DAY_MS;
}

/** Without a deadline it has ended. */
function changed(
  value: BackfillDocument,
  now: number,
  dueAt: number | undefined,
  bodies: readonly EventBody[],
): Decision<BackfillDocument> {
  const end = dueAt === undefined ? { endedAt: now } : {};
  const backfill = { ...value, ...end, revision: value.revision + 1, updatedAt: now };
  const due: Write = dueAt === undefined ? { delete: ref("due", value.id) } : putDue(value.id, dueAt);
  return {
    result: backfill,
    writes: [put(ref("backfill", value.id), backfill), due],
    events: bodies.map((body) => eventOf(backfill, now, body)),
  };
}

function putDue(id: string, dueAt: number): Write {
  const shard = parseInt(id.slice(0, 2), 16) % DUE_SHARDS;
  return put(ref("due", id), { shard, dueAt, runId: id, backfill: true });
}

function eventOf({ id, asset, revision }: BackfillDocument, at: number, body: EventBody): SluiceEvent {
  return { v: EVENT_VERSION, id: `backfill-${id}-${revision}`, at, asset, ...body };
}
