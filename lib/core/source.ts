/**
 * Data that is made elsewhere. An external asset is a table that somebody else fills, and reports; a source is looked at by
 * its author's code. Both are upstreams like any other asset, and Sluice never writes to either.
 */
import { z } from "zod";
import { refuseBlocking } from "./asset.ts";
import type { AssetDefinition, ConfigOf } from "./asset.ts";
import { assetKey } from "./asset-key.ts";
import type { AssetKey, KeyOption } from "./asset-key.ts";
import type { AutomationCondition, ScheduleCondition } from "./automation.ts";
import type { InlineCheck } from "./check.ts";
import { needsOfCheck } from "./check-needs.ts";
import { brand } from "./definition.ts";
import type { BaseContext, ResourceClients, ResourceMap, RetryPolicy } from "./definition.ts";
import { DefinitionError, PermanentError, within } from "./errors.ts";
import type { Metadata } from "./events.ts";
import type { FreshnessPolicy } from "./freshness.ts";
import { checkFreshness } from "./freshness.ts";
import { timePartitioningType } from "./interval.ts";
import type { Need } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, code, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import type { PartitionsDefinition } from "./partitions.ts";
import { previousKeysOf } from "./previous-keys.ts";
import { checkRetry } from "./retry.ts";
import type { TableRef } from "./table.ts";
import { checkTarget, tableNamed } from "./target.ts";
import type { Target } from "./target.ts";

type Schema = z.ZodObject;
type Config = z.ZodObject | undefined;
type None = Record<never, never>;

interface CommonOptions<S extends Schema> {
  /** `"crm/accounts"`, or its segments. */
  readonly key: KeyOption;
  /** What it was called before, the oldest name first. */
  readonly previousKeys?: readonly string[];
  readonly description?: string;
  readonly owners?: readonly string[];
  readonly group?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly kinds?: readonly string[];
  /** The columns that readers may rely on. */
  readonly schema?: S;
  /** Of the whole table, at every report or observation of something new; none can block. */
  readonly checks?: readonly InlineCheck[];
  /** By when there has to be something new. */
  readonly freshness?: FreshnessPolicy;
}

export interface ExternalAssetOptions<S extends Schema = Schema> extends CommonOptions<S> {
  /** `"dataset.table"`, `"project.dataset.table"`, or its parts. */
  readonly table: string | TableRef;
  readonly partitions?: PartitionsDefinition;
  /** The DATE, DATETIME or TIMESTAMP column that tells the time partitions apart. Default: the time of ingestion. */
  readonly partitionBy?: string;
}

/** What a report may say besides: the config of a request on the asset's topic. */
export const reportSchema = z.strictObject({
  /** The version of the data: an equal one tells that nothing is new. */
  dataVersion: z.string().min(1).max(1_000).optional(),
  metadata: z.record(z.string(), z.json()).optional(),
});

const EXTERNAL: Shape<keyof ExternalAssetOptions> = {
  ...rules.about,
  schema: optional(rules.zodObject),
  table: rules.table,
  partitions: rules.work.partitions,
  partitionBy: optional(text),
};

/**
 * A table made elsewhere. A message on its topic, or `sluice report`, says that there is new data in it: that is recorded as a
 * materialization, and what depends on it follows. Throws `DefinitionError` for bad names and for a blocking check.
 */
export function externalAsset<S extends Schema = Schema>(options: ExternalAssetOptions<S>): AssetDefinition<S> {
  checkOptions(rules.assetName(options), options, EXTERNAL);
  const key = assetKey(options.key);
  return within(key, () => externalDefinition(key, options));
}

function externalDefinition<S extends Schema>(key: AssetKey, options: ExternalAssetOptions<S>): AssetDefinition<S> {
  const { partitions, partitionBy } = options;
  const table = tableNamed(options.table, key, "");
  if (partitionBy !== undefined && partitions?.kind !== "time") {
    throw new DefinitionError(`${key} is told apart by ${partitionBy} but has no time partitions`, {
      remedy: "give it partitions, or leave partitionBy out",
    });
  }
  const target: Target =
    partitions?.kind !== "time"
      ? { table, slot: "table" }
      : {
          table,
          slot: "partition",
          partitioning: {
            type: timePartitioningType(partitions.interval),
            ...(partitionBy === undefined ? {} : { column: partitionBy }),
          },
        };
  const { table: _, partitionBy: __, ...rest } = options;
  return Object.freeze({
    ...common(key, { ...rest, target }),
    needs: sourceNeeds(key, target, options.checks ?? []),
    config: reportSchema,
    resources: {},
    retry: {},
  });
}

export interface ObserveContext<C = Readonly<Record<string, unknown>>> extends BaseContext {
  readonly asset: AssetKey;
  readonly config: C;
  /** The version that was seen last. */
  readonly previous: string | undefined;
}

export interface Observation {
  /** Whatever changes when the source does: an etag, a commit, a time. At most 1,000 characters. */
  readonly dataVersion: string;
  readonly metadata?: Metadata;
}

/** The code of a source, as its definition keeps it. */
export type Observe = (
  context: ObserveContext<never>,
  resources: ResourceClients<ResourceMap>,
) => Promise<Observation | undefined>;

export interface ObservableSourceOptions<
  R extends ResourceMap = None,
  C extends Config = undefined,
  S extends Schema = Schema,
