/** Warehouse jobs whose ids say what they do, so that a retry finds the work of its predecessor. */
import { PermanentError, RetryableError } from "../core/errors.ts";
import { canonicalJson, shortHash } from "../core/hash.ts";
import { QUOTA } from "../core/retry.ts";
import type { RunIdentity } from "../core/run-identity.ts";
import type { JobSpec, JobStatus } from "../ports/warehouse.ts";
import type { Execution } from "./execution.ts";
import { Park } from "./interruptions.ts";
import { originOfRun } from "./origin.ts";

export interface JobRequest {
  /** What the job is for, e.g. `load-1`: letters, digits, `-`, `_`. */
  readonly step: string;
  /** Whatever distinguishes this job from the same step on other inputs: the fingerprint. */
  readonly inputs: string;
  readonly spec: JobSpec;
  /** Whether the result of a job that somebody ran before is still there, and not that of the same work under the `next` id. */
  readonly usable?: (next: string) => Promise<boolean>;
  /** Its rows are read: a query that changes nothing is asked again where those of a job that somebody ran before are not kept any more. */
  readonly readsRows?: boolean;
}

/** Attempts at one piece of work that anybody makes, ever: a bound against a loop, not a policy. */
const MAX_ATTEMPTS = 50;

/**
 * Runs the job, or attaches to it: running → waited for; succeeded → used; failed → tried under the next id, because a
 * failed id is taken for ever. A job met by its id is ours only if it is the same job. Throws `PermanentError` when the job
 * fails for good under our eyes, `RetryableError` when another try may help, `Park` when it takes longer than we wait.
 */
export async function runJob(execution: Execution, request: JobRequest): Promise<JobStatus> {
  const { services, identity, signal, jobs, progressed } = execution;
  const { warehouse, clock, settings } = services;
  // What it may read is said anew by every version of the definition, and changes nothing that it does.
  const { expiresAt, reads, ...stable } = { expiresAt: undefined, reads: undefined, ...request.spec };
  const labels = {
    ...labelsOf(identity),
    sluice_step: labelOf(request.step),
    sluice_spec: shortHash([canonicalJson(stable)]),
  };
  const base = `${request.step}-${shortHash([identity.kind, originOfRun(execution), identity.partition, request.step, request.inputs])}`;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    signal.throwIfAborted();
    const jobId = `${base}-a${attempt}`;
    const awaited = jobs.has(jobId);
    jobs.add(jobId);
    const submitted = await warehouse.submit(jobId, request.spec, labels);
    const status = await warehouse.wait(jobId, { timeoutMs: settings.waitMs, signal });
    if (status.state === "succeeded" || status.state === "failed") jobs.delete(jobId);
    if (status.labels["sluice_spec"] !== labels.sluice_spec) continue;
    if (status.state === "succeeded") {
      // What had ended before this execution began is no progress of it.
      if (submitted === "accepted" || awaited) progressed?.();
      if (submitted === "accepted" || (await isUsable(execution, request, status, `${base}-a${attempt + 1}`)))
        return status;
      continue;
    }
    if (status.state !== "failed") {
      throw new Park(
        "waiting-for-job",
        `the warehouse job ${jobId} is still running`,
        clock.now() + settings.lookAgainMs,
      );
    }
    if (submitted === "duplicate") continue;
    const reason = status.error?.message ?? "the warehouse gave no reason";
    if (status.error?.retryable !== true)
      throw new PermanentError(reason, { code: status.error?.reason ?? "job-failed" });
    const { afterMs } = status.error;
    throw new RetryableError(reason, afterMs === undefined ? {} : { code: QUOTA, afterMs });
  }
  throw new PermanentError(`${MAX_ATTEMPTS} attempts at ${base} have failed`, { code: "job-failed" });
}

async function isUsable(
  { services: { warehouse }, signal }: Execution,
  { usable, readsRows = false }: JobRequest,
  { jobId, rows }: JobStatus,
  next: string,
): Promise<boolean> {
  if (usable !== undefined && !(await usable(next))) return false;
  // Of rows that the warehouse has just counted there is no doubt.
  if (!readsRows || rows !== undefined) return true;
  try {
    for await (const _ of warehouse.rows(jobId, { signal })) break;
    return true;
  } catch (error) {
    if (error instanceof PermanentError && error.code === "not-found") return false;
    throw error;
  }
}

/** What every job says of whom it works for. */
export function labelsOf({ name, partition, id }: RunIdentity): Readonly<Record<string, string>> {
  const own = partition === "" ? {} : { sluice_partition: labelOf(partition) };
  return { sluice_asset: labelOf(name), ...own, sluice_run: id };
}

/** Labels hold lower-case letters, digits, `_` and `-`, at most 63 characters. */
export function labelOf(text: string): string {
  const legal = text.toLowerCase().replaceAll(/[^a-z0-9_-]/g, "-");
  return legal.length <= 63 ? legal : `${legal.slice(0, 50)}-${shortHash([text], 12)}`;
}
