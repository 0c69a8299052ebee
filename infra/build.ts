/**
 * The build: `dist/`, which holds every function. One platform bundle, split so that clients load when they are used, is shared
 * by all; each of the author's modules is bundled by itself, so that a change in one leaves the bytes of all others alone; and
 * one small unit a function says which modules it runs.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";
import type { BuildFailure, Metafile, Plugin } from "esbuild";
import type { LoadedModule } from "../lib/core/collect.ts";
import { chosenBy } from "../lib/core/alert.ts";
import type { AlertDefinition } from "../lib/core/alert.ts";
import { fileOf, nameOf } from "../lib/core/definitions.ts";
import type { Definitions } from "../lib/core/definitions.ts";
import { DefinitionError } from "../lib/core/errors.ts";
import { stubOf } from "../lib/core/stub.ts";
import type { Stub } from "../lib/core/stub.ts";
import { unitsOf } from "../lib/core/units.ts";
import type { Unit } from "../lib/core/units.ts";
import { functionNameOf } from "./names.ts";
import { asScript, faceOf, scriptName } from "./scripts.ts";
import { slimPlugin } from "./slim-plugin.ts";
import type { SlimOptions } from "./slim-plugin.ts";
import { stubPlugin } from "./stub-plugin.ts";

export interface BuildOptions {
  /** The project's folder, absolute. */
  readonly root: string;
  /** What it is built into; emptied first. */
  readonly outDir: string;
  readonly definitions: Definitions;
  /** The author's modules as they were loaded. */
  readonly modules: readonly LoadedModule[];
}

export interface BuiltFunction {
  readonly unit: Unit;
  readonly name: string;
  /** Of all bytes that it can load: 64 hexadecimal digits. */
  readonly hash: string;
  /** Of its own modules and unit alone, without Sluice: see `codeHashes`. */
  readonly code: string;
  /** Bytes of its own modules and unit, beside the platform's. */
  readonly bytes: number;
  /** The five that its own bytes come from most, the largest first. */
  readonly contributors: readonly Contributor[];
}

/** A package, or a folder or file of the project. */
export interface Contributor {
  readonly name: string;
  readonly bytes: number;
}

export interface BuildReport {
  readonly functions: readonly BuiltFunction[];
  /** Bytes that every function shares, and the five that these come from most. */
  readonly platformBytes: number;
  readonly platformContributors: readonly Contributor[];
  readonly totalBytes: number;
  /** The five that all bytes come from most. */
  readonly contributors: readonly Contributor[];
}

/** ES modules that still offer what the CommonJS packages among them expect. */
const BANNER =
  'const require = process.getBuiltinModule("node:module").createRequire(import.meta.url), __dirname = import.meta.dirname, __filename = import.meta.filename;';
const SYNTAX = {
  platform: "node",
  target: "node22",
  legalComments: "none",
  // Identifiers stay: Firestore's REST transport looks classes up by their names, and keeping those apart costs more than it saves.
  minifyWhitespace: true,
  minifySyntax: true,
} as const;
const COMMON = {
  ...SYNTAX,
  bundle: true,
  format: "esm",
  outExtension: { ".js": ".mjs" },
  metafile: true,
  logLevel: "silent",
  write: true,
} as const;

/** What the author's bundles take from the platform's instead of carrying it: one copy of each, in one process. */
const SHARED: Readonly<Record<string, string>> = { sluice: "sluice", zod: "zod" };

const here = import.meta.filename;
const LIBRARY = resolve(import.meta.dirname, "..");
/** What names in the bundle are relative to: Sluice's own folder, or the one that its packages are installed in beside it. */
const BASE = basename(dirname(LIBRARY)) === "node_modules" ? resolve(LIBRARY, "../..") : LIBRARY;
const inLibrary = (path: string): string => fileURLToPath(new URL(`../lib/${path}${extname(here)}`, import.meta.url));

