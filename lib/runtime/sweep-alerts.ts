/** Sends alerts: what was recorded is taken in, and what is due is sent. No run waits for it, and none fails by it. */
import { chosenBy, concerns } from "../core/alert.ts";
import type { AlertDefinition } from "../core/alert.ts";
import {
  absorb,
  alertId,
  beginSending,
  forgetAlert,
  groupOf,
  noticeDueId,
  sendingDone,
  sendingFailed,
} from "../core/alert-group.ts";
import type { Sending } from "../core/alert-group.ts";
import { alertPayload, webhookBody } from "../core/alert-payload.ts";
import type { AlertPayload } from "../core/alert-payload.ts";
import { backoff } from "../core/backoff.ts";
import { ref } from "../core/documents.ts";
import type { AlertDocument, DueDocument, Notice } from "../core/documents.ts";
import { PermanentError, RetryableError, messageOf } from "../core/errors.ts";
import type { Services } from "./services.ts";

/** How often a message is tried before it is given up: with these pauses for a day at least, and two at most. */
const ATTEMPTS = 24;
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3 * 3_600_000;
/** How long a receiver may take, and whoever sends: then another sweep may. */
const TIMEOUT_MS = 10_000;
const LEASE_MS = 60_000;
/** Messages of one sweep, and of them at the same time. */
const MESSAGES = 50;
const AT_ONCE = 8;

/** Those of the deadlines that are of alerts. */
export async function sweepAlerts(services: Services, due: readonly DueDocument[]): Promise<void> {
  const ids = new Set(due.flatMap(({ alert }) => (alert === undefined ? [] : [alert])));
  const notices = due.flatMap(({ notice }) => (notice === undefined ? [] : [notice]));
  if (notices.length > 0) for (const id of await takeIn(services, notices)) ids.add(id);
  const wanted = [...ids].slice(0, MESSAGES);
  const next = async (): Promise<void> => {
    for (let id = wanted.shift(); id !== undefined; id = wanted.shift()) await deliver(services, id);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, wanted.length) }, next));
}

/** Each notice goes to the groups of all alerts that it concerns. Dying in between takes it in again, which changes nothing. */
async function takeIn(services: Services, notices: readonly Notice[]): Promise<readonly string[]> {
  const { events, clock } = services;
  const definitions = services.definitions();
  const groups = new Map<string, { readonly alert: string; readonly group: string; readonly notices: Notice[] }>();
  for (const notice of notices.toSorted((a, b) => a.at - b.at)) {
    const subject = await subjectOf(services, notice);
    for (const alert of definitions.alerts.values()) {
      if (!concerns(alert, chosenNow(definitions, alert), notice)) continue;
      const group = { alert: alert.name, group: groupOf(notice, subject) };
      const id = alertId(group);
      groups.set(id, { ...group, notices: [...(groups.get(id)?.notices ?? []), notice] });
    }
  }
  const now = clock.now();
  for (const [id, group] of groups)
    await events.transact({ alert: ref("alert", id) }, (state) => absorb(state, { ...group, now }));
  const writes = notices.map((notice) => ({ delete: ref("due", noticeDueId(notice)) }));
  await events.transact({}, () => ({ result: undefined, writes, events: [] }));
  return [...groups.keys()];
}

/** A selection that chooses nothing any more was refused when it was loaded, and concerns nothing meanwhile. */
function chosenNow(
  definitions: ReturnType<Services["definitions"]>,
  alert: AlertDefinition,
): readonly string[] | undefined {
  try {
    return chosenBy(definitions, alert);
  } catch {
    return [];
  }
}

async function subjectOf({ events }: Services, { asset, run, about = "" }: Notice): Promise<string> {
  if (asset !== undefined) return asset;
  if (run === undefined) return about;
  const found = await events.get("run", run);
  return found === undefined ? `run ${run}` : `${found.kind} ${found.name}`;
}

async function deliver(services: Services, id: string): Promise<void> {
  const { events, clock, random, settings } = services;
  const refs = { alert: ref("alert", id) };
  const { sent, document } = await events.transact(refs, (state) => {
    const decision = beginSending(state, { id, now: clock.now(), leaseMs: LEASE_MS });
    return { ...decision, result: { sent: decision.result, document: state.alert } };
  });
  if (sent === undefined || document === undefined) return;
  const alert = services.definitions().alerts.get(document.alert);
  if (alert === undefined) {
    await events.transact({}, () => ({ result: undefined, writes: forgetAlert(id), events: [] }));
    return;
  }
  const { quietMs } = alert;
  try {
    await send(services, alert, payloadOf(document, sent, settings));
    await events.transact(refs, (state) => sendingDone(state, { id, sent, now: clock.now(), quietMs }));
  } catch (error) {
    const reason = messageOf(error);
    const over = error instanceof PermanentError || sent.attempt >= ATTEMPTS;
    const asked = error instanceof RetryableError ? (error.afterMs ?? 0) : 0;
    const pause = Math.max(asked, pauseAfter(sent.attempt, random.next()));
    const now = clock.now();
    const retryAt = over ? undefined : now + pause;
    // Whoever stops gives its message to another, and that is no delay.
    const remedy = services.stopping?.aborted === true ? undefined : remedyOf(alert);
    const told = { id, sent, now, quietMs, retryAt, reason, remedy };
    await events.transact(refs, (state) => sendingFailed(state, told));
  }
}

function remedyOf({ to }: AlertDefinition): string {
  return to.kind === "topic"
    ? `see that the topic ${to.topic} is there and may be published to`
    : `see to the receiver behind the secret ${to.secret}, or give the secret a new value`;
}

/** Half of it is jitter, so that the tries together last for as long as is promised. */
function pauseAfter(attempt: number, random01: number): number {
  const maxMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  return backoff({ attempt: 1, minMs: maxMs / 2, maxMs }, random01);
}

function payloadOf({ alert, group }: AlertDocument, sent: Sending, settings: Services["settings"]): AlertPayload {
  const { asset, type } = sent.last;
  // The group's own name of it: `run.failed job clean_up`.
  const subject = asset ?? group.slice(type.length + 1);
  const { environment, consoleUrl } = settings;
  return alertPayload(sent, { alert, subject, environment, consoleUrl: consoleUrl.replace(/\/+$/, "") });
}

async function send(
  { bus, secrets, webhooks, stopping }: Services,
  { to }: AlertDefinition,
  payload: AlertPayload,
): Promise<void> {
  if (to.kind === "topic") {
    const { id, type, alert } = payload;
    await bus.publish(to.topic, { data: payload, attributes: { id, type, alert } });
    return;
  }
  const address = await secrets.access(to.secret).catch((error: unknown) => {
    // It may be set tomorrow: what is missing is tried again, and told of by the first try.
    throw new RetryableError(`the secret ${to.secret} cannot be read: ${messageOf(error)}`);
  });
  const { status, retryAfterMs } = await webhooks.post(address, {
    body: webhookBody(to.format, payload),
    headers: { "user-agent": "sluice", "idempotency-key": payload.id },
    timeoutMs: TIMEOUT_MS,
    signal: stopping,
  });
  if (status >= 200 && status < 300) return;
  const answer = `the receiver behind the secret ${to.secret} answered ${status}`;
  const passing = status === 408 || status === 425 || status === 429 || status >= 500;
  if (passing) throw new RetryableError(answer, retryAfterMs === undefined ? {} : { afterMs: retryAfterMs });
  throw new PermanentError(`${answer}: look at the address and at its format`, { code: "refused" });
}
