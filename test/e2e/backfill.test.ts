/** Backfills through the front door: by themselves, under `sluice dev`, interrupted, killed and cancelled. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { z } from "zod";
import { temporaryProject } from "../support/sluice-command.ts";
import type { Project } from "../support/sluice-command.ts";
import { ROOT } from "../support/tree.ts";

/** The seventh is bad; whoever finds the file `gate.closed` waits until it has gone. */
const DAYS = `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { PermanentError, asset, daily, hourly } from "sluice";
export const days = asset({
  key: "demo/days", partitions: daily({ start: "2024-01-01" }), target: "none", retry: { maxRetries: 0 },
  async materialize({ partition, signal }) {
    while (existsSync("gate.closed") && partition.key < "2024-01-28") await pause(20, undefined, { signal });
    if (partition.key === "2024-01-07" && !existsSync("mended")) throw new PermanentError("the seventh is bad");
    appendFileSync("made", partition.key + "\\n");
  },
});
export const hours = asset({ key: "demo/hours", partitions: hourly({ start: "2020-01-01T00" }), target: "demo.hours", async materialize() {} });
`;

const resultSchema = z.looseObject({
  backfill: z.string(),
  status: z.string(),
  total: z.number(),
  counts: z.object({ passedOver: z.number(), succeeded: z.number(), skipped: z.number(), failed: z.number() }),
  underWay: z.array(z.string()),
});

const january = ["--from", "2024-01-01", "--to", "2024-01-31"];

/** Why there is none that a test could use, if so. */
function noTerminal(): string | false {
  const { error } = spawnSync("script", ["--version"]);
  return error === undefined ? false : "this machine has no `script` to make a terminal with";
}

async function statusOf(project: Project, id: string): Promise<z.infer<typeof resultSchema>> {
  return resultSchema.parse(await project.json("backfill", "status", id));
}

