/** How a run is left before its end. These travel as errors, because they cut through an author's code as well. */
import type { InputObject } from "../core/documents.ts";
import { RetryableError } from "../core/errors.ts";

/** The run sleeps until `wakeAt`; nothing is wrong. */
export class Park extends Error {
  override readonly name = "Park";
  readonly wakeAt: number;
  readonly code: string;
  constructor(code: string, reason: string, wakeAt: number) {
    super(reason);
    this.code = code;
    this.wakeAt = wakeAt;
  }
}

/** The partition has another holder: this execution must leave everything alone. */
export class ClaimLost extends Error {
  override readonly name = "ClaimLost";
  constructor(runId: string) {
    super(`run ${runId} has lost its claim to another execution`);
  }
}

/** The process is asked to stop, or the execution has had its time: the run is parked and asked for again at once. */
export class Stopping extends Error {
  override readonly name = "Stopping";
  readonly code: keyof typeof STOPPING;
  constructor(code: keyof typeof STOPPING = "stopped") {
    super(STOPPING[code]);
    this.code = code;
  }
}

const STOPPING = Object.freeze({
  stopped: "the process was asked to stop",
  deadline: "the time of one execution is used up",
  slot: "its slot in the pool has expired and is another run's",
});

/** The execution has had its time, and has done nothing that another one need not do again: the run has failed, once more. */
export class OutOfTime extends RetryableError {
  override readonly name = "OutOfTime";
  constructor(deadlineMs: number) {
    super(
      `one execution may take ${deadlineMs / 1000} s, and nothing that it did by then is kept: save checkpoints, divide the work into smaller partitions or jobs, or give its function more time`,
      { code: "deadline" },
    );
  }
}

/** Somebody has asked for the run to end. */
export class Canceled extends Error {
  override readonly name = "Canceled";
  constructor(runId: string) {
    super(`run ${runId} is to be canceled`);
  }
}

/** A message makes no sense here, now or later: it is recorded and acknowledged. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/** The run ends without publishing. */
export class EndRun extends Error {
  override readonly name = "EndRun";
  readonly code: string;
  readonly superseded: readonly InputObject[] | undefined;
  constructor(code: string, reason: string, superseded?: readonly InputObject[]) {
    super(reason);
    this.code = code;
    this.superseded = superseded;
  }
}

/** What an error stands for: code that is cut off because its time is up may throw anything. */
export function causeOf(thrown: unknown, signal: AbortSignal): unknown {
  const meant = thrown instanceof Park || thrown instanceof ClaimLost || thrown instanceof EndRun;
  return signal.reason instanceof OutOfTime && !meant ? signal.reason : thrown;
}
