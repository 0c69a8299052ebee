/** The files of a load: where they are on this machine, and how to speak about them in the words of whoever asked. */
import { stat } from "node:fs/promises";
import { messageOf, PermanentError } from "../../core/errors.ts";
import { quoteText } from "./sql.ts";

export interface SourceFiles {
  readonly uris: readonly string[];
  /** The size of all of them together. */
  readonly bytes: number;
  /** The files for DuckDB's table functions, as SQL: one by one, in the order of their URIs, and as a list. */
  readonly each: readonly string[];
  readonly list: string;
  /** The URI of a local path. */
  readonly uriOf: (path: string) => string;
  /** DuckDB's error as one line that names the file by its URI. Errors of the machine, not of the files, are left as they are. */
  readonly explain: (error: unknown) => unknown;
}

/** Finds the files. Throws `PermanentError`: `invalid` for a list that cannot be read, `notFound` for a file that is not there. */
export async function sourceFiles(
  spec: { readonly uris: readonly string[] },
  resolveUri: (uri: string) => string,
): Promise<SourceFiles> {
  if (spec.uris.length === 0) throw new PermanentError("a load needs at least one file", { code: "invalid" });
  const paths: string[] = [];
  let bytes = 0;
  for (const uri of spec.uris) {
    if (uri.includes("*"))
      throw new PermanentError(`${uri}: the embedded engine reads no wildcards; name each file`, { code: "invalid" });
    const path = resolveUri(uri);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() !== true) throw new PermanentError(`${uri}: no such file`, { code: "notFound" });
    paths.push(path);
    bytes += found.size;
  }
  const uriOf = (path: string): string => spec.uris[paths.indexOf(path)] ?? path;
  // Longer paths first: one may be the start of another.
  const byLength = [...paths].sort((a, b) => b.length - a.length);

  function explain(error: unknown): unknown {
    if (error instanceof PermanentError)
      return error.code === "invalid"
        ? new PermanentError(withFile(error.message), { code: error.code, cause: error })
        : error;
    const message = error instanceof Error ? error.message : String(error);
    const ours = byLength.some((path) => message.includes(path));
    if (/^(INTERRUPT|Out of Memory|TransactionContext|FATAL|INTERNAL|Connection) Error/i.test(message)) return error;
    if (message.startsWith("IO Error") && !ours) return error;
    const missing = /No files found|No such file/.test(message);
    return new PermanentError(withFile(csvError(message) ?? plain(message)), {
      code: missing ? "notFound" : "invalid",
      cause: error,
    });
  }

  function csvError(message: string): string | undefined {
    const line = /^.*CSV Error on Line: (\d+)/.exec(message)?.[1];
    if (line === undefined) return undefined;
    const path = /^ *file = (.*)$/m.exec(message)?.[1] ?? "";
    const what =
      /^Original Line:[^]*?\n((?:Error|Expected|Value|Invalid|Maximum|The|File)[^]*?)(?:\n\n|\nColumn |\nPossible |$)/m.exec(
        message,
      )?.[1];
    return `${uriOf(path)} line ${line}: ${messageOf(new Error(what ?? "the row cannot be read"))}`;
  }

  function plain(message: string): string {
    const [first = ""] = message.split(/\n\nLINE |\n\n? *Possible |\nTry setting|\n\n  file = /);
    const text = first
      .replace(/^[\w ]+ Error: /, "")
      .replace(/^No magic bytes found at end of file '(.*)'$/s, "'$1' is no Parquet file, or only the beginning of one")
      // DuckDB counts one too many here.
      .replace(
        /(Malformed JSON in file .* in line )(\d+)/,
        (_, start: string, line: string) => `${start}${Number(line) - 1}`,
      );
    return messageOf(new Error(byLength.reduce((left, path) => left.replaceAll(path, uriOf(path)), text)));
  }

  function withFile(message: string): string {
    const [first = ""] = spec.uris;
    if (spec.uris.some((uri) => message.includes(uri))) return message;
    return `${first}${spec.uris.length > 1 ? ` or one of ${spec.uris.length - 1} more` : ""}: ${message}`;
  }

  const each = paths.map((path) => quoteText(literalPath(path)));
  return { uris: spec.uris, bytes, each, list: `[${each.join(", ")}]`, uriOf, explain };
}

/** DuckDB takes a path for a pattern; a class of one character is that character. */
function literalPath(path: string): string {
  return path.replaceAll(/[*?[]/g, "[$&]");
}