async function idOf(project: Project): Promise<string> {
  const [first] = z.array(resultSchema).parse(await project.json("backfill", "list"));
  return first?.backfill ?? assert.fail("there is no backfill");
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 180_000; !(await holds());) {
    if (Date.now() > deadline) assert.fail(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("sluice backfill by itself", () => {
  const project = temporaryProject({ "days.ts": DAYS });
  const { sluice } = project;
  after(() => project.remove());

  test("a dry run says what would be done, and does nothing", async () => {
    const { code, stdout, stderr } = await sluice("backfill", "demo/days", ...january, "--dry-run");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^would request +31 partitions: 2024-01-01 to 2024-01-31$/m);
    assert.match(stdout, /^would pass over +0 partitions$/m);
    assert.match(stdout, /^at a time +4, the newest first$/m);
    assert.equal(existsSync(project.home), false);
  });

  test("a partition that fails does not stop the others, and is told with the way to try it again", async () => {
    const { code, stdout } = await sluice("backfill", "demo/days", ...january);
    assert.equal(code, 1);
    assert.match(stdout, /^backfill [0-9a-f]{16} of demo\/days: 2024-01-01 to 2024-01-31, 31 partitions$/m);
    assert.match(stdout, /^2024-01-07 failed \(run [0-9a-f]{16}\): the seventh is bad$/m);
    assert.match(stdout, /^31 of 31 partitions \(100 %\): 30 succeeded, 1 failed$/m);
    assert.match(stdout, /sluice backfill demo\/days --failed --from 2024-01-01 --to 2024-01-31$/m);
    assert.ok(!stdout.includes("\u001b"), "no bar in a pipe");
  });

  test("what failed is tried again alone, once it is mended", async () => {
    project.write("mended", "");
    const again = resultSchema.parse(await project.json("backfill", "demo/days", ...january, "--failed"));
    assert.deepEqual([again.status, again.counts], ["done", { passedOver: 30, succeeded: 1, skipped: 0, failed: 0 }]);
    const none = resultSchema.parse(await project.json("backfill", "demo/days", ...january));
    assert.deepEqual(none.counts, { passedOver: 31, succeeded: 0, skipped: 0, failed: 0 });
  });

  test("in a terminal a bar moves, and a failure is a line above it", { skip: noTerminal() }, async () => {
    rmSync(join(project.root, "mended"), { force: true });
    const { SLUICE_HOME, NODE_TEST_CONTEXT, NODE_OPTIONS, ...env } = process.env;
    const line = `${process.execPath} ${join(ROOT, "lib/cli/main.ts")} backfill demo/days ${january.join(" ")} --all --force`;
    const { stdout } = spawnSync("script", ["-qec", line, "/dev/null"], { cwd: project.root, env, encoding: "utf8" });
    assert.match(stdout, /-{30} 0 % · 0\/31 · 0 failed, /);
    assert.match(stdout, /\[2K2024-01-07 failed \(run [0-9a-f]{16}\): the seventh is bad\r\n/);
    assert.match(stdout, /={30} 100 % · 31\/31 · 1 failed, 0 under way/);
    assert.ok(stdout.includes("\u001b[?25h"), "the cursor is shown again");

    // `script` gives its terminal no width.
    const status = `stty cols 120; ${process.execPath} ${join(ROOT, "lib/cli/main.ts")} backfill status ${await idOf(project)}`;
    const once = spawnSync("script", ["-qec", status, "/dev/null"], { cwd: project.root, env, encoding: "utf8" });
    assert.match(once.stdout, /^█{40} 100 %\r\nbackfill [0-9a-f]{16} of demo\/days, .*: done\r\n31 of 31 partitions/);
    assert.equal(once.stdout.split("█ 100 %").length, 2, "drawn once");
  });

  test("an ended one cannot be cancelled or resumed", async () => {
    const id = await idOf(project);
    for (const verb of ["cancel", "resume"]) {
      const { code, stderr } = await sluice("backfill", verb, id);
      assert.equal(code, 2);
      assert.match(stderr, /^error: the backfill [0-9a-f]{16} has ended[^\n]*\n$/);
    }
  });

  test("says in one line what makes no sense", async () => {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["demo/days"], 2, /name the range: --from <partition> --to <partition>/],
      [["demo/days", ...january, "--single-run"], 2, /cannot take a range in a single run: leave --single-run out/],
      [["demo/days", ...january, "--single-run", "--dry-run"], 2, /backfill: "single-run"/],
      [["demo/days", ...january, "--max-concurrent", "500"], 2, /takes 100 at most/],
      [["demo/days", ...january, "--failed", "--all"], 2, /cannot be used with/],
      [["demo/days", "--from", "2024-01-05", "--to", "2024-01-01"], 2, /runs backwards/],
      [["demo/day", ...january], 2, /did you mean "demo\/days"/],
      [["status", "nonsense"], 2, /there is no backfill "nonsense"/],
      [
        ["demo/hours", "--from", "2020-01-01T00", "--to", "2023-12-31T23"],
        2,
        /would have 35,064 partitions, and BigQuery takes 10,000: daily partitions would be 1,461, and fit/,
      ],
    ];
    for (const [args, expected, message] of cases) {
      const { code, stderr, stdout } = await sluice("backfill", ...args);
      assert.deepEqual([code, stdout], [expected, ""], stderr);
      assert.match(stderr, message);
      assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
    }
    const dry = await sluice("backfill", "demo/hours", "--from", "2020-01-01T00", "--to", "2023-12-31T23", "--dry-run");
    assert.equal(dry.code, 1);
    assert.match(dry.stdout, /^does not fit +the table of demo\/hours would have 35,064 partitions/m);
  });
});

test("killed and interrupted, it goes on where it was when it is resumed", async (t) => {
  const project = temporaryProject({ "days.ts": DAYS });
  t.after(() => project.remove());
  project.write("mended", "");
  project.write("gate.closed", "");
  const first = project.start("backfill", "demo/days", ...january, "--max-concurrent", "2");
  await first.until("31 partitions");
  await eventually("two wait at the gate", async () => {
    const { counts, underWay } = await statusOf(project, await idOf(project));
    return counts.succeeded === 4 && underWay.length === 2;
  });
  first.kill("SIGKILL");
  await first.ended;
  const id = await idOf(project);
  assert.deepEqual((await statusOf(project, id)).underWay, ["2024-01-27", "2024-01-26"]);

  // Ctrl-C stops the driver where it works by itself, and says how to go on.
  const second = project.start("backfill", "resume", id);
  await second.until(`backfill ${id} of demo/days goes on: 4 of 31 partitions`);
  second.kill("SIGINT");
  const { code, stderr } = await second.ended;
  assert.equal(code, 130);
  assert.match(stderr, new RegExp(`go on with it by: sluice backfill resume ${id}`));

  const watcher = project.start("backfill", "status", id, "--follow");
  await watcher.until("4 of 31 partitions");
  rmSync(join(project.root, "gate.closed"));
  const third = await project.sluice("backfill", "resume", id);
  assert.equal(third.code, 0, third.stderr);
  // It has worked at nothing itself, and ends with the backfill.
  const watched = await watcher.ended;
  assert.deepEqual([watched.code, watched.stderr], [0, ""]);
  assert.match(watched.stdout, /: done\n31 of 31 partitions \(100 %\): 31 succeeded$/m);
  assert.match(third.stdout, /^31 of 31 partitions \(100 %\): 31 succeeded$/m);
  const runs = z.array(z.looseObject({ status: z.string() })).parse(await project.json("runs", "--limit", "100"));
  assert.equal(runs.length, 31);
  assert.ok(runs.every(({ status }) => status === "succeeded"));
});