/** Builds all functions. Throws `DefinitionError` for an import that cannot be bundled, with its place. */
export async function build(options: BuildOptions): Promise<BuildReport> {
  const { root, outDir, definitions, modules } = options;
  await rm(outDir, { recursive: true, force: true });
  await mkdir(join(outDir, "units"), { recursive: true });
  const built = await bundleModules(root, outDir, modules);
  const platform = await bundlePlatform(outDir, {
    locales: await mentions(outDir, [...built.keys()], /\blocales\b/),
  });
  const platformHash = await hashOf(outDir, Object.keys(platform).sort());

  const functions: BuiltFunction[] = [];
  let unitBytes = 0;
  for (const unit of unitsOf(definitions)) {
    const name = functionNameOf(unit);
    const source = unitModule(unit, definitions);
    await writeFile(join(outDir, "units", `${name}.mjs`), source);
    const parts = unit.files.map(moduleName);
    const own = await hashOf(outDir, parts);
    const hash = textHash(`${platformHash} ${own} ${source}`);
    const code = textHash(`${own} ${source}`);
    const outputs = parts.flatMap((part) => built.get(part) ?? []);
    const unitSize = Buffer.byteLength(source);
    const bytes = unitSize + bytesOf(outputs);
    unitBytes += unitSize;
    functions.push({ unit, name, hash, code, bytes, contributors: contributorsOf(outputs, unitSize) });
  }
  await writeFile(join(outDir, "package.json"), packageJson());
  const shared = Object.values(platform);
  const everything = [...shared, ...built.values()];
  return {
    functions,
    platformBytes: bytesOf(shared),
    platformContributors: contributorsOf(shared),
    totalBytes: bytesOf(everything) + unitBytes,
    contributors: contributorsOf(everything, unitBytes),
  };
}

