/**
 * The real gcloud without its start: it is loaded once, and every call is a fork of that process. What a call does, prints and exits
 * with is gcloud's own; it takes a third of the time. `bq` stays as it is.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FastGcloud {
  /** In front of `PATH`, it holds `gcloud`. */
  readonly bin: string;
  close(): Promise<void>;
}

/** A line of its own, because gcloud writes lines as well; with its end, which is written by itself and would meet a closed pipe. */
const READY = /^ready\n/m;
const HERE = join(import.meta.dirname, "fast-gcloud");

/** Throws where there is no gcloud with a Python of its own. */
export async function startFastGcloud(): Promise<FastGcloud> {
  const folder = mkdtempSync(join(tmpdir(), "fast-gcloud-"));
  // A configuration of its own: others on this machine write theirs at the same time.
  const env = { ...process.env, CLOUDSDK_CONFIG: join(folder, "config") };
  const args = ["info", "--format=value(installation.sdk_root,basic.python_location)"];
  const text = execFileSync("gcloud", args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], env });
  const [root = "", python = ""] = text.trim().split("\t");
  const socket = join(folder, "socket");
  const bin = join(folder, "gcloud");
  writeFileSync(bin, `#!/bin/sh\nexec '${python}' -S -E -I '${join(HERE, "client.py")}' '${socket}' "$@"\n`);
  chmodSync(bin, 0o755);
  const server = spawn(python, ["-S", "-W", "ignore", join(HERE, "server.py"), root, socket], {
    stdio: ["pipe", "pipe", "inherit"],
    env,
  });
  const kill = (): void => void server.kill("SIGKILL");
  process.once("exit", kill);
  // The pipe stays open: whoever writes into one that nobody reads is ended.
  await new Promise<void>((resolve, reject) => {
    let output = "";
    server.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (READY.test(output)) resolve();
    });
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`gcloud could not be loaded (${code}): ${output}`)));
  });
  return {
    bin: folder,
    async close() {
      process.off("exit", kill);
      if (server.exitCode === null && server.signalCode === null) {
        const gone = once(server, "exit");
        server.stdin.end();
        await gone;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
