/** Runs are canceled and replayed, assets paused and resumed, through the front door. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { openLocalBus } from "../../lib/local/local-bus.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { REPORT, SCORES, temporaryProject } from "../support/sluice-command.ts";

/** Waits for the file `gate`, and hears nothing meanwhile; then there are rows to publish. */
const SLOW = `
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { asset, bigqueryTable } from "sluice";
import { z } from "zod";
export const slow = asset({
  key: "demo/slow", schema: z.object({ id: z.int() }), ioManager: bigqueryTable(),
  async *materialize({ row }) {
    while (!existsSync("gate")) await pause(20);
    yield row({ id: 1 });
  },
});
export const lost = asset({ key: "demo/lost", async *materialize() { yield { id: 1 }; } });
`;

const project = temporaryProject({ "scores.ts": SCORES, "report.ts": REPORT, "slow.ts": SLOW });
const { sluice, json, home } = project;
after(() => project.remove());

const runSchema = z.looseObject({ run: z.string(), status: z.string(), reason: z.string().optional() });
const runsSchema = z.array(runSchema);

/** Waits for what another process does. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 60_000; ;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < deadline, "it does not come to that");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("without anything else running: pause, refuse, force, resume, and what makes no sense", async () => {
  const paused = await sluice("pause", "demo/report", "--reason", "the source is broken");
  assert.deepEqual([paused.code, paused.stdout], [0, "demo/report is paused\n"]);
  const refused = await sluice("materialize", "demo/report");
  assert.equal(refused.code, 2);
  // Said once, with both ways out.
  assert.equal(
    refused.stderr,
    "error: demo/report is paused (the source is broken): `sluice resume demo/report` ends that, --force runs it all the same\n",
  );
  assert.equal(refused.stdout, "");
  const listed = (await sluice("list")).stdout.split("\n");
  const column = listed[0]?.indexOf("STATE") ?? -1;
  assert.ok(column > 0, listed[0]);
  assert.equal(
    listed
      .find((line) => line.startsWith("demo/report "))
      ?.slice(column)
      .split(" ")[0],
    "paused",
  );
  assert.equal(
    listed
      .find((line) => line.startsWith("demo/scores "))
      ?.slice(column)
      .split(" ")[0],
    "",
  );
  assert.match((await sluice("why", "demo/report")).stdout, /paused since .*: what asks for it by itself waits/);
  const forced = await sluice("materialize", "demo/report", "--force");
  assert.equal(forced.code, 0, forced.stderr);
  assert.deepEqual(await json("resume", "demo/report"), [{ asset: "demo/report", changed: true }]);
  assert.ok(!(await sluice("list")).stdout.includes("STATE"), "a column of nothing");

  const [run] = runsSchema.parse(await json("runs", "--asset", "demo/report"));
  assert.ok(run !== undefined);
  const again = runSchema.parse(await json("replay", run.run, "--force"));
  assert.notEqual(again.run, run.run);
  assert.equal(again.status, "succeeded");

  const late = await sluice("cancel", run.run);
  assert.equal(late.code, 1);
  assert.match(late.stderr, /^error: run [0-9a-f]{16} has ended already: succeeded at /);
  const unknown = await sluice("cancel", "0000000000000000");
  assert.deepEqual([unknown.code, unknown.stderr.includes("there is no run")], [2, true]);
  assert.equal((await sluice("dead-letters")).stdout, "No dead letters.\n");
  const stray = await sluice("dead-letters", "replay", "x");
  assert.deepEqual(
    [stray.code, stray.stderr],
    [1, "error: x: there is no such dead letter: see `sluice dead-letters`\n"],
  );
});

test("beside a process that has the home open, a run is canceled and a pause ended, in one story", async () => {
  const work = project.start("materialize", "demo/slow");
  const events = openSqliteEventStore({ file: `${home}/events.sqlite` });
  const run = await until(async () => (await events.runs({ status: "running" })).items[0]);
  events.close();
  assert.equal((await sluice("pause", "demo/scores")).code, 0);
  const resumed = await sluice("resume", "demo/scores");
  assert.deepEqual(
    [resumed.code, resumed.stdout, resumed.stderr],
    [0, "demo/scores goes on\n", "another sluice process uses this home, and takes it up within 30 seconds\n"],
  );

  const cancel = project.start("cancel", run.id, "--reason", "the wrong\nconfig");
  await cancel.until("takes it up within 30 seconds");
  project.write("gate", "");
  const { code, stdout, stderr } = await cancel.ended;
  assert.deepEqual([code, stderr], [0, "another sluice process uses this home, and takes it up within 30 seconds\n"]);
  assert.equal(stdout, `run ${run.id} of demo/slow: canceled, the wrong\\nconfig\n`);
  const ended = await work.ended;
  assert.match(ended.stdout, /canceled: the wrong\\nconfig$/m);
  assert.equal(ended.code, 1, "what was asked for is not done");
  rmSync(join(project.root, "gate"));
});

test("rows that nobody would store are an error, not a success", async () => {
  const { code, stdout, stderr } = await sluice("materialize", "demo/lost");
  assert.equal(code, 1, stderr);
  assert.match(
    stdout,
    /failed: demo\/lost: materialize returned rows, and it has no ioManager that would store them: /,
  );
});

test("a run under `sluice dev` is canceled while its code is at work", async () => {
  const dev = await project.dev();
  const asked = sluice("materialize", "demo/report", "--config", '{"wait":true}', "--json");
  const events = openSqliteEventStore({ file: `${home}/events.sqlite` });
  const run = await until(async () => (await events.runs({ status: "running" })).items[0]);
  events.close();
  const outcome = runSchema.parse(await json("cancel", run.id, "--reason", "the wrong config"));
  assert.deepEqual([outcome.run, outcome.status, outcome.reason], [run.id, "canceled", "the wrong config"]);
  const { stdout, code } = await asked;
  assert.equal(code, 1);
  assert.deepEqual(
    runsSchema.parse(JSON.parse(stdout)).map(({ status }) => status),
    ["canceled"],
  );

  dev.kill("SIGINT");
  await dev.ended;
});

test("a dead letter is listed with what to do, and published again once", async () => {
  // A message that no process could take, as the bus itself buries it.
  const clock = systemClock();
  const bus = openLocalBus({
    file: `${home}/messages.sqlite`,
    clock,
    random: systemRandom(),
    maxAttempts: 1,
    subscriptions: () => [{ name: "asset.demo.report", topic: "asset.demo.report" }],
    push: () => Promise.reject(new Error("the code could not be loaded")),
  });
  bus.start();
  await bus.publish("asset.demo.report", { data: { runKey: "from afar" } });
  await until(async () => (bus.deadLetters().length === 1 ? true : undefined));
  await bus.stop();
  bus.close();

  // Whoever opens the home writes it down.
  assert.equal((await sluice("materialize", "demo/report", "--force")).code, 0);
  const listed = await sluice("dead-letters", "--asset", "demo/report");
  const [, id = ""] = /sluice dead-letters replay ([0-9a-f]{16})/.exec(listed.stdout) ?? [];
  assert.match(listed.stdout, /the code could not be loaded/);
  const replayed = await sluice("dead-letters", "replay", "--all");
  assert.match(replayed.stdout, new RegExp(`^${id} was published again on asset\\.demo\\.report, as message `));
  const events = openSqliteEventStore({ file: `${home}/events.sqlite` });
  const keys = (await events.runs({ name: "demo/report" })).items.filter(
    ({ request }) => request.runKey === "from afar",
  );
  events.close();
  assert.equal(keys.length, 1);
});
