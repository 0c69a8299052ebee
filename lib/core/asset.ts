/** The asset: data that some code can bring up to date, one partition at a time. */
import type { z } from "zod";
import { assetKey } from "./asset-key.ts";
import type { AssetKey, KeyOption } from "./asset-key.ts";
import type { AutomationCondition } from "./automation.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { AssetCheckDefinition, InlineCheck } from "./check.ts";
import { brand } from "./definition.ts";
import type { BaseContext, Branded, ResourceClients, ResourceMap, RetryPolicy } from "./definition.ts";
import { dependencies, inputKeys, inputNeeds } from "./asset-inputs.ts";
import type { AssetLike, Dependency, InputMap, InputStreams } from "./asset-inputs.ts";
import { needsOf } from "./asset-needs.ts";
import type { Duration } from "./duration.ts";
import { DefinitionError, within } from "./errors.ts";
import { checkMaxEventAge } from "./event-age.ts";
import type { InputObject } from "./documents.ts";
import { checkFreshness } from "./freshness.ts";
import type { FreshnessPolicy } from "./freshness.ts";
import type { Metadata } from "./events.ts";
import { needsOfCheck, requireNoTable } from "./check-needs.ts";
import { columnsOf } from "./columns.ts";
import { checkCheckedColumns, storedTarget } from "./io-manager.ts";
import type { IoManager } from "./io-manager.ts";
import type { Need } from "./needs.ts";
import { compileObjectSource } from "./object-source.ts";
import type { ObjectSource } from "./object-source.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, optional } from "./options.ts";
import type { Shape } from "./options.ts";
import type { RowPlan } from "./row-plan.ts";
import type { PartitionMapping } from "./partition-mapping.ts";
import type { Partition, PartitionRange, PartitionsDefinition } from "./partitions.ts";
import { poolNameOf } from "./pool.ts";
import type { PoolDefinition } from "./pool.ts";
import { originOf, previousKeysOf } from "./previous-keys.ts";
import { checkRetry } from "./retry.ts";
import { checkTakesRange } from "./single-run.ts";
import type { Observe } from "./source.ts";
import type { SqlTemplate } from "./sql.ts";
import type { TableRef } from "./table.ts";
import { checkTarget, impliedChecks, targetOf } from "./target.ts";
import type { Target, TargetOption } from "./target.ts";

export { dependsOn } from "./asset-inputs.ts";
export type { AssetLike, Dependency, InputMap, InputStreams, RowOf } from "./asset-inputs.ts";

/** What clean-up may remove, and when. */
export interface Retention {
  readonly days: number;
  /** Objects of intervals that came too late to be published may be deleted as well. Default false. */
  readonly cleanSuperseded?: boolean;
}

export interface MaterializeContext<C, P> extends BaseContext {
  readonly asset: AssetKey;
  /** Not there (reading it throws `PermanentError`) in a run that makes several partitions. */
  readonly partition: P;
  /** What this run is to make: its partition alone, but in a backfill's single run. */
  readonly partitionRange: P extends undefined ? undefined : PartitionRange;
  readonly config: C;
  /** The staging table of this run; `undefined` for an asset without a target, or with an I/O manager, which fills its own. */
  readonly target: TableRef | undefined;
  /** The objects of the partition, as they are now; empty for an asset without an object source. */
  readonly inputs: readonly InputObject[];
  /** Stable for this materialization, whatever the number of attempts: hand it to outside systems. */
  readonly idempotencyKey: string;
  /** Adds to the materialization's metadata. */
  metadata(values: Metadata): void;
  /** How far an earlier attempt of this run has come, and how this one says so. */
  readonly checkpoint: Checkpoint;
  /**
   * Says which version of the data the code is about to make. Where the partition shows that version already, made by the
   * same definition, and the run is not forced, it ends the run here as `unchanged` (by an error that is not to be caught).
   * Otherwise the materialization gets it as its `dataVersion`. A version that is not known (or empty) skips nothing.
   */
  skipUnchanged(version: string | null | undefined): void;
}

/** The context of an asset that yields rows. */
export interface RowsContext<C, P, S extends z.ZodObject> extends MaterializeContext<C, P> {
  /** The row as it is, typed by the asset's schema: `yield row({ … })` keeps literals and says at once what does not fit. */
  row(value: z.input<S>): z.input<S>;
}

/** What code that yields rows may return: an array, an iterable or an async iterable, as generators are, or a promise of one. */
export type Produced<Row> = Rows<Row> | Promise<Rows<Row>>;

