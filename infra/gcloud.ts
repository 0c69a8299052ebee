/**
 * The one file that starts other programs: Google's command line tools, by argument vectors and never through a shell. A tool runs
 * in a process group of its own, so that Ctrl-C at the terminal reaches Sluice alone, which decides what becomes of it.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { kill } from "node:process";
import { PermanentError } from "../lib/core/errors.ts";

export type ToolName = "gcloud" | "bq";

export interface ToolRun {
  readonly tool: ToolName;
  readonly args: readonly string[];
  /** What it reads from stdin; without it, stdin is empty. */
  readonly stdin?: string;
}

export interface ToolResult {
  /** 0: it worked. A tool that was ended by a signal has 128 and more, as in shells. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Tools {
  /** Rejects with `PermanentError` where the tool is not installed, and never for a tool that fails. */
  run(call: ToolRun): Promise<ToolResult>;
}

export interface ToolsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** No call takes longer, milliseconds: it is ended then. */
  readonly limitMs?: number;
}

/** A build takes minutes, and gcloud waits for it. */
const LIMIT_MS = 45 * 60_000;
/** How long a tool that is told to end may take for it. */
const GRACE_MS = 5_000;

const REMEDY: Readonly<Record<ToolName, string>> = {
  gcloud: "install the Google Cloud CLI, https://cloud.google.com/sdk/docs/install",
  bq: "install it with `gcloud components install bq`",
};

/** What the tools must not do by themselves: ask, or look for newer versions. */
const QUIET = {
  CLOUDSDK_CORE_DISABLE_PROMPTS: "1",
  CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: "true",
  // Whatever the person has configured: output is read as it is by default, and no request is shown, with its token.
  CLOUDSDK_CORE_VERBOSITY: "warning",
  CLOUDSDK_CORE_LOG_HTTP: "false",
  CLOUDSDK_CORE_SHOW_STRUCTURED_LOGS: "never",
};

/** Runs the tools that are on the `PATH` of `env`. Those that still run when this process ends are ended with it. */
export function commandLineTools({ env, limitMs = LIMIT_MS }: ToolsOptions): Tools {
  const running = new Set<ChildProcess>();
  const endWithUs = (): void => running.forEach((child) => signalGroup(child, "SIGKILL"));
  return {
    run: ({ tool, args, stdin }) =>
      new Promise((resolve, reject) => {
        const child = spawn(tool, [...args], {
          env: { ...env, ...QUIET },
          stdio: ["pipe", "pipe", "pipe"],
          detached: true,
          shell: false,
        });
        if (running.size === 0) process.once("exit", endWithUs);
        running.add(child);
        let hardEnd: NodeJS.Timeout | undefined;
        const limit = setTimeout(() => {
          signalGroup(child, "SIGTERM");
          hardEnd = setTimeout(() => signalGroup(child, "SIGKILL"), GRACE_MS);
        }, limitMs);
        const release = (): void => {
          running.delete(child);
          if (running.size === 0) process.off("exit", endWithUs);
          clearTimeout(limit);
          clearTimeout(hardEnd);
        };
        const texts = { stdout: collect(child.stdout), stderr: collect(child.stderr) };
        child.once("error", (cause: NodeJS.ErrnoException) => {
          release();
          const missing = cause.code === "ENOENT";
          const why = missing ? `${tool} is not on the PATH` : `${tool} cannot be started (${cause.message})`;
          reject(new PermanentError(`${why}: ${REMEDY[tool]}`, { code: "no-tool", cause }));
        });
        child.once("close", (code, signal) => {
          release();
          const ended = signal === null ? "" : `\nERROR: ${tool} was ended by ${signal}`;
          resolve({ code: code ?? 128, stdout: texts.stdout(), stderr: `${texts.stderr()}${ended}` });
        });
        // A tool that ends without having read everything says why by its exit code.
        child.stdin.on("error", () => undefined);
        child.stdin.end(stdin ?? "");
      }),
  };
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString("utf8");
}

/** gcloud is a script that starts Python: both are to go. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}

/** The command as it can be pasted into a shell. */
export function shellLine({ tool, args }: Pick<ToolRun, "tool" | "args">): string {
  return [tool, ...args].map(shellWord).join(" ");
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9_\-./:=@%+,~#]+$/.test(word) && !/^~|^#/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
