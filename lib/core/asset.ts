/** The asset: data that some code can bring up to date, one partition at a time. */
import type { z } from "zod";
import { assetKey } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import type { AutomationCondition } from "./automation.ts";
import type { AssetCheckDefinition, InlineCheck } from "./check.ts";
import { brand } from "./definition.ts";
import type { BaseContext, Branded, ResourceClients, ResourceMap, RetryPolicy } from "./definition.ts";
import { DefinitionError } from "./errors.ts";
import type { InputObject } from "./documents.ts";
import type { Metadata } from "./events.ts";
import type { Need } from "./needs.ts";
import { compileObjectSource } from "./object-source.ts";
import type { ObjectSource } from "./object-source.ts";
import type { Partition, PartitionsDefinition } from "./partitions.ts";
import type { TableRef, TimePartitioning } from "./table.ts";
import { checkIdentifier, formatTable } from "./table.ts";

/** The table that an asset's rows become visible in. Sluice stages, audits and publishes; the asset only fills the staging. */
export interface Target {
  readonly table: TableRef;
  /** `table`: each partition, in turn, is the whole table (overwrite). `partition`: each has its own part of it (incremental). */
  readonly slot: "table" | "partition";
  readonly partitioning?: TimePartitioning;
  /** Staging and raw tables live here; the table's own dataset where it is left out. */
  readonly stagingDataset?: string;
  /** After a commit the staging is kept as `<table>__<suffix>` in the staging dataset. */
  readonly keepRaw?: boolean;
  /** What to do when the incoming columns differ. Default `fail`. */
  readonly schemaChange?: "extend" | "fail";
}

/** What clean-up may remove, and when. */
export interface Retention {
  readonly days: number;
  /** Objects of intervals that came too late to be published may be deleted as well. Default false. */
  readonly cleanSuperseded?: boolean;
}

export interface MaterializeContext<C, P> extends BaseContext {
  readonly asset: AssetKey;
  readonly partition: P;
  readonly config: C;
  /** The staging table of this run; `undefined` for an asset without a managed table. */
  readonly target: TableRef | undefined;
  /** The objects of the partition, as they are now; empty for an asset without an object source. */
  readonly inputs: readonly InputObject[];
  /** Stable for this materialization, whatever the number of attempts: hand it to outside systems. */
  readonly idempotencyKey: string;
  /** Adds to the materialization's metadata. */
  metadata(values: Metadata): void;
}

export interface MaterializeResult {
  readonly metadata?: Metadata;
  /** The author's own version of the data: an equal one tells dependents that nothing changed. */
  readonly dataVersion?: string;
}

type ConfigOf<C> = C extends z.ZodType ? z.output<C> : Readonly<Record<string, unknown>>;
type PartitionOf<P> = P extends PartitionsDefinition ? Partition : undefined;

export interface AssetOptions<
  R extends ResourceMap,
  C extends z.ZodObject | undefined,
  P extends PartitionsDefinition | undefined,
> {
  /** `"gitcoin/passport_scores"`, or its segments. */
  readonly key: string | readonly string[];
  readonly description?: string;
  readonly owners?: readonly string[];
  readonly group?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly kinds?: readonly string[];
  readonly partitions?: P;
  /** Assets that this one reads: definitions, or keys. */
  readonly deps?: readonly (string | { readonly key: AssetKey })[];
  readonly source?: ObjectSource;
  readonly target?: Target;
  readonly retention?: Retention;
  readonly resources?: R;
  readonly config?: C;
  /** The columns that readers may rely on. */
  readonly schema?: z.ZodObject;
  readonly automation?: AutomationCondition;
  readonly checks?: readonly InlineCheck[];
  readonly retry?: RetryPolicy;
  /** Part of the fingerprint: change it when the code's meaning changes and partitions should be made anew. */
  readonly codeVersion?: string;
  materialize(
    context: MaterializeContext<ConfigOf<C>, PartitionOf<P>>,
    resources: ResourceClients<R>,
  ): Promise<MaterializeResult | undefined | void>;
}

