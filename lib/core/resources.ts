/**
 * Resources: the one place where an author declares what code may touch. A definition is data; the runtime makes the
 * client behind it when a run starts. `T` is what `materialize`, `run` or `evaluate` receives.
 */
import type { AssetKey } from "./asset-key.ts";
import { checkBucket } from "./bucket.ts";
import type { Log } from "./definition.ts";
import { DefinitionError } from "./errors.ts";
import type { FileFormat, LoadOptions } from "./load.ts";
import type { Need, ObjectLocation } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, code, isRecord, list, number, optional, shown } from "./options.ts";
import type { Shape } from "./options.ts";
import type { Column } from "./table.ts";
import type { SqlTemplate } from "./sql.ts";

export interface ResourceDefinition<T> {
  readonly kind: "bigquery" | "read-objects" | "write-objects" | "clean-up" | "secret" | "custom";
  readonly needs: readonly Need[];
  /** Where the resource points: a bucket's prefix, a secret's name, the asset whose objects may go. */
  readonly location?: ObjectLocation;
  readonly secret?: string;
  readonly asset?: AssetKey;
  /** Of a `bigquery` resource: the limit of each of its statements. */
  readonly maximumBytesBilled?: number;
  /** Makes the client of a custom resource. */
  readonly create?: (context: ResourceContext) => unknown;
  /** Never set: it carries the client's type. */
  readonly client?: T;
}

export type ResourceMap = Readonly<Record<string, ResourceDefinition<unknown>>>;
export type ResourceClients<R extends ResourceMap> = {
  readonly [N in keyof R]: R[N] extends ResourceDefinition<infer T> ? T : never;
};

export interface FinishedJob {
  readonly jobId: string;
  /** Rows loaded, written by CREATE TABLE AS or INSERT, or returned by the query; after other changes, all rows of the table. */
  readonly rows: number;
  readonly bytesBilled: number;
}

export interface LoadRequest {
  readonly format: FileFormat;
  /** Left out: the inputs of the run. */
  readonly uris?: readonly string[];
  readonly schema?: readonly Column[];
  readonly options?: LoadOptions;
}

export interface StatementLimits {
  /** A statement that would bill more fails instead, and bills nothing. Bytes, a positive whole number. */
  readonly maximumBytesBilled?: number;
}

/** What a statement would do. */
export interface DryRunResult {
  /** The columns that a query would return; none for a statement that changes a table, or a script. */
  readonly schema: readonly Column[];
  /** An upper bound of what it would read. */
  readonly bytesProcessed: number;
}

/** The warehouse, for code that lets it do the work. Every job has a deterministic id, so that a retry attaches to it. */
export interface BigQueryResource {
  /** Files straight into the run's target, no byte of them through this process. Throws `PermanentError` for files that cannot be loaded. */
  load(request: LoadRequest): Promise<FinishedJob>;
  /**
   * A query, with its rows as a stream of plain JSON values, or a statement or script that creates or changes `${target}`, the
   * run's own table before it is checked and published. A statement that would change any other table fails.
   */
  run(
    statement: SqlTemplate,
    limits?: StatementLimits,
  ): Promise<FinishedJob & { rowsOf(): AsyncIterable<Readonly<Record<string, unknown>>> }>;
  /** Checks a statement without running it. Throws `PermanentError` with the place of what is wrong. */
  dryRun(statement: SqlTemplate): Promise<DryRunResult>;
}

export interface ReadableObjects {
  list(prefix?: string): AsyncIterable<{ readonly uri: string; readonly name: string; readonly size: number }>;
  read(name: string): AsyncIterable<Uint8Array>;
}

/** One object as it was written: its generation changes with its content, and never comes back. */
export interface WrittenObject {
  readonly name: string;
  readonly generation: string;
  /** Bytes. */
  readonly size: number;
}

/** Objects below the declared prefix; names are whole, with the prefix. Any other name throws `PermanentError` (`undeclared`). */
export interface WritableObjects {
  list(prefix?: string): AsyncIterable<WrittenObject>;
  /** Throws `PermanentError` (`not-found`) where there is none, or not at that generation. */
  read(name: string, generation?: string): AsyncIterable<Uint8Array>;
  /** The object is there whole, or as it was. */
  write(name: string, body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<WrittenObject>;
  /** Deletes exactly that generation; any other one stays. */
  delete(name: string, generation: string): Promise<void>;
}

export interface CleanUpRequest {
  /** Intervals that end at or before this date are past retention; the asset's own `retentionDays` still holds. */
  readonly before: string;
  readonly dryRun: boolean;
}

export interface CleanUpReport {
  readonly dryRun: boolean;
  readonly deleted: readonly string[];
  readonly kept: readonly { readonly uri: string; readonly reason: string }[];
  readonly droppedTables: readonly string[];
}

/** Deletes what a committed materialization has loaded, and nothing else. */
export interface LoadedObjects {
  deleteLoaded(request: CleanUpRequest): Promise<CleanUpReport>;
}

const LIMITS: Shape<keyof StatementLimits> = { maximumBytesBilled: optional(number) };

/**
 * The warehouse. The asset's own target and its declared upstreams are implied. The limit holds for each statement that sets
 * none of its own. Throws `DefinitionError` for a limit that is no positive whole number.
 */
export function bigquery(limits: StatementLimits = {}): ResourceDefinition<BigQueryResource> {
  checkOptions("bigquery", limits, LIMITS);
  const { maximumBytesBilled: limit } = limits;
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0))
    throw new DefinitionError(`maximumBytesBilled is ${limit}`, { remedy: "give a positive whole number of bytes" });
  return { ...limits, kind: "bigquery", needs: [{ kind: "run-jobs", reason: "runs warehouse jobs" }] };
}

