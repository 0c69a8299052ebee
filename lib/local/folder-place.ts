/** Putting a finished file into its place, and clearing the place of another. */
import { link, lstat, mkdir, open, realpath, rename, rm, rmdir, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { PermanentError } from "../core/errors.ts";
import { hasCode, unlessAbsent } from "./folder-file.ts";

/**
 * Moves `from` over whatever file is at `to`, or, with `onlyNew`, to where nothing is. Both are atomic, also against other
 * processes. Folders are made as needed. `false` when `onlyNew` found something.
 */
export async function place(from: string, to: string, options: { onlyNew: boolean; uri: string }): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    try {
      await makeFolder(dirname(to));
      if (!options.onlyNew) await rename(from, to);
      else if (!(await linkNew(from, to))) return false;
      await syncFolder(dirname(to));
      return true;
    } catch (error) {
      // A clean-up may remove the folder between its making and the move, and an empty folder may stand in the way.
      if (hasCode(error, "ENOENT") && attempt < 10) continue;
      if (hasCode(error, "EISDIR", "ENOTEMPTY", "EEXIST", "ENOTDIR") && attempt < 10 && (await removeEmpty(to))) {
        continue;
      }
      throw explain(error, options.uri);
    }
  }
}

async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    await unlink(from);
    return true;
  } catch (error) {
    if (!hasCode(error, "EEXIST", "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS")) throw error;
    const present = await unlessAbsent(lstat(to));
    if (present?.isDirectory() === true) throw error;
    if (present !== undefined || hasCode(error, "EEXIST")) return false;
    // A file system without hard links (FAT): atomic in this process only.
    await rename(from, to);
    return true;
  }
}

/** A folder is no object: one that holds nothing gives way. */
async function removeEmpty(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch {
    return false;
  }
}

function explain(error: unknown, uri: string): unknown {
  if (hasCode(error, "EISDIR", "ENOTEMPTY", "EEXIST", "ENOTDIR")) {
    return new PermanentError(
      `${uri} cannot be stored: a folder cannot hold an object and other objects below its name; choose another name`,
      { code: "name-conflict", cause: error },
    );
  }
  if (hasCode(error, "ENAMETOOLONG")) {
    return new PermanentError(
      `${uri} cannot be stored: its path is too long for this file system; use a shorter name`,
      {
        code: "bad-name",
        cause: error,
      },
    );
  }
  return error;
}

/** Makes a folder and those above it, refusing to go through a symbolic link. */
async function makeFolder(path: string): Promise<void> {
  for (let existing = path; ; existing = dirname(existing)) {
    const real = await unlessAbsentOrFile(existing);
    if (real === undefined) continue;
    if (real !== existing) {
      throw new PermanentError(`${existing} is behind a symbolic link, which is not followed; use a real folder`, {
        code: "bad-name",
      });
    }
    if (existing !== path) await mkdir(path, { recursive: true });
    return;
  }
}

async function unlessAbsentOrFile(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** So that the name survives a power cut too. Not every system can do this with a folder. */
async function syncFolder(path: string): Promise<void> {
  const handle = await unlessAbsent(open(path, "r"));
  if (handle === undefined) return;
  try {
    await handle.sync();
  } catch (error) {
    if (!hasCode(error, "EINVAL", "EPERM", "EISDIR", "ENOTSUP")) throw error;
  } finally {
    await handle.close();
  }
}

/** Removes the folder and those above it while they are empty, up to `stop`, which stays. */
export async function removeEmptyFolders(path: string, stop: string): Promise<void> {
  for (let folder = path; folder !== stop && (await removeEmpty(folder));) folder = dirname(folder);
}

/** Moves a file back to where it was, unless a newer one is there; then the newer one has replaced it. */
export async function putBack(from: string, to: string, uri: string): Promise<void> {
  if (!(await place(from, to, { onlyNew: true, uri }))) await rm(from, { force: true });
}
