/**
 * The hidden folder `root/.sluice-tmp`, on the same file system as the buckets: `write/` holds objects that are not whole
 * yet, `trash/` what a delete has taken away and not yet looked at. Both are small journals: what a dead process left there
 * says by itself what is to be done with it.
 */
import { randomUUID } from "node:crypto";
import { linkSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { hasCode, stateOf } from "./folder-file.ts";

/** A write or delete that has not moved for this long has no process any more. */
const abandonedWriteMs = 3_600_000;
const abandonedDeleteMs = 60_000;

export interface Scratch {
  /** A new, empty file, open for writing. */
  create(): Promise<{ readonly path: string; readonly handle: FileHandle }>;
  /** Where the file at `path`, whose content is `content` by `FileState`, is to be moved before it is deleted. Its folder is made. */
  trashFor(path: string, content: string): Promise<string>;
  /** The folder that holds all trash. */
  readonly trash: string;
}

/** Opens the scratch folder of `root` and finishes what dead processes left in it. `now` is in milliseconds. */
export function openScratch(root: string, now: number): Scratch {
  const writes = join(root, ".sluice-tmp", "write");
  const trash = join(root, ".sluice-tmp", "trash");
  mkdirSync(writes, { recursive: true });
  mkdirSync(trash, { recursive: true });
  for (const name of readdirSync(writes)) {
    const path = join(writes, name);
    if (idleMs(path, now) > abandonedWriteMs) rmSync(path, { force: true });
  }
  for (const name of readdirSync(trash)) recover(root, join(trash, name), now);

  return {
    async create() {
      const path = join(writes, `${process.pid}-${randomUUID()}`);
      return { path, handle: await open(path, "wx") };
    },
    async trashFor(path, content) {
      const trashed = join(trash, `${content}~${randomUUID()}`, relative(root, path));
      await mkdir(dirname(trashed), { recursive: true });
      return trashed;
    },
    trash,
  };
}

/** Ends a delete whose process died between taking the file away and looking at it. */
function recover(root: string, folder: string, now: number): void {
  const expected = folder.slice(folder.lastIndexOf(sep) + 1).split("~")[0];
  if (idleMs(folder, now) <= abandonedDeleteMs) return;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const trashed = join(entry.parentPath, entry.name);
    if (stateOf(lstatSync(trashed, { bigint: true })).content !== expected) putBack(root, folder, trashed);
  }
  rmSync(folder, { recursive: true, force: true });
}

/** It was another generation than the one to delete. A newer file in its place stays. */
function putBack(root: string, folder: string, trashed: string): void {
  const path = join(root, relative(folder, trashed));
  try {
    mkdirSync(dirname(path), { recursive: true });
    linkSync(trashed, path);
  } catch (error) {
    if (!hasCode(error, "EEXIST", "ENOTDIR")) throw error;
  }
}

function idleMs(path: string, now: number): number {
  return now - (lstatSync(path, { throwIfNoEntry: false })?.ctimeMs ?? now);
}
