/** A project folder with `deploy.sh`, as somebody has it who installed Sluice, and a fake cloud that it is deployed to by the real tools. */
import { spawn } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GoogleCloud } from "../fakes/fake-google-cloud.ts";
import { ROOT } from "./tree.ts";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Deploying {
  readonly ended: Promise<Ended>;
  /** To it and to what it has started, but for the tools. */
  signal(name: NodeJS.Signals): void;
  /** Ends it and all tools with it, at once, as a machine that goes down does. */
  crash(): void;
}

export interface DeployedProject {
  readonly root: string;
  write(file: string, text: string): void;
  /** Says in `infra/environments.json` what there is. */
  environments(value: Readonly<Record<string, unknown>>): void;
  remove(file: string): void;
  /** Starts `./deploy.sh` with the cloud's project and these arguments. */
  start(...args: readonly string[]): Deploying;
  deploy(...args: readonly string[]): Promise<Ended>;
  /** Any other command, in the same surroundings. */
  sluice(...args: readonly string[]): Promise<Ended>;
  close(): void;
}

export const REGION = "europe-west1";

export interface ProjectOptions {
  readonly cloud: GoogleCloud;
  /** Where Sluice is: see `copyOfSluice`. */
  readonly sluice: string;
  /** Where `gcloud` is. */
  readonly bin: string;
  /** By their names below functions/; `"example"`: the repository's own. */
  readonly functions: Readonly<Record<string, string>> | "example";
  /** What `infra/environments.json` says. Default: there is none. */
  readonly environments?: Readonly<Record<string, unknown>>;
}

/** Sluice as it is now, so that an edit while a test runs changes nothing that is deployed. */
export function copyOfSluice(folder: string): string {
  const copy = join(folder, "sluice");
  for (const name of ["lib", "infra"]) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  copyFileSync(join(ROOT, "package.json"), join(copy, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return copy;
}

export function deployedProject(options: ProjectOptions): DeployedProject {
  const { cloud, sluice: home, bin, functions, environments } = options;
  const root = mkdtempSync(join(tmpdir(), "sluice-deployed-"));
  const own = join(root, "functions");
  mkdirSync(own);
  if (functions === "example") {
    for (const name of readdirSync(join(ROOT, "functions")))
      copyFileSync(join(ROOT, "functions", name), join(own, name));
  } else for (const [name, text] of Object.entries(functions)) writeFileSync(join(own, name), text);
  writeFileSync(join(root, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const place = (value: Readonly<Record<string, unknown>>): void => {
    mkdirSync(join(root, "infra"), { recursive: true });
    writeFileSync(join(root, "infra/environments.json"), JSON.stringify({ version: 1, environments: value }));
  };
  if (environments !== undefined) place(environments);
  copyFileSync(join(ROOT, "deploy.sh"), join(root, "deploy.sh"));
  const modules = join(root, "node_modules");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "node_modules")))
    if (!name.startsWith(".")) symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  symlinkSync(home, join(modules, "sluice"));
  symlinkSync(join(home, "lib/cli/main.ts"), join(modules, ".bin/sluice"));
  symlinkSync(join(ROOT, "node_modules/.bin/node"), join(modules, ".bin/node"));
  // What a deployment leaves behind when it is cut off goes with the project.
  const scratch = join(root, "tmp");
  mkdirSync(scratch);

  const env = {
    ...cloud.env,
    PATH: `${bin}:${cloud.env["PATH"] ?? ""}`,
    CI: "true",
    TMPDIR: scratch,
    NO_COLOR: "1",
    // What follows a run in the cloud finds its services here.
    ...(cloud.live !== undefined && { SLUICE_GCP_ENDPOINTS: JSON.stringify(cloud.live.endpoints) }),
  };
  const run = (command: string, args: readonly string[]): Deploying => {
    const child = spawn(command, args, {
      // It works from any folder.
      cwd: "/",
      env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const signal = (name: NodeJS.Signals): void => {
      if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, name);
    };
    const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
    return { ended, signal, crash: () => signal("SIGKILL") };
  };

  const start = (...args: readonly string[]): Deploying =>
    run(join(root, "deploy.sh"), [`--project=${cloud.project}`, `--region=${REGION}`, ...args]);
  const sluice = (...args: readonly string[]): Deploying =>
    run(process.execPath, [join(modules, "sluice/lib/cli/main.ts"), "--project", root, ...args]);

  return {
    root,
    write: (file, text) => writeFileSync(join(own, file), text),
    environments: place,
    remove: (file) => rmSync(join(own, file)),
    start,
    deploy: (...args) => start(...args).ended,
    sluice: (...args) => sluice(...args).ended,
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}
