#!/usr/bin/env node
/** Starts the `sluice` command. The code is compiled once: later starts take half the time. */
import { enableCompileCache } from "node:module";
import { exit, stdout } from "node:process";

enableCompileCache();
// Only what is loaded after that is cached.
const { runProgram } = await import("./program.ts");
const code = await runProgram();
// An author's code that does not hear of a stop must not keep the process alive.
stdout.write("", () => exit(code));
