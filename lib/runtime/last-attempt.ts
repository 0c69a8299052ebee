/** The last attempt of a run, which puts away what the others have left for it. */
import type { RetryPolicy } from "../core/definition.ts";
import { DefinitionError, PermanentError } from "../core/errors.ts";
import { retryAfter } from "../core/retry.ts";
import type { Execution } from "./execution.ts";
import { Canceled, ClaimLost, EndRun, OutOfTime, Park, causeOf } from "./interruptions.ts";

/** Whether no other attempt of the run will come after this error. */
export function isLast({ run, signal }: Execution, policy: { readonly retry: RetryPolicy }, thrown: unknown): boolean {
  const error = causeOf(thrown, signal);
  if (signal.aborted && !(error instanceof OutOfTime)) return false;
  if (error instanceof Park || error instanceof ClaimLost || error instanceof Canceled) return false;
  if (error instanceof PermanentError || error instanceof EndRun || error instanceof DefinitionError) return true;
  return retryAfter(policy.retry, run, error, 0).delayMs === undefined;
}

/** For what is done after the code was cut off because its time was up: there is some left. */
export function inTime(execution: Execution): Execution {
  if (!(execution.signal.reason instanceof OutOfTime)) return execution;
  return { ...execution, signal: execution.services.stopping };
}
