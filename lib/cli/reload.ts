/** The definitions of a running `sluice dev`: the last good ones, replaced when a file in functions/ changes. */
import { join, relative } from "node:path";
import { watch } from "chokidar";
import type { Collected } from "../core/collect.ts";
import type { Catalog } from "./catalog.ts";
import type { FunctionsLoader } from "./load-functions.ts";

export interface Reloading {
  close(): Promise<void>;
}

/** What a reload has led to. The loaded definitions count only where there are no problems. */
export interface Reload {
  readonly loaded: Collected;
  /** The changed files, relative to the project. */
  readonly files: readonly string[];
}

const DEBOUNCE_MS = 150;

/** Loads anew after the files of the project's functions/ have changed, one load at a time. */
export function watchFunctions(options: {
  readonly project: string;
  readonly loader: FunctionsLoader;
  onReload(reload: Reload): Promise<void>;
  onError(error: unknown): void;
}): Reloading {
  const { project, loader, onReload, onError } = options;
  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let reloading: Promise<void> = Promise.resolve();

  const reload = async (): Promise<void> => {
    const files = [...changed].sort();
    changed.clear();
    try {
      await onReload({ loaded: await loader.load(), files });
    } catch (error) {
      onError(error);
    }
  };
  const watcher = watch(join(project, "functions"), {
    ignoreInitial: true,
    ignored: (path) => /[\\/](?:node_modules|\.[^\\/]*)$/.test(path),
  });
  watcher.on("error", onError);
  watcher.on("all", (_event, path) => {
    if (!loader.isSource(path)) return;
    changed.add(relative(project, path));
    clearTimeout(timer);
    timer = setTimeout(() => {
      reloading = reloading.then(reload);
    }, DEBOUNCE_MS);
  });
  return {
    async close() {
      clearTimeout(timer);
      await watcher.close();
      await reloading;
    },
  };
}

/** What is different, in words: `+ gitcoin/a`, `- gitcoin/b`, `~ gitcoin/c`. Code that changed behind the same data shows no difference. */
export function differences(before: Catalog, after: Catalog): readonly string[] {
  const [old, now] = [entriesOf(before), entriesOf(after)];
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const [was, is] = [old.get(name), now.get(name)];
    if (was === is) return [];
    if (was === undefined) return [`+ ${name}`];
    return [is === undefined ? `- ${name}` : `~ ${name}`];
  });
}

function entriesOf({ assets, sensors, jobs }: Catalog): ReadonlyMap<string, string> {
  return new Map([
    ...assets.map((asset) => [asset.key, JSON.stringify(asset)] as const),
    ...sensors.map((sensor) => [`sensor ${sensor.name}`, JSON.stringify(sensor)] as const),
    ...jobs.map((job) => [`job ${job.name}`, JSON.stringify(job)] as const),
  ]);
}
