/**
 * The runner: from a manifest to a running project. It reads the state and what is there, has the plan made, shows it, and, holding
 * the state object, carries it out. Whatever ends it early, the next deployment begins with what is there then.
 */
import { PermanentError } from "../lib/core/errors.ts";
import { callTool, inParallel } from "./deploy/calling.ts";
import type { Caller } from "./deploy/calling.ts";
import { attemptStep } from "./deploy/perform.ts";
import { runSteps } from "./deploy/run-steps.ts";
import type { Progress, StepsResult } from "./deploy/run-steps.ts";
import { LOCK_MS, stateObject } from "./deploy/state-object.ts";
import type { Deployer, HeldState, ReadState, StateObject } from "./deploy/state-object.ts";
import type { Observation } from "./plan/observe.ts";
import { takeLock, withRecords } from "./plan/state.ts";
import type { Lock, State, StateCalls } from "./plan/state.ts";
import type { Limit, Plan, ResourceKind } from "./plan/step.ts";

/** What is planned, as pure functions: see infra/plan. */
export interface Planner {
  readonly stateCalls: StateCalls;
  /** What a first deployment begins with. */
  readonly begin: State;
  /** What has to be read before a plan can be made. */
  observations(state: State | undefined): readonly Observation[];
  /**
   * `outputs` has what each observation printed, by its id; `null` where nothing is there, or the API is off. May throw
   * `DefinitionError` or `PermanentError`.
   */
  plan(state: State | undefined, outputs: ReadonlyMap<string, string | null>): Plan;
  limitOf(kind: ResourceKind): Limit;
}

export type DeployEvent =
  | { readonly type: "reading" }
  /** Another deployer has the lock, and this one waits for it. */
  | { readonly type: "locked"; readonly lock: Lock; readonly message: string }
  /** Somebody has deployed between the plan and its beginning. */
  | { readonly type: "overtaken" }
  | { readonly type: "stolen"; readonly from: Lock }
  | { readonly type: "planned"; readonly plan: Plan }
  | { readonly type: "begun"; readonly plan: Plan }
  | Progress;

export interface DeployOptions {
  readonly planner: Planner;
  readonly caller: Caller;
  readonly deployer: Deployer;
  /** Programs at the same time, while steps are carried out. */
  readonly programs: number;
  /** While another deployer has the lock: wait for it, or end at once. */
  readonly wait: boolean;
  /** Whether the process that has taken this lock ran on this machine and is gone. */
  isDead(lock: Lock): Promise<boolean>;
  /** Plan only: no lock is taken, and nothing is written. */
  readonly dryRun: boolean;
  /** Asked with every plan that has steps, once for each that differs. */
  confirm(plan: Plan): Promise<boolean>;
  tell(event: DeployEvent): void;
  readonly signal: AbortSignal;
}

export type DeployResult =
  | {
      readonly outcome: "planned" | "unchanged" | "declined";
      readonly plan: Plan;
      /** Whether nothing was deployed before. */
      readonly first: boolean;
    }
  | {
      readonly outcome: "done" | "failed" | "stopped";
      readonly plan: Plan;
      readonly steps: StepsResult;
      /** Why the state could not be written at the end. The next deployment repairs that. */
      readonly unwritten?: string;
    };

const LOOK_AGAIN_MS = 10_000;

