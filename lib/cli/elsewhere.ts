/** What differs where others than this process do the work. */
import type { Command } from "commander";
import { ENVIRONMENTS } from "./environment-file.ts";
import type { Workbench } from "./workbench.ts";

/** Lets a command work against a deployment; its action's `bench` is then that deployment's. */
export function deployable(command: Command): Command {
  return command
    .option("--env <name>", `the deployment of this environment of ${ENVIRONMENTS}, instead of this machine`)
    .option("--gcp-project <id>", "with --env: another project than the environment's own");
}

/** Who goes on with what this process leaves alone: `goes on …`. */
export function goesOn({ deployment }: Pick<Workbench, "deployment">): string {
  return deployment === undefined ? "under `sluice dev` or with the next command" : `in ${deployment}`;
}

/** A store in the cloud is asked once a second; one on this machine as often as people like to look. */
export function paceOf({ deployment }: Pick<Workbench, "deployment">, localMs: number): number {
  return deployment === undefined ? localMs : Math.max(localMs, 1_000);
}
