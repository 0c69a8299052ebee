/** Whether a deployment runs the code of this checkout: by what its state has recorded of each function. */
import { codeHashes } from "../../infra/build.ts";
import type { Environment } from "../../infra/environments.ts";
import { deployedNameOf } from "../../infra/names.ts";
import { idOf } from "../../infra/plan/item.ts";
import { stateName } from "../../infra/plan/state-calls.ts";
import { parseState } from "../../infra/plan/state.ts";
import type { State } from "../../infra/plan/state.ts";
import { unitsOf } from "../core/units.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { LoadedFunctions } from "./load-functions.ts";
import type { Differing } from "./workbench.ts";

export interface DeployedCodeOptions {
  readonly root: string;
  /** As the author wrote them. */
  readonly loaded: Pick<LoadedFunctions, "definitions" | "modules">;
  readonly objects: Pick<ObjectStore, "read">;
  readonly environment: Pick<Environment, "name" | "namePrefix" | "deploymentBucket">;
}

/** It is a courtesy, and nobody waits for it. */
const PATIENCE_MS = 5_000;

/**
 * Never rejects: empty where nothing was deployed, where its state may not be read, or where it was written before states said that. An
 * update of Sluice itself is no difference.
 */
export async function differingCode({ root, loaded, objects, environment }: DeployedCodeOptions): Promise<Differing> {
  const differing = new Map<string, "changed" | "missing">();
  try {
    const [state, hashes] = await Promise.all([stateOf(objects, environment), codeHashes({ root, ...loaded })]);
    for (const unit of unitsOf(loaded.definitions)) {
      const record = state.resources[idOf("function", deployedNameOf(environment.namePrefix, unit))];
      if (record !== undefined && (record.code === undefined || record.code === hashes.get(unit.id))) continue;
      for (const [key, { multi }] of loaded.definitions.assets)
        if (unit.id === (multi === undefined ? `asset ${key}` : `job ${multi.name}`))
          differing.set(key, record === undefined ? "missing" : "changed");
    }
  } catch {
    return new Map();
  }
  return differing;
}

async function stateOf(
  objects: DeployedCodeOptions["objects"],
  { name, deploymentBucket }: DeployedCodeOptions["environment"],
): Promise<State> {
  const chunks: Uint8Array[] = [];
  const signal = AbortSignal.timeout(PATIENCE_MS);
  for await (const chunk of objects.read(deploymentBucket, stateName(name), { signal })) chunks.push(chunk);
  return parseState(Buffer.concat(chunks).toString("utf8"), `gs://${deploymentBucket}/${stateName(name)}`);
}
