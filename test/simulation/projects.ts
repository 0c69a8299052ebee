/** What the simulated assets are: imports of every kind, what is made from them, and what cleans up behind them. */
import { asset } from "../../lib/core/asset.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import type { AssetKey } from "../../lib/core/asset-key.ts";
import { eager, onMissing } from "../../lib/core/automation.ts";
import { assetCheck } from "../../lib/core/check.ts";
import { collectDefinitions } from "../../lib/core/collect.ts";
import { allChecks } from "../../lib/core/definitions.ts";
import type { Definitions, Watcher } from "../../lib/core/definitions.ts";
import type { Window } from "../../lib/core/interval.ts";
import { bigqueryTable } from "../../lib/core/io-manager.ts";
import { multiAsset } from "../../lib/core/multi-asset.ts";
import { daily } from "../../lib/core/partitions.ts";
import { partition } from "../../lib/core/placeholders.ts";
import { sql } from "../../lib/core/sql.ts";
import { sqlAsset } from "../../lib/core/sql-asset.ts";
import { subscriptionsOf } from "../../lib/core/subscriptions.ts";
import type { Consumer } from "../../lib/core/subscriptions.ts";
import { pool } from "../../lib/core/pool.ts";
import type { PoolDefinition } from "../../lib/core/pool.ts";
import { intervalGcsImportAsset } from "../../lib/factories/interval-gcs.ts";
import type { IntervalGcsAsset } from "../../lib/factories/interval-gcs.ts";
import { remembered } from "./remembered.ts";
import { tickingIn } from "./ticks.ts";
import type { Ticking } from "./ticks.ts";
import { byTheClock, copied, keptRows, rangeOf, retry, savedRows, schema, start } from "./untabled.ts";

export const BUCKET = "drops";
export const IMPORT = "data/days";
export const SENSOR = "days_clean_up_sensor";
export const CLEAN_UP = "days_clean_up_job";
export const SEVERAL = "several";

/** What is deployed at one time. */
export interface Deployment {
  readonly definitions: Definitions;
  /** Who receives what is published to a topic. */
  readonly consumers: ReadonlyMap<string, readonly Consumer[]>;
}

export interface Project extends Deployment {
  readonly name: string;
  /** The next deployment, where the import has another name. */
  readonly renamed?: Deployment | undefined;
  readonly parts: readonly ("a" | "b")[];
  readonly marker: boolean;
  readonly cleans: boolean;
  /** Whether a person backfills its first asset. */
  readonly backfills: boolean;
  /** Whether some files have one more column. */
  readonly widens: boolean;
  /** Whether several days come at once. */
  readonly crowded: boolean;
  /** Whether people often cancel and pause. */
  readonly commanded: boolean;
  /** Whether backfills are asked to be a single run. */
  readonly ranges: boolean;
  /** What comes by the clock. */
  readonly ticking: readonly Ticking[];
  /** Whether there are bad rows. */
  readonly checked: boolean;
  /** The assets that never show a bad row, for their own blocking check or that of all they are made from. */
  readonly guarded: ReadonlySet<AssetKey>;
  /** How many schedules of a hundred play in it. */
  readonly weight: number;
}

const PATTERNS = {
  one: { fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/part-a\.parquet` },
  count: { fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/part-[ab]\.parquet`, complete: { count: 2 } },
  marker: {
    fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/part-[ab]\.parquet`,
    complete: { marker: "_SUCCESS" },
  },
  settle: {
    fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d-\d\d)/part-[ab]\.parquet`,
    complete: { settle: "60s" },
  },
} as const;

function imported(
  mode: "overwrite" | "incremental",
  pattern: keyof typeof PATTERNS,
  more: Partial<IntervalGcsAsset<typeof schema>> = {},
) {
  return intervalGcsImportAsset<typeof schema>({
    keyPrefix: "data",
    name: "days",
    bucketName: BUCKET,
    pathBase: "days",
    destinationTable: "days",
    rawDatasetName: "raw",
    cleanDatasetName: "clean",
    interval: "daily",
    retentionDays: 1,
    format: "PARQUET",
    schema,
    asset: { retry },
    mode,
    ...PATTERNS[pattern],
    ...more,
  });
}

type Upstream = Pick<ReturnType<typeof imported>, "asset">;

const notBad = (of: { readonly asset: AssetDefinition }) =>
  assetCheck({ asset: of.asset, name: "not_bad", blocking: true, sql: sql`SELECT * FROM ${of.asset} WHERE bad` });

/** Day by day, whenever the day above is made; and once, when it is there. */
const byDay = (of: Upstream, more: { readonly pool?: PoolDefinition } = {}) => {
  const partitions = daily({ start });
  const select = sql`SELECT * FROM ${of.asset} WHERE day = ${partition.key}`;
  const eagerly = sqlAsset({ key: "made/by_day", partitions, sql: select, automation: eager(), retry, ...more });
  const below = sql`SELECT * FROM ${eagerly} WHERE day = ${partition.key}`;
  return { eagerly, once: sqlAsset({ key: "made/once", partitions, sql: below, automation: onMissing(), retry }) };
};

