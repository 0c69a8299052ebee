/**
 * Google's own emulators of Firestore and Pub/Sub, which come with gcloud and run on Java, without a network. A machine
 * that lacks them skips the suites with a line that says so; where `CI_EMULATORS=required` is set, it fails instead.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

export type EmulatorKind = "firestore" | "pubsub";

export interface Emulator {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Ends the process; may be called twice. */
  close(): Promise<void>;
}

/** How long an emulator may take to listen. It takes a second on a quiet machine. */
const START_MS = 180_000;
/** Somebody else may take the port before the emulator does. */
const STARTS = 3;

/**
 * Starts one emulator for the whole test file, and hands it to `body`, which registers the tests. The file closes it after
 * the last one. Where it cannot be had, one skipped (or, if required, failed) test says why.
 */
export async function withEmulator(kind: EmulatorKind, body: (emulator: Emulator) => void): Promise<void> {
  const emulator = await startOrSkip(kind);
  if (emulator !== undefined) body(emulator);
}

/** Both of them, in the same way. */
export async function withEmulators(
  body: (emulators: Readonly<Record<EmulatorKind, Emulator>>) => void,
): Promise<void> {
  const [firestore, pubsub] = await Promise.all([startOrSkip("firestore"), startOrSkip("pubsub")]);
  if (firestore !== undefined && pubsub !== undefined) return body({ firestore, pubsub });
  await Promise.all([firestore?.close(), pubsub?.close()]);
}

async function startOrSkip(kind: EmulatorKind): Promise<Emulator | undefined> {
  const found = findEmulator(kind);
  if (!("missing" in found)) return await start(found.command, found.args);
  const required = process.env["CI_EMULATORS"] === "required";
  test(`the ${kind} emulator is there`, { skip: required ? false : found.missing }, () => {
    throw new Error(`CI_EMULATORS=required, but ${found.missing}`);
  });
  return undefined;
}

type Found = { readonly missing: string } | { readonly command: string; readonly args: (port: number) => string[] };

function findEmulator(kind: EmulatorKind): Found {
  try {
    execFileSync("java", ["-version"], { stdio: "ignore" });
  } catch {
    return { missing: "java is not on the PATH: install a Java 17 runtime for Google's emulators" };
  }
  const sdk = sdkRoot();
  if (sdk === undefined) {
    return { missing: "gcloud is not on the PATH: install the Google Cloud CLI for its emulators" };
  }
  if (kind === "firestore") {
    const jar = join(sdk, "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar");
    if (!existsSync(jar)) return { missing: "gcloud lacks the component: install cloud-firestore-emulator" };
    const main = "com.google.cloud.datastore.emulator.firestore.CloudFirestore";
    return {
      command: "java",
      args: (port) => ["-cp", jar, main, "start", "--host=127.0.0.1", `--port=${port}`],
    };
  }
  const [jar] = globSync(join(sdk, "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"));
  if (jar === undefined) return { missing: "gcloud lacks the component: install pubsub-emulator" };
  return { command: "java", args: (port) => ["-jar", jar, "--host=127.0.0.1", `--port=${port}`] };
}

/** Where the Google Cloud CLI lies. Most often that is told by its own path; asking it takes a second. */
function sdkRoot(): string | undefined {
  const [own] = (process.env["PATH"] ?? "").split(delimiter).flatMap((folder) => {
    const program = join(folder, "gcloud");
    return existsSync(program) ? [dirname(dirname(realpathSync(program)))] : [];
  });
  if (own === undefined) return undefined;
  if (existsSync(join(own, "platform"))) return own;
  try {
    return execFileSync("gcloud", ["info", "--format=value(installation.sdk_root)"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return undefined;
  }
}

async function start(command: string, args: (port: number) => string[]): Promise<Emulator> {
  for (let left = STARTS - 1; ; left--) {
    try {
      return await startAt(await freePort(), command, args);
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}

async function startAt(port: number, command: string, args: (port: number) => string[]): Promise<Emulator> {
  const child = spawn(command, args(port), { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4_000)));
  }
  // Should the test process end without its after hooks, the emulator ends with it.
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  try {
    await listening(child, port, () => output);
  } catch (error) {
    kill();
    process.off("exit", kill);
    throw error;
  }
  return {
    host: `127.0.0.1:${port}`,
    async close() {
      process.off("exit", kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      const late = setTimeout(kill, 5_000);
      await gone;
      clearTimeout(late);
    },
  };
}

/** Both emulators answer a plain GET once they are ready. */
async function listening(child: ChildProcess, port: number, output: () => string): Promise<void> {
  for (const until = Date.now() + START_MS; Date.now() < until; await sleep(50)) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the emulator ended at once:\n${output()}`);
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
  }
  throw new Error(`the emulator did not listen within ${START_MS / 1000} s:\n${output()}`);
}
