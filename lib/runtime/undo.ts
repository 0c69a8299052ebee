/** What a canceled run has left behind is put away. */
import type { AssetDefinition } from "../core/asset.ts";
import type { RunDocument } from "../core/documents.ts";
import type { JobDefinition } from "../core/job.ts";
import type { Execution } from "./execution.ts";
import { isLast } from "./last-attempt.ts";
import { dropStaged } from "./leftovers.ts";
import { settleUnwanted } from "./publish.ts";
import { abandonVersions } from "./remove-versions.ts";
import { leave, openIntent } from "./run-asset.ts";
import { clearMulti } from "./run-multi.ts";

/**
 * Its open intent comes first: only the end of that says whether there is anything to undo. The result is the run, where its
 * publish had happened.
 */
export async function undoAsset(execution: Execution, asset: AssetDefinition): Promise<RunDocument | undefined> {
  if (asset.external === true) return undefined;
  const intent = await openIntent(execution, asset);
  const settled = intent === undefined ? undefined : await settleUnwanted(execution, intent);
  if (settled !== undefined) return settled;
  // Whatever this very attempt has staged is there still.
  await leave(execution, asset, new Error("the run is to be canceled"), dropStaged);
  await abandonVersions(execution, asset).catch((failure: unknown) => {
    if (!isLast(execution, asset, failure)) throw failure;
  });
  return undefined;
}

export async function undoJob(execution: Execution, job: JobDefinition): Promise<undefined> {
  if (job.multi !== undefined) await clearMulti(execution, job);
}
