/** Taking over from a process that is known to have died, without waiting for its leases to run out. */
import { wakeMessage } from "../core/backfill-message.ts";
import { lockRef, topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { RunDocument } from "../core/documents.ts";
import { put, ref } from "../core/documents.ts";
import { presentName } from "./present-name.ts";
import type { Services } from "./services.ts";
import { ownerOf } from "./sweep.ts";

/** Far beyond what one machine has under way; what lies beyond is woken by its own deadline. */
const LIMIT = 100_000;
/** What a sleeper may have waited for in the process that died. A retry or an incomplete interval keeps its time. */
const WAITED_FOR_OTHERS: readonly string[] = ["slot-busy", "waiting-for-job", "stopped"];

/**
 * Ends every lease and wakes every run that its process left behind; the result is how many. Only for whoever knows that no
 * execution is alive anywhere, such as the one process that can have the local warehouse's file open. A wrong guess would
 * still load nothing twice: tokens and intents decide who commits, and a lease only who may try.
 */
export async function releaseAbandoned(services: Services): Promise<number> {
  const { events, bus } = services;
  const left = await events.due({ now: Number.MAX_SAFE_INTEGER, limit: LIMIT });
  let released = 0;
  for (const { runId, backfill } of left) {
    const owner = backfill === true ? await ownerOf(services, runId) : undefined;
    if (owner !== undefined)
      await bus.publish(topicOfRun({ kind: "asset", name: presentName(services, owner) }), {
        data: wakeMessage(runId),
      });
    if (backfill === true) continue;
    const run = await events.get("run", runId);
    if (run === undefined || services.executing.has(runId) || isAsleep(run)) continue;
    await expire(services, run);
    // Dying before this publish loses nothing: the next start finds the same deadline.
    await bus.publish(topicOfRun({ kind: run.kind, name: presentName(services, run) }), { data: { wake: run.id } });
    released += 1;
  }
  return released;
}

function isAsleep(run: RunDocument): boolean {
  return run.status === "parked" && !WAITED_FOR_OTHERS.includes(run.code ?? "");
}

/** The token stays, so that whatever the dead process still has on its way is measured against it. */
async function expire({ events, clock }: Services, run: RunDocument): Promise<void> {
  const { id, kind, name, partition } = run;
  const identity: RunIdentity = { id, kind, name, partition };
  const refs = { run: ref("run", id), partition: lockRef(identity), due: ref("due", id) };
  const now = clock.now();
  await events.transact(refs, (state) => ({
    result: undefined,
    writes: [
      ...(state.due === undefined ? [] : [put(refs.due, { ...state.due, dueAt: now })]),
      ...(state.run?.status === "parked" ? [put(refs.run, { ...state.run, wakeAt: now })] : []),
      ...(state.partition?.holder?.runId === id
        ? [put(refs.partition, { ...state.partition, holder: { ...state.partition.holder, leaseUntil: now } })]
        : []),
    ],
    events: [],
  }));
}
