/** The execution of a job: its code, once for each claim; a run that dies is started again. */
import type { JobContext, JobDefinition } from "../core/job.ts";
import { PermanentError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import type { Ending, Execution } from "./execution.ts";
import { clientsOf } from "./resources.ts";
import { logged } from "./run-log.ts";

export async function runJob(execution: Execution, job: JobDefinition): Promise<Ending> {
  const { identity, request, signal } = execution;
  return await logged(execution, async (log) => {
    const resources = await clientsOf({
      execution,
      resources: job.resources,
      needs: job.needs,
      log,
      tableOf: noTable(job.name),
    });
    const context: JobContext<unknown> = {
      runId: identity.id,
      requestedAt: request.requestedAt,
      signal,
      log: log.log,
      // Parsed once before as well, so that a bad request never starts a run.
      config: job.config === undefined ? {} : job.config.parse(request.config ?? {}),
    };
    // The definition's own types meet what its schema and resources have just produced.
    const call = job.run as (context: unknown, resources: unknown) => ReturnType<JobDefinition["run"]>;
    const metadata: Metadata | undefined = (await call(context, resources)) ?? undefined;
    signal.throwIfAborted();
    return {
      kind: "end",
      status: "succeeded",
      ...(metadata === undefined ? {} : { metadata: log.cleanMetadata(metadata) }),
    };
  });
}

/** Jobs and sensors declare no upstream assets. */
export function noTable(who: string): (asset: string) => never {
  return (asset) => {
    throw new PermanentError(`${who} cannot read ${asset}: only assets read assets`, { code: "undeclared" });
  };
}
