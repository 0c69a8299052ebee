/** A built function as the cloud starts it: functions-framework in a process of its own, from the folder of the build. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { ROOT } from "./tree.ts";

export { freePort } from "./free-port.ts";

export interface FunctionProcess {
  readonly port: number;
  readonly pid: number;
  /** All that it has written so far. */
  output(): string;
  /** The log lines so far that are JSON. */
  log(): readonly Readonly<Record<string, unknown>>[];
  /** Sends a message to a path; waits for the server to listen. */
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** Resolves with the first answer to a GET. */
  listening(): Promise<void>;
  kill(signal?: NodeJS.Signals): void;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

export interface FunctionOptions {
  /** The folder with `package.json`. */
  readonly source: string;
  /** Default `sluice`. */
  readonly target?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every chunk of its output, as it comes. */
  readonly onOutput?: (text: string) => void;
}

const FRAMEWORK = join(ROOT, "node_modules/@google-cloud/functions-framework/build/src/main.js");

/** What a function started by the cloud finds in its environment, and nothing of this process's own. */
function environment(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  // No machine answers as Google's metadata server here.
  const own = { NODE_ENV: "production", METADATA_SERVER_DETECTION: "none", ...env };
  return {
    ...(PATH !== undefined && { PATH }),
    ...(HOME !== undefined && { HOME }),
    ...(TMPDIR && { TMPDIR }),
    ...own,
  };
}

export function startFunction(port: number, options: FunctionOptions): FunctionProcess {
  const { source, target = "sluice", env = {}, onOutput } = options;
  const args = [FRAMEWORK, `--target=${target}`, `--port=${port}`];
  const child = spawn(process.execPath, args, {
    cwd: source,
    env: environment(env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      onOutput?.(text);
    });
  }
  // Should this process end first, the function ends with it.
  const abandon = (): void => void child.kill("SIGKILL");
  process.once("exit", abandon);
  const ended = (async () => {
    // Exactly these two come with `close`.
    const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    process.off("exit", abandon);
    return { code, signal };
  })();

  async function insist(request: RequestInit & { readonly path: string }): Promise<Response> {
    for (;;) {
      try {
        return await fetch(`http://127.0.0.1:${port}${request.path}`, request);
      } catch (error) {
        // Nothing listens yet; whatever else went wrong is for the caller.
        const cause: unknown = error instanceof Error ? error.cause : undefined;
        const refused = cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
        if (!refused || child.exitCode !== null || child.signalCode !== null) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  return {
    port,
    pid: child.pid ?? 0,
    output: () => output,
    log: () =>
      output.split("\n").flatMap((line) => {
        try {
          // Lines of the log are JSON objects.
          return line.startsWith("{") ? [JSON.parse(line) as Readonly<Record<string, unknown>>] : [];
        } catch {
          return [];
        }
      }),
    async listening() {
      const answer = await insist({ path: "/" });
      await answer.body?.cancel();
      if (!answer.ok) throw new Error(`the function answered ${answer.status}:\n${output}`);
    },
    post: (path, body, headers = {}) =>
      insist({
        path,
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    kill: (signal = "SIGKILL") => void child.kill(signal),
    ended,
  };
}
