/**
 * When an alert is sent. What happens to one thing is one group with a document of its own: its first notice is sent at once,
 * those that come within the quiet period are counted, and told in one message when that is over. A message that cannot be
 * delivered is tried again, and given up with an event. All decisions are pure; sending happens between two of them.
 */
import type { AlertDefinition } from "./alert.ts";
import type { AlertDocument, Decision, DueDocument, Notice, Write } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { EVENT_VERSION } from "./events.ts";
import type { SluiceEvent } from "./events.ts";
import { shortHash } from "./hash.ts";
import { DUE_SHARDS } from "./run-identity.ts";

export type Sending = NonNullable<AlertDocument["sending"]>;

export interface AlertGroup {
  readonly alert: string;
  readonly group: string;
}

/** What the notice has in common with others: the thing, and what is wrong with it. `subject`: the asset, job, sensor or subscription. */
export function groupOf(notice: Notice, subject: string): string {
  const check = notice.type === "check.evaluated" ? ` ${notice.about ?? ""}` : "";
  return `${notice.type} ${subject}${check}`;
}

/** 16 hexadecimal digits. */
export function alertId({ alert, group }: AlertGroup): string {
  return shortHash([alert, group]);
}

/** The event waits for the next sweep, written with whatever decided on it. */
export function putNotice(notice: Notice, now: number): Write {
  const runId = noticeDueId(notice);
  return put(ref("due", runId), { ...dueBase(runId, now), notice });
}

export function noticeDueId({ event }: Pick<Notice, "event">): string {
  return `notice-${shortHash([event])}`;
}

function dueBase(runId: string, dueAt: number): DueDocument {
  return { shard: parseInt(shortHash([runId]).slice(0, 2), 16) % DUE_SHARDS, dueAt, runId };
}

function dueId(id: string): string {
  return `alert-${id}`;
}

function putAlertDue(id: string, at: number): Write {
  return put(ref("due", dueId(id)), { ...dueBase(dueId(id), at), alert: id });
}

/** More than one sweep takes in, so that what was taken in and not yet crossed out is recognised. */
const SEEN = 500;

/** Takes notices in, oldest first; each counts once. */
export function absorb(
  { alert }: { readonly alert: AlertDocument | undefined },
  input: AlertGroup & { readonly notices: readonly Notice[]; readonly now: number },
): Decision<void> {
  const before: AlertDocument = alert ?? { alert: input.alert, group: input.group, seen: [] };
  const known = new Set(before.seen);
  const fresh = input.notices.filter(({ event }) => !known.has(event));
  const [first] = fresh;
  const last = fresh.at(-1);
  if (first === undefined || last === undefined) return decided(undefined);
  const { waiting } = before;
  const id = alertId(input);
  const next: AlertDocument = {
    ...before,
    seen: [...before.seen, ...fresh.map(({ event }) => event)].slice(-SEEN),
    waiting: { first: waiting?.first ?? first, last, count: (waiting?.count ?? 0) + fresh.length },
  };
  const at = before.sending?.at ?? Math.max(input.now, before.quietUntil ?? 0);
  return { result: undefined, writes: [put(ref("alert", id), next), putAlertDue(id, at)], events: [] };
}

/** What is to be sent now, if anything. Whoever gets it has until `leaseMs` from now to say what became of it. */
export function beginSending(
  { alert }: { readonly alert: AlertDocument | undefined },
  { id, now, leaseMs }: { readonly id: string; readonly now: number; readonly leaseMs: number },
): Decision<Sending | undefined> {
  const later = (at: number): Decision<undefined> => ({ result: undefined, writes: [putAlertDue(id, at)], events: [] });
  const nothing: Decision<undefined> = { result: undefined, writes: [{ delete: ref("due", dueId(id)) }], events: [] };
  if (alert === undefined) return nothing;
  const { sending, waiting, quietUntil = 0, ...rest } = alert;
  if (sending !== undefined && sending.at > now) return later(sending.at);
  if (sending === undefined && waiting === undefined) return nothing;
  if (sending === undefined && quietUntil > now) return later(quietUntil);
  const begun =
    sending ?? (waiting && { id: shortHash([rest.alert, rest.group, waiting.first.event]), ...waiting, attempt: 0 });
  if (begun === undefined) return nothing;
  const next: Sending = { ...begun, attempt: begun.attempt + 1, at: now + leaseMs };
  const left = sending === undefined || waiting === undefined ? {} : { waiting };
  const value: AlertDocument = { ...rest, ...left, sending: next, ...(quietUntil === 0 ? {} : { quietUntil }) };
  return { result: next, writes: [put(ref("alert", id), value), putAlertDue(id, next.at)], events: [] };
}