/** An asset's definition. Everything but `materialize` and the zod schemas is data. */
export interface AssetDefinition extends Branded<"asset"> {
  readonly key: AssetKey;
  readonly description?: string;
  readonly owners: readonly string[];
  readonly group?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly kinds: readonly string[];
  readonly partitions?: PartitionsDefinition | undefined;
  readonly deps: readonly AssetKey[];
  readonly source?: ObjectSource;
  readonly target?: Target;
  readonly retention?: Retention;
  readonly resources: ResourceMap;
  readonly needs: readonly Need[];
  readonly config?: z.ZodObject | undefined;
  readonly schema?: z.ZodObject;
  readonly automation?: AutomationCondition;
  readonly checks: readonly InlineCheck[];
  readonly retry: RetryPolicy;
  readonly codeVersion?: string;
  materialize(
    context: MaterializeContext<never, never>,
    resources: ResourceClients<ResourceMap>,
  ): Promise<MaterializeResult | undefined | void>;
}

/** Defines an asset. Throws `DefinitionError` for a bad key, table, pattern or an impossible combination. */
export function asset<
  const R extends ResourceMap = Record<never, never>,
  C extends z.ZodObject | undefined = undefined,
  P extends PartitionsDefinition | undefined = undefined,
>(options: AssetOptions<R, C, P>): AssetDefinition {
  const key = assetKey(options.key);
  const { source, target, resources } = options;
  if (source !== undefined) compileObjectSource(source);
  if (target !== undefined) checkTarget(key, target, options.partitions);
  const blocking = options.checks?.find((check) => check.blocking);
  if (blocking !== undefined && target === undefined) refuseBlocking(key, blocking.name);
  const { materialize, deps, ...rest } = options;
  return Object.freeze({
    ...rest,
    [brand]: true as const,
    kind: "asset" as const,
    key,
    owners: options.owners ?? [],
    tags: options.tags ?? {},
    kinds: options.kinds ?? [],
    deps: (deps ?? []).map((dep) => assetKey(typeof dep === "string" ? dep : dep.key)),
    resources: resources ?? {},
    needs: needsOf(key, options),
    checks: options.checks ?? [],
    retry: options.retry ?? {},
    // The runtime hands in exactly what this definition's own schema and resources describe; the types meet again there.
    materialize: materialize as AssetDefinition["materialize"],
  });
}

/** An asset that writes elsewhere by itself has no staging, so nothing could be held back. */
export function refuseBlocking(key: AssetKey, check: string): never {
  throw new DefinitionError(`${key} has no managed table, so the check ${check} cannot block it`, {
    remedy: "give the asset a target, or make the check non-blocking",
  });
}

/** The checks of an asset: its own, and those that other definitions add to it. */
export function checksOf(asset: AssetDefinition, others: readonly AssetCheckDefinition[]): readonly InlineCheck[] {
  return [...asset.checks, ...others.filter((check) => check.asset === asset.key)];
}

function checkTarget(key: AssetKey, target: Target, partitions: PartitionsDefinition | undefined): void {
  checkIdentifier(target.table.dataset, "dataset");
  checkIdentifier(target.table.table, "table");
  if (target.stagingDataset !== undefined) checkIdentifier(target.stagingDataset, "dataset");
  if (target.partitioning?.column !== undefined) checkIdentifier(target.partitioning.column, "partition column");
  if (target.slot === "partition" && partitions?.kind !== "time") {
    throw new DefinitionError(
      `${key} fills ${formatTable(target.table)} partition by partition but has no time partitions`,
      {
        remedy: "give it partitions, or let each run replace the whole table",
      },
    );
  }
}

function needsOf(
  key: AssetKey,
  options: { readonly source?: ObjectSource; readonly target?: Target; readonly resources?: ResourceMap },
): readonly Need[] {
  const { source, target, resources } = options;
  const needs: Need[] = Object.values(resources ?? {}).flatMap((resource) => resource.needs);
  if (source !== undefined) {
    needs.push({
      kind: "read-objects",
      bucket: source.bucket,
      prefix: source.pathBase,
      reason: `${key} is loaded from it`,
    });
  }
  if (target !== undefined) {
    const project = target.table.project === undefined ? {} : { project: target.table.project };
    needs.push({
      kind: "write-dataset",
      ...project,
      dataset: target.table.dataset,
      reason: `${key} is published in it`,
    });
    const staging = target.stagingDataset ?? target.table.dataset;
    if (staging !== target.table.dataset)
      needs.push({ kind: "write-dataset", ...project, dataset: staging, reason: `${key} is staged in it` });
    needs.push({ kind: "run-jobs", ...project, reason: `${key} is published by a job` });
  }
  return needs;
}