/** Whoever finds the file `gate.closed` has made half of the range, and waits until it has gone. */
const RANGES = `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { asset, daily, eager } from "sluice";
export const ranges = asset({
  key: "demo/ranges", partitions: daily({ start: "2024-01-01" }), backfill: "single-run",
  async materialize({ partitionRange: { from, to }, signal }) {
    appendFileSync("begun", from + " to " + to + "\\n");
    while (existsSync("gate.closed")) await pause(20, undefined, { signal });
    appendFileSync("made", from + " to " + to + "\\n");
  },
});
export const after = asset({
  key: "demo/after", partitions: daily({ start: "2024-01-01" }), deps: [ranges], automation: eager(),
  async materialize({ partition }) { appendFileSync("followed", partition.key + "\\n"); },
});
`;

test("in a single run: killed in the middle of it, it is one run all the same, and every partition is there", async (t) => {
  const project = temporaryProject({ "ranges.ts": RANGES });
  t.after(() => project.remove());
  const linesOf = (file: string): readonly string[] =>
    readFileSync(join(project.root, file), "utf8").trim().split("\n");
  const begun = (): number => (existsSync(join(project.root, "begun")) ? linesOf("begun").length : 0);
  const order = ["backfill", "demo/ranges", ...january, "--single-run"];

  const dry = await project.sluice(...order, "--dry-run");
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /^would request +31 partitions: 2024-01-01 to 2024-01-31$/m);
  assert.match(dry.stdout, /^runs +1, which makes all of them$/m);

  project.write("gate.closed", "");
  const first = project.start(...order);
  await first.until("31 partitions, in a single run");
  await eventually("the run has begun", async () => begun() === 1);
  first.kill("SIGKILL");
  await first.ended;
  const id = await idOf(project);
  const { counts, underWay } = await statusOf(project, id);
  assert.deepEqual([counts.succeeded, underWay], [0, ["2024-01-01"]]);

  rmSync(join(project.root, "gate.closed"));
  const second = await project.sluice("backfill", "resume", id);
  assert.equal(second.code, 0, second.stderr);
  assert.match(second.stdout, /^31 of 31 partitions \(100 %\): 31 succeeded$/m);
  const range = "2024-01-01 to 2024-01-31";
  assert.deepEqual([linesOf("begun"), linesOf("made")], [[range, range], [range]]);
  const followed = linesOf("followed");
  assert.deepEqual([followed.length, new Set(followed).size, followed.toSorted()[30]], [31, 31, "2024-01-31"]);

  const done = resultSchema.parse(await project.json(...order));
  assert.deepEqual(done.counts, { passedOver: 31, succeeded: 0, skipped: 0, failed: 0 });
});

test("under sluice dev: Ctrl-C leaves it running, cancel lets what is under way end, resume goes on", async (t) => {
  const project = temporaryProject({ "days.ts": DAYS });
  t.after(() => project.remove());
  project.write("mended", "");
  project.write("gate.closed", "");
  const dev = await project.dev();
  const follower = project.start("backfill", "demo/days", ...january, "--max-concurrent", "3");
  await follower.until("31 partitions");
  follower.kill("SIGINT");
  const { code, stderr } = await follower.ended;
  assert.equal(code, 130);
  assert.match(stderr, /goes on under `sluice dev`/);

  const id = await idOf(project);
  await eventually("three wait at the gate", async () => (await statusOf(project, id)).counts.succeeded === 4);
  const cancelled = await project.sluice("backfill", "cancel", id);
  assert.equal(cancelled.code, 0, cancelled.stderr);
  assert.match(cancelled.stdout, /2024-01-27, 2024-01-26, 2024-01-25: under way, to their ends/);
  rmSync(join(project.root, "gate.closed"));
  await eventually("what was under way ends", async () => (await statusOf(project, id)).underWay.length === 0);
  const stopped = await statusOf(project, id);
  assert.deepEqual([stopped.status, stopped.counts.succeeded], ["cancelled", 7]);

  const resumed = await project.sluice("backfill", "resume", id);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stdout, /^31 of 31 partitions \(100 %\): 31 succeeded$/m);
  const list = await project.sluice("backfill", "list");
  assert.match(list.stdout, new RegExp(`${id} +demo/days +2024-01-01 to 2024-01-31 +done +31 of 31`));
  await dev.until(`backfill ${id} ended: 31 succeeded, 0 skipped, 0 failed, 0 passed over`);
  dev.kill("SIGTERM");
  await dev.ended;
});
