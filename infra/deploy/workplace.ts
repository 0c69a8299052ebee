/**
 * A deployment's folder on this machine: the files of its calls, and who runs it. By that a lock whose holder was killed here is told
 * from one that is held, and nobody has to wait until it runs out.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join, resolve } from "node:path";
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

/** `project`: the folder of the definitions, absolute. What deployments of the same one have left is cleared away. */
export async function openWorkplace(token: string, project: string, parent = tmpdir()): Promise<Workplace> {
  const folder = folderOf(token, parent);
  const owner = ownerOf(project);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, OWNER), owner);
  await writeFile(join(folder, PID), String(pid));
  await clearLeft(owner, folder, parent);
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
  return await isGone(folderOf(token, parent));
}

/** Whether the process that has opened the folder is gone; a folder that says of none is just being made. */
async function isGone(folder: string): Promise<boolean> {
  const text = await readFile(join(folder, PID), "utf8").catch(() => "");
  const holder = Number(text);
  return Number.isInteger(holder) && holder > 0 && !isAlive(holder);
}

const PID = "pid";
const OWNER = "project";
/** By then no lock is left that somebody would ask about: see LOCK_MS. */
const FORGOTTEN_MS = 24 * 3_600_000;

/** Machines may share a folder for what is temporary, and number their processes alike. */
function ownerOf(project: string): string {
  return `${hostname()} ${project}\n`;
}

/**
 * Takes away what ended deployments of this owner have left. Who ran them is told for a day yet, because one that was killed may have
 * left its lock. What cannot be read or removed is somebody else's, or is just being removed.
 */
async function clearLeft(owner: string, own: string, parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const folder = join(parent, name);
    if (!name.startsWith(START) || folder === own) continue;
    const whose = await readFile(join(folder, OWNER), "utf8").catch(() => "");
    if (whose !== owner || !(await isGone(folder))) continue;
    const { mtimeMs } = await stat(join(folder, PID)).catch(() => ({ mtimeMs: 0 }));
    const isForgotten = Date.now() - mtimeMs > FORGOTTEN_MS;
    const inside = await readdir(folder).catch(() => []);
    const left = isForgotten ? [folder] : inside.filter((one) => one !== PID && one !== OWNER);
    for (const one of left) await rm(resolve(folder, one), { recursive: true, force: true }).catch(() => undefined);
  }
}

const START = "sluice-deploy-";

function folderOf(token: string, parent: string): string {
  return join(parent, `${START}${token.replaceAll(/[^\w-]/g, "")}`);
}

function isAlive(process: number): boolean {
  try {
    return kill(process, 0);
  } catch (error) {
    // It is there, and somebody else's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
