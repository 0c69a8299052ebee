import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { commandLineTools, shellLine } from "../../infra/gcloud.ts";
import { fakeTools } from "../support/fake-tool.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-tools-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const place = (): string => join(folder, String((count += 1)));

async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !what(); await sleep(20)) assert.ok(Date.now() < end, "it did not come about");
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a tool", () => {
  test("gets its arguments as they are, whatever they hold, and its input", async () => {
    const fake = fakeTools(place(), { stdout: "yes\n", stderr: "well\n", code: 3 });
    const args = ["a b", "$(touch x)", "'\"\\", "", "*", "--flag=;&|", "ü\n"];
    const result = await commandLineTools({ env: fake.env }).run({ tool: "bq", args, stdin: "text" });
    assert.deepEqual(result, { code: 3, stdout: "yes\n", stderr: "well\n" });
    const [call] = fake.calls();
    assert.deepEqual([call?.tool, call?.args, call?.stdin], ["bq", args, "text"]);
  });

  test("neither asks nor shows requests", async () => {
    const fake = fakeTools(place());
    const env = { ...fake.env, CLOUDSDK_CORE_LOG_HTTP: "true" };
    await commandLineTools({ env }).run({ tool: "gcloud", args: [] });
    const told = fake.calls()[0]?.env ?? {};
    assert.equal(told["CLOUDSDK_CORE_DISABLE_PROMPTS"], "1");
    assert.equal(told["CLOUDSDK_CORE_LOG_HTTP"], "false");
  });

  test("that is not there is named with the way to get it", async () => {
    const tools = commandLineTools({ env: { PATH: folder } });
    await assert.rejects(
      tools.run({ tool: "gcloud", args: [] }),
      /gcloud is not on the PATH: install the Google Cloud CLI/,
    );
    await assert.rejects(tools.run({ tool: "bq", args: [] }), /bq is not on the PATH: .*gcloud components install bq/);
  });

  test("that takes too long is ended, and the end is told", async () => {
    const fake = fakeTools(place(), { hang: true });
    const { code, stderr } = await commandLineTools({ env: fake.env, limitMs: 1 }).run({ tool: "gcloud", args: [] });
    assert.notEqual(code, 0);
    assert.match(stderr, /ended by SIG(?:TERM|KILL)/);
  });

  test("does not hear of Ctrl-C, and ends with whoever runs it", async () => {
    const fake = fakeTools(place(), { hang: true });
    const source = `
      const { commandLineTools } = await import(${JSON.stringify(import.meta.resolve("../../infra/gcloud.ts"))});
      process.on("SIGINT", () => console.log("heard"));
      process.on("SIGTERM", () => process.exit(130));
      void commandLineTools({ env: process.env }).run({ tool: "gcloud", args: ["x"] });
    `;
    const runner = spawn(process.execPath, ["--input-type=module", "--eval", source], {
      env: fake.env,
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    const ended = once(runner, "exit");
    let heard = "";
    runner.stdout.on("data", (chunk: Buffer) => (heard += chunk.toString()));
    await until(() => fake.calls().length === 1);
    const tool = fake.calls()[0]?.pid ?? 0;
    // The terminal tells the whole group of whoever is in front.
    process.kill(-(runner.pid ?? 0), "SIGINT");
    await until(() => heard.includes("heard"));
    assert.ok(isAlive(tool));
    runner.kill("SIGTERM");
    await ended;
    await until(() => !isAlive(tool));
  });
});

describe("a command line", () => {
  test("is what a shell takes apart into the same arguments", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 12 }), { maxLength: 6 }), (args) => {
        const clean = args.map((arg) => arg.replaceAll("\0", "").toWellFormed());
        const line = shellLine({ tool: "gcloud", args: clean });
        assert.ok(line.startsWith("gcloud"));
        const script = `gcloud() { for one in "$@"; do printf '%s\\0' "$one"; done; }; ${line}`;
        const output = execFileSync("sh", ["-c", script], { encoding: "utf8" });
        assert.deepEqual(output.split("\0").slice(0, -1), clean);
      }),
      { numRuns: 30 },
    );
    assert.equal(
      shellLine({ tool: "gcloud", args: ["a", "--b=c/d.e:f", "it's {}"] }),
      "gcloud a --b=c/d.e:f 'it'\\''s {}'",
    );
  });
});
