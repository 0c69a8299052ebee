/** One step of a schedule: a number says which of all that can happen now does happen, faults included. */
import type { JobError, JobSpec } from "../../lib/ports/warehouse.ts";
import { isOwnJob, isReady } from "./instances.ts";
import type { Call, Instances } from "./instances.ts";
import type { Outside } from "./outside.ts";
import { jobTakenBy } from "./ports.ts";
import { MOODS, STEPS } from "./schedule.ts";
import type { StepKind } from "./schedule.ts";
import { isDroppable } from "./transport.ts";
import type { Job } from "./warehouse.ts";

/** How many of each fault there may be: with more of them, nothing would ever get done. */
const BUDGET = { crash: 3, twice: 2, drop: 3, delay: 2, fail: 2, steal: 2, sweep: 3, jobs: 2 };
const LEAPS = [300, 11_000, 31_000, 100_000, 400_000] as const;
export const LEASE_LOST = "a lease runs out under its holder";
export const CANCELLED: JobError = { reason: "stopped", message: "it was cancelled", retryable: true };
const PASSING: JobError = { reason: "backendError", message: "try again", retryable: true };

/** The step that a number says, which is not 0. */
export function stepsIn(around: Outside, instances: Instances, moodAt: number): (choice: number) => void {
  const { time, transport, warehouse, journal } = around;
  const { say, count } = journal;
  const { all, calls, late } = instances;
  const budget = { ...BUDGET };
  const mood = MOODS[moodAt];
  if (mood === undefined) throw new Error(`there is no mood ${moodAt}`);

  /** A stranger's job has the id that the request is about to use. */
  const steal = ({ what }: Call): void => {
    const id = jobTakenBy(what) ?? "";
    say?.(`a stranger's job takes the id ${id}`);
    const spec: JobSpec = { kind: "query", sql: "SELECT 1" };
    if (warehouse.submit(id, spec, { owner: "stranger" }) === "duplicate") return;
    const job = warehouse.job(id);
    if (job !== undefined) warehouse.run(job);
  };

  return (choice) => {
    const ready = calls.filter(isReady);
    const waiting = transport.messages.filter(transport.isDeliverable);
    const jobs = warehouse.pending;
    const isPossible = (kind: StepKind): boolean => {
      switch (kind) {
        case "go":
          return ready.length > 0;
        case "job":
          return jobs.length > 0;
        case "late":
          return late.length > 0;
        case "deliver":
          return waiting.length > 0;
        case "twice":
        case "drop":
        case "delay":
          return budget[kind] > 0 && waiting.length > 0;
        case "crash":
          return budget.crash > 0 && calls.length > 0;
        case "fail":
          return budget.fail > 0 && ready.length > 0;
        case "steal":
          return budget.steal > 0 && ready.some(isOwnJob);
        case "sweep":
          return budget.sweep > 0;
        case "pass":
          return true;
      }
    };
    let total = 0;
    const kinds: StepKind[] = [];
    for (const kind of STEPS) {
      if (mood[kind] === 0 || !isPossible(kind)) continue;
      kinds.push(kind);
      total += mood[kind];
    }
    let left = choice % total;
    const kind = kinds.find((each) => (left -= mood[each]) < 0) ?? "pass";
    const which = choice >>> 10;
    const fate = choice >>> 5;
    const pick = <T>(list: readonly T[]): T => {
      const item = list[which % list.length];
      if (item === undefined) throw new Error("picked from nothing");
      return item;
    };
    const credit = fate % 2 === 0 ? fate % 31 : fate % 7;
    if (kind in budget && kind !== "crash") {
      budget[kind as keyof typeof budget] -= 1; // a kind that has a budget
      count(kind);
    }
    switch (kind) {
      case "go":
        instances.go(pick(ready), credit);
        break;
      case "job": {
        const job = pick(jobs);
        if (job.cancelled && fate % 2 === 0) runJob(around, job, CANCELLED);
        else if (budget.jobs > 0 && fate % 6 === 0) {
          budget.jobs -= 1;
          count("job fails for a passing reason");
          runJob(around, job, PASSING);
        } else runJob(around, job);
        break;
      }
      case "late":
        count("late request lands");
        instances.arrive(pick(late));
        break;
      case "deliver":
        instances.deliver(pick(waiting), pick(all), credit);
        break;
      case "twice": {
        const message = pick(waiting);
        for (const instance of all) instances.deliver(message, instance, credit);
        break;
      }
      case "crash":
        budget.crash -= 1;
        instances.crash(pick(all.filter((instance) => calls.some((call) => call.instance === instance))), fate);
        break;
      case "pass": {
        const ms = LEAPS[which % LEAPS.length] ?? 1_000;
        say?.(`${ms} ms pass`);
        if (ms >= 100_000 && calls.length > 0) count(LEASE_LOST);
        time.pass(time.now() + ms);
        break;
      }
      case "sweep":
        instances.sweep(pick(all), fate % 4 === 0 ? "sweepBuckets" : "sweepDue", credit);
        break;
      case "drop": {
        const message = pick(waiting);
        if (!isDroppable(message)) break;
        say?.(`${message.id} is lost: ${JSON.stringify(message.data)}`);
        transport.remove(message);
        around.lost = true;
        break;
      }
      case "delay": {
        const message = pick(waiting);
        message.at = time.now() + 50_000;
        say?.(`${message.id} is delayed`);
        break;
      }
      case "fail":
        instances.fail(pick(ready), fate % 2 === 0);
        break;
      case "steal":
        steal(pick(ready.filter(isOwnJob)));
        break;
    }
  };
}

/** Given an error, the job fails with it. */
export function runJob({ warehouse, journal: { say } }: Outside, job: Job, error?: JobError): void {
  say?.(`job ${job.id} ${error?.reason ?? "runs"}`);
  warehouse.run(job, error);
  if (job.error !== undefined) say?.(`  failed: ${job.error.message}`);
}
