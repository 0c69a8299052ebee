/**
 * Definitions for somebody who runs a few assets from a desk, against the real data: what is chosen is written to datasets of
 * that person's own, what it reads is read where it really is, and nothing else is left that could start by itself.
 */
import type { AssetDefinition } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import { allNeeds } from "./definitions.ts";
import type { Definitions } from "./definitions.ts";
import { DefinitionError } from "./errors.ts";
import { assetGraph } from "./graph.ts";
import { storeOf } from "./io-manager.ts";
import type { JobDefinition } from "./job.ts";
import { targetNeeds } from "./target.ts";
import type { Target } from "./target.ts";

export interface Redirected {
  readonly definitions: Definitions;
  /** The datasets that are written, by name. */
  readonly datasets: readonly string[];
  /** The real ones that they stand for, in the same order. */
  readonly real: readonly Dataset[];
  /** What is read where it is, and was not chosen. */
  readonly foreign: readonly AssetDefinition[];
  /** Whether rows go through the staging bucket on their way into a table. */
  readonly stages: boolean;
}

export interface Dataset {
  readonly project?: string;
  readonly dataset: string;
}

/** `dev_ann_` of `Ann`: what the names of a person's datasets begin with. Throws `DefinitionError` for a name without letters or digits. */
export function personalPrefix(environment: string, user: string): string {
  const name = user
    .normalize("NFKD")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "");
  if (name !== "") return `${environment}_${name}_`;
  throw new DefinitionError(`${JSON.stringify(user)} makes no name of a dataset`, {
    remedy: "name yourself by --user, with letters and digits",
  });
}

/**
 * Every chosen asset's tables go to `prefix` + the dataset's name. Upstreams that were not chosen become foreign: read as they are
 * and never made. Sensors, jobs and automations are left out. Throws `DefinitionError` for a chosen asset that would write
 * anywhere else, and for an upstream whose rows only its own history could find.
 */
export function redirect(definitions: Definitions, chosen: ReadonlySet<AssetKey>, prefix: string): Redirected {
  const assets = new Map<AssetKey, AssetDefinition>();
  const real = new Map<string, Dataset>();
  const foreign = new Map<AssetKey, AssetDefinition>();
  for (const key of chosen) {
    const asset = definitions.assets.get(key);
    if (asset === undefined) continue;
    refuseOtherWrites(definitions, asset);
    assets.set(key, redirectedAsset(asset, prefix));
    for (const dataset of asset.external === true ? [] : datasetsOf(asset.target))
      real.set(`${prefix}${dataset.dataset}`, dataset);
  }
  for (const key of chosen) {
    const asset = assets.get(key);
    for (const dep of asset?.deps ?? []) {
      const upstream = definitions.assets.get(dep);
      if (asset === undefined || upstream === undefined || assets.has(dep)) continue;
      if (upstream.observe !== undefined) refuseOtherWrites(definitions, upstream);
      refuseHidden(asset, upstream);
      const read = foreignAsset(upstream);
      assets.set(dep, read);
      if (read.foreign === true) foreign.set(dep, read);
    }
  }
  const nodes = [...assets.values()].map(({ key, deps }) => ({ key, deps }));
  const names = [...real.keys()].sort();
  return {
    definitions: {
      assets,
      sensors: new Map(),
      jobs: multiJobs(definitions, assets, chosen),
      checks: definitions.checks.filter((check) => chosen.has(check.asset)),
      pools: definitions.pools,
      alerts: new Map(),
      graph: assetGraph(nodes),
      watchers: new Map(),
      places: definitions.places,
    },
    datasets: names,
    real: names.flatMap((name) => real.get(name) ?? []),
    foreign: [...foreign.values()],
    stages: [...chosen].some((key) => assets.get(key)?.needs.some(({ kind }) => kind === "stage-objects") === true),
  };
}

function datasetsOf(target: Target | undefined): readonly Dataset[] {
  if (target === undefined) return [];
  const { project, dataset } = target.table;
  const where = project === undefined ? {} : { project };
  const staging = target.stagingDataset ?? dataset;
  return [{ ...where, dataset }, ...(staging === dataset ? [] : [{ ...where, dataset: staging }])];
}

