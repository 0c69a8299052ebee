/**
 * One execution of a claimed run: it renews the lease while the work goes on, and turns whatever way the work is left
 * into the run's end, sleep or retry.
 */
import { claim, renew } from "../core/claim.ts";
import type { ClaimState } from "../core/claim.ts";
import { announced, end, park } from "../core/ending.ts";
import type { EndRequest, ParkRequest } from "../core/ending.ts";
import { claimRefs, lockRef, runRefs, topicOfRun } from "../core/run-identity.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { Finish, PartitionDocument, RunDocument } from "../core/documents.ts";
import type { RetryPolicy } from "../core/definition.ts";
import { durationMs } from "../core/duration.ts";
import type { Duration } from "../core/duration.ts";
import { DefinitionError, PermanentError, messageOf } from "../core/errors.ts";
import type { RunRequest } from "../core/request.ts";
import { POOL_FULL } from "../core/pool.ts";
import { QUOTA, retryAfter } from "../core/retry.ts";
import { toPresentName } from "../core/previous-keys.ts";
import { wakeBackfill } from "./backfill.ts";
import { passOn } from "./pass-on.ts";
import { finishCommit, finishVersions } from "./finish.ts";
import { Canceled, ClaimLost, EndRun, OutOfTime, Park, Refused, Stopping, causeOf } from "./interruptions.ts";
import { seatIn } from "./pool-seat.ts";
import type { Seat } from "./pool-seat.ts";
import type { Services } from "./services.ts";
import { windUp } from "./wind-up.ts";
import type { Undo } from "./wind-up.ts";

/** What the code that does the work gets to know of its claim. */
export interface Execution {
  readonly services: Services;
  readonly identity: RunIdentity;
  readonly request: RunRequest;
  readonly run: RunDocument;
  /** The partition as it was when it was claimed. */
  readonly partition: PartitionDocument;
  readonly token: number;
  /** Aborted when the claim is lost, the run is to be canceled, the process stops or the execution has had its time. */
  readonly signal: AbortSignal;
  /** The ids of warehouse jobs that are under way, also of an earlier attempt, as far as they are known. */
  readonly jobs: Set<string>;
  /** To be called when something is done that no later attempt has to do again. */
  readonly progressed?: () => void;
}

/** How the work ended: as said here, or already written down with a commit. */
export type Ending =
  | { readonly kind: "ended"; readonly run: RunDocument }
  | ({ readonly kind: "end" } & Omit<EndRequest, "identity" | "now">);

/** What a definition says of how its runs behave. */
export interface Policies {
  readonly retry?: RetryPolicy;
  /** The pool that its runs take a slot of before they begin. */
  readonly pool?: string;
  /** How old the message may be that asks for a run. */
  readonly maxEventAge?: Duration;
}

/** What else there is to know of one execution. */
export interface Surroundings {
  /** When the message was sent; absent for what does not come by message. */
  readonly sentAt?: number;
  /** Puts away what a canceled run has left; the result is the run, should its publish have happened. */
  readonly undo?: Undo;
}

/** So many jobs are remembered with a lease. */
const JOBS_KEPT = 20;

/**
 * Claims the run and does the work; resolves when the message that asked for it may be acknowledged. Rejects with `Refused`
 * for a request that a pause does not let through, otherwise only when the event store is out of reach, so that the transport
 * delivers the message again.
 */
