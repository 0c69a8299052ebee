/**
 * Stands in for gcloud and bq where only the calling of programs is tested: `PATH` with it in front has both. It writes down what it was
 * given, and does what `FAKE_TOOL` says.
 */
import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { argv, env, exit, stderr, stdin, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

export interface FakeToolCall {
  readonly tool: string;
  readonly args: readonly string[];
  readonly stdin: string;
  readonly env: Readonly<Record<string, string>>;
  readonly pid: number;
}

export interface FakeTools {
  /** For `commandLineTools`. */
  readonly env: Readonly<Record<string, string>>;
  calls(): readonly FakeToolCall[];
}

/** What it does: `{"stdout":"…","stderr":"…","code":1,"hang":true}`. */
export function fakeTools(folder: string, behaviour: Readonly<Record<string, unknown>> = {}): FakeTools {
  const bin = join(folder, "bin");
  const log = join(folder, "calls.jsonl");
  mkdirSync(bin, { recursive: true });
  for (const tool of ["gcloud", "bq"]) {
    const own = fileURLToPath(import.meta.url);
    writeFileSync(join(bin, tool), `#!/bin/sh\nexec '${process.execPath}' '${own}' ${tool} "$@"\n`);
    chmodSync(join(bin, tool), 0o755);
  }
  return {
    env: { PATH: `${bin}:${process.env["PATH"] ?? ""}`, FAKE_TOOL_LOG: log, FAKE_TOOL: JSON.stringify(behaviour) },
    calls() {
      try {
        const lines = readFileSync(log, "utf8").trim().split("\n");
        // It writes just that.
        return lines.map((line) => JSON.parse(line) as FakeToolCall);
      } catch {
        return [];
      }
    },
  };
}

if (import.meta.main) {
  let input = "";
  for await (const chunk of stdin) input += String(chunk);
  const [tool = "", ...args] = argv.slice(2);
  const call = { tool, args, stdin: input, env, pid: process.pid };
  appendFileSync(env["FAKE_TOOL_LOG"] ?? "", `${JSON.stringify(call)}\n`);
  // As `fakeTools` has written it.
  const behaviour = JSON.parse(env["FAKE_TOOL"] ?? "{}") as Readonly<Record<string, string | number | boolean>>;
  if (behaviour["hang"] === true) setInterval(() => undefined, 60_000);
  else {
    stderr.write(String(behaviour["stderr"] ?? ""));
    stdout.write(String(behaviour["stdout"] ?? ""), () => exit(Number(behaviour["code"] ?? 0)));
  }
}
