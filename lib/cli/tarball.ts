/** The tarball of a package, as npm takes it. Equal files give equal bytes, whenever and wherever it is made. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { z } from "zod";

const manifestSchema = z.looseObject({
  version: z.string(),
  bin: z.record(z.string(), z.string()).default({}),
  files: z.array(z.string()),
});

/** What npm packs without being told to. */
const ALWAYS = ["package.json", "README.md", "LICENSE"] as const;
/** The day that npm gives to everything it packs: some tools cannot have one before 1980. */
const MTIME = new Date("1985-10-26T08:15:00Z");

export interface Tarball {
  /** `sluice-0.1.0.tgz` */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Packs what the `files` of the folder's package.json name, and nothing below any `node_modules`. */
export async function packPackage(root: string): Promise<Tarball> {
  const text = await readFile(join(root, "package.json"), "utf8");
  const { version, bin, files } = manifestSchema.parse(JSON.parse(text));
  const programs = new Set([...Object.values(bin), "deploy.sh"]);
  const names = (await Promise.all([...ALWAYS, ...files].map((name) => filesOf(root, name)))).flat();
  const entries = await Promise.all(
    [...new Set(names)].sort().map(async (name) => {
      const body = new Uint8Array(await readFile(join(root, name)));
      const mode = programs.has(name) ? 0o755 : 0o644;
      return { header: { name: `package/${name}`, size: body.length, mtime: MTIME, mode }, body };
    }),
  );
  return { name: `sluice-${version}.tgz`, bytes: gzipSync(await packTar(entries), { level: 9 }) };
}

async function filesOf(root: string, name: string): Promise<readonly string[]> {
  if ((await stat(join(root, name))).isFile()) return [name];
  const entries = await readdir(join(root, name), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll(sep, "/"))
    .filter((path) => !path.split("/").includes("node_modules"));
}
