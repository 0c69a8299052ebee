/** The folder in which the history of runs against the real thing is kept: of one project, by one person, by one process at a time. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { PermanentError } from "../core/errors.ts";
import { systemRandom } from "../local/system-clock.ts";

const homeSchema = z.strictObject({
  v: z.literal(1),
  /** Tells its jobs from those of any other history. */
  id: z.string(),
  project: z.string(),
  location: z.string(),
  /** Begins the names of the datasets that are written: `dev_ann_`. */
  prefix: z.string(),
});

export type GcpHome = z.output<typeof homeSchema>;

const FILE = "gcp.json";

/** What the folder is for; `undefined` for any other folder. */
export async function readGcpHome(home: string): Promise<GcpHome | undefined> {
  const file = join(home, FILE);
  if (!existsSync(file)) return undefined;
  const text = await readFile(file, "utf8");
  try {
    return homeSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new PermanentError(`${file} is not what Sluice has written there: choose another --home`, {
      code: "bad-home",
      cause,
    });
  }
}

type Wanted = Omit<GcpHome, "v" | "id">;

/** What the folder is, if it is made; it is not made by this. Throws `PermanentError` where it is for something else. */
export async function checkGcpHome(home: string, wanted: Wanted): Promise<GcpHome | undefined> {
  const found = await readGcpHome(home);
  if (found === undefined) {
    if (!existsSync(join(home, "warehouse.duckdb"))) return undefined;
    throw new PermanentError(`${home} holds local runs: choose another --home for those on Google Cloud`, {
      code: "bad-home",
    });
  }
  const differs = (["project", "location", "prefix"] as const).find((name) => found[name] !== wanted[name]);
  if (differs === undefined) return found;
  throw new PermanentError(
    `${home} is the history of ${differs} ${found[differs]}, and this is ${wanted[differs]}: choose another --home for it`,
    { code: "bad-home" },
  );
}

/** Makes the folder, or finds it made for the same. Throws as `checkGcpHome`. */
export async function useGcpHome(home: string, wanted: Wanted): Promise<GcpHome> {
  const found = await checkGcpHome(home, wanted);
  if (found !== undefined) return found;
  const made: GcpHome = { v: 1, id: systemRandom().id(), ...wanted };
  await mkdir(home, { recursive: true });
  // Whole or not at all.
  await writeFile(join(home, `${FILE}.new`), `${JSON.stringify(made)}\n`);
  await rename(join(home, `${FILE}.new`), join(home, FILE));
  return made;
}

/** Held by one process, and let go when that ends, however it ends. Throws `PermanentError` (`locked`) while another has it. */
export function lockHome(home: string): () => void {
  const lock = new DatabaseSync(join(home, "lock.sqlite"));
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    lock.close();
    throw new PermanentError(`another sluice process uses ${home}; wait for it, or choose another --home`, {
      code: "locked",
      cause,
    });
  }
  return () => lock.close();
}
