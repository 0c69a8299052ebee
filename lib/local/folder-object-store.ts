/** The object store on a folder: bucket `b` is the folder `root/b`, and every finished file in it is an object. */
import { constants, mkdirSync, realpathSync } from "node:fs";
import { type FileHandle, open, realpath, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectInfo, ObjectStore } from "../ports/object-store.ts";
import { type FileState, hasCode, inspectFile, stateOf, unlessAbsent } from "./folder-file.ts";
import { place, putBack, removeEmptyFolders } from "./folder-place.ts";
import { openScratch } from "./folder-scratch.ts";
import { inBatches, walkObjects } from "./folder-walk.ts";
import { bucketPath, encodeName, objectPath, parseObjectUri } from "./object-path.ts";

export interface FolderObjectStoreOptions {
  readonly root: string;
  readonly clock: Clock;
  /** A file that others put there is finished once it has not changed for this long. Default 200. */
  readonly settleMs?: number;
  /** Called after each write, before it resolves. The object is there even when this rejects, and the write with it. */
  readonly onFinalized?: (object: ObjectInfo) => Promise<void>;
}

export interface FolderObjectStore extends ObjectStore {
  /** The root with symbolic links resolved. */
  readonly root: string;
  /** The file of an object, be it there or not; throws `PermanentError` (`bad-name`) for an illegal name. */
  pathOf(bucket: string, name: string): string;
  /** The same for `gs://bucket/name`. */
  resolveUri(uri: string): string;
  /** Like `stat`, also for a file that may still be written to: how long to wait before asking again; 0 when it is an object. */
  look(bucket: string, name: string): Promise<{ readonly object: ObjectInfo; readonly waitMs: number } | undefined>;
}

const readBytes = 256 * 1024;

/**
 * `list`, `stat` and `read` show a file once it is finished: this store wrote it, or its change time is `settleMs` old. The
 * modification time plays no part, since copy tools set it to whatever they like. A file that is replaced by hand is
 * therefore missing until its successor has settled. Whoever names a generation has seen it finished, perhaps before this
 * store was opened, and need not wait again.
 *
 * Writes go to a hidden file first and are renamed into place. `ifGeneration: null` is atomic against every process. A given
 * generation is atomic against writers of this store; against others it is a check right before the rename, which is the
 * best that a file system offers. A delete takes the file away, makes sure that it is the one that was checked, and puts it
 * back otherwise.
 */
