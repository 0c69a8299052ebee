/**
 * The real runtime in a world that does its worst. Two instances run it over ports in memory. Every request to a port waits
 * until a step lets it happen; time passes, instances die and messages come when a step says so. A step is a number, so that a
 * list of numbers is all that is needed to see the same again.
 */
import { put, ref } from "../../lib/core/documents.ts";
import { TICK_GRACE_MS } from "../../lib/core/schedule.ts";
import type { MemoryDocuments } from "../support/memory-documents.ts";
import { perform } from "./acts.ts";
import { canceledIn } from "./cancels.ts";
import { askAgain, resumeAll } from "./commands.ts";
import { instancesIn, isReady } from "./instances.ts";
import { outside } from "./outside.ts";
import { SENSOR } from "./projects.ts";
import type { Project } from "./projects.ts";
import type { Sabotage } from "./sabotage.ts";
import type { Act, Schedule } from "./schedule.ts";
import { LEASE_LOST, runJob, stepsIn } from "./steps.ts";
import { ticksAtRest } from "./ticks.ts";
import { nameOf } from "./transport.ts";

export interface World {
  readonly project: Project;
  readonly documents: MemoryDocuments;
  /** How often each kind of fault has really happened. */
  readonly faults: ReadonlyMap<string, number>;
  readonly trace: readonly string[];
  /** The first thing that was found wrong. */
  violation(): string | undefined;
  act(act: Act): void;
  /** Whether nothing is under way, and nothing waits but for its time. */
  isIdle(): boolean;
  /** `undefined` when nothing was left to do. */
  step(choice: number): Promise<void> | undefined;
  /** Without further faults: lets everything happen until nothing is left to do, what reconciling finds included. */
  settle(): Promise<void>;
}

export interface WorldOptions {
  readonly project: Project;
  readonly schedule: Pick<Schedule, "sensor" | "skews" | "mood" | "sweepsLast">;
  readonly sabotage?: Sabotage | undefined;
  readonly traced?: boolean | undefined;
}

const DAY_MS = 86_400_000;
/** Longer than everything before: reconciling does not wait for news any more, and announces what has doubled its age. */
const LONG_AFTER_MS = 12 * 3_600_000;
/** Every tick before has had its time to become a run, by whichever clock. */
const LONG_FOR_A_TICK_MS = 2 * TICK_GRACE_MS;
const MAX_CALM_STEPS = 4_000;
/** Without these, and where nothing is sealed while a run of it sleeps, whoever stages something also puts it away. */
const MAY_LEAVE = [
  "crash, request not made",
  "crash, request made",
  "crash, request made later",
  "fail",
  "twice",
  LEASE_LOST,
];
/** As far as it goes. */
const FAR = 1_000_000;

