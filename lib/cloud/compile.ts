/**
 * A step of the deployed build: leaves what V8 compiled of the platform's bundle beside it, for the entry to find. The cloud runs
 * it where it builds the function's image, with the Node and in the folder that the function will have. It only loads the bundle;
 * nothing that an author wrote is run. Without its result, or with one of another Node, functions start a little slower.
 */
import { readdir } from "node:fs/promises";
import { enableCompileCache, flushCompileCache } from "node:module";
import { messageOf } from "../core/errors.ts";

const at = (path: string): URL => new URL(path, import.meta.url);

try {
  const [directory] = process.argv.slice(2);
  if (directory === undefined) throw new Error("say which folder: node compile.mjs FOLDER");
  const { message } = enableCompileCache(directory);
  if (message !== undefined) throw new Error(message);
  for (const file of await readdir(at("platform/"))) await import(at(`platform/${file}`).href);
  for (const file of ["sluice.mjs", "stub.mjs", "zod.mjs"]) await import(at(file).href);
  flushCompileCache();
} catch (error) {
  // It only saves time: no reason to fail a deployment.
  process.stdout.write(`the functions' code was not compiled ahead: ${messageOf(error)}\n`);
}
