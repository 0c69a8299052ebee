/** How commands find the `sluice dev` of a home: a file with its address and the secret that its control server asks for. */
import { randomBytes } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kill } from "node:process";
import { z } from "zod";

const devSchema = z.object({
  pid: z.int().positive(),
  /** `http://127.0.0.1:4711` */
  url: z.string().regex(/^http:\/\/127\.0\.0\.1:\d+$/),
  token: z.string().min(32),
});
export type DevAddress = z.infer<typeof devSchema>;

export const PING_PATH = "/api/ping";
export const pingSchema = z.object({ pid: z.number() });
/** It answers at once, unless it or the machine has a great deal to do; whoever takes it for dead would be in its way. */
const PATIENCE_MS = 20_000;

export function newToken(): string {
  return randomBytes(32).toString("hex");
}

/** Only its owner may read the file. */
export async function writeDevFile(home: string, dev: DevAddress): Promise<void> {
  const path = devPath(home);
  const draft = `${path}.${dev.pid}`;
  await rm(draft, { force: true });
  await writeFile(draft, JSON.stringify(dev), { mode: 0o600 });
  await rename(draft, path);
}

/** Removes the file, if it is still that of `pid`. */
export async function removeDevFile(home: string, pid: number): Promise<void> {
  if ((await readDevFile(home))?.pid === pid) await rm(devPath(home), { force: true });
}

/** The `sluice dev` that answers for this home. A file that a dead one left behind counts for nothing. */
export async function probeDev(home: string): Promise<DevAddress | undefined> {
  const dev = await readDevFile(home);
  if (dev === undefined || !isAlive(dev.pid)) return undefined;
  try {
    const response = await fetch(dev.url + PING_PATH, {
      headers: { authorization: `Bearer ${dev.token}` },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const answer = pingSchema.safeParse(await response.json());
    return response.ok && answer.success && answer.data.pid === dev.pid ? dev : undefined;
  } catch {
    return undefined; // Another program has its process id or its port, or it is about to end.
  }
}

async function readDevFile(home: string): Promise<DevAddress | undefined> {
  try {
    return devSchema.parse(JSON.parse(await readFile(devPath(home), "utf8")));
  } catch {
    return undefined; // Not there, or of no use.
  }
}

function isAlive(pid: number): boolean {
  try {
    kill(pid, 0); // Sends nothing; it only asks.
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function devPath(home: string): string {
  return join(home, "dev.json");
}
