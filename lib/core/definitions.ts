/** The checked set of definitions that everything else works with. */
import { checksOf } from "./asset.ts";
import type { AssetDefinition } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import type { AssetCheckDefinition, InlineCheck } from "./check.ts";
import type { AssetGraph } from "./graph.ts";
import type { JobDefinition } from "./job.ts";
import type { ObjectMatcher } from "./object-source.ts";
import type { SensorDefinition } from "./sensor.ts";

export interface Definitions {
  readonly assets: ReadonlyMap<AssetKey, AssetDefinition>;
  readonly sensors: ReadonlyMap<string, SensorDefinition>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly checks: readonly AssetCheckDefinition[];
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

export type Definition = AssetDefinition | SensorDefinition | JobDefinition | AssetCheckDefinition;

/** All checks of an asset, its own and those of other files. */
export function allChecks(definitions: Definitions, asset: AssetDefinition): readonly InlineCheck[] {
  return checksOf(asset, definitions.checks);
}

/** What a definition is called in messages and in `places`: `asset gitcoin/x`, `job y`, `check gitcoin/x not_empty`. */
export function nameOf(definition: Definition): string {
  if (definition.kind === "asset") return `asset ${definition.key}`;
  if (definition.kind === "check") return `check ${definition.asset} ${definition.name}`;
  return `${definition.kind} ${definition.name}`;
}
