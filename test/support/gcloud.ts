/** The real gcloud and bq in tests, against a fake cloud; and the same fake asked without them, which takes a millisecond and not a second. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Registers the tests of `body`. Where gcloud is missing, one skipped (or with `CI_EMULATORS=required` failed) test says why. */
export function withGcloud(body: () => void): void {
  const missing = "gcloud is not on the PATH: install the Google Cloud CLI";
  // Only looked for: one that is there and does not work is to fail the tests, with what it says.
  if (!(process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, "gcloud")))) {
    const required = process.env["CI_EMULATORS"] === "required";
    test("gcloud is there", { skip: required ? false : missing }, () => {
      throw new Error(`CI_EMULATORS=required, but ${missing}`);
    });
    return;
  }
  body();
}

/** `words` are separated by spaces; arguments with spaces in them come behind. */
export interface Tool {
  (words: string, ...args: readonly string[]): Promise<ToolResult>;
  /** What it wrote on stdout, as JSON; rejects where it failed. */
  json(words: string, ...args: readonly string[]): Promise<unknown>;
  /** What it wrote on stdout; rejects where it failed. */
  well(words: string, ...args: readonly string[]): Promise<string>;
}

/** A tool in an environment. */
export function toolIn(name: "gcloud" | "bq", env: Readonly<Record<string, string>>): Tool {
  const run = (words: string, ...args: readonly string[]): Promise<ToolResult> =>
    new Promise((resolve) => {
      execFile(
        name,
        [...words.split(" "), ...args],
        { env, timeout: 240_000, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr });
        },
      );
    });
  const well = async (words: string, ...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(words, ...args);
    if (code !== 0) throw new Error(`${name} ${[words, ...args].join(" ")}: ${stderr}${stdout}`);
    return stdout;
  };
  return Object.assign(run, {
    well,
    json: async (words: string, ...args: readonly string[]) => JSON.parse(await well(words, ...args)) as unknown,
  });
}

/** Asks one of the fake cloud's APIs as gcloud does: `callApi(cloud.url, "PUT", "pubsub", "/v1/projects/p/topics/t", {})`. */
export async function callApi(
  proxy: string,
  method: string,
  api: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly body: unknown }> {
  const content = body === undefined ? "" : JSON.stringify(body);
  const outgoing = request(proxy, {
    method,
    path: `http://${api}.fake${path}`,
    agent: false,
    headers: {
      host: `${api}.fake`,
      authorization: "Bearer not-a-token",
      "content-type": "application/json",
      "content-length": Buffer.byteLength(content),
      ...headers,
    },
  });
  outgoing.end(content);
  // The first argument of this event is the answer.
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  const reply = await text(answer);
  return { status: answer.statusCode ?? 0, body: reply === "" ? undefined : JSON.parse(reply) };
}
