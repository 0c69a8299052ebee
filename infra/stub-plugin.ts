/** Puts stubs in the place of what one author's module imports from another one, when modules are bundled. */
import type { Plugin } from "esbuild";
import { isDefinition } from "../lib/core/definition.ts";
import type { Definition } from "../lib/core/definitions.ts";
import { stubOf } from "../lib/core/stub.ts";

export interface StubOptions {
  /** The exports of the author's modules by their absolute paths: those that hold definitions, and no shared helpers. */
  readonly modules: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** What stubs import `fromStub` from. */
  readonly library: string;
}

const NAMESPACE = "sluice-stub";

/**
 * A module that is an entry point is itself; imported by another one, it is the stubs of its definitions. An export that is
 * neither a definition nor plain data has no stub, so importing it is an error that names it and says where it belongs. A module
 * with an I/O manager of the author's own is bundled as it is.
 */
export function stubPlugin({ modules, library }: StubOptions): Plugin {
  return {
    name: NAMESPACE,
    setup(build) {
      build.onResolve({ filter: /^\./ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
        if (kind === "entry-point" || pluginData === NAMESPACE) return undefined;
        const found = await build.resolve(path, { kind, importer, resolveDir, pluginData: NAMESPACE });
        const exports = modules.get(found.path);
        return exports === undefined || isCode(exports, 0) ? undefined : { path: found.path, namespace: NAMESPACE };
      });
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, ({ path }) => ({
        contents: stubModule(modules.get(path) ?? {}, library),
        loader: "js",
        resolveDir: "/",
      }));
    },
  };
}

/** The source of a module that exports stubs. Deterministic, so that it is the same while what it stands for is. */
export function stubModule(exports: Readonly<Record<string, unknown>>, library: string): string {
  const stubs = new Map<unknown, string>();
  const lines: string[] = [];
  const nameOf = (definition: Definition): string => {
    const known = stubs.get(definition);
    if (known !== undefined) return known;
    const name = `stub${stubs.size}`;
    stubs.set(definition, name);
    lines.push(`const ${name} = fromStub(${JSON.stringify(stubOf(definition))});`);
    return name;
  };
  for (const [name, value] of Object.entries(exports).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const code = codeOf(value, nameOf, 0);
    if (code === undefined) continue;
    lines.push(name === "default" ? `export default ${code};` : `const out_${name} = ${code};`);
    if (name !== "default") lines.push(`export { out_${name} as ${name} };`);
  }
  return [`import { fromStub } from ${JSON.stringify(library)};`, ...lines, ""].join("\n");
}

const MAX_DEPTH = 8;

/** Whether rows of one of its assets are read by an I/O manager of the author's own: no stub can do that. */
function isCode(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return false;
  // What carries the brand is one of the library's own definitions.
  const definition = isDefinition(value) ? (value as Definition) : undefined;
  if (definition !== undefined) return definition.kind === "asset" && definition.ioManager?.kind === "custom";
  return Object.values(value).some((inner) => isCode(inner, depth + 1));
}

/** `undefined` for what cannot be said as data: functions, schemas, clients. */
function codeOf(value: unknown, nameOf: (definition: Definition) => string, depth: number): string | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : undefined;
  if (typeof value !== "object" || depth > MAX_DEPTH) return undefined;
  // What carries the brand is one of the library's own definitions.
  if (isDefinition(value)) return nameOf(value as Definition);
  if (Array.isArray(value)) {
    const items = value.map((item) => codeOf(item, nameOf, depth + 1));
    return items.includes(undefined) ? undefined : `[${items.join(", ")}]`;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return undefined;
  const parts = Object.entries(value).flatMap(([name, item]) => {
    const code = codeOf(item, nameOf, depth + 1);
    return code === undefined ? [] : [`${JSON.stringify(name)}: ${code}`];
  });
  return `{ ${parts.join(", ")} }`;
}
