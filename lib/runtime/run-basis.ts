/** What a run's result rests on: its inputs, whether they are still what they were, and what the partition remembers of them. */
import type { AssetDefinition, MaterializeResult } from "../core/asset.ts";
import type { Head, InputObject } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import { compareInputs } from "../core/inputs.ts";
import { EndRun, Park } from "./interruptions.ts";
import { lookAtInputs } from "./look.ts";
import type { Material, Plan } from "./materialize.ts";

export async function inputsChanged(
  plan: Plan,
  before: readonly InputObject[],
  head: Head | undefined,
): Promise<boolean> {
  const { asset, execution } = plan;
  if (asset.source === undefined) return false;
  const now = await lookAtInputs(execution, asset.source, head).catch((error: unknown) => {
    // Whatever the second look says instead of a list (nothing there, not whole), it is not what was loaded.
    if (error instanceof EndRun || error instanceof Park || error instanceof PermanentError) return undefined;
    throw error;
  });
  if (now === undefined) return true;
  const { added, removed, changed } = compareInputs(before, now);
  return added.length + removed.length + changed.length > 0;
}

/** Whether anything declared tells if there is something to do. Without it, every run does its work. */
export function hasInputs(asset: AssetDefinition): boolean {
  return asset.source !== undefined || asset.deps.length > 0;
}

export function headOf(
  { execution: { identity }, upstreams }: Plan,
  { fingerprint, definition, inputs }: Material,
  result: MaterializeResult,
): Omit<Head, "at"> {
  const dataVersion = result.dataVersion === undefined ? {} : { dataVersion: result.dataVersion, definition };
  const versions = Object.keys(upstreams).length === 0 ? {} : { upstreams };
  return {
    materializationId: `m-${identity.id}`,
    runId: identity.id,
    fingerprint,
    inputs,
    ...versions,
    ...dataVersion,
  };
}
