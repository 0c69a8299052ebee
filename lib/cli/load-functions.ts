/** Loads the author's modules: every `.ts` below `functions/` but tests and files that start with `_`. */
import { registerHooks } from "node:module";
import { readdir, realpath } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { collectDefinitions } from "../core/collect.ts";
import type { Collected, LoadedModule } from "../core/collect.ts";
import { placeOfError } from "./module-place.ts";

export interface LoadedFunctions extends Collected {
  readonly modules: readonly LoadedModule[];
}

export interface FunctionsLoader {
  /** Loads everything as it is on disk now; what was loaded before stays as it was for whoever holds it. */
  load(): Promise<LoadedFunctions>;
  /** Whether a change of this file could change the definitions. */
  isSource(path: string): boolean;
}

/** `root` is the project's folder; places are named relative to it. */
export function functionsLoader(root: string): FunctionsLoader {
  const folder = resolve(root, "functions");
  let version = 0;
  // Node resolves links before it loads, so this is what the URLs of the modules begin with.
  let real = folder;
  // A module is loaded once for each URL, so a reload needs new ones, for the siblings that a module imports as well.
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      if (!resolved.url.startsWith("file:") || version === 0) return resolved;
      const url = new URL(resolved.url);
      const inside = fileURLToPath(url).startsWith(real + sep);
      if (!inside) return resolved;
      url.searchParams.set("version", String(version));
      return { ...resolved, url: url.href };
    },
  });

  return {
    async load() {
      version += 1;
      real = await realpath(folder).catch(() => folder);
      const files = await sources(folder);
      const modules: LoadedModule[] = [];
      const before = Error.stackTraceLimit;
      // What an author's module has thrown may have been called from it over many a step.
      Error.stackTraceLimit = Math.max(before, STACK);
      try {
        for (const path of files) modules.push(await loadModule(root, path));
      } finally {
        Error.stackTraceLimit = before;
      }
      return { ...collectDefinitions(modules), modules };
    },
    isSource: (path) => /\.(ts|mts|js|mjs|json)$/.test(path),
  };
}

const STACK = 100;

async function loadModule(root: string, path: string): Promise<LoadedModule> {
  const file = relative(root, path).replaceAll(sep, "/");
  try {
    return { file, exports: (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>> };
  } catch (error) {
    return { file, error, place: await placeOfError(error, root, path) };
  }
}

async function sources(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name) && !/\.(test|d)\.m?ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (path) =>
        !relative(folder, path)
          .split(sep)
          .some((segment) => segment.startsWith("_") || segment === "node_modules"),
    )
    .sort();
}