function redirectedAsset(asset: AssetDefinition, prefix: string): AssetDefinition {
  const { automation: _, freshness: __, target, ...rest } = asset;
  if (target === undefined || asset.external === true)
    return Object.freeze({ ...rest, ...(target === undefined ? {} : { target }) });
  const own = redirectedTarget(target, prefix);
  const others = asset.needs.filter(({ kind }) => kind !== "write-dataset");
  return Object.freeze({ ...rest, target: own, needs: [...others, ...targetNeeds(asset.key, own)] });
}

/** In the session's own project, whichever the real table is in. */
function redirectedTarget(target: Target, prefix: string): Target {
  const { dataset, table } = target.table;
  const { stagingDataset } = target;
  return {
    ...target,
    table: { dataset: `${prefix}${dataset}`, table },
    ...(stagingDataset === undefined ? {} : { stagingDataset: `${prefix}${stagingDataset}` }),
  };
}

/** A source that its author's code looks at stays what it is; of all others only the data is left. */
function foreignAsset(asset: AssetDefinition): AssetDefinition {
  const { automation: _, retention: __, source: ___, previousKeys: ____, ...rest } = asset;
  if (asset.observe !== undefined) return Object.freeze({ ...rest, checks: [] });
  return Object.freeze({
    ...rest,
    external: true as const,
    foreign: true as const,
    deps: [],
    mappings: {},
    inputs: {},
    resources: {},
    needs: [],
    checks: [],
  });
}

/** The jobs that make several chosen assets by one call of their code. */
function multiJobs(
  { jobs }: Definitions,
  assets: ReadonlyMap<AssetKey, AssetDefinition>,
  chosen: ReadonlySet<AssetKey>,
): ReadonlyMap<string, JobDefinition> {
  const kept = new Map<string, JobDefinition>();
  for (const [name, job] of jobs) {
    if (job.multi === undefined) continue;
    const entries = Object.entries(job.multi.outputs);
    if (!entries.some(([, { key }]) => chosen.has(key))) continue;
    const outputs = Object.fromEntries(
      entries.map(([output, asset]) => [output, chosen.has(asset.key) ? (assets.get(asset.key) ?? asset) : asset]),
    );
    kept.set(name, Object.freeze({ ...job, multi: { ...job.multi, outputs } }));
  }
  return kept;
}

function refuseOtherWrites(definitions: Definitions, asset: AssetDefinition): void {
  const own = asset.external === true ? [] : datasetsOf(asset.target);
  const isOwn = (need: Dataset): boolean =>
    own.some(({ project, dataset }) => dataset === need.dataset && (need.project ?? project) === project);
  for (const need of allNeeds(definitions, asset)) {
    const elsewhere =
      need.kind === "write-objects" || need.kind === "delete-objects"
        ? `gs://${need.bucket}/${need.prefix}`
        : need.kind === "write-dataset" && !isOwn(need)
          ? `the dataset ${need.dataset}`
          : undefined;
    if (elsewhere !== undefined) refuseWrite(asset, `writes ${elsewhere} (${need.reason})`);
  }
  const store = storeOf(asset);
  if (store !== undefined) refuseWrite(asset, `keeps its rows by the I/O manager ${store.name}`);
}

function refuseWrite({ key }: AssetDefinition, what: string): never {
  throw new DefinitionError(`${key} ${what}, and from here only tables in datasets of your own are written`, {
    remedy: "leave it out of the selection, or run it locally, without --target",
  });
}

/** Rows that are in no table are found by a handle, which is in the history of whoever has stored them. */
function refuseHidden({ key, inputs }: AssetDefinition, upstream: AssetDefinition): void {
  if (storeOf(upstream) === undefined || !Object.values(inputs).includes(upstream.key)) return;
  throw new DefinitionError(
    `${key} reads ${upstream.key}, whose I/O manager keeps rows in no table: where they are is known only where it runs`,
    { remedy: "run it locally, without --target" },
  );
}
