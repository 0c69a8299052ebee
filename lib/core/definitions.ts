/**
 * From the exports of an author's modules to one checked set of definitions. Everything that is wrong is collected, each
 * with its file and export, so that one bad module hides nothing about the others.
 */
import { checksOf, refuseBlocking } from "./asset.ts";
import type { AssetDefinition } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import { bucketTopicOf, jobTopicOf, materializedTopicOf, sensorTopicOf, topicOf } from "./asset-key.ts";
import type { AssetCheckDefinition, InlineCheck } from "./check.ts";
import { isDefinition } from "./definition.ts";
import { DefinitionError } from "./errors.ts";
import { isFactoryResponse } from "./factory-response.ts";
import { assetGraph } from "./graph.ts";
import type { AssetGraph } from "./graph.ts";
import type { JobDefinition } from "./job.ts";
import type { SensorDefinition } from "./sensor.ts";
import { didYouMean } from "./suggest.ts";
import { formatTable } from "./table.ts";

/** A loaded module: `functions/gitcoin.ts` and what it exports, or the error that it threw. */
export interface LoadedModule {
  readonly file: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly error?: unknown;
}

export interface Definitions {
  readonly assets: ReadonlyMap<AssetKey, AssetDefinition>;
  readonly sensors: ReadonlyMap<string, SensorDefinition>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly checks: readonly AssetCheckDefinition[];
  readonly graph: AssetGraph;
  /** Where a definition was written: `functions/gitcoin.ts gitcoinPassportScores`. Keys: `asset gitcoin/x`, `job y`, … */
  readonly places: ReadonlyMap<string, string>;
}

export interface Collected {
  readonly definitions: Definitions;
  /** What is wrong, in the order of the modules. Nothing deploys while there is any. */
  readonly problems: readonly DefinitionError[];
}

type Any = AssetDefinition | SensorDefinition | JobDefinition | AssetCheckDefinition;

/** Takes every exported definition, factory response and array of these. Never throws for what authors wrote. */
export function collectDefinitions(modules: readonly LoadedModule[]): Collected {
  const problems: DefinitionError[] = [];
  const places = new Map<string, string>();
  const found = new Map<string, Any>();
  const seen = new Set<unknown>();

  const take = (value: unknown, place: string): void => {
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    if (Array.isArray(value)) return value.forEach((item) => take(item, place));
    if (isDefinition(value)) return add(value as Any, place);
    if (!isFactoryResponse(value)) return;
    const { assets, sensors = [], jobs = [], checks = [] } = value;
    for (const part of [...assets, ...sensors, ...jobs, ...checks]) take(part, place);
  };
  const add = (definition: Any, place: string): void => {
    const name = nameOf(definition);
    const other = places.get(name);
    if (other !== undefined) {
      const where = other === place ? "twice here" : `here and in ${other}`;
      problems.push(
        new DefinitionError(`${name} is defined ${where}`, { where: place, remedy: "give one of them another name" }),
      );
      return;
    }
    places.set(name, place);
    found.set(name, definition);
  };

  for (const module of modules) {
    if (module.error !== undefined) problems.push(moduleProblem(module));
    for (const [name, value] of Object.entries(module.exports ?? {})) take(value, `${module.file} ${name}`);
  }

  const all = [...found.values()];
  const assets = new Map(all.filter((d) => d.kind === "asset").map((d) => [d.key, d]));
  const sensors = new Map(all.filter((d) => d.kind === "sensor").map((d) => [d.name, d]));
  const jobs = new Map(all.filter((d) => d.kind === "job").map((d) => [d.name, d]));
  const checks = all.filter((d) => d.kind === "check");
  const graph = assetGraph([...assets.values()].map(({ key, deps }) => ({ key, deps })));
  const definitions: Definitions = { assets, sensors, jobs, checks, graph, places };
  problems.push(...graphProblems(definitions), ...tableProblems(definitions), ...referenceProblems(definitions));
  return { definitions, problems };
}

/** All checks of an asset, its own and those of other files. */
export function allChecks(definitions: Definitions, asset: AssetDefinition): readonly InlineCheck[] {
  return checksOf(asset, definitions.checks);
}

/** Who receives what. The local bus and the deployment make their subscriptions from this list. */
export interface SubscriptionPlan {
  readonly name: string;
  readonly topic: string;
  readonly consumer: Consumer;
}

export type Consumer =
  | { readonly kind: "asset"; readonly key: AssetKey }
  | { readonly kind: "job"; readonly name: string }
  | { readonly kind: "sensor"; readonly name: string }
  | { readonly kind: "bucket"; readonly bucket: string };