export function world({ project, schedule, sabotage = {}, traced = false }: WorldOptions): World {
  const around = outside(project, schedule.skews, traced);
  const { documents, warehouse, transport, time, watch, journal } = around;
  const { say, violation } = journal;
  const instances = instancesIn(around, schedule.skews, sabotage);
  const { all, calls, late, newest, deliver, sweep } = instances;
  const disturbedStep = stepsIn(around, instances, schedule.mood);
  const sweeps = sabotage.neverSweeps !== true;

  /** Until nobody can go on without another step. */
  const finish = (): Promise<void> => new Promise(onceDone);
  const onceDone = (resolve: () => void): void => process.nextTick(done, resolve);
  const done = (resolve: () => void): void => {
    instances.pause();
    resolve();
  };

  /** What is next in turn happens, undisturbed; `false` when there is nothing. */
  const calmStep = (): boolean => {
    const call = calls.find(isReady);
    const [job] = warehouse.pending;
    if (call !== undefined) instances.go(call, FAR);
    else if (job !== undefined) runJob(around, job);
    else {
      const instance = newest();
      const message = transport.messages.find(transport.isDeliverable);
      if (message !== undefined) deliver(message, instance, FAR);
      else if (late[0] !== undefined) instances.arrive(late[0]);
      else if (instance.busy === 0 && sweeps && documents.nextDue() <= time.now() + instance.skew)
        sweep(instance, "sweepDue", FAR);
      else {
        const next = nextTime(instance.skew);
        if (next === Infinity) return false;
        say?.(`${next - time.now()} ms pass`);
        time.pass(next);
      }
    }
    return true;
  };
  const nextTime = (skew: number): number => {
    const now = time.now();
    const due = sweeps ? documents.nextDue() - skew : Infinity;
    let next = Math.min(due, time.nextWake(), transport.nextDelivery());
    for (const { deadline } of calls) if (deadline > now) next = Math.min(next, deadline);
    return next <= now ? now + 1_000 : next;
  };

  const rest = async (isOver = () => false): Promise<void> => {
    for (let steps = 0; violation() === undefined && !isOver() && calmStep(); steps++) {
      await finish();
      if (steps === MAX_CALM_STEPS) journal.fail(`nothing comes to rest in ${MAX_CALM_STEPS} steps`);
    }
  };
  const restAfter = async (what: "sweepDue" | "sweepBuckets"): Promise<void> => {
    sweep(newest(), what, FAR);
    await finish();
    await rest();
  };
  const hasPools = project.definitions.pools.size > 0;
  const look = async (without?: (asset: string, partition?: string) => boolean): Promise<void> => {
    if (watch.leftovers().length > 0) {
      journal.count("left to its time of expiry");
      const isPlain = schedule.skews.every((skew) => skew === 0) && !project.cleans;
      if (isPlain && !MAY_LEAVE.some((fault) => journal.faults.has(fault)))
        return journal.fail(`nobody has died, and there is left: ${watch.leftovers().join(", ")}`);
      time.pass(time.now() + 60 * DAY_MS);
      warehouse.expire(time.now());
      await restAfter("sweepBuckets");
    }
    if (hasPools) {
      time.pass(time.now() + LONG_AFTER_MS); // who has died holds its slot for the time of its lease
      await restAfter("sweepDue");
    }
    const left = transport.messages.map(({ id, consumer }) => `${id} for ${nameOf(consumer)}`);
    watch.atRest(left, journal.faults.has("crash, request made later"), without);
  };
  const settle = async (): Promise<void> => {
    // A backfill looks again and again at what waits for the end of a pause.
    const isOver = project.backfills
      ? () => late.length === 0 && all.every(({ commands }) => commands === 0)
      : undefined;
    await rest(isOver);
    if (violation() !== undefined) return;
    if (resumeAll(around, instances)) await finish();
    await rest();
    if (violation() !== undefined) return;
    if (around.deployed !== project) {
      // What an older deployment has left since is adopted by the next process that starts.
      for (const { slot } of all) instances.start(slot);
      time.pass(time.now() + LONG_AFTER_MS);
      await restAfter("sweepDue");
      if (violation() !== undefined) return;
    }
    if (project.ticking.length > 0) {
      time.pass(time.now() + LONG_FOR_A_TICK_MS);
      await restAfter("sweepDue");
      ticksAtRest(around);
      if (violation() !== undefined) return;
    }
    // A sweep may only have come to the end of a pass that another one has begun.
    for (let times = 0; times < 2 && (around.lost || schedule.sweepsLast); times++) {
      time.pass(time.now() + LONG_AFTER_MS); // every file has settled, and all news should have arrived
      await restAfter("sweepBuckets");
      if (violation() !== undefined) return;
    }
    await look(canceledIn(around));
    // What a person has canceled can be asked for again, and nothing stands in its way.
    if (violation() !== undefined || !askAgain(around)) return;
    journal.count("canceled, and asked for again");
    await rest();
    if (violation() === undefined) await look();
  };

  if (schedule.sensor) {
    const write = put(ref("sensor", SENSOR), { name: SENSOR, status: "running" });
    documents.apply({}, () => ({ result: undefined, writes: [write], events: [] }));
  }

  return {
    project,
    documents,
    faults: journal.faults,
    trace: journal.trace,
    violation,
    act: (act) => perform(around, instances, act),
    isIdle: () =>
      calls.length + transport.messages.length + warehouse.pending.length + late.length + documents.count("due") === 0,
    step: (choice) => {
      if (choice !== 0) disturbedStep(choice);
      else if (!calmStep()) return;
      return finish();
    },
    settle,
  };
}
