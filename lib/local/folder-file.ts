/** What the file system says about one file, and the generation that follows from it. */
import type { BigIntStats } from "node:fs";
import { lstat } from "node:fs/promises";
import { hash } from "../core/hash.ts";

export interface FileState {
  /**
   * At most 19 digits. It needs no record of its own: the kernel moves a file's change time whenever anything about the
   * file changes, a rename and `cp -p` included, so that these figures never come back together.
   */
  readonly generation: string;
  readonly size: number;
  /** When the file last changed in any way. Milliseconds since the epoch, with a fraction. */
  readonly changedAt: number;
  /** Stays when the file is renamed or linked, and changes when it is written to. */
  readonly content: string;
}

export function stateOf(stats: BigIntStats): FileState {
  const content = `${stats.ino}-${stats.size}-${stats.mtimeNs}`;
  return {
    generation: BigInt.asUintN(63, BigInt(`0x${hash(content, `${stats.ctimeNs}`).slice(0, 16)}`)).toString(),
    size: Number(stats.size),
    changedAt: Number(stats.ctimeNs / 1000n) / 1000,
    content,
  };
}

/** The state of a regular file; `undefined` for anything else: a folder, a symbolic link, nothing. */
export async function inspectFile(path: string): Promise<FileState | undefined> {
  const stats = await unlessAbsent(lstat(path, { bigint: true }));
  return stats?.isFile() === true ? stateOf(stats) : undefined;
}

/** The result, or `undefined` when the file system has nothing under that path. */
export async function unlessAbsent<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP")) return undefined;
    throw error;
  }
}

/** Whether the error is one of the operating system's with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}
