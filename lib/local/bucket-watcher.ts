/** Turns finished files into finalized objects: what a bucket's notifications are in the cloud. */
import { lstat } from "node:fs/promises";
import { relative, sep } from "node:path";
import { messageOf } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import { unlessAbsent } from "./folder-file.ts";
import type { FolderObjectStore } from "./folder-object-store.ts";
import { inBatches, type ReadFolder, readFolder, walkObjects } from "./folder-walk.ts";
import { folderWatches } from "./folder-watch.ts";
import { bucketPath, decodePath, isBucketName } from "./object-path.ts";

export interface BucketWatcherOptions {
  readonly store: FolderObjectStore;
  readonly clock: Clock;
  /** The buckets to watch, asked anew at each change; all folders with a bucket's name when left out. */
  readonly buckets?: () => readonly string[];
  /** When this rejects, the object is reported again at its next event, `rescan` or start. */
  readonly onFinalized: (object: ObjectInfo) => Promise<void>;
  /** What went wrong, or was dropped and can be no object; one line each. */
  readonly onError: (error: Error) => void;
  /** Hears, instead of `onError`, of what can be no object: its path below the root, with `/`, and why. */
  readonly onRefused?: (path: string, reason: string) => void;
}

export interface BucketWatcher {
  /** All is watched, and every finished object that was there at the start has been reported. */
  readonly ready: Promise<void>;
  /** Reports an object unless that generation of it has been. For writes of one's own; never rejects. */
  report(object: ObjectInfo): Promise<void>;
  /** Looks at everything again: for buckets that `buckets` newly names, and for events that the system has lost. */
  rescan(): Promise<void>;
  /** Nothing is reported after it resolves. Reports under way are waited for. */
  close(): Promise<void>;
}

/** Of how many reports the watcher remembers that they were made. */
const remembered = 100_000;
const inParallel = 32;

/**
 * Reports each generation of each object once in the life of the watcher, the ones there at its start included (whoever
 * listens recognises what it has handled before). When a file is finished is for the store to say.
 */
export function watchBuckets(options: BucketWatcherOptions): BucketWatcher {
  const { store, clock, onError } = options;
  const closing = new AbortController();
  const reported = recentSet(remembered);
  const refused = recentSet(remembered);
  const looking = new Map<string, { again: boolean }>();
  const underWay = new Set<Promise<void>>();
  const watches = folderWatches({ onChange, onError });

  function isWanted(bucket: string): boolean {
    return isBucketName(bucket) && (options.buckets === undefined || options.buckets().includes(bucket));
  }

  function onChange(path: string): void {
    const [bucket = "", ...rest] = relative(store.root, path).split(sep);
    if (bucket === "") track(rescan());
    else if (isWanted(bucket) && !rest.some((segment) => segment.startsWith("."))) track(look(path));
  }

  /** No rejection is left alone: it becomes an error, and the watcher goes on. */
  function track(work: Promise<void>): void {
    const guarded = work
      .catch((error: unknown) => {
        if (!closing.signal.aborted) onError(error instanceof Error ? error : new Error(String(error)));
      })
      .finally(() => underWay.delete(guarded));
    underWay.add(guarded);
  }

  async function report(object: ObjectInfo): Promise<void> {
    const key = `${object.bucket}/${object.name}#${object.generation}`;
    if (closing.signal.aborted || !reported.add(key)) return;
    try {
      await options.onFinalized(object);
    } catch (error) {
      reported.delete(key);
      onError(
        new Error(`gs://${object.bucket}/${object.name} could not be announced: ${messageOf(error)}`, { cause: error }),
      );
    }
  }

  /** One look at a path at a time; a change during it makes it look again. */
  async function look(path: string): Promise<void> {
    const running = looking.get(path);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    const state = { again: true };
    looking.set(path, state);
    try {
      while (state.again && !closing.signal.aborted) {
        state.again = false;
        await lookOnce(path);
      }
    } finally {
      looking.delete(path);
    }
  }

  async function lookOnce(path: string): Promise<void> {
    // Whatever was watched under this path is gone, or another folder has come in its place.
    watches.drop(path);
    const stats = await unlessAbsent(lstat(path));
    const [bucket = "", ...rest] = relative(store.root, path).split(sep);
    if (stats === undefined) return;
    if (stats.isDirectory()) {
      // Any file in it tells the prefix of the folder.
      const prefix = decodePath([...rest, "x"].join("/"))?.slice(0, -1);
      return prefix === undefined ? refuse(path) : await scan(bucket, prefix);
    }
    if (rest.length === 0) return;
    const name = decodePath(rest.join("/"));
    return name === undefined || !stats.isFile() ? refuse(path) : await settle(bucket, name);
  }

  async function settle(bucket: string, name: string): Promise<void> {
    for (;;) {
      const seen = await store.look(bucket, name);
      if (seen === undefined) return;
      if (seen.waitMs === 0) return await report(seen.object);
      await clock.sleep(Math.ceil(seen.waitMs), closing.signal);
    }
  }

  /** Watches every folder of the bucket under the prefix before it reads it, so that nothing falls in between. */
  async function scan(bucket: string, prefix: string): Promise<void> {
    const folder = bucketPath(store.root, bucket);
    const found = walkObjects({ folder, prefix, readFolder: readWatched, onRefused: refuse });
    for await (const files of inBatches(found, inParallel)) {
      if (closing.signal.aborted) return;
      await Promise.all(
        files.map(async ({ name, path }) => {
          const seen = await store.look(bucket, name);
          if (seen?.waitMs === 0) await report(seen.object);
          else if (seen !== undefined) track(look(path));
        }),
      );
    }
  }

  const readWatched: ReadFolder = async (path) => {
    if (closing.signal.aborted) return [];
    watches.add(path);
    try {
      return await readFolder(path);
    } catch (error) {
      onError(new Error(`${path} cannot be read: ${messageOf(error)}; nothing below it is found`, { cause: error }));
      return [];
    }
  };

  function refuse(path: string): void {
    if (!refused.add(path)) return;
    const shown = relative(store.root, path).split(sep).join("/");
    const reason =
      "links, control characters, backslashes and names over 1,024 bytes make no object; copy the file under a plain name";
    if (options.onRefused !== undefined) options.onRefused(shown, reason);
    else onError(new Error(`${JSON.stringify(shown)} is ignored: ${reason}`));
  }

  async function rescan(): Promise<void> {
    watches.add(store.root);
    for (const entry of await readFolder(store.root)) {
      if (entry.isDirectory() && isWanted(entry.name)) await scan(entry.name, "");
    }
  }

  const ready = rescan();
  track(ready);

  return {
    ready,
    report(object) {
      const reporting = report(object);
      track(reporting);
      return reporting;
    },
    rescan,
    async close() {
      closing.abort();
      watches.close();
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

/** The last `capacity` texts that were added. */
function recentSet(capacity: number) {
  const items = new Set<string>();
  return {
    /** `false` when it was there; then it counts as recent again. */
    add(item: string): boolean {
      const isNew = !items.delete(item);
      items.add(item);
      if (items.size > capacity) for (const oldest of items.values()) return items.delete(oldest) && isNew;
      return isNew;
    },
    delete: (item: string) => items.delete(item),
  };
}
