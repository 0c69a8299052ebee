/**
 * Definitions of an environment that has datasets of its own beside another one's: `gitcoin` becomes `gitcoin_pr_42`, in the
 * environment's own project. What is made elsewhere is read where it is.
 */
import type { AssetDefinition } from "./asset.ts";
import type { Definitions } from "./definitions.ts";
import type { Need } from "./needs.ts";
import type { Target } from "./target.ts";

/** The same definitions for an empty suffix. Applied to all of a project, or to the part that one function loads. */
export function withDatasetSuffix(definitions: Definitions, suffix: string): Definitions {
  if (suffix === "") return definitions;
  const written = writtenDatasets(definitions);
  const needs = (all: readonly Need[]): readonly Need[] => all.map((need) => needElsewhere(need, written, suffix));
  const assets = new Map(
    [...definitions.assets].map(([key, asset]) => {
      const target = asset.external === true ? asset.target : targetElsewhere(asset.target, suffix);
      const moved: AssetDefinition = {
        ...asset,
        ...(target === undefined ? {} : { target }),
        needs: needs(asset.needs),
      };
      return [key, Object.freeze(moved)];
    }),
  );
  const jobs = new Map(
    [...definitions.jobs].map(([name, job]) => {
      const outputs = Object.entries(job.multi?.outputs ?? {}).map(([output, asset]) => [
        output,
        assets.get(asset.key) ?? asset,
      ]);
      const multi =
        job.multi === undefined
          ? {}
          : { multi: { ...job.multi, outputs: Object.fromEntries(outputs) as typeof job.multi.outputs } }; // by the same names
      return [name, Object.freeze({ ...job, ...multi, needs: needs(job.needs) })];
    }),
  );
  return { ...definitions, assets, jobs };
}

/** Every dataset that an asset's rows are published or staged in, as `project.dataset`; the own project is empty. */
export function writtenDatasets({ assets }: Pick<Definitions, "assets">): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { external, target } of assets.values()) {
    if (external === true || target === undefined) continue;
    const { project = "", dataset } = target.table;
    names.add(`${project}.${dataset}`).add(`${project}.${target.stagingDataset ?? dataset}`);
  }
  return names;
}

function targetElsewhere(target: Target | undefined, suffix: string): Target | undefined {
  if (target === undefined) return undefined;
  const { dataset, table } = target.table;
  const { stagingDataset } = target;
  return {
    ...target,
    table: { dataset: `${dataset}${suffix}`, table },
    ...(stagingDataset === undefined ? {} : { stagingDataset: `${stagingDataset}${suffix}` }),
  };
}

/** A dataset that no asset writes is somebody else's, and stays. */
function needElsewhere(need: Need, written: ReadonlySet<string>, suffix: string): Need {
  if (need.kind !== "write-dataset" && need.kind !== "read-dataset") return need;
  if (!written.has(`${need.project ?? ""}.${need.dataset}`)) return need;
  const { project: _, ...rest } = need;
  return { ...rest, dataset: `${need.dataset}${suffix}` };
}
