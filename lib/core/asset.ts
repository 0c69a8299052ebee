/** The asset: data that some code can bring up to date, one partition at a time. */
import type { z } from "zod";
import { assetKey } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import type { AutomationCondition } from "./automation.ts";
import { inline } from "./check.ts";
import type { AssetCheckDefinition, InlineCheck } from "./check.ts";
import { brand } from "./definition.ts";
import type { BaseContext, Branded, ResourceClients, ResourceMap, RetryPolicy } from "./definition.ts";
import { dependencies, inputKeys, inputNeeds } from "./asset-inputs.ts";
import type { AssetLike, Dependency, InputMap, InputStreams } from "./asset-inputs.ts";
import { DefinitionError } from "./errors.ts";
import type { InputObject } from "./documents.ts";
import type { Metadata } from "./events.ts";
import { checkCheckedColumns, storedTarget } from "./io-manager.ts";
import type { IoManager } from "./io-manager.ts";
import type { Need } from "./needs.ts";
import { compileObjectSource } from "./object-source.ts";
import type { ObjectSource } from "./object-source.ts";
import type { PartitionMapping } from "./partition-mapping.ts";
import type { Partition, PartitionsDefinition } from "./partitions.ts";
import { quoteTable } from "./sql.ts";
import type { TableRef, TimePartitioning } from "./table.ts";
import { checkIdentifier, formatTable } from "./table.ts";

export { dependsOn } from "./asset-inputs.ts";
export type { AssetLike, Dependency, InputMap, InputStreams, RowOf } from "./asset-inputs.ts";

/** The table that an asset's rows become visible in. Sluice stages, audits and publishes; the asset only fills the staging. */
export interface Target {
  readonly table: TableRef;
  /** `table`: each partition, in turn, is the whole table (overwrite). `partition`: each has its own part of it (incremental). */
  readonly slot: "table" | "partition";
  readonly partitioning?: TimePartitioning;
  /** Columns by which rows are kept together; at most four. */
  readonly clustering?: readonly string[];
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
  /** The staging table of this run; `undefined` for an asset without a target, or with an I/O manager, which fills its own. */
  readonly target: TableRef | undefined;
  /** The objects of the partition, as they are now; empty for an asset without an object source. */
  readonly inputs: readonly InputObject[];
  /** Stable for this materialization, whatever the number of attempts: hand it to outside systems. */
  readonly idempotencyKey: string;
  /** Adds to the materialization's metadata. */
  metadata(values: Metadata): void;
}

/** The context of an asset that yields rows. */
export interface RowsContext<C, P, S extends z.ZodObject> extends MaterializeContext<C, P> {
  /** The row as it is, typed by the asset's schema: `yield row({ … })` keeps literals and says at once what does not fit. */
  row(value: z.input<S>): z.input<S>;
}

/** What code that yields rows may return: an array, an iterable or an async iterable, as generators are, or a promise of one. */
export type Produced<Row> = Iterable<Row> | AsyncIterable<Row> | Promise<Iterable<Row> | AsyncIterable<Row>>;

export interface MaterializeResult {
  readonly metadata?: Metadata;
  /** The author's own version of the data: an equal one tells dependents that nothing changed. */
  readonly dataVersion?: string;
}

export type ConfigOf<C> = C extends z.ZodType ? z.output<C> : Readonly<Record<string, unknown>>;
export type PartitionOf<P> = P extends PartitionsDefinition ? Partition : undefined;

type None = Record<never, never>;
type Schema = z.ZodObject;
type Config = z.ZodObject | undefined;
type Partitions = PartitionsDefinition | undefined;

