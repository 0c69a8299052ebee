/** The end of a run that was canceled: its warehouse jobs are stopped, and what it has staged is put away. */
import type { RunDocument } from "../core/documents.ts";
import type { EndRequest } from "../core/ending.ts";
import { messageOf } from "../core/errors.ts";
import type { Ending, Execution } from "./execution.ts";
import { ClaimLost, OutOfTime, Park, Stopping } from "./interruptions.ts";

export type Undo = (execution: Execution) => Promise<RunDocument | undefined>;

/**
 * Never ends the run otherwise than canceled, unless its publish had happened: while the warehouse or a bucket is out of reach, the run
 * sleeps and tries again. `execution` has a signal of its own, which the wish to cancel has not aborted.
 */
export async function windUp(execution: Execution, undo: Undo | undefined): Promise<Ending> {
  const { services, identity, signal } = execution;
  try {
    signal.throwIfAborted();
    const jobs = await stopJobs(execution);
    const run = await undo?.(execution);
    if (run !== undefined) return { kind: "ended", run };
    const reason = `run ${identity.id} was canceled`;
    return { kind: "end", status: "canceled", code: "canceled", reason, jobs };
  } catch (error) {
    if (signal.reason instanceof OutOfTime)
      throw new Park("cancel-unsettled", "its time was up before all was put away", services.clock.now());
    const left = error instanceof Park || error instanceof ClaimLost || error instanceof Stopping;
    if (left || signal.aborted) throw error;
    throw new Park("cancel-unsettled", messageOf(error), services.clock.now() + services.settings.lookAgainMs);
  }
}

/** Stops what runs in the warehouse for this run, and waits for its end, so that nothing lands in a staging that is gone. */
async function stopJobs({ services, identity, signal, jobs }: Execution): Promise<NonNullable<EndRequest["jobs"]>> {
  const { warehouse, clock, settings } = services;
  const stopped: NonNullable<EndRequest["jobs"]>[number][] = [];
  for (const jobId of jobs) {
    const found = await warehouse.inspect(jobId);
    if (found === undefined || found.labels["sluice_run"] !== identity.id) continue;
    const over = found.state === "succeeded" || found.state === "failed";
    if (!over) await warehouse.cancel(jobId);
    const last = over ? found : await warehouse.wait(jobId, { timeoutMs: settings.waitMs, signal });
    if (last.state !== "succeeded" && last.state !== "failed") {
      const reason = `the warehouse job ${jobId} has been asked to stop, and is still running`;
      throw new Park("waiting-for-job", reason, clock.now() + settings.lookAgainMs);
    }
    stopped.push({ jobId, outcome: last.error?.reason === "stopped" ? "stopped" : "ended" });
  }
  return stopped;
}
