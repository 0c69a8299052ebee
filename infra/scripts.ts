/**
 * The platform's bundle as scripts. esbuild splits only ES modules, and of those Node keeps next to nothing compiled; as scripts
 * they are loaded by `lib/cloud/scripts.ts`, which does.
 */
import { basename } from "node:path";
import { transform } from "esbuild";
import type { Metafile, TransformOptions } from "esbuild";

/** What `lib/cloud/scripts.ts` calls a script with. */
const PARAMETERS = "exports,require,module,__dirname,__filename,__later";

/** The name of the script that an ES module of the bundle becomes. */
export function scriptName(path: string): string {
  return basename(path).replace(/\.mjs$/, ".cjs");
}

/** The text of an ES module, whose imports of others in its folder are of that bundle, as that of a script. */
export async function asScript(text: string, options: TransformOptions): Promise<string> {
  const { code, warnings } = await transform(
    text
      .replaceAll(/\b(from\s*|import\s*|import\()"(\.\/[^"]+)\.mjs"/g, '$1"$2.cjs"')
      .replaceAll(/(?<![\w$.])import\(/g, "__later("),
    { ...options, format: "cjs", sourcefile: "script.mjs" },
  );
  if (warnings[0] !== undefined)
    throw new Error(`a part of the platform's bundle cannot be a script: ${warnings[0].text}`);
  return `(function(${PARAMETERS}){${code}\n})`;
}

/** An ES module that exports what a script does, for those who import it as a module. */
export function faceOf(path: string, { exports }: Pick<Metafile["outputs"][string], "exports">): string {
  // Some of zod's names are words of the language, which can be exported and not declared.
  const bound = exports.map((name, index) => `e${index}=m[${JSON.stringify(name)}]`);
  const named = exports.map((name, index) => `e${index} as ${name}`);
  return [
    'import{platform}from"./platform.mjs";',
    `const m=platform.load(${JSON.stringify(scriptName(path))}),${bound.join(",")};`,
    `export{${named.join(",")}};\n`,
  ].join("\n");
}