/** What both kinds of assets say of themselves. */
export interface CommonOptions<R extends ResourceMap, C extends Config, P extends Partitions, I extends InputMap> {
  /** `"gitcoin/passport_scores"`, or its segments. */
  readonly key: string | readonly string[];
  readonly description?: string;
  readonly owners?: readonly string[];
  readonly group?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly kinds?: readonly string[];
  readonly partitions?: P;
  /** Assets that this one reads: definitions, keys, or either with the partitions that it reads of them. */
  readonly deps?: readonly (AssetLike | Dependency)[];
  /** Upstreams whose rows the code gets as streams, typed by their schemas: only those of the partitions that it is made from. */
  readonly inputs?: I;
  readonly source?: ObjectSource;
  readonly retention?: Retention;
  readonly resources?: R;
  readonly config?: C;
  readonly automation?: AutomationCondition;
  readonly checks?: readonly InlineCheck[];
  readonly retry?: RetryPolicy;
  /** Part of the fingerprint: change it when the code's meaning changes and partitions should be made anew. */
  readonly codeVersion?: string;
}

/** An asset whose code lets the warehouse do the work, or writes elsewhere by itself. */
export interface AssetOptions<
  R extends ResourceMap,
  C extends Config,
  P extends Partitions,
  I extends InputMap = None,
  S extends Schema = Schema,
> extends CommonOptions<R, C, P, I> {
  readonly target?: Target;
  /** The columns that readers may rely on. */
  readonly schema?: S;
  readonly ioManager?: undefined;
  materialize(
    context: MaterializeContext<ConfigOf<C>, PartitionOf<P>>,
    resources: ResourceClients<R> & InputStreams<I>,
  ): Promise<MaterializeResult | undefined | void>;
}

/** An asset whose code yields rows; its I/O manager stores them. */
export interface RowsOptions<
  R extends ResourceMap,
  C extends Config,
  P extends Partitions,
  I extends InputMap,
  S extends Schema,
> extends CommonOptions<R, C, P, I> {
  readonly target?: undefined;
  /** The columns of the rows. */
  readonly schema: S;
  readonly ioManager: IoManager<NoInfer<Extract<keyof z.output<S>, string>>>;
  materialize(
    context: RowsContext<ConfigOf<C>, PartitionOf<P>, S>,
    resources: ResourceClients<R> & InputStreams<I>,
  ): Produced<z.input<NoInfer<S>>>;
}

/** An asset's definition. Everything but `materialize` and the zod schemas is data. `S`: the schema of its rows. */
export interface AssetDefinition<S extends Schema = Schema> extends Branded<"asset"> {
  readonly key: AssetKey;
  readonly description?: string;
  readonly owners: readonly string[];
  readonly group?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly kinds: readonly string[];
  readonly partitions?: PartitionsDefinition | undefined;
  readonly deps: readonly AssetKey[];
  /** The mappings that the author named, by upstream key. */
  readonly mappings: Readonly<Record<AssetKey, PartitionMapping>>;
  /** The upstreams whose rows the code gets, by the names that it gives them. They are among `deps`. */
  readonly inputs: Readonly<Record<string, AssetKey>>;
  readonly source?: ObjectSource;
  readonly target?: Target;
  /** Stores the rows that `materialize` yields. */
  readonly ioManager?: IoManager | undefined;
  readonly retention?: Retention;
  readonly resources: ResourceMap;
  readonly needs: readonly Need[];
  readonly config?: z.ZodObject | undefined;
  readonly schema?: S;
  readonly automation?: AutomationCondition;
  readonly checks: readonly InlineCheck[];
  readonly retry: RetryPolicy;
  readonly codeVersion?: string;
  materialize(
    context: MaterializeContext<never, never>,
    resources: ResourceClients<ResourceMap>,
  ): Promise<MaterializeResult | undefined | void> | Produced<unknown>;
}

/** The same with what its code takes, for those who call that code themselves, as tests do. */
export interface TypedAsset<
  S extends Schema,
  R extends ResourceMap,
  C extends Config,
  P extends Partitions,
  I extends InputMap,
> extends AssetDefinition<S> {
  /** Never set: it carries the types. */
  readonly takes?: { readonly resources: R; readonly config: C; readonly partitions: P; readonly inputs: I };
}

/**
 * Defines an asset. With an I/O manager its code yields rows, else it works by its resources. Throws `DefinitionError` for
 * a bad key, table, pattern, schema or an impossible combination.
 */
