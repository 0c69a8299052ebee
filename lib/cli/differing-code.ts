/** What is said of assets whose code here is not what a deployment runs. Loads nothing of the build. */
import type { Shell } from "./shell.ts";
import type { Differing, Workbench } from "./workbench.ts";

/** So many are named. */
const NAMED = 5;

/** One line, where there is something to say. */
export function printDiffering(
  shell: Shell,
  { deployment }: Workbench,
  differing: Differing,
  shown: Iterable<string>,
): void {
  const own = [...shown].filter((key) => differing.has(key));
  if (own.length === 0 || deployment === undefined) return;
  const names = own.slice(0, NAMED).map((key) => (differing.get(key) === "missing" ? `${key} (not deployed)` : key));
  const more = own.length > NAMED ? ` and ${own.length - NAMED} more` : "";
  shell.print(`not as in ${deployment}, which runs what was deployed last: ${names.join(", ")}${more}`);
}

/** What `--json` says of an asset. */
export function differingValue(differing: Differing, key: string): object {
  const how = differing.get(key);
  return how === undefined ? {} : { differsFromDeployed: how };
}
