/** What `cold-start.ts` starts: built projects, the framework's own examples, and a build that bundles nothing. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild } from "esbuild";
import { build } from "../infra/build.ts";
import { functionsLoader } from "../lib/cli/load-functions.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

export const BUCKET = "bench-drops";
export const DATASETS = ["bench_raw", "bench"];
/** The one asset that is started, whatever else its project has. */
export const ASSET = "bench/drops_0";
export const FUNCTION = "asset-bench-drops-0";

export function objectOf(day: string): string {
  return `drops_0/${day}/scores.parquet`;
}

const sourceOf = (index: number): string => `
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
import { z } from "zod";

export const drops = intervalGcsImportAsset({
  keyPrefix: "bench",
  name: "drops_${index}",
  bucketName: "${BUCKET}",
  pathBase: "drops_${index}",
  fileMatch: String.raw\`(?P<interval_timestamp>\\d\\d\\d\\d-\\d\\d-\\d\\d)/scores\\.parquet\`,
  destinationTable: "drops_${index}",
  rawDatasetName: "${DATASETS[0]}",
  cleanDatasetName: "${DATASETS[1]}",
  interval: Interval.Daily,
  mode: SourceMode.Overwrite,
  retentionDays: 10,
  format: "PARQUET",
  schema: z.object({ address: z.string(), score: z.number(), day: z.iso.date() }),
});
`;

/**
 * A project of so many assets, each in a file of its own, built; the result is its `dist`. Then comes the step that the cloud's
 * own build takes with it, with the Node and in the folder that the function will have, as there.
 */
export async function builtProject(root: string, assets: number): Promise<string> {
  mkdirSync(join(root, "node_modules"), { recursive: true });
  mkdirSync(join(root, "functions"));
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  symlinkSync(ROOT, join(root, "node_modules/sluice"));
  symlinkSync(join(ROOT, "node_modules/zod"), join(root, "node_modules/zod"));
  for (let index = 0; index < assets; index++)
    writeFileSync(join(root, "functions", `drops-${index}.ts`), sourceOf(index));
  const { definitions, problems, modules } = await functionsLoader(root).load();
  if (problems[0] !== undefined) throw problems[0];
  const outDir = join(root, "dist");
  await build({ root, outDir, definitions, modules });
  // What the build writes has this shape.
  const { scripts } = JSON.parse(readFileSync(join(outDir, "package.json"), "utf8")) as {
    readonly scripts: { readonly "gcp-build": string };
  };
  const [, ...args] = scripts["gcp-build"].split(" ");
  execFileSync(process.execPath, args, { cwd: outDir, stdio: "inherit" });
  return outDir;
}

/** The framework's hello world, as its documentation has it, or with the entry named so that no package.json is looked for. */
export function helloWorld(root: string, entry: "index.js" | "index.mjs"): string {
  mkdirSync(root);
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  const code =
    entry === "index.js"
      ? `const functions = require("@google-cloud/functions-framework");
functions.http("hello", (req, res) => { res.send("Hello World!"); });`
      : `export const hello = (req, res) => { res.send("Hello World!"); };`;
  writeFileSync(join(root, "package.json"), JSON.stringify({ main: entry }));
  writeFileSync(join(root, entry), code);
  return root;
}

const CLIENTS = ["bigquery", "firestore", "pubsub", "storage"];

/**
 * The same function without a bundle: every file of the library compiled by itself, the packages in `node_modules`, and all of it,
 * the four clients included, loaded before the server listens.
 */
export async function unbundled(root: string, project: string): Promise<string> {
  mkdirSync(root);
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  await esbuild({
    absWorkingDir: ROOT,
    entryPoints: ["lib/**/*.ts"],
    outbase: ".",
    outdir: root,
    bundle: true,
    format: "esm",
    platform: "node",
    logLevel: "error",
    packages: "external",
    plugins: [
      {
        name: "one-by-one",
        setup({ onResolve }) {
          onResolve({ filter: /^\./ }, ({ path }) => ({ path: path.replace(/\.ts$/, ".js"), external: true }));
        },
      },
    ],
  });
  // What the build makes for the function, with the library's own files in the place of the shared bundle.
  const relink = (text: string): string =>
    text
      .replaceAll("../stub.mjs", "../lib/core/stub.js")
      .replaceAll("../sluice.mjs", "../lib/index.js")
      .replaceAll("../zod.mjs", "zod");
  mkdirSync(join(root, "units"));
  cpSync(join(project, "modules"), join(root, "modules"), { recursive: true });
  for (const file of [`units/${FUNCTION}.mjs`, "modules/drops-0.mjs"])
    writeFileSync(join(root, file), relink(readFileSync(join(project, file), "utf8")));
  writeFileSync(join(root, "package.json"), JSON.stringify({ type: "module", main: "index.mjs" }));
  writeFileSync(
    join(root, "index.mjs"),
    [
      ...CLIENTS.map((name) => `import "@google-cloud/${name}";`),
      'import "google-auth-library";',
      `import "./units/${FUNCTION}.mjs";`,
      'import { serving } from "./lib/cloud/serve.js";',
      'const served = serving(new URL("units/", import.meta.url).href);',
      "await served.prepare();",
      "export const sluice = async (request, response) => {",
      '  if (request.method === "GET") return void response.status(200).send("ok");',
      "  await served.serve(request, response);",
      "};",
    ].join("\n"),
  );
  return root;
}