/** Objects in buckets: what code may read, write or clean up, each below a prefix. */
export const gcs = Object.freeze({
  /** Read access below `gs://bucket/prefix`. */
  read(uri: `gs://${string}`): ResourceDefinition<ReadableObjects> {
    const location = parseLocation(uri);
    return { kind: "read-objects", location, needs: [{ kind: "read-objects", ...location, reason: `reads ${uri}` }] };
  },
  /** Reading, writing and deleting below `gs://bucket/prefix`. */
  write(uri: `gs://${string}`): ResourceDefinition<WritableObjects> {
    const location = parseLocation(uri);
    const needs = [
      { kind: "write-objects" as const, ...location, reason: `writes ${uri}` },
      { kind: "read-objects" as const, ...location, reason: `reads ${uri}` },
      { kind: "delete-objects" as const, ...location, reason: `deletes what it has written to ${uri}` },
    ];
    return { kind: "write-objects", location, needs };
  },
  /** Deletion of loaded objects below `gs://bucket/prefix`, on behalf of the asset that loads them. */
  delete(uri: `gs://${string}`, asset: { readonly key: AssetKey }): ResourceDefinition<LoadedObjects> {
    const location = parseLocation(uri);
    if (!isRecord(asset) || typeof asset.key !== "string")
      throw new DefinitionError(`${uri} is not said to be loaded by any asset`, {
        where: "gcs.delete",
        remedy: "name the asset whose loaded objects may go: gcs.delete(uri, asset)",
      });
    return {
      kind: "clean-up",
      location,
      asset: asset.key,
      needs: [{ kind: "delete-objects", ...location, reason: `deletes what ${asset.key} has loaded` }],
    };
  },
});

/** A secret's latest version, as a string, read when a run starts and redacted wherever Sluice writes text. */
export function secret(name: string): ResourceDefinition<string> {
  if (typeof name !== "string" || !/^[A-Za-z0-9_-]{1,255}$/.test(name)) {
    throw new DefinitionError(`the secret name ${shown(name)} is not legal`, {
      remedy: "use letters, digits, _ and -",
    });
  }
  return { kind: "secret", secret: name, needs: [{ kind: "secret", name, reason: `reads the secret ${name}` }] };
}

/** What making a client may use. */
export interface ResourceContext {
  /** Aborted when the run loses its claim or the process stops. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** A secret that the resource's `needs` name; throws `PermanentError` (`undeclared`) for any other. */
  secret(name: string): Promise<string>;
}

export interface ResourceOptions<T> {
  /** What the client touches, with a reason: `secret("token").needs`, or needs of its own. */
  readonly needs?: readonly Need[];
  /**
   * Called once for each execution of a run, when it starts. A client with `Symbol.asyncDispose` or `Symbol.dispose` is
   * disposed when the execution ends, however it ends.
   */
  create(context: ResourceContext): T | Promise<T>;
}

const OPTIONS: Shape<keyof ResourceOptions<unknown>> = { needs: optional(list(rules.need, "needs")), create: code };

/** A client of the author's own, declared like any other resource. Throws `DefinitionError` for options that cannot be. */
export function resource<T>(options: ResourceOptions<T>): ResourceDefinition<T> {
  checkOptions("resource", options, OPTIONS);
  return { kind: "custom", needs: options.needs ?? [], create: (context) => options.create(context) };
}

/** Takes `gs://bucket/prefix` apart; the prefix may be empty. Throws `DefinitionError` for another text, and an illegal bucket. */
export function parseLocation(uri: string): ObjectLocation {
  const match = /^gs:\/\/([^/]+)(?:\/(.*))?$/s.exec(typeof uri === "string" ? uri : "");
  if (match?.[1] === undefined) {
    throw new DefinitionError(`${shown(uri)} is not a bucket location`, {
      remedy: "write gs://bucket/prefix",
    });
  }
  return { bucket: checkBucket(match[1]), prefix: match[2] ?? "" };
}
