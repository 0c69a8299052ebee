/** Makes the clients behind a definition's resources, each confined to what the definition declares. */
import type { AssetKey } from "../core/asset-key.ts";
import type { AssetDefinition } from "../core/asset.ts";
import type { InputObject } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import { uriOf } from "../core/inputs.ts";
import type { Need } from "../core/needs.ts";
import type {
  BigQueryResource,
  LoadRequest,
  LoadedObjects,
  ResourceDefinition,
  ResourceMap,
  StatementLimits,
} from "../core/resources.ts";
import { parseLocation } from "../core/resources.ts";
import { quoteTable, renderSql } from "../core/sql.ts";
import type { SqlTemplate } from "../core/sql.ts";
import type { TableRef, TimePartitioning } from "../core/table.ts";
import type { JobSpec, JobStatus } from "../ports/warehouse.ts";
import { deleteLoaded } from "./clean-up.ts";
import type { Execution } from "./execution.ts";
import type { RunLog } from "./run-log.ts";
import { isBelow, readableClient, writableClient } from "./objects-clients.ts";
import { confined } from "./reads.ts";
import { runJob } from "./warehouse-jobs.ts";

/** Where an asset's rows are, for code of one run. Throws for an asset that was not declared. */
export type TableOf = (asset: AssetKey) => TableRef;

/** What `bigquery.load` fills. */
export interface StagingPlan {
  readonly table: TableRef;
  readonly fingerprint: string;
  readonly inputs: readonly InputObject[];
  readonly partitioning?: TimePartitioning;
  readonly partition?: string;
  readonly clustering?: readonly string[];
}

export interface ClientOptions {
  readonly execution: Execution;
  readonly resources: ResourceMap;
  readonly needs: readonly Need[];
  readonly log: RunLog;
  readonly staging?: StagingPlan;
  readonly tableOf: TableOf;
  /** What the placeholders in a statement stand for. */
  readonly fillIn?: FillIn;
  /** Keeps the warehouse jobs of this code from being those of other code of the run. Default: the asset's own. */
  readonly jobs?: { readonly prefix: string; readonly inputs: string };
}

type FillIn = Parameters<typeof renderSql>[2];

export async function clientsOf(options: ClientOptions): Promise<Readonly<Record<string, unknown>>> {
  const clients: Record<string, unknown> = {};
  for (const [name, resource] of Object.entries(options.resources)) clients[name] = await clientOf(options, resource);
  return clients;
}

function clientOf(options: ClientOptions, resource: ResourceDefinition<unknown>): unknown {
  switch (resource.kind) {
    case "bigquery":
      return bigqueryClient(options, resource);
    case "read-objects":
      return readableClient(options.execution, resource.location);
    case "write-objects":
      return writableClient(options.execution, resource.location);
    case "clean-up":
      return cleanUpClient(options, resource);
    case "secret":
      return secretOf(options, resource.secret ?? "");
    case "custom":
      return customClient(options, resource);
  }
}

function bigqueryClient(
  { execution, staging, tableOf, fillIn, needs, jobs }: ClientOptions,
  { maximumBytesBilled: limit }: ResourceDefinition<unknown>,
): BigQueryResource {
  let loads = 0;
  let queries = 0;
  let last = Promise.resolve("");
  const { warehouse } = execution.services;

  /**
   * Jobs on the staging go one after the other. Each is named after the one before, so that whoever has to start anew, because
   * the staging was dropped, does all of them again, and an attempt that goes on does none twice.
   */
  function inTurn(work: (before: string) => Promise<JobStatus>): Promise<JobStatus> {
    const before = last;
    const status = before.then(work);
    last = status.then(
      ({ jobId }) => ` ${jobId}`,
      () => before,
    );
    return status;
  }

  /** The staging is what this very job has left, and not what the same work left in a later round. */
  const isStaged =
    (table: TableRef) =>
    async (next: string): Promise<boolean> =>
      (await warehouse.describe(table)) !== undefined && (await warehouse.inspect(next)) === undefined;

  /** The statement as a job, which may write the staging where it names it, and nothing else. */
  function specOf(statement: SqlTemplate): Extract<JobSpec, { kind: "query" }> {
    const { text: sql, parameters } = renderSql(statement, tableOf, fillIn);
    const spec = { kind: "query", sql, parameters } as const;
    return confined(
      execution,
      staging !== undefined && sql.includes(quoteTable(staging.table))
        ? { ...spec, writes: [staging.table], expiresAt: stagedUntil(execution) }
        : spec,
    );
  }

  return {
    async load(request: LoadRequest) {
      if (staging === undefined) {
        throw new PermanentError(
          "there is no table to load into: give the asset a target (an I/O manager fills its table by itself)",
          {
            code: "no-target",
          },
        );
      }
      const uris = request.uris ?? staging.inputs.map(uriOf);
      if (uris.length === 0)
        throw new PermanentError("there is nothing to load: no uris, and the run has no inputs", { code: "no-inputs" });
      for (const uri of uris) requireReadable(execution, needs, uri);
      const { fingerprint, table: destination, inputs, ...spec } = staging;
      const step = `load-${++loads}`;
      const status = await inTurn((before) =>
        runJob(execution, {
          step,
          inputs: `${fingerprint}${before}`,
          spec: {
            kind: "load",
            uris,
            format: request.format,
            destination,
            ...spec,
            ...(request.options === undefined ? {} : { options: request.options }),
            ...(request.schema === undefined ? {} : { schema: request.schema }),
            expiresAt: stagedUntil(execution),
          },
          usable: isStaged(destination),
        }),
      ).catch(withRemedy);
      return finishedJob(status);
    },
    async run(statement: SqlTemplate, { maximumBytesBilled = limit }: StatementLimits = {}) {
      const limited = maximumBytesBilled === undefined ? {} : { maximumBytesBilled };
      const spec = { ...specOf(statement), ...limited };
      const step = `${jobs?.prefix ?? ""}query-${++queries}`;
      const inputs = `${jobs?.inputs ?? staging?.fingerprint ?? execution.identity.id} ${spec.sql}`;
      const [own] = spec.writes ?? [];
      const status =
        own === undefined
          ? await runJob(execution, { step, inputs, spec })
          : await inTurn((before) =>
              runJob(execution, { step, inputs: `${inputs}${before}`, spec, usable: isStaged(own) }),
            );
      return {
        ...finishedJob(status),
        rowsOf: () => warehouse.rows(status.jobId, { signal: execution.signal }),
      };
    },
    // What is refused here, and there, comes by the promise.
    dryRun: async (statement: SqlTemplate) => await warehouse.dryRun(specOf(statement)),
  };
}

