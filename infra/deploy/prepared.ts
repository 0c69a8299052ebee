/** A call as the tool gets it: its files written, its placeholders filled. */
import { PermanentError } from "../../lib/core/errors.ts";
import { shellLine } from "../gcloud.ts";
import { filled } from "../plan/step.ts";
import type { ToolCall } from "../plan/step.ts";
import type { Fault } from "./faults.ts";

export interface Prepared {
  readonly tool: ToolCall["tool"];
  readonly args: readonly string[];
  /** For a person's shell. Its files stay where they are. */
  readonly command: string;
  /** Placeholders of which nothing is known; they are left as they are. */
  readonly missing: readonly string[];
}

export interface CallContext {
  /** Of placeholders. */
  readonly values: ReadonlyMap<string, string>;
  /** Writes a file that a tool reads; the result is its path, which is the same for the same text. */
  file(name: string, text: string): Promise<string>;
}

export async function prepared(context: CallContext, { tool, args, files = {} }: ToolCall): Promise<Prepared> {
  const known = new Map(context.values);
  const missing = new Set<string>();
  const full = (text: string): string => {
    const done = filled(text, known);
    for (const name of done.missing) missing.add(name);
    return done.text;
  };
  for (const [name, text] of Object.entries(files)) known.set(`file:${name}`, await context.file(name, full(text)));
  const words = args.map(full);
  return { tool, args: words, command: shellLine({ tool, args: words }), missing: [...missing] };
}

/** gcloud's own advice, which is longer, is left out. */
export function unauthenticated({ reason }: Fault): PermanentError {
  const why = reason
    .replace(/\s*(?:Please run|To sign in|If you have already logged in)\b.*$/i, "")
    .replace(/[.:]$/, "");
  return new PermanentError(`${why}: sign in with \`gcloud auth login\`, and deploy again`, {
    code: "unauthenticated",
  });
}