interface Told {
  readonly id: string;
  readonly sent: Pick<Sending, "id" | "attempt">;
  readonly now: number;
}

/** The message has arrived. */
export function sendingDone(
  state: { readonly alert: AlertDocument | undefined },
  input: Told & Pick<AlertDefinition, "quietMs">,
): Decision<void> {
  return over(state, input, ({ alert, group, sending }) => ({
    ...eventBase(`alert-sent-${sending.id}`, input.now, sending.last),
    type: "alert.sent",
    alert,
    about: group,
    count: sending.count,
    attempt: sending.attempt,
  }));
}

/**
 * It has not: it is tried again at `retryAt`, or given up where that is `undefined`. Each message says once that it is late, with
 * the `remedy`; without one, whoever sent it was stopped, and nothing is wrong.
 */
export function sendingFailed(
  state: { readonly alert: AlertDocument | undefined },
  input: Told &
    Pick<AlertDefinition, "quietMs"> & {
      readonly retryAt: number | undefined;
      readonly reason: string;
      readonly remedy: string | undefined;
    },
): Decision<void> {
  const { alert } = state;
  const { id, sent, retryAt, reason, remedy, now } = input;
  if (retryAt === undefined)
    return over(state, input, ({ alert: name, group, sending }) => ({
      ...eventBase(`alert-failed-${sending.id}`, input.now, sending.last),
      type: "alert.failed",
      alert: name,
      about: group,
      count: sending.count,
      attempts: sending.attempt,
      reason,
    }));
  if (alert?.sending === undefined || !isSame(alert.sending, sent)) return decided(undefined);
  const { sending } = alert;
  const tells = remedy !== undefined && sending.delayed === undefined;
  const next: AlertDocument = {
    ...alert,
    sending: { ...sending, at: retryAt, ...(tells ? { delayed: true as const } : {}) },
  };
  const delayed = (): SluiceEvent => ({
    ...eventBase(`alert-delayed-${sending.id}`, now, sending.last),
    type: "alert.delayed",
    alert: alert.alert,
    about: alert.group,
    count: sending.count,
    attempt: sending.attempt,
    retryAt,
    reason: `${reason}; ${remedy ?? ""}`,
  });
  return {
    result: undefined,
    writes: [put(ref("alert", id), next), putAlertDue(id, retryAt)],
    events: tells ? [delayed()] : [],
  };
}

function over(
  { alert }: { readonly alert: AlertDocument | undefined },
  { id, sent, now, quietMs }: Told & Pick<AlertDefinition, "quietMs">,
  event: (document: AlertDocument & { readonly sending: Sending }) => SluiceEvent,
): Decision<void> {
  // Another process may have taken it over; then its answer counts.
  if (alert?.sending === undefined || !isSame(alert.sending, sent)) return decided(undefined);
  const { sending, ...rest } = alert;
  const quietUntil = now + quietMs;
  const due = rest.waiting === undefined ? { delete: ref("due", dueId(id)) } : putAlertDue(id, quietUntil);
  return {
    result: undefined,
    writes: [put(ref("alert", id), { ...rest, quietUntil }), due],
    events: [event({ ...alert, sending })],
  };
}

function isSame(a: Pick<Sending, "id" | "attempt">, b: Pick<Sending, "id" | "attempt">): boolean {
  return a.id === b.id && a.attempt === b.attempt;
}

function eventBase(id: string, at: number, { asset, partition, run }: Notice) {
  return {
    v: EVENT_VERSION,
    id,
    at,
    ...(asset === undefined ? {} : { asset }),
    ...(partition === undefined ? {} : { partition }),
    ...(run === undefined ? {} : { run }),
  } as const;
}

/** The alert is not defined any more: what waits for it is forgotten. */
export function forgetAlert(id: string): readonly Write[] {
  return [{ delete: ref("alert", id) }, { delete: ref("due", dueId(id)) }];
}