export async function execute(
  services: Services,
  identity: RunIdentity,
  request: RunRequest | undefined,
  { retry = {}, pool, maxEventAge }: Policies,
  work: (execution: Execution) => Promise<Ending>,
  { sentAt, undo }: Surroundings = {},
): Promise<void> {
  const { events, clock, settings } = services;
  const decide = (state: ClaimState): ReturnType<typeof claim> =>
    claim(state, {
      identity,
      ...(request === undefined ? {} : { request }),
      now: clock.now(),
      leaseMs: settings.leaseMs,
      isExecuting: (runId) => services.holdLeases() && services.executing.has(runId),
      sentAt,
      maxAgeMs: maxEventAge === undefined ? undefined : durationMs(maxEventAge),
    });
  // What has begun is not paused.
  const outcome =
    identity.kind === "asset" && request !== undefined
      ? await events.transact(claimRefs(identity), decide)
      : await events.transact(runRefs(identity), decide);
  if (outcome.kind === "paused") throw new Refused(outcome.reason);
  if (outcome.kind === "duplicate" && outcome.cancel === true) services.canceling.get(identity.id)?.();
  if (outcome.kind === "ended") return await announce(services, identity, outcome.run);
  if (outcome.kind === "moved") return await passOn(services, identity, outcome.to, outcome.request);
  if (outcome.kind !== "claimed") return;

  const { run, partition, token } = outcome;
  services.executing.add(identity.id);
  const done = new AbortController();
  // Whatever cuts the execution off ends the work, and also what puts away after a run that was canceled; that it is canceled ends
  // the work alone.
  const working = new AbortController();
  const windingUp = new AbortController();
  const { signal } = working;
  const cut = (reason: unknown): void => {
    windingUp.abort(reason);
    working.abort(reason);
  };
  const stop = (): void => cut(services.stopping.reason);
  if (services.stopping.aborted) stop();
  else services.stopping.addEventListener("abort", stop, { once: true });
  let canceled = false;
  const cancel = (): void => {
    canceled = true;
    working.abort(new Canceled(identity.id));
  };
  services.canceling.set(identity.id, cancel);
  const jobs = new Set(partition.holder?.jobs ?? []);
  let kept = false;
  const progressed = (): void => void (kept = true);
  const claimed = { services, identity, request: run.request, run, partition, token, signal, jobs, progressed };
  // Whoever carries the request, such as a function with a time limit, would otherwise cut it off in the middle.
  if (Number.isFinite(settings.deadlineMs))
    clock.sleep(settings.deadlineMs, done.signal).then(
      () => cut(kept ? new Stopping("deadline") : new OutOfTime(settings.deadlineMs)),
      () => undefined,
    );
  const seat = pool === undefined ? undefined : seatIn(services, pool, { run, token });
  const renewal = keepRenewing(services, { identity, token, cut, cancel, jobs, seat }, done.signal);
  const begin = async (): Promise<Ending> => {
    if (run.cancel !== undefined) throw new Canceled(identity.id);
    await seat?.take();
    return await work(claimed);
  };
  const isCanceled = (error: unknown): boolean => error instanceof Canceled || canceled;
  try {
    const ending = await begin()
      .catch((error: unknown) => {
        if (!isCanceled(error)) throw error;
        cancel();
        return windUp({ ...claimed, signal: windingUp.signal }, undo);
      })
      .catch((error: unknown) => endingOf(error, services, run, retry, windingUp.signal));
    if (ending.kind === "ended") await announce(services, identity, ending.run);
    else if (ending.kind === "end") await finish(services, identity, token, ending);
    else if (ending.kind === "park") {
      const left = { jobs: [...jobs].slice(-JOBS_KEPT), canceling: canceled };
      await sleepUntil(services, identity, token, { ...ending, ...left }, seat);
    }
    const goesOn = ending.kind === "park" && GOES_ON.includes(ending.code);
    // A slot that cannot be given back now expires.
    await seat?.leave(goesOn ? ending.wakeAt + settings.leaseMs : undefined).catch(() => undefined);
  } finally {
    done.abort("done");
    await renewal;
    services.stopping.removeEventListener("abort", stop);
    services.executing.delete(identity.id);
    services.canceling.delete(identity.id);
  }
}

/** Why a run sleeps whose work is not over: it keeps its slot. */
const GOES_ON: readonly string[] = ["waiting-for-job", "publish-unsettled", "stopped", "deadline"];

type Parked = {
  readonly kind: "park";
  readonly wakeAt: number;
  readonly code: string;
  readonly reason: string;
  readonly failed: boolean;
  readonly errorClass?: string;
};
type Left = { readonly kind: "lost" };

