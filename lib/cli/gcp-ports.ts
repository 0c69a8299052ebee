/** The adapters of Google Cloud as a person's own process uses them. Loads nothing of the cloud before it is called. */
import { env } from "node:process";
import { environmentSecret } from "../local/environment-secrets.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Secrets } from "../ports/secrets.ts";
import type { JobHistory, TableHistory, Warehouse } from "../ports/warehouse.ts";
import type { Datasets } from "../gcp/bigquery-datasets.ts";
import { given } from "./gcp-address.ts";
import type { Endpoints } from "./gcp-address.ts";
import { leaveUnsaid } from "./unsaid-warning.ts";

export interface GcpAddress {
  readonly project: string;
  readonly endpoints: Endpoints;
}

/** Throws `PermanentError` (`unauthenticated`) where credentials are needed and there are none. */
export async function requireCredentials({ endpoints }: GcpAddress): Promise<void> {
  // Fakes are spoken to without any.
  if (endpoints.bigquery !== undefined) return;
  const { checkCredentials } = await import("../gcp/credentials.ts");
  leaveUnsaid("MetadataLookupWarning");
  await checkCredentials();
}

export async function gcpDatasets({ project, endpoints }: GcpAddress): Promise<Datasets> {
  const { bigqueryClient } = await import("../gcp/bigquery-client.ts");
  const { bigqueryDatasets } = await import("../gcp/bigquery-datasets.ts");
  const client = bigqueryClient({ project, ...given("endpoint", endpoints.bigquery) });
  return bigqueryDatasets({ client, project, clock: systemClock(), random: systemRandom() });
}

export interface GcpWarehouseOptions extends GcpAddress {
  readonly location: string;
  /** Of each query. */
  readonly maximumBytesBilled: number;
}

export async function gcpWarehouse(options: GcpWarehouseOptions): Promise<Warehouse & TableHistory & JobHistory> {
  const { project, location, endpoints, maximumBytesBilled } = options;
  const { bigqueryClient } = await import("../gcp/bigquery-client.ts");
  const { bigqueryWarehouse } = await import("../gcp/bigquery-warehouse.ts");
  const client = bigqueryClient({ project, ...given("endpoint", endpoints.bigquery) });
  const parts = { client, project, location, maximumBytesBilled };
  return bigqueryWarehouse({ ...parts, clock: systemClock(), random: systemRandom() });
}

export async function gcpObjects({ project, endpoints }: GcpAddress): Promise<ObjectStore> {
  const { gcsObjectStore } = await import("../gcp/storage-object-store.ts");
  const address = { projectId: project, ...given("apiEndpoint", endpoints.storage) };
  return gcsObjectStore({ clock: systemClock(), random: systemRandom(), ...address });
}

/** A secret of the environment, where one is set, and else the project's. */
export function gcpSecrets({ project, endpoints }: GcpAddress): Secrets & { close(): Promise<void> } {
  let opening: Promise<Secrets & { close(): Promise<void> }> | undefined;
  const open = async (): Promise<Secrets & { close(): Promise<void> }> => {
    const { secretManager } = await import("../gcp/secrets.ts");
    return secretManager({ projectId: project, clock: systemClock(), ...given("emulatorHost", endpoints.secrets) });
  };
  return {
    access: async (name) => await (environmentSecret(env, name) ?? (await (opening ??= open())).access(name)),
    close: async () => await (await opening)?.close(),
  };
}
