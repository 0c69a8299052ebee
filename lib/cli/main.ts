#!/usr/bin/env node
/** Starts the `sluice` command. The code is compiled once: later starts take half the time. */
import { exit, stdout, versions } from "node:process";

const NODE = 24;

// An older Node lacks modules that everything else begins with, so nothing of it may be loaded there.
const { runProgram } = Number.parseInt(versions.node, 10) < NODE ? await import("./first-start.ts") : await current();
const code = await runProgram();
// An author's code that does not hear of a stop must not keep the process alive.
stdout.write("", () => exit(code));

async function current(): Promise<{ runProgram(): Promise<number> }> {
  const { enableCompileCache } = await import("node:module");
  enableCompileCache();
  // Only what is loaded after that is cached.
  return await import("./program.ts");
}
