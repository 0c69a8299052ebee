/** Reconciling with what should have happened: deadlines that passed. Nothing depends on an event arriving once, in order, or at all. */
import { wakeMessage } from "../core/backfill-message.ts";
import { topicOfRun } from "../core/run-identity.ts";
import { put, ref } from "../core/documents.ts";
import type { DueDocument, RunDocument } from "../core/documents.ts";
import { dispatchPool } from "./pool-seat.ts";
import { presentName } from "./present-name.ts";
import { sendWaiting } from "./operations.ts";
import type { Services } from "./services.ts";
import { sweepAlerts } from "./sweep-alerts.ts";
import { followPolicies, sweepFreshness } from "./sweep-freshness.ts";

/** How many deadlines one sweep takes up. */
const DUE_LIMIT = 200;
/** A woken run is due again after this long, should its message be lost. */
const AGAIN_MS = 30_000;

/** A run of an asset, job or sensor that is not defined (any more, or while a module is broken) is looked at this often. */
const UNDEFINED_MS = 3_600_000;

/** Wakes every run whose deadline has passed: abandoned, asleep, or ended without having said so. */
export async function sweepDue(services: Services): Promise<number> {
  const { events, bus, clock } = services;
  const now = clock.now();
  const due = await events.due({ now, limit: DUE_LIMIT });
  for (const { runId, backfill } of due.filter(isOfRun)) {
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
    if (known && !services.executing.has(runId)) await bus.publish(topicOfRun(present), { data });
    const dueAt = now + (known ? AGAIN_MS : UNDEFINED_MS);
    await events.transact({ entry }, (state) => ({
      result: undefined,
      // Whoever moved or removed the deadline meanwhile knows better.
      writes: state.entry === undefined || state.entry.dueAt > now ? [] : [put(entry, { ...state.entry, dueAt })],
      events: [],
    }));
  }
  for (const document of due) await sendWaiting(services, document);
  for (const pool of services.definitions().pools.keys()) await dispatchPool(services, pool);
  await followPolicies(services);
  await sweepFreshness(services, due);
  // Last, because receivers may be slow.
  await sweepAlerts(services, due);
  return due.length;
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
