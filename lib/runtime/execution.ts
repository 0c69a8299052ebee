/**
 * One execution of a claimed run: it renews the lease while the work goes on, and turns whatever way the work is left
 * into the run's end, sleep or retry.
 */
import { claim, renew } from "../core/claim.ts";
import { announced, end, park } from "../core/ending.ts";
import type { EndRequest } from "../core/ending.ts";
import { lockRef, runRefs, topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { Finish, PartitionDocument, RunDocument } from "../core/documents.ts";
import type { RetryPolicy } from "../core/definition.ts";
import { DefinitionError, PermanentError, RetryableError, messageOf } from "../core/errors.ts";
import type { RunRequest } from "../core/request.ts";
import { retryDelay } from "../core/retry.ts";
import { toPresentName } from "../core/previous-keys.ts";
import { wakeBackfill } from "./backfill.ts";
import { passOn } from "./pass-on.ts";
import { finishCommit, finishVersions } from "./finish.ts";
import { ClaimLost, EndRun, Park, Stopping } from "./interruptions.ts";
import type { Services } from "./services.ts";

/** What the code that does the work gets to know of its claim. */
export interface Execution {
  readonly services: Services;
  readonly identity: RunIdentity;
  readonly request: RunRequest;
  readonly run: RunDocument;
  /** The partition as it was when it was claimed. */
  readonly partition: PartitionDocument;
  readonly token: number;
  /** Aborted when the claim is lost, the process stops or the execution has had its time. */
  readonly signal: AbortSignal;
}

/** How the work ended: as said here, or already written down with a commit. */
export type Ending =
  | { readonly kind: "ended"; readonly run: RunDocument }
  | ({ readonly kind: "end" } & Omit<EndRequest, "identity" | "now">);

/**
 * Claims the run and does the work; resolves when the message that asked for it may be acknowledged. Rejects only when
 * the event store is out of reach, so that the transport delivers the message again.
 */
export async function execute(
  services: Services,
  identity: RunIdentity,
  request: RunRequest | undefined,
  retry: RetryPolicy,
  work: (execution: Execution) => Promise<Ending>,
): Promise<void> {
  const { events, clock, settings } = services;
  const outcome = await events.transact(runRefs(identity), (state) =>
    claim(state, {
      identity,
      ...(request === undefined ? {} : { request }),
      now: clock.now(),
      leaseMs: settings.leaseMs,
      isExecuting: (runId) => services.holdLeases() && services.executing.has(runId),
    }),
  );
  if (outcome.kind === "ended") return announce(services, identity, outcome.run);
  if (outcome.kind === "moved") return passOn(services, identity, outcome.to, outcome.request);
  if (outcome.kind !== "claimed") return;

  const { run, partition, token } = outcome;
  services.executing.add(identity.id);
  const lost = new AbortController();
  const done = new AbortController();
  const late = new AbortController();
  const signal = AbortSignal.any([lost.signal, late.signal, services.stopping]);
  // Whoever carries the request, such as a function with a time limit, would otherwise cut it off in the middle.
  if (Number.isFinite(settings.deadlineMs))
    clock.sleep(settings.deadlineMs, done.signal).then(
      () => late.abort(new Stopping("deadline")),
      () => undefined,
    );
  const renewal = keepRenewing(services, identity, token, lost, done.signal);
  try {
    const ending = await work({ services, identity, request: run.request, run, partition, token, signal }).catch(
      (error: unknown) => endingOf(error, services, run, retry, signal),
    );
    if (ending.kind === "ended") await announce(services, identity, ending.run);
    else if (ending.kind === "end") await finish(services, identity, token, ending);
    else if (ending.kind === "park") await sleepUntil(services, identity, token, ending);
  } finally {
    done.abort("done");
    await renewal;
    services.executing.delete(identity.id);
  }
}

type Parked = {
  readonly kind: "park";
  readonly wakeAt: number;
  readonly code: string;
  readonly reason: string;
  readonly failed: boolean;
};
type Left = { readonly kind: "lost" };

function endingOf(
  error: unknown,
  services: Services,
  run: RunDocument,
  retry: RetryPolicy,
  signal: AbortSignal,
): Ending | Parked | Left {
  const now = services.clock.now();
  if (error instanceof ClaimLost || signal.reason instanceof ClaimLost) return { kind: "lost" };
  if (error instanceof Park)
    return { kind: "park", wakeAt: error.wakeAt, code: error.code, reason: error.message, failed: false };
  const stopping: unknown = error instanceof Stopping ? error : signal.reason;
  if (stopping instanceof Stopping)
    return { kind: "park", wakeAt: now, code: stopping.code, reason: stopping.message, failed: false };
  if (error instanceof EndRun) {
    const superseded = error.superseded === undefined ? {} : { superseded: error.superseded };
    return { kind: "end", status: "skipped", code: error.code, reason: error.message, ...superseded };
  }
  const reason = messageOf(error);
  const stack = error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {};
  if (error instanceof PermanentError) return { kind: "end", status: "failed", code: error.code, reason, ...stack };
  if (error instanceof DefinitionError)
    return { kind: "end", status: "failed", code: "bad-definition", reason, ...stack };
  const failures = run.failures + 1;
  const pause = retryDelay(retry, failures, services.random.next());
  if (pause === undefined) {
    const times = failures === 1 ? "once" : `${failures} times`;
    return { kind: "end", status: "failed", code: "retries-exhausted", reason: `${reason} (tried ${times})`, ...stack };
  }
  const asked = error instanceof RetryableError ? (error.afterMs ?? 0) : 0;
  return { kind: "park", wakeAt: now + Math.max(pause, asked), code: "retry", reason, failed: true };
}

async function finish(
  services: Services,
  identity: RunIdentity,
  token: number,
  ending: Omit<EndRequest, "identity" | "now">,
): Promise<void> {
  const now = services.clock.now();
  const run = await services.events.transact(runRefs(identity), (state) =>
    end(state, { ...ending, identity, token, now }),
  );
  if (run !== undefined) await announce(services, identity, run);
}

async function sleepUntil(services: Services, identity: RunIdentity, token: number, parked: Parked): Promise<void> {
  const { clock, events, bus, settings } = services;
  const { kind, ...rest } = parked;
  const slept = await events.transact(runRefs(identity), (state) =>
    park(state, { ...rest, identity, token, now: clock.now(), leaseMs: settings.leaseMs }),
  );
  // Dying here loses only the alarm: the run's deadline is in the store, and the sweep wakes it.
  if (slept)
    await bus.schedule(
      `wake-${identity.id}-${token}`,
      topicOfRun(identity),
      { data: { wake: identity.id } },
      parked.wakeAt,
    );
}

/**
 * Publishes what the ended run has in its outbox and puts its staging away, then marks both as done. Dying in between
 * costs a second announcement, which its receivers recognise by the run key within. Leftovers that cannot be put away now
 * stay due; they are no reason to announce again.
 */
export async function announce(services: Services, identity: RunIdentity, run: RunDocument): Promise<void> {
  const { events, bus, clock } = services;
  await wakeBackfill(services, identity, run);
  const partition = identity.kind === "asset" ? await events.get("partition", lockRef(identity).id) : undefined;
  const finish = partition?.finish?.runId === identity.id ? partition.finish : undefined;
  if (run.outbox.length === 0 && finish === undefined) return;
  for (const message of run.outbox) {
    const { topic, data } = toPresentName(services.definitions().assets, message);
    await bus.publish(topic, { data });
  }
  const finished =
    finish === undefined ||
    partition === undefined ||
    (await finishAll(services, identity, run, partition, finish).catch(() => false));
  const now = clock.now();
  await events.transact(runRefs(identity), (state) => announced(state, { identity, finished, now }));
}

/** Whether nothing is left to do after the commit. */
async function finishAll(
  services: Services,
  identity: RunIdentity,
  run: RunDocument,
  partition: PartitionDocument,
  finish: Finish,
): Promise<boolean> {
  await finishCommit(services, finish);
  const { request } = run;
  const execution = { services, identity, request, run, partition, token: partition.token, signal: services.stopping };
  return finishVersions(execution, finish);
}

async function keepRenewing(
  services: Services,
  identity: RunIdentity,
  token: number,
  lost: AbortController,
  done: AbortSignal,
): Promise<void> {
  const { clock, events, settings } = services;
  const refs = { partition: lockRef(identity) };
  while (!done.aborted) {
    try {
      await clock.sleep(settings.renewMs, done);
    } catch {
      return; // the work is over
    }
    try {
      const held = await events.transact(refs, (state) =>
        renew(state, { identity, token, now: clock.now(), leaseMs: settings.leaseMs }),
      );
      if (!held && !done.aborted) lost.abort(new ClaimLost(identity.id));
    } catch {
      // The store is out of reach: the next round tries again, and the token still decides who commits.
    }
  }
}