export function subscriptionsOf(definitions: Definitions): readonly SubscriptionPlan[] {
  const plans: SubscriptionPlan[] = [];
  for (const key of definitions.assets.keys()) {
    plans.push({ name: topicOf(key), topic: topicOf(key), consumer: { kind: "asset", key } });
  }
  for (const name of definitions.jobs.keys()) {
    plans.push({ name: jobTopicOf(name), topic: jobTopicOf(name), consumer: { kind: "job", name } });
  }
  for (const sensor of definitions.sensors.values()) {
    const own = sensorTopicOf(sensor.name);
    const consumer = { kind: "sensor" as const, name: sensor.name };
    plans.push({ name: own, topic: own, consumer });
    if (sensor.watches.kind === "asset") {
      plans.push({ name: `${own}.materialized`, topic: materializedTopicOf(sensor.watches.asset), consumer });
    }
  }
  for (const bucket of watchedBuckets(definitions)) {
    plans.push({ name: bucketTopicOf(bucket), topic: bucketTopicOf(bucket), consumer: { kind: "bucket", bucket } });
  }
  return plans;
}

export function watchedBuckets(definitions: Definitions): readonly string[] {
  const buckets = new Set<string>();
  for (const asset of definitions.assets.values()) if (asset.source !== undefined) buckets.add(asset.source.bucket);
  for (const { watches } of definitions.sensors.values()) if (watches.kind === "objects") buckets.add(watches.bucket);
  return [...buckets].sort();
}

function nameOf(definition: Any): string {
  if (definition.kind === "asset") return `asset ${definition.key}`;
  if (definition.kind === "check") return `check ${definition.asset} ${definition.name}`;
  return `${definition.kind} ${definition.name}`;
}

function moduleProblem(module: LoadedModule): DefinitionError {
  const { error, file } = module;
  const at = error instanceof DefinitionError && error.where !== undefined ? ` ${error.where}` : "";
  const remedy = error instanceof DefinitionError && error.remedy !== undefined ? { remedy: error.remedy } : {};
  return new DefinitionError(error instanceof Error ? error.message : String(error), {
    where: `${file}${at}`,
    cause: error,
    ...remedy,
  });
}

function graphProblems({ graph, places }: Definitions): DefinitionError[] {
  const at = (key: string): { where?: string } => {
    const where = places.get(`asset ${key}`);
    return where === undefined ? {} : { where };
  };
  return [
    ...graph.unknown.map(
      ({ key, dep, remedy }) =>
        new DefinitionError(`${key} depends on ${dep}, which is not defined`, {
          ...at(key),
          ...(remedy === undefined ? {} : { remedy }),
        }),
    ),
    ...graph.cycles.map(
      (cycle) =>
        new DefinitionError(`the dependencies run in a circle: ${cycle.join(" → ")}`, {
          ...at(cycle[0] ?? ""),
          remedy: "take one of them out",
        }),
    ),
  ];
}

/** Two assets with one table would replace each other's rows. */
function tableProblems({ assets, places }: Definitions): DefinitionError[] {
  const owners = new Map<string, AssetKey>();
  const problems: DefinitionError[] = [];
  for (const asset of assets.values()) {
    if (asset.target === undefined) continue;
    const table = formatTable({ dataset: asset.target.table.dataset, table: asset.target.table.table }).toLowerCase();
    const owner = owners.get(table);
    if (owner === undefined) owners.set(table, asset.key);
    else {
      problems.push(
        new DefinitionError(`${asset.key} and ${owner} both write the table ${table}`, {
          where: places.get(`asset ${asset.key}`) ?? asset.key,
          remedy: "give one of them another table",
        }),
      );
    }
  }
  return problems;
}

function referenceProblems(definitions: Definitions): DefinitionError[] {
  const { assets, jobs, places, checks, sensors } = definitions;
  const problems: DefinitionError[] = [];
  const known = (key: AssetKey, who: string): void => {
    if (assets.has(key)) return;
    const hint = didYouMean(key, assets.keys());
    problems.push(
      new DefinitionError(`${who} refers to the asset ${key}, which is not defined`, {
        where: places.get(who) ?? who,
        remedy: hint ?? "export that asset too",
      }),
    );
  };
  for (const check of checks) {
    known(check.asset, `check ${check.asset} ${check.name}`);
    const asset = assets.get(check.asset);
    if (!check.blocking || asset === undefined || asset.target !== undefined) continue;
    try {
      refuseBlocking(asset.key, check.name);
    } catch (error) {
      const { message, remedy } = error as DefinitionError; // refuseBlocking throws nothing else
      problems.push(
        new DefinitionError(message, {
          where: places.get(nameOf(check)) ?? check.name,
          ...(remedy === undefined ? {} : { remedy }),
        }),
      );
    }
  }
  for (const sensor of sensors.values()) {
    const who = `sensor ${sensor.name}`;
    if (sensor.watches.kind === "asset") known(sensor.watches.asset, who);
    if (sensor.requests.kind === "asset") known(sensor.requests.key, who);
    else if (!jobs.has(sensor.requests.name)) {
      problems.push(
        new DefinitionError(`${who} requests the job ${sensor.requests.name}, which is not exported`, {
          where: places.get(who) ?? who,
          remedy: "export the job, or return it from the factory",
        }),
      );
    }
  }
  return problems;
}
