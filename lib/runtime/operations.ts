/** What people do about runs, assets and messages. Each is one decision of the event store; what follows from it is due. */
import { cancelRefs, cancelWaiting, renamedCancelRefs, requestCancel } from "../core/cancel.ts";
import { topicOf } from "../core/asset-key.ts";
import type { DueDocument, RunDocument } from "../core/documents.ts";
import { bodyOf } from "../core/ending.ts";
import { notYet, pause, pauseRefs, resume, sentPage } from "../core/pause.ts";
import { topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { DeadLetterMessage } from "../core/dead-letter.ts";
import { adoptFor } from "./adopt.ts";
import { recordDeadLetter, replayDeadLetter } from "./dead-letters.ts";
import type { ReplayAnswer } from "./dead-letters.ts";
import type { Services } from "./services.ts";
import { presentName } from "./present-name.ts";

export type CancelAnswer =
  | { readonly kind: "unknown" }
  /** Too late: it has ended. */
  | { readonly kind: "ended"; readonly run: RunDocument }
  /** It ends as soon as whoever executes it looks, by its next renewal at the latest. */
  | { readonly kind: "asked" | "asked-before"; readonly run: RunDocument }
  /** It waited, nobody executed it, and it has ended. */
  | { readonly kind: "canceled"; readonly run: RunDocument }
  /** Its request waits together with another one, which stands for both. */
  | { readonly kind: "folded"; readonly asset: string; readonly partition: string };

export interface Operations {
  cancel(runId: string, reason?: string): Promise<CancelAnswer>;
  /** `false` when it is paused already. */
  pause(asset: string, reason?: string): Promise<boolean>;
  /** `false` when it is not paused. */
  resume(asset: string): Promise<boolean>;
  replayDeadLetter(deadLetter: string): Promise<ReplayAnswer>;
  /** What a bus of its own keeps of messages that were delivered in vain; recorded once. */
  recordDeadLetter(message: DeadLetterMessage): Promise<void>;
}

/** What operations need: no code of an author is called, and nothing is asked of the warehouse. */
export type OperationServices = Pick<
  Services,
  "events" | "bus" | "objects" | "clock" | "random" | "definitions" | "settings" | "canceling"
>;

export function operationsOf(services: OperationServices): Operations {
  return {
    async cancel(runId, reason) {
      const answer = await cancelRun(services, runId, reason);
      services.canceling.get(runId)?.();
      if (answer.kind !== "asked" && answer.kind !== "asked-before") return answer;
      // Whoever dies here has said what was to be said: the run is due.
      const { kind } = answer.run;
      const topic = topicOfRun({ kind, name: presentName(services, answer.run) });
      await services.bus.publish(topic, { data: { wake: runId } });
      return answer;
    },
    pause: (asset, reason) => pauseAsset(services, asset, reason),
    resume: (asset) => resumeAsset(services, asset),
    replayDeadLetter: (deadLetter) => replayDeadLetter(services, deadLetter),
    recordDeadLetter: (message) => recordDeadLetter(services, message),
  };
}

/** What needs no more than the event store, so that it works beside whoever has the rest open. */
export type Desk = Pick<Services, "events" | "clock" | "random" | "definitions">;

/** Asks a run to end, or takes a request out of those that wait. */
export async function cancelRun(desk: Omit<Desk, "random">, runId: string, reason?: string): Promise<CancelAnswer> {
  const { events, clock } = desk;
  const run = await events.get("run", runId);
  if (run === undefined) return await cancelRequest(desk, runId, reason);
  const identity: RunIdentity = { id: run.id, kind: run.kind, name: presentName(desk, run), partition: run.partition };
  // An older deployment may be at work on it under the name that the asset had.
  const wish = { identity, now: clock.now(), reason };
  return run.name === identity.name
    ? await events.transact(cancelRefs(identity), (state) => requestCancel(state, wish))
    : await events.transact(renamedCancelRefs(identity, run.name), (state) => requestCancel(state, wish));
}

/** A request that waits has no run yet; that it waits is in the history. */
async function cancelRequest(
  desk: Omit<Desk, "random">,
  runId: string,
  reason: string | undefined,
): Promise<CancelAnswer> {
  const { events, clock } = desk;
  const [event] = (await events.history({ run: runId, types: ["run.coalesced"], limit: 1 })).items;
  if (event?.type !== "run.coalesced" || event.asset === undefined) return { kind: "unknown" };
  const name = presentName(desk, { kind: "asset", name: event.asset });
  const { partition = "" } = event;
  const identity: RunIdentity = { id: runId, kind: "asset", name, partition };
  const wish = { identity, runKey: event.runKey, now: clock.now(), reason };
  const outcome = await events.transact(cancelRefs(identity), (state) => cancelWaiting(state, wish));
  if (outcome.kind === "canceled") return outcome;
  // It may have begun a moment ago.
  const begun = (await events.get("run", runId)) !== undefined;
  return begun ? await cancelRun(desk, runId, reason) : { kind: "folded", asset: name, partition };
}

export async function pauseAsset({ events, clock, random }: Desk, asset: string, reason?: string): Promise<boolean> {
  const id = random.id();
  return await events.transact(pauseRefs(asset), (state) => pause(state, { asset, reason, now: clock.now(), id }));
}

export async function resumeAsset({ events, clock, random }: Desk, asset: string): Promise<boolean> {
  const id = random.id();
  return await events.transact(pauseRefs(asset), (state) => resume(state, { asset, now: clock.now(), id }));
}

/** How many partitions are looked at in one go. */
const PAGE = 500;

/**
 * After a pause: the requests that wait in one page of the asset's partitions go out, and the next page is due. They stay where
 * they are until their runs begin, so that dying at any moment loses none, and repeats some under the same run keys.
 */
export async function sendWaiting(services: Services, { resume: left }: DueDocument): Promise<void> {
  if (left === undefined) return;
  const { events, bus, clock } = services;
  const refs = pauseRefs(left.asset);
  const name = presentName(services, { kind: "asset", name: left.asset });
  const asset = services.definitions().assets.get(name);
  const pause = await events.get("pause", name);
  // Still due, for whoever knows where the partitions are.
  if (pause?.movedTo !== undefined) return;
  // Still due, for when they are there.
  if (asset !== undefined && !(await adoptFor(services, asset)))
    return await events.transact({ due: refs.due }, (state) => notYet(state, { left, now: clock.now() }));
  const paused = pause !== undefined;
  const page = paused
    ? { items: [] }
    : await events.partitions({ name, limit: PAGE, ...(left.after === undefined ? {} : { after: left.after }) });
  let some = false;
  for (const { pending, holder } of page.items) {
    if (pending === undefined || holder !== undefined) continue; // whatever frees the partition sends them
    const waiting = [...pending.special, ...(pending.plain === undefined ? [] : [pending.plain])];
    some = true;
    for (const request of waiting) await bus.publish(topicOf(name), { data: bodyOf(request) });
  }
  const next = "next" in page ? page.next : undefined;
  const now = clock.now();
  await events.transact({ due: refs.due }, (state) => sentPage(state, { left, next, some, now }));
}