export function folderObjectStore(options: FolderObjectStoreOptions): FolderObjectStore {
  const { clock, settleMs = 200 } = options;
  mkdirSync(options.root, { recursive: true });
  const root = realpathSync(options.root);
  const scratch = openScratch(root, clock.now());
  const inTurn = turns();
  /** Contents that this store wrote, with when; kept until they count as finished by their age. */
  const own = new Map<string, number>();
  let lastStamp = 0;

  function remember(content: string): void {
    const now = clock.now();
    for (const [old, at] of own) {
      if (now - at <= 2 * settleMs + 1000) break;
      own.delete(old);
    }
    own.set(content, now);
  }

  function waitMs(state: FileState): number {
    if (own.has(state.content)) return 0;
    // A change time in the future means that the clock was set back since, so the change is not a recent one.
    return Math.max(0, settleMs - Math.abs(clock.now() - state.changedAt));
  }

  function infoOf(bucket: string, name: string, state: FileState): ObjectInfo {
    return { bucket, name, generation: state.generation, size: state.size, updated: Math.floor(state.changedAt) };
  }

  /** Whether the folder is where it seems to be, and not behind a symbolic link. */
  async function isReal(folder: string): Promise<boolean> {
    return (await unlessAbsent(realpath(folder))) === folder;
  }

  async function inspect(path: string): Promise<FileState | undefined> {
    return (await isReal(dirname(path))) ? await inspectFile(path) : undefined;
  }

  async function finished(path: string): Promise<FileState | undefined> {
    const state = await inspect(path);
    return state !== undefined && waitMs(state) === 0 ? state : undefined;
  }

  /** Gives the file a modification time that no other write of this store has, so that no two contents look alike. */
  async function stamp(handle: FileHandle): Promise<void> {
    lastStamp = Math.max(lastStamp + 1, Math.floor(clock.now() * 1000));
    await handle.utimes(lastStamp / 1e6, lastStamp / 1e6);
  }

  async function commit(
    temporary: { readonly path: string; readonly handle: FileHandle },
    path: string,
    uri: string,
    ifGeneration: string | null | undefined,
  ): Promise<FileState> {
    const { content } = stateOf(await temporary.handle.stat({ bigint: true }));
    if (typeof ifGeneration === "string") {
      const present = await inspect(path);
      if (present?.generation !== ifGeneration) throw preconditionFailed(uri, `generation ${ifGeneration}`, present);
    }
    // A new name may stay unseen until it is all done; a replaced object must never seem to be gone.
    if (ifGeneration !== null) remember(content);
    try {
      if (!(await place(temporary.path, path, { onlyNew: ifGeneration === null, uri }))) {
        throw preconditionFailed(uri, "no object", await inspect(path));
      }
    } catch (error) {
      own.delete(content);
      throw error;
    }
    const state = stateOf(await temporary.handle.stat({ bigint: true }));
    remember(content);
    return state;
  }

  async function remove(path: string, uri: string, folder: string, generation: string) {
    const present = await inspect(path);
    if (present === undefined) return "missing";
    if (present.generation !== generation) return "changed";
    const trashed = await scratch.trashFor(path, present.content);
    try {
      const taken = await unlessAbsent(rename(path, trashed).then(() => inspectFile(trashed)));
      if (taken === undefined) return "missing";
      if (taken.content !== present.content) {
        await putBack(trashed, path, uri);
        return "changed";
      }
      await rm(trashed);
    } finally {
      // By now only empty folders are left there, unless putting back failed: then the file must stay.
      await removeEmptyFolders(dirname(trashed), scratch.trash);
    }
    await removeEmptyFolders(dirname(path), folder);
    return "deleted";
  }

  const pathOf = (bucket: string, name: string) => objectPath(root, bucket, name);

  return {
    root,
    pathOf,
    resolveUri(uri) {
      const { bucket, name } = parseObjectUri(uri);
      return pathOf(bucket, name);
    },

    async look(bucket, name) {
      const state = await inspect(pathOf(bucket, name));
      return state && { object: infoOf(bucket, name, state), waitMs: waitMs(state) };
    },

    async *list(bucket, { prefix = "", startAfter = "" } = {}) {
      const folder = bucketPath(root, bucket);
      const slash = prefix.lastIndexOf("/");
      if (!(await isReal(slash < 0 ? folder : join(folder, encodeName(prefix.slice(0, slash)))))) return;
      for await (const files of inBatches(walkObjects({ folder, prefix, startAfter }), 32)) {
        const states = await Promise.all(files.map(({ path }) => inspectFile(path)));
        for (const [index, { name }] of files.entries()) {
          const state = states[index];
          if (state !== undefined && waitMs(state) === 0) yield infoOf(bucket, name, state);
        }
      }
    },

    async stat(bucket, name) {
      const state = await finished(pathOf(bucket, name));
      return state && infoOf(bucket, name, state);
    },

    async *read(bucket, name, { generation, signal } = {}) {
      signal?.throwIfAborted();
      const path = pathOf(bucket, name);
      const uri = `gs://${bucket}/${name}`;
      const handle = (await isReal(dirname(path))) ? await openObject(path) : undefined;
      if (handle === undefined) throw notFound(uri, generation);
      try {
        const stats = await handle.stat({ bigint: true });
        const state = stateOf(stats);
        const isThere = generation === undefined ? waitMs(state) === 0 : state.generation === generation;
        if (!stats.isFile() || !isThere) throw notFound(uri, generation);
        for (let at = 0; at < state.size;) {
          signal?.throwIfAborted();
          const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(readBytes), 0, readBytes, at);
          if (bytesRead === 0) break;
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
        signal?.throwIfAborted();
        if (stateOf(await handle.stat({ bigint: true })).content !== state.content) {
          throw new RetryableError(`${uri} was written to while it was read; read it again once it has settled`);
        }
      } finally {
        await handle.close();
      }
    },

    async write(bucket, name, body, { ifGeneration, signal } = {}) {
      signal?.throwIfAborted();
      const path = pathOf(bucket, name);
      const uri = `gs://${bucket}/${name}`;
      const temporary = await scratch.create();
      let state: FileState;
      try {
        await fill(temporary.handle, body, signal);
        await stamp(temporary.handle);
        await temporary.handle.sync();
        state = await inTurn(path, () => {
          signal?.throwIfAborted();
          return commit(temporary, path, uri, ifGeneration);
        });
      } finally {
        await temporary.handle.close();
        await rm(temporary.path, { force: true });
      }
      const info = infoOf(bucket, name, state);
      await options.onFinalized?.(info);
      return info;
    },

    async delete(bucket, name, generation) {
      const path = pathOf(bucket, name);
      return await inTurn(path, () => remove(path, `gs://${bucket}/${name}`, bucketPath(root, bucket), generation));
    },
  };
}

async function fill(
  handle: FileHandle,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sink = async (source: AsyncIterable<Uint8Array>) => {
    for await (const chunk of source) await handle.writeFile(chunk);
  };
  try {
    await pipeline(body, sink, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** Neither follows a link nor waits for the other end of a pipe. */
async function openObject(path: string): Promise<FileHandle | undefined> {
  try {
    return await unlessAbsent(open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
  } catch (error) {
    if (hasCode(error, "ENXIO")) return undefined;
    throw error;
  }
}

/** Runs what is given for one key after the other, and for different keys side by side. */
function turns(): <T>(key: string, action: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return async (key, action) => {
    const turn = (last.get(key) ?? Promise.resolve()).then(action, action);
    last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (last.get(key) === turn) last.delete(key);
    }
  };
}

function notFound(uri: string, generation: string | undefined): PermanentError {
  const which = generation === undefined ? "" : ` at generation ${generation}`;
  return new PermanentError(`${uri} does not exist${which}; list the bucket to see what does`, { code: "not-found" });
}

function preconditionFailed(uri: string, expected: string, present: FileState | undefined): PermanentError {
  const found = present === undefined ? "there is none" : `generation ${present.generation} is there`;
  return new PermanentError(`${uri} was to be written over ${expected}, but ${found}; look again and decide anew`, {
    code: "precondition-failed",
  });
}
