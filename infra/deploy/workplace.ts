/**
 * A deployment's folder on this machine: the files of its calls, and who runs it. By that a lock whose holder was killed here is told
 * from one that is held, and nobody has to wait until it runs out.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kill, pid } from "node:process";
import type { Lock } from "../plan/state.ts";

export interface Workplace {
  /** Absolute. */
  readonly folder: string;
  /** Writes a file for a tool, under a name that follows from its text as well. The result is its path. */
  file(name: string, text: string | Uint8Array): Promise<string>;
  /** Takes everything away. Commands that a person may try by hand need their files: it stays after a failure. */
  remove(): Promise<void>;
}

export async function openWorkplace(token: string, parent = tmpdir()): Promise<Workplace> {
  const folder = folderOf(token, parent);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, PID), String(pid));
  // Calls that run at once may have the same text, and a file that is written anew is empty for whoever reads it meanwhile.
  const written = new Map<string, Promise<void>>();
  return {
    folder,
    async file(name, text) {
      const below = join(folder, createHash("sha256").update(text).digest("hex").slice(0, 16));
      const path = join(below, name);
      const write = async (): Promise<void> => {
        await mkdir(below, { recursive: true });
        await writeFile(path, text);
      };
      const writing = written.get(path) ?? write();
      written.set(path, writing);
      await writing;
      return path;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Whether the lock was taken by a process of this machine that is gone. */
export async function isHolderGone({ token }: Pick<Lock, "token">, parent = tmpdir()): Promise<boolean> {
  const text = await readFile(join(folderOf(token, parent), PID), "utf8").catch(() => "");
  const holder = Number(text);
  return Number.isInteger(holder) && holder > 0 && !isAlive(holder);
}

const PID = "pid";

function folderOf(token: string, parent: string): string {
  return join(parent, `sluice-deploy-${token.replaceAll(/[^\w-]/g, "")}`);
}

function isAlive(process: number): boolean {
  try {
    return kill(process, 0);
  } catch (error) {
    // It is there, and somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
