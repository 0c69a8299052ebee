/**
 * A step of the deployed build: leaves what V8 compiled of the platform's scripts beside them. The cloud runs it where it builds
 * the function's image, with the Node that the function will have. It loads the bundle and rehearses a run of an asset of its own;
 * nothing that an author wrote is run. Without its result, or with one of another Node, functions start a little slower.
 */
import { readdirSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../core/errors.ts";
import { platform } from "./platform.ts";

/** Usually it takes a second. What a machine that keeps it from its own stage costs, is no more than this. */
const PATIENCE_MS = 30_000;

/** It only saves time: no reason to fail a deployment. */
function complain(error: unknown): void {
  process.stdout.write(`the functions' code was not all compiled ahead: ${messageOf(error)}\n`);
}

async function load(): Promise<void> {
  for (const file of readdirSync(new URL("platform/", import.meta.url))) if (file.endsWith(".cjs")) platform.load(file);
  const { rehearse } = await import("./rehearsal.ts");
  const recorded = await Promise.race([rehearse(), sleep<readonly string[]>(PATIENCE_MS, [], { ref: false })]);
  if (!recorded.includes("run.succeeded")) throw new Error("the rehearsed run has not succeeded");
}

await load().catch(complain);
try {
  platform.keep();
} catch (error) {
  complain(error);
}
// Whatever the rehearsal has left open.
process.exit(0);
