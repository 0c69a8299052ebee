/** The objects of a bucket's folder in order of their names, reading only the folders that can hold some of them. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { decodeSegment, encodeName, fitsName } from "./object-path.ts";
import { unlessAbsent } from "./folder-file.ts";

/** What a walk needs to know about an entry of a folder; `fs.Dirent` is one. */
export interface FolderEntry {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
}

export type ReadFolder = (path: string) => Promise<readonly FolderEntry[]>;

export interface WalkOptions {
  /** The bucket's folder. */
  readonly folder: string;
  readonly prefix?: string;
  /** Exclusive. */
  readonly startAfter?: string;
  readonly readFolder?: ReadFolder;
  /** Called for what lies in the folder and can be no object, except for dot-files. */
  readonly onRefused?: (path: string) => void;
}

export interface WalkedFile {
  readonly name: string;
  readonly path: string;
}

/** The entries of a folder; none when it is gone. */
export const readFolder: ReadFolder = async (path) =>
  (await unlessAbsent(readdir(path, { withFileTypes: true }))) ?? [];

/**
 * Regular files only: symbolic links are neither objects nor followed. The order is that of the names' UTF-8 bytes.
 * Memory grows with the largest folder and the depth, not with the number of files.
 */
export async function* walkObjects(options: WalkOptions): AsyncGenerator<WalkedFile, void, undefined> {
  const { folder, prefix = "", startAfter = "" } = options;
  const base = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  const after = Buffer.from(startAfter);
  const isWanted = (name: string) =>
    name.startsWith(prefix) && fitsName(name) && Buffer.compare(Buffer.from(name), after) > 0;
  /** `name` ends in a slash. All that lies below starts with it. */
  const mayHoldWanted = (name: string) =>
    (name.startsWith(prefix) || prefix.startsWith(name)) &&
    fitsName(name) &&
    (startAfter.startsWith(name) || Buffer.compare(Buffer.from(name), after) > 0);

  const openLevel = async (name: string, path: string) =>
    sortedEntries(await (options.readFolder ?? readFolder)(path), name, path, options.onRefused)
      .filter((entry) => (entry.isFolder ? mayHoldWanted(entry.name) : isWanted(entry.name)))
      .values();

  const basePath = base === "" ? folder : join(folder, encodeName(base.slice(0, -1)));
  const levels = mayHoldWanted(base) || base === "" ? [await openLevel(base, basePath)] : [];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const { value: entry } = level.next();
    if (entry === undefined) levels.pop();
    else if (entry.isFolder) levels.push(await openLevel(entry.name, entry.path));
    else yield { name: entry.name, path: entry.path };
  }
}

interface Entry extends WalkedFile {
  readonly isFolder: boolean;
}

function sortedEntries(
  entries: readonly FolderEntry[],
  parentName: string,
  parentPath: string,
  onRefused: ((path: string) => void) | undefined,
): Entry[] {
  const found: { readonly key: Buffer; readonly entry: Entry }[] = [];
  for (const entry of entries) {
    const path = join(parentPath, entry.name);
    const segment = decodeSegment(entry.name);
    const isFolder = entry.isDirectory();
    if (segment === undefined || !(isFolder || entry.isFile())) {
      if (!entry.name.startsWith(".")) onRefused?.(path);
      continue;
    }
    // A folder sorts as what its objects' names start with.
    const relative = isFolder ? `${segment}/` : segment;
    found.push({ key: Buffer.from(relative), entry: { name: parentName + relative, path, isFolder } });
  }
  return found.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ entry }) => entry);
}

/** Groups what comes, so that a group can be looked at in parallel and the order kept. */
export async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[], void, undefined> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