export function asset<
  S extends Schema,
  const R extends ResourceMap = None,
  C extends Config = undefined,
  P extends Partitions = undefined,
  const I extends InputMap = None,
>(options: RowsOptions<R, C, P, I, S>): TypedAsset<S, R, C, P, I>;
export function asset<
  const R extends ResourceMap = None,
  C extends Config = undefined,
  P extends Partitions = undefined,
  const I extends InputMap = None,
  S extends Schema = Schema,
>(options: AssetOptions<R, C, P, I, S>): TypedAsset<S, R, C, P, I>;
export function asset(options: unknown): AssetDefinition {
  // One of the two kinds above, seen without their type parameters.
  return define(options as AnyOptions);
}

function define(options: AnyOptions): AssetDefinition {
  const key = assetKey(options.key);
  const { source, partitions, resources, ioManager } = options;
  if (source !== undefined) compileObjectSource(source);
  const target = ioManager === undefined ? options.target : managedTarget(key, ioManager, options);
  if (target !== undefined) checkTarget(key, target, partitions);
  const checks = [...partitionChecks(options, target), ...(options.checks ?? [])];
  if (ioManager !== undefined && options.schema !== undefined) checkCheckedColumns(key, options.schema, checks);
  const blocking = checks.find((check) => check.blocking);
  if (blocking !== undefined && target === undefined) refuseBlocking(key, blocking.name);
  const { materialize, deps, inputs, target: _, ...rest } = options;
  return Object.freeze({
    ...rest,
    ...(target === undefined ? {} : { target }),
    [brand]: true as const,
    kind: "asset" as const,
    key,
    owners: options.owners ?? [],
    tags: options.tags ?? {},
    kinds: options.kinds ?? [],
    ...dependencies([...(deps ?? []), ...Object.values(inputs ?? {})]),
    inputs: inputKeys(key, inputs ?? {}, resources ?? {}),
    resources: resources ?? {},
    needs: [...needsOf(key, { ...options, target }), ...inputNeeds(key, inputs ?? {})],
    checks,
    retry: options.retry ?? {},
    // The runtime hands in exactly what this definition's own schema and resources describe; the types meet again there.
    materialize,
  });
}

/** The options of both kinds, as far as the definition goes. */
type AnyOptions = Omit<CommonOptions<ResourceMap, Config, Partitions, InputMap>, "inputs"> &
  Pick<AssetDefinition, "materialize" | "schema" | "ioManager"> & {
    readonly target?: Target | undefined;
    readonly inputs?: InputMap;
  };

function managedTarget(key: AssetKey, manager: IoManager, options: AnyOptions): Target {
  if (options.target !== undefined) {
    throw new DefinitionError(`${key} has a target and an I/O manager`, { remedy: "leave the target out" });
  }
  if (options.schema === undefined) {
    throw new DefinitionError(`${key} has an I/O manager, but no schema`, {
      remedy: "give it a schema: z.object({ … })",
    });
  }
  return storedTarget(manager, { key, schema: options.schema, partitions: options.partitions });
}

/** Rows outside of the partition would be refused by it, or be hidden in another one. */
function partitionChecks({ ioManager }: AnyOptions, target: Target | undefined): InlineCheck[] {
  const column = target?.partitioning?.column;
  if (ioManager === undefined || column === undefined || target?.slot !== "partition") return [];
  return [inline({ name: "rows_in_partition", blocking: true, rule: { kind: "in-partition", column } })];
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
  quoteTable(target.table); // refuses what could not be written in a statement
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
  options: Pick<AnyOptions, "source" | "target" | "resources" | "ioManager">,
): readonly Need[] {
  const { source, target, resources, ioManager } = options;
  const needs: Need[] = Object.values(resources ?? {}).flatMap((resource) => resource.needs);
  if (source !== undefined) {
    needs.push({
      kind: "read-objects",
      bucket: source.bucket,
      prefix: source.pathBase,
      reason: `${key} is loaded from it`,
    });
  }
  if (ioManager !== undefined)
    needs.push({ kind: "stage-objects", prefix: `${key}/`, reason: `${key} stages its rows` });
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
