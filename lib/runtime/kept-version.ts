/** A rollback shows again what an interval was: from its raw table, while that is there and known to hold it. */
import type { Head } from "../core/documents.ts";
import { RetryableError, PermanentError } from "../core/errors.ts";
import { formatTable } from "../core/table.ts";
import type { Execution } from "./execution.ts";
import type { Materialized } from "./materialize.ts";
import type { StagingPlan } from "./resources.ts";
import { runJob } from "./warehouse-jobs.ts";

export interface KeptVersion {
  readonly head: Head;
  readonly raw: NonNullable<Head["raw"]>;
}

/** `undefined` where the interval must be loaded anew: it was never shown, or its raw table is gone or was never finished. */
export async function keptVersion(
  { services: { warehouse } }: Pick<Execution, "services">,
  head: Head | undefined,
): Promise<KeptVersion | undefined> {
  if (head?.raw === undefined) return undefined;
  const { raw } = head;
  const [job, info] = await Promise.all([warehouse.inspect(raw.jobId), warehouse.describe(raw.table)]);
  return job?.state === "succeeded" && info !== undefined ? { head, raw } : undefined;
}

/** Fills the staging with it. Throws `RetryableError` where it has gone meanwhile: the next try looks again. */
export async function restore(
  execution: Execution,
  { head, raw }: KeptVersion,
  staging: StagingPlan,
): Promise<Materialized> {
  const { services, identity } = execution;
  const { clock, settings, warehouse } = services;
  const { table } = staging;
  const shown = formatTable(raw.table);
  try {
    await runJob(execution, {
      step: "restore",
      inputs: `${raw.jobId} ${identity.id}`,
      spec: { kind: "copy", source: raw.table, destination: table, expiresAt: clock.now() + settings.stagingTtlMs },
      usable: async () => (await warehouse.describe(table)) !== undefined,
    });
  } catch (error) {
    const gone = error instanceof PermanentError && error.code === "notFound";
    throw gone ? new RetryableError(`${shown} has gone while it was restored`, { cause: error }) : error;
  }
  const { dataVersion } = head;
  return { result: dataVersion === undefined ? {} : { dataVersion }, metadata: { restored_from: shown } };
}
