/**
 * Carries steps out: those that need nothing more side by side, within the quotas; what fails in passing again after a pause; and
 * nothing that needs a step which has failed. What a step does is handed in, as are time and chance.
 */
import { backoff } from "../../lib/core/backoff.ts";
import type { Clock, Random } from "../../lib/ports/clock.ts";
import type { Limit, ResourceKind, Step } from "../plan/step.ts";
import { RETRY_RULES } from "./faults.ts";
import type { Fault } from "./faults.ts";
import { quotaOf } from "./quota.ts";
import type { Quota } from "./quota.ts";

/** How a try ended; after a fault, the next try begins with the call `at` which it was met. */
export type Tried =
  | { readonly kind: "done" }
  | {
      readonly kind: "fault";
      readonly at: number;
      readonly fault: Fault;
      /** What a person would run in its place. */
      readonly command: string;
    };

export interface FailedStep {
  readonly step: Step;
  readonly fault: Fault;
  readonly command: string;
  readonly tries: number;
}

export type Progress =
  | { readonly type: "started"; readonly step: Step; readonly tries: number }
  | { readonly type: "waiting"; readonly step: Step; readonly fault: Fault; readonly ms: number }
  | { readonly type: "done"; readonly step: Step; readonly ms: number }
  | { readonly type: "failed"; readonly step: Step; readonly fault: Fault }
  | { readonly type: "blocked"; readonly step: Step; readonly by: string };

export interface StepsOptions {
  /** What they need stands before them, or is done already. */
  readonly steps: readonly Step[];
  limitOf(kind: ResourceKind): Limit;
  /** Programs at the same time. */
  readonly programs: number;
  /** One try, from the call with this index on. What it rejects with ends everything. */
  attempt(step: Step, from: number): Promise<Tried>;
  /** Once aborted, no step is begun any more; those that are under way are waited for. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  tell(progress: Progress): void;
}

export interface StepsResult {
  readonly done: readonly Step[];
  readonly failed: readonly FailedStep[];
  /** They need one that has failed. */
  readonly blocked: readonly Step[];
  /** Not begun, not finished or not tried again, because of a stop. */
  readonly left: readonly Step[];
}

interface Waiting {
  readonly step: Step;
  readonly from: number;
  /** How often each kind of fault was met. */
  readonly met: ReadonlyMap<string, number>;
  readonly tries: number;
  readonly notBefore: number;
  readonly firstAt: number | undefined;
}

/** Ends when nothing is under way and nothing more can be done. Rejects with the first rejection of `attempt`, after that as well. */
export async function runSteps(options: StepsOptions): Promise<StepsResult> {
  const { steps, limitOf, programs, attempt, signal, clock, random, tell } = options;
  const known = new Set(steps.map(({ id }) => id));
  const done = new Set<string>();
  const failed = new Map<string, FailedStep>();
  const blocked = new Map<string, Step>();
  const waiting = new Map<string, Waiting>(
    steps.map((step) => [
      step.id,
      { step, from: 0, met: new Map(), tries: 0, notBefore: -Infinity, firstAt: undefined },
    ]),
  );
  const underWay = new Map<string, Promise<void>>();
  const machine = quotaOf({ parallel: programs, perMinute: Infinity });
  const quotas = new Map<ResourceKind, Quota>();
  const quotaFor = (kind: ResourceKind): Quota => {
    const quota = quotas.get(kind) ?? quotaOf(limitOf(kind));
    quotas.set(kind, quota);
    return quota;
  };
  let broken: { readonly error: unknown } | undefined;
  const isStopped = (): boolean => signal.aborted || broken !== undefined;

  const start = (item: Waiting): void => {
    const { step } = item;
    const now = clock.now();
    waiting.delete(step.id);
    machine.begin(now);
    quotaFor(step.kind).begin(now);
    tell({ type: "started", step, tries: item.tries + 1 });
    const end = (): void => {
      machine.end();
      quotaFor(step.kind).end();
      underWay.delete(step.id);
    };
    const work = attempt(step, item.from).then(
      (tried) => {
        end();
        settle({ ...item, tries: item.tries + 1, firstAt: item.firstAt ?? now }, tried);
      },
      (error: unknown) => {
        end();
        broken ??= { error };
        waiting.set(step.id, item);
      },
    );
    underWay.set(step.id, work);
  };

  const settle = (item: Waiting, tried: Tried): void => {
    const { step, tries } = item;
    const now = clock.now();
    if (tried.kind === "done") {
      done.add(step.id);
      return tell({ type: "done", step, ms: now - (item.firstAt ?? now) });
    }
    const { fault, at, command } = tried;
    // Ctrl-C reaches a tool that is just beginning as well.
    if (signal.aborted && fault.kind === "ended") return void waiting.set(step.id, item);
    const rule = RETRY_RULES[fault.kind];
    // A call that was got past has used up its own faults.
    const times = ((at === item.from ? item.met.get(fault.kind) : undefined) ?? 0) + 1;
    if (rule === undefined || times >= rule.attempts) {
      failed.set(step.id, { step, fault, command, tries });
      return tell({ type: "failed", step, fault });
    }
    const ms = backoff({ attempt: times, minMs: rule.minMs, maxMs: rule.maxMs }, random.next());
    const met = new Map(at === item.from ? item.met : []).set(fault.kind, times);
    waiting.set(step.id, { ...item, from: at, met, notBefore: now + ms });
    tell({ type: "waiting", step, fault, ms });
  };

  /** Starts what may start; the result is when the next one may. */
  const startReady = (): number => {
    let next = Infinity;
    const now = clock.now();
    for (const item of waiting.values()) {
      const { step } = item;
      const stopper = step.needs.find((id) => failed.has(id) || blocked.has(id));
      if (stopper !== undefined) {
        waiting.delete(step.id);
        blocked.set(step.id, step);
        tell({ type: "blocked", step, by: stopper });
        continue;
      }
      if (step.needs.some((id) => known.has(id) && !done.has(id))) continue;
      const at = Math.max(item.notBefore, quotaFor(step.kind).opensAt(now), machine.opensAt(now));
      if (at <= now) start(item);
      else next = Math.min(next, at);
    }
    return next;
  };

  while (!isStopped()) {
    const next = startReady();
    if (underWay.size === 0 && next === Infinity) break;
    await untilNext(clock, signal, next, underWay.values());
  }
  while (underWay.size > 0) await Promise.race(underWay.values());
  if (broken !== undefined) throw broken.error;
  const byPlan = (has: (id: string) => boolean): Step[] => steps.filter(({ id }) => has(id));
  return {
    done: byPlan((id) => done.has(id)),
    failed: [...failed.values()],
    blocked: byPlan((id) => blocked.has(id)),
    left: byPlan((id) => waiting.has(id)),
  };
}

/** Until something ends, the time has come, or a stop is asked for. */
async function untilNext(
  clock: Clock,
  signal: AbortSignal,
  at: number,
  underWay: Iterable<Promise<void>>,
): Promise<void> {
  const enough = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true, signal: enough.signal });
    if (signal.aborted) resolve();
  });
  const awake = at === Infinity ? [] : [clock.sleep(at - clock.now(), enough.signal).catch(() => undefined)];
  try {
    await Promise.race([stopped, ...awake, ...underWay]);
  } finally {
    enough.abort();
  }
}