> extends CommonOptions<S> {
  /** Where its rows are, if they are in a table. */
  readonly table?: string | TableRef;
  readonly resources?: R;
  readonly config?: C;
  /** When it is looked at by itself: `onInterval`, `onSchedule` or `onCron`. It is also looked at whenever an asset of its file that depends on it runs. */
  readonly automation?: AutomationCondition;
  readonly retry?: RetryPolicy;
  /** Looks at the source; `undefined` when there is nothing to see. Called at least once for each run. */
  observe(context: ObserveContext<ConfigOf<C>>, resources: ResourceClients<R>): Promise<Observation | undefined>;
}

const SOURCE: Shape<keyof ObservableSourceOptions> = {
  ...rules.about,
  schema: optional(rules.zodObject),
  table: optional(rules.table),
  resources: rules.hands.resources,
  config: rules.work.config,
  automation: rules.work.automation,
  retry: rules.work.retry,
  observe: code,
};

/**
 * Something outside that code can look at. A version that differs from the last one is recorded, and what depends on the
 * source follows; an equal one ends the run as `unchanged`. Throws `DefinitionError` for a bad key or table, a blocking check, and
 * for an automation that waits for upstreams.
 */
export function observableSource<
  const R extends ResourceMap = None,
  C extends Config = undefined,
  S extends Schema = Schema,
>(options: ObservableSourceOptions<R, C, S>): AssetDefinition<S> {
  checkOptions(rules.assetName(options), options, SOURCE);
  const key = assetKey(options.key);
  return within(key, () => sourceDefinition(key, options));
}

function sourceDefinition<R extends ResourceMap, C extends Config, S extends Schema>(
  key: AssetKey,
  options: ObservableSourceOptions<R, C, S>,
): AssetDefinition<S> {
  const target: Target | undefined =
    options.table === undefined ? undefined : { table: tableNamed(options.table, key, ""), slot: "table" };
  const { table: _, automation, config, retry = {}, observe, ...rest } = options;
  const resources: ResourceMap = options.resources ?? {};
  if (target === undefined && options.checks !== undefined && options.checks.length > 0) {
    throw new DefinitionError(`${key} has checks but no table that they could look at`, {
      remedy: "give it a table, or look at what they check in observe",
    });
  }
  return Object.freeze({
    ...common(key, { ...rest, ...(target === undefined ? {} : { target }) }),
    needs: [
      ...Object.values(resources).flatMap(({ needs }) => needs),
      ...(target === undefined ? [] : lookNeeds(key, target, resources)),
      ...(target === undefined ? [] : sourceNeeds(key, target, options.checks ?? [])),
    ],
    // The runtime hands in exactly what this definition's own schema and resources describe; the types meet again there.
    observe: observe as Observe,
    resources,
    retry: checkRetry(retry, key),
    ...(config === undefined ? {} : { config }),
    ...(automation === undefined ? {} : { automation: scheduleOf(key, automation) }),
  });
}

/** A source has no upstreams: it is looked at as soon as the line ticks. */
function scheduleOf(key: AssetKey, automation: AutomationCondition): ScheduleCondition {
  if (automation.kind === "schedule") return automation;
  if (automation.kind === "on-cron") return { kind: "schedule", cron: automation.cron, timeZone: automation.timeZone };
  throw new DefinitionError(`${key} is a source and has no upstreams to follow`, {
    where: "automation",
    remedy: "use onInterval, onSchedule or onCron",
  });
}

type Common<S extends Schema> = CommonOptions<S> & {
  readonly target?: Target;
  readonly partitions?: PartitionsDefinition;
};

function common<S extends Schema>(key: AssetKey, options: Common<S>) {
  const { previousKeys, checks = [], target } = options;
  if (target !== undefined) checkTarget(key, target, options.partitions);
  if (options.freshness !== undefined) checkFreshness(options.freshness, options.partitions, key);
  const blocking = checks.find((check) => check.blocking);
  if (blocking !== undefined) refuseBlocking({ key, external: true }, blocking.name);
  return {
    ...options,
    [brand]: true as const,
    kind: "asset" as const,
    external: true as const,
    key,
    previousKeys: previousKeys === undefined ? undefined : previousKeysOf(key, previousKeys),
    owners: options.owners ?? [],
    tags: options.tags ?? {},
    kinds: options.kinds ?? [],
    deps: [],
    mappings: {},
    inputs: {},
    checks,
    async materialize(): Promise<never> {
      throw new PermanentError(`${key} is made elsewhere: Sluice cannot materialize it`, { code: "external" });
    },
  };
}

function sourceNeeds(key: AssetKey, target: Target, checks: readonly InlineCheck[]): readonly Need[] {
  return [...checkNeeds(key, target, checks), ...checks.flatMap((check) => needsOfCheck(key, check, true))];
}

/** Whoever has the warehouse to look with looks at the source's own table. */
function lookNeeds(key: AssetKey, { table: { project, dataset } }: Target, resources: ResourceMap): readonly Need[] {
  if (!Object.values(resources).some(({ kind }) => kind === "bigquery")) return [];
  const where = project === undefined ? {} : { project };
  return [{ kind: "read-dataset", ...where, dataset, reason: `observe of ${key} may read it` }];
}

/** Reading a table takes nothing of its own asset but for its checks. */
export function checkNeeds(key: AssetKey, { table }: Target, checks: readonly unknown[]): readonly Need[] {
  if (checks.length === 0) return [];
  const project = table.project === undefined ? {} : { project: table.project };
  return [
    { kind: "read-dataset", ...project, dataset: table.dataset, reason: `checks of ${key} read it` },
    { kind: "run-jobs", reason: `checks of ${key} are queries` },
  ];
}
