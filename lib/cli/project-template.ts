/** What a new project begins with. Where a file is this repository's own, it is that one, so that both cannot differ. */
import type { Dirent } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, posix, resolve } from "node:path";
import { z } from "zod";
import { UsageError } from "./usage-error.ts";
import { packPackage } from "./tarball.ts";
import type { Tarball } from "./tarball.ts";

/** Sluice itself: the repository, or the installed package. */
const ROOT = resolve(import.meta.dirname, "../..");
/** Where the repository's own tarball is written. */
export const TARBALLS = "dist-package";
/** Where a project keeps the Sluice that it was made with. */
const VENDOR = "vendor";

const README = "README.md";
/** By the name in the project, where it is in Sluice. */
const FILES: Readonly<Record<string, string>> = {
  ".github/workflows/deploy.yml": "template/deploy.yml",
  ".gitignore": "template/gitignore",
  [README]: "template/readme.md",
  "deploy.sh": "deploy.sh",
  "functions/gitcoin.ts": "functions/gitcoin.ts",
  "infra/environments.json": "template/environments.json",
  // What a first compile writes: a project cannot be compiled before its packages are installed.
  "infra/manifest.json": "template/manifest.json",
  "test/functions/gitcoin.test.ts": "test/functions/gitcoin.test.ts",
  "tsconfig.json": "template/tsconfig.json",
};

export interface ProjectFile {
  /** Relative to the project, with `/` between the parts. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly executable: boolean;
}

export interface ProjectOptions {
  readonly name: string;
  /** What npm is to install Sluice from: a tarball's path, or whatever else npm takes. Without it: the Sluice that runs now. */
  readonly package?: string;
}

/** All files of a new project. Throws `UsageError` where there is no tarball to put into it. */
export async function projectFiles({ name, package: wish }: ProjectOptions): Promise<readonly ProjectFile[]> {
  const tarball = wish === undefined ? await ownTarball() : await tarballAt(wish);
  const spec = tarball === undefined ? (wish ?? "") : `file:${VENDOR}/${tarball.name}`;
  const texts = await Promise.all(
    Object.entries(FILES).map(async ([path, source]) => {
      const text = await readFile(join(ROOT, source), "utf8");
      return fileOf(path, path === README ? text.replace("# my-project", `# ${name}`) : text);
    }),
  );
  const vendored = tarball === undefined ? [] : [fileOf(`${VENDOR}/${tarball.name}`, tarball.bytes)];
  return [...texts, fileOf("package.json", await packageJson(name, spec)), ...vendored];
}

function fileOf(path: string, content: string | Uint8Array): ProjectFile {
  return { path, content: Buffer.from(content), executable: path.endsWith(".sh") };
}

const versions = z.record(z.string(), z.string());
const manifestSchema = z.looseObject({ dependencies: versions, devDependencies: versions });

async function packageJson(name: string, spec: string): Promise<string> {
  const template: unknown = JSON.parse(await readFile(join(ROOT, "template/package.json"), "utf8"));
  const { dependencies, devDependencies, ...own } = manifestSchema.parse(template);
  const all = { ...own, name, dependencies: { sluice: spec, ...dependencies }, devDependencies };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}

/** The package that runs now is packed again; the sources have to be compiled for that first. */
async function ownTarball(): Promise<Tarball> {
  if (extname(import.meta.filename) === ".js") return await packPackage(ROOT);
  const folder = join(ROOT, TARBALLS);
  const [name] = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith(".tgz"));
  if (name !== undefined) return { name, bytes: await readFile(join(folder, name)) };
  throw new UsageError("there is no package yet that a project could install: run npm run package first");
}

async function tarballAt(spec: string): Promise<Tarball | undefined> {
  if (!/\.(?:tgz|tar\.gz)$/.test(spec) || /^(?:https?|git\S*):/.test(spec)) return undefined;
  const path = resolve(spec.replace(/^file:/, ""));
  try {
    return { name: basename(path), bytes: await readFile(path) };
  } catch {
    throw new UsageError(`--package ${spec} cannot be read: name a tarball that is there, or leave it out`);
  }
}

/** What is in the folder already and is not as the project would have it. `.git` may be there, and what a cut-off start has left. */
export async function inTheWay(folder: string, files: readonly ProjectFile[]): Promise<readonly string[]> {
  const wanted = new Map(files.map(({ path, content }) => [path, content]));
  const folders = new Set(files.flatMap(({ path }) => foldersOf(path)));
  const isWanted = async (path: string): Promise<boolean> => {
    const content = wanted.get(path);
    return content !== undefined && Buffer.compare(await readFile(join(folder, path)), content) === 0;
  };
  const look = async (below: string): Promise<string[]> => {
    const found: string[] = [];
    for (const entry of await entriesOf(join(folder, below))) {
      const path = posix.join(below, entry.name);
      if (path === ".git") continue;
      if (entry.isDirectory() && folders.has(path)) found.push(...(await look(path)));
      else if (entry.isDirectory()) found.push(`${path}/`);
      else if (!entry.isFile() || !(await isWanted(path))) found.push(path);
    }
    return found;
  };
  return (await look("")).sort();
}

/** Of a folder that is there; throws `UsageError` where something else is in its place. */
async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") throw new UsageError(`${folder} is no folder: name another one`);
    throw error;
  }
}

/** `a/b/c.ts` → `a`, `a/b` */
function foldersOf(path: string): readonly string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

export async function writeProject(folder: string, files: readonly ProjectFile[]): Promise<void> {
  for (const { path, content, executable } of files) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content, { mode: executable ? 0o755 : 0o644 });
  }
}
