/** The `sluice` command as a person runs it: a process of its own, in a project of its own. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { ROOT } from "./tree.ts";

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  /** All that it has written so far. */
  text(): string;
  /** Resolves when the text has been written, after what was seen before; rejects with all output when it is not in time. */
  until(text: string | RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Outcome>;
}

export interface Project {
  readonly root: string;
  readonly home: string;
  /** Writes a file of the project. */
  write(file: string, text: string): void;
  sluice(...args: readonly string[]): Promise<Outcome>;
  /** The parsed stdout of a command with `--json`. */
  json(...args: readonly string[]): Promise<unknown>;
  start(...args: readonly string[]): Running;
  /** Starts `sluice dev` and waits until it takes commands. */
  dev(): Promise<Running>;
  /** What `<home>/dev.json` says. */
  address(): { readonly pid: number; readonly url: string; readonly token: string };
  /** Ends what still runs, and removes the folder. */
  remove(): Promise<void>;
}

/** Generous: a machine with other work may take many times as long as a quiet one. */
const PATIENCE_MS = 180_000;
const addressSchema = z.object({ pid: z.number(), url: z.string(), token: z.string() });

export function temporaryProject(functions: Readonly<Record<string, string>>): Project {
  const root = mkdtempSync(join(tmpdir(), "sluice-project-"));
  const home = join(root, ".sluice");
  const children = new Map<ChildProcess, Promise<Outcome>>();
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  write("package.json", '{"type":"module"}');
  mkdirSync(join(root, "node_modules"));
  // Node resolves the links, so the sources are not below any node_modules and their types are stripped.
  symlinkSync(ROOT, join(root, "node_modules", "sluice"));
  symlinkSync(join(ROOT, "node_modules", "zod"), join(root, "node_modules", "zod"));
  for (const [name, text] of Object.entries(functions)) write(`functions/${name}`, text);

  const launch = (args: readonly string[]): { child: ChildProcess; output: string[]; ended: Promise<Outcome> } => {
    const { SLUICE_HOME, NODE_TEST_CONTEXT, FORCE_COLOR, NODE_OPTIONS, ...env } = process.env;
    const child = spawn(process.execPath, [join(ROOT, "lib/cli/main.ts"), ...args], { cwd: root, env });
    const output: string[] = [];
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      output.push(text);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      output.push(text);
    });
    const ended = new Promise<Outcome>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        children.delete(child);
        resolve({ code, stdout, stderr });
      });
    });
    children.set(child, ended);
    return { child, output, ended };
  };

  const start = (...args: readonly string[]): Running => {
    const { child, output, ended } = launch(args);
    const { pid } = child;
    assert.ok(pid !== undefined);
    let seen = 0;
    const text = (): string => output.join("");
    // What it has written last may come only after it has ended.
    let over = false;
    const end = (): void => {
      over = true;
    };
    ended.then(end, end);
    return {
      pid,
      text,
      ended,
      kill: (signal) => void child.kill(signal),
      async until(wanted) {
        for (const deadline = Date.now() + PATIENCE_MS; ;) {
          const isOver = over;
          const rest = text().slice(seen);
          const found = typeof wanted === "string" ? rest.indexOf(wanted) : rest.search(wanted);
          if (found >= 0) {
            seen += found + 1;
            return;
          }
          if (isOver || Date.now() > deadline) assert.fail(`${String(wanted)} did not come after:\n${text()}`);
          await pause(20);
        }
      },
    };
  };
  const address: Project["address"] = () =>
    addressSchema.parse(JSON.parse(readFileSync(join(home, "dev.json"), "utf8")));

  return {
    root,
    home,
    write,
    start,
    address,
    sluice: (...args) => launch(args).ended,
    async json(...args) {
      const { stdout, stderr, code } = await launch([...args, "--json"]).ended;
      try {
        return JSON.parse(stdout) as unknown;
      } catch {
        return assert.fail(`no JSON (exit code ${code}):\n${stdout}\n${stderr}`);
      }
    },
    async dev() {
      const running = start("dev");
      for (const deadline = Date.now() + PATIENCE_MS; ;) {
        try {
          if (address().pid === running.pid) return running;
        } catch {
          // Not there yet.
        }
        const isOver = await Promise.race([running.ended.then(() => true), pause(20).then(() => false)]);
        if (isOver || Date.now() > deadline) assert.fail(`sluice dev did not start:\n${running.text()}`);
      }
    },
    async remove() {
      for (const child of children.keys()) child.kill("SIGKILL");
      await Promise.all(children.values());
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Loads `gs://drops/scores/<day>.json` into `demo.scores`; each day replaces the table. */
export const SCORES = `
import { Interval, SourceMode, intervalGcsImportAsset } from "sluice";
export const scores = intervalGcsImportAsset({
  keyPrefix: "demo", name: "scores", bucketName: "drops", pathBase: "scores",
  fileMatch: String.raw\`(?P<interval_timestamp>\\d\\d\\d\\d-\\d\\d-\\d\\d)\\.json\`,
  destinationTable: "scores", rawDatasetName: "demo_raw", cleanDatasetName: "demo",
  interval: Interval.Daily, mode: SourceMode.Overwrite, retentionDays: 5, format: "NEWLINE_DELIMITED_JSON",
});
`;

/**
 * Does as its config says: \`fail\`, \`retry\` (once), or waits until the file \`gate\` of the project is there. With
 * \`deaf\` it does not hear that it should stop.
 */
export const REPORT = `
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { PermanentError, RetryableError, asset } from "sluice";
import { z } from "zod";
const tried = new Set();
export const report = asset({
  key: "demo/report",
  deps: ["demo/scores"],
  retry: { delaySeconds: 0.2 },
  config: z.object({ fail: z.boolean().optional(), retry: z.boolean().optional(), wait: z.boolean().optional(), deaf: z.boolean().optional() }),
  async materialize({ config, log, signal, runId }) {
    log.info("about to report", { mood: "good" });
    if (config.fail) throw new PermanentError("the report cannot be made");
    if (config.retry && !tried.has(runId)) {
      tried.add(runId);
      throw new RetryableError("not yet");
    }
    while (config.wait && !existsSync("gate")) await pause(20, undefined, config.deaf ? {} : { signal });
    return { metadata: { pages: 3 } };
  },
});
`;
