/** Every command through the front door, with nothing else running: each does its work by itself. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Command } from "commander";
import { z } from "zod";
import { sluiceProgram } from "../../lib/cli/program.ts";
import { REPORT, SCORES, temporaryProject } from "../support/sluice-command.ts";
import type { Outcome } from "../support/sluice-command.ts";

const project = temporaryProject({ "scores.ts": SCORES, "report.ts": REPORT });
const { sluice, json, root } = project;
after(() => project.remove());

const runsSchema = z.array(z.looseObject({ name: z.string(), status: z.string(), partition: z.string().optional() }));

/** One line on stderr and nothing on stdout, with the exit code. */
function assertRefused(outcome: Outcome, code: number, message: RegExp): void {
  assert.equal(outcome.code, code, outcome.stderr);
  assert.equal(outcome.stdout, "");
  assert.match(outcome.stderr, message);
  assert.equal(outcome.stderr.trimEnd().split("\n").length, 1, outcome.stderr);
}

describe("sluice", () => {
  test("list shows what is defined, and makes no home", async () => {
    const { code, stdout, stderr } = await sluice("list");
    assert.equal(stderr, "");
    assert.equal(code, 0);
    assert.match(stdout, /^demo\/scores +daily +never +.*functions\/scores\.ts$/m);
    assert.match(stdout, /^scores_clean_up_sensor +stopped +demo\/scores → scores_clean_up_job$/m);
    assert.match(stdout, /^scores_clean_up_job +job\.scores_clean_up_job$/m);
    assert.ok(!stdout.includes("\u001b"), "no colours in a pipe");
    assert.equal(existsSync(project.home), false);
  });

  test("list SELECTION chooses", async () => {
    const shape = z.object({ assets: z.array(z.looseObject({ key: z.string() })), sensors: z.array(z.unknown()) });
    const { assets, sensors } = shape.parse(await json("list", "demo/rep*"));
    assert.deepEqual(
      assets.map(({ key }) => key),
      ["demo/report"],
    );
    assert.deepEqual(sensors, []);
    const all = shape.parse(await json("list", "+demo/report"));
    assert.deepEqual(
      all.assets.map(({ key }) => key),
      ["demo/scores", "demo/report"],
    );
  });

  test("has help with an example for every command", async () => {
    const { code, stdout, stderr } = await sluice("materialize", "--help");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^Usage: sluice materialize .*--json.*Examples:\n {2}\$ sluice materialize /ms);

    const program = sluiceProgram(() => async () => assert.fail("not to be run"));
    const leaves = (command: Command): readonly Command[] =>
      command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
    const names = leaves(program).map((command) => {
      let help = "";
      command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      const name = command.parent === program ? command.name() : `${command.parent?.name()} ${command.name()}`;
      assert.match(help, /--json/);
      assert.ok(help.includes(`Examples:\n  $ sluice ${name}`), help);
      return name;
    });
    assert.equal(
      names.join(", "),
      "list, show, why, materialize, backfill list, backfill status, backfill cancel, backfill resume, replay, rollback, cancel, pause, resume, report, runs, events, query, verify, put, publish, dead-letters replay, sensor list, sensor start, sensor stop, dev, build, compile, deploy, destroy, init, probe",
    );
  });

  test("says what was meant, on one line, with exit code 2", async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["lst"], /unknown command 'lst' \(Did you mean list\?\)/],
      [["list", "--jsn"], /unknown option '--jsn' \(Did you mean --json\?\)/],
      [["show", "demo/score"], /did you mean "demo\/scores"\?/],
      [["show"], /missing required argument/],
      [["materialize", "demo/reprt"], /did you mean "demo\/report"\?/],
      [["materialize", "demo/scores", "--partition", "2024-02-30"], /"2024-02-30" is not a time of the calendar/],
      [["materialize", "demo/report", "--partition", "2024-05-01"], /has no partitions/],
      [["materialize", "demo/report", "--config", "{"], /--config is not JSON/],
      [["materialize", "demo/report", "--config", "[1]"], /takes a JSON object/],
      [["runs", "--limit", "0"], /--limit takes a whole number of 1 or more/],
      [["runs", "--status", "done"], /Allowed choices are running/],
      [["runs", "--asset", "demo/score"], /did you mean "demo\/scores"\?/],
      [["events", "--type", "run.fail"], /did you mean "run\.failed"\?/],
      [["publish", "asset.demo.score", "--message", "{}"], /did you mean "asset\.demo\.scores"\?/],
      [["publish", "asset.demo.scores", "--message", "{"], /--message is not JSON/],
      [["publish", "asset.demo.scores", "--attribute", "x"], /--attribute takes key=value/],
      [["sensor", "start", "scores_clean_up_sensr"], /did you mean "scores_clean_up_sensor"\?/],
      [["sensor", "strt", "x"], /Did you mean start\?/],
      [["put", "nowhere.json", "gs://drops/x"], /nowhere\.json does not exist/],
      [["put", "package.json", "drops/x"], /write it as gs:\/\/bucket\/name/],
      [["put", "functions", "gs://drops/x"], /is not a file/],
      [["dev", "--port", "99999"], /--port takes a number/],
    ];
    // Two at a time: each is a process.
    for (let at = 0; at < cases.length; at += 2) {
      await Promise.all(
        cases.slice(at, at + 2).map(async ([args, message]) => assertRefused(await sluice(...args), 2, message)),
      );
    }
    assert.equal(existsSync(project.home), false, "a command that makes no sense leaves nothing behind");
  });

  test("put stores a file and shows what follows", async () => {
    writeFileSync(join(root, "day.json"), '{"address":"0x1","score":20}\n{"address":"0x2","score":7}\n');
    const { code, stdout, stderr } = await sluice("put", "day.json", "gs://drops/scores/2024-05-01.json");
    assert.equal(stderr, "");
    assert.equal(code, 0);
    assert.match(stdout, /^gs:\/\/drops\/scores\/2024-05-01\.json  \d+ bytes, generation \d+$/m);
    assert.match(stdout, /demo\/scores  2024-05-01  materialized 2 rows in .* → demo\.scores$/m);
  });

  test("query answers in a table and in JSON lines", async () => {
    const sql = "SELECT address, score, CAST(NULL AS STRING) AS nothing FROM demo.scores ORDER BY score";
    const { stdout, code } = await sluice("query", sql);
    assert.equal(code, 0);
    assert.equal(stdout, "address  score  nothing\n0x2      7      NULL\n0x1      20     NULL\n(2 rows)\n");
    const lines = await sluice("query", sql, "--json");
    assert.deepEqual(
      lines.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
      [
        { address: "0x2", score: 7, nothing: null },
        { address: "0x1", score: 20, nothing: null },
      ],
    );
    assertRefused(await sluice("query", "DROP TABLE demo.scores"), 1, /DROP/);
  });

  test("put of what cannot be loaded fails with one line, and the table stays", async () => {
    writeFileSync(join(root, "broken.json"), '{"address": 0x');
    const result = z
      .object({ runs: runsSchema })
      .parse(await json("put", "broken.json", "gs://drops/scores/2024-05-02.json"));
    assert.deepEqual(
      result.runs.map(({ status, partition }) => [status, partition]),
      [["failed", "2024-05-02"]],
    );
    const misnamed = await sluice("put", "day.json", "gs://drops/scores/may.json");
    assert.equal(misnamed.code, 1);
    assert.match(misnamed.stdout, /refused gs:\/\/drops\/scores\/may\.json: its name does not match/);
    const elsewhere = await sluice("put", "day.json", "gs://drips/x.json");
    assert.equal(elsewhere.code, 0);
    assert.match(elsewhere.stderr, /nothing watches the bucket drips \(did you mean "drops"\?\)/);
    const { stdout } = await sluice("query", "SELECT COUNT(*) AS n FROM demo.scores", "--json");
    assert.equal(stdout, '{"n":2}\n');
  });

  test("materialize follows the run, with the author's log lines, and names what it found unchanged", async () => {
    const again = await sluice("materialize", "demo/scores", "--partition", "2024-05-01");
    assert.equal(again.code, 0);
    assert.match(again.stdout, /skipped: the partition already holds these inputs/);
    const both = await sluice("materialize", "+demo/report", "--force");
    assert.equal(both.code, 1, "2024-05-02 is the newest, and broken");
    assert.match(both.stderr, /demo\/report: left out, because demo\/scores failed/);
    const report = await sluice("materialize", "demo/report", "--config", '{"retry":true}');
    assert.equal(report.code, 0);
    assert.match(report.stdout, /info: about to report mood=good/);
    assert.match(report.stdout, /failed, tries again at .*: not yet/);
    assert.match(report.stdout, /demo\/report  materialized/);
  });

  test("materialize exits with 1 when the run fails, and prints one JSON value with --json", async () => {
    const { code, stdout } = await sluice("materialize", "demo/report", "--config", '{"fail":true}', "--json");
    assert.equal(code, 1);
    const [only, ...others] = z
      .array(z.looseObject({ asset: z.string(), status: z.string(), reason: z.string() }))
      .parse(JSON.parse(stdout));
    assert.deepEqual(others, []);
    assert.deepEqual([only?.asset, only?.status, only?.reason], ["demo/report", "failed", "the report cannot be made"]);
  });

  test("publish delivers what it is given, JSON or not", async () => {
    const good = z
      .object({ runs: runsSchema })
      .parse(await json("publish", "asset.demo.scores", "--message", '{"partition":"2024-05-01"}'));
    assert.deepEqual(
      good.runs.map(({ status }) => status),
      ["skipped"],
    );
    const raw = await sluice("publish", "asset.demo.scores", "--raw", '{"partition":');
    assert.equal(raw.code, 1);
    assert.match(raw.stdout, /refused a message on asset\.demo\.scores: the message's data is not JSON/);
    const unknown = await sluice("publish", "asset.demo.scores", "--message", '{"partition":"2024-13-01"}');
    assert.equal(unknown.code, 1);
    const attributes = await sluice("publish", "asset.demo.report", "--attribute", "from=me", "--attribute", "why=a=b");
    assert.equal(attributes.code, 0);
    assert.match(attributes.stdout, /demo\/report  materialized/);
    const job = z
      .object({ runs: runsSchema })
      .parse(
        await json(
          "publish",
          "job.scores_clean_up_job",
          "--message",
          '{"config":{"before":"2024-05-01","dryRun":true}}',
        ),
      );
    assert.deepEqual(
      job.runs.map(({ name, status }) => [name, status]),
      [["scores_clean_up_job", "succeeded"]],
    );
  });

  test("sensor start and stop are remembered, and what a started sensor does is shown", async () => {
    const started = await sluice("sensor", "start", "scores_clean_up_sensor");
    assert.equal(started.stdout, "scores_clean_up_sensor is running\n");
    writeFileSync(join(root, "day.json"), '{"address":"0x3","score":1}\n');
    const put = await sluice("put", "day.json", "gs://drops/scores/2024-05-20.json");
    assert.match(put.stdout, /scores_clean_up_sensor  ticked: requested 1 run/);
    assert.match(put.stdout, /scores_clean_up_job  succeeded/);
    await sluice("sensor", "stop", "scores_clean_up_sensor");
    await sluice("sensor", "stop", "scores_clean_up_sensor");
    const states = z
      .array(z.looseObject({ name: z.string(), status: z.string(), chosen: z.boolean() }))
      .parse(await json("sensor", "list"));
    assert.deepEqual(
      states.map(({ name, status, chosen }) => ({ name, status, chosen })),
      [{ name: "scores_clean_up_sensor", status: "stopped", chosen: true }],
    );
    const { stdout } = await sluice("events", "--type", "sensor.switched", "--json");
    assert.equal(stdout.trim().split("\n").length, 2, "choosing what is chosen already is no event");
  });

  test("runs and events tell what happened, filtered", async () => {
    const failed = runsSchema.parse(await json("runs", "--status", "failed", "--asset", "demo/report"));
    assert.deepEqual(
      failed.map(({ name, status }) => [name, status]),
      [["demo/report", "failed"]],
    );
    const table = await sluice("runs", "--limit", "3");
    assert.equal(table.stdout.trimEnd().split("\n").length, 4);
    const events = await sluice("events", "--asset", "demo/scores", "--type", "materialized,object.refused", "--json");
    const types = events.stdout
      .trim()
      .split("\n")
      .map((line) => z.looseObject({ type: z.string() }).parse(JSON.parse(line)).type);
    assert.deepEqual(types, ["materialized", "object.refused", "materialized"]);
    const lines = await sluice("events", "--limit", "2");
    assert.equal(lines.stdout.trimEnd().split("\n").length, 2);
    assert.equal((await sluice("events", "--asset", "demo/report", "--type", "table.dropped")).stdout, "No events.\n");
  });

  test("show tells all of an asset", async () => {
    const { stdout, code } = await sluice("show", "demo/scores");
    assert.equal(code, 0);
    for (const expected of [
      "functions/scores.ts scores",
      "asset.demo.scores",
      "gs://drops/scores/",
      "demo.scores",
      "5 days",
      "not_empty",
      "demo/report",
      "2024-05-20",
      "is loaded from it",
      "Last runs",
    ]) {
      assert.ok(stdout.includes(expected), `${expected} in\n${stdout}`);
    }
    const entry = z
      .looseObject({
        key: z.string(),
        dependents: z.array(z.string()),
        partitionCounts: z.looseObject({ materialized: z.number() }),
      })
      .parse(await json("show", "demo/scores"));
    assert.deepEqual(entry.dependents, ["demo/report"]);
    assert.equal(entry.partitionCounts.materialized, 2);
  });

  test("control characters of the outside world do not reach the terminal", async () => {
    const { code, stdout } = await sluice("put", "day.json", "gs://drops/scores/a\u001b[31m\nb.json");
    assert.equal(code, 1);
    assert.ok(!stdout.includes("\u001b"));
    assert.equal(stdout.trimEnd().split("\n").length, 2);
  });

  test("a second process that needs the warehouse is told to wait, and Ctrl-C leaves a run to go on later", async () => {
    const first = project.start("materialize", "demo/report", "--config", '{"wait":true,"deaf":true}');
    await first.until("about to report");
    assertRefused(
      await sluice("query", "SELECT 1 AS a"),
      1,
      /another sluice process uses .*wait for it, or run `sluice dev`/,
    );
    assert.equal((await sluice("list")).code, 0, "what needs no warehouse works");
    first.kill("SIGINT");
    const { code, stderr } = await first.ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /demo\/report: left alone; it goes on under `sluice dev`/);
    project.write("gate", "");
    // Any command that works takes up what was left.
    await sluice("publish", "asset.demo.scores", "--message", '{"partition":"2024-05-01"}');
    const [last] = runsSchema.parse(await json("runs", "--asset", "demo/report", "--limit", "1"));
    assert.equal(last?.status, "succeeded");
  });

  test("a config that the asset does not take starts no run", async () => {
    project.write(
      "functions/configured.ts",
      `import { asset } from "sluice"; import { z } from "zod";
       const config = z.object({ archive: z.string().default("x"), pages: z.int().optional() });
       export const configured = asset({ key: "demo/configured", config, async materialize() {} });`,
    );
    const given = '{"arhive":"y","pages":"3"}';
    const { code, stdout, stderr } = await sluice("materialize", "demo/configured", "--config", given);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.equal(
      stderr,
      'error: the config is not what demo/configured takes: arhive: unknown field "arhive" (did you mean "archive"?); pages: expected number, got "3"\n',
    );
    assert.deepEqual(await json("runs", "--asset", "demo/configured"), []);
  });

  test("problems of the definitions are listed with their places, and hide nothing else", async () => {
    project.write("functions/broken.ts", "export const x = ;");
    project.write(
      "functions/circle.ts",
      'import { asset } from "sluice"; export const a = asset({ key: "demo/scores", async materialize() {} });',
    );
    const { code, stdout, stderr } = await sluice("list");
    assert.equal(code, 1);
    assert.match(stdout, /^demo\/report /m);
    assert.match(stderr, /^functions\/broken\.ts:1:18: Expression expected$/m);
    assert.match(
      stderr,
      /^functions\/scores\.ts scores: asset demo\/scores is defined here and in functions\/circle\.ts a/m,
    );
    assert.equal((await sluice("materialize", "demo/report")).code, 0, "an asset that is well goes on");
    for (const command of ["materialize", "why", "report"]) {
      const missed = await sluice(command, "demo/broken");
      assert.equal(missed.code, 2, command);
      assert.match(missed.stderr, /^error: no asset is called "demo\/broken".*\nfunctions\/broken\.ts:1:18: /, command);
    }
  });
});
