/** Which paths in a tree of folders change, by one watch a folder: the files in it need none of their own. */
import { type FSWatcher, watch } from "node:fs";
import { join, sep } from "node:path";
import { hasCode } from "./folder-file.ts";

export interface FolderWatches {
  /** Watches the folder itself, not what is below; a watch that it had is replaced. Call it before reading the folder. */
  add(folder: string): void;
  has(folder: string): boolean;
  /** Ends the watches of the folder and of all below it. */
  drop(folder: string): void;
  close(): void;
}

export interface FolderWatchesOptions {
  /** Something about `path` changed, or about the folder `path` when the system does not say what. */
  readonly onChange: (path: string) => void;
  readonly onError: (error: Error) => void;
}

export function folderWatches({ onChange, onError }: FolderWatchesOptions): FolderWatches {
  const watchers = new Map<string, FSWatcher>();

  function end(folder: string): void {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  }

  /** A folder that is gone needs no watch and is no error. */
  function fail(folder: string, error: unknown): void {
    end(folder);
    if (hasCode(error, "ENOENT", "ENOTDIR", "EPERM")) return;
    const remedy = hasCode(error, "ENOSPC", "EMFILE")
      ? "raise the system's limit of watches (Linux: sysctl fs.inotify.max_user_watches and max_user_instances)"
      : "new files there are found at the next start only";
    onError(new Error(`${folder} cannot be watched: ${remedy}`, { cause: error }));
  }

  return {
    add(folder) {
      end(folder);
      try {
        const watcher = watch(folder, (type, file) => {
          if (file === null) return onChange(folder);
          const path = join(folder, file);
          // A folder's own attributes say nothing about what is in it, and its watch reports the rest.
          if (type === "rename" || !watchers.has(path)) onChange(path);
        });
        watcher.on("error", (error) => fail(folder, error));
        watchers.set(folder, watcher);
      } catch (error) {
        fail(folder, error);
      }
    },
    has: (folder) => watchers.has(folder),
    drop(folder) {
      if (!watchers.has(folder)) return;
      for (const path of watchers.keys()) if (path === folder || path.startsWith(folder + sep)) end(path);
    },
    close() {
      for (const path of watchers.keys()) end(path);
    },
  };
}
