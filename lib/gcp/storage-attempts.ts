/** A request is tried a bounded number of times, with pauses that grow; the client's own retries are off, because they cannot be aborted. */
import { backoff } from "../core/backoff.ts";
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { unlessAborted } from "./storage-blocks.ts";
import { errorFor, type Failure, failureOf, type Purpose, StorageTimeoutError } from "./storage-errors.ts";

export interface AttemptOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** How many tries in all. */
  readonly attempts: number;
  /** The bounds of a pause, milliseconds. */
  readonly minPauseMs: number;
  readonly maxPauseMs: number;
  /** How long a request may give no sign of life, milliseconds. */
  readonly timeoutMs: number;
}

export interface Attempt {
  /** Whether an earlier try may have taken effect. */
  readonly unclear: boolean;
}

/**
 * Runs `action` until it succeeds, fails for good, or was tried often enough; then throws what `errorFor` makes of the
 * failure. `settle` may turn a failure into a result before that: `undefined` leaves it a failure.
 */
export async function attempting<T>(
  options: AttemptOptions,
  purpose: Purpose,
  action: (attempt: Attempt) => Promise<T>,
  {
    signal,
    settle,
  }: { signal?: AbortSignal; settle?: (failure: Failure, attempt: Attempt) => Promise<T | undefined> } = {},
): Promise<T> {
  let unclear = false;
  for (let tried = 1; ; tried++) {
    signal?.throwIfAborted();
    let failure: Failure;
    let cause: unknown;
    try {
      return await within(options.timeoutMs, action({ unclear }), signal);
    } catch (error) {
      signal?.throwIfAborted();
      // What was decided already is not for another try.
      if (error instanceof PermanentError || error instanceof RetryableError) throw error;
      failure = failureOf(error);
      cause = error;
    }
    const settled = failure.passing ? undefined : await settle?.(failure, { unclear });
    if (settled !== undefined) return settled;
    if (!failure.passing || tried >= options.attempts) throw errorFor(failure, purpose, cause);
    unclear ||= failure.unclear;
    await pause(options, tried, signal);
  }
}

/** Waits before the next try, when `failed` have failed. */
export function pause(options: AttemptOptions, failed: number, signal?: AbortSignal): Promise<void> {
  const { clock, random, minPauseMs: minMs, maxPauseMs: maxMs } = options;
  return clock.sleep(backoff({ attempt: failed, minMs, maxMs }, random.next()), signal);
}

/**
 * What `promise` gives, unless that takes too long or the signal is aborted first. The client has no way to give up a
 * request, so that one is left to its own end.
 */
export async function within<T>(ms: number, promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new StorageTimeoutError(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await unlessAborted(Promise.race([promise, late]), signal);
  } finally {
    clearTimeout(timer);
  }
}
