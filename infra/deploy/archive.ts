/** The source archive that all functions share: a zip whose bytes, and so whose name, follow from the files alone. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { zipSync } from "fflate";
import type { Zippable } from "fflate";

export interface Archive {
  readonly bytes: Uint8Array;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
}

/** The first day that a zip can tell; it is written in local time, and read from the date in local time as well. */
const MTIME = new Date(1980, 0, 1);
/** Plain files that everybody may read, whatever they are on this machine. */
const UNIX = 3;
const MODE = 0o100644 << 16;

/** Packs every file below the folder. Equal files give equal bytes, on any machine. */
export async function packFolder(folder: string): Promise<Archive> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
  const files: Zippable = {};
  for (const name of names) files[name.replaceAll(sep, "/")] = await readFile(join(folder, name));
  const bytes = zipSync(files, { level: 6, mtime: MTIME, os: UNIX, attrs: MODE });
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}
