/** Reconciling with what should have happened: deadlines that passed. Nothing depends on an event arriving once, in order, or at all. */
import { wakeMessage } from "../core/backfill-message.ts";
import { topicOfRun } from "../core/run-identity.ts";
import { put, ref } from "../core/documents.ts";
import type { DueDocument, RunDocument } from "../core/documents.ts";
import { eachInTurn } from "./each-in-turn.ts";
import { dispatchPool } from "./pool-seat.ts";
import { presentName } from "./present-name.ts";
import { sendWaiting } from "./operations.ts";
import type { Services } from "./services.ts";
import { sweepAlerts } from "./sweep-alerts.ts";
import { followPolicies, sweepFreshness } from "./sweep-freshness.ts";
import { sweepSchedules } from "./sweep-schedules.ts";

/** How many deadlines one sweep takes up. */
const DUE_LIMIT = 200;
/** A woken run is due again after this long, should its message be lost. */
const AGAIN_MS = 30_000;

/** A run of an asset, job or sensor that is not defined (any more, or while a module is broken) is looked at this often. */
const UNDEFINED_MS = 3_600_000;
/** After so many messages that could not be sent, the rest is left to the next sweep, which begins with it. */
const MOST_FAILURES = 20;

/**
 * Wakes every run whose deadline has passed: abandoned, asleep, or ended without having said so. What cannot be done for one (its
 * topic is gone, say) holds up no other; it is told of when all the others have had their turn.
 */
export async function sweepDue(services: Services): Promise<number> {
  const { events, clock, definitions } = services;
  const now = clock.now();
  const due = await events.due({ now, limit: DUE_LIMIT });
  const parts: readonly (() => Promise<unknown>)[] = [
    () => wake(services, due.filter(isOfRun), now),
    () => eachInTurn(due, (document) => sendWaiting(services, document)),
    () => eachInTurn(definitions().pools.keys(), (pool) => dispatchPool(services, pool)),
    () => followPolicies(services),
    () => sweepFreshness(services, due),
    () => sweepSchedules(services),
    // Last, because receivers may be slow.
    () => sweepAlerts(services, due),
  ];
  await eachInTurn(parts, (part) => part());
  return due.length;
}

async function wake(services: Services, due: readonly DueDocument[], now: number): Promise<void> {
  const { events, bus } = services;
  const failures: unknown[] = [];
  for (const { runId, backfill } of due) {
    if (failures.length === MOST_FAILURES) break;
    const run = backfill === true ? await ownerOf(services, runId) : await events.get("run", runId);
    const entry = ref("due", runId);
    if (run === undefined) {
      await events.transact({ entry }, () => ({ result: undefined, writes: [{ delete: entry }], events: [] }));
      continue;
    }
    // This very process may be executing what somebody else wants to end.
    if ("cancel" in run) services.canceling.get(runId)?.();
    const known = isDefined(services, run);
    // Published before it is postponed: a crash in between wakes the run twice, which its claim sorts out.
    const present = { kind: run.kind, name: presentName(services, run) };
    const data = backfill === true ? wakeMessage(runId) : { wake: runId };
    if (known && !services.executing.has(runId))
      await bus.publish(topicOfRun(present), { data }).catch((error: unknown) => failures.push(error));
    const dueAt = now + (known ? AGAIN_MS : UNDEFINED_MS);
    await events.transact({ entry }, (state) => ({
      result: undefined,
      // Whoever moved or removed the deadline meanwhile knows better.
      writes: state.entry === undefined || state.entry.dueAt > now ? [] : [put(entry, { ...state.entry, dueAt })],
      events: [],
    }));
  }
  if (failures.length > 0) throw failures[0];
}

/** Whether somebody is to be woken by it. */
function isOfRun({ freshness, notice, alert, resume }: DueDocument): boolean {
  return resume === undefined && freshness === undefined && notice === undefined && alert === undefined;
}

type Owner = Pick<RunDocument, "kind" | "name">;

/** Who drives the backfill: the function of its asset. */
export async function ownerOf({ events }: Pick<Services, "events">, backfill: string): Promise<Owner | undefined> {
  const found = await events.get("backfill", backfill);
  return found === undefined || found.endedAt !== undefined ? undefined : { kind: "asset", name: found.asset };
}

function isDefined(services: Services, run: Owner): boolean {
  const { assets, jobs, sensors } = services.definitions();
  const name = presentName(services, run);
  if (run.kind === "asset") return assets.has(name) && assets.get(name)?.foreign !== true;
  return (run.kind === "job" ? jobs : sensors).has(name);
}
