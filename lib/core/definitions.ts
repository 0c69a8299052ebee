/** The checked set of definitions that everything else works with. */
import { checksOf } from "./asset.ts";
import type { AssetDefinition } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import type { AssetCheckDefinition, InlineCheck } from "./check.ts";
import { needsOfCheck } from "./check-needs.ts";
import type { AssetGraph } from "./graph.ts";
import type { AlertDefinition } from "./alert.ts";
import type { JobDefinition } from "./job.ts";
import type { Need } from "./needs.ts";
import type { ObjectMatcher } from "./object-source.ts";
import type { PoolDefinition } from "./pool.ts";
import type { SensorDefinition } from "./sensor.ts";
import { checkNeeds } from "./source.ts";

export interface Definitions {
  readonly assets: ReadonlyMap<AssetKey, AssetDefinition>;
  readonly sensors: ReadonlyMap<string, SensorDefinition>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly checks: readonly AssetCheckDefinition[];
  readonly pools: ReadonlyMap<string, PoolDefinition>;
  readonly alerts: ReadonlyMap<string, AlertDefinition>;
  readonly graph: AssetGraph;
  /** The assets that are loaded from a bucket, by the bucket, their patterns compiled once. */
  readonly watchers: ReadonlyMap<string, readonly Watcher[]>;
  /** Where a definition was written: `functions/gitcoin.ts gitcoinPassportScores`. Keys: `asset gitcoin/x`, `job y`, … */
  readonly places: ReadonlyMap<string, string>;
}

/** An asset that watches a bucket. */
export interface Watcher {
  readonly asset: AssetKey;
  readonly matcher: ObjectMatcher;
}

export type Definition =
  AssetDefinition | SensorDefinition | JobDefinition | AssetCheckDefinition | PoolDefinition | AlertDefinition;

/** All checks of an asset, its own and those of other files. */
export function allChecks(definitions: Definitions, asset: AssetDefinition): readonly InlineCheck[] {
  return checksOf(asset, definitions.checks);
}

/** What an asset's runs need: what it says itself, and what checks of other files take. */
export function allNeeds(definitions: Definitions, asset: AssetDefinition): readonly Need[] {
  const { external, target, checks, needs, key } = asset;
  const added = definitions.checks.filter((check) => check.asset === key);
  const own = added.flatMap((check) => needsOfCheck(key, check, target !== undefined));
  if (external !== true || target === undefined || checks.length > 0) return [...needs, ...own];
  return [...needs, ...own, ...checkNeeds(key, target, added)];
}

/** What a definition is called in messages and in `places`: `asset gitcoin/x`, `job y`, `check gitcoin/x not_empty`, `pool z`, `alert a`. */
export function nameOf(definition: Definition): string {
  if (definition.kind === "asset") return `asset ${definition.key}`;
  if (definition.kind === "check") return `check ${definition.asset} ${definition.name}`;
  return `${definition.kind} ${definition.name}`;
}

/** The module that a definition was written in, by its name in `places`; empty for one that is not there. */
export function fileOf({ places }: Pick<Definitions, "places">, what: string): string {
  return (places.get(what) ?? "").split(" ")[0] ?? "";
}