const wholly = (of: Upstream, key: string, materialization: "table" | "append" | { merge: ["file"] }) =>
  sqlAsset({ key, schema, materialization, sql: sql`SELECT * FROM ${of.asset}`, automation: eager(), retry });

const rowsOf = (of: Upstream) =>
  asset({
    key: "made/rows",
    partitions: daily({ start }),
    inputs: { days: of.asset },
    schema,
    ioManager: bigqueryTable(),
    automation: eager(),
    retry,
    materialize: (_context, { days }) => copied(days),
  });

/** Two assets from one pass, the second of which takes no bad rows: that holds nothing of the first one back. */
const several = (of: Upstream) => {
  const common = { schema, ioManager: bigqueryTable() };
  const both = multiAsset({
    name: SEVERAL,
    partitions: daily({ start }),
    inputs: { days: of.asset },
    automation: eager(),
    retry,
    assets: { left: { key: "made/left", ...common }, right: { key: "made/right", ...common } },
    async *materialize({ row }, { days }) {
      for await (const { file, day, version, bad } of days) {
        yield row.left({ file, day, version, bad });
        yield row.right({ file, day, version, bad });
      }
    },
  });
  return { both, notBad: notBad({ asset: both.outputs.right }) };
};

interface Making extends Partial<
  Pick<Project, "parts" | "marker" | "cleans" | "checked" | "backfills" | "widens" | "crowded" | "commanded" | "ranges">
> {
  readonly weight: number;
  /** Whether its clock ticks; elsewhere nobody looks for ticks. */
  readonly ticks?: boolean;
  exports(): Readonly<Record<string, unknown>>;
  /** Of the next deployment. */
  next?(): Readonly<Record<string, unknown>>;
}

const twoParts = { parts: ["a", "b"] } as const;
const makings: Readonly<Record<string, Making>> = {
  overwrite: { weight: 17, exports: () => alone(imported("overwrite", "one")) },
  saved: {
    weight: 1,
    ...twoParts,
    exports: () => {
      const days = imported("incremental", "count");
      return { ...alone(days), saved: savedRows(days) };
    },
  },
  incremental: { weight: 18, exports: () => alone(imported("incremental", "one")) },
  "overwrite checked": { weight: 8, checked: true, exports: () => withCheck(imported("overwrite", "one")) },
  "incremental checked": { weight: 8, checked: true, exports: () => withCheck(imported("incremental", "one")) },
  "overwrite count": { weight: 5, ...twoParts, exports: () => alone(imported("overwrite", "count")) },
  "incremental count": { weight: 5, ...twoParts, exports: () => alone(imported("incremental", "count")) },
  "overwrite marker": { weight: 3, ...twoParts, marker: true, exports: () => alone(imported("overwrite", "marker")) },
  "incremental marker": {
    weight: 4,
    ...twoParts,
    marker: true,
    exports: () => alone(imported("incremental", "marker")),
  },
  "overwrite settle": { weight: 4, ...twoParts, exports: () => alone(imported("overwrite", "settle")) },
  "incremental settle": { weight: 4, ...twoParts, exports: () => alone(imported("incremental", "settle")) },
  "overwrite clean-up": {
    weight: 3,
    cleans: true,
    exports: () => ({ days: imported("overwrite", "one", { cleanSuperseded: true }) }),
  },
  "incremental clean-up": {
    weight: 4,
    cleans: true,
    ...twoParts,
    exports: () => ({ days: imported("incremental", "settle") }),
  },
  "incremental extend": {
    weight: 2,
    widens: true,
    exports: () => alone(imported("incremental", "one", { schema: undefined, schemaChange: "extend" })),
  },
  "overwrite extend": {
    weight: 1,
    widens: true,
    exports: () => alone(imported("overwrite", "one", { schema: undefined, schemaChange: "extend" })),
  },
  backfill: {
    weight: 2,
    backfills: true,
    exports: () => alone(imported("incremental", "one")),
  },
  "backfill checked": {
    weight: 1,
    checked: true,
    backfills: true,
    exports: () => withCheck(imported("incremental", "one")),
  },
  "backfill overwrite": {
    weight: 1,
    backfills: true,
    exports: () => alone(imported("overwrite", "one")),
  },
  "by day": {
    weight: 5,
    checked: true,
    exports: () => withCheck(imported("incremental", "one"), byDay),
  },
  replaced: {
    weight: 3,
    exports: () => {
      const days = imported("overwrite", "one");
      return { ...alone(days), table: wholly(days, "made/all", "table") };
    },
  },
  appended: {
    weight: 3,
    exports: () => {
      const days = imported("incremental", "one");
      return { ...alone(days), appended: wholly(days, "made/appended", "append") };
    },
  },
  merged: {
    weight: 3,
    exports: () => {
      const days = imported("incremental", "one");
      return { ...alone(days), merged: wholly(days, "made/merged", { merge: ["file"] }) };
    },
  },
  renamed: {
    weight: 2,
    exports: () => withDays(imported("incremental", "one")),
    next: () => withDays(imported("incremental", "one", { name: "drops", asset: { retry, previousKeys: [IMPORT] } })),
  },
  several: {
    weight: 1,
    checked: true,
    exports: () => {
      const days = imported("incremental", "one");
      return { ...alone(days), ...several(days) };
    },
  },
  "pool of one": { weight: 1, crowded: true, commanded: true, exports: () => pooled(1) },
  "pool of two": { weight: 1, crowded: true, commanded: true, exports: () => pooled(2) },
  "single run": {
    weight: 1,
    backfills: true,
    ranges: true,
    commanded: true,
    exports: () => {
      const days = imported("incremental", "one");
      return { ...alone(days), range: rangeOf(days) };
    },
  },
  stored: {
    weight: 1,
    commanded: true,
    exports: () => {
      const days = imported("incremental", "one");
      return { ...alone(days), ...keptRows(days) };
    },
  },
  "by the clock": { weight: 2, ticks: true, commanded: true, exports: byTheClock },
  rows: {
    weight: 1,
    exports: () => {
      const days = imported("incremental", "one");
      return { ...alone(days), rows: rowsOf(days) };
    },
  },
};

