/** `sluice dev` as a person lives with it: drops, commands beside it, reloads, crashes, and Ctrl-C. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { put, ref } from "../../lib/core/documents.ts";
import { openSqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { REPORT, SCORES, temporaryProject } from "../support/sluice-command.ts";

const YEARLY = `
import { asset, onSchedule } from "sluice";
export const yearly = asset({ key: "demo/yearly", automation: onSchedule("0 0 1 1 *"), async materialize() {} });
`;

const runsSchema = z.array(
  z.looseObject({ run: z.string(), name: z.string(), status: z.string(), attempt: z.number() }),
);
const eventSchema = z.looseObject({ type: z.string() });

describe("sluice dev", () => {
  const project = temporaryProject({ "scores.ts": SCORES, "report.ts": REPORT });
  const { sluice, json, root, home } = project;
  const bucket = join(home, "buckets", "drops");
  after(() => project.remove());

  const drop = (day: string, rows: number): void => {
    const file = join(root, `${day}.json`);
    writeFileSync(file, Array.from({ length: rows }, (_, n) => `{"address":"0x${n}","score":${n}}\n`).join(""));
    mkdirSync(join(bucket, "scores"), { recursive: true });
    copyFileSync(file, join(bucket, "scores", `${day}.json`));
  };
  const rowsShown = async (): Promise<unknown> => {
    const { stdout, stderr } = await sluice("query", "SELECT COUNT(*) AS n FROM demo.scores", "--json");
    assert.equal(stderr, "");
    return JSON.parse(stdout);
  };

  test("works for people and commands while it runs, and stops cleanly", async (t) => {
    const dev = await project.dev();
    await dev.until(/drop files in +\S*buckets\/drops\//);
    assert.equal(statSync(join(home, "dev.json")).mode & 0o777, 0o600);

    await t.test("a copied file becomes the table", async () => {
      drop("2024-05-01", 3);
      await dev.until(/demo\/scores  2024-05-01  materialized 3 rows in .* → demo\.scores\n/);
      assert.deepEqual(await rowsShown(), { n: 3 });
    });

    await t.test("commands work through it", async () => {
      const { stdout, code } = await sluice("materialize", "demo/report");
      assert.equal(code, 0);
      assert.match(stdout, /demo\/report  materialized/);
      await dev.until("demo/report  materialized");
      const put = await sluice("put", "2024-05-01.json", "gs://drops/scores/2024-05-02.json");
      assert.match(put.stdout, /demo\/scores  2024-05-02  materialized 3 rows/);
      await dev.until("demo/scores  2024-05-02  materialized");
      const failed = await sluice("materialize", "demo/report", "--config", '{"fail":true}');
      assert.equal(failed.code, 1);
      const runs = runsSchema.parse(await json("runs", "--asset", "demo/scores"));
      assert.equal(runs.length, 2, "a file that was put is announced once");
      const wrong = await sluice("query", "SELECT * FROM demo.nothing");
      assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
      assert.match(wrong.stderr, /^error: .*nothing/);
      assert.equal((await sluice("sensor", "start", "scores_clean_up_sensor")).code, 0);
      await dev.until("scores_clean_up_sensor  was started");
      assert.equal((await sluice("show", "demo/scores")).code, 0);
    });

    await t.test("requests for a busy partition wait for it, and are told when their work is done", async () => {
      const holder = project.start("materialize", "demo/report", "--config", '{"wait":true}');
      await holder.until("about to report");
      const waiting = [project.start("materialize", "demo/report"), project.start("materialize", "demo/report")];
      for (const one of waiting) await one.until("waits for the run that holds the partition");
      project.write("gate", "");
      for (const one of [holder, ...waiting]) {
        const { code, stdout } = await one.ended;
        assert.equal(code, 0);
        assert.match(stdout, /demo\/report  materialized/);
      }
      rmSync(join(root, "gate"));
    });

    await t.test("events --follow shows what happens", async () => {
      const follower = project.start("events", "--follow", "--json", "--limit", "1");
      await follower.until("\n");
      await sluice("materialize", "demo/report");
      await follower.until('"type":"materialized"');
      follower.kill("SIGINT");
      const { code, stdout, stderr } = await follower.ended;
      assert.deepEqual([code, stderr], [0, ""]);
      for (const line of stdout.trim().split("\n")) eventSchema.parse(JSON.parse(line));
    });

    await t.test("a large result is streamed", async () => {
      const tables = Array.from({ length: 10 }, (_, n) => `demo.scores AS t${n}`).join(", ");
      const { stdout, code } = await sluice("query", `SELECT t0.score FROM ${tables}`, "--json");
      assert.equal(code, 0);
      assert.equal(stdout.trimEnd().split("\n").length, 3 ** 10);
    });

    await t.test("a file that can be no object is one line and an event", async () => {
      writeFileSync(join(bucket, "scores", "a\\b.json"), "x");
      await dev.until(/refused gs:\/\/drops\/scores\/a\\b\.json: .*copy the file under a plain name/);
      const { stdout } = await sluice("events", "--type", "object.refused", "--json");
      assert.match(stdout, /a\\\\b\.json/);
    });

    await t.test("a second one is refused", async () => {
      const { code, stderr } = await sluice("dev");
      assert.equal(code, 1);
      assert.match(stderr, /^error: sluice dev runs for .* already, as process \d+; .*\n$/);
    });

    await t.test("what functions/ says is taken over when it is well", async () => {
      project.write(
        "functions/extra.ts",
        'import { asset } from "sluice"; export const x = asset({ key: "demo/extra", async materialize() {} });',
      );
      await dev.until("reloaded functions/extra.ts: + demo/extra");
      assert.match((await sluice("materialize", "demo/extra")).stdout, /demo\/extra  materialized/);

      project.write(
        "functions/extra.ts",
        'import { asset } from "sluice"; export const x = asset({ key: "demo/ extra" });',
      );
      project.write("functions/worse.ts", "export const x = ;");
      await dev.until(/functions\/extra\.ts:1:\d+ asset\.key: the asset key "demo\/ extra" has/);
      await dev.until(/functions\/worse\.ts:1:\d+: /);
      await dev.until("the definitions before it stay in force");
      const listed = await sluice("list");
      assert.equal(listed.code, 1, "whoever asks is told, too");
      assert.match(listed.stderr, /functions\/worse\.ts:1:\d+: /);
      assert.equal((await sluice("materialize", "demo/extra")).code, 0);

      rmSync(join(root, "functions", "worse.ts"));
      project.write("functions/extra.ts", SCORES.replaceAll("scores", "extras").replaceAll("drops", "extra-drops"));
      await dev.until(/reloaded .*\+ demo\/extras/);
      mkdirSync(join(home, "buckets", "extra-drops", "extras"), { recursive: true });
      copyFileSync(join(root, "2024-05-01.json"), join(home, "buckets", "extra-drops", "extras", "2024-05-07.json"));
      await dev.until("demo/extras  2024-05-07  materialized 3 rows");
    });

    await t.test("Pub/Sub's REST path triggers an asset", async () => {
      const { url } = project.address();
      const body = JSON.stringify({ messages: [{ data: Buffer.from("{}").toString("base64") }] });
      const answer = await fetch(`${url}/v1/projects/local/topics/asset.demo.report:publish`, { method: "POST", body });
      assert.equal(answer.status, 200);
      const { messageIds } = z.object({ messageIds: z.array(z.string()).length(1) }).parse(await answer.json());
      await dev.until("demo/report  materialized");
      const { items } = await historyOf(home, "demo/report");
      assert.ok(items.includes(`message:${messageIds[0]}`));
    });

    await t.test("gcloud publishes to it", async (inner) => {
      const { code, output } = await gcloud(project.address().url, "asset.demo.report");
      if (code === undefined) return inner.skip("gcloud is not installed; the REST path was tested above");
      assert.equal(code, 0, output);
      assert.match(output, /messageIds:\n- '\d+'/);
      await dev.until("demo/report  materialized");
      const wrong = await gcloud(project.address().url, "asset.demo.reprt");
      assert.notEqual(wrong.code, 0);
      assert.match(wrong.output, /NOT_FOUND.*did you mean "asset\.demo\.report"/);
    });

    dev.kill("SIGTERM");
    const { code, stdout } = await dev.ended;
    assert.equal(code, 0, dev.text());
    assert.match(stdout, /stopped\n$/);
    assert.equal(existsSync(join(home, "dev.json")), false);
    assert.deepEqual(await rowsShown(), { n: 3 }, "without it, commands do the work themselves");
  });
});

describe("sluice dev, interrupted", () => {
  const project = temporaryProject({ "report.ts": REPORT, "scores.ts": SCORES, "yearly.ts": YEARLY });
  const { sluice, json, home, root } = project;
  after(() => project.remove());
  const lastRun = async (asset: string) => runsSchema.parse(await json("runs", "--asset", asset))[0];

  test("kill -9 during a run loses nothing: the next one takes it over", async () => {
    const first = await project.dev();
    const asking = project.start("materialize", "demo/report", "--config", '{"wait":true}');
    await first.until("about to report");
    first.kill("SIGKILL");
    await first.ended;
    const { code, stderr } = await asking.ended;
    assert.equal(code, 1);
    assert.match(stderr, /sluice dev has stopped; what it did not finish goes on when it runs again/);

    assert.ok(existsSync(join(home, "dev.json")), "it could not put its address away");
    assert.equal((await lastRun("demo/report"))?.status, "running");
    assert.equal((await sluice("query", "SELECT 1 AS a", "--json")).stdout, '{"a":1}\n');

    project.write("gate", "");
    const second = await project.dev();
    await second.until("demo/report  materialized");
    const run = await lastRun("demo/report");
    assert.deepEqual([run?.status, run?.attempt], ["succeeded", 2]);
    second.kill("SIGINT");
    assert.equal((await second.ended).code, 0);
    rmSync(join(root, "gate"));
  });

  test("Ctrl-C releases a run at once, and the next start goes on with it", async () => {
    const first = await project.dev();
    const { url, token } = project.address();
    const data = Buffer.from('{"config":{"wait":true}}').toString("base64");
    const headers = { authorization: `Bearer ${token}` };
    const body = JSON.stringify({ topic: "asset.demo.report", data, attributes: {} });
    assert.equal((await fetch(`${url}/api/publish`, { method: "POST", headers, body })).status, 200);
    await first.until("about to report");
    first.kill("SIGINT");
    assert.equal((await first.ended).code, 0);
    assert.equal((await lastRun("demo/report"))?.status, "parked");

    project.write("gate", "");
    const second = await project.dev();
    await second.until("demo/report  materialized");
    second.kill("SIGINT");
    await second.ended;
    rmSync(join(root, "gate"));
  });

  test("a second Ctrl-C ends it at once, whatever runs", async () => {
    const dev = await project.dev();
    const { url } = project.address();
    const data = Buffer.from('{"config":{"wait":true,"deaf":true}}').toString("base64");
    const body = JSON.stringify({ messages: [{ data }] });
    await fetch(`${url}/v1/projects/p/topics/asset.demo.report:publish`, { method: "POST", body });
    await dev.until("about to report");
    // npm passes the terminal's one on. That two signals come together, however busy the machine is, they wait for a process that
    // stands still; and so that they stay two, they are of two kinds.
    for (const name of ["SIGSTOP", "SIGINT", "SIGTERM", "SIGCONT"] as const) dev.kill(name);
    await dev.until("Ctrl-C again ends at once");
    // It gives what runs its time, which is not to pass while it is looked at.
    dev.kill("SIGSTOP");
    const ended = dev.ended.then(({ code }) => `ended with ${code}`);
    assert.equal(await Promise.race([ended, pause(400, "waits")]), "waits");
    for (const name of ["SIGINT", "SIGCONT"] as const) dev.kill(name);
    assert.equal((await dev.ended).code, 130);
    project.write("gate", "");
  });

  test("one missed tick of a schedule is made up for at the start, once", async () => {
    const events = openSqliteEventStore({ file: join(home, "events.sqlite") });
    const cursor = ref("cursor", "schedule demo/yearly");
    const years = 3 * 366 * 86_400_000;
    await events.transact({ cursor }, ({ cursor: seen }) => {
      assert.ok(seen !== undefined, "it was first seen by the starts above, and not fired");
      return { result: undefined, writes: [put(cursor, { ...seen, value: String(Date.now() - years) })], events: [] };
    });
    events.close();
    assert.equal(await lastRun("demo/yearly"), undefined);
    for (let start = 1; start <= 2; start++) {
      const dev = await project.dev();
      if (start === 1) await dev.until("demo/yearly  materialized");
      dev.kill("SIGINT");
      assert.equal((await dev.ended).code, 0);
    }
    assert.equal(runsSchema.parse(await json("runs", "--asset", "demo/yearly")).length, 1);
  });
});

/** The run keys of an asset's runs. */
async function historyOf(home: string, name: string): Promise<{ readonly items: readonly string[] }> {
  const events = openSqliteEventStore({ file: join(home, "events.sqlite") });
  try {
    const { items } = await events.runs({ kind: "asset", name });
    return { items: items.map(({ request }) => request.runKey) };
  } finally {
    events.close();
  }
}

/** `code` is undefined where there is no gcloud. */
async function gcloud(url: string, topic: string): Promise<{ readonly code?: number | null; readonly output: string }> {
  const config = mkdtempSync(join(tmpdir(), "sluice-gcloud-"));
  try {
    const child = spawn("gcloud", ["pubsub", "topics", "publish", topic, "--message", "{}"], {
      env: {
        ...process.env,
        CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB: `${url}/`,
        CLOUDSDK_AUTH_DISABLE_CREDENTIALS: "true",
        CLOUDSDK_CORE_PROJECT: "local",
        CLOUDSDK_CONFIG: config,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    return await new Promise((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) =>
        error.code === "ENOENT" ? resolve({ output: "" }) : reject(error),
      );
      child.once("close", (code) => resolve({ code, output }));
    });
  } finally {
    rmSync(config, { recursive: true, force: true });
  }
}
