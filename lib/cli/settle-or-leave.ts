import { PermanentError } from "../core/errors.ts";
import type { Shell } from "./shell.ts";
import type { Workbench } from "./workbench.ts";

/** Does what is to be done now; `false` when another process has the home open, which does it when it looks next. */
export async function settleOrLeave(shell: Shell, bench: Workbench): Promise<boolean> {
  try {
    await bench.settle();
    return true;
  } catch (error) {
    if (!(error instanceof PermanentError) || error.code !== "locked") throw error;
    shell.warn("another sluice process uses this home, and takes it up within 30 seconds");
    return false;
  }
}