/** The import and what is made from it share a pool. */
function pooled(limit: number): Readonly<Record<string, unknown>> {
  const narrow = pool({ name: "narrow", limit });
  const days = imported("incremental", "one", { asset: { retry, pool: narrow } });
  return { narrow, ...alone(days), byDay: byDay(days, { pool: narrow }).eagerly };
}

/** The import alone: without its clean-up, whose sensor would only be told of everything. */
function alone({ asset: days, checks }: ReturnType<typeof imported>): Readonly<Record<string, unknown>> {
  return { days, checks };
}

function withDays(days: ReturnType<typeof imported>): Readonly<Record<string, unknown>> {
  return { ...alone(days), byDay: byDay(days).eagerly };
}

function withCheck(days: ReturnType<typeof imported>, more?: (of: Upstream) => Readonly<Record<string, unknown>>) {
  return { ...alone(days), notBad: notBad(days), ...more?.(days) };
}

export const projectNames: readonly string[] = Object.keys(makings);

/** Makes each project once, when it is first asked for. */
export function projects(): (name: string) => Project {
  const made = new Map<string, Project>();
  return (name) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const project = makeProject(name);
    made.set(name, project);
    return project;
  };
}

/** Names, each as often as its weight says. */
export const weightedNames: readonly string[] = Object.entries(makings).flatMap(([name, { weight }]) =>
  Array.from({ length: weight }, () => name),
);

function makeProject(name: string): Project {
  const making = makings[name];
  if (making === undefined) throw new Error(`there is no project ${name}`);
  const { definitions, consumers } = deploymentOf(name, making.exports());
  const renamed = making.next === undefined ? undefined : deploymentOf(name, making.next());
  const { weight, ticks = false, exports: _, next: __, ...rest } = making;
  const usual = {
    parts: ["a"] as const,
    marker: false,
    cleans: false,
    checked: false,
    backfills: false,
    widens: false,
    crowded: false,
    commanded: false,
    ranges: false,
  };
  const guarded = guardedIn(definitions);
  const ticking = ticks ? tickingIn(definitions) : [];
  return { name, definitions, consumers, renamed, guarded, weight, ticking, ...usual, ...rest };
}

function deploymentOf(name: string, exports: Readonly<Record<string, unknown>>): Deployment {
  const { definitions, problems } = collectDefinitions([{ file: "simulation", exports }]);
  const [problem] = problems;
  if (problem !== undefined) throw new Error(`${name}: ${String(problem)}`);
  const consumers = new Map<string, Consumer[]>();
  for (const { topic, consumer } of subscriptionsOf(definitions)) {
    const all = consumers.get(topic) ?? [];
    all.push(consumer);
    consumers.set(topic, all);
  }
  return { definitions: remembering(definitions), consumers };
}

function guardedIn(definitions: Definitions): ReadonlySet<AssetKey> {
  const { assets } = definitions;
  const isGuarded = (asset: AssetDefinition): boolean => {
    if (allChecks(definitions, asset).some(({ name }) => name === "not_bad")) return true;
    const above = asset.deps.map((key) => assets.get(key));
    return above.length > 0 && above.every((upstream) => upstream !== undefined && isGuarded(upstream));
  };
  return new Set([...assets.values()].filter(isGuarded).map(({ key }) => key));
}

/** The same few names are matched in every schedule: what is known of them is found out once. */
function remembering(definitions: Definitions): Definitions {
  const watchers = new Map<string, readonly Watcher[]>();
  for (const [bucket, all] of definitions.watchers) {
    const quick = all.map(({ asset: key, matcher }) => {
      const { pattern } = matcher;
      const { match, matchMarker, prefixOf } = pattern;
      const start = remembered(prefixOf, (window: Window) => window.key);
      const itself = (text: string): string => text;
      return {
        asset: key,
        matcher: {
          ...matcher,
          pattern: {
            ...pattern,
            match: remembered(match, itself),
            matchMarker: remembered(matchMarker, itself),
            prefixOf: start,
          },
        },
      };
    });
    watchers.set(bucket, quick);
  }
  return { ...definitions, watchers };
}
