/** Whether a run that failed for a passing reason is tried again, and when. */
import { backoff } from "./backoff.ts";
import type { RetryPolicy } from "./definition.ts";

/**
 * Milliseconds to wait after the `failures`-th failure (counted from 1) under a policy, or `undefined` when the policy's
 * retries are used up. `random01` is at least 0 and less than 1.
 */
export function retryDelay(policy: RetryPolicy, failures: number, random01: number): number | undefined {
  const { maxRetries = 3, delaySeconds = 10, maxDelaySeconds = 600 } = policy;
  if (failures > maxRetries) return undefined;
  return backoff({ attempt: failures, minMs: delaySeconds * 1000, maxMs: maxDelaySeconds * 1000 }, random01);
}
