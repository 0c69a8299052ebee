/** Commands that look at a history of runs against Google Cloud: its tables are asked where they are. */
import { PermanentError } from "../core/errors.ts";
import { systemRandom } from "../local/system-clock.ts";
import type { Warehouse } from "../ports/warehouse.ts";
import { directWorkbench } from "./direct-workbench.ts";
import { endpointsOf } from "./gcp-address.ts";
import type { GcpHome } from "./gcp-home.ts";
import { gcpWarehouse, requireCredentials } from "./gcp-ports.ts";
import { MAX_BYTES } from "./max-bytes.ts";
import { UsageError } from "./usage-error.ts";
import type { QueryResult, Workbench, WorkbenchOptions } from "./workbench.ts";

const LOOK_MS = 60_000;

/** The rows of a statement that changes nothing. Throws `PermanentError` for one that would, or that fails. */
export async function gcpQuery(warehouse: Warehouse, sql: string, signal: AbortSignal): Promise<QueryResult> {
  const spec = { kind: "query", sql } as const;
  const { schema } = await warehouse.dryRun(spec);
  const id = `sluice-query-${systemRandom().id()}`;
  await warehouse.submit(id, spec, {});
  try {
    for (;;) {
      const { state, error } = await warehouse.wait(id, { timeoutMs: LOOK_MS, signal });
      if (error !== undefined) throw new PermanentError(error.message, { code: error.reason });
      if (state === "succeeded") break;
    }
  } catch (error) {
    if (signal.aborted) await warehouse.cancel(id);
    throw error;
  }
  return { columns: schema.map(({ name }) => name), rows: warehouse.rows(id, { signal }) };
}

/** What makes no sense in a history that is kept for runs against Google Cloud. */
export function refusingHome(
  home: string,
): Pick<Workbench, "publish" | "put" | "tables" | "switchSensor" | "operations" | "settle"> {
  const refuse = async (): Promise<never> => {
    throw new UsageError(
      `${home} holds runs against Google Cloud: materialize with --target gcp, or leave --home out to work locally`,
    );
  };
  const operations = { cancel: refuse, pause: refuse, resume: refuse, replayDeadLetter: refuse };
  const tables = { changes: refuse, slackMs: 0 };
  return { publish: refuse, put: refuse, tables, switchSensor: refuse, operations, settle: refuse };
}

/** Lists and histories as anywhere; queries go to BigQuery; nothing is run. */
export function gcpHomeWorkbench(options: WorkbenchOptions, { project, location }: GcpHome): Workbench {
  return {
    ...directWorkbench(options),
    ...refusingHome(options.home),
    async query(sql, signal) {
      const address = { project, endpoints: endpointsOf() };
      await requireCredentials(address);
      return await gcpQuery(await gcpWarehouse({ ...address, location, maximumBytesBilled: MAX_BYTES }), sql, signal);
    },
  };
}
