/**
 * `npm run package`: the tarball that others install. Node strips no types below `node_modules`, so `lib/` and `infra/` are compiled
 * to JavaScript and declarations; what `sluice init` copies goes with them as it is.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { messageOf } from "../core/errors.ts";
import { TARBALLS } from "./project-template.ts";
import { packPackage } from "./tarball.ts";

const ROOT = resolve(import.meta.dirname, "../..");

const versions = z.record(z.string(), z.string());
const manifestSchema = z.looseObject({ dependencies: versions });
const lockSchema = z.looseObject({ packages: z.record(z.string(), z.looseObject({ version: z.string().optional() })) });

/** What goes along as it is: the documentation, and what a new project begins with. */
const COPIED = [
  "LICENSE",
  "README.md",
  "deploy.sh",
  "docs",
  "functions/gitcoin.ts",
  "template",
  "test/functions/gitcoin.test.ts",
] as const;
/** The build for the cloud knows the insides of these (infra/slim-plugin.ts), so a project gets the very versions that it was tried with. */
const TAKEN_APART = ["@google-cloud/firestore-api", "google-gax"] as const;
/** An author's schemas are handed to Sluice: both have to mean the same package. */
const SHARED = "zod";

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { out: { type: "string", default: TARBALLS } } });
  const folder = await mkdtemp(join(tmpdir(), "sluice-package-"));
  try {
    await compileInto(folder);
    for (const name of COPIED) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await cp(join(ROOT, name), join(folder, name), { recursive: true });
    }
    await writeFile(join(folder, "package.json"), `${JSON.stringify(await manifestOf(folder), undefined, 2)}\n`);
    const { name, bytes } = await packPackage(folder);
    const file = resolve(ROOT, values.out, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
    process.stdout.write(`${relative(process.cwd(), file)}: ${(bytes.length / 1e6).toFixed(2)} MB\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compileInto(folder: string): Promise<void> {
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const args = [compiler, "-p", join(ROOT, "tsconfig.package.json"), "--outDir", folder];
  await promisify(execFile)(process.execPath, args, { cwd: ROOT }).catch((error: unknown) => {
    // What the compiler has found is on its stdout.
    const said = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
    throw new Error(`lib/ and infra/ do not compile: ${said.trim() || messageOf(error)}`);
  });
}

/** The repository's own, without what only the repository needs. */
async function manifestOf(folder: string): Promise<object> {
  const own = manifestSchema.parse(JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")));
  const lock = lockSchema.parse(JSON.parse(await readFile(join(ROOT, "package-lock.json"), "utf8")));
  const used = await packagesIn(folder, Object.keys(own.dependencies));
  const dependencies = Object.entries(own.dependencies).filter(([name]) => name !== SHARED && used.has(name));
  const pinned = TAKEN_APART.map((name): readonly [string, string] => {
    return [name, lock.packages[`node_modules/${name}`]?.version ?? missing(name)];
  });
  const { name, version, description, license, type, engines } = own;
  return {
    name,
    version,
    description,
    license,
    type,
    engines,
    // Until it has a place in a registry, nobody puts it there by accident.
    private: true,
    exports: {
      ".": { types: "./lib/index.d.ts", default: "./lib/index.js" },
      "./package.json": "./package.json",
    },
    bin: { sluice: "lib/cli/main.js" },
    files: ["lib", "infra", ...COPIED.filter((file) => file !== "LICENSE" && file !== "README.md")],
    dependencies: Object.fromEntries<string>([...dependencies, ...pinned].sort(([a], [b]) => (a < b ? -1 : 1))),
    peerDependencies: { [SHARED]: `^${own.dependencies[SHARED] ?? missing(SHARED)}` },
  };
}

/** Those of the packages that the compiled code names. */
async function packagesIn(folder: string, packages: readonly string[]): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  for (const room of ["lib", "infra"]) {
    for (const entry of await readdir(join(folder, room), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const text = await readFile(join(entry.parentPath, entry.name), "utf8");
      for (const name of packages) if (text.includes(`"${name}"`) || text.includes(`"${name}/`)) used.add(name);
    }
  }
  return used;
}

function missing(name: string): never {
  throw new Error(`${name} is not among the locked packages: run npm install`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
