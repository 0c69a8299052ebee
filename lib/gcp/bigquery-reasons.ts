/** BigQuery's reason words: which failures pass, and how long they take. A failed job arrives with no other code. */
import type { JobError } from "../ports/warehouse.ts";

/** Not the request's fault: the same one may succeed in a moment. */
const passing: ReadonlySet<string> = new Set([
  "backendError",
  "internalError",
  "jobBackendError",
  "jobInternalError",
  "jobRateLimitExceeded",
  "rateLimitExceeded",
  "userRateLimitExceeded",
  "tableUnavailable",
]);

/** A cancelled job did nothing, so the same one may do it under a new id. */
const stopped = "stopped";

/** Quotas of a day come back bit by bit; rates within seconds. Milliseconds. */
const delays: Readonly<Record<string, number>> = {
  quotaExceeded: 10 * 60_000,
  rateLimitExceeded: 30_000,
  userRateLimitExceeded: 30_000,
  jobRateLimitExceeded: 30_000,
};

/** Whether the same call may succeed within seconds. */
export function isPassing(reason: string): boolean {
  return passing.has(reason);
}

/** When a call or a job that failed for this reason is worth another try; `undefined` where the reason says nothing about it. */
export function delayAfter(reason: string): number | undefined {
  return delays[reason];
}

/** A failed job's error in one line, with what to do where we know it. */
export function jobErrorOf(error: {
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
}): JobError {
  const { message = "the warehouse gave no reason" } = error;
  // A table that only awaits its load is not there.
  const reason = /\bTable \S+ does not have a schema\b/.test(message) ? "notFound" : (error.reason ?? "backendError");
  const retryable = isPassing(reason) || reason === "quotaExceeded" || reason === stopped;
  const afterMs = delayAfter(reason);
  return { reason, message: explained(message), retryable, ...(afterMs === undefined ? {} : { afterMs }) };
}

/** One line, and the remedy for what a deployment has to make first. */
export function explained(message: string): string {
  const line = message.replaceAll(/\s*[\r\n]+\s*/g, " ").trim();
  const dataset = /Not found: Dataset ([\w:.-]*[\w-])/.exec(line)?.[1];
  return dataset === undefined ? line : `${line} (deploying makes the dataset; run ./deploy.sh for this environment)`;
}
