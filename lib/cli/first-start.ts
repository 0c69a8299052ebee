/** What a Node that is too old for everything else can still do: start a project, which brings the Node that it needs. */
import { argv, env, stderr, versions } from "node:process";
import { Command, CommanderError } from "commander";
import { DefinitionError, messageOf } from "../core/errors.ts";
import type { Runner } from "./command.ts";
import { initCommand } from "./commands/init.ts";
import { openShell } from "./shell.ts";
import { UsageError } from "./usage-error.ts";

/** Resolves with the exit code. */
export async function runProgram(): Promise<number> {
  if (argv[2] !== "init") {
    const remedy =
      "start it with npx in a project after npm install, which brings one, or install it from https://nodejs.org";
    stderr.write(`error: Sluice runs on Node 24, and this is Node ${versions.node}: ${remedy}\n`);
    return 1;
  }
  const run: Runner =
    (work) =>
    async (...args) => {
      const shell = openShell(
        { project: ".", json: false, verbose: false },
        env["SLUICE_HOME"],
        new AbortController().signal,
      );
      await work(
        { shell, bench: () => Promise.reject(new Error("a project is started without a workbench")) },
        ...args,
      );
    };
  try {
    await new Command("sluice").addCommand(initCommand(run).exitOverride()).parseAsync(argv);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    stderr.write(`error: ${messageOf(error)}\n`);
    return error instanceof UsageError || error instanceof DefinitionError ? 2 : 1;
  }
}