/** When what is staged now goes by itself, should nobody put it away. */
function stagedUntil({ services: { clock, settings } }: Execution): number {
  return clock.now() + settings.stagingTtlMs;
}

/** The warehouse says what is wrong with which file; what to do about it is for us to say. */
function withRemedy(error: unknown): never {
  if (!(error instanceof PermanentError) || error.code !== "invalid") throw error;
  throw new PermanentError(`${error.message}; nothing was published, and a corrected file is loaded by itself`, {
    code: error.code,
    cause: error,
  });
}

function finishedJob({ jobId, rows = 0, bytesBilled = 0 }: JobStatus): {
  jobId: string;
  rows: number;
  bytesBilled: number;
} {
  return { jobId, rows, bytesBilled };
}

function requireReadable({ identity }: Execution, needs: readonly Need[], uri: string): void {
  const { bucket, prefix: name } = parseLocation(uri);
  const declared = needs.some(
    (need) => need.kind === "read-objects" && need.bucket === bucket && isBelow(name, need.prefix),
  );
  if (!declared) {
    throw new PermanentError(
      `${uri} is not declared: add gcs.read("gs://${bucket}/…") to the resources of ${identity.kind} ${identity.name}`,
      { code: "undeclared" },
    );
  }
}

function cleanUpClient(options: ClientOptions, resource: ResourceDefinition<unknown>): LoadedObjects {
  const { execution } = options;
  const asset = execution.services.definitions().assets.get(resource.asset ?? "");
  if (asset === undefined)
    throw new PermanentError(`the asset ${resource.asset ?? ""} is not defined`, { code: "unknown-asset" });
  requireDeletable(execution, asset, resource.location);
  return { deleteLoaded: (request) => deleteLoaded(execution, asset, request) };
}

/** All that the asset's pattern can match lies below where deleting is declared. */
function requireDeletable(
  { identity }: Execution,
  { key, source }: AssetDefinition,
  location: ResourceDefinition<unknown>["location"],
): void {
  // What is loaded from nothing says so by itself.
  if (source === undefined) return;
  const { bucket, pathBase } = source;
  if (location?.bucket === bucket && isBelow(pathBase, location.prefix)) return;
  throw new PermanentError(
    `${key} is loaded from gs://${bucket}/${pathBase}, where deleting is not declared: ` +
      `write gcs.delete("gs://${bucket}/${pathBase}", …) in the resources of ${identity.kind} ${identity.name}`,
    { code: "undeclared" },
  );
}

async function customClient(options: ClientOptions, { create, needs }: ResourceDefinition<unknown>): Promise<unknown> {
  const { execution, log } = options;
  const client = await create?.({
    signal: execution.signal,
    log: log.log,
    secret: async (name) => {
      if (needs.some((need) => need.kind === "secret" && need.name === name)) return await secretOf(options, name);
      throw new PermanentError(
        `the secret ${name} is not declared: add ...secret("${name}").needs to the resource's needs`,
        {
          code: "undeclared",
        },
      );
    },
  });
  log.disposeAtEnd(client);
  return client;
}

async function secretOf({ execution, log }: ClientOptions, name: string): Promise<string> {
  const value = await execution.services.secrets.access(name);
  log.redact(value);
  return value;
}

/** Where the rows of an asset's own run and of its declared upstreams are. */
export function tablesOf(execution: Execution, asset: AssetDefinition, own: TableRef | undefined): TableOf {
  return (key) => {
    const definition = key === asset.key ? asset : execution.services.definitions().assets.get(key);
    if (key === asset.key && own !== undefined) return own;
    if (key !== asset.key && !asset.deps.includes(key)) {
      throw new PermanentError(`${asset.key} reads ${key} without declaring it: add it to deps`, {
        code: "undeclared",
      });
    }
    if (definition?.target === undefined)
      throw new PermanentError(
        `${key} has no table that SQL could read: make it an input of ${asset.key}, if it keeps rows, or give it a table`,
        { code: "no-target" },
      );
    return definition.target.table;
  };
}