/** What `build` would say of each function's own code, by the unit's id, in a fraction of the time: Sluice itself is not bundled. */
export async function codeHashes({
  root,
  definitions,
  modules,
}: Omit<BuildOptions, "outDir">): Promise<ReadonlyMap<string, string>> {
  const outDir = await mkdtemp(join(tmpdir(), "sluice-code-"));
  try {
    await bundleModules(root, outDir, modules);
    const hashes = new Map<string, string>();
    for (const unit of unitsOf(definitions)) {
      const own = await hashOf(outDir, unit.files.map(moduleName));
      hashes.set(unit.id, textHash(`${own} ${unitModule(unit, definitions)}`));
    }
    return hashes;
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

/** What is at the folder's top: the entry and what it needs to load the scripts, and the scripts' faces. */
async function bundlePlatform(outDir: string, { locales }: SlimOptions): Promise<Readonly<Record<string, Output>>> {
  const { metafile: top } = await bundle({
    ...COMMON,
    // Names in the bundle are relative to it, wherever the project is and the command was given.
    absWorkingDir: BASE,
    entryPoints: {
      index: inLibrary("cloud/main"),
      platform: inLibrary("cloud/platform"),
      compile: inLibrary("cloud/compile"),
    },
    outdir: outDir,
    plugins: [besidesPlugin()],
  });
  const { metafile, outputFiles } = await bundle({
    ...COMMON,
    write: false,
    absWorkingDir: BASE,
    entryPoints: {
      serve: inLibrary("cloud/serve"),
      rehearsal: inLibrary("cloud/rehearsal"),
      sluice: inLibrary("index"),
      stub: inLibrary("core/stub"),
      zod: "zod",
    },
    splitting: true,
    outdir: join(outDir, "platform"),
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    plugins: [slimPlugin({ locales })],
  });
  await mkdir(join(outDir, "platform"), { recursive: true });
  const scripts = await Promise.all(
    outputFiles.map(async ({ path, text }) => {
      const script = join(dirname(path), scriptName(path));
      await writeFile(script, await asScript(text, SYNTAX));
      return script;
    }),
  );
  const below = (path: string): string => relative(outDir, resolve(BASE, path)).replaceAll(sep, "/");
  const outputs: Record<string, Output> = {};
  for (const [path, output] of Object.entries(top.outputs)) outputs[below(path)] = output;
  for (const [path, output] of Object.entries(metafile.outputs)) {
    const script = join(dirname(resolve(BASE, path)), scriptName(path));
    if (!scripts.includes(script)) throw new Error(`${path} has not become a script`);
    outputs[below(script)] = { ...output, bytes: (await readFile(script)).length };
    const name = /^(rehearsal|serve|sluice|stub|zod)-/.exec(basename(path))?.[1];
    if (name === undefined || output.entryPoint === undefined) continue;
    const face = faceOf(path, output);
    await writeFile(join(outDir, `${name}.mjs`), face);
    outputs[`${name}.mjs`] = { ...output, inputs: {}, bytes: Buffer.byteLength(face) };
  }
  return outputs;
}

/** What is at the folder's top imports its neighbours there, so that all share one. */
function besidesPlugin(): Plugin {
  return {
    name: "sluice-besides",
    setup(build) {
      build.onResolve({ filter: /^\.\/(?:platform|rehearsal|serve)\.[jt]s$/ }, ({ path }) => ({
        path: path.replace(/\.[jt]s$/, ".mjs"),
        external: true,
      }));
    },
  };
}

type Output = Metafile["outputs"][string];

/** Every module by itself. The result is what became of each, by its name below `outDir`. */
async function bundleModules(
  root: string,
  outDir: string,
  modules: readonly LoadedModule[],
): Promise<ReadonlyMap<string, Output>> {
  const loaded = new Map(modules.map(({ file, exports = {} }) => [join(root, file), exports]));
  const entryPoints = modules.map(({ file }) => ({
    in: join(root, file),
    out: moduleName(file).replace(/\.mjs$/, ""),
  }));
  try {
    const { metafile } = await bundle({
      ...COMMON,
      absWorkingDir: root,
      entryPoints,
      outdir: outDir,
      banner: { js: BANNER },
      plugins: [stubPlugin({ modules: loaded, library: STUB_LIBRARY }), sharedPlugin()],
    });
    const below = (path: string): string => relative(outDir, join(root, path)).replaceAll(sep, "/");
    return new Map(Object.entries(metafile.outputs).map(([path, output]) => [below(path), output]));
  } catch (error) {
    throw asDefinitionError(error);
  }
}

const STUB_LIBRARY = "sluice:stub";

/** The author's bundles are in `modules/`, what they share is beside it. */
function sharedPlugin(): Plugin {
  return {
    name: "sluice-shared",
    setup(build) {
      build.onResolve({ filter: /^(?:sluice|sluice:stub|zod)$/ }, ({ path }) => ({
        path: `../${path === STUB_LIBRARY ? "stub" : (SHARED[path] ?? path)}.mjs`,
        external: true,
      }));
    },
  };
}

/** `functions/crm/accounts.ts` → `modules/crm.accounts.mjs`. */
function moduleName(file: string): string {
  const flat = file.replace(/^functions\//, "").replace(/\.m?ts$/, "");
  return `modules/${flat.replaceAll("/", ".")}.mjs`;
}

/** What one function runs: its modules, and stubs of everything else that its definitions name. */
function unitModule(unit: Unit, definitions: Definitions): string {
  const imports = unit.files.map((file, index) => `import * as m${index} from "../${moduleName(file)}";`);
  const modules = unit.files.map((file, index) => `{ file: ${JSON.stringify(file)}, exports: m${index} }`);
  const stubs = stubsOf(unit, definitions).map((stub) => `fromStub(${JSON.stringify(stub)})`);
  return [
    'import { fromStub } from "../stub.mjs";',
    ...imports,
    `export const unit = ${JSON.stringify({ id: unit.id, kind: unit.kind, name: unit.name, subscriptions: unit.subscriptions })};`,
    `export const modules = [${modules.join(", ")}];`,
    `export const stubs = [${stubs.join(",\n")}];`,
    "",
  ].join("\n");
}

function stubsOf(unit: Unit, definitions: Definitions): readonly Stub[] {
  const { assets, jobs, sensors, checks, pools, alerts } = definitions;
  if (unit.kind === "reconcile" || unit.kind === "bucket") {
    const watches = (bucket: string | undefined): boolean => unit.kind === "reconcile" || bucket === unit.name;
    const routed = [...assets.values()].filter(
      ({ source }) => unit.kind === "reconcile" || (source !== undefined && watches(source.bucket)),
    );
    const told = [...sensors.values()].filter(
      (sensor) => unit.kind === "reconcile" || (sensor.watches.kind === "objects" && watches(sensor.watches.bucket)),
    );
    const sweeps = unit.kind === "reconcile";
    const known = sweeps ? [...jobs.values(), ...pools.values(), ...[...alerts.values()].map(chosen)] : [];
    return [...routed, ...told, ...known].map((definition) => stubOf(definition, { source: true, deadlines: sweeps }));
  }
  /** Where an alert is sent, nothing is known of groups and tags. */
  function chosen(alert: AlertDefinition): AlertDefinition {
    const keys = chosenBy(definitions, alert);
    return keys === undefined ? alert : { ...alert, keys };
  }
  const own = new Set(unit.files);
  const isOwn = (what: string): boolean => own.has(fileOf(definitions, what));
  const wanted = new Set<string>();
  const wantedJobs = new Set<string>();
  for (const asset of assets.values()) if (isOwn(`asset ${asset.key}`)) asset.deps.forEach((key) => wanted.add(key));
  for (const check of checks) if (isOwn(`check ${check.asset} ${check.name}`)) wanted.add(check.asset);
  for (const { name, watches, requests } of sensors.values()) {
    if (!isOwn(`sensor ${name}`)) continue;
    if (watches.kind === "asset") wanted.add(watches.asset);
    if (requests.kind === "asset") wanted.add(requests.key);
    else wantedJobs.add(requests.name);
  }
  const foreign = [...wanted].filter((key) => !isOwn(`asset ${key}`)).sort();
  const foreignJobs = [...wantedJobs].filter((name) => !isOwn(`job ${name}`)).sort();
  const inPools = [...assets.values(), ...jobs.values()].filter((definition) => isOwn(nameOf(definition)));
  const wantedPools = new Set(inPools.flatMap(({ pool }) => (pool === undefined ? [] : [pool])));
  const foreignPools = [...wantedPools].filter((name) => !isOwn(`pool ${name}`)).sort();
  return [
    ...foreign.map((key) => assets.get(key)),
    ...foreignJobs.map((name) => jobs.get(name)),
    ...foreignPools.map((name) => pools.get(name)),
  ].flatMap((definition) => (definition === undefined ? [] : [stubOf(definition)]));
}

/** The cloud installs the framework by itself; everything else is in the bundle. */
function packageJson(): string {
  const content = {
    name: "sluice-functions",
    private: true,
    type: "module",
    main: "index.mjs",
    // Run by the cloud's own build, once the framework is installed; the scripts are loaded with what it leaves beside them.
    scripts: { "gcp-build": "node compile.mjs" },
    dependencies: { "@google-cloud/functions-framework": FRAMEWORK },
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

const FRAMEWORK = "5.0.5";

async function mentions(outDir: string, files: readonly string[], word: RegExp): Promise<boolean> {
  for (const file of files) if (word.test(await readFile(join(outDir, file), "utf8"))) return true;
  return false;
}

function textHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

async function hashOf(outDir: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n`).update(await readFile(join(outDir, file)));
  return hash.digest("hex");
}

function bytesOf(outputs: readonly Output[]): number {
  return outputs.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A package by its name, the library's own code by its room, an author's file by its path, or the stubs of one; and units. */
function contributorsOf(outputs: readonly Output[], unitBytes = 0): readonly Contributor[] {
  const bytes = new Map([["units", unitBytes]]);
  for (const { inputs } of outputs) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const found = /node_modules\/(?!sluice\/lib\/)((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(path)?.[1];
      const stub = /^sluice-stub:.*\/(functions\/.*)$/.exec(path)?.[1];
      const name = found ?? (stub === undefined ? (/(lib\/[^/]+)/.exec(path)?.[1] ?? path) : `stubs of ${stub}`);
      bytes.set(name, (bytes.get(name) ?? 0) + bytesInOutput);
    }
  }
  return [...bytes]
    .map(([name, size]) => ({ name, bytes: size }))
    .filter((contributor) => contributor.bytes > 0)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, 5);
}

function asDefinitionError(error: unknown): unknown {
  // esbuild's failures carry a list of what is wrong; anything else is a fault of its own.
  const [first] = (error as Partial<BuildFailure>).errors ?? [];
  if (first === undefined) return error;
  const { location, text } = first;
  const missing = /No matching export in "sluice-stub:(.*)" for import "(.*)"/.exec(text);
  const where = location === null ? undefined : `${location.file}:${location.line}`;
  if (missing?.[1] === undefined || missing[2] === undefined)
    return new DefinitionError(text, where === undefined ? {} : { where });
  return new DefinitionError(`${missing[2]} is imported from ${basename(missing[1])}, and is no definition`, {
    ...(where === undefined ? {} : { where }),
    remedy: "move what several files share into a file whose name begins with _",
  });
}