/** One by one, or several at a time, as the pages of a crawl: an array stands for its rows. */
type Rows<Row> = Iterable<Row | readonly Row[]> | AsyncIterable<Row | readonly Row[]>;

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
  /** `"gitcoin/passport_scores"`, or its segments, where a list of segments counts as well as one. */
  readonly key: KeyOption;
  /**
   * What the asset was called before, the oldest name first; keep them for ever. It takes over all that was known of it, and
   * a table that follows from the key follows from the oldest one, so that the data stays where it is.
   */
  readonly previousKeys?: readonly string[];
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
  /** The pool that its runs share: each takes a slot of it before it begins, and waits for one while it is full. */
  readonly pool?: string | PoolDefinition;
  /** By when its data has to be there. */
  readonly freshness?: FreshnessPolicy;
  /**
   * A request whose message was sent longer ago, such as `"6h"`, is skipped (`too-old`). Default: none is too old. Not for
   * backfills, and not with `force`; what waits here, for another run or the end of a pause, does not age.
   */
  readonly maxEventAge?: Duration;
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
  /**
   * The table that the rows become visible in: `"dataset.table"`, `"project.dataset.table"`, or a whole `Target`. Default, with
   * a `bigquery()` resource: by the key, `a/b/c` is table `c` of dataset `a_b`. `"none"`: the asset keeps no table.
   */
  readonly target?: TargetOption;
  /** The columns that readers may rely on. */
  readonly schema?: S;
  readonly ioManager?: undefined;
  /**
   * `"single-run"`: the code makes all of `context.partitionRange`, so that `sluice backfill --single-run` can hand it a whole
   * range at once. Only for partitioned assets that keep no table, and take neither a source nor inputs.
   */
  readonly backfill?: "single-run";
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
  /** What it was called before, the oldest name first. */
  readonly previousKeys?: readonly AssetKey[] | undefined;
  /** The data is made elsewhere: Sluice reads it, and never writes, stages, cleans or drops it. */
  readonly external?: true;
  /** Its history is kept elsewhere: what its table shows is read as it is, and there is no head of it here. */
  readonly foreign?: true;
  /** Looks at a source that is made elsewhere, for what version it has now. */
  readonly observe?: Observe;
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
  /** The statement whose rows the asset's are: of a `sqlAsset`, as data, with its placeholders. */
  readonly sql?: SqlTemplate;
  /** The multi-asset that makes it, and what its code calls it. */
  readonly multi?: { readonly name: string; readonly output: string };
  /** Stores the rows that `materialize` yields. */
  readonly ioManager?: IoManager | undefined;
  readonly retention?: Retention;
  readonly resources: ResourceMap;
  readonly needs: readonly Need[];
  readonly config?: z.ZodObject | undefined;
  readonly schema?: S;
  /** Of a stub, in the place of the schema: how its rows are read. */
  readonly rows?: RowPlan;
  readonly automation?: AutomationCondition;
  readonly checks: readonly InlineCheck[];
  readonly retry: RetryPolicy;
  readonly pool?: string;
  readonly freshness?: FreshnessPolicy;
  readonly maxEventAge?: Duration;
  /** The code takes a whole range of partitions in one run, if a backfill asks for that. */
  readonly backfill?: "single-run" | undefined;
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

type Known<O> = O extends unknown ? keyof O : never;
type Any<O extends "asset" | "rows"> = O extends "asset"
  ? AssetOptions<ResourceMap, Config, Partitions, InputMap>
  : RowsOptions<ResourceMap, Config, Partitions, InputMap, Schema>;

const OPTIONS: Shape<Known<Any<"asset"> | Any<"rows">>> = {
  ...rules.about,
  ...rules.work,
  ...rules.hands,
  source: optional(rules.source),
  retention: optional(rules.retention),
  target: optional(rules.target),
  schema: optional(rules.zodObject),
  ioManager: optional(rules.ioManager),
  backfill: optional(rules.backfill),
};

/**
 * Defines an asset. With an I/O manager its code yields rows, else it works by its resources. Throws `DefinitionError` for
 * an unknown option or one of another type, a bad key, table, pattern, schema or an impossible combination.
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
  checkOptions(rules.assetName(options), options, OPTIONS);
  // One of the two kinds above, seen without their type parameters.
  return defineAsset(options as AnyOptions);
}

/** The definition behind `asset` and `sqlAsset`. */
export function defineAsset(options: AnyOptions): AssetDefinition {
  const key = assetKey(options.key);
  return within(key, () => definitionOf(key, options));
}