function endingOf(
  thrown: unknown,
  services: Services,
  run: RunDocument,
  retry: RetryPolicy,
  signal: AbortSignal,
): Ending | Parked | Left {
  const now = services.clock.now();
  const error = causeOf(thrown, signal);
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
  const { errorClass, delayMs, counts } = retryAfter(retry, run, error, services.random.next());
  if (delayMs === undefined) {
    const failures = run.failures + 1;
    const times = failures === 1 ? "once" : `${failures} times`;
    return { kind: "end", status: "failed", code: "retries-exhausted", reason: `${reason} (tried ${times})`, ...stack };
  }
  const wakeAt = now + delayMs;
  if (!counts) return { kind: "park", wakeAt, code: QUOTA, reason, failed: false };
  const own = errorClass === undefined ? {} : { errorClass };
  return { kind: "park", wakeAt, code: "retry", reason, failed: true, ...own };
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

async function sleepUntil(
  services: Services,
  identity: RunIdentity,
  token: number,
  parked: Parked & Pick<ParkRequest, "jobs" | "canceling">,
  seat: Seat | undefined,
): Promise<void> {
  const { clock, events, bus, settings } = services;
  const { kind, ...rest } = parked;
  const writes = parked.code === POOL_FULL && seat !== undefined ? { writes: seat.ticket } : {};
  const slept = await events.transact(runRefs(identity), (state) =>
    park(state, { ...rest, ...writes, identity, token, now: clock.now(), leaseMs: settings.leaseMs }),
  );
  // Dying here loses only the alarm: the run's deadline is in the store, and the sweep wakes it.
  if (slept === false) return;
  const wakeAt = slept === "canceled" ? clock.now() : parked.wakeAt;
  await bus.schedule(`wake-${identity.id}-${token}`, topicOfRun(identity), { data: { wake: identity.id } }, wakeAt);
}

/**
 * Publishes what the ended run has in its outbox and puts its staging away, then marks both as done. Dying in between
 * costs a second announcement, which its receivers recognise by the run key within. Leftovers that cannot be put away now
 * stay due; they are no reason to announce again. What moves to a new name meanwhile is put away there.
 */
export async function announce(services: Services, identity: RunIdentity, run: RunDocument): Promise<void> {
  const { events, bus } = services;
  await wakeBackfill(services, identity, run);
  // Only a commit leaves something to put away.
  const committed = identity.kind === "asset" && run.status === "succeeded";
  const partition = committed ? await events.get("partition", lockRef(identity).id) : undefined;
  const left = partition?.finish?.runId === identity.id || partition?.movedTo !== undefined;
  if (run.outbox.length === 0 && !left) return;
  for (const message of run.outbox) {
    const { topic, data } = toPresentName(services.definitions().assets, message);
    await bus.publish(topic, { data });
  }
  let name = await finishAt(services, identity, run, partition);
  while (name !== undefined) {
    const moved = { ...identity, name };
    name = await finishAt(services, moved, run, await events.get("partition", lockRef(moved).id));
  }
}

/** The asset's new name, where the partition has moved. */
async function finishAt(
  services: Services,
  identity: RunIdentity,
  run: RunDocument,
  partition: PartitionDocument | undefined,
): Promise<string | undefined> {
  const { events, clock } = services;
  const finished =
    partition?.finish?.runId !== identity.id ||
    (await finishAll(services, identity, run, partition, partition.finish).catch(() => false));
  const now = clock.now();
  return await events.transact(runRefs(identity), (state) => announced(state, { identity, finished, now }));
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
  const { token } = partition;
  const jobs = new Set<string>();
  const execution = { services, identity, request, run, partition, token, signal: services.stopping, jobs };
  return await finishVersions(execution, finish);
}

interface Held {
  readonly identity: RunIdentity;
  readonly token: number;
  /** Called when the partition, or the slot of the pool, is another's. */
  cut(reason: Error): void;
  /** Called when the run is to be canceled. */
  cancel(): void;
  readonly jobs: ReadonlySet<string>;
  readonly seat: Seat | undefined;
}

async function keepRenewing(
  services: Services,
  { identity, token, cut, cancel, jobs, seat }: Held,
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
        renew(state, {
          identity,
          token,
          now: clock.now(),
          leaseMs: settings.leaseMs,
          jobs: [...jobs].slice(-JOBS_KEPT),
        }),
      );
      if (held === "canceled") cancel();
      if (!held && !done.aborted) cut(new ClaimLost(identity.id));
      const seated = seat === undefined || (await seat.renew());
      if (!seated && !done.aborted) cut(new Stopping("slot"));
    } catch {
      // The store is out of reach: the next round tries again, and the token still decides who commits.
    }
  }
}
