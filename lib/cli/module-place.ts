/** Where a module of an author's could not be loaded any further: what a person looks for first. */
import { readFile, realpath } from "node:fs/promises";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

interface Spot {
  /** Absolute. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
}

/**
 * `functions/gitcoin.ts:12:3 gitcoinScores`: the line and column of the module at `path` that threw, and the export that it is in;
 * for a file that it imports, `functions/gitcoin.ts (functions/_names.ts:3:1)`. The file alone when nothing tells more.
 */
export async function placeOfError(error: unknown, root: string, path: string): Promise<string> {
  const [top, own] = await Promise.all([root, path].map((one) => realpath(one).catch(() => one)));
  const nameOf = (file: string): string => relative(top ?? root, file).replaceAll(sep, "/");
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const source = await readFile(path, "utf8").catch(() => "");
  const frames = framesOf(stack).filter((frame) => !nameOf(frame.path).startsWith("..") && !isPackage(frame.path));
  const frame = frames.find((one) => one.path === own) ?? frames[0];
  const parsed = error instanceof SyntaxError ? (markedIn(stack) ?? (await faultIn(own ?? path, source))) : undefined;
  const spot = parsed ?? frame;
  const file = nameOf(own ?? path);
  if (spot === undefined) return file;
  const at = `${nameOf(spot.path)}:${spot.line}:${spot.column}`;
  if (spot.path !== own) return `${file} (${at})`;
  const exported = spot === parsed ? undefined : exportAt(source, spot.line);
  return exported === undefined ? at : `${at} ${exported}`;
}

const isPackage = (path: string): boolean => path.split(sep).includes("node_modules");

/** The innermost call first. */
function framesOf(stack: string): readonly Spot[] {
  return [...stack.matchAll(/^ +at .*?(file:\/\/[^\s()]+?):(\d+):(\d+)\)?$/gm)].map(([, url = "", line, column]) => ({
    path: fileURLToPath(withoutQuery(url)),
    line: Number(line),
    column: Number(column),
  }));
}

/** What a parser puts before its message: the place, the line, and marks below it. */
function markedIn(stack: string): Spot | undefined {
  const [, url, line] = /^(file:\/\/\S+):(\d+)$/m.exec(stack.split("\n", 1)[0] ?? "") ?? [];
  const marks = /^([ \t]*)\^+ *$/m.exec(stack)?.[1];
  if (url === undefined || marks === undefined) return undefined;
  return { path: fileURLToPath(withoutQuery(url)), line: Number(line), column: marks.length + 1 };
}

/** Errors of the engine's own parser do not say where: another parser does, if it finds the same fault. */
async function faultIn(path: string, source: string): Promise<Spot | undefined> {
  // Loaded here, so that nobody whose modules are in order waits for it.
  const { transform } = await import("esbuild");
  try {
    await transform(source, { loader: "ts", logLevel: "silent" });
    return undefined;
  } catch (error) {
    const { errors } = error as { readonly errors?: readonly { location: { line: number; column: number } | null }[] };
    const location = errors?.[0]?.location;
    return location === null || location === undefined
      ? undefined
      : { path, line: location.line, column: location.column + 1 };
  }
}

const withoutQuery = (url: string): string => url.replace(/[?#].*$/, "");

/** The name of the last statement that begins at the line or before it, if it is an export. */
function exportAt(source: string, line: number): string | undefined {
  const before = source.split("\n").slice(0, line);
  const last = before.findLast((text) => /^[\p{ID_Start}$_]/u.test(text));
  return /^export (?:const|let|var|async function|function)\*? +([\p{ID_Start}$_][\p{ID_Continue}$]*)/u.exec(
    last ?? "",
  )?.[1];
}