function definitionOf(key: AssetKey, options: AnyOptions): AssetDefinition {
  const { source, partitions, resources, ioManager } = options;
  const previousKeys = options.previousKeys === undefined ? undefined : previousKeysOf(key, options.previousKeys);
  const origin = originOf({ key, previousKeys });
  if (source !== undefined) compileObjectSource(source);
  const wantsTable = Object.values(resources ?? {}).some(({ kind }) => kind === "bigquery");
  const target =
    ioManager === undefined
      ? targetOf(origin, partitions, options.target, wantsTable)
      : managedTarget(key, origin, ioManager, options);
  if (target !== undefined) checkTarget(key, target, partitions);
  if (target?.publish === "view" && options.sql === undefined)
    throw new DefinitionError(`${key} has no statement that could become a view`, { remedy: "make it a sqlAsset" });
  const owned = ioManager !== undefined || options.sql !== undefined;
  const implied = target === undefined ? [] : impliedChecks(target, owned);
  const checks = [...implied, ...(options.checks ?? [])];
  if (ioManager !== undefined && options.schema !== undefined) checkCheckedColumns(key, options.schema, checks);
  const blocking = checks.find((check) => check.blocking);
  if (blocking !== undefined && target === undefined) refuseBlocking({ key }, blocking.name);
  if (target === undefined) for (const check of checks) requireNoTable(key, check, ioManager !== undefined);
  const { materialize, deps, inputs, target: _, previousKeys: __, pool, ...rest } = options;
  if (options.freshness !== undefined) checkFreshness(options.freshness, partitions, key);
  checkMaxEventAge(options.maxEventAge, key);
  if (options.backfill !== undefined) checkTakesRange(key, { ...options, target });
  return Object.freeze({
    ...rest,
    ...(target === undefined ? {} : { target }),
    [brand]: true as const,
    kind: "asset" as const,
    key,
    ...(previousKeys === undefined ? {} : { previousKeys }),
    owners: options.owners ?? [],
    tags: options.tags ?? {},
    kinds: options.kinds ?? [],
    ...dependencies([...(deps ?? []), ...Object.values(inputs ?? {})]),
    inputs: inputKeys(key, inputs ?? {}, resources ?? {}),
    resources: resources ?? {},
    needs: [
      ...needsOf({ key, origin }, { ...options, target }),
      ...inputNeeds(key, inputs ?? {}),
      ...checks.flatMap((check) => needsOfCheck(key, check, target !== undefined)),
    ],
    checks,
    retry: checkRetry(options.retry ?? {}, key),
    ...(pool === undefined ? {} : { pool: poolNameOf(pool) }),
    // The runtime hands in exactly what this definition's own schema and resources describe; the types meet again there.
    materialize,
  });
}

/** The options of both kinds, as far as the definition goes. */
export type AnyOptions = Omit<CommonOptions<ResourceMap, Config, Partitions, InputMap>, "inputs"> &
  Pick<AssetDefinition, "materialize" | "schema" | "ioManager" | "sql" | "multi" | "backfill"> & {
    readonly target?: TargetOption | undefined;
    readonly inputs?: InputMap;
  };

/** The table of an I/O manager that keeps one. */
function managedTarget(key: AssetKey, origin: AssetKey, manager: IoManager, options: AnyOptions): Target | undefined {
  if (options.target !== undefined) {
    throw new DefinitionError(`${key} has a target and an I/O manager`, { remedy: "leave the target out" });
  }
  if (options.schema === undefined) {
    throw new DefinitionError(`${key} has an I/O manager, but no schema`, {
      remedy: "give it a schema: z.object({ … })",
    });
  }
  if (manager.kind !== "bigquery-table") {
    columnsOf(options.schema); // refuses what could not be stored
    return undefined;
  }
  return storedTarget(manager, { key, origin, schema: options.schema, partitions: options.partitions });
}

/** Data that is made elsewhere, and an asset that writes elsewhere by itself, have no staging: nothing could be held back. */
export function refuseBlocking({ key, external }: Pick<AssetDefinition, "key" | "external">, check: string): never {
  if (external === true) {
    throw new DefinitionError(`${key} is made elsewhere, so the check ${check} cannot block it`, {
      remedy: "make the check non-blocking: { blocking: false }",
    });
  }
  throw new DefinitionError(`${key} has no managed table, so the check ${check} cannot block it`, {
    remedy: "give the asset a target, or make the check non-blocking",
  });
}

/** The checks of an asset: its own, and those that other definitions add to it. */
export function checksOf(asset: AssetDefinition, others: readonly AssetCheckDefinition[]): readonly InlineCheck[] {
  return [...asset.checks, ...others.filter((check) => check.asset === asset.key)];
}
