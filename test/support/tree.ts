import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

/** The root of the repository. */
export const ROOT = join(import.meta.dirname, "..", "..");

const NOT_OURS: readonly string[] = ["node_modules", ".git", "dist", "dist-package", ".sluice"];

/** Every file below a folder of the repository, by name, with `/` between the parts; none when there is no such folder. */
export function filesBelow(folder: string): string[] {
  const start = join(ROOT, folder);
  if (!existsSync(start)) return [];
  return readdirSync(start, { withFileTypes: true })
    .filter((entry) => !NOT_OURS.includes(entry.name))
    .flatMap((entry) => {
      const path = relative(ROOT, join(start, entry.name)).split(sep).join("/");
      return entry.isDirectory() ? filesBelow(path) : [path];
    })
    .sort();
}

export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}
