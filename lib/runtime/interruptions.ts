/** How a run is left before its end. These travel as errors, because they cut through an author's code as well. */
import type { InputObject } from "../core/documents.ts";

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
  readonly code: "stopped" | "deadline";
  constructor(code: "stopped" | "deadline" = "stopped") {
    super(code === "stopped" ? "the process was asked to stop" : "the time of one execution is used up");
    this.code = code;
  }
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