/** Rejects with `PermanentError` for what no step can be blamed for: another deployer, no tool, nobody signed in. */
export async function deploy(options: DeployOptions): Promise<DeployResult> {
  const { planner, caller, dryRun, confirm, tell, signal } = options;
  const object = stateObject(caller, planner.stateCalls);
  let agreed: string | undefined;
  for (;;) {
    tell({ type: "reading" });
    const read = await readFree(options, object);
    const plan = await planned(options, read);
    tell({ type: "planned", plan });
    const first = read.state === undefined;
    if (dryRun) return { outcome: "planned", plan, first };
    if (plan.steps.length === 0) {
      if (await recorded(object, read, planner.begin, plan)) return { outcome: "unchanged", plan, first };
      tell({ type: "overtaken" });
      continue;
    }
    const wish = wishOf(plan);
    if (agreed !== wish && !(await confirm(plan))) return { outcome: "declined", plan, first };
    agreed = wish;
    signal.throwIfAborted();
    const taken = await object.take(read, planner.begin, read.as);
    if (taken.kind !== "taken") {
      tell({ type: "overtaken" });
      continue;
    }
    if (taken.stolenFrom !== undefined) tell({ type: "stolen", from: taken.stolenFrom });
    tell({ type: "begun", plan });
    return await carryOut(options, plan, taken.held);
  }
}

/** The state once nobody holds it, and whom to deploy as: a deployer that has died on this machine is stood in for. */
async function readFree(options: DeployOptions, object: StateObject): Promise<ReadState & { readonly as: Deployer }> {
  const { caller, deployer, wait, dryRun, isDead, tell, signal } = options;
  for (;;) {
    signal.throwIfAborted();
    const read = await object.read();
    if (read.state === undefined || dryRun) return { ...read, as: deployer };
    const answer = takeLock(read.state, { ...deployer, now: caller.clock.now(), ttlMs: LOCK_MS });
    if (answer.kind === "taken") return { ...read, as: deployer };
    if (await isDead(answer.lock)) return { ...read, as: { ...deployer, token: answer.lock.token } };
    if (!wait) throw new PermanentError(`${answer.message}; --wait waits for that`, { code: "locked" });
    tell({ type: "locked", lock: answer.lock, message: answer.message });
    await caller.clock.sleep(LOOK_AGAIN_MS, signal);
  }
}

async function planned({ planner, caller, signal }: DeployOptions, { state }: ReadState): Promise<Plan> {
  const outputs = await inParallel(planner.observations(state), async ({ id, call }) => {
    const { fault, stdout } = await callTool(caller, call, ["missing", "not-visible", "disabled"], signal);
    return [id, fault === undefined ? stdout : null] as const;
  });
  return planner.plan(state, new Map(outputs));
}

/** Writes down what is there as wanted and was not known. `false` where somebody was quicker. */
async function recorded(object: StateObject, read: ReadState, begin: State, plan: Plan): Promise<boolean> {
  if (Object.keys(plan.records).length === 0) return true;
  return await object.write(withRecords(read.state ?? begin, plan.records), read);
}

/** Two plans with the same steps are the same wish. */
function wishOf({ steps }: Plan): string {
  return JSON.stringify(steps.map(({ id, action, reason }) => [id, action, reason]));
}

async function carryOut(options: DeployOptions, plan: Plan, held: HeldState): Promise<DeployResult> {
  const { planner, caller, programs, tell, signal } = options;
  for (const [name, value] of plan.values) caller.values.set(name, value);
  held.record(plan.records, numbersIn(plan.values));
  const stop = AbortSignal.any([signal, held.lost]);
  let steps: StepsResult;
  let unwritten: string | undefined;
  try {
    steps = await runSteps({
      steps: plan.steps,
      limitOf: planner.limitOf,
      programs,
      attempt: (step, from) => attemptStep(caller, step, from),
      signal: stop,
      clock: caller.clock,
      random: caller.random,
      tell(progress) {
        if (progress.type === "done") held.record(progress.step.records);
        tell(progress);
      },
    });
  } finally {
    unwritten = await held.release();
  }
  const outcome = steps.failed.length > 0 ? "failed" : steps.left.length > 0 ? "stopped" : "done";
  return { outcome, plan, steps, ...(unwritten === undefined ? {} : { unwritten }) };
}

function numbersIn(values: ReadonlyMap<string, string>): Record<string, string> {
  const numbers = [...values].filter(([name]) => name.startsWith("number:"));
  return Object.fromEntries(numbers.map(([name, value]) => [name.slice("number:".length), value]));
}
